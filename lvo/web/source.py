"""Where studies come from: one interface for a folder of results and for a node's store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from lvo.delivery.link import study_key
from lvo.dicom.identity import Identity

__all__ = ["Source", "Stage", "StageState", "StudyEntry"]

StageState = Literal["waiting", "running", "done", "refused", "absent", "failed"]

SERVED_KINDS = frozenset({"image", "preview", "map"})
"""Kinds of output a browser may ask for; DICOM objects hold the patient's name and stay where they are."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a study.

    Args:
        name: in words.
        state: how far it came.
        seconds: how long it took, None when that is not known.
    """

    name: str
    state: StageState
    seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StudyEntry:
    """A study as a source knows it.

    Args:
        study_instance_uid: of the study.
        stages: in order.
        document: result.json, None as long as there is none.
        folder: of the result, None likewise.
        problem: why there is no result, or none of all images, although there should be one; empty otherwise.
        identity: patient and time of the scan.
        arrived_at: when the first image came in, None when that is not known.
        result_at: when the result was there.
    """

    study_instance_uid: str
    stages: tuple[Stage, ...]
    document: Mapping[str, Any] | None = None
    folder: Path | None = None
    problem: str = ""
    identity: Identity = field(default_factory=Identity)
    arrived_at: datetime | None = None
    result_at: datetime | None = None

    @property
    def key(self) -> str:
        """What the study is called in addresses."""
        return study_key(self.study_instance_uid)

    def file(self, path: str) -> Path | None:
        """A file of the result that browsers may see; None for every other path."""
        if self.document is None or self.folder is None:
            return None
        served = {row["path"] for row in self.document.get("outputs", ()) if row.get("kind") in SERVED_KINDS}
        found = (self.folder / path).resolve()
        if path not in served or not found.is_relative_to(self.folder.resolve()) or not found.is_file():
            return None
        return found


class Source(Protocol):
    """A source of studies; both calls may come from several threads at once."""

    def studies(self) -> Sequence[StudyEntry]:
        """All studies there are."""
        ...

    def version(self) -> str:
        """Another text whenever something has changed; cheap enough to ask every other second."""
        ...
