"""Train a baseline: deterministic by seed, resumable, the best checkpoint chosen by the loss on other scans."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Subset

from lvo.errors import InputError
from lvo.infer.window import normalize
from lvo.train.baseline.config import BaselineConfig
from lvo.train.baseline.data import Example, ExampleDataset, Examples
from lvo.train.baseline.network import build_baseline
from lvo.train.fit import learning_rate
from lvo.train.logs import open_log
from lvo.train.run import Keeper, RunState, load_state
from lvo.train.team import Team, join_team

__all__ = ["BaselineState", "fit_baseline", "load_baseline", "probabilities", "score_baseline"]

BaselineState: TypeAlias = RunState[BaselineConfig]


def load_baseline(path: Path) -> BaselineState:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        InputError: it is missing or no checkpoint of a baseline of this version.
    """
    return load_state(path, partial(msgspec.json.decode, type=BaselineConfig), "a baseline")


def _quality(metrics: Mapping[str, float]) -> float | None:
    """The lower the loss on other scans, the better."""
    loss = metrics.get("validation_loss")
    return None if loss is None else -loss


def probabilities(network: nn.Module, examples: Sequence[Example], config: BaselineConfig) -> NDArray[np.float64]:
    """(N, 3) probability of an occlusion in each of `PLACES`, of scans as they are."""
    device = next(network.parameters()).device
    network.eval()
    rows = []
    with torch.inference_mode():
        for example in examples:
            image = torch.from_numpy(normalize(example.hu, config.network.window_hu)[np.newaxis, np.newaxis]).to(device)
            rows.append(torch.sigmoid(network(image).double())[0])
    return torch.stack(rows).cpu().numpy() if rows else np.empty((0, 3))


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
    share = team.share(config.fit.batch, threads=config.fit.threads)
    keeper = Keeper(out, config, load_baseline, _quality)
    state = keeper.begin(resume=resume) or BaselineState(config)
    network = build_baseline(config.network, seed=config.seed).to(team.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.fit.learning_rate, weight_decay=config.fit.weight_decay)
    if state.network:
        network.load_state_dict(state.network)
        optimizer.load_state_dict(state.optimizer)
    data, shared = ExampleDataset(examples.training, config), team.sharing(network)
    with open_log(out, config, leads=team.leads) as log:
        while not _is_over(state, team.agree(keeper.epochs_since_best(state) if team.leads else 0.0)):
            started_s = time.monotonic()
            loss = _run_epoch(shared, optimizer, data, state, team, share)
            state.epoch += 1
            if team.leads:
                found = probabilities(network, examples.validation, config)
                state.metrics = {"loss": loss, **score_baseline(found, examples.validation)}
                state.elapsed_s += time.monotonic() - started_s
                state.network, state.optimizer = network.state_dict(), optimizer.state_dict()
                log(state.metrics, state.step)
                keeper.keep(state)
                progress(state.line)
            state.elapsed_s = team.agree(state.elapsed_s)  # the others wait here until the checkpoints are written
    return keeper.best()


def _is_over(state: BaselineState, since_best: float) -> bool:
    fitting = state.config.fit
    return state.epoch >= fitting.epochs or (isinstance(fitting.patience, int) and since_best >= fitting.patience)


def _run_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, data: ExampleDataset, state: BaselineState, team: Team, share: int
) -> float:
    """Show every scan once, but for what does not fill a batch; mean loss."""
    fitting = state.config.fit
    n = len(data) // fitting.epochs
    per_epoch = n // fitting.batch * fitting.batch
    chosen = Subset(data, range(state.epoch * n + team.rank, state.epoch * n + per_epoch, team.size))
    network.train()
    losses = []
    torch.manual_seed(state.config.seed + 1000 * (state.epoch + 1))  # of dropout, so that a resumed run drops the same
    for image, occluded, weight in DataLoader(chosen, batch_size=share, num_workers=fitting.workers):
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
