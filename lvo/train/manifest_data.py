"""Crops of real scans for training: registered to the atlas as in use, with labels in our classes and honest gaps in them.

Labels of other people stop where their question stopped. Beyond that, what is as bright as a vessel is neither vessel nor
background (`UNSURE_CLASS`), so that nobody is taught that M2 is background because TopCoW did not ask for it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.durable import replace_file
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample
from lvo.nifti.files import load_nifti_volume
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS
from lvo.train.config import DataSettings
from lvo.train.datasets.align import align, moved
from lvo.train.datasets.images import load_image, sha256_of_path
from lvo.train.datasets.labels import to_classes
from lvo.train.datasets.manifest import DataManifest, Entry, FileRef, Split, read_data_manifest, refuse_leaks
from lvo.train.shards import Crop, load_crop, place_of, save_crop

__all__ = ["ManifestCrops", "Registered", "Source", "cached_crop", "crops_of", "honest", "read_sources", "register_entry"]

VESSEL_HU = (100.0, 700.0)
"""What an unlabelled vessel may have: contrast from its rim to the highest tube currents' lumen; beyond is bone."""
FAINT_HU = 70.0
"""A labelled artery darker than this is not opacified, or the label does not lie on it: no example of an artery."""

_VERSION = 1
"""Of what is done here: part of the name of cached crops."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A manifest and where its data lie."""

    manifest: DataManifest
    root: Path
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A scan as the pipeline sees it: cropped along the atlas, with its labels.

    Args:
        hu: (K, J, I) int16 on the crop.
        classes: (K, J, I) uint8, `VESSEL_CLASSES` and `UNSURE_CLASS`; None without labels.
        pose: as the registration found it.
        scanned: the whole scan.
    """

    hu: Volume
    classes: Volume | None
    pose: HeadPose
    scanned: Volume


@dataclass(frozen=True, slots=True, eq=False)
class ManifestCrops:
    """Crops of one split, and what could not be used: (subject, why)."""

    crops: tuple[Crop, ...]
    skipped: tuple[tuple[str, str], ...]


def read_sources(paths: Sequence[str | Path]) -> tuple[Source, ...]:
    """Read manifests together.

    Raises:
        InputError: one cannot be read, or a patient is in more than one split.
    """
    sources = []
    for path in map(Path, paths):
        manifest, root = read_data_manifest(path)
        sources.append(Source(manifest, root, hashlib.sha256(path.read_bytes()).hexdigest()))
    refuse_leaks([source.manifest for source in sources])
    return tuple(sources)


def crops_of(
    sources: Sequence[Source],
    split: Split,
    settings: DataSettings,
    cache: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> ManifestCrops:
    """Crops of every labelled angiogram of a split; made once, then read from the cache.

    Args:
        sources: from `read_sources`.
        split: which entries.
        settings: the box and the spacing.
        cache: folder of cached crops.
        progress: told a line after each one that was not there yet.

    Raises:
        InputError: a file changed since it was indexed.
    """
    crops, skipped = [], []
    for source in sources:
        for entry in source.manifest.of(split):
            if entry.arteries is None and entry.clot is None:
                skipped.append((entry.subject, "has no labels of arteries or clot"))
                continue
            path = _cached_at(cache, source.manifest, entry, settings)
            crop = cached_crop(path, source, entry, settings, progress=progress)
            if isinstance(crop, NotAssessable):
                skipped.append((entry.subject, "; ".join(crop.reasons)))
            else:
                crops.append(crop)
    return ManifestCrops(tuple(crops), tuple(skipped))


def cached_crop(
    path: Path,
    source: Source,
    entry: Entry,
    settings: DataSettings,
    *,
    labels: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Crop | NotAssessable:
    """The crop of a scan, or why there is none; registered once, then read from its file.

    Args:
        path: of the cached crop; a reason lies beside it.
        source: where the entry comes from.
        entry: an angiogram.
        settings: the box and the spacing.
        labels: bring the labels along; without them all of the crop is background.
        progress: told a line if it was not there yet.

    Raises:
        InputError: a file changed since it was indexed.
    """
    reason = path.with_suffix(".skipped.json")
    if not path.exists() and not reason.exists():
        made = register_entry(source, entry, settings, labels=labels)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(made, NotAssessable):
            replace_file(reason, json.dumps("; ".join(made.reasons)).encode())
        else:
            hu, classes = made.value.hu, made.value.classes
            codes = np.zeros(hu.array.shape, np.uint8) if classes is None else classes.array
            save_crop(path, Crop(hu.array, codes, *place_of(hu.grid, made.value.pose)))
        progress(f"{entry.subject}: {made.reasons[0] if isinstance(made, NotAssessable) else 'registered'}")
    return load_crop(path) if path.exists() else NotAssessable((json.loads(reason.read_text(encoding="utf-8")),))


def _cached_at(cache: Path, manifest: DataManifest, entry: Entry, settings: DataSettings) -> Path:
    """A name that changes with the files, the meaning of the labels and the box."""
    box = (settings.spacing_mm, settings.low_atlas_mm, settings.high_atlas_mm)
    files = [getattr(entry, name) for name in ("image", "native", "arteries", "clot")]
    hashes = [one.sha256 if one else "" for one in files] + ([entry.angiogram] if entry.angiogram else [])
    content = (_VERSION, box, hashes, sorted(manifest.label_names.items()), manifest.partial)
    return cache / "manifests" / f"{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]}.npz"


def register_entry(
    source: Source, entry: Entry, settings: DataSettings, *, labels: bool = True
) -> Assessed[Registered] | NotAssessable:
    """Read a scan and its labels, find how the head lies, and crop both along the atlas, as `lvo run` does.

    Args:
        source: where the entry comes from.
        entry: an angiogram.
        settings: the box and the spacing.
        labels: bring the labels along; without them a thin scan need not be aligned with its copy either.

    Raises:
        InputError: a file is missing or changed since it was indexed.
    """
    if not labels:
        entry = structs.replace(entry, image=entry.native or entry.image, native=None, arteries=None, clot=None)
    image = load_image(_verified(source, entry.image), entry.kind, entry.angiogram)
    masks = _labels(source, entry)
    if entry.native is not None:
        native = load_image(_verified(source, entry.native), entry.kind)
        move = align(native, image)
        if isinstance(move, NotAssessable):
            return move
        image, masks = native, None if masks is None else moved(masks, move.value)
    brain = find_brain(image)
    if isinstance(brain, NotAssessable):
        return brain
    pose = register_to_atlas(image, brain.value)
    if isinstance(pose, NotAssessable):
        return pose
    crop = pose.value.crop(settings.low_atlas_mm, settings.high_atlas_mm, spacing_mm=settings.spacing_mm)
    hu = Volume(np.rint(resample(image, crop, fill=AIR_HU).array).astype(np.int16), crop, Quantity.HU)
    classes = None
    if masks is not None:
        codes = resample(masks, crop, order=0, fill=0).array.astype(np.uint8)
        classes = Volume(honest(codes, hu.array, partial=source.manifest.partial), crop, Quantity.LABEL)
    return Assessed(Registered(hu, classes, pose.value, image))


def honest(codes: NDArray[np.uint8], hu: NDArray[np.int16], *, partial: bool) -> NDArray[np.uint8]:
    """Make unsure what the labels cannot know.

    Args:
        codes: (K, J, I) classes as labelled.
        hu: (K, J, I) of the same voxels.
        partial: only some vessels were labelled.
    """
    out = codes.copy()
    vessel = (codes > 0) & (codes != UNSURE_CLASS)
    artery_or_vein = vessel & (codes != CLOT_CLASS)
    bright = (hu >= VESSEL_HU[0]) & (hu <= VESSEL_HU[1])
    rim = ndimage.binary_dilation(vessel) & ~vessel
    unlabelled = bright & (codes == 0) if partial else bright & rim & (codes == 0)
    out[unlabelled] = UNSURE_CLASS
    out[artery_or_vein & (hu < FAINT_HU)] = UNSURE_CLASS
    return out


def _labels(source: Source, entry: Entry) -> Volume | None:
    """Classes on the grid of the image: arteries, and the clot over them."""
    arteries = None
    if entry.arteries is not None:
        read = load_nifti_volume(_verified(source, entry.arteries), Quantity.LABEL)
        arteries = Volume(to_classes(read.array, source.manifest.label_names), read.grid, Quantity.LABEL)
    if entry.clot is None:
        return arteries
    clot = load_nifti_volume(_verified(source, entry.clot), Quantity.MASK)
    codes = np.zeros(clot.array.shape, dtype=np.uint8) if arteries is None else arteries.array.copy()
    codes[clot.array] = CLOT_CLASS
    return Volume(codes, clot.grid, Quantity.LABEL)


def _verified(source: Source, ref: FileRef) -> Path:
    """The file, once it is known to be the one that was indexed.

    Raises:
        InputError: it is missing or another one.
    """
    path = source.root / ref.path
    if not path.exists():
        msg = f"{ref.path} is not there any more; index {source.manifest.title} again"
        raise InputError(msg)
    if sha256_of_path(path) != ref.sha256:
        msg = f"{ref.path} is not the file that was indexed (another sha256); index {source.manifest.title} again"
        raise InputError(msg)
    return path
