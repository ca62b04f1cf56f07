"""How much larger the area of the venous curve is than that of the arterial one, also when the record ends too early.

Contrast agent that enters the brain leaves it: the curve of a vein is that of the artery, spread by the transit through the
brain, and has the same area. An artery thinner than its voxels shows less (partial volume), and the ratio of the areas says
how much. The vein lags, so a record that ends cuts more off the vein than off the artery: a plain ratio of the sums is too
low, by 8 % in 62 complete stroke scans (ISLES 2018) and by 22 % when they are cut 4 s after the peak of the vein. The ratio is
therefore that of the artery spread by the transit that fits the vein best, over what was recorded; cut so, it changes by 2 %.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

__all__ = ["area_ratio"]

Array = NDArray[np.float64]

DELAYS_S = np.arange(-1.0, 8.01, 0.5)
MEAN_TRANSITS_S = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0)
SHAPES = (1.0, 3.0)
"""Drainage delay, mean and shape of gamma-distributed transits that are tried; 62 stroke scans need delays of -0.5 to 6 s and
means of 0.5 to 10 s."""


def area_ratio(artery_hu: Array, vein_hu: Array, dt_s: float) -> float:
    """Area under a venous curve over that of the arterial curve, both (T,) on a time base of step `dt_s`; 0 without a vein."""
    n_frames = artery_hu.size
    delayed = np.zeros((n_frames, n_frames))
    for n in range(n_frames):
        delayed[n:, n] = artery_hu[: n_frames - n]
    models = _transits(n_frames, dt_s) @ delayed.T
    energy = np.maximum((models**2).sum(axis=1), 1e-12)
    ratios = (models @ vein_hu) / energy
    return max(0.0, float(ratios[(ratios**2 * energy).argmax()]))


@lru_cache(maxsize=4)
def _transits(n_frames: int, dt_s: float) -> Array:
    """(N, T): the part of the agent that takes 0, 1, 2 ... frames."""
    edges_s = (np.arange(n_frames + 1) - 0.5) * dt_s
    delay_s, mean_s, shape = (axis.ravel()[:, None] for axis in np.meshgrid(DELAYS_S, MEAN_TRANSITS_S, SHAPES))
    return np.asarray(np.diff(gammainc(shape, np.maximum(edges_s - delay_s, 0.0) * shape / mean_s), axis=1))
