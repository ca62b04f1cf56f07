"""Everything an audit says, as records: figures, strata, charts, drift and agreement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np

from lvo.audit.cases import Case, in_groups, in_office_hours, quintile_of, start_date
from lvo.audit.drift import Agreement, Drift, agreement, drift_of
from lvo.audit.kpi import INTERVALS, SHARES, Estimate, estimate, minutes_of, share_of
from lvo.audit.xmr import Chart, chart_of

__all__ = ["CHARTED", "STRATA", "Figures", "Summary", "TimeChart", "figures_of", "summarize"]

CHARTED = ("cta_result", "door_in_door_out", "onset_puncture")
"""Times with a chart."""

GROUP, MIN_GROUPS = 10, 6
"""Cases in a row whose median is one point, and points from which a chart is drawn. Months differ in size, and one with two
cases would look like an outlier."""

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
class TimeChart:
    """Medians of one time over every ten cases in a row as a chart; labels are the days on which they began."""

    name: str
    labels: tuple[str, ...]
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
    charts: tuple[TimeChart, ...]
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
    first, last = (start_date(cases[n], zone) for n in (0, -1))
    return Summary(first, last, figures_of(cases), strata, time_charts(cases, zone), drift_of(cases, zone), agreement(cases))


def time_charts(cases: Sequence[Case], zone: ZoneInfo) -> tuple[TimeChart, ...]:
    """Charts of the medians of every ten cases in a row that have the time, from six such groups on."""
    found = []
    for name in CHARTED:
        groups = in_groups([case for case in cases if minutes_of([case], INTERVALS[name])], GROUP)
        if len(groups) >= MIN_GROUPS:
            medians = [float(np.median(minutes_of(group, INTERVALS[name]))) for group in groups]
            labels = tuple(start_date(group[0], zone) for group in groups)
            found.append(TimeChart(name, labels, chart_of(medians)))
    return tuple(found)
