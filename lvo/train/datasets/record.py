"""What every data set becomes: scans with their labels, and what is odd about them. Small records, nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Literal

from lvo.train.datasets.angiogram import Angiogram
from lvo.train.datasets.tree import Tree

__all__ = ["DataSet", "Found", "Issue", "Kind", "LabelNames", "Level", "Place", "Scan", "no_names"]

Kind = Literal["cta", "ctp", "ncct"]
"""What the image is: CT angiogram, CT perfusion over time, plain CT. Anything else is left out by the adapters."""

Place = Literal["left", "right", "both", "midline", ""]
"""Side of the patient, empty where it is not known."""

LabelNames = Callable[[Tree], Mapping[int, str]]


class Level(StrEnum):
    """How bad an issue is."""

    ERROR = "error"
    """The scan cannot be used; `lvo data index` leaves it out."""
    WARNING = "warning"
    """It can be used, and somebody should know."""
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Issue:
    """Something missing, inconsistent or noteworthy.

    Args:
        level: how bad it is.
        code: what kind of thing it is; known defects are recognised by it and the subject.
        subject: whose, empty for the data set as a whole.
        text: what was found and what was expected.
        known: what others have written about just this defect, empty when it is a new one.
    """

    level: Level
    code: str
    subject: str
    text: str
    known: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan of one patient, as the data set ships it; paths are relative to the root of the data set.

    Args:
        subject: name of the patient in the data set.
        image: a NIfTI file, or a folder of DICOM files.
        kind: what the image shows.
        patient: the same for all scans of one patient in any data set, so that none is both learnt from and judged on.
        centre: hospital, empty when unknown.
        arteries: label map of the arteries on the grid of the image, where there is one.
        clot: mask of the occlusion on the grid of the image, where there is one.
        native: the same scan before it was resampled, thinner, on a grid of its own; labels do not fit it.
        occluded: whether a large vessel is occluded, None when nobody says.
        side, site: where.
        maps: further images, which are only checked for being whole.
        angiogram: how it is made of a perfusion scan; empty for one that was scanned.
        split: one the data set itself asks for.
        facts: age, sex and the like, in words; never identity.
    """

    subject: str
    image: PurePosixPath
    kind: Kind
    patient: str
    centre: str = ""
    arteries: PurePosixPath | None = None
    clot: PurePosixPath | None = None
    native: PurePosixPath | None = None
    occluded: bool | None = None
    side: Place = ""
    site: str = ""
    maps: tuple[PurePosixPath, ...] = ()
    angiogram: Angiogram = ""
    split: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What an adapter made of a folder."""

    scans: tuple[Scan, ...]
    issues: tuple[Issue, ...] = ()


def no_names(_tree: Tree) -> Mapping[int, str]:
    """Label names of a data set without artery labels."""
    return {}


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set: an adapter and what is known about it.

    Args:
        name: on the command line.
        title: in words.
        licence: under which it is given out; it goes into every manifest.
        source: where it is described.
        find: reads the layout.
        label_names: names of the codes of the artery labels, in the spelling of `lvo.train.datasets.labels`.
        partial: the labels name some vessels only, so that unlabelled bright voxels may be vessels.
        known: what is known about (subject, code of an issue).
        notes: what everybody who uses it should know.
    """

    name: str
    title: str
    licence: str
    source: str
    find: Callable[[Tree], Found]
    label_names: LabelNames = no_names
    partial: bool = True
    known: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
