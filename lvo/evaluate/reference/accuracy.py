"""Counts and shares: the table of answers, sensitivity and specificity for all cases and for every subgroup.

A study that was not analysed is never dropped. Three ways of counting it are shown side by side: as a service sees it (no
alarm was raised: an occlusion is missed, a negative is spared), the worst case (wrong either way), and judged studies only.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from lvo.core.report import Site
from lvo.evaluate.metrics import Estimate, proportion
from lvo.evaluate.pictures import NEAR_MM
from lvo.evaluate.reference.numbers import Number
from lvo.evaluate.reference.records import Answer, Case

__all__ = [
    "ANSWERS", "CHAPTER", "SENSITIVITY", "SPECIFICITY", "SUBGROUPS", "accuracy", "answer_table", "cases_by", "group_of",
    "subgroup_names", "subgroups",
]  # fmt: skip

CHAPTER: Final = "accuracy"
SUBGROUPS: Final = "subgroups"
SENSITIVITY, SPECIFICITY = "sensitivity", "specificity"
"""Not analysed = no alarm; the numbers that everything else is compared with."""

ANSWERS: tuple[Answer, ...] = ("suspected", "indeterminate", "not detected", "not judged", "no result")
_ANALYSED = frozenset({"suspected", "indeterminate", "not detected"})

Method: TypeAlias = Literal["wilson", "exact"]
METHODS: Mapping[Method, str] = MappingProxyType({"wilson": "Wilson", "exact": "Clopper-Pearson"})

_EDGES: Mapping[str, tuple[tuple[float, ...], str]] = MappingProxyType(
    {"age": ((50.0, 65.0, 80.0), "years"), "slice_mm": ((0.8, 1.1, 2.0), "mm")}
)
"""Where bins begin; the first and the last are open."""
_FIRST = ("site", "side", "centre", "scanner", "kv", "slice_mm", "age", "sex", "split")


def answer_table(positives: Sequence[Case], negatives: Sequence[Case]) -> list[tuple[Answer, int, int]]:
    """How often each answer was given with and without an occlusion: the 2 by 2 table with the rows it usually hides."""

    def count(cases: Sequence[Case], answer: Answer) -> int:
        return sum(case.answer == answer for case in cases)

    return [(answer, count(positives, answer), count(negatives, answer)) for answer in ANSWERS]


def accuracy(cases: Sequence[Case], *, chapter: str = CHAPTER, group: str = "") -> list[Number]:
    """Every share, each with Wilson's and with Clopper and Pearson's interval.

    Args:
        cases: with a covered occlusion or none.
        chapter: of the numbers.
        group: of the numbers.
    """
    return [
        Number(chapter, name, proportion(hits, n, method=method), words, group)
        for name, hits, n in _counts(cases)
        for method, words in METHODS.items()
    ]


def _counts(cases: Sequence[Case]) -> list[tuple[str, int, int]]:
    positives = [case for case in cases if case.standing == "positive"]
    negatives = [case for case in cases if case.standing == "negative"]
    called, alarms = (sum(case.suspected for case in part) for part in (positives, negatives))
    analysed, spared = (sum(case.answer in _ANALYSED for case in part) for part in (positives, negatives))
    judged, cleared = ([case for case in part if case.judged] for part in (positives, negatives))
    noticed, unsure = (sum(case.answer == "indeterminate" for case in part) for part in (positives, negatives))
    calls = [case for case in positives if case.suspected]
    sides, sites = ([known for known in part if known is not None] for part in (
        [case.side_right for case in calls], [case.site_right for case in calls],
    ))  # fmt: skip
    away = [case.distance_mm for case in calls if case.distance_mm is not None]
    return [
        (SENSITIVITY, called, len(positives)),
        (SPECIFICITY, len(negatives) - alarms, len(negatives)),
        ("sensitivity, judged only", sum(case.suspected for case in judged), len(judged)),
        ("specificity, judged only", sum(not case.suspected for case in cleared), len(cleared)),
        ("specificity, not analysed = wrong", spared - alarms, len(negatives)),
        ("sensitivity, indeterminate = alarm", called + noticed, len(positives)),
        ("specificity, indeterminate = alarm", len(negatives) - alarms - unsure, len(negatives)),
        ("called on the right side", sum(case.side_right is True for case in calls), sum(map(_has_side, positives))),
        ("positive predictive value in this sample", called, called + alarms),
        (
            "negative predictive value in this sample",
            sum(case.answer == "not detected" for case in negatives),
            sum(case.answer == "not detected" for case in (*positives, *negatives)),
        ),
        ("side right, when called", sum(sides), len(sides)),
        ("artery right, when called", sum(sites), len(sites)),
        (f"point within {NEAR_MM:g} mm, when called", sum(distance <= NEAR_MM for distance in away), len(away)),
        ("not analysed", len(positives) + len(negatives) - analysed - spared, len(positives) + len(negatives)),
    ]


def _has_side(case: Case) -> bool:
    return case.truth.side is not None


def subgroup_names(cases: Sequence[Case]) -> tuple[str, ...]:
    """What cases can be sorted by: of what the table has, the usual things first."""
    facts = dict.fromkeys(name for case in cases for name in case.truth.facts)
    there = [name for name in ("site", "side") if any(getattr(case.truth, name) is not None for case in cases)]
    return tuple(sorted((*there, *facts), key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)))


def group_of(case: Case, name: str) -> str | None:
    """The group of a case: None where it has none, as a negative has no site."""
    if name in {"site", "side"}:
        if case.standing == "negative":
            return None
        value = case.truth.site if name == "site" else case.truth.side
        return "unknown" if value is None else value.value
    fact = case.truth.facts.get(name)
    if fact is None:
        return "unknown"
    if isinstance(fact, float) and name in _EDGES:
        return _bin(fact, *_EDGES[name])
    return f"{fact:g}" if isinstance(fact, float) else fact


def cases_by(cases: Sequence[Case], name: str) -> dict[str, list[Case]]:
    """Cases by group, in the order in which groups sort."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        group = group_of(case, name)
        if group is not None:
            groups.setdefault(group, []).append(case)
    order = _bins(*_EDGES[name]) if name in _EDGES else tuple(Site) if name == "site" else ()
    return {group: groups[group] for group in sorted(groups, key=_place(order))}


def subgroups(cases: Sequence[Case]) -> list[Number]:
    """Sensitivity and specificity of every group, and how many were not analysed."""
    wanted = {SENSITIVITY, SPECIFICITY, "called on the right side", "not analysed"}
    return [
        number
        for name in subgroup_names(cases)
        for group, members in cases_by(cases, name).items()
        for number in accuracy(members, chapter=SUBGROUPS, group=f"{name}: {group}")
        if number.name in wanted and number.estimate.n
    ]


def _place(order: tuple[str, ...]) -> Callable[[str], tuple[int, float, str]]:
    """Bins in their order, numbers by size, words by alphabet, unknown last."""

    def place(group: str) -> tuple[int, float, str]:
        if group == "unknown":
            return (2, 0.0, "")
        if group in order:
            return (0, float(order.index(group)), "")
        number = group.replace(".", "", 1)
        return (0, float(group), "") if number.isdecimal() else (1, 0.0, group)

    return place


def _bins(edges: tuple[float, ...], unit: str) -> tuple[str, ...]:
    middle = [f"{low:g} to {high:g} {unit}" for low, high in pairwise(edges)]
    return (f"below {edges[0]:g} {unit}", *middle, f"{edges[-1]:g} {unit} and more")


def _bin(value: float, edges: tuple[float, ...], unit: str) -> str:
    return _bins(edges, unit)[bisect_right(edges, value)]


def share(numbers: Sequence[Number], name: str) -> Estimate:
    """Wilson's estimate of a share of all cases.

    Raises:
        KeyError: there is none of that name.
    """
    for number in numbers:
        if (number.name, number.group, number.method) == (name, "", METHODS["wilson"]):
            return number.estimate
    raise KeyError(name)
