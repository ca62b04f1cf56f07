"""What registration and mid-plane search share: compressed HU, the extent of a mask, a crop around it."""

import itertools

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.volume import Volume
from lvo.image.resample import coarsen

__all__ = ["compressed", "cropped", "extent"]

Array = NDArray[np.float64]

SOFT_HU, DENSE_HU, DENSE_SLOPE = 80.0, 480.0, 0.25
"""HU are compressed before they are compared: kept from 0 to 80 (fluid, brain), flattened to 480 (vessel, bone), cut."""


def compressed(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weigh the differences between fluid, brain and bone: 0 for air and fat to 180 for bone."""
    dense = DENSE_SLOPE * np.clip(hu - SOFT_HU, 0.0, DENSE_HU - SOFT_HU)
    return np.asarray(np.clip(hu, 0.0, SOFT_HU) + dense, dtype=np.float32)


def extent(mask: Volume) -> tuple[Array, Array, Array, float]:
    """Centre, lower and upper corner (LPS mm) and volume (mL) of a mask that is not empty.

    Raises:
        ValueError: the mask is empty.
    """
    n_voxels = int(np.count_nonzero(mask.array))
    if n_voxels == 0:
        msg = "the brain mask is empty"
        raise ValueError(msg)
    part = coarsen(mask, 4.0)
    inside_lps_mm = part.grid.to_lps_mm(np.argwhere(part.array > 0.5 * part.array.max()))
    center_lps_mm = inside_lps_mm.mean(axis=0)
    return center_lps_mm, inside_lps_mm.min(axis=0), inside_lps_mm.max(axis=0), n_voxels * mask.grid.voxel_ml


def cropped(volume: Volume, low_lps_mm: Array, high_lps_mm: Array) -> Volume:
    """Cut a volume to the voxels around a box in patient space; the box must meet the volume."""
    corners = np.array(list(itertools.product(*zip(low_lps_mm, high_lps_mm, strict=True))))
    index = volume.grid.to_kji(corners)
    low = np.clip(np.floor(index.min(axis=0)), 0, None).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, volume.grid.shape_kji)
    affine = volume.grid.lps_from_kji.copy()
    affine[:3, 3] = volume.grid.to_lps_mm(low)
    array = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    n_k, n_j, n_i = array.shape
    return Volume(array, Grid((n_k, n_j, n_i), affine, volume.grid.frame_of_reference_uid), volume.quantity)
