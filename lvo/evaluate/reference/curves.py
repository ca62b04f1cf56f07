"""Curves over all thresholds: ROC with DeLong's interval, precision and recall, and FROC for localisation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from lvo.evaluate.metrics import Estimate, auc
from lvo.evaluate.pictures import NEAR_MM
from lvo.evaluate.reference.accuracy import cases_by
from lvo.evaluate.reference.numbers import Number
from lvo.evaluate.reference.records import Case
from lvo.evaluate.reference.resample import interval

__all__ = ["CHAPTER", "Froc", "Scores", "curves", "froc", "precision_recall_points", "roc_points", "scores_of"]

CHAPTER: Final = "curves"
_FROC_AT = (0.125, 0.25, 0.5)
"""False marks per study at which sensitivity is given: one mark per study is made, so the curve ends before 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Probabilities and truth of cases; those that were not judged have minus infinity, below every threshold."""

    probability: NDArray[np.float64]
    positive: NDArray[np.bool_]

    def of(self, positive: bool) -> NDArray[np.float64]:  # noqa: FBT001 - reads as it is meant: scores.of(True)
        """Probabilities of the cases with, or without, an occlusion."""
        return np.asarray(self.probability[self.positive == positive])


@dataclass(frozen=True, slots=True, eq=False)
class Froc:
    """A free-response curve: false marks per study, and the share of occlusions that a mark near enough names."""

    false_marks_per_study: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    n_studies: int
    n_occlusions: int


def scores_of(cases: Sequence[Case], *, judged_only: bool = False) -> Scores:
    """Scores of cases with a covered occlusion or none."""
    kept = [case for case in cases if case.standing != "aside" and (case.judged or not judged_only)]
    probability = [case.found.probability if case.found else -np.inf for case in kept]
    return Scores(
        np.array(probability, dtype=np.float64), np.array([case.standing == "positive" for case in kept], dtype=np.bool_)
    )


def curves(cases: Sequence[Case]) -> list[Number]:
    """Areas under the curves, and points of the FROC curve."""
    judged, everyone = scores_of(cases, judged_only=True), scores_of(cases)
    delong = "DeLong, logit scale"
    numbers = [
        Number(CHAPTER, "area under the ROC curve, judged only", auc(judged.of(True), judged.of(False)), delong),
        Number(
            CHAPTER, "area under the ROC curve, not analysed ranks lowest", auc(everyone.of(True), everyone.of(False)), delong
        ),
    ]
    for site, members in cases_by([case for case in cases if case.standing == "positive"], "site").items():
        part = scores_of(members, judged_only=True)
        area = auc(part.probability, judged.of(False))
        numbers.append(Number(CHAPTER, "area under the ROC curve, judged only", area, delong, f"site: {site}"))
    numbers.append(Number(CHAPTER, "average precision, judged only", _average_precision(judged), "bootstrap over cases"))
    if any(case.standing == "positive" for case in _placed(cases)):
        numbers += [
            Number(CHAPTER, f"localised within {NEAR_MM:g} mm at {rate:g} false marks a study", value, "bootstrap over cases")
            for rate, value in zip(_FROC_AT, _localised(cases, _FROC_AT), strict=True)
        ]
    return numbers


def roc_points(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of negatives and of positives that is called, threshold by threshold."""
    false_rate, true_rate, _ = roc_curve(scores.positive, _finite(scores.probability), drop_intermediate=False)
    return np.asarray(false_rate), np.asarray(true_rate)


def precision_recall_points(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision, threshold by threshold."""
    precision, recall, _ = precision_recall_curve(scores.positive, _finite(scores.probability))
    return np.asarray(recall), np.asarray(precision)


def froc(cases: Sequence[Case]) -> Froc | None:
    """The free-response curve; None where no occlusion has a place in the table.

    Every study has at most one mark, its point with its probability. A mark within `NEAR_MM` of the occlusion is true, every
    other one is false. Occlusions without a place in the table are left out.
    """
    kept = _placed(cases)
    occlusions = sum(case.standing == "positive" for case in kept)
    if not occlusions:
        return None
    marked = [case for case in kept if _is_marked(case)]
    score = np.array([case.found.probability for case in marked if case.found is not None])
    hit = np.array([case.distance_mm is not None and case.distance_mm <= NEAR_MM for case in marked], dtype=np.bool_)
    levels = np.unique(score)[::-1]
    false = np.array([0, *((~hit & (score >= level)).sum() for level in levels)], dtype=np.float64)
    true = np.array([0, *((hit & (score >= level)).sum() for level in levels)], dtype=np.float64)
    return Froc(false / len(kept), true / occlusions, len(kept), occlusions)


def _placed(cases: Sequence[Case]) -> list[Case]:
    return [
        case
        for case in cases
        if case.standing == "negative" or (case.standing == "positive" and case.truth.location_lps_mm is not None)
    ]


def _localised(cases: Sequence[Case], rates: Sequence[float]) -> list[Estimate]:
    """Sensitivity where there are at most so many false marks a study; cases are resampled by their weights."""
    kept = _placed(cases)
    score = np.array([case.found.probability if _is_marked(case) and case.found else -np.inf for case in kept])
    order = np.argsort(-score, kind="stable")
    level = score[order]
    marked = np.isfinite(level)
    hit = np.array([case.distance_mm is not None and case.distance_mm <= NEAR_MM for case in kept])[order] & marked
    occlusion = np.array([case.standing == "positive" for case in kept])[order]
    last = np.append(level[1:] != level[:-1], True)  # of each score, so that ties count together

    def sensitivity(weight: NDArray[np.float64], rate: float) -> float:
        n = weight @ occlusion
        if not n:
            return float("nan")
        true, false = np.cumsum(weight * hit), np.cumsum(weight * (marked & ~hit))
        allowed = last & marked & (false <= rate * len(kept))
        return float(true[allowed].max(initial=0.0) / n)

    def resampled(rate: float) -> Callable[[NDArray[np.int64]], float]:
        return lambda index: sensitivity(np.bincount(index, minlength=len(kept)).astype(np.float64), rate)

    n = int(occlusion.sum())
    return [Estimate(sensitivity(np.ones(len(kept)), rate), *interval(resampled(rate), len(kept)), n) for rate in rates]


def _is_marked(case: Case) -> bool:
    return case.found is not None and case.found.location_lps_mm is not None


def _average_precision(scores: Scores) -> Estimate:
    n = len(scores.positive)
    if not scores.positive.any():
        return Estimate(np.nan, np.nan, np.nan, n)

    def figure(index: NDArray[np.int64]) -> float:
        truth = scores.positive[index]
        return float(average_precision_score(truth, scores.probability[index])) if truth.any() else np.nan

    return Estimate(figure(np.arange(n)), *interval(figure, n), n)


def _finite(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus infinity as -1: scikit-learn refuses infinite scores, and no probability is below 0."""
    return np.where(np.isneginf(probability), -1.0, probability)
