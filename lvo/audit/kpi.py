"""Figures of a service with confidence intervals: medians of times, and shares.

A time that is missing is counted as unknown, one that runs backwards as impossible; neither is used and both are shown.
Intervals are exact for medians (order statistics, scipy) and Wilson's for shares (scipy).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from lvo.audit.cases import Case
from lvo.eventlog import EventKind

__all__ = ["INTERVALS", "SHARES", "Estimate", "Interval", "Share", "estimate", "minutes_of", "share_of"]

CONFIDENCE = 0.95
LONGEST_MIN = 7 * 1440.0
"""Longer times are slips of the pen."""

FAST_DOOR_MIN = 90.0
"""Door-in-door-out that services aim at."""

REPERFUSED = frozenset({"2b", "2c", "3"})
"""Successful reperfusion: mTICI 2b or better."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median or a share with its 95 % confidence interval.

    Args:
        n: cases it rests on.
        value: median in minutes, or share; None without cases.
        low: lower end of the interval, None where there are too few cases for one.
        high: upper end, likewise.
        quartiles: middle half of the times, None for a share or without cases.
        unknown: cases that belong here and lack what is needed.
        impossible: cases whose times run backwards or are longer than a week.
    """

    n: int
    value: float | None
    low: float | None
    high: float | None
    quartiles: tuple[float, float] | None = None
    unknown: int = 0
    impossible: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A time of the pathway. `wanted` says which cases belong to it: a missing time of another case is no gap in the record."""

    name: str
    label: str
    start: EventKind
    end: EventKind
    wanted: Callable[[Case], bool] = lambda _case: True


@dataclass(frozen=True, slots=True)
class Share:
    """A share: of the cases that belong to it, those that fulfil it; None when that is unknown."""

    name: str
    label: str
    of: Callable[[Case], bool]
    fulfils: Callable[[Case], bool | None]


def _has(*kinds: EventKind) -> Callable[[Case], bool]:
    return lambda case: any(kind in case.events for kind in kinds)


def _fast_door(case: Case) -> bool | None:
    minutes = case.minutes(EventKind.ARRIVAL, EventKind.DOOR_OUT)
    return None if minutes is None or not _possible(minutes) else minutes <= FAST_DOOR_MIN


E = EventKind
INTERVALS: Mapping[str, Interval] = {
    interval.name: interval
    for interval in (
        Interval("arrival_ncct", "arrival to plain CT", E.ARRIVAL, E.NCCT, _has(E.NCCT)),
        Interval("ncct_cta", "plain CT to CT angiogram", E.NCCT, E.CTA, _has(E.CTA)),
        Interval("cta_result", "CT angiogram to AI result", E.CTA, E.RESULT_OUT, _has(E.RESULT_OUT)),
        Interval("image_result", "first image in to AI result", E.FIRST_IMAGE_IN, E.RESULT_OUT, _has(E.FIRST_IMAGE_IN)),
        Interval("cta_read", "CT angiogram to reading", E.CTA, E.READ, _has(E.READ)),
        Interval("cta_referred", "CT angiogram to referral", E.CTA, E.REFERRED, _has(E.REFERRED)),
        Interval("referred_accepted", "referral to acceptance", E.REFERRED, E.ACCEPTED, _has(E.ACCEPTED)),
        Interval("door_in_door_out", "door-in to door-out", E.ARRIVAL, E.DOOR_OUT, _has(E.DOOR_OUT)),
        Interval("transfer", "transfer", E.DOOR_OUT, E.HUB_ARRIVAL, _has(E.DOOR_OUT)),
        Interval("hub_puncture", "arrival at the centre to puncture", E.HUB_ARRIVAL, E.PUNCTURE,
                 lambda case: E.PUNCTURE in case.events and E.DOOR_OUT in case.events),
        Interval("onset_puncture", "onset to puncture (onset seen)", E.ONSET, E.PUNCTURE,
                 lambda case: E.PUNCTURE in case.events and case.onset_seen),
        Interval("puncture_reperfusion", "puncture to reperfusion", E.PUNCTURE, E.REPERFUSION, _has(E.REPERFUSION)),
    )
}  # fmt: skip
"""Times by name, in the order of the pathway."""

SHARES: Mapping[str, Share] = {
    share.name: share
    for share in (
        Share("cta_rate", "CT angiogram, of those with a plain CT", _has(E.NCCT), _has(E.CTA)),
        Share("thrombectomy_suspected", "thrombectomy, of all cases", lambda _case: True, _has(E.PUNCTURE)),
        Share("thrombectomy_lvo", "thrombectomy, of final large-vessel occlusions", lambda c: c.lvo is True, _has(E.PUNCTURE)),
        Share("reperfused", "mTICI 2b to 3, of thrombectomies", _has(E.PUNCTURE),
              lambda c: None if c.mtici is None else c.mtici in REPERFUSED),
        Share("fast_door", f"door-out within {FAST_DOOR_MIN:g} min, of transfers", _has(E.DOOR_OUT), _fast_door),
        Share("not_assessable", "AI could not judge, of its results", lambda c: c.call not in (None, "absent"),
              lambda c: c.call == "not_assessable"),
        Share("positive", "AI suspects an occlusion, of its results", lambda c: c.call not in (None, "absent"),
              lambda c: c.call == "suspected"),
        Share("positive_predictive", "AI right, of its suspicions", lambda c: c.call == "suspected", lambda c: c.lvo),
    )
}  # fmt: skip
"""Shares by name."""


def minutes_of(cases: Sequence[Case], interval: Interval) -> list[float]:
    """Possible times of the cases that have them, in the order of the cases."""
    found = (case.minutes(interval.start, interval.end) for case in cases if interval.wanted(case))
    return [minutes for minutes in found if minutes is not None and _possible(minutes)]


def estimate(cases: Sequence[Case], interval: Interval) -> Estimate:
    """Median of a time."""
    belonging = [case.minutes(interval.start, interval.end) for case in cases if interval.wanted(case)]
    used = minutes_of(cases, interval)
    unknown = sum(minutes is None for minutes in belonging)
    impossible = len(belonging) - unknown - len(used)
    if not used:
        return Estimate(0, None, None, None, None, unknown, impossible)
    bounds: Any = stats.quantile_test(used, p=0.5).confidence_interval(confidence_level=CONFIDENCE)
    low, high = (None if math.isnan(bound) else float(bound) for bound in (bounds.low, bounds.high))
    if low is None or high is None:
        low = high = None
    first, median, third = np.quantile(used, (0.25, 0.5, 0.75))
    return Estimate(len(used), float(median), low, high, (float(first), float(third)), unknown, impossible)


def share_of(cases: Sequence[Case], share: Share) -> Estimate:
    """A share of cases."""
    answers = [share.fulfils(case) for case in cases if share.of(case)]
    known = [answer for answer in answers if answer is not None]
    unknown = len(answers) - len(known)
    if not known:
        return Estimate(0, None, None, None, None, unknown)
    bounds = stats.binomtest(sum(known), len(known)).proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Estimate(len(known), sum(known) / len(known), float(bounds.low), float(bounds.high), None, unknown)


def _possible(minutes: float) -> bool:
    return 0.0 <= minutes <= LONGEST_MIN
