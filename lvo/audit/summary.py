"""Everything an audit says, as records: figures, strata, charts, drift and agreement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from lvo.audit.cases import Case, in_office_hours, month_of, quintile_of
from lvo.audit.drift import Agreement, Drift, agreement, drift_of
from lvo.audit.kpi import INTERVALS, SHARES, Estimate, estimate, minutes_of, share_of
from lvo.audit.xmr import Chart, chart_of

__all__ = ["CHARTED", "STRATA", "Figures", "MonthChart", "Summary", "figures_of", "summarize"]

CHARTED = ("cta_result", "door_in_door_out", "onset_puncture")
"""Times with a chart of monthly medians."""

MIN_MONTHS = 6

STRATA: Mapping[str, Callable[[Case, ZoneInfo], str]] = {
    "hospital": lambda case, _zone: case.site,
    "time of arrival": lambda case, zone: "Mon-Fri 8-18 h" if in_office_hours(case, zone) else "nights and weekends",
    "deprivation, fifth": lambda case, _zone: quintile_of(case),
}
"""What figures are split by."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a group of cases: medians of times and shares, by name."""

    n: int
    times: Mapping[str, Estimate]
    shares: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, eq=False)
class MonthChart:
    """Monthly medians of one time as a chart, with the number of cases behind each."""

    name: str
    months: tuple[str, ...]
    numbers: tuple[int, ...]
    chart: Chart


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """An audit.

    Args:
        first: start of the first case, as a date.
        last: of the last case.
        all: figures of all cases.
        strata: figures of each group of each split.
        charts: of all cases.
        drift: of the program, per scanner.
        agreement: of the program with final diagnoses.
    """

    first: str
    last: str
    all: Figures
    strata: Mapping[str, Mapping[str, Figures]]
    charts: tuple[MonthChart, ...]
    drift: tuple[Drift, ...]
    agreement: Agreement


def figures_of(cases: Sequence[Case]) -> Figures:
    """Figures of some cases."""
    return Figures(
        len(cases),
        {name: estimate(cases, interval) for name, interval in INTERVALS.items()},
        {name: share_of(cases, share) for name, share in SHARES.items()},
    )


def summarize(cases: Sequence[Case], zone: ZoneInfo) -> Summary:
    """Everything about some cases.

    Raises:
        ValueError: there are none.
    """
    if not cases:
        msg = "an audit needs at least one case"
        raise ValueError(msg)
    strata = {}
    for split, group_of in STRATA.items():
        groups: dict[str, list[Case]] = {}
        for case in cases:
            groups.setdefault(group_of(case, zone), []).append(case)
        strata[split] = {group: figures_of(groups[group]) for group in sorted(groups)}
    first, last = (f"{cases[n].start.astimezone(zone):%Y-%m-%d}" for n in (0, -1))
    return Summary(first, last, figures_of(cases), strata, month_charts(cases, zone), drift_of(cases, zone), agreement(cases))


def month_charts(cases: Sequence[Case], zone: ZoneInfo) -> tuple[MonthChart, ...]:
    """Charts of monthly medians, where at least six months have cases."""
    found = []
    for name in CHARTED:
        by_month: dict[str, list[float]] = {}
        for case in cases:
            by_month.setdefault(month_of(case, zone), []).extend(minutes_of([case], INTERVALS[name]))
        months = sorted(month for month, minutes in by_month.items() if minutes)
        if len(months) >= MIN_MONTHS:
            medians = [float(np.median(by_month[month])) for month in months]
            numbers = tuple(len(by_month[month]) for month in months)
            found.append(MonthChart(name, tuple(months), numbers, chart_of(medians)))
    return tuple(found)
