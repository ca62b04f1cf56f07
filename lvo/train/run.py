"""What a training run keeps: its state after every epoch, the last and the best one, and how an interrupted run goes on."""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import torch

from lvo.errors import InputError, UsageError
from lvo.train.config import Section, encode_config

__all__ = ["BEST", "LAST", "Keeper", "RunState", "load_state", "save_state"]

LAST, BEST = "last.pt", "best.pt"

C = TypeVar("C", bound=Section)


@dataclass(slots=True)
class RunState(Generic[C]):
    """The state of a run after an epoch; `start` tells what weights it started from, empty for random ones."""

    config: C
    start: str = ""
    epoch: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """What happened in the epoch."""
        values = ", ".join(f"{name} {value:.3f}" for name, value in self.metrics.items())
        return f"epoch {self.epoch}, step {self.step}, {self.elapsed_s / 60.0:.1f} min: {values}"


def save_state(path: Path, state: RunState[C]) -> None:
    """Write a checkpoint, all or nothing."""
    content = {one.name: getattr(state, one.name) for one in fields(state)}
    content["config"] = encode_config(state.config).decode()
    temporary = path.with_suffix(".part")
    torch.save(content, temporary)
    temporary.replace(path)


def load_state(path: Path, decode: Callable[[bytes], C], what: str) -> RunState[C]:
    """Read a checkpoint; nothing in it is executed.

    Args:
        path: of the file.
        decode: reads its configuration.
        what: whose checkpoint it should be, in words.

    Raises:
        InputError: it is missing or no such checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config = decode(content.pop("config").encode())
        return RunState(config=config, **content)
    except (
        OSError, RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError, msgspec.DecodeError,
    ) as error:  # fmt: skip
        msg = f"{path} is not a readable checkpoint of {what}"
        raise InputError(msg) from error


@dataclass(frozen=True, slots=True)
class Keeper(Generic[C]):
    """Keeps the last and the best checkpoint of a run in its folder.

    Args:
        out: the folder.
        config: of the run.
        load: reads one of its checkpoints.
        quality: what the best checkpoint has most of; None where nothing was validated, and then the last one is the best.
    """

    out: Path
    config: C
    load: Callable[[Path], RunState[C]]
    quality: Callable[[Mapping[str, float]], float | None]

    def begin(self, *, resume: bool) -> RunState[C] | None:
        """The state to go on from, None for a fresh run.

        Raises:
            UsageError: a run of another configuration is there, or one is there though `resume` was not asked for.
            InputError: there is no checkpoint to resume.
        """
        last = self.out / LAST
        if not resume:
            if last.exists():
                msg = f"{last} is there already: continue it with --resume, or choose another folder"
                raise UsageError(msg)
            return None
        state = self.load(last)
        if state.config != self.config:
            found = f"({state.config.sha256[:12]}, now {self.config.sha256[:12]})"
            msg = f"{last} was trained with another configuration {found}; start anew"
            raise UsageError(msg)
        return state

    def keep(self, state: RunState[C]) -> None:
        """Write the last checkpoint, and the best one when this is it."""
        save_state(self.out / LAST, state)
        value, before = self.quality(state.metrics), self._best_quality()
        if value is None or before is None or value > before:
            save_state(self.out / BEST, state)

    def _best_quality(self) -> float | None:
        return self.quality(self.best().metrics) if (self.out / BEST).exists() else None

    def epochs_since_best(self, state: RunState[C]) -> float:
        """How long ago the best checkpoint was made; 0 at the beginning of a run, whatever lies in the folder."""
        return float(state.epoch - self.best().epoch) if state.epoch and (self.out / BEST).exists() else 0.0

    def best(self) -> RunState[C]:
        """The best checkpoint so far.

        Raises:
            InputError: there is none.
        """
        return self.load(self.out / BEST)
