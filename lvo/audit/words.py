"""Estimates, signals and cases in words."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from lvo.audit.cases import Case
from lvo.audit.kpi import INTERVALS, SHARES, Estimate
from lvo.audit.summary import Figures
from lvo.audit.xmr import FIRM_POINTS, Chart
from lvo.eventlog import EventKind
from lvo.report.plain import Table

__all__ = ["CASE_COLUMNS", "case_row", "figure_rows", "share_words", "signal_words", "times_words"]

NONE = "—"
CASE_COLUMNS = (
    "Case", "Arrival", "AI said", "Final", "CT to AI", "Door to door", "Transfer", "Onset to puncture", "mTICI",
)  # fmt: skip


def times_words(found: Estimate) -> tuple[str, str, str]:
    """Number, median with interval, and middle half of a time."""
    if found.value is None or found.quartiles is None:
        return ("0", NONE, NONE)
    interval = (
        "too few for an interval"
        if found.low is None or found.high is None
        else f"{_minutes(found.low)}-{_minutes(found.high)}"
    )
    first, third = found.quartiles
    return (str(found.n), f"{_minutes(found.value)} ({interval})", f"{_minutes(first)}-{_minutes(third)}")


def share_words(found: Estimate) -> tuple[str, str]:
    """Number, and share with interval."""
    if found.value is None or found.low is None or found.high is None:
        return ("0", NONE)
    return (str(found.n), f"{100 * found.value:.0f} % ({100 * found.low:.0f}-{100 * found.high:.0f})")


def figure_rows(figures: Figures) -> tuple[Table, Table]:
    """All times and all shares as tables."""
    times = tuple(
        (INTERVALS[name].label, *times_words(found), str(found.unknown), str(found.impossible))
        for name, found in figures.times.items()
    )
    shares = tuple((SHARES[name].label, *share_words(found), str(found.unknown)) for name, found in figures.shares.items())
    return (
        Table(("Time", "cases", "median, min (95 % CI)", "middle half", "unknown", "impossible"), times),
        Table(("Share", "cases", "share (95 % CI)", "unknown"), shares),
    )


def signal_words(chart: Chart, labels: Sequence[str]) -> tuple[str, ...]:
    """What speaks for a change, a sentence per rule; says so when nothing does."""
    words = [f"{signal.rule}: {', '.join(_runs(signal.points, labels))}" for signal in chart.signals]
    if not words:
        words = ["No rule speaks for a change"]
    if not chart.firm:
        words.append(f"limits are provisional below {FIRM_POINTS} points")
    return tuple(f"{text[0].upper()}{text[1:]}." for text in words)


def _runs(points: Sequence[int], labels: Sequence[str]) -> list[str]:
    """Labels of points, those in a row as "first to last"."""
    runs: list[list[int]] = []
    for point in points:
        if runs and point == runs[-1][-1] + 1:
            runs[-1].append(point)
        else:
            runs.append([point])
    return [labels[run[0]] if len(run) == 1 else f"{labels[run[0]]} to {labels[run[-1]]}" for run in runs]


def case_row(case: Case, zone: ZoneInfo) -> tuple[str, ...]:
    """One case for the hospital it started in."""
    final = {True: "occlusion", False: "none", None: NONE}[case.lvo]
    arrival = case.at(EventKind.ARRIVAL)
    names = ("cta_result", "door_in_door_out", "transfer", "onset_puncture")
    minutes = (case.minutes(INTERVALS[name].start, INTERVALS[name].end) for name in names)
    *times, onset = (NONE if m is None else f"{m:.0f} min" for m in minutes)
    return (
        case.name,
        NONE if arrival is None else f"{arrival.astimezone(zone):%Y-%m-%d %H:%M}",
        (case.call or NONE).replace("_", " "),
        final,
        *times,
        onset if case.onset_seen or onset == NONE else f"{onset} since last known well",
        case.mtici or NONE,
    )


def _minutes(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
