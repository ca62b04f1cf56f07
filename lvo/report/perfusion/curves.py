"""The arterial and the venous curve: every candidate, the chosen ones with their numbers, and where they were read."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from lvo.core.report import Curve, PerfusionResult
from lvo.report.labels import CandidateRow, candidate_rows
from lvo.report.perfusion.sheet import DPI, Mosaic, Sheet, show_grey, show_labels
from lvo.report.words import NOT_VALIDATED

__all__ = ["ARTERY_COLOR", "VEIN_COLOR", "draw_curves"]

ARTERY_COLOR, VEIN_COLOR = "#D55E00", "#0072B2"  # Okabe & Ito: apart for any colour vision
COLORS: Mapping[str, str] = {"aif": ARTERY_COLOR, "vof": VEIN_COLOR}
MAX_PLACES = 4
"""Slices on which the places are shown."""
SIZE_IN = (12.0, 7.6)


def draw_curves(result: PerfusionResult, sheet: Sheet) -> Figure:
    """Curves above, the slices they come from below."""
    figure = Figure(figsize=SIZE_IN, dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.065, 0.535, 0.92, 0.435))
    rows = candidate_rows(result)
    for row in rows:
        if not row.candidate.chosen:
            _line(axes, row.candidate.curve, COLORS[row.candidate.role], chosen=False)
    names = _chosen_names(rows)
    for role, curve, words in (("aif", result.aif, "AIF, artery"), ("vof", result.vof, "VOF, vein")):
        peak = int(curve.enhancement_hu.argmax())
        numbers = f"peak {curve.enhancement_hu[peak]:.0f} HU at {curve.times_s[peak]:.0f} s, {curve.n_voxels} voxels"
        _line(axes, curve, COLORS[role], chosen=True, words=f"{names[role]}: {words}, chosen; {numbers}")
    others = sum(not row.candidate.chosen for row in rows)
    if others:
        axes.plot([], [], color="#888888", linewidth=1.0, label=f"thin: {others} other candidates")
    axes.set_xlabel("time after the first image, s")
    axes.set_ylabel("enhancement above baseline, HU")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.legend(loc="upper right", fontsize=10.5, framealpha=0.95)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    _places(figure, result, rows, sheet)
    figure.text(0.99, 0.012, NOT_VALIDATED, color="#555555", fontsize=9.5, ha="right")
    figure.text(0.01, 0.012, "A: artery, V: vein, ranked by score; R is the patient's right", color="#555555", fontsize=9.5)
    return figure


def _line(axes: Axes, curve: Curve, color: str, *, chosen: bool, words: str | None = None) -> None:
    """One curve; the artery with dots, the vein dashed with squares, other candidates thin."""
    dashed = color == VEIN_COLOR
    if not chosen:
        axes.plot(curve.times_s, curve.enhancement_hu, "--" if dashed else "-", color=color, linewidth=0.8, alpha=0.4)
        return
    style = "s--" if dashed else "o-"
    axes.plot(curve.times_s, curve.enhancement_hu, style, color=color, label=words, markersize=4.5, linewidth=2.0)


def _chosen_names(rows: Sequence[CandidateRow]) -> dict[str, str]:
    """What the chosen curves are called; they have names also when no candidates are recorded."""
    return {"aif": "A1", "vof": "V1"} | {row.candidate.role: row.name for row in rows if row.candidate.chosen}


def _places(figure: Figure, result: PerfusionResult, rows: Sequence[CandidateRow], sheet: Sheet) -> None:
    """The slices that hold the chosen curves, then those that hold most other candidates, with a mark at each place."""
    names = _chosen_names(rows)
    marks = [(names["aif"], "aif", result.aif, True), (names["vof"], "vof", result.vof, True)]
    marks += [(row.name, row.candidate.role, row.candidate.curve, False) for row in rows if not row.candidate.chosen]
    grid = sheet.images["baseline"].grid
    marks = [mark for mark in marks if grid.contains(mark[2].location_lps_mm)]
    slices = [round(float(grid.to_kji(curve.location_lps_mm)[0])) for _, _, curve, _ in marks]
    first = list(dict.fromkeys(slices[:2]))
    rest = sorted(set(slices) - set(first), key=lambda k: (-slices.count(k), k))
    shown = tuple(sorted([*first, *rest][:MAX_PLACES]))
    mosaic = Mosaic(sheet, shown, max(1, len(shown)))
    if not shown:
        return
    axes = figure.add_axes((0.02, 0.045, 0.96, 0.43))
    show_grey(axes, mosaic)
    show_labels(axes, mosaic, size=11.0)
    for name, role, curve, chosen in marks:
        _, column, row = mosaic.to_column_row(curve.location_lps_mm)
        if not math.isnan(column):
            _mark(axes, (column, row), name, COLORS[role], chosen=chosen)


def _mark(axes: Axes, at: tuple[float, float], name: str, color: str, *, chosen: bool) -> None:
    """A ring with its name; thick for the chosen curve."""
    size, width = (13.0, 2.6) if chosen else (8.0, 1.3)
    halo = [Stroke(linewidth=width + 2.0, foreground="white"), Normal()]
    shape = "o" if color == ARTERY_COLOR else "s"
    axes.plot(*at, shape, markersize=size, markerfacecolor="none", markeredgecolor=color, markeredgewidth=width)
    axes.annotate(
        name, at, xytext=(size * 0.75, 3), textcoords="offset points", color=color, fontsize=11 if chosen else 8.5,
        fontweight="bold", path_effects=halo if chosen else [Stroke(linewidth=2.2, foreground="white"), Normal()],
    )  # fmt: skip
