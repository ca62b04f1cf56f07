"""What is drawn on a picture of the CT angiogram: letters, scale bar, the artery map, the mark of the site, the small print."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrow, Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_TREES
from lvo.core.report import Call, CtaResult, Finding
from lvo.report.slabs import Slab, View
from lvo.report.words import NOT_VALIDATED, site_words

__all__ = [
    "EDGE", "FLOOR_HU", "MARK", "TEXT_LIGHT", "VESSEL_COLORS", "arrow", "ceiling_hu", "foot", "foot_in", "legend", "letters",
    "outline_vessels", "ring_site", "scale_bar", "show_slab", "title",
]  # fmt: skip

EDGE = (withStroke(linewidth=2.5, foreground="black"),)
"""Around letters and bars, which may stand on bright vessels."""
MARK = "#FFB000"  # stands out on grey and from every vessel, for any colour vision
TEXT_LIGHT = "#F2F2F2"
SOFT_TEXT = "#BDBDBD"

VESSEL_COLORS: Mapping[str, str] = {
    "artery": "#FF5A36",
    "ICA": "#0082FF",
    "MCA": "#FF2701",
    "ACA": "#35DBAB",
    "PCA": "#C7FF19",
    "VB": "#BA6099",
    "clot": "#FFFFFF",
}
"""Picked by search for the largest difference between any two for full vision and for each kind of colour blindness. Clot is
hatched too, and every tree has its place in the head."""

FLOOR_HU = -20.0
CEILING_HU = 300.0
"""Grey values run from the floor to the arterial enhancement, or to this where it is fainter."""

OTHER_SIDE_RADIUS_MM = 5.0
"""Of the thin ring around the place that mirrors the site."""

SITE_RADIUS_MM = 9.0
ARROW_GAP_MM = 4.0
"""From the stop to the tip of the arrow: M1 is 3 mm wide, so the arrow covers neither the stop nor what lies around it."""
ARROW_MM = 12.0
ARROW_WIDTH_MM = 1.6

FOOT_PT = 8.0
LINE_IN = 0.15
LETTERS_PER_IN = 15.5
"""Letters of the small print that fit into an inch."""


def ceiling_hu(result: CtaResult) -> float:
    """The HU drawn as white."""
    return max(CEILING_HU, round(result.arterial_hu * 1.1, -1))


def show_slab(axes: Axes, slab: Slab, result: CtaResult, *, bar_mm: float, outlined: bool) -> None:
    """One projection in grey with letters and scale bar, and the artery map if asked for."""
    axes.imshow(slab.hu, cmap="gray", vmin=FLOOR_HU, vmax=ceiling_hu(result), interpolation="bilinear")
    if outlined:
        outline_vessels(axes, slab)
    axes.set_axis_off()
    letters(axes, slab.view)
    scale_bar(axes, slab.hu.shape[0], slab.pixel_mm, bar_mm)


def letters(axes: Axes, view: View) -> None:
    """The patient's directions at the edges; the top one below the room for titles."""
    places = (
        ((0.0, 0.5), (6, 0), "left", "center"),
        ((1.0, 0.5), (-6, 0), "right", "center"),
        ((0.5, 1.0), (0, -24), "center", "top"),
        ((0.5, 0.0), (0, 6), "center", "bottom"),
    )
    style: dict[str, Any] = {"color": TEXT_LIGHT, "fontsize": 13, "fontweight": "bold", "path_effects": EDGE}
    for letter, (edge, offset_pt, ha, va) in zip(view.edges, places, strict=True):
        axes.annotate(letter, edge, offset_pt, xycoords="axes fraction", textcoords="offset points", ha=ha, va=va, **style)


def scale_bar(axes: Axes, rows: int, pixel_mm: float, length_mm: float) -> None:
    """A bar at the lower left of a picture of so many rows, with its length."""
    length, below = length_mm / pixel_mm, rows - 1 - 0.025 * rows
    axes.plot([10, 10 + length], [below] * 2, color=TEXT_LIGHT, linewidth=2, path_effects=EDGE)
    style: dict[str, Any] = {"color": TEXT_LIGHT, "fontsize": 8, "ha": "center", "va": "bottom", "path_effects": EDGE}
    axes.text(10 + length / 2, below - 0.012 * rows, f"{length_mm:.0f} mm", **style)


def title(axes: Axes, words: str, *, marked: bool = False) -> None:
    """Words at the top of a picture, on the mark's colour where they speak of the site."""
    box = {"facecolor": MARK if marked else "black", "edgecolor": "none", "boxstyle": "round,pad=0.25"}
    color = "black" if marked else TEXT_LIGHT
    weight = "bold" if marked else "normal"
    style: dict[str, Any] = {"color": color, "fontsize": 11, "fontweight": weight, "bbox": box, "ha": "center", "va": "top"}
    axes.text(0.5, 0.985, words, transform=axes.transAxes, **style)


def outline_vessels(axes: Axes, slab: Slab) -> None:
    """Outline what the artery map holds, each tree in its colour; a clot is hatched."""
    for name, values in slab.vessels.items():
        smooth = values if name == "artery" else ndimage.gaussian_filter(values, 0.8)
        if smooth.max() < 0.5:
            continue
        color = VESSEL_COLORS[name]
        axes.contour(smooth, levels=[0.5], colors=[color], linewidths=1.8 if name == "clot" else 0.9)
        if name == "clot":
            filled = axes.contourf(smooth, levels=[0.5, np.inf], colors="none", hatches=["xxxxx"])
            filled.set_edgecolor(color)
            filled.set_linewidth(0.0)


def legend(axes: Axes, slab: Slab) -> None:
    """The names of the outlined trees at the lower right; nothing where trees are not told apart."""
    trees = [name for name in slab.vessels if name in ARTERY_TREES]
    handles: list[Line2D | Patch] = [Line2D([], [], color=VESSEL_COLORS[name], linewidth=2.5, label=name) for name in trees]
    if "clot" in slab.vessels:
        handles.append(Patch(facecolor="none", edgecolor=VESSEL_COLORS["clot"], hatch="xxxx", label="suspected clot"))
    if not handles:
        return
    axes.legend(handles=handles, loc="lower right", fontsize=8, labelcolor=TEXT_LIGHT, facecolor="black", edgecolor="none")


def ring_site(axes: Axes, slab: Slab, finding: Finding) -> None:
    """Circle the suspected site where it lies within the slab; a dashed circle when the call is indeterminate."""
    if finding.location_lps_mm is None or finding.call is Call.NOT_DETECTED or not slab.holds(finding.location_lps_mm):
        return
    column, row = slab.to_column_row(finding.location_lps_mm)
    suspected = finding.call is Call.SUSPECTED
    radius = SITE_RADIUS_MM / slab.pixel_mm
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


def other_side(axes: Axes, column_row: tuple[float, float], pixel_mm: float) -> None:
    """A thin ring around the place that mirrors the site."""
    style: dict[str, Any] = {"edgecolor": TEXT_LIGHT, "linewidth": 1.0, "linestyle": (0, (2, 3))}
    axes.add_patch(Circle(column_row, OTHER_SIDE_RADIUS_MM / pixel_mm, fill=False, **style))


def arrow(
    axes: Axes, image: NDArray[np.float32], column_row: tuple[float, float], pixel_mm: float, *, sure: bool, top_hu: float
) -> None:
    """An arrow at a place, which it does not cover: it comes from where the picture is darkest; hollow when not sure.

    Args:
        axes: where the image is drawn.
        image: (rows, columns) HU.
        column_row: the place, in pixels.
        pixel_mm: side of a pixel.
        sure: the call is "suspected".
        top_hu: the HU drawn as white.
    """
    place = np.array(column_row)
    way = _darkest_way(np.clip(image, FLOOR_HU, top_hu), place, pixel_mm)
    tail = place + way * (ARROW_GAP_MM + ARROW_MM) / pixel_mm
    width, face = ARROW_WIDTH_MM / pixel_mm, MARK if sure else "black"
    step = -way * ARROW_MM / pixel_mm
    style: dict[str, Any] = {"facecolor": face, "edgecolor": "black" if sure else MARK, "linewidth": 1.2}
    style |= {"width": width, "head_width": 3.0 * width, "head_length": 3.0 * width, "length_includes_head": True}
    axes.add_patch(FancyArrow(*tail, *step, **style))


def _darkest_way(image: NDArray[np.float32], place: NDArray[np.float64], pixel_mm: float) -> NDArray[np.float64]:
    """(2,) unit direction (column, row) in which an arrow would cover the least that is bright."""
    angles = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    along, beside = np.meshgrid(np.linspace(ARROW_GAP_MM, ARROW_GAP_MM + ARROW_MM, 16), np.linspace(-2.0, 2.0, 5))
    across = np.stack([-ways[:, 1], ways[:, 0]], axis=1)
    points = along[None, ..., None] * ways[:, None, None] + beside[None, ..., None] * across[:, None, None]
    columns, rows = np.moveaxis(place + points / pixel_mm, -1, 0)
    outside_hu = 2.0 * float(image.max())  # an arrow that leaves the picture is the last choice
    covered = ndimage.map_coordinates(image, [rows, columns], order=1, cval=outside_hu)
    return np.asarray(ways[covered.mean(axis=(1, 2)).argmin()])


def _foot_lines(caption: str, result: CtaResult, width_in: float) -> list[str]:
    """The caption, then which vessels were judged, then the limits of use."""
    lines = [line for words in (caption, result.coverage) for line in textwrap.wrap(words, int(width_in * LETTERS_PER_IN))]
    return [*lines, NOT_VALIDATED]


def foot_in(caption: str, result: CtaResult, width_in: float) -> float:
    """Height of the small print in inches."""
    return len(_foot_lines(caption, result, width_in)) * LINE_IN + 0.08


def foot(figure: Figure, caption: str, result: CtaResult) -> None:
    """The small print at the bottom of a picture: what is shown, which vessels were judged and which not, limits of use."""
    width_in, height_in = figure.get_size_inches()
    lines = _foot_lines(caption, result, float(width_in))
    for number, line in enumerate(reversed(lines)):
        color, weight = (TEXT_LIGHT, "bold") if number == 0 else (SOFT_TEXT, "normal")
        y = (0.05 + number * LINE_IN) / height_in
        figure.text(0.08 / width_in, y, line, color=color, fontsize=FOOT_PT, fontweight=weight, va="bottom")
