"""Refit the last step only: two numbers that turn the call's log odds into probabilities that hold at one hospital.

A slope and an intercept, drawn towards 1 and 0 (no change), since 10 to 50 cases cannot say more; with many cases the pull
vanishes and this is Platt scaling. What it brought is judged on cases that were left out one by one, never on those it was
fitted to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lvo.cta.call import CallHead
from lvo.errors import InputError

__all__ = [
    "LEAST_EACH", "Comparison", "Estimate", "Quality", "RecalibrationCase", "Shift", "compare", "fit_shift", "recalibrated",
]  # fmt: skip

LEAST_EACH = 5
"""Fewer cases with or without an occlusion cannot say how often a probability comes true."""

SLOPE_SD, INTERCEPT_SD = 0.5, 2.0
"""What slopes and intercepts are likely before any case is seen: calibration slopes of models moved to another hospital lie
between a half and one and a half (Van Calster et al., BMC Med 2019, doi:10.1186/s12916-019-1466-7); prevalence differs more."""

N_BINS = 5
"""Bins of equal count: with 10 to 50 cases bins of equal width are mostly empty."""
_RESAMPLES = 1000
_MAX_LOGIT = 30.0

Array = NDArray[np.float64]


class RecalibrationCase(msgspec.Struct, frozen=True):
    """One case with known outcome: the call's log odds as shipped, and whether a covered vessel is occluded."""

    subject: str
    logit: float
    occluded: bool


@dataclass(frozen=True, slots=True)
class Shift:
    """New log odds are `slope * old + intercept`."""

    slope: float
    intercept: float

    def probability(self, logit: Array) -> Array:
        """(N,) probabilities of (N,) old log odds."""
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * logit + self.intercept, -_MAX_LOGIT, _MAX_LOGIT))))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval over resampled cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How well probabilities hold: Brier score, expected calibration error, and (mean given, share occluded, n) per bin."""

    brier: Estimate
    ece: Estimate
    bins: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Before and after, the latter on cases left out.

    Args:
        n, n_occluded: cases.
        shift: fitted on all cases.
        before, after: quality.
        brier_gain: how much the Brier score fell, over paired resamples.
    """

    n: int
    n_occluded: int
    shift: Shift
    before: Quality
    after: Quality
    brier_gain: Estimate


def fit_shift(logit: Array, occluded: NDArray[np.bool_]) -> Shift:
    """Most likely slope and intercept, given the cases and what was likely before.

    Args:
        logit: (N,) log odds as shipped.
        occluded: (N,) truth.
    """
    sign = np.where(occluded, 1.0, -1.0)

    def cost(unknowns: Array) -> tuple[float, Array]:
        slope, intercept = float(unknowns[0]), float(unknowns[1])
        margin = sign * (slope * logit + intercept)
        wrong = -sign / (1.0 + np.exp(np.clip(margin, -_MAX_LOGIT, _MAX_LOGIT)))
        pull = ((slope - 1.0) / SLOPE_SD) ** 2 / 2 + (intercept / INTERCEPT_SD) ** 2 / 2
        loss = float(np.logaddexp(0.0, -margin).sum()) + pull
        slopes = np.array([wrong @ logit + (slope - 1.0) / SLOPE_SD**2, wrong.sum() + intercept / INTERCEPT_SD**2])
        return loss, slopes

    found = minimize(cost, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=((0.0, None), (None, None)))
    return Shift(float(found.x[0]), float(found.x[1]))


def compare(cases: Sequence[RecalibrationCase]) -> Comparison:
    """Fit on all cases; judge before and after.

    Raises:
        InputError: too few cases with or without an occlusion.
    """
    logit = np.clip(np.array([case.logit for case in cases], dtype=np.float64), -_MAX_LOGIT, _MAX_LOGIT)
    truth = np.array([case.occluded for case in cases], dtype=bool)
    if min(truth.sum(), (~truth).sum()) < LEAST_EACH:
        found = f"{int(truth.sum())} with and {int((~truth).sum())} without"
        msg = f"recalibration needs at least {LEAST_EACH} cases with an occlusion and {LEAST_EACH} without, got {found}"
        raise InputError(msg)
    before = Shift(1.0, 0.0).probability(logit)
    keep = ~np.eye(len(truth), dtype=bool)
    left_out = np.array([fit_shift(logit[k], truth[k]).probability(logit[~k])[0] for k in keep])
    picks = np.random.default_rng(0).integers(0, len(truth), (_RESAMPLES, len(truth)))
    gain = (before - truth) ** 2 - (left_out - truth) ** 2
    return Comparison(
        len(truth), int(truth.sum()), fit_shift(logit, truth), _quality(before, truth, picks), _quality(left_out, truth, picks),
        _estimate(float(gain.mean()), gain[picks].mean(axis=1)),
    )  # fmt: skip


def _quality(probability: Array, truth: NDArray[np.bool_], picks: NDArray[np.int64]) -> Quality:
    squares = (probability - truth) ** 2
    ece = np.array([_ece(probability[pick], truth[pick]) for pick in picks])
    bins = tuple((float(probability[i].mean()), float(truth[i].mean()), len(i)) for i in _bins(probability))
    return Quality(
        _estimate(float(squares.mean()), squares[picks].mean(axis=1)), _estimate(_ece(probability, truth), ece), bins
    )


def _bins(probability: Array) -> list[NDArray[np.int64]]:
    """Indices of the cases of each bin, bins of equal count in the order of their probability."""
    order = np.argsort(probability, kind="stable")
    return [part for part in np.array_split(order, min(N_BINS, len(order))) if part.size]


def _ece(probability: Array, truth: NDArray[np.bool_]) -> float:
    """Mean difference of what was given and what came true, over bins."""
    gaps = [len(i) * abs(float(probability[i].mean()) - float(truth[i].mean())) for i in _bins(probability)]
    return sum(gaps) / len(truth)


def _estimate(value: float, resampled: Array) -> Estimate:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def recalibrated(head: CallHead, found: Comparison, data: str) -> CallHead:
    """The call with its last two numbers changed.

    Args:
        head: as shipped.
        found: from `compare`.
        data: the cases, in words.
    """
    shift = found.shift
    words = f"{head.fitted_on}; recalibrated on {found.n} cases of {data}, {found.n_occluded} with an occlusion"
    return msgspec.structs.replace(
        head, fitted_on=words, slope=round(shift.slope * head.slope, 5),
        intercept=round(shift.slope * head.intercept + shift.intercept, 5),
    )  # fmt: skip
