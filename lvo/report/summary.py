"""The result in one picture, for viewers that show nothing else: the call with its limits, the site, perfusion, coverage."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Assessed
from lvo.core.report import CtaResult, Report
from lvo.report.closeup import CloseView, show_close
from lvo.report.marks import ring_site, show_slab
from lvo.report.perfusion import lesion_sheet
from lvo.report.perfusion.mosaic import show_lesion
from lvo.report.slabs import Slab
from lvo.report.words import CALL_LIMIT, UNJUDGED_LIMIT, cta_headline, perfusion_headline

__all__ = ["draw_summary"]

MAX_REASONS = 5
"""Reasons that fit where a picture would be; the report has them all."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Projections of the angiogram that several pictures show: the slab through the site, and the close-ups."""

    axial: Slab
    close: list[list[CloseView]]


def draw_summary(report: Report, shown: Shown | None) -> Figure:
    """The picture; nothing is `shown` where the angiogram was not judged."""
    figure = Figure(figsize=(12.0, 9.0), dpi=100, facecolor="white")
    call, perfusion = cta_headline(report), perfusion_headline(report)
    band = figure.add_axes((0, 0.8, 1, 0.2), facecolor=call.color)
    band.set_xticks([])
    band.set_yticks([])
    unjudged = call.state in {"not_assessable", "absent"}
    if unjudged:
        band.patch.set_hatch("//")
        band.patch.set_edgecolor("#8C8C8C")
    lines = [f"{call.symbol}  {call.title}", "   ".join(t for t in (call.where, call.numbers) if t) or " ".join(call.sentences)]
    box = {"facecolor": call.color, "edgecolor": "none", "pad": 5}
    band.text(
        0.02, 0.76, lines[0], transform=band.transAxes, color="white", fontsize=26, fontweight="bold", va="center", bbox=box
    )
    band.text(
        0.02,
        0.43,
        textwrap.shorten(lines[1], 85, placeholder=" ..."),
        transform=band.transAxes,
        color="white",
        fontsize=16,
        va="center",
        bbox=box,
    )
    band.text(
        0.02,
        0.14,
        f"RESEARCH USE ONLY. {UNJUDGED_LIMIT if unjudged else CALL_LIMIT}",
        transform=band.transAxes,
        color="white",
        fontsize=14,
        va="center",
        bbox=box,
    )
    _summary_images(figure, report, shown)
    numbers = f"{perfusion.title}: {', '.join(t for t in (perfusion.numbers, perfusion.where, *perfusion.sentences) if t)}"
    figure.text(0.02, 0.135, textwrap.fill(numbers, 125), fontsize=13, fontweight="bold", va="top", color=perfusion.color)
    if isinstance(report.cta, Assessed):
        coverage = textwrap.fill(report.cta.value.coverage, 160)
        figure.text(0.02, 0.09, coverage, fontsize=10, va="top", color="#333333")
    figure.text(0.02, 0.04, textwrap.fill(RESEARCH_USE_ONLY, 150), fontsize=10, va="top", color="#333333")
    return figure


def _summary_images(figure: Figure, report: Report, shown: Shown | None) -> None:
    """Axial MIP at the left, at the right the perfusion lesion or, without one, the close-ups; words where there is neither."""
    judged = isinstance(report.perfusion, Assessed)
    if shown is not None and isinstance(report.cta, Assessed):
        axes = figure.add_axes((0.01, 0.16, 0.48, 0.63))
        show_slab(axes, shown.axial, report.cta.value, bar_mm=50.0, outlined=False)
        ring_site(axes, shown.axial, report.cta.value.finding)
    elif judged:  # the reasons stand in the band above
        _lesion_slices(figure, (0.02, 0.17, 0.96, 0.6), report, n_columns=4)
        return
    else:
        words = "the CT angiogram was not judged"
        _no_picture(figure.add_axes((0.01, 0.16, 0.48, 0.63)), words, cta_headline(report).sentences)
    if judged:
        _lesion_slices(figure, (0.51, 0.17, 0.48, 0.61), report, n_columns=2)
        return
    words = "perfusion was not judged"
    reasons = perfusion_headline(report).sentences
    if report.fallback is not None:
        reasons = (*reasons[: MAX_REASONS - 1], "A fallback by time to peak has its own picture; it is not a result.")
    if shown is not None and isinstance(report.cta, Assessed):
        _close_pair(figure, shown.close[0], report.cta.value)
    _no_picture(figure.add_axes((0.51, 0.16, 0.48, 0.61 if shown is None else 0.28)), words, reasons)


def _close_pair(figure: Figure, row: Sequence[CloseView], result: CtaResult) -> None:
    """The first two close-ups above the words at the right."""
    for n, one in enumerate(row[:2]):
        axes = figure.add_axes((0.51 + 0.242 * n, 0.46, 0.238, 0.238 * 12.0 / 9.0))
        show_close(axes, one, result, titled=n == 0 or len(row) == 2)


def _lesion_slices(figure: Figure, place: tuple[float, float, float, float], report: Report, *, n_columns: int) -> None:
    """Two rows of slices of the unenhanced scan with core and hypoperfusion painted on them."""
    mosaic = lesion_sheet(report).mosaic(2 * n_columns, n_columns=n_columns)
    show_lesion(figure.add_axes(place, facecolor="black"), mosaic)


def _no_picture(axes: Axes, words: str, reasons: tuple[str, ...]) -> None:
    """Say that a picture is missing on purpose, and why."""
    why = "\n".join(textwrap.fill(textwrap.shorten(reason, 240), 52) for reason in reasons[:MAX_REASONS])
    words = f"no picture: {words}\n\n{why}"
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=13, color="#3B3B3B")
