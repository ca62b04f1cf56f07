"""What a number of patients can show: how wide intervals are, and how likely a real change is to be noticed.

Worked out by drawing patients from a log-normal time and from shares, with a fixed seed; tests as in scipy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["MedianPower", "SharePower", "median_power", "share_power"]

SIGNIFICANCE = 0.05
DRAWS = 1000
SEED = 1


@dataclass(frozen=True, slots=True)
class MedianPower:
    """Before and after with `n` patients each.

    Args:
        n: patients.
        low: usual lower end of the 95 % confidence interval of the median.
        high: usual upper end.
        noticed: for each change in minutes, how often a rank test notices it.
    """

    n: int
    low: float
    high: float
    noticed: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SharePower:
    """A share before and another after, with `n` patients each: the interval around the first, and how often it is noticed."""

    n: int
    low: float
    high: float
    noticed: float


def median_power(median_min: float, spread: float, numbers: Sequence[int], changes_min: Sequence[float]) -> list[MedianPower]:
    """How well a change of a median time is seen.

    Args:
        median_min: today.
        spread: standard deviation of the logarithm of the times.
        numbers: of patients before, and again after.
        changes_min: by which all times get shorter.
    """
    rng = np.random.default_rng(SEED)
    found = []
    for n in numbers:
        before, after = (median_min * np.exp(spread * rng.standard_normal((DRAWS, n))) for _ in range(2))
        low, high = _median_interval(before)
        noticed = [_noticed(before, after - change) for change in changes_min]
        found.append(MedianPower(n, low, high, tuple(noticed)))
    return found


def share_power(before: float, after: float, numbers: Sequence[int]) -> list[SharePower]:
    """How well a change of a share is seen, by the test of two proportions.

    Args:
        before: share.
        after: share.
        numbers: of patients before, and again after.
    """
    rng = np.random.default_rng(SEED)
    found = []
    for n in numbers:
        bounds = stats.binomtest(round(before * n), n).proportion_ci(method="wilson")
        first, second = rng.binomial(n, before, DRAWS), rng.binomial(n, after, DRAWS)
        pooled = (first + second) / (2 * n)
        error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
        z = np.abs(first - second) / n / error
        noticed = float((z > stats.norm.isf(SIGNIFICANCE / 2)).mean())
        found.append(SharePower(n, float(bounds.low), float(bounds.high), noticed))
    return found


def _median_interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    """Usual ends of the exact interval of the median (order statistics), NaN where there are too few patients for one."""
    n = samples.shape[1]
    rank = int(stats.binom.ppf(SIGNIFICANCE / 2, n, 0.5))
    if rank < 1 or stats.binom.cdf(rank - 1, n, 0.5) > SIGNIFICANCE / 2:
        return float("nan"), float("nan")
    ordered = np.sort(samples, axis=1)
    return float(np.median(ordered[:, rank - 1])), float(np.median(ordered[:, n - rank]))


def _noticed(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """How often the rank test of Mann and Whitney calls the two different."""
    return float((stats.mannwhitneyu(before, after, axis=1, method="asymptotic").pvalue < SIGNIFICANCE).mean())
