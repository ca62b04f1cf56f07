"""Figures of a two-way test, each with its 95 % interval.

Proportions: Wilson's score interval (Wilson 1927, doi:10.1080/01621459.1927.10502953), or Clopper and Pearson's exact one
(1934, doi:10.1093/biomet/26.4.404). Area under the ROC curve: DeLong et al. 1988, doi:10.2307/2531595. Calibration: expected
error over bins of equal width (Naeini et al. 2015) and the Brier score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm

__all__ = [
    "Bin", "Estimate", "OperatingPoint", "auc", "brier", "expected_calibration_error", "mean", "predictive_values",
    "proportion", "reliability", "sensitivity_at",
]  # fmt: skip

_ALPHA = 0.05
_Z = float(norm.ppf(1.0 - _ALPHA / 2.0))
N_BINS = 10
"""Bins of the reliability plot: 0 to 0.1, 0.1 to 0.2, ..."""
_RESAMPLES = 1000
"""Bootstrap samples: the 2.5 % point then has a standard error of 0.5 % of the distribution."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, from n cases; all NaN where there is no case.

    Args:
        value: the figure.
        low: lower end of the interval.
        high: upper end.
        n: cases it comes from.
        hits: for a proportion, how many of them.
    """

    value: float
    low: float
    high: float
    n: int
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability plot: mean probability given, and share that was positive."""

    mean_probability: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold on the ROC curve: a case is called from `threshold` on."""

    threshold: float
    sensitivity: Estimate
    specificity: Estimate


def proportion(hits: int, n: int, *, method: Literal["wilson", "exact"] = "wilson") -> Estimate:
    """A share with its interval.

    Args:
        hits: cases that count.
        n: all cases.
        method: "wilson", or "exact" for the interval of Clopper and Pearson.

    Raises:
        ValueError: more hits than cases, or negative numbers.
    """
    if not 0 <= hits <= n:
        msg = f"hits must lie between 0 and n, got {hits} of {n}"
        raise ValueError(msg)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    interval = binomtest(hits, n).proportion_ci(1.0 - _ALPHA, method=method)
    return Estimate(hits / n, float(interval.low), float(interval.high), n, hits)


def mean(values: ArrayLike) -> Estimate:
    """Mean of per-case figures between 0 and 1, with a percentile bootstrap interval over the cases."""
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    low, high = _bootstrap(lambda index: float(x[index].mean()), x.size)
    return Estimate(float(x.mean()), low, high, int(x.size))


def auc(positive: ArrayLike, negative: ArrayLike) -> Estimate:
    """Area under the ROC curve with DeLong's interval, taken on the logit scale so that it stays below 1.

    Ties count one half. Where no negative reaches any positive, or no positive any negative, the variance is 0 and says
    nothing; the other end is then the exact one for as many independent pairs as the smaller group has cases.

    Args:
        positive: (M,) scores of the cases that have it; minus infinity ranks below all.
        negative: (N,) scores of those that have not.
    """
    x, y = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
    m, n = len(x), len(y)
    if min(m, n) < 2:
        return Estimate(np.nan, np.nan, np.nan, m + n)
    area, error = delong(x, y)
    if error <= 0.0:
        if area not in {0.0, 1.0}:  # all alike
            return Estimate(area, area, area, m + n)
        sure = proportion(min(m, n) if area == 1.0 else 0, min(m, n), method="exact")
        return Estimate(area, sure.low, sure.high, m + n)
    logit, spread = np.log(area / (1.0 - area)), _Z * error / (area * (1.0 - area))
    low, high = (float(1.0 / (1.0 + np.exp(-(logit + sign * spread)))) for sign in (-1.0, 1.0))
    return Estimate(area, low, high, m + n)


def delong(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> tuple[float, float]:
    """Area under the ROC curve, and its standard error from the structural components of DeLong et al."""
    wins = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
    of_positive, of_negative = wins.mean(axis=1), wins.mean(axis=0)
    variance = of_positive.var(ddof=1) / len(positive) + of_negative.var(ddof=1) / len(negative)
    return float(wins.mean()), float(np.sqrt(variance))


def sensitivity_at(positive: ArrayLike, negative: ArrayLike, *, specificity: float) -> OperatingPoint:
    """The point of the ROC curve with the highest sensitivity whose specificity is at least the asked one."""
    x, y = np.asarray(positive, dtype=np.float64), np.sort(np.asarray(negative, dtype=np.float64))
    allowed = int(np.floor((1.0 - specificity) * len(y) + 1e-9))  # negatives that may be called
    highest_spared = y[len(y) - allowed - 1] if len(y) > allowed else -np.inf
    called_at = x[x > highest_spared]
    threshold = float(called_at.min()) if called_at.size else float(np.nextafter(highest_spared, np.inf))
    called = int((x >= threshold).sum()), int((y >= threshold).sum())
    return OperatingPoint(threshold, proportion(called[0], len(x)), proportion(len(y) - called[1], len(y)))


def brier(probability: ArrayLike, positive: ArrayLike) -> float:
    """Mean squared difference between probability and truth (0 or 1); NaN without cases."""
    p, t = np.asarray(probability, dtype=np.float64), np.asarray(positive, dtype=np.float64)
    return float(((p - t) ** 2).mean()) if p.size else np.nan


def reliability(probability: ArrayLike, positive: ArrayLike) -> tuple[Bin, ...]:
    """The bins of a reliability plot that hold a case."""
    p, t = np.asarray(probability, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    index = np.minimum((p * N_BINS).astype(int), N_BINS - 1)
    filled = [index == number for number in range(N_BINS) if (index == number).any()]
    return tuple(Bin(float(p[member].mean()), proportion(int(t[member].sum()), int(member.sum()))) for member in filled)


def expected_calibration_error(probability: ArrayLike, positive: ArrayLike) -> Estimate:
    """Mean distance between probability and share of positives over the bins, weighed by their cases.

    The bootstrap interval lies a little high, since a resample scatters more than the sample.
    """
    p, t = np.asarray(probability, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    if p.size == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    low, high = _bootstrap(lambda index: _calibration_error(p[index], t[index]), p.size)
    return Estimate(_calibration_error(p, t), low, high, int(p.size))


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Positive and negative predictive value at a prevalence (Bayes)."""
    true_calls, false_calls = sensitivity * prevalence, (1.0 - specificity) * (1.0 - prevalence)
    true_clear, false_clear = specificity * (1.0 - prevalence), (1.0 - sensitivity) * prevalence
    called, clear = true_calls + false_calls, true_clear + false_clear
    return (true_calls / called if called else np.nan), (true_clear / clear if clear else np.nan)


def _calibration_error(probability: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    bins = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    gap = np.bincount(bins, weights=probability - positive, minlength=N_BINS)
    return float(np.abs(gap).sum() / len(probability))


def _bootstrap(figure: Callable[[NDArray[np.int64]], float], n: int) -> tuple[float, float]:
    """2.5 and 97.5 % of a figure over resamples of n cases; seeded, so that a report is the same every time."""
    rng = np.random.default_rng(19)
    drawn: Sequence[float] = [figure(rng.integers(0, n, n)) for _ in range(_RESAMPLES)]
    low, high = np.percentile(drawn, (100.0 * _ALPHA / 2.0, 100.0 * (1.0 - _ALPHA / 2.0)))
    return float(low), float(high)
