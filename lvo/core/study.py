"""A study as it lies on disk: which files belong together. Headers only, no pixels, no patient identity."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["InstanceRef", "Role", "SeriesRef", "Study", "StudyNote"]


class Role(StrEnum):
    """What a series can be to the analysis."""

    CTA = "cta"
    CTP = "ctp"
    NCCT = "ncct"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class InstanceRef:
    """One DICOM object in one file."""

    path: Path
    sop_instance_uid: str
    sop_class_uid: str
    n_frames: int = 1


@dataclass(frozen=True, slots=True)
class SeriesRef:
    """The files of one series, in no particular order."""

    series_instance_uid: str
    modality: str
    description: str
    number: int | None
    instances: tuple[InstanceRef, ...]


@dataclass(frozen=True, slots=True)
class StudyNote:
    """What was odd about the files: a code of the result's quality notes, the sentence, and whether images may be lacking."""

    code: str
    text: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Study:
    """The series of one study, and what could not be read beside them.

    Args:
        study_instance_uid: DICOM Study Instance UID.
        series: every series found, ordered by series number, then UID.
        notes: on files that could not be read or were left out; they end in the result's quality notes.
    """

    study_instance_uid: str
    series: tuple[SeriesRef, ...]
    notes: tuple[StudyNote, ...] = ()
