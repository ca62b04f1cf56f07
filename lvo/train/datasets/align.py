"""Bring labels back onto the thin scan: the rigid move between a scan and its own copy on thick slices.

ISLES 2024 gives labels on the angiogram that was moved to the plain CT, and not the move itself. Both images show the same
head at the same moment, so the squared difference finds it (scipy's least squares, from blurred to sharp).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid, transform
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import Volume
from lvo.image.resample import coarsen

__all__ = ["MIN_LIKENESS", "align", "moved"]

MIN_LIKENESS = 0.9
"""Correlation of the aligned images; two scans of one head at different times stay below it by their noise and contrast."""
_SPACING_MM = 2.0
_RANGE_HU = (-100.0, 900.0)
_BLURS_MM = (6.0, 3.0, 1.0)
_POINTS = 12_000
_LEVER_MM = 60.0
"""A turn is counted by what it moves this far from the middle, so that all six unknowns are millimetres."""
_STEP_MM = 0.3
_EVALUATIONS = 25

Array = NDArray[np.float64]


def align(native: Volume, copy: Volume) -> Assessed[Array] | NotAssessable:
    """Find the move from one image to the other.

    Args:
        native: the scan itself, HU.
        copy: the same scan resampled elsewhere, HU.

    Returns:
        (4, 4) from a position in the copy to that of the same point in the native scan, LPS mm; or why none is trusted.
    """
    there, here = (coarsen(_cut(volume), _SPACING_MM) for volume in (native, copy))
    inside = np.argwhere(ndimage.binary_dilation(here.array > 0.0, iterations=2))
    chosen = inside[np.random.default_rng(0).permutation(len(inside))[:_POINTS]]
    points = here.grid.to_lps_mm(chosen)
    middle, other = (_middle_mm(volume) for volume in (here, there))
    starts: Sequence[Array] = (np.zeros(6), np.concatenate([np.zeros(3), other - middle]))
    for blur_mm in _BLURS_MM:
        blurred = [ndimage.gaussian_filter(volume.array, blur_mm / _SPACING_MM) for volume in (there, here)]
        wanted = blurred[1][tuple(chosen.T)]

        def miss(unknowns: Array, image: Any = blurred[0], wanted: Any = wanted) -> Array:  # noqa: ANN401 - bound now
            index = there.grid.to_kji(transform(_matrix(unknowns, middle), points))
            found = ndimage.map_coordinates(image, index.T, order=1, mode="constant", cval=_RANGE_HU[0])
            return np.asarray(found - wanted, dtype=np.float64)

        fits = [
            least_squares(miss, start, diff_step=np.full(6, _STEP_MM), x_scale=1.0, max_nfev=_EVALUATIONS) for start in starts
        ]
        starts = (min(fits, key=lambda fit: float(fit.cost)).x,)
    likeness = float(np.corrcoef(miss(starts[0]) + wanted, wanted)[0, 1])
    if not likeness >= MIN_LIKENESS:
        msg = f"the thin scan does not lie on its resampled copy (correlation {likeness:.2f}, {MIN_LIKENESS} is needed)"
        return NotAssessable((msg,))
    return Assessed(_matrix(starts[0], middle))


def moved(volume: Volume, move_lps: Array) -> Volume:
    """The same voxels at the places a move brings them to."""
    grid = volume.grid
    return replace(volume, grid=Grid(grid.shape_kji, move_lps @ grid.lps_from_kji, grid.frame_of_reference_uid))


def _cut(volume: Volume) -> Volume:
    """Air, table and dense bone weigh no more than soft tissue and skull."""
    return replace(volume, array=np.clip(volume.array, *_RANGE_HU).astype(np.float32))


def _middle_mm(volume: Volume) -> Array:
    """(3,) LPS mm: the middle of what is not air."""
    return np.asarray(volume.grid.to_lps_mm(np.argwhere(volume.array > 0.0)).mean(axis=0))


def _matrix(unknowns: Array, middle_lps_mm: Array) -> Array:
    """(4, 4) move: a turn about the middle (as millimetres at the lever), then a shift."""
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(unknowns[:3] / _LEVER_MM).as_matrix()
    move[:3, 3] = middle_lps_mm - move[:3, :3] @ middle_lps_mm + unknowns[3:]
    return move
