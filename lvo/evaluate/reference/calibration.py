"""Do probabilities mean what they say: slope and intercept of a logistic recalibration, Brier score, expected error.

Cox 1958, doi:10.1093/biomet/45.3-4.562; in this use Van Calster et al. 2019, doi:10.1186/s12916-019-1466-7: the slope is 1 and
the intercept 0 where probabilities are right; a slope below 1 means that they are too extreme, an intercept above 0
that they are too low on the whole.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lvo.evaluate.metrics import Estimate, brier, expected_calibration_error
from lvo.evaluate.reference.curves import Scores
from lvo.evaluate.reference.numbers import Number
from lvo.evaluate.reference.resample import interval

__all__ = ["CHAPTER", "Recalibration", "at_prevalence", "calibration", "recalibrate"]

CHAPTER: Final = "calibration"
_LEAST = 1e-6
"""Probabilities of 0 and 1 have no logit; they are moved inside by this."""

Recalibration = tuple[Estimate, Estimate]
"""Slope, and intercept with the slope held at 1 (calibration in the large)."""


def calibration(scores: Scores) -> list[Number]:
    """All figures, of judged cases."""
    slope, intercept = recalibrate(scores.probability, scores.positive)
    n = len(scores.positive)
    sure = Estimate(brier(scores.probability, scores.positive), np.nan, np.nan, n)
    if n:
        ends = interval(lambda index: brier(scores.probability[index], scores.positive[index]), n)
        sure = Estimate(sure.value, *ends, n)
    mean = Estimate(float(scores.probability.mean()) if n else np.nan, np.nan, np.nan, n)
    return [
        Number(CHAPTER, "calibration slope", slope, "logistic regression, Wald"),
        Number(CHAPTER, "calibration intercept (slope held at 1)", intercept, "logistic regression, Wald"),
        Number(CHAPTER, "Brier score", sure, "bootstrap over cases"),
        Number(CHAPTER, "expected calibration error", expected_calibration_error(scores.probability, scores.positive),
               "10 bins, bootstrap over cases"),
        Number(CHAPTER, "mean probability", mean),
    ]  # fmt: skip


def recalibrate(probability: NDArray[np.float64], positive: NDArray[np.bool_]) -> Recalibration:
    """Slope and intercept, each with Wald's interval; NaN where they cannot be told (one class only, or full separation).

    Args:
        probability: (n,) given.
        positive: (n,) truth.
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    n = len(positive)
    nothing = Estimate(np.nan, np.nan, np.nan, n)
    if n < 3 or positive.all() or not positive.any():
        return nothing, nothing
    logit = _logit(probability)
    truth = positive.astype(np.float64)
    level = GLM(truth, np.ones((n, 1)), family=Binomial(), offset=logit).fit()
    intercept = _estimate(float(level.params[0]), float(level.bse[0]), n)
    if np.ptp(logit) == 0.0 or _separated(logit, positive):
        return nothing, intercept
    fitted = GLM(truth, np.column_stack([np.ones(n), logit]), family=Binomial()).fit()
    return _estimate(float(fitted.params[1]), float(fitted.bse[1]), n), intercept


def at_prevalence(probability: NDArray[np.float64], positive: NDArray[np.bool_], prevalence: float) -> NDArray[np.float64]:
    """Probabilities moved from the prevalence of the sample to another one: a shift of the logit (prior shift)."""
    sample = float(positive.mean())
    if not 0.0 < sample < 1.0:
        return probability
    shift = np.log(prevalence / (1.0 - prevalence)) - np.log(sample / (1.0 - sample))
    return np.asarray(1.0 / (1.0 + np.exp(-(_logit(probability) + shift))))


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(probability, _LEAST, 1.0 - _LEAST)
    return np.asarray(np.log(inside / (1.0 - inside)))


def _separated(logit: NDArray[np.float64], positive: NDArray[np.bool_]) -> bool:
    """A threshold tells all cases apart: the likelihood then has no highest point."""
    high, low = logit[positive], logit[~positive]
    return bool(high.min() >= low.max() or high.max() <= low.min())


def _estimate(value: float, error: float, n: int) -> Estimate:
    half = 1.959963984540054 * error
    return Estimate(value, value - half, value + half, n)
