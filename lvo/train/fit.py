"""The training loop: deterministic by seed, resumable, validated the way the model will be used."""

import math
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.errors import InputError, UsageError
from lvo.infer.window import normalize, place_channels, sliding_window
from lvo.train.config import TrainConfig, decode_config, encode_config
from lvo.train.data import PatchDataset, TrainingCrops
from lvo.train.logs import open_log
from lvo.train.loss import vessel_loss
from lvo.train.metrics import decided, score
from lvo.train.network import WithSoftmax, build_network
from lvo.train.shards import Crop
from lvo.train.team import Team, join_team

__all__ = ["BEST", "LAST", "Checkpoint", "crop_image", "fit", "load_checkpoint", "torch_runner", "validate"]

LAST, BEST = "last.pt", "best.pt"
_WARM_UP = 0.03
_CHOOSE_BY = "artery_dice"
"""The checkpoint with the highest value is the best. Not clDice: it hangs on branches one voxel wide, swings from epoch to
epoch, and once preferred a checkpoint that was worse on other heads."""


@dataclass(slots=True)
class Checkpoint:
    """The state of a run after an epoch; `start` tells what weights it started from, empty for random ones."""

    config: TrainConfig
    start: str = ""
    epoch: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, all or nothing."""
    content = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    content["config"] = encode_config(checkpoint.config).decode()
    temporary = path.with_suffix(".part")
    torch.save(content, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        InputError: it is missing or no checkpoint of this program.
        ConfigError: its configuration is not one of this version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config = decode_config(content.pop("config").encode())
        return Checkpoint(config=config, **content)
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        msg = f"{path} is not a readable checkpoint of `lvo train`"
        raise InputError(msg) from error


def torch_runner(network: nn.Module) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The network as `sliding_window` wants it."""
    model = WithSoftmax(network).eval()
    device = next(network.parameters()).device

    def run(window: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            image = torch.from_numpy(window[np.newaxis]).to(device, memory_format=torch.channels_last_3d)
            return np.ascontiguousarray(model(image)[0].cpu().numpy())

    return run


def crop_image(crop: Crop, window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """(4, K, J, I) `IMAGE_CHANNELS` of a whole crop."""
    index = np.moveaxis(np.indices(crop.hu.shape, dtype=np.float32), 0, -1)[..., ::-1]
    place = place_channels(crop.corner_atlas_mm + index * crop.step_atlas_mm)
    return np.concatenate([normalize(crop.hu, window_hu)[np.newaxis], place])


def validate(network: nn.Module, crops: Sequence[Crop], config: TrainConfig) -> dict[str, float]:
    """Mean metrics over whole crops, through the same sliding window as in use."""
    run, settings = torch_runner(network), config.network
    rows = []
    for crop in crops:
        probabilities = sliding_window(
            crop_image(crop, settings.window_hu),
            run,
            largest_kji=settings.window_kji,
            multiple=settings.multiple,
            n_classes=len(VESSEL_CLASSES),
        )
        rows.append(score(decided(probabilities), crop.classes))
    network.train()
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} if rows else {}


def learning_rate(progress: float, peak: float) -> float:
    """Rise to the peak over the first share of the run, then fall to 0 along a half cosine; progress 0 to 1."""
    if progress < _WARM_UP:
        return peak * (progress + 0.1 * _WARM_UP) / (1.1 * _WARM_UP)
    return peak * 0.5 * (1.0 + math.cos(math.pi * min(1.0, (progress - _WARM_UP) / (1.0 - _WARM_UP))))


def fit(
    config: TrainConfig,
    training: TrainingCrops,
    validation: Sequence[Crop],
    out: Path,
    *,
    resume: bool = False,
    start: Checkpoint | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Checkpoint:
    """Train until the epochs or the minutes are used up.

    Writes `last.pt` and `best.pt` after each epoch and the logs (`lvo.train.logs`) beside them.

    Args:
        config: of the run.
        training: crops to learn from.
        validation: crops that choose the checkpoint; without any the last one is the best.
        out: folder, made when missing.
        resume: continue `last.pt` in that folder. Without a time limit the result is the same as that of an unbroken run.
        start: a run whose weights are the first ones of this run; only they are taken, its network must have the same shape.
        progress: told a line after each epoch.

    Returns:
        The best checkpoint.

    Raises:
        UsageError: `last.pt` was trained with another configuration, or is there though `resume` was not asked for; or the
            network of `start` has another shape.
        InputError: there is no checkpoint to resume.
    """
    out.mkdir(parents=True, exist_ok=True)
    team = join_team()
    if config.fit.batch % team.size:
        msg = f"[fit] batch = {config.fit.batch} cannot be shared by {team.size} processes: make it a multiple"
        raise UsageError(msg)
    torch.set_num_threads(max(1, config.fit.threads // team.size))
    state = _state(config, out, resume=resume, start=start)
    network = build_network(config.network, seed=config.seed).to(team.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.fit.learning_rate, weight_decay=config.fit.weight_decay)
    if state.network:
        network.load_state_dict(state.network)
    if state.optimizer:
        optimizer.load_state_dict(state.optimizer)
    data = PatchDataset(training, config, config.fit.epochs * config.fit.steps_per_epoch * config.fit.batch)
    shared = team.sharing(network)
    with open_log(out, config, leads=team.leads) as log:
        while not _is_over(state, team.agree(_epochs_since_best(state, out) if team.leads else 0.0)):
            loss = _run_epoch(shared, optimizer, data, state, team)
            state.epoch += 1
            if team.leads:
                started_s = time.monotonic()
                state.metrics = {"loss": loss, **validate(network, validation, config)}
                state.elapsed_s += time.monotonic() - started_s
                state.network, state.optimizer = network.state_dict(), optimizer.state_dict()
                log(state.metrics, state.step)
                _keep(state, out)
                progress(_line(state))
            state.elapsed_s = team.agree(state.elapsed_s)  # the others wait here until the checkpoints are written
    return load_checkpoint(out / BEST)


def _is_over(state: Checkpoint, since_best: float) -> bool:
    """Whether epochs, minutes or patience are used up."""
    fitting = state.config.fit
    worn_out = isinstance(fitting.patience, int) and since_best >= fitting.patience
    return state.epoch >= fitting.epochs or _time_is_up(state.config, state.elapsed_s) or worn_out


def _epochs_since_best(state: Checkpoint, out: Path) -> float:
    """How long ago the best checkpoint of this run was made."""
    best = out / BEST
    return float(state.epoch - load_checkpoint(best).epoch) if state.epoch and best.exists() else 0.0


def _state(config: TrainConfig, out: Path, *, resume: bool, start: Checkpoint | None) -> Checkpoint:
    """A fresh state, one with the weights of another run, or that of the interrupted run."""
    last = out / LAST
    if not resume:
        if last.exists():
            msg = f"{last} is there already: continue it with --resume, or choose another folder"
            raise UsageError(msg)
        return Checkpoint(config) if start is None else _with_weights_of(start, config)
    state = load_checkpoint(last)
    if state.config != config:
        msg = (
            f"{last} was trained with another configuration ({state.config.sha256[:12]}, now {config.sha256[:12]}); start anew"
        )
        raise UsageError(msg)
    return state


def _with_weights_of(start: Checkpoint, config: TrainConfig) -> Checkpoint:
    """A fresh state whose weights are those of another run."""
    if (start.config.network.channels, start.config.network.residual) != (config.network.channels, config.network.residual):
        msg = f"the network to start from has channels {start.config.network.channels}, this run {config.network.channels}"
        raise UsageError(msg + "; make [network] the same")
    before = f", which {start.start}" if start.start else ""
    if start.start and not start.step:  # a model read back: it tells what it is
        return Checkpoint(config, start=f"started from {start.start}", network=start.network)
    told = f"started from the weights of run {start.config.sha256[:12]} after {start.step} steps{before}"
    return Checkpoint(config, start=told, network=start.network)


def _time_is_up(config: TrainConfig, elapsed_s: float) -> bool:
    return 0.0 < config.fit.max_minutes * 60.0 <= elapsed_s


def _share_done(config: TrainConfig, state: Checkpoint, elapsed_s: float) -> float:
    """How far the run is, by steps or by minutes, whichever is further."""
    by_steps = state.step / (config.fit.epochs * config.fit.steps_per_epoch)
    by_time = elapsed_s / (config.fit.max_minutes * 60.0) if config.fit.max_minutes else 0.0
    return min(1.0, max(by_steps, by_time))


def _batches(data: PatchDataset, config: TrainConfig, epoch: int, team: Team) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """This process's share of the batches of one epoch; which patches they hold depends on the epoch alone."""
    per_epoch = config.fit.steps_per_epoch * config.fit.batch
    chosen = Subset(data, range(epoch * per_epoch + team.rank, (epoch + 1) * per_epoch, team.size))
    share = config.fit.batch // team.size
    return iter(DataLoader(chosen, batch_size=share, shuffle=False, num_workers=config.fit.workers))


def _run_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, data: PatchDataset, state: Checkpoint, team: Team
) -> float:
    """One epoch of steps, cut short when the time is up; its mean loss."""
    config, device = state.config, team.device
    network.train()
    losses = []
    started_s, before_s = time.monotonic(), state.elapsed_s
    for image, classes in _batches(data, config, state.epoch, team):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(_share_done(config, state, state.elapsed_s), config.fit.learning_rate)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.fit.precision == "bfloat16"):
            logits = network(image.to(device, memory_format=torch.channels_last_3d))
        loss = vessel_loss(logits.float(), classes.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        state.step += 1
        state.elapsed_s = team.agree(before_s + time.monotonic() - started_s)
        if _time_is_up(config, state.elapsed_s):
            break
    return float(np.mean(losses))


def _keep(state: Checkpoint, out: Path) -> None:
    """Write the last checkpoint, and the best one when this is it."""
    save_checkpoint(out / LAST, state)
    best = out / BEST
    value = state.metrics.get(_CHOOSE_BY)
    if value is None or not best.exists() or value > load_checkpoint(best).metrics.get(_CHOOSE_BY, 0.0):
        save_checkpoint(best, state)


def _line(state: Checkpoint) -> str:
    """What happened in an epoch, on one line."""
    values = ", ".join(f"{name} {value:.3f}" for name, value in state.metrics.items())
    return f"epoch {state.epoch}, step {state.step}, {state.elapsed_s / 60.0:.1f} min: {values}"
