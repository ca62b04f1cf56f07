"""Look at every scan of a data set: can it be read, do image and labels fit, does it say what it is. Shared by all adapters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lvo.config import CtaSettings
from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.dicom.facts import MIN_COVERAGE_MM
from lvo.errors import InputError
from lvo.nifti.files import load_nifti_volume, open_nifti, read_nifti_grid, read_values
from lvo.nifti.series import is_nifti
from lvo.train.datasets.angiogram import Angiogram
from lvo.train.datasets.images import describe_series, load_image, sha256_of_path
from lvo.train.datasets.place import place_of_clot, swapped_sides
from lvo.train.datasets.record import DataSet, Issue, Level, Scan
from lvo.train.datasets.sheet import Thumbnail, thumbnail
from lvo.train.datasets.tree import Tree, walk

__all__ = ["Checked", "Survey", "survey"]

THICK_MM = CtaSettings().max_negative_slice_mm
"""Thicker angiograms hardly show M2, and in use an occlusion cannot be excluded from them."""
LARGE_VOXELS = 60_000_000
"""A head at 0.4 mm has some 50 million voxels."""


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """One scan that was looked at.

    Args:
        scan: with whatever the masks add to what the data set says: whether, on which side and where an artery is occluded.
        grid: where its voxels lie, None for perfusion scans and for what cannot be read.
        issues: what is odd about it.
        sha256: of the image, empty when hashes were not asked for.
        picture: for the contact sheet, None when values were not read.
    """

    scan: Scan
    grid: Grid | None
    issues: tuple[Issue, ...]
    sha256: str = ""
    picture: Thumbnail | None = None

    @property
    def usable(self) -> bool:
        """Whether nothing forbids its use."""
        return all(issue.level is not Level.ERROR for issue in self.issues)


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A data set that was looked at: its scans, and the issues of all of it."""

    data_set: DataSet
    tree: Tree
    names: Mapping[int, str]
    checked: tuple[Checked, ...]
    issues: tuple[Issue, ...]


def survey(
    data_set: DataSet,
    root: Path,
    *,
    values: bool = True,
    hashes: bool = False,
    angiogram: Angiogram = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Survey:
    """Find and check every scan of a data set.

    Args:
        data_set: its adapter.
        root: where it was unpacked.
        values: read the voxels too: HU, labels, sides, pictures. Without them headers only, which takes seconds.
        angiogram: make angiograms of its perfusion scans, and how; empty to leave them what they are.
        hashes: compute sha256 of the images, which also finds copies.
        progress: told a line after each scan.

    Raises:
        InputError: nothing of that data set is there.
    """
    tree = walk(root)
    found = data_set.find(tree)
    if not found.scans and not any(issue.level is Level.ERROR for issue in found.issues):
        msg = f"{root} holds no scan in the layout of {data_set.title}; see docs/howto/datasets.md for what is looked for"
        raise InputError(msg)
    names = _names(data_set, tree)
    by_subject: dict[str, list[Issue]] = {}
    for issue in found.issues:
        by_subject.setdefault(issue.subject, []).append(issue)
    checked = []
    for number, scanned in enumerate(found.scans, start=1):
        made = bool(angiogram) and scanned.kind == "ctp"
        scan = replace(scanned, kind="cta", angiogram=angiogram) if made else scanned
        one = _check(tree, scan, names, values=values)
        digest = sha256_of_path(tree.path(scan.image)) if hashes else ""
        own = (*by_subject.pop(scan.subject, ()), *one.issues)
        checked.append(replace(one, issues=tuple(_recognised(data_set, issue) for issue in own), sha256=digest))
        progress(f"{number} of {len(found.scans)}: {scan.subject}")
    rest = [_recognised(data_set, issue) for issues in by_subject.values() for issue in issues]
    return Survey(data_set, tree, names, tuple(checked), (*rest, *_copies(checked)))


def _names(data_set: DataSet, tree: Tree) -> Mapping[int, str]:
    """Names of the label codes; an adapter that cannot tell them has said so as an issue."""
    try:
        return data_set.label_names(tree)
    except InputError:
        return {}


def _recognised(data_set: DataSet, issue: Issue) -> Issue:
    return replace(issue, known=data_set.known.get((issue.subject, issue.code), ""))


def _copies(checked: list[Checked]) -> Iterator[Issue]:
    """Images that are there twice."""
    first: dict[str, str] = {}
    for one in checked:
        if one.sha256 in first:
            text = f"is the same image as {first[one.sha256]}, bit for bit; both go into one split"
            yield Issue(Level.WARNING, "copy", one.scan.subject, text)
        elif one.sha256:
            first[one.sha256] = one.scan.subject


def _check(tree: Tree, scan: Scan, names: Mapping[int, str], *, values: bool) -> Checked:
    """Look at one scan."""
    path = tree.path(scan.image)
    try:
        if scan.kind == "ctp" or (scan.angiogram and not values):
            describe_series(path)
            return Checked(scan, None, ())
        if not values and is_nifti(path):
            return Checked(scan, grid := read_nifti_grid(path), tuple(_of_grid(scan, grid)))
        image = load_image(path, scan.kind, scan.angiogram)
    except InputError as error:
        return Checked(scan, None, (Issue(Level.ERROR, "unreadable", scan.subject, str(error)),))
    issues = [*_of_grid(scan, image.grid), *_of_values(scan, image)]
    masks: dict[str, Volume] = {}
    for what, relative, quantity in (("arteries", scan.arteries, Quantity.LABEL), ("clot", scan.clot, Quantity.MASK)):
        if relative is None:
            continue
        try:
            mask = load_nifti_volume(tree.path(relative), quantity)
        except InputError as error:
            issues.append(Issue(Level.ERROR, "unreadable", scan.subject, f"{what}: {error}"))
            continue
        issues += _of_mask(scan, image.grid, mask, what)
        masks[what] = mask
    if "arteries" in masks:
        issues += _of_labels(scan, masks["arteries"], names)
    issues += _of_maps(tree, scan)
    arteries = masks.get("arteries")
    placed = _placed(scan, image, masks, names)
    return Checked(placed, image.grid, tuple(issues), picture=thumbnail(image, arteries, masks.get("clot"), scan.subject))


def _of_grid(scan: Scan, grid: Grid) -> Iterator[Issue]:
    """Slices too thick, a part of a head, too large for the memory of a small machine."""
    if scan.angiogram:
        text = {"peak": "the frame of the arterial peak", "mip": "the maximum over time", "": ""}[scan.angiogram]
        yield Issue(Level.INFO, "angiogram", scan.subject, f"is made of a CT perfusion: {text}")
    apart_mm = float(grid.spacing_kji_mm.max())
    if scan.kind == "cta" and apart_mm > THICK_MM:
        text = f"slices are {apart_mm:.2f} mm apart, {THICK_MM} mm or less show M2"
        more = "; the thin scan is there too and is registered to it for training" if scan.native else ""
        yield Issue(Level.INFO if scan.native else Level.WARNING, "thick", scan.subject, text + more)
    reach_mm = float((grid.spacing_kji_mm * grid.shape_kji).min())
    if scan.kind == "cta" and reach_mm < MIN_COVERAGE_MM:
        text = f"covers {reach_mm:.0f} mm, {MIN_COVERAGE_MM:.0f} mm or more can be registered to the atlas"
        yield Issue(Level.WARNING, "crop", scan.subject, text)
    n_voxels = int(np.prod(grid.shape_kji))
    if n_voxels > LARGE_VOXELS:
        yield Issue(Level.WARNING, "large", scan.subject, f"has {n_voxels / 1e6:.0f} million voxels; it needs much memory")


def _of_values(scan: Scan, image: Volume) -> Iterator[Issue]:
    """Values that are no HU."""
    low, high = float(image.array.min()), float(image.array.max())
    if low >= 0.0 and high <= 255.0:
        text = f"values run from {low:g} to {high:g}: a picture or a normalised image, HU are needed"
        yield Issue(Level.ERROR, "hu", scan.subject, text)


def _of_mask(scan: Scan, grid: Grid, mask: Volume, what: str) -> Iterator[Issue]:
    """A mask that lies on another grid than its image."""
    aligned = Grid(mask.grid.shape_kji, mask.grid.lps_from_kji, grid.frame_of_reference_uid)
    if mask.grid.shape_kji != grid.shape_kji:
        found, needed = (" x ".join(map(str, shape)) for shape in (mask.grid.shape_kji, grid.shape_kji))
        yield Issue(Level.ERROR, "label-grid", scan.subject, f"{what} has {found} voxels, the image {needed}")
    elif not aligned.same_as(grid):
        corner = float(np.linalg.norm(mask.grid.to_lps_mm((0, 0, 0)) - grid.to_lps_mm((0, 0, 0))))
        text = f"{what} does not lie where the image lies: the first voxels are {corner:.2f} mm apart, or the axes differ"
        yield Issue(Level.ERROR, "label-grid", scan.subject, text)
    if not mask.array.any():
        level = Level.INFO if what == "clot" else Level.WARNING
        text = "the mask of the occlusion is empty: nothing is occluded" if what == "clot" else f"{what} is empty"
        yield Issue(level, "empty-" + what, scan.subject, text)


def _of_labels(scan: Scan, labels: Volume, names: Mapping[int, str]) -> Iterator[Issue]:
    """Codes that nobody explains, and left and right exchanged."""
    strange = sorted({int(code) for code in np.unique(labels.array)} - {0, *names})
    if strange:
        text = f"labels have codes without a name: {', '.join(map(str, strange))}; they are left out of training"
        yield Issue(Level.WARNING, "label-codes", scan.subject, text)
    swapped, pairs = swapped_sides(labels, names)
    if pairs and swapped * 2 > pairs:
        text = f"{swapped} of {pairs} pairs of arteries have left on the patient's right: the orientation of the file is wrong"
        yield Issue(Level.ERROR, "left-right", scan.subject, text)


def _of_maps(tree: Tree, scan: Scan) -> Iterator[Issue]:
    """Further images that are cut short."""
    for path in scan.maps:
        try:
            read_values(open_nifti(tree.path(path)))
        except InputError as error:
            yield Issue(Level.WARNING, "damaged-map", scan.subject, f"{path.name}: {error}")


def _placed(scan: Scan, image: Volume, masks: Mapping[str, Volume], names: Mapping[int, str]) -> Scan:
    """Add what the mask of the occlusion tells, where the data set does not say it."""
    clot = masks.get("clot")
    if clot is None or scan.occluded is not None:
        return scan
    if not clot.array.any():
        return replace(scan, occluded=False)
    side, site = place_of_clot(clot, masks.get("arteries"), names, image)
    return replace(scan, occluded=True, side=side, site=site)
