"""Turn an array by whole axes, without interpolation, so that k runs to the head, j to the back and i to the patient's left."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid

__all__ = ["Turn", "upright"]


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A transposition and flips of the last three axes.

    Args:
        original: grid before.
        turned: grid after; every voxel keeps its place in the patient.
        order: for each axis after, the axis before.
        flipped: axes after that run the other way.
    """

    original: Grid
    turned: Grid
    order: tuple[int, int, int]
    flipped: tuple[int, ...]

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn a (..., K, J, I) array; the answer is a view."""
        lead = array.ndim - 3
        axes = (*range(lead), *(lead + n for n in self.order))
        return np.flip(array.transpose(axes), tuple(lead + n for n in self.flipped))

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn back a (..., K, J, I) array; the answer is a view."""
        lead = array.ndim - 3
        axes = (*range(lead), *(lead + int(n) for n in np.argsort(self.order)))
        return np.flip(array, tuple(lead + n for n in self.flipped)).transpose(axes)


def upright(grid: Grid) -> Turn:
    """How to turn the arrays of a grid so that k, j, i run nearly along z, y, x (LPS)."""
    axes = grid.axes_lps
    order = [int(np.abs(axes[:, axis]).argmax()) for axis in (2, 1, 0)]
    if sorted(order) != [0, 1, 2]:
        order = [0, 1, 2]  # a 45 degree oblique scan: any turning is as good as none
    affine = grid.lps_from_kji.copy()
    affine[:3, :3] = affine[:3, :3][:, order]
    k, j, i = (grid.shape_kji[n] for n in order)
    flipped = tuple(index for index, axis in enumerate((2, 1, 0)) if affine[axis, index] < 0)
    for index in flipped:
        affine[:3, 3] += affine[:3, index] * ((k, j, i)[index] - 1)
        affine[:3, index] *= -1
    turned = Grid((k, j, i), affine, grid.frame_of_reference_uid)
    return Turn(grid, turned, (order[0], order[1], order[2]), flipped)
