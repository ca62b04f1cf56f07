"""What travels between the table of jobs, the engines and the workers. Plain values only: records cross machines."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lvo.config import Config
from lvo.core.study import Role

__all__ = ["Cell", "Done", "Item", "Job", "Kind", "Limits", "Row", "Setup", "State", "Task"]

Cell = str | float | int | bool | None
Row = Mapping[str, Cell]
"""One study of the results table, by column (`lvo.batch.columns`)."""


class State(StrEnum):
    """Where an item stands."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


class Kind(StrEnum):
    """Why a study has no result; the reason in words stands beside it."""

    INPUT = "input"
    """The files cannot be read, or do not make a study."""
    OUTPUT = "output"
    """The result could not be written: disk full, no permission."""
    MEMORY = "memory"
    """It needed more memory than it was allowed, and was stopped."""
    TIME = "time"
    """It took longer than it was allowed, and was stopped."""
    DIED = "died"
    """The worker died under it, as often as it was tried."""
    DUPLICATE = "duplicate"
    """The same study came from another place too."""
    INTERNAL = "internal"
    """An error nobody expected."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to open: usually one study.

    Args:
        name: what tells it from all others: a path, a URL, or a folder and a Study Instance UID. May hold a patient's name.
        locations: what to open, together: local paths, or one URL.
        fingerprint: changes when the content does; empty where that cannot be told.
        priority: larger goes first.
        due: when the result is wanted, seconds since 1970; None for whenever.
    """

    name: str
    locations: tuple[str, ...]
    fingerprint: str = ""
    priority: int = 0
    due: float | None = None

    @property
    def id(self) -> str:
        """What the item is called in tables and logs; tells nothing about the patient."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Job:
    """An item with what became of it.

    Args:
        item: what to open.
        state: where it stands.
        attempts: how often it was begun.
        rows: a row per study of it.
        ended_at: when it was done or given up, seconds since 1970.
    """

    item: Item
    state: State
    attempts: int = 0
    rows: tuple[Row, ...] = ()
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one item may take.

    Args:
        memory_mb: resident memory of its worker.
        time_s: seconds from beginning to end.
        attempts: how often an item is begun whose worker dies.
    """

    memory_mb: int = 4096
    time_s: float = 900.0
    attempts: int = 3


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs once.

    Args:
        studies_dir: receives one folder per study.
        config: settings.
        clinical: clinical facts, the same for all studies.
        roles: parts to analyse.
        limits: what one item may take.
        export_dir: receives de-identified copies; none if None.
        export_secret: what new identifiers are derived from.
        export_intervals: keep times of day and move dates in copies.
    """

    studies_dir: Path
    config: Config
    clinical: Mapping[str, float | str | None]
    roles: frozenset[Role]
    limits: Limits
    export_dir: Path | None = None
    export_secret: bytes = b""
    export_intervals: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One item for a worker."""

    item: Item
    attempt: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker leaves of an item.

    Args:
        item_id: of the item.
        rows: a row per study, failed ones too.
        again: the worker died and the item may be tried again; `rows` is empty then.
    """

    item_id: str
    rows: tuple[Row, ...]
    again: bool = False
