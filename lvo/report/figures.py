"""The evidence as pictures, one PNG per name: drawn from the report alone, the same for the same report."""

import io
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from lvo import RESEARCH_USE_ONLY
from lvo.core.anatomy import ARTERY_PROBABILITY
from lvo.core.outcome import Assessed
from lvo.core.report import Call, CtaResult, Finding, Report
from lvo.core.volume import Volume
from lvo.report.perfusion import PERFUSION_FIGURES, draw_perfusion_figures, lesion_sheet
from lvo.report.perfusion.mosaic import show_lesion
from lvo.report.slabs import (
    AXIAL,
    CORONAL,
    PIXEL_MM,
    SAGITTAL,
    SLAB_MM,
    HeadBox,
    Slab,
    View,
    head_box,
    slab_center,
    slab_mip,
)  # fmt: skip
from lvo.report.words import CALL_LIMIT, UNJUDGED_LIMIT, cta_headline, perfusion_headline, site_words

__all__ = ["FIGURES", "draw_figures"]

FIGURES = {
    "site": "Thick-slab MIP of the CT angiogram: the picture behind the call",
    "mip_axial": "Axial thick-slab MIP, and the artery map on it",
    "mip_coronal": "Coronal thick-slab MIP, and the artery map on it",
    "mip_sagittal": "Sagittal thick-slab MIPs of both sides",
    **PERFUSION_FIGURES,
    "summary": "Summary of the result",
}
"""Name of every figure that `draw_figures` can make, and what it shows."""

DPI = 110
MARK = "#FFB000"  # stands out on grey and from red, for any colour vision
ARTERY_LINE = "#FF5A36"
TEXT_LIGHT = "#F2F2F2"
SITE_RADIUS_MM = 9.0
MAX_REASONS = 5
"""Reasons that fit where a picture would be; the report has them all."""
MIP_FLOOR_HU = -20.0
MIP_CEILING_HU = 300.0
"""Grey values run from the floor to the arterial enhancement, or to this where it is fainter."""


def draw_figures(report: Report) -> dict[str, bytes]:
    """PNG bytes by name (see `FIGURES`); a part that was not judged has no figure. "summary" is always there."""
    figures: dict[str, Figure] = {}
    axial: Slab | None = None
    if isinstance(report.cta, Assessed) and "cta" in report.volumes:
        volumes = dict(report.volumes)
        box = head_box(volumes["cta"], volumes.get("brain"))
        center = slab_center(report.cta.value.finding, volumes.get("arteries"), box)
        axial = slab_mip(volumes, AXIAL, center, box)
        figures |= _cta_figures(report.cta.value, volumes, center, box, axial)
    figures |= draw_perfusion_figures(report)
    figures["summary"] = _summary(report, axial)
    return {name: _png(figures[name]) for name in FIGURES if name in figures}


def _cta_figures(
    result: CtaResult, volumes: dict[str, Volume], center: NDArray[np.float64], box: HeadBox, axial: Slab
) -> dict[str, Figure]:
    """The slab MIPs of a CT angiogram that was judged."""
    coronal = slab_mip(volumes, CORONAL, center, box)
    return {
        "site": _panels([(axial, False)], result, width_in=7.0),
        "mip_axial": _panels([(axial, False), (axial, True)], result),
        "mip_coronal": _panels([(coronal, False), (coronal, True)], result),
        "mip_sagittal": _sagittal(result, volumes, center, box),
    }


def _sagittal(result: CtaResult, volumes: dict[str, Volume], center: NDArray[np.float64], box: HeadBox) -> Figure:
    """One slab per side at the same distance from the middle, the patient's right first."""
    offset = max(abs(center[0] - box.middle_lps_mm[0]), SLAB_MM / 2.0)
    slabs = []
    for sign in (-1.0, 1.0):
        point = center.copy()
        point[0] = box.middle_lps_mm[0] + sign * offset
        slabs.append((slab_mip(volumes, SAGITTAL, point, box), True))
    return _panels(slabs, result, titles=("patient's right", "patient's left"))


def _panels(
    slabs: list[tuple[Slab, bool]], result: CtaResult, *, width_in: float = 10.0, titles: tuple[str, ...] | None = None
) -> Figure:
    """Slabs side by side on black; the flag of each asks for the artery map."""
    rows, columns = slabs[0][0].hu.shape
    panel_in = width_in / len(slabs)
    figure = Figure(figsize=(width_in, panel_in * rows / columns + 0.3), dpi=DPI, facecolor="black")
    for number, (slab, with_arteries) in enumerate(slabs):
        axes = figure.add_axes(
            (number / len(slabs), 0.3 / figure.get_figheight(), 1 / len(slabs), 1 - 0.3 / figure.get_figheight())
        )
        _draw_slab(axes, slab, result, with_arteries=with_arteries)
        if titles:
            axes.text(
                0.5, 0.985, titles[number], transform=axes.transAxes, color=TEXT_LIGHT, ha="center", va="top", fontsize=11
            )
    caption = f"{slabs[0][0].view.name} MIP, {SLAB_MM:.0f} mm slab, grey {MIP_FLOOR_HU:.0f} to {_ceiling(result):.0f} HU"
    caption += "; bone and what touches it dimmed outside the brain"
    caption += "; outlined: artery map" if any(with_arteries for _, with_arteries in slabs) else ""
    figure.text(0.01, 0.01, caption, color="#B8B8B8", fontsize=8, va="bottom")
    figure.text(0.99, 0.01, "research use only", color="#B8B8B8", fontsize=8, va="bottom", ha="right")
    return figure


def _ceiling(result: CtaResult) -> float:
    """The HU drawn as white."""
    return max(MIP_CEILING_HU, round(result.arterial_hu * 1.1, -1))


def _draw_slab(axes: Axes, slab: Slab, result: CtaResult, *, with_arteries: bool) -> None:
    """One MIP with letters, scale bar, artery outlines if asked for, and the suspected site."""
    axes.imshow(slab.hu, cmap="gray", vmin=MIP_FLOOR_HU, vmax=_ceiling(result), interpolation="bilinear")
    if with_arteries and slab.arteries is not None and (slab.arteries >= ARTERY_PROBABILITY).any():
        axes.contour(slab.arteries, levels=[0.5], colors=[ARTERY_LINE], linewidths=0.9)
    axes.set_axis_off()
    _letters(axes, slab.view)
    rows = slab.hu.shape[0]
    axes.plot([10, 10 + 50.0 / PIXEL_MM], [rows - 12] * 2, color=TEXT_LIGHT, linewidth=2)
    axes.text(10 + 25.0 / PIXEL_MM, rows - 17, "50 mm", color=TEXT_LIGHT, ha="center", va="bottom", fontsize=8)
    _mark_site(axes, slab, result.finding)


def _letters(axes: Axes, view: View) -> None:
    """The patient's directions at the edges; the top one below the room for titles."""
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.94, "center", "top"),
        (0.5, 0.015, "center", "bottom"),
    )
    for letter, (x, y, ha, va) in zip(view.edges, places, strict=True):
        axes.text(x, y, letter, transform=axes.transAxes, color=TEXT_LIGHT, fontsize=13, fontweight="bold", ha=ha, va=va)


def _mark_site(axes: Axes, slab: Slab, finding: Finding) -> None:
    """Circle the suspected site where it lies within the slab; a dashed circle when the call is indeterminate."""
    if finding.location_lps_mm is None or finding.call is Call.NOT_DETECTED:
        return
    depth = slab.grid.to_kji(finding.location_lps_mm)[0]
    if not -0.5 <= depth <= slab.grid.shape_kji[0] - 0.5:
        return
    column, row = slab.to_column_row(finding.location_lps_mm)
    suspected = finding.call is Call.SUSPECTED
    radius = SITE_RADIUS_MM / PIXEL_MM
    style = "solid" if suspected else (0, (3, 3))
    axes.add_patch(Circle((column, row), radius, fill=False, edgecolor="black", linewidth=4.5))
    axes.add_patch(Circle((column, row), radius, fill=False, edgecolor=MARK, linewidth=2.2, linestyle=style))
    words = site_words(finding)
    label = f"{'suspected' if suspected else 'possible'} site{': ' + words if words else ''}"
    # the label stands in the upper corner of the site's side, outside the head, so that it hides no vessel
    at_right = column > slab.hu.shape[1] / 2.0
    axes.annotate(
        label,
        xy=(column + radius * (0.7 if at_right else -0.7), row - radius * 0.7),
        xytext=(0.985 if at_right else 0.015, 0.985),
        textcoords="axes fraction",
        color="black",
        ha="right" if at_right else "left",
        va="top",
        fontsize=9,
        fontweight="bold",
        bbox={"facecolor": MARK, "edgecolor": "none", "boxstyle": "round,pad=0.25"},
        arrowprops={"arrowstyle": "-", "color": MARK, "linewidth": 1.0},
    )


def _summary(report: Report, axial: Slab | None) -> Figure:
    """One picture for viewers that show nothing else: the call with its limits, the site, the perfusion numbers."""
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
    _summary_images(figure, report, axial)
    numbers = f"{perfusion.title}: {', '.join(t for t in (perfusion.numbers, perfusion.where, *perfusion.sentences) if t)}"
    figure.text(0.02, 0.135, textwrap.fill(numbers, 125), fontsize=13, fontweight="bold", va="top", color=perfusion.color)
    figure.text(0.02, 0.055, textwrap.fill(RESEARCH_USE_ONLY, 150), fontsize=10, va="top", color="#333333")
    return figure


def _summary_images(figure: Figure, report: Report, axial: Slab | None) -> None:
    """Axial MIP at the left, the perfusion lesion at the right, or over the whole width; words where there is no picture."""
    judged = isinstance(report.perfusion, Assessed)
    if axial is not None and isinstance(report.cta, Assessed):
        _draw_slab(figure.add_axes((0.01, 0.16, 0.48, 0.63)), axial, report.cta.value, with_arteries=False)
    elif judged:  # the reasons stand in the band above
        _lesion_slices(figure, (0.02, 0.17, 0.96, 0.6), report, n_columns=4)
        return
    else:
        words = "the CT angiogram was not judged"
        _no_picture(figure.add_axes((0.01, 0.16, 0.48, 0.63)), words, cta_headline(report).sentences)
    if judged:
        _lesion_slices(figure, (0.51, 0.17, 0.48, 0.61), report, n_columns=2)
    else:
        words = "perfusion was not judged"
        reasons = perfusion_headline(report).sentences
        if report.fallback is not None:
            reasons = (*reasons[: MAX_REASONS - 1], "A fallback by time to peak has its own picture; it is not a result.")
        _no_picture(figure.add_axes((0.51, 0.16, 0.48, 0.61)), words, reasons)


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


def _png(figure: Figure) -> bytes:
    """Render without a window system, without a date and without the library's version."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None}, pil_kwargs={"compress_level": 4}
    )
    return buffer.getvalue()
