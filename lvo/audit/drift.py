"""Whether the program still does what it did: what it says per scanner over time, and how often it was right."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from lvo.audit.cases import Case, in_groups, start_date
from lvo.audit.kpi import SHARES, Estimate, share_of
from lvo.audit.xmr import Chart, chart_of

__all__ = ["Agreement", "Drift", "agreement", "drift_of"]

CALLS = ("suspected", "indeterminate", "not_detected", "not_assessable")
GROUP = 30
"""Results in a row whose share is one point of a chart: about a month of a middling hospital."""

MIN_GROUPS = 6
"""Points from which a chart is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """What the program said on one scanner.

    Args:
        scanner: its label, "unknown" where none is on record.
        positive: share of its results that suspect an occlusion.
        not_assessable: share that it could not judge.
        labels: day on which each group of 30 results in a row began.
        charts: of the shares "positive" and "not_assessable" of each group; empty with fewer than six groups.
    """

    scanner: str
    positive: Estimate
    not_assessable: Estimate
    labels: tuple[str, ...]
    charts: dict[str, Chart]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the program said against the final diagnosis.

    Args:
        table: for each call, cases with an occlusion, without one, and without a final diagnosis.
        positive_predictive: of its suspicions, how many were right.
        found: of the occlusions it was asked about, how many it suspected.
    """

    table: dict[str, tuple[int, int, int]]
    positive_predictive: Estimate
    found: Estimate


def drift_of(cases: Sequence[Case], zone: ZoneInfo) -> tuple[Drift, ...]:
    """One row per scanner, the busiest first."""
    asked = [case for case in cases if case.call not in (None, "absent")]
    by_scanner: dict[str, list[Case]] = {}
    for case in asked:
        by_scanner.setdefault(case.scanner or "unknown", []).append(case)
    ordered = sorted(by_scanner.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(_scanner(name, own, zone) for name, own in ordered)


def agreement(cases: Sequence[Case]) -> Agreement:
    """Calls against final diagnoses."""
    table = {
        call: tuple(sum(case.call == call and case.lvo is answer for case in cases) for answer in (True, False, None))
        for call in CALLS
    }
    occluded = [case for case in cases if case.lvo is True and case.call not in (None, "absent")]
    return Agreement(
        {call: (row[0], row[1], row[2]) for call, row in table.items()},
        share_of(cases, SHARES["positive_predictive"]),
        share_of(occluded, SHARES["positive"]),
    )


def _scanner(name: str, cases: Sequence[Case], zone: ZoneInfo) -> Drift:
    groups = in_groups(cases, GROUP)
    charts = {}
    if len(groups) >= MIN_GROUPS:
        for share in ("positive", "not_assessable"):
            charts[share] = chart_of([share_of(group, SHARES[share]).value or 0.0 for group in groups], ceiling=1.0)
    labels = tuple(start_date(group[0], zone) for group in groups)
    return Drift(name, share_of(cases, SHARES["positive"]), share_of(cases, SHARES["not_assessable"]), labels, charts)
