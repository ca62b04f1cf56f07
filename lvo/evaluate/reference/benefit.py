"""What a call is worth: net benefit over thresholds, predictive values at a prevalence, and alarms a week.

Net benefit: Vickers and Elkin 2006, doi:10.1177/0272989X06295361. A threshold probability of 10 % says that one missed
occlusion weighs as much as nine false alarms.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lvo.evaluate.metrics import Estimate, predictive_values
from lvo.evaluate.reference.numbers import Number

__all__ = [
    "CHAPTER", "THRESHOLDS", "WEEK", "Alarms", "Service", "alarm_words", "alarms", "at_prevalence", "benefit_numbers", "budget",
    "net_benefit", "treat_all",
]  # fmt: skip

CHAPTER: Final = "alarms"
THRESHOLDS = np.linspace(0.01, 0.5, 50)
"""Threshold probabilities of the decision curve: beyond one false alarm per occlusion nobody would trade."""
_OF_A_WEEK = {
    "positive predictive value": "positive_value", "negative predictive value": "negative_value", "alerts a week": "alerts",
    "false alerts a week": "false", "missed occlusions a week": "missed",
}  # fmt: skip
WEEK = frozenset(_OF_A_WEEK)
"""Names of the numbers of a service."""

_NAMED_THRESHOLDS = (0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Service:
    """Where the program would run.

    Args:
        prevalence: share of occlusions among its angiograms.
        per_week: angiograms a week.
    """

    prevalence: float
    per_week: float


@dataclass(frozen=True, slots=True)
class Alarms:
    """What a week would bring."""

    alerts: float
    false: float
    missed: float
    positive_value: float
    negative_value: float


def net_benefit(called: NDArray[np.bool_], positive: NDArray[np.bool_], threshold: float) -> float:
    """True calls less false calls weighed by the odds of the threshold, a study."""
    n = len(positive)
    true, false = int((called & positive).sum()), int((called & ~positive).sum())
    return true / n - false / n * threshold / (1.0 - threshold)


def treat_all(prevalence: float, threshold: float) -> float:
    """Net benefit of calling every study."""
    return prevalence - (1.0 - prevalence) * threshold / (1.0 - threshold)


def alarms(sensitivity: float, specificity: float, service: Service) -> Alarms:
    """Expected alarms, false ones and missed occlusions a week (Bayes)."""
    occlusions = service.per_week * service.prevalence
    others = service.per_week - occlusions
    false = (1.0 - specificity) * others
    return Alarms(
        sensitivity * occlusions + false, false, (1.0 - sensitivity) * occlusions,
        *predictive_values(sensitivity, specificity, service.prevalence),
    )  # fmt: skip


def budget(sensitivity: Estimate, specificity: Estimate, service: Service) -> list[Number]:
    """Predictive values and alarms with the range that the intervals of sensitivity and specificity span.

    The range takes both ends at once, and so is wider than a 95 % interval.
    """
    group = f"prevalence {service.prevalence:.1%}, {service.per_week:g} a week"
    middle = alarms(sensitivity.value, specificity.value, service)
    corners = [
        alarms(one, other, service)
        for one in (sensitivity.low, sensitivity.high)
        for other in (specificity.low, specificity.high)
    ]
    numbers = []
    for name, key in _OF_A_WEEK.items():
        ends = [getattr(corner, key) for corner in corners]
        value = Estimate(getattr(middle, key), min(ends), max(ends), sensitivity.n + specificity.n)
        numbers.append(Number(CHAPTER, name, value, "corners of the Wilson intervals", group))
    return numbers


def at_prevalence(sensitivity: float, specificity: float, prevalence: float, threshold: float) -> float:
    """Net benefit of a test where occlusions have another share than in the sample."""
    return sensitivity * prevalence - (1.0 - specificity) * (1.0 - prevalence) * threshold / (1.0 - threshold)


def benefit_numbers(called: NDArray[np.bool_], positive: NDArray[np.bool_], service: Service) -> list[Number]:
    """Net benefit of the call, and of calling every study, in the sample and at the prevalence of the service."""
    n = len(positive)
    if not n:
        return []
    sensitivity, specificity = (float(part.mean()) if part.size else np.nan for part in (called[positive], ~called[~positive]))
    numbers = []
    for threshold in _NAMED_THRESHOLDS:
        values = {
            "net benefit of the call": net_benefit(called, positive, threshold),
            "net benefit of calling all": treat_all(float(positive.mean()), threshold),
            f"net benefit of the call at prevalence {service.prevalence:.1%}": at_prevalence(
                sensitivity, specificity, service.prevalence, threshold
            ),
            f"net benefit of calling all at prevalence {service.prevalence:.1%}": treat_all(service.prevalence, threshold),
        }
        numbers += [
            Number(CHAPTER, name, Estimate(value, np.nan, np.nan, n), "Vickers and Elkin", f"threshold {threshold:.0%}")
            for name, value in values.items()
        ]
    return numbers


def alarm_words(sensitivity: Estimate, specificity: Estimate, service: Service) -> str:
    """One sentence for the people who would get the alerts."""
    if np.isnan(sensitivity.value) or np.isnan(specificity.value):
        return "Alarms cannot be told without cases of both kinds."
    week = alarms(sensitivity.value, specificity.value, service)
    missed = f"one occlusion missed every {1.0 / week.missed:.1f} weeks" if week.missed > 0.0 else "none missed in this sample"
    where = f"At {100.0 * service.prevalence:.3g} % prevalence and {service.per_week:g} angiograms a week"
    return f"{where}: {week.alerts:.1f} alerts a week, {week.false:.1f} of them false, {missed}."
