"""Curved MIP: the way of the blood from the carotid to M2 pulled straight, both sides one above the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_PROBABILITY, ARTERY_TREES, VESSEL_CLASSES
from lvo.core.report import Call, CtaResult, Side
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.report.head import HeadBox
from lvo.report.marks import FLOOR_HU, TEXT_LIGHT, VESSEL_COLORS, arrow, ceiling_hu, foot, foot_in, scale_bar
from lvo.report.panels import DPI
from lvo.report.slabs import dim_bone
from lvo.report.words import site_words

__all__ = ["Strip", "draw_curved", "straighten"]

PIXEL_MM = 0.4
HALF_HEIGHT_MM = 14.0
"""What is shown above and below the course."""
HALF_DEPTH_MM = 3.0
"""Half of the thickness of the projection: an M1 and the error of its course; more would show other vessels."""
SMOOTH_MM = 1.5
"""Width of the average along a course: a path from voxel to voxel is jagged; a siphon bends over 5 mm and keeps its shape."""
FRAME_MM = 60.0
"""Width of the picture at least, so that a short way does not fill it."""
SHORTEST_MM = 10.0
BESIDE_MM = 1.5
"""The band says "artery" where the map has one this near to the course: half of an M1."""

WIDTH_IN = 10.0
TITLE_IN = 0.28
BAND_IN = 0.16
GAP_IN = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """A course pulled straight: the blood runs from left to right.

    Args:
        hu: (rows, N) largest HU through the thickness.
        names: (N,) what the artery map has on the course: "artery", a tree, "clot", or nothing.
        course_lps_mm: (N, 3) position of each column's middle.
        down_lps: (N, 3) unit direction of growing rows.
    """

    hu: NDArray[np.float32]
    names: tuple[str, ...]
    course_lps_mm: NDArray[np.float64]
    down_lps: NDArray[np.float64]

    def to_column_row(self, point_lps_mm: ArrayLike) -> tuple[float, float]:
        """Where a position beside the course falls, in pixels: at the nearest point of the course."""
        point = np.asarray(point_lps_mm, dtype=np.float64)
        column = int(np.linalg.norm(self.course_lps_mm - point, axis=1).argmin())
        offset_mm = float((point - self.course_lps_mm[column]) @ self.down_lps[column])
        return float(column), (self.hu.shape[0] - 1) / 2.0 + offset_mm / PIXEL_MM


def straighten(volumes: Mapping[str, Volume], course_lps_mm: ArrayLike, box: HeadBox) -> Strip | None:
    """Pull a course straight.

    Up is towards the mid-plane where the course starts and is carried along without twisting, so that both sides look alike
    and the head is up along M1.

    Args:
        volumes: "cta" in HU; "arteries", "vessels" and "brain" where known.
        course_lps_mm: (N, 3) positions, from the heart outwards.
        box: the head.

    Returns:
        The strip; None for a course too short to be looked at.
    """
    course = _even(np.asarray(course_lps_mm, dtype=np.float64).reshape(-1, 3))
    if len(course) * PIXEL_MM < SHORTEST_MM:
        return None
    inwards = box.axes_lps[0] * (-1.0 if box.side_of(course[0]) is Side.LEFT else 1.0)
    tangent = _unit(np.gradient(course, axis=0))
    up = _carried(tangent, inwards, box.axes_lps[1])
    depth = np.cross(tangent, up)
    rows = np.arange(-round(HALF_HEIGHT_MM / PIXEL_MM), round(HALF_HEIGHT_MM / PIXEL_MM) + 1) * PIXEL_MM
    layers = np.arange(-round(HALF_DEPTH_MM / PIXEL_MM), round(HALF_DEPTH_MM / PIXEL_MM) + 1) * PIXEL_MM
    points = course - rows[:, None, None] * up + layers[:, None, None, None] * depth  # (layers, rows, N, 3)
    hu = _sampled(volumes["cta"], points, AIR_HU)
    keep = np.zeros(hu.shape, dtype=bool)
    near = np.hypot(rows[None, :], layers[:, None]) <= BESIDE_MM
    names = np.full(len(course), "", dtype=object)
    if "arteries" in volumes:
        artery = _sampled(volumes["arteries"], points, 0.0) >= ARTERY_PROBABILITY
        keep |= artery
        names[artery[near].any(axis=0)] = "artery"
    if "vessels" in volumes:
        codes = _sampled(volumes["vessels"], points, 0.0)
        keep |= codes > 0
        names = _trees(codes[near])
    if "brain" in volumes:
        dim_bone(hu, keep | (_sampled(volumes["brain"], points, 0.0) > 0))
    return Strip(hu.max(axis=0), tuple(names), course, -up)


def draw_curved(result: CtaResult, volumes: Mapping[str, Volume], box: HeadBox) -> Figure | None:
    """Both sides, the patient's right above; the stop with an arrow. None where no course was followed."""
    courses = (result.course_lps_mm, result.mirror_course_lps_mm)
    strips = [(strip, n == 0) for n, course in enumerate(courses) if (strip := straighten(volumes, course, box)) is not None]
    if not strips:
        return None
    strips.sort(key=lambda one: box.side_of(one[0].course_lps_mm.mean(axis=0)) is Side.LEFT)
    caption = (
        f"course pulled straight, MIP of {2 * HALF_DEPTH_MM:.0f} mm, grey {FLOOR_HU:.0f} to {ceiling_hu(result):.0f} HU; bone "
        "dimmed outside the brain; band below: where the artery map has lumen on the course"
    )
    if result.finding.location_lps_mm is not None:
        caption += "; arrow: where the lumen stops"
    longest = max(round(FRAME_MM / PIXEL_MM), *(strip.hu.shape[1] for strip, _ in strips))
    strip_in = WIDTH_IN * strips[0][0].hu.shape[0] / longest
    below_in = foot_in(caption, result, WIDTH_IN)
    height_in = len(strips) * (TITLE_IN + strip_in + BAND_IN + GAP_IN) + below_in
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="black")
    for n, (strip, is_site) in enumerate(strips):
        top_in = height_in - n * (TITLE_IN + strip_in + BAND_IN + GAP_IN) - TITLE_IN
        axes = figure.add_axes((0, (top_in - strip_in) / height_in, 1, strip_in / height_in), facecolor="black")
        band = figure.add_axes((0, (top_in - strip_in - BAND_IN) / height_in, 1, BAND_IN / height_in), facecolor="black")
        _draw_strip(axes, strip, result, longest, is_site=is_site)
        _draw_band(band, strip, longest)
        side = "midline" if result.finding.side is Side.MIDLINE else box.side_of(strip.course_lps_mm.mean(axis=0)).value
        words = f"{_role(result, is_site=is_site)}; with the blood from left to right"
        figure.text(0.01, (top_in + 0.06) / height_in, side.upper(), color=TEXT_LIGHT, fontsize=12, fontweight="bold")
        figure.text(0.1, (top_in + 0.06) / height_in, words, color=TEXT_LIGHT, fontsize=10)
    foot(figure, caption, result)
    return figure


def _role(result: CtaResult, *, is_site: bool) -> str:
    """Which of the two sides this is."""
    if not is_site or result.finding.call is Call.NOT_DETECTED:
        return "other side" if not is_site else "course"
    how = "suspected" if result.finding.call is Call.SUSPECTED else "possible"
    return f"{how} site: {site_words(result.finding) or 'unknown'}"


def _draw_strip(axes: Axes, strip: Strip, result: CtaResult, longest: int, *, is_site: bool) -> None:
    """The picture in grey with a scale bar, and the arrow on the side of the site."""
    rows, top_hu = strip.hu.shape[0], ceiling_hu(result)
    axes.imshow(strip.hu, cmap="gray", vmin=FLOOR_HU, vmax=top_hu, interpolation="bilinear")
    axes.set_xlim(-0.5, longest - 0.5)
    axes.set_axis_off()
    scale_bar(axes, rows, PIXEL_MM, 10.0)
    finding = result.finding
    if is_site and finding.location_lps_mm is not None and finding.call is not Call.NOT_DETECTED:
        at = strip.to_column_row(finding.location_lps_mm)
        arrow(axes, strip.hu, at, PIXEL_MM, sure=finding.call is Call.SUSPECTED, top_hu=top_hu)


def _draw_band(axes: Axes, strip: Strip, longest: int) -> None:
    """A stretch per name along the course; nothing where the map has no lumen; names stand in stretches that hold them."""
    axes.set_xlim(-0.5, longest - 0.5)
    axes.set_ylim(0, 1)
    axes.set_axis_off()
    edges = [0, *(n for n in range(1, len(strip.names)) if strip.names[n] != strip.names[n - 1]), len(strip.names)]
    for first, last in pairwise(edges):
        name = strip.names[first]
        if not name:
            continue
        is_clot = name == "clot"
        face, hatch = ("none", "xxxx") if is_clot else (VESSEL_COLORS[name], None)
        place = ((first - 0.5, 0.1), last - first, 0.8)
        axes.add_patch(Rectangle(*place, facecolor=face, edgecolor=VESSEL_COLORS[name] if is_clot else "none", hatch=hatch))
        if name != "artery" and not is_clot and last - first > 0.05 * longest:
            middle = (first + last - 1) / 2.0
            axes.text(middle, 0.5, name, color="black", fontsize=8, fontweight="bold", ha="center", va="center_baseline")


def _even(course_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) smoothed course with a point per pixel."""
    even = _along(course_lps_mm)
    if len(even) * PIXEL_MM < SHORTEST_MM:
        return np.zeros((0, 3))
    return _along(ndimage.gaussian_filter1d(even, SMOOTH_MM / PIXEL_MM, axis=0, mode="nearest"))


def _along(course_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """A point per pixel along a course; none along less than one."""
    lengths_mm = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(course_lps_mm, axis=0), axis=1))])
    at_mm = np.arange(0.0, lengths_mm[-1], PIXEL_MM)
    if len(at_mm) == 0:
        return np.zeros((0, 3))
    return np.stack([np.interp(at_mm, lengths_mm, course_lps_mm[:, axis]) for axis in range(3)], axis=1)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _carried(tangent: NDArray[np.float64], first: NDArray[np.float64], spare: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit directions across the course, each as near to the one before as can be, starting near `first`."""
    start = spare if abs(float(first @ tangent[0])) > 0.95 else first
    across = np.empty_like(tangent)
    for n, ahead in enumerate(tangent):
        start = start - (start @ ahead) * ahead
        start = start / np.linalg.norm(start)
        across[n] = start
    return across


def _trees(codes: NDArray[np.float32]) -> NDArray[np.object_]:
    """(N,) the most frequent class in each column of (M, N) codes; a clot first, since it is small."""
    counts = {name: (codes == VESSEL_CLASSES.index(name)).sum(axis=0) for name in ARTERY_TREES}
    most = np.stack(list(counts.values()))
    names = np.where(most.max(axis=0) > 0, np.array(list(counts), dtype=object)[most.argmax(axis=0)], "")
    return np.where((codes == VESSEL_CLASSES.index("clot")).any(axis=0), "clot", names)


def _sampled(volume: Volume, points_lps_mm: NDArray[np.float64], fill: float) -> NDArray[np.float32]:
    """Values at (..., 3) positions; only the part of the volume that is needed is touched."""
    index = volume.grid.to_kji(points_lps_mm)
    size = np.array(volume.array.shape)
    low = np.clip(np.floor(index.reshape(-1, 3).min(axis=0)).astype(int) - 1, 0, size - 1)
    high = np.clip(np.ceil(index.reshape(-1, 3).max(axis=0)).astype(int) + 2, low + 1, size)
    part = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    order: Literal[0, 1] = 0 if volume.quantity in {Quantity.MASK, Quantity.LABEL} else 1
    found = ndimage.map_coordinates(part, np.moveaxis(index - low, -1, 0), order=order, mode="constant", cval=fill)
    return np.asarray(found, dtype=np.float32)
