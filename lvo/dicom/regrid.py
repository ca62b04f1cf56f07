"""Bring a sheared or uneven stack of slices onto an orthogonal, even grid. Arrays only.

A tilted gantry makes slices that are parallel but not square above each other. Each slice is shifted within its own plane to
where it was scanned; nothing is rotated, so in-plane detail is kept, and the field grows so that nothing is cut off.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.dicom.geometry import Spacing, Stack

__all__ = ["Regrid", "plan_regrid"]


@dataclass(frozen=True, slots=True, eq=False)
class Regrid:
    """How slices of a stack become an even, orthogonal volume.

    Args:
        grid: the grid of the result.
        shape_ji: rows and columns of a source slice.
        start_ji: (K, 2) where the first pixel of source slice k lies on the result, in pixels, may be fractional.
        lower: (K',) source slice below each slice of the result.
        weight: (K',) share of the source slice above that one, 0 to 1.
    """

    grid: Grid
    shape_ji: tuple[int, int]
    start_ji: NDArray[np.float64]
    lower: NDArray[np.intp]
    weight: NDArray[np.float64]

    @property
    def nearest(self) -> NDArray[np.intp]:
        """(K',) the source slice nearest to each slice of the result."""
        return np.asarray(self.lower + (self.weight > 0.5), dtype=np.intp)

    @property
    def room_ji(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        _, rows, columns = self.grid.shape_kji
        return rows, columns

    def apply(self, slices: NDArray[Any], outside: float) -> NDArray[Any]:
        """Resample slices in order of depth; cubic in the plane, linear between slices. Whole numbers are rounded.

        Args:
            slices: (K, J', I'), room for a slice of the result each, with a slice of the stack at its start; taken for the
                result where the slices are only shifted, so that no second volume is needed.
            outside: value where nothing was scanned.
        """
        shifted_only = not self.weight.any() and len(self.lower) == len(slices)
        into = slices if shifted_only else np.empty(self.grid.shape_kji, slices.dtype)
        for k, (lower, weight) in enumerate(zip(self.lower, self.weight, strict=True)):
            plane = self._placed(slices, lower, outside)
            if weight > 0:
                plane *= np.float32(1 - weight)
                plane += np.float32(weight) * self._placed(slices, lower + 1, outside)
            into[k] = np.rint(plane) if into.dtype.kind == "i" else plane
        return into

    def _placed(self, slices: NDArray[Any], k: int, outside: float) -> NDArray[np.float32]:
        """Slice k of the stack where it was scanned: (J', I')."""
        rows, columns = self.shape_ji
        return _place(slices[k, :rows, :columns].astype(np.float32), self.start_ji[k], self.room_ji, outside)


def plan_regrid(stack: Stack, spacing: Spacing, frame_of_reference_uid: str = "") -> Regrid:
    """Work out the even, orthogonal grid that holds everything the stack holds.

    Args:
        stack: slices in order.
        spacing: their distance, as `slice_spacing` answers it.
        frame_of_reference_uid: DICOM frame of reference.
    """
    spacing_ji_mm = np.array(stack.unit.pixel_spacing_ji_mm)
    shift = stack.shift_ji_mm / spacing_ji_mm
    low = shift.min(axis=0)
    size_ji = np.array(stack.unit.shape_ji) + np.ceil(np.ptp(shift, axis=0) - 1e-6).astype(int)
    if spacing.even:
        distance_mm = spacing.distance_mm
        lower = np.arange(len(stack.order))
        weight = np.zeros(len(stack.order))
    else:
        n_gaps = round(stack.depth_mm[-1] / spacing.distance_mm)
        distance_mm = stack.depth_mm[-1] / n_gaps  # a little off the distance found, so that both ends stay in
        at_mm = distance_mm * np.arange(n_gaps + 1)
        lower = np.clip(np.searchsorted(stack.depth_mm, at_mm, side="right") - 1, 0, len(stack.order) - 2)
        weight = np.clip((at_mm - stack.depth_mm[lower]) / np.diff(stack.depth_mm)[lower], 0.0, 1.0)
    source = stack.grid(distance_mm, frame_of_reference_uid)
    affine = np.array(source.lps_from_kji)
    affine[:3, 3] = source.to_lps_mm((0.0, *low))
    grid = Grid((len(lower), int(size_ji[0]), int(size_ji[1])), affine, frame_of_reference_uid)
    return Regrid(grid, stack.unit.shape_ji, shift - low, lower, weight)


def _place(
    plane: NDArray[np.float32], at_ji: NDArray[np.float64], shape_ji: tuple[int, ...], outside: float
) -> NDArray[np.float32]:
    """Draw one slice on a larger canvas, its first pixel at `at_ji`."""
    canvas = np.full(shape_ji, outside, dtype=np.float32)
    whole = np.floor(at_ji + 1e-6).astype(int)
    for axis, part in enumerate(np.clip(at_ji - whole, 0.0, 1.0)):
        if part > 1e-3:
            plane = _shifted(plane, float(part), axis, outside)
    rows = min(plane.shape[0], shape_ji[0] - whole[0])
    columns = min(plane.shape[1], shape_ji[1] - whole[1])
    canvas[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = plane[:rows, :columns]
    return canvas


def _shifted(plane: NDArray[np.float32], part: float, axis: int, outside: float) -> NDArray[np.float32]:
    """Shift by a part of a pixel towards higher indices, one pixel longer; cubic convolution that keeps the range of values.

    References:
        Keys, IEEE Trans. ASSP 29:1153 (1981), a = -0.5.
    """
    moved = np.moveaxis(plane, axis, 0)
    n = len(moved)
    edge = [moved[:1]] * 2, [moved[-1:]] * 2
    padded = np.concatenate([*edge[0], moved, *edge[1]])
    t = 1.0 - part  # the new pixel m lies between old pixels m - 1 and m, at m - 1 + t
    taps = (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1.0,
        -1.5 * t**3 + 2.0 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )
    mixed = sum((np.float32(tap) * padded[k : k + n + 1] for k, tap in enumerate(taps)), start=np.zeros((), np.float32))
    # Ringing beside bone or padding must not make values that were never scanned.
    np.clip(
        mixed, np.minimum(padded[1 : n + 2], padded[2 : n + 3]), np.maximum(padded[1 : n + 2], padded[2 : n + 3]), out=mixed
    )
    if part > 0.5:
        mixed[0] = outside  # less than half of it was scanned
    else:
        mixed[-1] = outside
    return np.asarray(np.moveaxis(mixed, 0, axis))
