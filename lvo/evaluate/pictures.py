"""Pictures of failures: where the artery stops, and where the call says it does.

The crop lies along the atlas, so slabs are cut straight out of it. Radiological convention: the patient's right at the left.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from lvo.core.anatomy import ARTERY_PROBABILITY
from lvo.core.report import Side
from lvo.core.volume import Volume
from lvo.evaluate.records import Row

__all__ = ["FAILURES", "Failure", "case_words", "contact_sheet", "draw_failure", "failure_of", "picture_name", "png"]

Failure: TypeAlias = Literal["missed", "false alarm", "wrong side", "far off", "not assessable"]
FAILURES: tuple[Failure, ...] = ("missed", "false alarm", "wrong side", "far off", "not assessable")
"""Kinds of failure, the worst first."""

NEAR_MM = 10.0
"""A point counts as right up to here."""

TRUE_COLOR, CALLED_COLOR = "#56B4E9", "#FFB000"  # told apart by any colour vision, on grey too
_FLOOR_HU, _CEILING_HU = -20.0, 500.0
_SLAB_MM = 25.0
"""What readers use for the circle of Willis."""
_PER_ROW = 3


def failure_of(row: Row) -> Failure | None:
    """What is wrong with a result; None when nothing is, or when the case is neither positive nor negative."""
    if row.standing == "aside":
        return None
    if row.found is None:
        return "not assessable"
    if row.standing == "negative":
        return "false alarm" if row.suspected else None
    if not row.suspected:
        return "missed"
    if not row.side_right:
        return "wrong side"
    return "far off" if row.distance_mm is None or row.distance_mm > NEAR_MM else None


def picture_name(row: Row) -> str:
    """File name of the picture of a failure: results of different keys have different ones."""
    return f"{row.case}-{row.key[:8]}.png"


def case_words(row: Row) -> tuple[str, str]:
    """Truth and result of a row, a line each."""
    stops = " and ".join(
        " ".join(word for word in (_side(stop.side), stop.site.value, stop.part) if word) for stop in row.stops
    )
    facts = [str(row.facts.get("family", ""))]
    for name, unit in (("collateral_grade", "grade {:.0f}"), ("noise_hu", "noise {:.0f} HU"), ("slice_mm", "{:g} mm slices")):
        if name in row.facts:
            facts.append(unit.format(row.facts[name]))
    truth = f"{row.case}: {stops or 'no occlusion'} ({', '.join(facts)})"
    if row.found is None:
        return truth, f"not assessable: {row.reasons[0] if row.reasons else 'no reason given'}"
    site = row.found.site.value if row.found.site is not None else ""
    called = " ".join(word for word in (row.found.call.value.replace("_", " "), _side(row.found.side), site) if word)
    away = "" if row.distance_mm is None else f", {row.distance_mm:.0f} mm off"
    return truth, f"{called} ({row.found.probability:.2f}{away})"


def draw_failure(path: Path, row: Row, hu: Volume, artery: Volume) -> None:
    """Axial and coronal MIP through the place in question, with the outline of the artery map, true and called point."""
    places = [stop.location_lps_mm for stop in row.stops if stop.location_lps_mm is not None]
    called = [row.found.location_lps_mm] if row.found is not None and row.found.location_lps_mm is not None else []
    center = hu.grid.to_kji([*places, *called, tuple(hu.grid.center_lps_mm)][0])
    figure = Figure(figsize=(9.0, 4.3), dpi=90, facecolor="black")
    for number, axis in enumerate((0, 1)):  # axial, coronal
        half = _SLAB_MM / 2.0 / float(hu.grid.spacing_kji_mm[axis])
        first = int(np.clip(center[axis] - half, 0, hu.array.shape[axis] - 1))
        depth = slice(first, max(first + 1, int(center[axis] + half) + 1))
        axes = figure.add_axes((0.005 + 0.5 * number, 0.0, 0.49, 0.86))
        axes.imshow(_mip(hu.array, axis, depth), cmap="gray", vmin=_FLOOR_HU, vmax=_CEILING_HU, interpolation="bilinear")
        outline = _mip(artery.array, axis, depth)
        if outline.max() >= ARTERY_PROBABILITY:
            axes.contour(outline, levels=[ARTERY_PROBABILITY], colors="#FF5A36", linewidths=0.5)
        for points, marker, size, color in ((places, "o", 15, TRUE_COLOR), (called, "D", 9, CALLED_COLOR)):
            for point in points:
                k, j, i = hu.grid.to_kji(point)
                row_number = j if axis == 0 else hu.array.shape[0] - 1 - k
                axes.plot(i, row_number, marker=marker, markersize=size, fillstyle="none", color=color, markeredgewidth=1.8)
        axes.set_axis_off()
        for letter, x in (("R", 0.03), ("L", 0.97)):
            axes.text(x, 0.5, letter, transform=axes.transAxes, color="#F2F2F2", fontsize=11, fontweight="bold", ha="center")
    kind = failure_of(row) or "right"
    for y, text in zip((0.955, 0.905), case_words(row), strict=True):
        figure.text(0.01, y, text[:105], color="white", fontsize=9.5, va="center")
    figure.text(0.99, 0.955, kind, color=CALLED_COLOR, fontsize=10, fontweight="bold", va="center", ha="right")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(figure))


def contact_sheet(paths: Sequence[Path], title: str) -> bytes:
    """Several pictures of failures on one sheet."""
    n_rows = max(1, -(-len(paths) // _PER_ROW))
    figure = Figure(figsize=(6.0 * _PER_ROW, 2.9 * n_rows + 0.5), dpi=75, facecolor="black")
    top = 0.5 / (2.9 * n_rows + 0.5)
    figure.text(0.01, 1.0 - top / 2.0, title, color="white", fontsize=14, va="center")
    for number, path in enumerate(paths):
        row, column = divmod(number, _PER_ROW)
        height = (1.0 - top) / n_rows
        axes = figure.add_axes((column / _PER_ROW, 1.0 - top - (row + 1) * height, 0.995 / _PER_ROW, 0.99 * height))
        axes.imshow(imread(path), interpolation="antialiased")
        axes.set_axis_off()
    return png(figure)


def png(figure: Figure) -> bytes:
    """Render without a window system, without a date and without the library's version."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    return buffer.getvalue()


def _mip(array: NDArray[np.generic], axis: int, depth: slice) -> NDArray[np.float32]:
    """Largest value along k, or along j with the head up."""
    slab = array[depth].max(axis=0) if axis == 0 else array[:, depth].max(axis=1)[::-1]
    return np.asarray(slab, dtype=np.float32)


def _side(side: Side | None) -> str:
    return "" if side is None or side is Side.MIDLINE else side.value
