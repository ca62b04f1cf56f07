"""One file that says what a data set holds here, for training and evaluation: images, labels, splits, hashes, licence."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from lvo.errors import InputError, OutputError
from lvo.train.datasets.angiogram import Angiogram
from lvo.train.datasets.record import Kind, Place

__all__ = ["SCHEMA", "DataManifest", "Entry", "FileRef", "Split", "read_data_manifest", "refuse_leaks", "write_data_manifest"]

SCHEMA = "lvo-data/1"

Split = Literal["training", "validation", "test", "left out"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class FileRef(_Section, frozen=True):
    """A file, or a folder of DICOM files, below the root; and its hash."""

    path: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Entry(_Section, frozen=True):
    """One scan.

    Args:
        subject: in the data set.
        patient: the same in every data set; one patient is in one split only.
        kind: "cta", "ctp" or "ncct".
        image: what to read.
        spacing_kji_mm, shape_kji: of the image; None for perfusion scans and for what cannot be read.
        angiogram: how the image is made of a perfusion scan; empty for one that was scanned.
        native: the same scan on its own, thinner slices.
        arteries, clot: labels on the grid of the image.
        centre: hospital, empty when unknown.
        occluded, side, site: what is known of an occlusion.
        split: what it is for.
        why: why it is left out, empty when it is not.
        facts: age, sex and the like.
    """

    subject: str
    patient: str
    kind: Kind
    image: FileRef
    split: Split
    spacing_kji_mm: tuple[float, float, float] | None = None
    shape_kji: tuple[int, int, int] | None = None
    angiogram: Angiogram = ""
    native: FileRef | None = None
    arteries: FileRef | None = None
    clot: FileRef | None = None
    centre: str = ""
    occluded: bool | None = None
    side: Place = ""
    site: str = ""
    why: str = ""
    facts: Mapping[str, str] = {}


class DataManifest(_Section, frozen=True):
    """The contents of the file.

    Args:
        schema: version of this layout.
        data_set, title, licence, source: which data set, and under which terms.
        root: its folder, relative to the file's own.
        label_names: names of the codes of the artery labels.
        partial: unlabelled bright voxels may be vessels.
        seed: of the split.
        entries: one per scan.
    """

    schema: str
    data_set: str
    title: str
    licence: str
    source: str
    root: str
    label_names: Mapping[int, str]
    partial: bool
    seed: int
    entries: tuple[Entry, ...]

    def of(self, split: Split, kind: Kind = "cta") -> tuple[Entry, ...]:
        """Entries of a split."""
        return tuple(entry for entry in self.entries if entry.split == split and entry.kind == kind)


def read_data_manifest(path: Path) -> tuple[DataManifest, Path]:
    """Read a manifest.

    Returns:
        The manifest and the root of the data set.

    Raises:
        InputError: it cannot be read, is no manifest of this version, or one patient is in two splits.
    """
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=DataManifest)
    except OSError as error:
        msg = f"data manifest {path} cannot be read: {error.strerror}"
        raise InputError(msg) from error
    except (msgspec.DecodeError, ValueError) as error:
        msg = f"data manifest {path.name}: {error}; make it again with `lvo data index`"
        raise InputError(msg) from error
    if manifest.schema != SCHEMA:
        msg = f"data manifest {path.name} has schema {manifest.schema!r}, this version reads {SCHEMA!r}: index the data again"
        raise InputError(msg)
    refuse_leaks([manifest])
    return manifest, Path(os.path.normpath(path.parent / manifest.root))


def refuse_leaks(manifests: list[DataManifest]) -> None:
    """Refuse patients and images that are in more than one split, over all manifests together.

    Raises:
        InputError: some are.
    """
    splits: dict[str, set[str]] = {}
    patients: dict[str, set[str]] = {}
    for manifest in manifests:
        for entry in manifest.entries:
            if entry.split == "left out":
                continue
            for what in (entry.patient, entry.image.sha256):  # an image may go by another name in another data set
                splits.setdefault(what, set()).add(entry.split)
                patients.setdefault(what, set()).add(entry.patient)
    torn = sorted(set().union(*(patients[what] for what, of in splits.items() if len(of) > 1)))
    if torn:
        msg = (
            f"{len(torn)} patients are in more than one split ({', '.join(torn[:5])}): what is judged was learnt from; "
            "index one data set with --like the manifest of the other"
        )
        raise InputError(msg)


def write_data_manifest(manifest: DataManifest, path: Path) -> None:
    """Write a manifest, all or nothing.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        temporary.replace(path)
    except OSError as error:
        msg = f"data manifest {path} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
