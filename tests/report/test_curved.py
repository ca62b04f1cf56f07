"""A course pulled straight keeps lengths, order and up, shows the stop at its column, and says where the map has lumen."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.spatial import cKDTree

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.report import Call, Side
from lvo.core.volume import Quantity, Volume
from lvo.report.curved import PIXEL_MM, draw_curved, straighten
from lvo.report.head import head_box
from lvo.report.marks import MARK

RADIUS_MM = 12.0


def course(head, side=Side.LEFT):
    """Up, a quarter of a circle outwards, then outwards: (N, 3) LPS mm with a millimetre between points, and their lengths."""
    up = [(14.0, 0.0, z) for z in np.arange(-40.0, -28.0)]
    turn = [(14.0 + RADIUS_MM * (1 - np.cos(a)), 0.0, -28.0 + RADIUS_MM * np.sin(a)) for a in np.linspace(0, np.pi / 2, 20)]
    out = [(x, 0.0, -16.0) for x in np.arange(27.0, 44.0)]
    points = np.array(up + turn + out) * ((1.0, 1.0, 1.0) if side is Side.LEFT else (-1.0, 1.0, 1.0))
    lps = head.pose.to_lps_mm(points)
    return lps, np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(lps, axis=0), axis=1))])


def box_of(head, volumes):
    return head_box(volumes["cta"], None, head.pose)


def test_places_along_the_course_fall_on_the_middle_row_at_their_length(turned_head):
    """The column is the way the blood has gone, in a strip as long as the course but for what smoothing cuts off the bend."""
    lps, at_mm = course(turned_head)
    marks = [5, 22, 44]
    volumes = turned_head.balls(*lps[marks], radius_mm=1.5)
    strip = straighten(volumes, lps, box_of(turned_head, volumes))
    assert strip.hu.shape[1] * PIXEL_MM == pytest.approx(at_mm[-1], abs=1.5)
    middle = strip.hu.shape[0] // 2
    bright = strip.hu[middle] > 200
    found = [at_mm[n] for n in marks]
    columns = np.flatnonzero(bright) * PIXEL_MM
    for length in found:
        near = columns[np.abs(columns - length) < 4.0]
        assert near.mean() == pytest.approx(length, abs=1.2)
    assert (np.abs(columns[:, None] - found).min(axis=1) < 4.0).all(), "nothing else is bright on the course"
    assert np.nonzero(strip.hu > 200)[0].mean() == pytest.approx(middle, abs=1.5)


def test_a_position_beside_the_course_is_found_in_the_strip(turned_head):
    """What lies 6 mm above M1 stands 6 mm above the middle: the head is up there, on both sides."""
    for side in (Side.LEFT, Side.RIGHT):
        lps, at_mm = course(turned_head, side)
        x = 38.0 if side is Side.LEFT else -38.0
        above = turned_head.pose.to_lps_mm((x, 0.0, -10.0))
        volumes = turned_head.balls(above, radius_mm=1.6)
        strip = straighten(volumes, lps, box_of(turned_head, volumes))
        rows, columns = np.nonzero(strip.hu > 200)
        column, row = strip.to_column_row(above)
        assert (columns.mean(), rows.mean()) == pytest.approx((column, row), abs=2.0)
        middle = (strip.hu.shape[0] - 1) / 2.0
        assert (middle - row) * PIXEL_MM == pytest.approx(6.0 / 0.96, abs=0.3)
        nearest = np.linalg.norm(lps - turned_head.pose.to_lps_mm((x, 0.0, -16.0)), axis=1).argmin()
        assert column * PIXEL_MM == pytest.approx(at_mm[nearest], abs=1.5)


def test_both_sides_of_a_symmetric_head_look_alike(turned_head):
    places = [(14, 4, -34), (20, -3, -20), (33, 2, -12)]
    both = [turned_head.pose.to_lps_mm((sign * x, y, z)) for x, y, z in places for sign in (1, -1)]
    volumes = turned_head.balls(*both, radius_mm=2.5)
    box = box_of(turned_head, volumes)
    left, right = (straighten(volumes, course(turned_head, side)[0], box).hu > 150 for side in (Side.LEFT, Side.RIGHT))
    overlap = 2.0 * (left & right).sum() / (left.sum() + right.sum())
    assert left.sum() > 100
    assert overlap > 0.9
    assert 2.0 * (left & right[::-1]).sum() / (left.sum() + right.sum()) < 0.7, "upside down would be seen"


@pytest.mark.parametrize("points", [(), ((0.0, 0.0, 0.0),), ((0.0, 0.0, 0.0), (0.0, 4.0, 3.0))], ids=["none", "one", "5 mm"])
def test_a_course_too_short_is_not_shown(turned_head, points):
    volumes = turned_head.balls()
    assert straighten(volumes, points, box_of(turned_head, volumes)) is None
    assert draw_curved(turned_head.result(course_lps_mm=points), volumes, box_of(turned_head, volumes)) is None


def test_the_band_names_trees_gap_and_clot(turned_head):
    """ICA up to 20 mm, nothing, a clot, then MCA: read from the map beside the course."""
    lps, at_mm = course(turned_head)
    grid = turned_head.grid
    distance, nearest = cKDTree(lps).query(grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1)))
    near = np.argwhere(distance < 1.6)
    way_mm = at_mm[nearest[distance < 1.6]]
    codes = np.zeros(grid.shape_kji, np.uint8)
    names = np.select([way_mm < 20, way_mm < 28, way_mm < 34], ["ICA", "background", "clot"], "MCA")
    codes[tuple(near.T)] = [VESSEL_CLASSES.index(str(name)) for name in names]
    volumes = {**turned_head.balls(), "vessels": Volume(codes, grid, Quantity.LABEL)}
    strip = straighten(volumes, lps, box_of(turned_head, volumes))
    for name, middle_mm in (("ICA", 10.0), ("", 24.0), ("clot", 31.0), ("MCA", 42.0)):
        assert strip.names[round(middle_mm / PIXEL_MM)] == name
    runs = [strip.names[0], *(b for a, b in zip(strip.names[:-1], strip.names[1:], strict=True) if a != b)]
    assert runs == ["ICA", "", "clot", "MCA"]


def test_without_trees_the_band_says_artery(turned_head):
    lps, _ = course(turned_head)
    volumes = turned_head.balls(lps[10], radius_mm=3.0)
    arteries = Volume((volumes["cta"].array > 200).astype(np.float32), turned_head.grid, Quantity.PROBABILITY)
    strip = straighten({**volumes, "arteries": arteries}, lps, box_of(turned_head, volumes))
    assert set(strip.names) == {"", "artery"}
    assert strip.names[round(10.5 / PIXEL_MM)] == "artery"


def drawn(head, **changes):
    """RGB of the picture with a stop on the left course, and its axes (strip and band, the right above the left)."""
    lps, _ = course(head)
    stop = tuple(float(x) for x in lps[35])
    result = head.result(course_lps_mm=lps, mirror_course_lps_mm=course(head, Side.RIGHT)[0], **changes)
    result = replace(result, finding=replace(result.finding, location_lps_mm=stop))
    volumes = head.balls(np.array(stop), radius_mm=1.5)
    figure = draw_curved(result, volumes, box_of(head, volumes))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int), figure


def test_the_stop_has_an_arrow_beside_it_on_its_side_only(turned_head):
    rgb, figure = drawn(turned_head)
    color = tuple(int(MARK[n : n + 2], 16) for n in (1, 3, 5))
    found = np.abs(rgb - color).max(axis=-1) < 12
    height = rgb.shape[0]
    right, left = (
        tuple(round(value) for value in (height - y1, height - y0, x0, x1))
        for x0, y0, x1, y1 in (figure.axes[n].get_window_extent().extents for n in (0, 2))
    )
    assert not found[right[0] : right[1]].any()
    strip = rgb[left[0] : left[1], left[2] : left[3]]
    arrow = np.argwhere(found[left[0] : left[1], left[2] : left[3]])
    bright = np.argwhere((strip > 170).all(axis=-1))
    mm = 28.4 / strip.shape[0]
    stop = bright[(np.abs(bright - (strip.shape[0] / 2, 0)) < (5, 1e9)).all(axis=1)].mean(axis=0)
    distance_mm = np.linalg.norm(arrow - stop, axis=1) * mm
    assert 2.5 < distance_mm.min() < 6.0
    words = " ".join(text.get_text() for text in figure.texts)
    assert words.index("RIGHT") < words.index("LEFT")
    assert "suspected site: left M1" in words
    assert "other side" in words


def test_without_a_call_there_is_no_arrow(turned_head):
    lps, _ = course(turned_head)
    volumes = turned_head.balls()
    result = turned_head.result(Call.NOT_DETECTED, course_lps_mm=lps)
    figure = draw_curved(result, volumes, box_of(turned_head, volumes))
    assert not figure.axes[0].patches
    assert "suspected" not in " ".join(text.get_text() for text in figure.texts)
