"""An audit as pages: the whole service, one feedback page per referring hospital, and what small numbers can show."""

import math
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from lvo.audit.cases import Case
from lvo.audit.drift import GROUP as RESULTS_GROUP
from lvo.audit.drift import MIN_GROUPS
from lvo.audit.figures import draw_chart, draw_comparison
from lvo.audit.kpi import INTERVALS, SHARES, minutes_of
from lvo.audit.power import median_power, share_power
from lvo.audit.summary import GROUP, Figures, Summary, TimeChart, figures_of, time_charts
from lvo.audit.words import CASE_COLUMNS, case_row, figure_rows, share_words, signal_words, times_words
from lvo.audit.xmr import Chart
from lvo.report.plain import Picture, Section, Table, render_plain

__all__ = ["render_feedback", "render_numbers", "render_overview"]

LIMITS = (
    "Times and shares with 95 % confidence intervals; unknown and impossible times are left out and counted.",
    "Groups are not adjusted for who comes to them, and many are looked at: one in twenty intervals misses.",
)
SPLIT_TIMES = ("door_in_door_out", "onset_puncture", "cta_result")
SPLIT_SHARES = ("thrombectomy_suspected", "reperfused")

NUMBERS = (10, 30, 60, 120, 360)
CHANGES_MIN = (10.0, 20.0, 40.0)
SUPPOSED_MEDIAN_MIN, SUPPOSED_SPREAD = 130.0, 0.30
"""Door-in-door-out where a log has too few: the median published for the NHS in 2022, and a spread that is supposed."""
MIN_TIMES = 20


def render_overview(summary: Summary) -> str:
    """The page of the whole service."""
    times, shares = figure_rows(summary.all)
    sections = [
        Section("Times", tables=(times,)),
        Section("Shares", tables=(shares,)),
        *(_chart_section(chart) for chart in summary.charts),
        *(_split(name, groups, summary.all) for name, groups in summary.strata.items()),
        _agreement(summary),
        _drift(summary),
    ]
    lead = (f"{summary.all.n} cases from {summary.first} to {summary.last}.", *LIMITS)
    return render_plain("Audit of the stroke service", sections, lead=lead)


def render_feedback(site: str, cases: Sequence[Case], others: Sequence[Case], zone: ZoneInfo) -> str:
    """The page of one referring hospital.

    Args:
        site: its code.
        cases: that started there.
        others: all other cases.
        zone: for times of day.
    """
    own, rest = figures_of(cases), figures_of(others)
    rows = tuple(
        (label, *times_words(own.times[name])[:2], *times_words(rest.times[name])[:2])
        for name, label in ((name, interval.label) for name, interval in INTERVALS.items())
        if own.times[name].n
    )
    share_rows = tuple(
        (share.label, *share_words(own.shares[name])[:2], *share_words(rest.shares[name])[:2])
        for name, share in SHARES.items()
        if own.shares[name].n
    )
    columns = ("", "your cases", "median (95 % CI)", "other cases", "median (95 % CI)")
    share_columns = ("", "your cases", "share (95 % CI)", "other cases", "share (95 % CI)")
    sections = [
        Section("Your times", tables=(Table(columns, rows),)),
        Section("Your shares", tables=(Table(share_columns, share_rows),)),
        *(_chart_section(chart) for chart in time_charts(cases, zone)),
        Section(
            "Your cases",
            ("Pseudonyms, as in the event log. A dash is not on record.",),
            (Table(CASE_COLUMNS, tuple(case_row(case, zone) for case in cases)),),
        ),
    ]
    few = f"{len(cases)} cases: see what small numbers can show before acting on a difference (small-numbers.html)."
    return render_plain(f"Feedback to hospital {site}", sections, lead=(few, *LIMITS))


def render_numbers(cases: Sequence[Case]) -> str:
    """What 30 patients a month can and cannot show, on this service's own spread where it has enough transfers."""
    times = [minutes for minutes in minutes_of(cases, INTERVALS["door_in_door_out"]) if minutes > 0]
    enough = len(times) >= MIN_TIMES
    median = float(np.median(times)) if enough else SUPPOSED_MEDIAN_MIN
    spread = float(np.std(np.log(times), ddof=1)) if enough else SUPPOSED_SPREAD
    changes = tuple(change for change in CHANGES_MIN if change < median) or (median / 2,)
    rows = median_power(median, spread, NUMBERS, changes)
    table = Table(
        (
            "Patients before, and again after",
            "usual 95 % CI of the median",
            *(f"{c:.0f} min shorter is noticed" for c in changes),
        ),
        tuple((f"{r.n}", _interval(r.low, r.high), *(f"{100 * p:.0f} %" for p in r.noticed)) for r in rows),
    )
    from_log = f"{len(times)} transfers in this log" if enough else f"{len(times)} transfers are too few, so supposed"
    month = next(row for row in rows if row.n == 30)
    seen = f"a comparison of two such months would notice it {100 * month.noticed[0]:.0f} times in 100"
    lead = (
        f"A month of 30 transfers knows a median of {median:.0f} min to be between about {month.low:.0f} and {month.high:.0f}.",
        f"If all doors became {changes[0]:.0f} min faster, {seen}.",
        "So: add months up, or look at the control chart, which gathers them; do not act on one month.",
    )
    sections = [
        Section("A median time", (f"Median {median:.0f} min, spread of the logarithm {spread:.2f} ({from_log}).",), (table,)),
        Section("A share", ("How often a test of two proportions notices a real change.",), _share_tables()),
        Section("What a month of 30 can show", _CAN),
        Section("What it cannot show", _CANNOT),
    ]
    return render_plain("What 30 patients a month can and cannot show", sections, lead=lead)


_CAN = (
    "A time that doubles. A hospital whose every transfer takes longer than the limit of its own chart.",
    "A program that suddenly calls everything, or nothing, or can judge nothing.",
    "One case that went wrong: read it, it needs no statistics.",
)
_CANNOT = (
    "A change of 10 minutes in a median. A thrombectomy rate that rises from 5 to 10 %. Which of two hospitals is better.",
    "How often the program misses an occlusion: 30 suspected strokes hold too few occlusions.",
    "Whether a positive predictive value of 60 % became 80 %.",
)
_CHANGED_SHARES = {
    "thrombectomy of suspected strokes, 5 % to 10 %": (0.05, 0.10),
    "door-out within 90 min, 30 % to 50 %": (0.30, 0.50),
    "mTICI 2b to 3, 81 % to 90 %": (0.81, 0.90),
    "AI right of its suspicions, 60 % to 80 %": (0.60, 0.80),
}


def _share_tables() -> tuple[Table, ...]:
    found = {label: share_power(before, after, NUMBERS) for label, (before, after) in _CHANGED_SHARES.items()}
    rows = tuple(
        (label, *(f"{_interval(100 * p.low, 100 * p.high)} %; {100 * p.noticed:.0f} %" for p in powers))
        for label, powers in found.items()
    )
    return (Table(("Change; 95 % CI before; noticed", *(f"n = {n}" for n in NUMBERS)), rows),)


def _interval(low: float, high: float) -> str:
    return "none" if math.isnan(low) else f"{low:.0f}-{high:.0f}"


def _chart_section(chart: TimeChart) -> Section:
    label = INTERVALS[chart.name].label
    png = draw_chart(chart.chart, chart.labels, unit="minutes")
    caption = f"{label}: median of every {GROUP} cases in a row, by the day on which they began"
    return Section(f"Over time: {label}", signal_words(chart.chart, chart.labels), (), (Picture(png, caption),))


def _split(name: str, groups: Mapping[str, Figures], total: Figures) -> Section:
    rows = tuple(
        (
            group, str(own.n), *(times_words(own.times[key])[1] for key in SPLIT_TIMES),
            *(share_words(own.shares[key])[1] for key in SPLIT_SHARES),
        )
        for group, own in groups.items()
    )  # fmt: skip
    columns = (name, "cases", *(INTERVALS[key].label for key in SPLIT_TIMES), *(SHARES[key].label for key in SPLIT_SHARES))
    times = {group: own.times["door_in_door_out"] for group, own in groups.items()}
    pictures: tuple[Picture, ...] = ()
    if sum(found.n > 0 for found in times.values()) > 1:
        png = draw_comparison(times, unit="door-in to door-out, minutes", overall=total.times["door_in_door_out"].value)
        pictures = (Picture(png, f"Median door-in to door-out by {name}"),)
    return Section(f"By {name}", (), (Table(columns, rows),), pictures)


def _agreement(summary: Summary) -> Section:
    found = summary.agreement
    rows = tuple((call.replace("_", " "), *map(str, numbers)) for call, numbers in found.table.items())
    table = Table(("AI said", "occlusion", "none", "no final diagnosis"), rows)
    unknown = found.table["suspected"][2]
    words = (
        f"Right of its suspicions (positive predictive value): {share_words(found.positive_predictive)[1]}.",
        f"Suspected of the occlusions that it was shown: {share_words(found.found)[1]}.",
        f"{unknown} suspicions have no final diagnosis: if those were mostly wrong, the first figure is too high.",
    )
    return Section("AI against the final diagnosis", words, (table,))


def _drift(summary: Summary) -> Section:
    rows = tuple(
        (d.scanner, str(d.positive.n), share_words(d.positive)[1], share_words(d.not_assessable)[1], _drift_words(d.charts))
        for d in summary.drift
    )
    pictures = tuple(
        Picture(
            draw_chart(chart, d.labels, unit="per cent of results", factor=100.0),
            f"{SHARES[name].label}, scanner {d.scanner}: {'; '.join(signal_words(chart, d.labels))}",
        )
        for d in summary.drift
        for name, chart in d.charts.items()
        if chart.signals or d is summary.drift[0]
    )
    shown = "Charts are shown for the busiest scanner, and wherever a rule speaks for a change."
    words = (f"A point is {RESULTS_GROUP} results in a row. {shown}",) if pictures else ()
    columns = ("Scanner", "results", "suspected (95 % CI)", "could not judge (95 % CI)", "over time")
    return Section("What the AI says, by scanner", words, (Table(columns, rows),), pictures)


def _drift_words(charts: Mapping[str, Chart]) -> str:
    signals = [name for name, chart in charts.items() if chart.signals]
    if not charts:
        return f"fewer than {RESULTS_GROUP * MIN_GROUPS} results"
    return f"change: {', '.join(name.replace('_', ' ') for name in signals)}" if signals else "no signal"
