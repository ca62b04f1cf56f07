"""The sliding window: one definition of normalisation, tiling and blending, shared by training and inference.

Overlapping windows are blended with Gaussian weights, so that a voxel is judged mostly by windows that see it far from
their edge (Isensee et al., Nat Methods 2021, doi:10.1038/s41592-020-01008-z).
"""

from collections.abc import Callable
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["AIR_HU", "Runner", "blend_weights", "normalize", "sliding_window", "window_starts"]

AIR_HU = -1000.0
"""What lies outside the scan."""

DEFAULT_OVERLAP = 0.25
_SIGMA_PER_PATCH = 0.2
"""Width of the blending weights; the weight at the middle of a face is exp(-3.1) = 0.04 of the centre's."""

Runner: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Turns a normalised window (K, J, I) into probabilities (C, K, J, I), channel 0 the background."""


def normalize(hu: NDArray[Any], window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """Map HU to 0..1: the window's ends become 0 and 1, values outside are clipped, values that are no number become 0."""
    low, high = window_hu
    scaled = (np.asarray(hu, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    unit: NDArray[np.float32] = np.clip(np.nan_to_num(scaled, nan=0.0), 0.0, 1.0)
    return unit


def window_starts(size: int, patch: int, overlap: float) -> list[int]:
    """First voxel of each window along one axis: evenly spread, the last one ends at the edge, none overlaps by less."""
    if size <= patch:
        return [0]
    n_steps = int(np.ceil((size - patch) / (patch * (1.0 - overlap))))
    return [int(start) for start in np.round(np.linspace(0, size - patch, n_steps + 1))]


def blend_weights(patch_kji: tuple[int, int, int]) -> NDArray[np.float32]:
    """(K, J, I) Gaussian weights, 1 at the centre of the window and positive everywhere."""
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (_SIGMA_PER_PATCH * n)) ** 2) for n in patch_kji]
    return np.asarray(np.einsum("k,j,i->kji", *axes), dtype=np.float32)


def sliding_window(
    image: NDArray[np.float32],
    run: Runner,
    *,
    patch_kji: tuple[int, int, int],
    n_channels: int,
    overlap: float = DEFAULT_OVERLAP,
) -> NDArray[np.float32]:
    """Probabilities of a whole image from a network that takes windows of one size.

    Windows without any voxel above 0 (air) are background and are not run. An image smaller than the window is padded with 0.

    Args:
        image: (K, J, I), normalised.
        run: the network.
        patch_kji: size of its window in voxels.
        n_channels: number of its channels, the background included.
        overlap: least share of a window that its neighbour sees too, 0 to below 1.

    Returns:
        (n_channels - 1, K, J, I) probabilities, the background left out.
    """
    padding = [(0, max(0, p - n)) for n, p in zip(image.shape, patch_kji, strict=True)]
    padded = np.pad(image, padding)
    weights = blend_weights(patch_kji)
    total = np.zeros((n_channels - 1, *padded.shape), dtype=np.float32)
    weight_sum = np.zeros(padded.shape, dtype=np.float32)
    for corner in product(*(window_starts(n, p, overlap) for n, p in zip(padded.shape, patch_kji, strict=True))):
        where = tuple(slice(start, start + p) for start, p in zip(corner, patch_kji, strict=True))
        weight_sum[where] += weights
        window = np.ascontiguousarray(padded[where])
        if window.max() > 0.0:
            total[(slice(None), *where)] += run(window)[1:] * weights
    total /= weight_sum
    return np.clip(total[:, : image.shape[0], : image.shape[1], : image.shape[2]], 0.0, 1.0)
