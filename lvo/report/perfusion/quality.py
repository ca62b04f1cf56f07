"""How far the scan can be trusted: motion over time, and a page of what was measured and what is to be said about it."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvo.core.report import HeadMotion, PerfusionResult, Severity
from lvo.report.labels import candidate_rows, measure_rows
from lvo.report.perfusion.sheet import DPI
from lvo.report.words import NOT_VALIDATED

__all__ = ["draw_motion", "draw_quality"]

USED_COLOR, DROPPED_COLOR = "#0072B2", "#D55E00"
SEVERITY_MARKS = {Severity.REFUSAL: ("✕", "#3B3B3B"), Severity.WARNING: ("▲", "#8A6100"), Severity.INFO: ("●", "#5A5A5A")}
LINE_IN = 0.235
WRAP = 128
MAX_CANDIDATES = 12
"""Rows of candidates on the page; result.json has them all."""


def draw_motion(motion: HeadMotion) -> Figure:
    """Shift and turn of every frame; dropped frames have a cross and a band."""
    figure = Figure(figsize=(12.0, 4.4), dpi=DPI, facecolor="white")
    upper = figure.add_axes((0.065, 0.54, 0.92, 0.36))
    lower = figure.add_axes((0.065, 0.135, 0.92, 0.36), sharex=upper)
    _bars(upper, motion, motion.shift_mm, "shift, mm", least=1.0)
    _bars(lower, motion, motion.turn_deg, "turn, degrees", least=1.0)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("time after the first image, s")
    dropped = int((~motion.used).sum())
    done = "corrected" if motion.corrected else "measured, NOT corrected"
    left_out = f"{dropped} of {motion.used.size} frames dropped (crosses)" if dropped else "no frame dropped"
    most = f"at most {motion.shift_mm.max():.1f} mm and {motion.turn_deg.max():.1f} degrees"
    figure.text(0.01, 0.94, f"Motion {done}: {most}; {left_out}", fontsize=12, fontweight="bold")
    figure.text(0.99, 0.02, NOT_VALIDATED, color="#555555", fontsize=9.5, ha="right")
    return figure


def _bars(axes: Axes, motion: HeadMotion, values: NDArray[np.float64], name: str, *, least: float) -> None:
    """A bar per frame; the axis never zooms in below `least`, so that a still head looks still."""
    width = 0.8 * float(np.median(np.diff(motion.times_s))) if motion.times_s.size > 1 else 1.0
    axes.bar(motion.times_s[motion.used], values[motion.used], width=width, color=USED_COLOR)
    for time_s in motion.times_s[~motion.used]:
        axes.axvspan(time_s - width / 1.6, time_s + width / 1.6, color=DROPPED_COLOR, alpha=0.18, linewidth=0)
    axes.plot(motion.times_s[~motion.used], values[~motion.used], "X", color=DROPPED_COLOR, markersize=9)
    axes.set_ylim(0.0, max(least, 1.15 * float(values.max(initial=0.0))))
    axes.set_ylabel(name)
    axes.grid(visible=True, axis="y", color="#DDDDDD", linewidth=0.6)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)


def draw_quality(result: PerfusionResult) -> Figure:
    """Candidates with their scores, measures, and notes with their severity, as a page of text."""
    candidates, measures = _candidate_lines(result), _measure_lines(result)
    notes = _note_lines(result)
    blocks = [
        ("Curves considered for artery (A) and vein (V)", candidates),
        ("What the quality of the scan was judged by", measures),
        ("What to know", notes or [("nothing was noted", "#1B1B1B")]),
    ]
    blocks = [(title, lines) for title, lines in blocks if lines]
    height_in = 0.6 + sum(0.62 + LINE_IN * len(lines) for _, lines in blocks)
    figure = Figure(figsize=(12.0, height_in), dpi=DPI, facecolor="white")
    y_in = height_in - 0.4
    for title, lines in blocks:
        figure.text(0.015, y_in / height_in, title, fontsize=13, fontweight="bold", va="center")
        y_in -= 0.34
        for words, color in lines:
            figure.text(0.015, y_in / height_in, words, fontsize=10.5, va="center", color=color, family="DejaVu Sans Mono")
            y_in -= LINE_IN
        y_in -= 0.28
    figure.text(0.985, 0.12 / height_in, NOT_VALIDATED, color="#555555", fontsize=9.5, ha="right")
    return figure


def _candidate_lines(result: PerfusionResult) -> list[tuple[str, str]]:
    """A line per candidate, in columns."""
    lines = []
    for row in candidate_rows(result)[:MAX_CANDIDATES]:
        numbers = ", ".join(f"{name} {value}" for name, value in row.measures)
        chosen = "chosen" if row.candidate.chosen else ""
        lines.append((f"{row.name:<4}{chosen:<8}score {row.candidate.score:.2f}  {numbers}", "#1B1B1B"))
    return lines


def _measure_lines(result: PerfusionResult) -> list[tuple[str, str]]:
    """Measures in two columns."""
    cells = [f"{name:<36}{value:>18}" for name, value in measure_rows(result.measures)]
    pairs = [cells[n : n + 2] for n in range(0, len(cells), 2)]
    return [("    ".join(pair), "#1B1B1B") for pair in pairs]


def _note_lines(result: PerfusionResult) -> list[tuple[str, str]]:
    """Notes, the gravest first, each with a mark of its severity."""
    lines = []
    for severity, (mark, color) in SEVERITY_MARKS.items():
        for note in result.notes:
            if note.severity is severity:
                first, *rest = textwrap.wrap(f"{severity.value}: {note.text}", WRAP - 2)
                lines += [(f"{mark} {first}", color), *((f"  {more}", color) for more in rest)]
    return lines
