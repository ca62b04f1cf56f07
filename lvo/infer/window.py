"""What a network is fed, and the sliding window: one definition of both, shared by training and inference.

Overlapping windows are blended with Gaussian weights, so that a voxel is judged mostly by windows that see it far from
their edge (Isensee et al., Nat Methods 2021, doi:10.1038/s41592-020-01008-z).
"""

from collections.abc import Callable
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IMAGE_CHANNELS", "Runner", "blend_weights", "normalize", "place_channels", "sliding_window", "window_sizes",
    "window_starts",
]  # fmt: skip

IMAGE_CHANNELS = ("hu", "atlas_abs_x", "atlas_y", "atlas_z")
"""What a network sees in every voxel: attenuation, and where in the atlas it lies. The distance from the mid-plane has no
sign, so left and right look alike."""

_PLACE_SCALE_MM = 80.0
"""Half the width of the head: positions become numbers around -1 to 1."""

DEFAULT_OVERLAP = 16
_SIGMA_PER_PATCH = 0.2
"""Width of the blending weights; the weight at the middle of a face is exp(-3.1) = 0.04 of the centre's."""

Runner: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Turns a window (C, K, J, I) of `IMAGE_CHANNELS` into probabilities (classes, K, J, I), class 0 the background."""


def normalize(hu: NDArray[Any], window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """Map HU to 0..1: the window's ends become 0 and 1, values outside are clipped, values that are no number become 0."""
    low, high = window_hu
    scaled = (np.asarray(hu, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    unit: NDArray[np.float32] = np.clip(np.nan_to_num(scaled, nan=0.0), 0.0, 1.0)
    return unit


def place_channels(points_atlas_mm: ArrayLike) -> NDArray[np.float32]:
    """Where voxels lie, as the network sees it.

    Args:
        points_atlas_mm: (..., 3) positions, atlas LPS mm.

    Returns:
        (3, ...) distance from the mid-plane, y and z in units of 80 mm.
    """
    scaled = np.moveaxis(np.asarray(points_atlas_mm, dtype=np.float32), -1, 0) / np.float32(_PLACE_SCALE_MM)
    scaled = np.array(scaled)
    scaled[0] = np.abs(scaled[0])
    return np.asarray(scaled, dtype=np.float32)


def window_sizes(shape_kji: tuple[int, int, int], largest_kji: tuple[int, int, int], multiple: int) -> tuple[int, int, int]:
    """Size of the windows for an image: as few as `largest_kji` allows, then as small as these few can be.

    Args:
        shape_kji: the image.
        largest_kji: what one window may have, multiples of `multiple`.
        multiple: what the network halves down to one.
    """
    sizes = []
    for n, largest in zip(shape_kji, largest_kji, strict=True):
        count = 1 if n <= largest else int(np.ceil((n - DEFAULT_OVERLAP) / (largest - DEFAULT_OVERLAP)))
        needed = int(np.ceil((n + (count - 1) * DEFAULT_OVERLAP) / count))
        sizes.append(min(largest, -(-needed // multiple) * multiple))
    return sizes[0], sizes[1], sizes[2]


def window_starts(size: int, patch: int) -> list[int]:
    """First voxel of each window along one axis: evenly spread, the last one ends at the edge, none overlaps by less."""
    if size <= patch:
        return [0]
    n_steps = int(np.ceil((size - patch) / (patch - DEFAULT_OVERLAP)))
    return [int(start) for start in np.round(np.linspace(0, size - patch, n_steps + 1))]


def blend_weights(patch_kji: tuple[int, int, int]) -> NDArray[np.float32]:
    """(K, J, I) Gaussian weights, 1 at the centre of the window and positive everywhere."""
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (_SIGMA_PER_PATCH * n)) ** 2) for n in patch_kji]
    return np.asarray(np.einsum("k,j,i->kji", *axes), dtype=np.float32)


def sliding_window(
    image: NDArray[np.float32], run: Runner, *, largest_kji: tuple[int, int, int], multiple: int, n_classes: int
) -> NDArray[np.float32]:
    """Probabilities of a whole image from a network that takes windows.

    Windows without any voxel above 0 HU-wise (air) are background and are not run. An image that no window fits is padded.

    Args:
        image: (C, K, J, I) `IMAGE_CHANNELS`, the first normalised.
        run: the network.
        largest_kji: largest window in voxels, multiples of `multiple` and larger than the overlap.
        multiple: window sizes are multiples of it.
        n_classes: of the network, the background included.

    Returns:
        (n_classes, K, J, I) probabilities.
    """
    shape: tuple[int, int, int] = (image.shape[1], image.shape[2], image.shape[3])
    patch_kji = window_sizes(shape, largest_kji, multiple)
    padding = [(0, max(0, p - n)) for n, p in zip(shape, patch_kji, strict=True)]
    padded = np.pad(image, [(0, 0), *padding])
    weights = blend_weights(patch_kji)
    total = np.zeros((n_classes, *padded.shape[1:]), dtype=np.float32)
    weight_sum = np.zeros(padded.shape[1:], dtype=np.float32)
    for corner in product(*(window_starts(n, p) for n, p in zip(padded.shape[1:], patch_kji, strict=True))):
        where = tuple(slice(start, start + p) for start, p in zip(corner, patch_kji, strict=True))
        weight_sum[where] += weights
        window = np.ascontiguousarray(padded[(slice(None), *where)])
        if window[0].max() > 0.0:
            total[(slice(None), *where)] += run(window) * weights
        else:
            total[0][where] += weights
    total /= weight_sum
    return np.clip(total[:, : shape[0], : shape[1], : shape[2]], 0.0, 1.0)
