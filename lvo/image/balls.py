"""Erosion and dilation by balls: exact Euclidean distances up to a limit, several times faster than a full transform."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["capped_distance", "dilated", "eroded"]

Mask = NDArray[np.bool_]


def capped_distance(mask: Mask, limit: float) -> NDArray[np.float32]:
    """Distance of every voxel of a mask from the nearest voxel outside it, in voxels; exact up to the limit, more beyond.

    The edge of the array is not outside. Squared distances grow along one axis after the other, as in Felzenszwalb and
    Huttenlocher, doi:10.4086/toc.2012.v008a019, with only the parabolas that can matter below the limit.

    Args:
        mask: (K, J, I).
        limit: in voxels, below 255.
    """
    return np.asarray(np.sqrt(_squared(mask, limit)), dtype=np.float32)


def eroded(mask: Mask, radius: float) -> Mask:
    """What of the mask is further than the radius (voxels) from anything outside it."""
    return np.asarray(_squared(mask, radius) > radius**2)


def dilated(mask: Mask, radius: float) -> Mask:
    """The mask and all within the radius (voxels) of it."""
    return np.asarray(_squared(~mask, radius) <= radius**2)


def _squared(mask: Mask, limit: float) -> NDArray[np.uint16]:
    """Squared distance in voxels, capped at the next whole voxel beyond the limit."""
    reach = int(np.floor(limit)) + 1
    squared = np.where(mask, np.uint16(reach**2), np.uint16(0))
    for axis in range(3):
        before = np.moveaxis(squared, axis, 0)
        after = before.copy()
        for step in range(1, min(reach, before.shape[0])):
            np.minimum(after[step:], before[:-step] + np.uint16(step**2), out=after[step:])
            np.minimum(after[:-step], before[step:] + np.uint16(step**2), out=after[:-step])
        squared = np.moveaxis(after, 0, axis)
    return squared
