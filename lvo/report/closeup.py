"""The mirrored pair: the suspected place and the same place on the other side, close up, in one window."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvo.core.report import Call, CtaResult, Finding, Side, Site
from lvo.core.volume import Volume
from lvo.report.head import HeadBox, m1_level
from lvo.report.marks import EDGE, FLOOR_HU, TEXT_LIGHT, arrow, ceiling_hu, foot, foot_in, other_side, show_slab, title
from lvo.report.panels import Panels
from lvo.report.slabs import AXIAL, CLOSE_FIELD_MM, CLOSE_SLAB_MM, CORONAL, SAGITTAL, Slab, close_mip
from lvo.report.words import site_words

__all__ = ["CloseView", "Place", "close_views", "draw_closeup", "places", "show_close"]

WIDTH_IN = 10.0

MIDLINE_MM = 6.0
"""Nearer to the mid-plane the mirrored place would be nearly the same one: half of the basilar artery's bend, and its width."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What one column of the picture shows.

    Args:
        center_lps_mm: (3,) middle of the field.
        words: its title.
        is_site: the place where the lumen stops; it gets the arrow.
        is_mirror: the same place on the other side; it gets the ring.
    """

    center_lps_mm: NDArray[np.float64]
    words: str
    is_site: bool = False
    is_mirror: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CloseView:
    """One picture: the projection and what it shows."""

    slab: Slab
    place: Place


def places(result: CtaResult, center_lps_mm: NDArray[np.float64], box: HeadBox) -> tuple[Place, ...]:
    """What is compared with what: the suspected site with its mirror image, else M1 with M1; the patient's right first.

    Args:
        result: the call.
        center_lps_mm: (3,) what the slabs run through.
        box: the head.

    Returns:
        Two places, or one for a site in the middle.
    """
    finding = result.finding
    if finding.location_lps_mm is None or finding.call is Call.NOT_DETECTED:
        return _m1_pair(result, center_lps_mm, box)
    site = np.array(finding.location_lps_mm, dtype=np.float64)
    if abs(float(box.midplane.signed_distance_mm(site))) < MIDLINE_MM or finding.side is Side.MIDLINE:
        return (Place(site, _site_title(finding, None), is_site=True),)
    side = box.side_of(site)
    other = Side.RIGHT if side is Side.LEFT else Side.LEFT
    too = ", suspected too" if finding.side is Side.BOTH and finding.call is Call.SUSPECTED else ""
    pair = (
        Place(site, _site_title(finding, side), is_site=True),
        Place(box.mirrored(site), f"other side: {other.value}{too}", is_mirror=True),
    )
    return pair if side is Side.RIGHT else pair[::-1]


def close_views(
    result: CtaResult, volumes: Mapping[str, Volume], center_lps_mm: NDArray[np.float64], box: HeadBox
) -> list[list[CloseView]]:
    """Rows of pictures: axial and coronal of both places; for a site in the middle axial, coronal and sagittal in one row."""
    columns = places(result, center_lps_mm, box)
    if len(columns) == 1:
        rows = [[(view, columns[0]) for view in (AXIAL, CORONAL, SAGITTAL)]]
    else:
        rows = [[(view, place) for place in columns] for view in (AXIAL, CORONAL)]
    return [[CloseView(close_mip(volumes, view, place.center_lps_mm, box), place) for view, place in row] for row in rows]


def draw_closeup(rows: Sequence[Sequence[CloseView]], result: CtaResult) -> Figure:
    """All close-ups in one figure, as `close_views` gives them."""
    turned = "" if result.pose is None else ", turned with the head"
    caption = (
        f"MIP of {CLOSE_SLAB_MM:.0f} mm, field {CLOSE_FIELD_MM:.0f} mm{turned}; grey {FLOOR_HU:.0f} to "
        f"{ceiling_hu(result):.0f} HU in every picture; bone dimmed outside the brain{_marks_words(rows[0])}"
    )
    panels = Panels.of(len(rows), len(rows[0]), width_in=WIDTH_IN, aspect=1.0, foot_in=foot_in(caption, result, WIDTH_IN))
    for n_row, row in enumerate(rows):
        for n_column, one in enumerate(row):
            titled = n_row == 0 and (n_column == 0 or len(rows) > 1)
            show_close(panels.add(n_row, n_column), one, result, titled=titled)
    foot(panels.figure, caption, result)
    return panels.figure


def show_close(axes: Axes, one: CloseView, result: CtaResult, *, titled: bool) -> None:
    """One close-up with its mark."""
    slab, place = one.slab, one.place
    show_slab(axes, slab, result, bar_mm=10.0, outlined=False)
    x, y, z = (float(value) for value in place.center_lps_mm)
    at = slab.to_column_row((x, y, z))
    if place.is_site:
        sure = result.finding.call is Call.SUSPECTED
        arrow(axes, slab.hu, at, slab.pixel_mm, sure=sure, top_hu=ceiling_hu(result))
    if place.is_mirror:
        other_side(axes, at, slab.pixel_mm)
    if titled:
        title(axes, place.words, marked=place.is_site)
    words: dict[str, Any] = {"color": TEXT_LIGHT, "ha": "right", "fontsize": 9, "path_effects": EDGE}
    axes.text(0.985, 0.015, slab.view.name, transform=axes.transAxes, **words)


def _marks_words(row: Sequence[CloseView]) -> str:
    """What the marks mean, for the small print."""
    shown = [one.place for one in row]
    words = "; arrow: where the lumen stops" if any(place.is_site for place in shown) else ""
    return words + ("; ring: the same place on the other side" if any(place.is_mirror for place in shown) else "")


def _site_title(finding: Finding, side: Side | None) -> str:
    """Side and site of the arrow, and how sure."""
    how = "suspected" if finding.call is Call.SUSPECTED else "possible"
    if side is None:
        return f"{how} site: {'basilar artery' if finding.site is Site.BA else site_words(finding)}"
    return f"{how} side: {side.value} {finding.site.value if finding.site else '(site unknown)'}"


def _m1_pair(result: CtaResult, center_lps_mm: NDArray[np.float64], box: HeadBox) -> tuple[Place, ...]:
    """Both M1, without a mark."""
    sides = (Side.RIGHT, Side.LEFT)
    suspected = result.finding.side if result.finding.call is Call.SUSPECTED else None
    words = {side: f"level of M1: {side.value}{', suspected, site unknown' if side is suspected else ''}" for side in sides}
    return tuple(Place(m1_level(side, box, result.pose, center_lps_mm), words[side]) for side in sides)
