"""The training loop: deterministic by seed, resumable, validated the way the model will be used."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.errors import UsageError
from lvo.infer.window import normalize, place_channels, sliding_window
from lvo.train.config import TrainConfig, decode_config
from lvo.train.data import PatchDataset, TrainingCrops
from lvo.train.logs import open_log
from lvo.train.loss import vessel_loss
from lvo.train.metrics import decided, score
from lvo.train.network import WithSoftmax, build_network
from lvo.train.run import Keeper, RunState, load_state
from lvo.train.shards import Crop
from lvo.train.team import Team, join_team

__all__ = ["Checkpoint", "crop_image", "fit", "load_checkpoint", "torch_runner", "validate"]

Checkpoint: TypeAlias = RunState[TrainConfig]

_WARM_UP = 0.03
_CHOOSE_BY = "artery_dice"
"""The checkpoint with the highest value is the best. Not clDice: it hangs on branches one voxel wide, swings from epoch to
epoch, and once preferred a checkpoint that was worse on other heads."""


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        InputError: it is missing or no checkpoint of this program.
        ConfigError: its configuration is not one of this version.
    """
    return load_state(path, decode_config, "`lvo train`")


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
    share = team.share(config.fit.batch, threads=config.fit.threads)
    keeper = Keeper(out, config, load_checkpoint, lambda metrics: metrics.get(_CHOOSE_BY))
    state = keeper.begin(resume=resume) or (Checkpoint(config) if start is None else _with_weights_of(start, config))
    network = build_network(config.network, seed=config.seed).to(team.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.fit.learning_rate, weight_decay=config.fit.weight_decay)
    if state.network:
        network.load_state_dict(state.network)
    if state.optimizer:
        optimizer.load_state_dict(state.optimizer)
    data = PatchDataset(training, config, config.fit.epochs * config.fit.steps_per_epoch * config.fit.batch)
    shared = team.sharing(network)
    with open_log(out, config, leads=team.leads) as log:
        while not _is_over(state, team.agree(keeper.epochs_since_best(state) if team.leads else 0.0)):
            loss = _run_epoch(shared, optimizer, _batches(data, state, team, share), state, team)
            state.epoch += 1
            if team.leads:
                started_s = time.monotonic()
                state.metrics = {"loss": loss, **validate(network, validation, config)}
                state.elapsed_s += time.monotonic() - started_s
                state.network, state.optimizer = network.state_dict(), optimizer.state_dict()
                log(state.metrics, state.step)
                keeper.keep(state)
                progress(state.line)
            state.elapsed_s = team.agree(state.elapsed_s)  # the others wait here until the checkpoints are written
    return keeper.best()


def _is_over(state: Checkpoint, since_best: float) -> bool:
    """Whether epochs, minutes or patience are used up."""
    fitting = state.config.fit
    worn_out = isinstance(fitting.patience, int) and since_best >= fitting.patience
    return state.epoch >= fitting.epochs or _time_is_up(state.config, state.elapsed_s) or worn_out


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


def _batches(data: PatchDataset, state: Checkpoint, team: Team, share: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """This process's share of the batches of one epoch; which patches they hold depends on the epoch alone."""
    fitting = state.config.fit
    per_epoch = fitting.steps_per_epoch * fitting.batch
    chosen = Subset(data, range(state.epoch * per_epoch + team.rank, (state.epoch + 1) * per_epoch, team.size))
    yield from DataLoader(chosen, batch_size=share, shuffle=False, num_workers=fitting.workers)


def _run_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    state: Checkpoint,
    team: Team,
) -> float:
    """One epoch of steps, cut short when the time is up; its mean loss."""
    config, device = state.config, team.device
    network.train()
    losses = []
    started_s, before_s = time.monotonic(), state.elapsed_s
    for image, classes in batches:
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
