"""Control charts and comparisons as pictures."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lvo.audit.kpi import Estimate
from lvo.audit.xmr import Chart

__all__ = ["draw_chart", "draw_comparison"]

POINT_COLOR, SIGNAL_COLOR, LIMIT_COLOR = "#0072B2", "#D55E00", "#777777"


def draw_chart(chart: Chart, labels: Sequence[str], *, unit: str, factor: float = 1.0) -> bytes:
    """The points with mean and limits above, the moving ranges below; points of a signal are orange diamonds.

    Args:
        chart: of N points.
        labels: (N,) of the points.
        unit: of the values.
        factor: that brings them to this unit, 100 for per cent.
    """
    figure = Figure(figsize=(9.0, 4.6), dpi=100, facecolor="white", layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    n = len(chart.values)
    _series(above, factor * chart.values, range(n), chart.flagged)
    firm = "" if chart.firm else ", provisional"
    for value, words in ((chart.center, "mean"), (chart.low, f"lower limit{firm}"), (chart.high, f"upper limit{firm}")):
        _line(above, factor * value, words, dashed=words != "mean")
    jumps = frozenset((np.flatnonzero(chart.ranges > chart.range_high) + 1).tolist())
    _series(below, factor * chart.ranges, range(1, n), jumps)
    _line(below, factor * chart.range_high, "upper limit", dashed=True)
    above.set_ylabel(unit)
    below.set_ylabel("from one to\nthe next")
    step = max(1, n // 12)
    below.set_xticks(range(0, n, step), [labels[k] for k in range(0, n, step)], rotation=30, ha="right", fontsize=9)
    for axes in (above, below):
        axes.margins(y=0.12)
        axes.set_xlim(-0.6, n + 0.16 * n)
        for edge in ("top", "right"):
            axes.spines[edge].set_visible(False)
    return _png(figure)


def draw_comparison(groups: Mapping[str, Estimate], *, unit: str, factor: float = 1.0, overall: float | None = None) -> bytes:
    """A row per group with its value and interval, and the value of all as a line.

    Args:
        groups: estimates by name; those without a value are left out.
        unit: of the values.
        factor: that brings them to this unit.
        overall: value of all.
    """
    rows = [(name, found) for name, found in groups.items() if found.value is not None][::-1]
    figure = Figure(figsize=(8.0, 1.1 + 0.32 * max(1, len(rows))), dpi=100, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    for y, (_, found) in enumerate(rows):
        if found.low is not None and found.high is not None:
            axes.plot([factor * found.low, factor * found.high], [y, y], "-", color=POINT_COLOR, linewidth=2.0)
        axes.plot(factor * (found.value or 0.0), y, "o", color=POINT_COLOR, markersize=6.5)
    axes.set_yticks(range(len(rows)), [f"{name} (n = {found.n})" for name, found in rows], fontsize=9)
    axes.set_ylim(-0.7, max(1, len(rows)) - 0.3)
    if overall is not None:
        axes.axvline(factor * overall, color=LIMIT_COLOR, linestyle="--", linewidth=1.2)
    axes.set_xlabel(f"{unit}; lines are 95 % confidence intervals, dashed: all cases")
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    return _png(figure)


def _series(axes: Axes, values: np.ndarray, places: range, flagged: frozenset[int]) -> None:
    axes.plot(list(places), values, "o-", color=POINT_COLOR, markersize=5, linewidth=1.2)
    marked = [place for place in places if place in flagged]
    axes.plot(marked, [values[place - places.start] for place in marked], "D", color=SIGNAL_COLOR, markersize=8)


def _line(axes: Axes, value: float, words: str, *, dashed: bool) -> None:
    axes.axhline(value, color=LIMIT_COLOR, linewidth=1.2, linestyle="--" if dashed else "-")
    text, place = f"{words} {value:.{0 if abs(value) >= 10 else 1}f}", ("axes fraction", "data")
    axes.annotate(text, (1.0, value), xycoords=place, ha="right", va="bottom", fontsize=9, color="#444444")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
