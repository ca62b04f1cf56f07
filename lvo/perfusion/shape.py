"""The shape of a bolus curve in numbers: height, arrival, width, roughness, what is left at the end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shape", "measure", "smoothed"]

RISE_LEVELS = (0.3, 0.7)
"""A curve arrives where the line through its rise at these shares of the peak meets zero: the foot itself drowns in noise."""
END_FRAMES = 3
"""Frames averaged for the height at the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Measures of N curves, each (N,).

    Args:
        peak_hu: height of the maximum.
        peak_s: time of the maximum.
        arrival_s: time at which the rise to the maximum, prolonged backwards, begins.
        width_s: full width at half maximum around the peak, to the end of the record where the fall is not seen.
        roughness: mean absolute second difference over the peak height; 0 for a straight line.
        end: mean of the last frames over the peak height.
        area: sum over time, HU s.
    """

    peak_hu: NDArray[np.float64]
    peak_s: NDArray[np.float64]
    arrival_s: NDArray[np.float64]
    width_s: NDArray[np.float64]
    roughness: NDArray[np.float64]
    end: NDArray[np.float64]
    area: NDArray[np.float64]


def smoothed(curves: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, N) curves after a (1, 2, 1) / 4 filter in time, ends repeated."""
    padded = np.concatenate([curves[:1], curves, curves[-1:]])
    return np.asarray(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], dtype=np.float32)


def measure(times_s: NDArray[np.float64], curves: NDArray[np.float32]) -> Shape:
    """Measure (T, N) curves on a uniform time base.

    Curves that never rise get a peak of at most 0 and the start as every time; their ratios are 0.
    """
    dt_s = times_s[1] - times_s[0]
    at_peak = curves.argmax(axis=0)
    peak_hu = curves.max(axis=0).astype(np.float64)
    height = np.where(peak_hu > 0, peak_hu, np.inf)
    half_before = _crossing(curves, at_peak, 0.5 * peak_hu, step=-1)
    half_after = _crossing(curves, at_peak, 0.5 * peak_hu, step=1)
    low, high = (_crossing(curves, at_peak, level * peak_hu, step=-1) for level in RISE_LEVELS)
    arrival = low - (high - low) * RISE_LEVELS[0] / (RISE_LEVELS[1] - RISE_LEVELS[0])
    return Shape(
        peak_hu=peak_hu,
        peak_s=times_s[0] + dt_s * at_peak,
        arrival_s=times_s[0] + dt_s * arrival,
        width_s=dt_s * (half_after - half_before),
        roughness=np.abs(np.diff(curves, n=2, axis=0)).mean(axis=0) / height,
        end=curves[-END_FRAMES:].mean(axis=0) / height,
        area=dt_s * curves.sum(axis=0, dtype=np.float64),
    )


def _crossing(
    curves: NDArray[np.float32], start: NDArray[np.intp], level: NDArray[np.float64], *, step: int
) -> NDArray[np.float64]:
    """Fractional frame where each curve, followed from `start` in one direction, first falls below its level."""
    n_frames, n_curves = curves.shape
    frame = np.arange(n_frames)[:, None]
    outside = (curves < level) & ((frame - start) * step > 0)
    if step < 0:
        first = np.where(outside.any(axis=0), n_frames - 1 - outside[::-1].argmax(axis=0), 0)
    else:
        first = np.where(outside.any(axis=0), outside.argmax(axis=0), n_frames - 1)
    column = np.arange(n_curves)
    inner = np.clip(first - step, 0, n_frames - 1)
    low, high = curves[first, column].astype(np.float64), curves[inner, column].astype(np.float64)
    gap = high - low
    share = np.where(gap > 0, (level - low) / np.where(gap > 0, gap, 1.0), 0.0)
    return np.asarray(first - step * np.clip(share, 0.0, 1.0), dtype=np.float64)
