"""How image planes form a stack: ordered along their normal, complete, and with what tilt. Headers only, no pixels.

The place of a slice is Image Position (Patient) seen along the slice normal. InstanceNumber, SliceLocation and file names
are not looked at: scanners and archives fill them in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.dicom.frames import Frame
from lvo.errors import GeometryError

__all__ = ["Spacing", "Stack", "Unit", "named_slices", "slice_spacing", "stack_frames", "unit_of"]

_COSINE_TOLERANCE = 1e-3
"""Direction cosines of one stack agree to this: 0.06 degrees, 0.25 mm over a head."""

_SPACING_TOLERANCE = 1e-3
"""Pixel spacings of one stack agree to this fraction."""

_POSITION_TOLERANCE_MM = 0.02
"""Positions are decimal strings, often rounded to 0.01 mm: two slices closer than this are at one position."""

_GAP_TOLERANCE = 0.04
"""Equal slice distances agree to this fraction beside the rounding of positions."""

_SHEAR_TOLERANCE_PIXELS = 0.1
"""A stack whose slices drift less than this in their plane is straight."""

_MAX_TILT_DEG = 45.0
"""Gantries tilt by 30 degrees at most. Positions that drift faster are no tilt, and no grid of bounded size holds them."""

_MIN_RUN = 3
"""A slice distance counts as one the scan was planned with when it occurs this often in a row."""

_MAX_NAMED = 6
"""Slices named one by one in a message."""

_MAX_GAP_PER_THICKNESS = 1.5
"""Slices further apart than this many thicknesses leave tissue out: one between them is missing."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What all planes of one stack have in common, taken from one of them: see `unit_of`."""

    orientation_lps: tuple[float, ...]
    pixel_spacing_ji_mm: tuple[float, ...]
    shape_ji: tuple[int, int]

    @property
    def normal_lps(self) -> NDArray[np.float64]:
        """Unit normal, to the head for planes that are rather axial; else row direction x column direction."""
        row, column = np.reshape(self.orientation_lps, (2, 3))
        normal = np.cross(row, column)
        normal /= np.linalg.norm(normal)
        axial = int(np.abs(normal).argmax()) == 2
        return np.asarray(-normal if axial and normal[2] < 0 else normal)

    @property
    def plane(self) -> str:
        """The anatomical plane it is nearest to."""
        return ("sagittal", "coronal", "axial")[int(np.abs(self.normal_lps).argmax())]


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Planes in order along their normal, each at its own position.

    Args:
        order: for slice k, the number of its frame among those given.
        unit: orientation, pixel spacing and size, shared by all.
        depth_mm: (K,) position along the normal, growing, 0 for the first.
        shift_ji_mm: (K, 2) how far the first pixel of slice k lies from that of slice 0 within the plane, along j and i.
        origin_lps_mm: (3,) position of the first pixel of slice 0.
        thickness_mm: (K,) Slice Thickness, NaN where not recorded.
    """

    order: tuple[int, ...]
    unit: Unit
    depth_mm: NDArray[np.float64]
    shift_ji_mm: NDArray[np.float64]
    origin_lps_mm: NDArray[np.float64]
    thickness_mm: NDArray[np.float64]

    @property
    def straight(self) -> bool:
        """Whether the slices lie square above each other."""
        drift = np.abs(self.shift_ji_mm) / self.unit.pixel_spacing_ji_mm
        return bool(drift.max() < _SHEAR_TOLERANCE_PIXELS)

    @property
    def tilt_deg(self) -> float:
        """Angle between the way from slice to slice and the slice normal; Gantry/Detector Tilt is not looked at."""
        if len(self.order) < 2 or self.straight:
            return 0.0
        return float(np.degrees(np.arctan2(np.linalg.norm(self.shift_ji_mm[-1]), self.depth_mm[-1])))

    def grid(self, spacing_k_mm: float, frame_of_reference_uid: str = "") -> Grid:
        """Grid of a straight, even stack."""
        row, column = np.reshape(self.unit.orientation_lps, (2, 3))
        return Grid.from_axes(
            (len(self.order), *self.unit.shape_ji),
            (spacing_k_mm, *self.unit.pixel_spacing_ji_mm),
            origin_lps_mm=self.origin_lps_mm,
            axes_lps=np.stack([self.unit.normal_lps, column / np.linalg.norm(column), row / np.linalg.norm(row)]),
            frame_of_reference_uid=frame_of_reference_uid,
        )


@dataclass(frozen=True, slots=True)
class Spacing:
    """The slice distance to build a grid with; `runs` has the distances found, more than one when they are uneven."""

    distance_mm: float
    runs: tuple[tuple[int, float], ...]

    @property
    def even(self) -> bool:
        """Whether there is one distance only."""
        return len(self.runs) == 1

    @property
    def text(self) -> str:
        """The distances as words: "13 x 4.00 mm, 1 x 1.08 mm, 13 x 7.00 mm"."""
        return ", ".join(f"{count} x {gap:.2f} mm" for count, gap in self.runs)


def unit_of(frames: Sequence[Frame]) -> Unit:
    """What the planes have in common.

    Raises:
        GeometryError: a plane has no position, orientation or pixel spacing, or they differ in orientation, spacing or size.
    """
    if not frames:
        msg = "the series has no images"
        raise GeometryError(msg)
    for name in ("position_lps_mm", "orientation_lps", "pixel_spacing_ji_mm"):
        absent = sum(getattr(frame, name) is None for frame in frames)
        if absent:
            found = f"{absent} of {len(frames)} images have no {_WORDS[name]}"
            msg = f"{found}; slices cannot be placed without it: send the originals"
            raise GeometryError(msg)
    shapes = {frame.shape_ji for frame in frames}
    if len(shapes) > 1:
        found = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(shapes))
        _mixed("size", found)
    spacings = np.array([frame.pixel_spacing_ji_mm for frame in frames])
    if spacings.min() <= 0:
        msg = f"Pixel Spacing is {spacings.min():g} mm, more than 0 is needed: send the originals"
        raise GeometryError(msg)
    if (np.ptp(spacings, axis=0) > _SPACING_TOLERANCE * spacings[0]).any():
        _mixed("pixel spacing", f"{spacings.min():.4f} to {spacings.max():.4f} mm")
    orientations = np.array([frame.orientation_lps for frame in frames])
    _check_cosines(orientations)
    spread = np.abs(orientations - orientations[0]).max()
    if spread > _COSINE_TOLERANCE:
        _mixed("orientation", f"direction cosines differ by up to {spread:.4f}, {_COSINE_TOLERANCE} is allowed")
    return Unit(tuple(orientations[0]), tuple(spacings[0]), frames[0].shape_ji)


def stack_frames(frames: Sequence[Frame], *, strict: bool = True) -> Stack:
    """Put planes in order along their normal.

    Args:
        frames: one plane per position, in any order.
        strict: False accepts planes displaced in their plane: for saying what a series is, not for loading it.

    Raises:
        GeometryError: see `unit_of`; or two planes share a position, or they are displaced in their plane other than by a
            gantry tilt.

    References:
        DICOM PS3.3 C.7.6.2.1.1.
    """
    unit = unit_of(frames)
    positions = np.array([frame.position_lps_mm for frame in frames])
    depth_mm = positions @ unit.normal_lps
    order = np.argsort(depth_mm, kind="stable")
    gaps_mm = np.diff(depth_mm[order])
    _check_repeats(gaps_mm)
    row, column = np.reshape(unit.orientation_lps, (2, 3))
    away = positions[order] - positions[order[0]]
    stack = Stack(
        order=tuple(int(n) for n in order),
        unit=unit,
        depth_mm=depth_mm[order] - depth_mm[order[0]],
        shift_ji_mm=np.stack([away @ column, away @ row], axis=1),
        origin_lps_mm=positions[order[0]],
        thickness_mm=np.array([frames[n].thickness_mm or np.nan for n in order]),
    )
    if strict:
        _check_shear(stack)
    return stack


def slice_spacing(stack: Stack, *, allow_uneven: bool) -> Spacing:
    """The distance between slices.

    Args:
        stack: at least two slices in order.
        allow_uneven: accept a scan made with two slice distances (thin base, thick vertex) and answer the smaller one.

    Raises:
        GeometryError: fewer than two slices, or one is missing, or distances are uneven where that is not allowed.
    """
    gaps_mm = np.diff(stack.depth_mm)
    if gaps_mm.size < 1:
        msg = "the series has 1 image position, a volume needs at least 2"
        raise GeometryError(msg)
    typical = float(np.median(gaps_mm))
    even = float(stack.depth_mm[-1] / gaps_mm.size)
    strays = np.abs(stack.depth_mm - even * np.arange(gaps_mm.size + 1))
    if _alike(gaps_mm, typical).all() and strays.max() <= 0.1 * even + _POSITION_TOLERANCE_MM:
        return Spacing(even, ((int(gaps_mm.size), even),))
    runs = _runs(gaps_mm)
    spacing = Spacing(min(gap for count, gap in runs if count >= _MIN_RUN) if _two_distances(runs) else typical, runs)
    if not _two_distances(runs):
        _refuse_gaps(gaps_mm, typical)
    _check_thickness(stack, gaps_mm)
    if not allow_uneven:
        msg = f"slices are {spacing.text} apart, one distance is needed here: send the series as reconstructed at one distance"
        raise GeometryError(msg)
    return spacing


_WORDS = {
    "position_lps_mm": "Image Position (Patient)",
    "orientation_lps": "Image Orientation (Patient)",
    "pixel_spacing_ji_mm": "Pixel Spacing",
}


def named_slices(numbers: NDArray[np.intp]) -> str:
    """Slices in words, counted from 1 in order of position: "slice 3", "slices 3, 7 and 3 more"."""
    shown = [str(int(k) + 1) for k in numbers[:_MAX_NAMED]]
    more = len(numbers) - len(shown)
    return f"slice{'s' * (len(numbers) > 1)} {', '.join(shown)}" + (f" and {more} more" if more else "")


def _check_repeats(gaps_mm: NDArray[np.float64]) -> None:
    """Refuse a stack in which images share a position, and say where: (K - 1,) distances in order."""
    again = gaps_mm < _POSITION_TOLERANCE_MM
    if not again.any():
        return
    counts = np.bincount(np.concatenate([[0], np.cumsum(~again)]))
    found = f"{again.sum()} of {counts.sum()} images repeat the position of another (closer than {_POSITION_TOLERANCE_MM} mm)"
    if np.ptp(counts) == 0:
        msg = (
            f"{found}: every position is there {counts[0]} times, as in phases, or a series sent again; send one image of each"
        )
    else:
        where = named_slices(np.flatnonzero(counts > 1))
        msg = f"{found}, at {where}; one image per position is needed: send one reconstruction per series"
    raise GeometryError(msg)


def _refuse_gaps(gaps_mm: NDArray[np.float64], typical_mm: float) -> NoReturn:
    """Say which distances are wrong: how many slices are missing and where, or that slices are out of place."""
    wrong = np.flatnonzero(~_alike(gaps_mm, typical_mm))
    at = int(np.abs(gaps_mm - typical_mm).argmax())
    found = (
        f"the gap after slice {at + 1} of {gaps_mm.size + 1} is {gaps_mm[at]:.3f} mm, expected {typical_mm:.3f} mm "
        f"({wrong.size} of {gaps_mm.size} gaps differ)"
    )
    lacking = np.maximum(np.rint(gaps_mm / typical_mm).astype(int), 1) - 1
    whole = bool(wrong.size) and bool(_alike(gaps_mm[wrong] / (lacking[wrong] + 1), typical_mm).all())
    if whole and (lacking[wrong] > 0).all():
        count = int(lacking[wrong].sum())
        are = "a slice is missing" if count == 1 else f"{count} slices are missing"
        msg = f"{found}; {are} after {named_slices(wrong)}: send the series again"
    else:
        msg = (
            f"{found}, {gaps_mm.min():.3f} to {gaps_mm.max():.3f} mm; slices are missing or out of place: send the series again"
        )
    raise GeometryError(msg)


def _mixed(what: str, found: str) -> None:
    """Refuse a series whose planes do not belong together."""
    msg = f"the images differ in {what} ({found}), one {what} is needed: a series of this kind is not one volume"
    raise GeometryError(msg)


def _check_cosines(orientations: NDArray[np.float64]) -> None:
    """Refuse directions that are not two perpendicular unit vectors."""
    rows, columns = orientations[:, :3], orientations[:, 3:]
    worst = max(
        float(np.abs(np.linalg.norm(rows, axis=1) - 1).max()),
        float(np.abs(np.linalg.norm(columns, axis=1) - 1).max()),
        float(np.abs((rows * columns).sum(axis=1)).max()),
    )
    if worst > 10 * _COSINE_TOLERANCE:
        msg = (
            f"Image Orientation (Patient) is not a pair of perpendicular unit vectors (off by {worst:.3f}): send the originals"
        )
        raise GeometryError(msg)


def _check_shear(stack: Stack) -> None:
    """Refuse planes displaced in their plane other than in proportion to their depth, as a gantry tilt does."""
    if stack.tilt_deg > _MAX_TILT_DEG:
        msg = (
            f"the slices drift against each other as by a gantry tilted {stack.tilt_deg:.0f} degrees, "
            f"at most {_MAX_TILT_DEG:.0f} is possible: a series of this kind is not one volume"
        )
        raise GeometryError(msg)
    if len(stack.order) < 3 or stack.straight:
        return
    slope = (stack.depth_mm @ stack.shift_ji_mm) / (stack.depth_mm @ stack.depth_mm)
    off_mm = np.abs(stack.shift_ji_mm - stack.depth_mm[:, None] * slope).max(axis=1)
    allowed_mm = 0.5 * min(stack.unit.pixel_spacing_ji_mm) + _POSITION_TOLERANCE_MM
    if off_mm.max() > allowed_mm:
        msg = (
            f"slice {int(off_mm.argmax()) + 1} of {len(stack.order)} is displaced by {off_mm.max():.2f} mm within its plane, "
            f"at most {allowed_mm:.2f} mm is possible in one scan: a series of this kind is not one volume"
        )
        raise GeometryError(msg)


def _alike(gaps_mm: NDArray[np.float64] | float, expected_mm: float) -> NDArray[np.bool_]:
    """Whether distances equal another but for rounding."""
    return np.asarray(np.abs(gaps_mm - expected_mm) <= _GAP_TOLERANCE * expected_mm + _POSITION_TOLERANCE_MM)


def _runs(gaps_mm: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    """Neighbouring equal distances, counted: ((13, 4.0), (1, 1.08), (13, 7.0))."""
    labels = np.concatenate([[0], np.cumsum([not _alike(b, float(a)) for a, b in pairwise(gaps_mm)])])
    groups = [[gap for _, gap in items] for _, items in groupby(zip(labels, gaps_mm, strict=True), key=lambda pair: pair[0])]
    return tuple((len(group), float(np.mean(group))) for group in groups)


def _two_distances(runs: tuple[tuple[int, float], ...]) -> bool:
    """A scan planned with two distances: two long runs, at most one gap between them and that one not the largest.

    A missing slice is a single large gap inside or at the end of a run, so it never looks like this.
    """
    if len(runs) == 3 and runs[1][0] == 1:
        (first, a), (_, between), (last, b) = runs
        return first >= _MIN_RUN and last >= _MIN_RUN and between <= max(a, b) * (1 + _GAP_TOLERANCE) and not _alike(a, b)
    return len(runs) == 2 and min(count for count, _ in runs) >= _MIN_RUN


def _check_thickness(stack: Stack, gaps_mm: NDArray[np.float64]) -> None:
    """Refuse an uneven stack whose wide gaps are wider than its slices: there every second slice is missing."""
    thickness_mm = np.fmax(stack.thickness_mm[:-1], stack.thickness_mm[1:])
    ratio = gaps_mm / thickness_mm
    if np.isfinite(ratio).any() and np.nanmax(ratio) > _MAX_GAP_PER_THICKNESS:
        at = int(np.nanargmax(ratio))
        msg = (
            f"the gap after slice {at + 1} of {gaps_mm.size + 1} is {gaps_mm[at]:.2f} mm, slices there are "
            f"{thickness_mm[at]:.2f} mm thick; slices are missing: send the series again"
        )
        raise GeometryError(msg)
