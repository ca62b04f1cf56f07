"""What a worker says up its pipe: `Ready` or `Broken`; then per item `Opened`, per study `Begun` and `Finished`, and `End`."""

from dataclasses import dataclass

from lvo.batch.records import Row

__all__ = ["Begun", "Broken", "End", "Finished", "Opened", "Ready"]


@dataclass(frozen=True, slots=True)
class Ready:
    """The models are loaded."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The models cannot be loaded; nothing will work until a person helps."""

    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What is in the item."""

    study_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """A study was begun."""

    study_instance_uid: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A study was finished."""

    row: Row


@dataclass(frozen=True, slots=True)
class End:
    """The item was gone through."""
