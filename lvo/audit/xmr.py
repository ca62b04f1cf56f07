"""XmR charts: which points of a series differ from its own everyday variation.

Limits and rules as in Wheeler, Understanding Variation, and in the package spc-plotly, against which they are tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chart", "Signal", "chart_of"]

LIMIT_FACTOR, RANGE_FACTOR = 2.660, 3.268
"""3 / d2 and D4 for moving ranges of two points (d2 = 1.128)."""

LONG_RUN, SHORT_RUN, SHORT_WINDOW = 8, 3, 4

FIRM_POINTS = 12
"""Limits from fewer points are provisional."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Points that speak for a change: which rule, and their positions."""

    rule: str
    points: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A series of N points with its limits.

    Args:
        values: (N,) in order.
        center: mean.
        low: lower limit, at least `floor`.
        high: upper limit.
        ranges: (N - 1,) moving ranges.
        range_mean: their mean.
        range_high: their upper limit.
        signals: by rule, those that were found.
    """

    values: NDArray[np.float64]
    center: float
    low: float
    high: float
    ranges: NDArray[np.float64]
    range_mean: float
    range_high: float
    signals: tuple[Signal, ...]

    @property
    def firm(self) -> bool:
        """Whether there are enough points for the limits to be more than provisional."""
        return len(self.values) >= FIRM_POINTS

    @property
    def flagged(self) -> frozenset[int]:
        """Points of any signal but those of the moving range, which belongs to two points."""
        return frozenset(point for signal in self.signals for point in signal.points)


def chart_of(values: Sequence[float], *, floor: float = 0.0, ceiling: float = np.inf) -> Chart:
    """Limits and signals of a series.

    Args:
        values: in order of time.
        floor: what the values cannot fall below; limits are cut there.
        ceiling: what they cannot exceed.

    Raises:
        ValueError: fewer than two values, or one that is not finite.
    """
    series = np.asarray(values, np.float64)
    if series.size < 2 or not np.isfinite(series).all():
        msg = f"a chart needs at least two finite values, got {series.size}"
        raise ValueError(msg)
    ranges = np.abs(np.diff(series))
    center, spread = float(series.mean()), float(ranges.mean())
    natural = (center - LIMIT_FACTOR * spread, center + LIMIT_FACTOR * spread)
    signals = _signals(series, center, natural, (ranges, RANGE_FACTOR * spread))
    low, high = max(natural[0], floor), min(natural[1], ceiling)
    return Chart(series, center, low, high, ranges, spread, RANGE_FACTOR * spread, signals)


def _signals(
    series: NDArray[np.float64], center: float, limits: tuple[float, float], ranges: tuple[NDArray[np.float64], float]
) -> tuple[Signal, ...]:
    """By the limits before they are cut: half-way to a cut one is so near that zeros of a rare share would be signals."""
    low, high = limits
    outside = (series > high) | (series < low)
    long = _windows(series > center, LONG_RUN, LONG_RUN) | _windows(series < center, LONG_RUN, LONG_RUN)
    near_high, near_low = series > (center + high) / 2, series < (center + low) / 2
    short = _windows(near_high, SHORT_RUN, SHORT_WINDOW) | _windows(near_low, SHORT_RUN, SHORT_WINDOW)
    jump = np.concatenate([[False], ranges[0] > ranges[1]])
    found = {
        "outside the limits": outside,
        f"{LONG_RUN} in a row on one side of the mean": long,
        f"{SHORT_RUN} of {SHORT_WINDOW} nearer to a limit than to the mean": short,
        "a jump beyond everyday jumps": jump,
    }
    return tuple(Signal(rule, tuple(np.flatnonzero(points).tolist())) for rule, points in found.items() if points.any())


def _windows(hits: NDArray[np.bool_], needed: int, width: int) -> NDArray[np.bool_]:
    """Points in any window of `width` in a row with at least `needed` hits; a window may be cut by the start of the series."""
    marked = np.zeros(hits.size, bool)
    for end in range(1, hits.size + 1):
        begin = max(0, end - width)
        if hits[begin:end].sum() >= needed:
            marked[begin:end] = True
    return marked
