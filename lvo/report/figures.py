"""The evidence as pictures, one PNG per name: drawn from the report alone, the same for the same report."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvo.core.outcome import Assessed
from lvo.core.report import Call, CtaResult, Report, Side
from lvo.core.volume import Volume
from lvo.report.closeup import close_views, draw_closeup
from lvo.report.curved import draw_curved
from lvo.report.head import HeadBox, head_box
from lvo.report.marks import FLOOR_HU, ceiling_hu, foot, foot_in, legend, other_side, ring_site, show_slab, title
from lvo.report.panels import Panels
from lvo.report.perfusion import PERFUSION_FIGURES, draw_perfusion_figures
from lvo.report.slabs import AXIAL, CORONAL, SAGITTAL, SLAB_MM, Slab, mirrored, slab_center, slab_mip
from lvo.report.summary import Shown, draw_summary

__all__ = ["FIGURES", "draw_figures"]

FIGURES = {
    "site": "Thick-slab MIP of the CT angiogram: the picture behind the call",
    "cutoff": "The place in question close up, and the same place on the other side",
    "curved": "The way of the blood from the carotid to M2, pulled straight, on both sides",
    "mirror": "Axial thick-slab MIP, and beside it the same mirrored: at every place the other side",
    "mip_axial": "Axial thick-slab MIP, and the artery map on it",
    "mip_coronal": "Coronal thick-slab MIP, and the artery map on it",
    "mip_sagittal": "Sagittal thick-slab MIPs of both sides",
    **PERFUSION_FIGURES,
    "summary": "Summary of the result",
}
"""Name of every figure that `draw_figures` can make, and what it shows."""


def draw_figures(report: Report) -> dict[str, bytes]:
    """PNG bytes by name (see `FIGURES`); a part that was not judged has no figure. "summary" is always there."""
    figures: dict[str, Figure] = {}
    shown: Shown | None = None
    if isinstance(report.cta, Assessed) and "cta" in report.volumes:
        result, volumes = report.cta.value, report.volumes
        box = head_box(volumes["cta"], volumes.get("brain"), result.pose)
        center = slab_center(result.finding, volumes.get("arteries"), box)
        shown = Shown(slab_mip(volumes, AXIAL, center, box), close_views(result, volumes, center, box))
        figures |= _cta_figures(result, volumes, center, box, shown)
    figures |= draw_perfusion_figures(report)
    figures["summary"] = draw_summary(report, shown)
    return {name: _png(figures[name]) for name in FIGURES if name in figures}


def _cta_figures(
    result: CtaResult, volumes: Mapping[str, Volume], center: NDArray[np.float64], box: HeadBox, shown: Shown
) -> dict[str, Figure]:
    """The pictures of a CT angiogram that was judged."""
    coronal = slab_mip(volumes, CORONAL, center, box)
    curved = draw_curved(result, volumes, box)
    return {
        "site": _panels([(shown.axial, False)], result, width_in=7.0),
        "cutoff": draw_closeup(shown.close, result),
        **({} if curved is None else {"curved": curved}),
        "mirror": _mirror(shown.axial, result, box),
        "mip_axial": _panels([(shown.axial, False), (shown.axial, True)], result),
        "mip_coronal": _panels([(coronal, False), (coronal, True)], result),
        "mip_sagittal": _sagittal(result, volumes, center, box),
    }


def _mirror(slab: Slab, result: CtaResult, box: HeadBox) -> Figure:
    """The slab and its mirror image; a thin ring marks the place of the site on the other side."""
    titles = ("as it is: patient's right at the left", "mirrored: patient's left at the left")
    figure = _panels([(slab, False), (mirrored(slab, box), False)], result, titles=titles)
    point, (_, other) = result.finding.location_lps_mm, figure.axes
    found = result.finding.call is not Call.NOT_DETECTED and result.finding.side is not Side.MIDLINE
    if point is not None and found and slab.holds(point):
        other_side(other, slab.to_column_row(point), slab.pixel_mm)
    return figure


def _sagittal(result: CtaResult, volumes: Mapping[str, Volume], center: NDArray[np.float64], box: HeadBox) -> Figure:
    """One slab per side at the same distance from the middle, the patient's right first."""
    from_middle = float(box.midplane.signed_distance_mm(center))
    offset = max(abs(from_middle), SLAB_MM / 2.0)
    points = (center + (sign * offset - from_middle) * box.midplane.normal_lps for sign in (-1.0, 1.0))
    slabs = [(slab_mip(volumes, SAGITTAL, point, box), True) for point in points]
    return _panels(slabs, result, titles=("patient's right", "patient's left"))


def _panels(
    slabs: list[tuple[Slab, bool]], result: CtaResult, *, width_in: float = 10.0, titles: tuple[str, ...] = ()
) -> Figure:
    """Slabs side by side on black; the flag of each asks for the artery map."""
    caption = f"{slabs[0][0].view.name} MIP, {SLAB_MM:.0f} mm slab, grey {FLOOR_HU:.0f} to {ceiling_hu(result):.0f} HU"
    caption += "; bone and what touches it dimmed outside the brain"
    caption += "; outlined: artery map" if any(outlined for _, outlined in slabs) else ""
    rows, columns = slabs[0][0].hu.shape
    panels = Panels.of(1, len(slabs), width_in=width_in, aspect=rows / columns, foot_in=foot_in(caption, result, width_in))
    for number, (slab, outlined) in enumerate(slabs):
        axes = panels.add(0, number)
        show_slab(axes, slab, result, bar_mm=50.0, outlined=outlined)
        if not slab.view.mirrored:
            ring_site(axes, slab, result.finding)
        if outlined:
            legend(axes, slab)
        if titles:
            title(axes, titles[number])
    foot(panels.figure, caption, result)
    return panels.figure


def _png(figure: Figure) -> bytes:
    """Render without a window system, without a date and without the library's version."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None}, pil_kwargs={"compress_level": 4}
    )
    return buffer.getvalue()
