"""The figures to reach: what was wanted, what was found, and whether that is enough.

Targets are those that were set before the evaluation set was drawn. Sensitivities are at the fixed threshold of the settings,
and a case that could not be judged counts as missed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from lvo.core.report import Call, Site
from lvo.evaluate.metrics import Estimate, OperatingPoint, auc, expected_calibration_error, mean, proportion, sensitivity_at
from lvo.evaluate.records import AS_IS, Row
from lvo.evaluate.tables import STRATA, group, groups_of, standing
from lvo.evaluate.variants import INVARIANCES

__all__ = [
    "SPECIFICITY",
    "Kept",
    "Target",
    "any_lvo_auc",
    "asymmetry_auc",
    "at_specificity",
    "estimate",
    "judged_scores",
    "kept",
    "of_sites",
    "targets",
]

SPECIFICITY = 0.95
_AUC, _PROXIMAL, _M2, _BASILAR = 0.97, 0.95, 0.80, 0.90
_SIDE, _SITE, _NEAR = 0.98, 0.85, 0.90
_FALSE_ALARMS, _CALIBRATION = 0.10, 0.05
_DICE, _CENTER_LINE_DICE, _KEPT = 0.85, 0.88, 0.97


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table.

    Args:
        name: what is measured.
        wanted: in words.
        found: the figure; its value is NaN where nothing was measured.
        met: None where nothing was measured.
        remark: what a reader should know beside it.
    """

    name: str
    wanted: str
    found: Estimate
    met: bool | None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """How a variant changes the answers: the same call and side, and the answers that were turned round."""

    variant: str
    share: Estimate
    reversed: int


def targets(rows: Sequence[Row]) -> tuple[Target, ...]:
    """The table, from all rows of one key."""
    as_is = [row for row in rows if row.variant == AS_IS]
    everything = group("all", as_is)
    point = at_specificity(as_is, (Site.ICA_T, Site.M1))
    proximal = group("ICA-T and M1", of_sites(as_is, (Site.ICA_T, Site.M1))).sensitivity
    specificity = _specificity(as_is)
    judged = group("judged", [row for row in of_sites(as_is, (Site.ICA_T, Site.M1)) if row.judged]).sensitivity
    threshold = f"specificity there {estimate(specificity)}; sensitivity on those judged {estimate(judged)}"
    ranked_last = f"{estimate(any_lvo_auc(as_is))} when occlusions that were not judged rank last"
    return (
        _at_least("any LVO, AUC of those judged", _AUC, any_lvo_auc(as_is, judged_only=True), ranked_last),
        _fixed("ICA-T and M1: sensitivity at the fixed threshold", proximal, specificity, threshold),
        _at_least(
            f"ICA-T and M1: sensitivity at specificity {SPECIFICITY}", _PROXIMAL, point.sensitivity,
            f"threshold {point.threshold:.3f} read off the ROC curve of this set" if point.sensitivity.n else "",
        ),
        *(
            _at_least(f"{name}: sensitivity", limit, group(name, of_sites(as_is, (site,))).sensitivity, "fixed threshold")
            for name, limit, site in (("M2", _M2, Site.M2), ("basilar", _BASILAR, Site.BA))
        ),
        _at_least("side right, when called", _SIDE, everything.side),
        _at_least("site right, when called", _SITE, everything.site),
        _at_least("point within 10 mm, when called", _NEAR, everything.near),
        _worst_family(as_is),
        _at_most("calibration, expected error", _CALIBRATION, _calibration(as_is), "10 bins of equal width"),
        _at_least("artery Dice", _DICE, everything.artery_dice, "mean over cases"),
        _at_least("artery clDice", _CENTER_LINE_DICE, everything.center_line_dice, "mean over cases"),
        *(
            _at_least(f"call and side kept: {one.variant}", _KEPT, one.share, f"{one.reversed} turned round")
            for one in kept(rows)
        ),
    )  # fmt: skip


def of_sites(rows: Sequence[Row], sites: tuple[Site, ...]) -> list[Row]:
    """Positive rows whose main occlusion is at one of the sites."""
    return [row for row in standing(rows, "positive") if row.stops[0].site in sites]


def any_lvo_auc(rows: Sequence[Row], *, judged_only: bool = False) -> Estimate:
    """Area under the ROC curve. Positives that were not judged rank below all, negatives that were not are left out.

    Judged is what `Row.judged` says.
    """
    positives = [row for row in standing(rows, "positive") if row.judged or not judged_only]
    return auc([_score(row) for row in positives], _negative_scores(rows))


def asymmetry_auc(rows: Sequence[Row], sites: tuple[Site, ...] | None = None) -> Estimate:
    """The same for the asymmetry above a threshold, that needs no network, on all cases that have it."""
    positives = standing(rows, "positive") if sites is None else of_sites(rows, sites)
    return auc(*([abs(row.scores["asymmetry"]) for row in part if "asymmetry" in row.scores] for part in (
        positives, standing(rows, "negative"),
    )))  # fmt: skip


def at_specificity(rows: Sequence[Row], sites: tuple[Site, ...]) -> OperatingPoint:
    """Sensitivity for the sites where specificity is at least SPECIFICITY on the negatives that were judged (`Row.judged`)."""
    return sensitivity_at([_score(row) for row in of_sites(rows, sites)], _negative_scores(rows), specificity=SPECIFICITY)


def kept(rows: Sequence[Row]) -> tuple[Kept, ...]:
    """What each variant kept of the call and the side, on the cases that were looked at both ways."""
    as_is = {row.case: row for row in rows if row.variant == AS_IS}
    found = []
    for variant in INVARIANCES:
        pairs = [(as_is[row.case], row) for row in rows if row.variant == variant and row.case in as_is]
        same = sum(_answer(before) == _answer(after) for before, after in pairs)
        turned = sum(_is_reversed(before, after) for before, after in pairs)
        found.append(Kept(variant, proportion(same, len(pairs)), turned))
    return tuple(found)


def estimate(value: Estimate) -> str:
    """A figure with its interval in words; "-" where there is none."""
    return "-" if isnan(value.value) else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _answer(row: Row) -> tuple[object, object]:
    """Call and side; not judged is an answer too."""
    return (None, None) if row.found is None else (row.found.call, row.found.side)


def _is_reversed(before: Row, after: Row) -> bool:
    """Suspected against not detected, or suspected on another side."""
    if before.found is None or after.found is None:
        return False
    calls = {before.found.call, after.found.call}
    return calls == {Call.SUSPECTED, Call.NOT_DETECTED} or (
        calls == {Call.SUSPECTED} and before.found.side is not after.found.side
    )


def judged_scores(rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """Probability, and whether there is an occlusion, of the positives and negatives that were judged."""
    parts = [row for row in rows if row.judged and row.standing != "aside"]
    return [(row.found.probability, row.standing == "positive") for row in parts if row.found is not None]


def _score(row: Row) -> float:
    return float("-inf") if row.found is None else row.found.probability


def _negative_scores(rows: Sequence[Row]) -> list[float]:
    return [probability for probability, positive in judged_scores(rows) if not positive]


def _specificity(rows: Sequence[Row]) -> Estimate:
    negatives = standing(rows, "negative")
    return proportion(sum(not row.suspected for row in negatives), len(negatives))


def _calibration(rows: Sequence[Row]) -> Estimate:
    scores = judged_scores(rows)
    return expected_calibration_error([p for p, _ in scores], [positive for _, positive in scores])


def _worst_family(rows: Sequence[Row]) -> Target:
    """False alarms in the family that has most of them; one family above the limit is a miss."""
    families: Mapping[str, Sequence[Row]] = groups_of(standing(rows, "negative"), STRATA["family"])
    hard = {name: group(name, members).false_alarms for name, members in families.items() if name != "plain"}
    if not hard:
        return _at_most("false positives in each hard-negative family", _FALSE_ALARMS, mean([]))
    worst = max(hard, key=lambda name: hard[name].value)
    above = [name for name, rate in hard.items() if rate.value > _FALSE_ALARMS]
    remark = f"worst of {len(hard)}: {worst}; above the limit: {', '.join(above) or 'none'}"
    return _at_most("false positives in each hard-negative family", _FALSE_ALARMS, hard[worst], remark)


def _fixed(name: str, sensitivity: Estimate, specificity: Estimate, remark: str) -> Target:
    """Both limits must be kept at the threshold of the settings."""
    unknown = isnan(sensitivity.value) or isnan(specificity.value)
    met = None if unknown else sensitivity.value >= _PROXIMAL and specificity.value >= SPECIFICITY
    return Target(name, f">= {_PROXIMAL:.2f}, specificity >= {SPECIFICITY}", sensitivity, met, remark)


def _at_least(name: str, limit: float, found: Estimate, remark: str = "") -> Target:
    return _compared(name, f">= {limit:.2f}", found, lambda value: value >= limit, remark)


def _at_most(name: str, limit: float, found: Estimate, remark: str = "") -> Target:
    return _compared(name, f"<= {limit:.2f}", found, lambda value: value <= limit, remark)


def _compared(name: str, wanted: str, found: Estimate, enough: Callable[[float], bool], remark: str) -> Target:
    return Target(name, wanted, found, None if isnan(found.value) else enough(found.value), remark)
