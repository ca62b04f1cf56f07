"""What can be had without a network: contrast above a threshold, bone removed, left against right.

The recipe of the early vessel-density tools, as published (Amukotuwa et al., Stroke 2019), in two zones of the middle cerebral
territory; the cortex is left out, since without a network its vessels cannot be told from the edge of the skull. It is here to
show what the network is worth, not to be used.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Volume
from lvo.image.atlas import load_atlas
from lvo.image.resample import resample

__all__ = ["asymmetry"]

_ZONES_ATLAS_MM = (
    ((12.0, -14.0, -26.0), (36.0, 10.0, -6.0)),  # cistern of M1
    ((30.0, -20.0, -12.0), (56.0, 35.0, 20.0)),  # Sylvian fissure and insula
)
"""On the patient's left, atlas LPS mm; the right ones are their mirror images."""

_REFERENCE_PERCENTILE = 95.0
"""Of what is denser than brain and neither plate nor denser than contrast: about the contrast of the large arteries."""
_HIGHEST_HU = 600.0
_SHARE_OF_ARTERY = 0.4
_LOWEST_HU = 100.0
_DENSE_HU, _PLATE_MM = 500.0, 3.0
"""What is denser and thicker than twice this on every way through is bone, and so is what lies as near to it."""
_FLOOR_ML = 0.05
_FROM_EDGE_MM = 8.0
"""Only so deep in the brain of the atlas: the registration may be wrong by 6 mm and more, and the skull is much denser."""


def asymmetry(hu: Volume, pose: HeadPose) -> float:
    """(left - right) / (left + right) of the vessels in the zone where that is largest; -1 to 1, negative for less on the left.

    Args:
        hu: CTA on a grid whose axes follow the atlas (`HeadPose.crop`).
        pose: how the head lies.
    """
    x, y, z = _atlas_axes(hu.grid, pose)
    deep = _deep(hu.grid, pose)
    plate = _bone(hu)
    inside = deep & ~plate & (hu.array > _LOWEST_HU) & (hu.array < _HIGHEST_HU)
    reference = float(np.percentile(hu.array[inside], _REFERENCE_PERCENTILE)) if inside.any() else 0.0
    vessel = inside & (hu.array > _SHARE_OF_ARTERY * reference)
    differences = []
    for low, high in _ZONES_ATLAS_MM:
        volume_ml = []
        for ends_x in ((low[0], high[0]), (-high[0], -low[0])):
            zone = ((low[2], high[2]), (low[1], high[1]), ends_x)
            part = tuple(slice(*np.searchsorted(axis, ends)) for axis, ends in zip((z, y, x), zone, strict=True))
            volume_ml.append(float(vessel[part].sum()) * hu.grid.voxel_ml)
        left, right = volume_ml
        differences.append((left - right) / (left + right + _FLOOR_ML))
    return float(max(differences, key=abs))


def _atlas_axes(grid: Grid, pose: HeadPose) -> tuple[NDArray[np.float64], ...]:
    """Atlas x of every i, y of every j, z of every k: the grid follows the atlas."""
    axes = []
    for index_axis, atlas_axis in ((2, 0), (1, 1), (0, 2)):
        index = np.zeros((grid.shape_kji[index_axis], 3))
        index[:, index_axis] = np.arange(len(index))
        axes.append(pose.to_atlas_mm(grid.to_lps_mm(index))[:, atlas_axis])
    return tuple(axes)


def _deep(grid: Grid, pose: HeadPose) -> NDArray[np.bool_]:
    """The inner part of the atlas brain on the grid."""
    in_atlas = Grid(grid.shape_kji, pose.atlas_from_lps @ grid.lps_from_kji)
    return np.asarray(resample(_deep_brain(), in_atlas, order=0, fill=0.0).array > 0)


@lru_cache(maxsize=1)
def _deep_brain() -> Volume:
    brain = load_atlas().brain
    depth_mm = ndimage.distance_transform_edt(brain.array, sampling=brain.grid.spacing_kji_mm)
    return Volume(depth_mm > _FROM_EDGE_MM, brain.grid, brain.quantity)


def _bone(hu: Volume) -> NDArray[np.bool_]:
    """Dense plates, found on every second voxel, and their surroundings."""
    step_mm = 2.0 * hu.grid.spacing_kji_mm
    dense = hu.array[::2, ::2, ::2] > _DENSE_HU
    core = ndimage.distance_transform_edt(dense, sampling=step_mm) >= _PLATE_MM
    if not core.any():
        return np.zeros(hu.array.shape, dtype=np.bool_)
    near = ndimage.distance_transform_edt(~core, sampling=step_mm) <= 2.0 * _PLATE_MM
    k, j, i = hu.array.shape
    return np.asarray(near.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)[:k, :j, :i])
