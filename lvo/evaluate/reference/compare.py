"""Two tests on the same patients: McNemar for calls, DeLong for areas, and a table of readers.

McNemar 1947, doi:10.1007/BF02295996, exact, by statsmodels; difference of paired shares: Newcombe 1998 (method 10),
doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C; difference of areas: DeLong et al. 1988,
doi:10.2307/2531595. statsmodels will have Newcombe's interval in a version after 0.15.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lvo.evaluate.metrics import Estimate, auc, proportion
from lvo.evaluate.reference.numbers import Number
from lvo.evaluate.reference.records import Case

__all__ = [
    "AIDED", "CHAPTER", "P", "PairedAreas", "PairedShares", "compare", "p_words", "paired_areas", "paired_shares",
    "reader_numbers",
]  # fmt: skip

CHAPTER: Final = "readers and products"
AIDED: Final = ":aided"
"""End of the name of a reader who saw the result of the program."""
P: Final = ", p"
"""End of the name of a p value, after the name of the difference that it belongs to."""
_LEAST_P = 0.001
_Z = float(norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class PairedShares:
    """Two shares of the same cases.

    Args:
        difference: first less second, Newcombe's interval.
        only_first: cases that only the first has.
        only_second: and only the second.
        p: of McNemar's exact test.
    """

    difference: Estimate
    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True, slots=True)
class PairedAreas:
    """Two areas under ROC curves of the same cases: the difference with its interval, z and two-sided p."""

    difference: Estimate
    z: float
    p: float


def paired_shares(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedShares:
    """Compare two yes-or-no answers on the same cases.

    Args:
        first: (n,) whether the first test has it.
        second: (n,) whether the second has.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    n = len(first)
    table = np.array([[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]])
    if n == 0:
        return PairedShares(Estimate(np.nan, np.nan, np.nan, 0), 0, 0, np.nan)
    p = float(mcnemar(table, exact=True).pvalue) if table[0, 1] + table[1, 0] else 1.0
    return PairedShares(_newcombe(table, n), int(table[0, 1]), int(table[1, 0]), p)


def _newcombe(table: NDArray[np.int64], n: int) -> Estimate:
    """Difference of paired shares from two Wilson intervals and their correlation."""
    (both, first), (second, neither) = table.tolist()
    one, other = proportion(both + first, n), proportion(both + second, n)
    square = float(both + first) * (second + neither) * (both + second) * (first + neither)
    correlation = 0.0
    if square > 0.0:
        excess = float(both * neither - first * second)
        correlation = (max(excess - n / 2.0, 0.0) if excess > 0.0 else excess) / np.sqrt(square)
    down, up = one.value - one.low, one.high - one.value
    down_other, up_other = other.value - other.low, other.high - other.value
    low = np.sqrt(max(0.0, down**2 - 2.0 * correlation * down * up_other + up_other**2))
    high = np.sqrt(max(0.0, down_other**2 - 2.0 * correlation * down_other * up + up**2))
    difference = one.value - other.value
    return Estimate(difference, float(difference - low), float(difference + high), n)


def paired_areas(first: NDArray[np.float64], second: NDArray[np.float64], positive: NDArray[np.bool_]) -> PairedAreas:
    """Compare two areas under the ROC curve.

    Args:
        first: (n,) scores of the first test.
        second: (n,) scores of the second.
        positive: (n,) truth.
    """
    n = len(positive)
    if min(positive.sum(), (~positive).sum()) < 2:
        return PairedAreas(Estimate(np.nan, np.nan, np.nan, n), np.nan, np.nan)
    (area, of_positive, of_negative), (other, other_positive, other_negative) = (
        _components(scores[positive], scores[~positive]) for scores in (first, second)
    )
    variance = np.var(of_positive - other_positive, ddof=1) / len(of_positive)
    variance += np.var(of_negative - other_negative, ddof=1) / len(of_negative)
    error, difference = float(np.sqrt(variance)), area - other
    if error == 0.0:
        return PairedAreas(Estimate(difference, np.nan, np.nan, n), np.nan, 1.0 if difference == 0.0 else np.nan)
    z = difference / error
    return PairedAreas(
        Estimate(difference, difference - _Z * error, difference + _Z * error, n), z, float(2.0 * norm.sf(abs(z)))
    )


def _components(
    positive: NDArray[np.float64], negative: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The area, and DeLong's structural components of positives and negatives; ties count one half."""
    wins = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
    return float(wins.mean()), wins.mean(axis=1), wins.mean(axis=0)


def reader_numbers(cases: Sequence[Case], reader: str) -> list[Number]:
    """Sensitivity, specificity and area of one reader, on the cases that were read."""
    read = [case for case in cases if case.standing != "aside" and reader in case.truth.readings]
    positive = np.array([case.standing == "positive" for case in read], dtype=np.bool_)
    called = np.array([case.truth.readings[reader].called for case in read], dtype=np.bool_)
    score = np.array([case.truth.readings[reader].score for case in read], dtype=np.float64)
    sensitivity = proportion(int((called & positive).sum()), int(positive.sum()))
    specificity = proportion(int((~called & ~positive).sum()), int((~positive).sum()))
    return [
        Number(CHAPTER, "sensitivity", sensitivity, "Wilson", reader),
        Number(CHAPTER, "specificity", specificity, "Wilson", reader),
        Number(CHAPTER, "area under the ROC curve", auc(score[positive], score[~positive]), "DeLong, logit scale", reader),
    ]


def compare(cases: Sequence[Case], reader: str, *, against: str | None = None) -> list[Number]:
    """The program, or another reader, less a reader, on the cases that both judged or were asked to judge.

    A study that the program did not analyse is no alarm, and ranks below all others.

    Args:
        cases: all of them.
        reader: second of the two.
        against: first of the two; the program when omitted.
    """
    read = [
        case
        for case in cases
        if case.standing != "aside" and reader in case.truth.readings and (against is None or against in case.truth.readings)
    ]
    positive = np.array([case.standing == "positive" for case in read], dtype=np.bool_)
    first_called, first_score = _answers(read, against)
    called, score = _answers(read, reader)
    group = f"{against or 'program'} less {reader}"
    on_positives = paired_shares(first_called[positive], called[positive])
    on_negatives = paired_shares(~first_called[~positive], ~called[~positive])
    areas = paired_areas(first_score, score, positive)
    return [
        Number(CHAPTER, "difference of sensitivity", on_positives.difference, "Newcombe, paired", group),
        _p("difference of sensitivity", on_positives.p, on_positives.difference.n, "McNemar, exact", group),
        Number(CHAPTER, "difference of specificity", on_negatives.difference, "Newcombe, paired", group),
        _p("difference of specificity", on_negatives.p, on_negatives.difference.n, "McNemar, exact", group),
        Number(CHAPTER, "difference of area under the ROC curve", areas.difference, "DeLong, paired", group),
        _p("difference of area under the ROC curve", areas.p, len(read), "DeLong, paired", group),
    ]


def _answers(cases: Sequence[Case], reader: str | None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Calls and scores of the program (None) or of a reader."""
    if reader is None:
        called = [case.suspected for case in cases]
        score = [case.found.probability if case.found else -1.0 for case in cases]
    else:
        called = [case.truth.readings[reader].called for case in cases]
        score = [case.truth.readings[reader].score for case in cases]
    return np.array(called, dtype=np.bool_), np.array(score, dtype=np.float64)


def _p(name: str, value: float, n: int, method: str, group: str) -> Number:
    return Number(CHAPTER, name + P, Estimate(value, np.nan, np.nan, n), method, group)


def p_words(p: float) -> str:
    """A p value as papers print it."""
    return "-" if np.isnan(p) else "< 0.001" if p < _LEAST_P else f"{p:.3f}"
