"""Train a baseline: deterministic by seed, resumable, the best checkpoint chosen by the loss on other scans."""

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset

from lvo.errors import InputError, UsageError
from lvo.infer.window import normalize
from lvo.train.baseline.config import BaselineConfig
from lvo.train.baseline.data import Example, ExampleDataset, Examples
from lvo.train.baseline.network import build_baseline
from lvo.train.fit import BEST, LAST, learning_rate
from lvo.train.logs import open_log
from lvo.train.team import Team, join_team

__all__ = ["BaselineState", "fit_baseline", "load_baseline", "probabilities", "score_baseline"]

_CHOOSE_BY = "validation_loss"


@dataclass(slots=True)
class BaselineState:
    """The state of a run after an epoch."""

    config: BaselineConfig
    epoch: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)


def _save(path: Path, state: BaselineState) -> None:
    """Write a checkpoint, all or nothing."""
    content = {name: getattr(state, name) for name in BaselineState.__slots__}
    content["config"] = msgspec.json.encode(state.config).decode()
    temporary = path.with_suffix(".part")
    torch.save(content, temporary)
    temporary.replace(path)


def load_baseline(path: Path) -> BaselineState:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        InputError: it is missing or no checkpoint of a baseline of this version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config = msgspec.json.decode(content.pop("config"), type=BaselineConfig)
        return BaselineState(config=config, **content)
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError, msgspec.DecodeError) as error:
        msg = f"{path} is not a readable checkpoint of a baseline"
        raise InputError(msg) from error


def probabilities(network: nn.Module, examples: Sequence[Example], config: BaselineConfig) -> NDArray[np.float64]:
    """(N, 3) probability of an occlusion in each of `PLACES`, of scans as they are."""
    device = next(network.parameters()).device
    network.eval()
    rows = []
    with torch.inference_mode():
        for example in examples:
            image = torch.from_numpy(normalize(example.hu, config.network.window_hu)[np.newaxis, np.newaxis]).to(device)
            rows.append(torch.sigmoid(network(image).double())[0].cpu().numpy())
    return np.array(rows).reshape(-1, 3)


def score_baseline(probability: NDArray[np.float64], examples: Sequence[Example]) -> dict[str, float]:
    """Loss over the places that are known; AUC and Brier score of the scans whose outcome is known, by their worst place.

    Args:
        probability: (N, 3) of the examples.
        examples: with their outcome.
    """
    from sklearn.metrics import brier_score_loss, roc_auc_score

    truth, known = (np.array([getattr(one, name) for one in examples]).reshape(-1, 3) for name in ("occluded", "known"))
    clipped = np.clip(probability, 1e-7, 1.0 - 1e-7)
    loss = -np.where(truth, np.log(clipped), np.log(1.0 - clipped))[known]
    out = {"validation_loss": float(loss.mean())} if loss.size else {}
    whole = known.all(axis=1) | truth.any(axis=1)
    worst, occluded = probability[whole].max(axis=1), truth[whole].any(axis=1)
    if occluded.any() and not occluded.all():
        out["auc"] = float(roc_auc_score(occluded, worst))
        out["brier"] = float(brier_score_loss(occluded, worst))
    return out


def fit_baseline(
    config: BaselineConfig,
    examples: Examples,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> BaselineState:
    """Train until the epochs or the patience are used up; writes `last.pt`, `best.pt` and the logs after each epoch.

    Args:
        config: of the run.
        examples: from `gather_examples`; without any for validation the last checkpoint is the best.
        out: folder, made when missing.
        resume: continue `last.pt` in that folder; the result is the same as that of an unbroken run.
        progress: told a line after each epoch.

    Returns:
        The best checkpoint.

    Raises:
        UsageError: `last.pt` was trained with another configuration, or is there though `resume` was not asked for.
        InputError: there is nothing to learn from, or no checkpoint to resume.
    """
    if len(examples.training) < config.fit.batch:
        msg = (
            f"a baseline needs at least one batch of {config.fit.batch} scans with known outcome, got {len(examples.training)}"
        )
        raise InputError(msg)
    out.mkdir(parents=True, exist_ok=True)
    team = join_team()
    if config.fit.batch % team.size:
        msg = f"[fit] batch = {config.fit.batch} cannot be shared by {team.size} processes: make it a multiple"
        raise UsageError(msg)
    torch.set_num_threads(max(1, config.fit.threads // team.size))
    state = _state(config, out, resume=resume)
    network = build_baseline(config.network, seed=config.seed).to(team.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.fit.learning_rate, weight_decay=config.fit.weight_decay)
    if state.network:
        network.load_state_dict(state.network)
        optimizer.load_state_dict(state.optimizer)
    data, shared = ExampleDataset(examples.training, config), team.sharing(network)
    with open_log(out, config, leads=team.leads) as log:
        while not _is_over(state, team.agree(_epochs_since_best(state, out) if team.leads else 0.0)):
            started_s = time.monotonic()
            loss = _run_epoch(shared, optimizer, data, state, team, len(examples.training))
            state.epoch += 1
            if team.leads:
                found = probabilities(network, examples.validation, config)
                state.metrics = {"loss": loss, **score_baseline(found, examples.validation)}
                state.elapsed_s += time.monotonic() - started_s
                state.network, state.optimizer = network.state_dict(), optimizer.state_dict()
                log(state.metrics, state.step)
                _keep(state, out)
                values = ", ".join(f"{name} {value:.3f}" for name, value in state.metrics.items())
                progress(f"epoch {state.epoch}, step {state.step}, {state.elapsed_s / 60.0:.1f} min: {values}")
            state.elapsed_s = team.agree(state.elapsed_s)  # the others wait here until the checkpoints are written
    return load_baseline(out / BEST)


def _state(config: BaselineConfig, out: Path, *, resume: bool) -> BaselineState:
    last = out / LAST
    if not resume:
        if last.exists():
            msg = f"{last} is there already: continue it with --resume, or choose another folder"
            raise UsageError(msg)
        return BaselineState(config)
    state = load_baseline(last)
    if state.config != config:
        found = f"({state.config.sha256[:12]}, now {config.sha256[:12]})"
        msg = f"{last} was trained with another configuration {found}; start anew"
        raise UsageError(msg)
    return state


def _is_over(state: BaselineState, since_best: float) -> bool:
    fitting = state.config.fit
    return state.epoch >= fitting.epochs or (isinstance(fitting.patience, int) and since_best >= fitting.patience)


def _epochs_since_best(state: BaselineState, out: Path) -> float:
    return float(state.epoch - load_baseline(out / BEST).epoch) if state.epoch and (out / BEST).exists() else 0.0


def _run_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, data: ExampleDataset, state: BaselineState, team: Team, n: int
) -> float:
    """Show every scan once, but for what does not fill a batch; mean loss."""
    fitting = state.config.fit
    per_epoch = n // fitting.batch * fitting.batch
    chosen = Subset(data, range(state.epoch * n + team.rank, state.epoch * n + per_epoch, team.size))
    network.train()
    losses = []
    torch.manual_seed(state.config.seed + 1000 * (state.epoch + 1))  # of dropout, so that a resumed run drops the same
    for image, occluded, weight in DataLoader(chosen, batch_size=fitting.batch // team.size, num_workers=fitting.workers):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(state.step / (fitting.epochs * (per_epoch // fitting.batch)), fitting.learning_rate)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(team.device.type, torch.bfloat16, enabled=fitting.precision == "bfloat16"):
            logits = network(image.to(team.device))
        each = nn.functional.binary_cross_entropy_with_logits(logits.float(), occluded.to(team.device), reduction="none")
        known = weight.to(team.device)
        loss = (each * known).sum() / known.sum().clamp(min=1.0)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        state.step += 1
    return float(np.mean(losses))


def _keep(state: BaselineState, out: Path) -> None:
    """Write the last checkpoint, and the best one when this is it."""
    _save(out / LAST, state)
    value = state.metrics.get(_CHOOSE_BY)
    if value is None or not (out / BEST).exists() or value < load_baseline(out / BEST).metrics.get(_CHOOSE_BY, np.inf):
        _save(out / BEST, state)
