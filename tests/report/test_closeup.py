"""The mirrored pair shows the place and its mirror image in the head, level, in one window; the arrow hides nothing."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import ndimage

from lvo.core.report import Call, Side, Site
from lvo.report.closeup import close_views, draw_closeup, places
from lvo.report.head import head_axes, head_box
from lvo.report.marks import MARK
from lvo.report.slabs import AXIAL, CLOSE_FIELD_MM, CORONAL, close_mip

MARK_RGB = tuple(int(MARK[n : n + 2], 16) for n in (1, 3, 5))
SITE_ATLAS_MM = (24.0, -3.0, -16.0)


def box_of(head, volumes, pose="own"):
    return head_box(volumes["cta"], None, head.pose if pose == "own" else pose)


def shown(head, result, volumes):
    """The pictures as RGB and the axes on it, in the order in which they are drawn."""
    box = box_of(head, volumes)
    figure = draw_closeup(close_views(result, volumes, head.site_lps_mm(), box), result)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(int), figure.axes


def panel(rgb, axes):
    """The part of the picture that one panel takes."""
    x0, y0, x1, y1 = axes.get_window_extent().extents
    height = rgb.shape[0]
    return rgb[round(height - y1) : round(height - y0), round(x0) : round(x1)]


def marked(rgb):
    return np.abs(rgb - MARK_RGB).max(axis=-1) < 12


def arrow_of(rgb):
    """Pixels of the arrow: the mark's colour below the title."""
    found = marked(rgb)
    found[: round(0.07 * len(rgb))] = False
    return found


def test_axes_follow_the_head_and_not_the_bed(turned_head):
    axes = head_axes(turned_head.pose)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    steps = turned_head.pose.to_atlas_mm(axes) - turned_head.pose.to_atlas_mm(np.zeros(3))
    np.testing.assert_allclose(steps / 0.96, np.eye(3), atol=1e-6)
    np.testing.assert_array_equal(head_axes(None), np.eye(3))


@pytest.mark.parametrize("view", [AXIAL, CORONAL], ids=lambda view: view.name)
def test_left_and_right_are_level_in_a_turned_head(turned_head, view):
    """The atlas is the oracle: two places that differ in its x alone stand in one row; without the pose they do not."""
    left, right = (tuple(turned_head.site_lps_mm(side)) for side in (Side.LEFT, Side.RIGHT))
    volumes = turned_head.balls()
    center = turned_head.pose.to_lps_mm((0.0, *SITE_ATLAS_MM[1:]))
    rows = {}
    for pose in ("own", None):
        slab = close_mip(volumes, view, center, box_of(turned_head, volumes, pose))
        (column_l, row_l), (column_r, row_r) = slab.to_column_row(left), slab.to_column_row(right)
        assert column_l > column_r, "the patient's left is at the right"
        rows[pose] = abs(row_l - row_r) * slab.pixel_mm
    assert rows["own"] < 0.01
    assert rows[None] > 5.0


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_the_other_place_is_the_mirror_image_in_the_head(turned_head, side):
    volumes = turned_head.balls()
    box = box_of(turned_head, volumes)
    right, left = places(turned_head.result(side=side), turned_head.site_lps_mm(side), box)
    here, there = (left, right) if side is Side.LEFT else (right, left)
    x = SITE_ATLAS_MM[0] if side is Side.LEFT else -SITE_ATLAS_MM[0]
    np.testing.assert_allclose(turned_head.pose.to_atlas_mm(here.center_lps_mm), (x, *SITE_ATLAS_MM[1:]), atol=1e-6)
    np.testing.assert_allclose(turned_head.pose.to_atlas_mm(there.center_lps_mm), (-x, *SITE_ATLAS_MM[1:]), atol=1e-6)
    assert (here.is_site, there.is_site, here.is_mirror, there.is_mirror) == (True, False, False, True)
    other = "right" if side is Side.LEFT else "left"
    assert (here.words, there.words) == (f"suspected side: {side} M1", f"other side: {other}")


def test_the_side_of_the_picture_comes_from_the_place_not_from_the_bed(turned_head):
    """In LPS both places may lie left of x = 0; the head's middle decides."""
    volumes = turned_head.balls()
    box = box_of(turned_head, volumes)
    assert box.side_of(turned_head.site_lps_mm(Side.LEFT)) is Side.LEFT
    assert box.side_of(turned_head.site_lps_mm(Side.RIGHT)) is Side.RIGHT
    assert np.sign(turned_head.site_lps_mm(Side.LEFT)[0]) == np.sign(turned_head.site_lps_mm(Side.RIGHT)[0])


def test_a_site_in_the_middle_has_no_other_side(turned_head):
    volumes = turned_head.balls()
    box = box_of(turned_head, volumes)
    place = tuple(float(x) for x in turned_head.pose.to_lps_mm((0.5, 11.0, -20.0)))
    result = turned_head.result()
    finding = replace(result.finding, side=Side.MIDLINE, site=Site.BA, location_lps_mm=place)
    result = replace(result, finding=finding)
    (one,) = places(result, np.array(place), box)
    assert one.words == "suspected site: basilar artery"
    rows = close_views(result, volumes, np.array(place), box)
    assert [view.slab.view.name for view in rows[0]] == ["axial", "coronal", "sagittal"]
    assert len(rows) == 1


def test_both_sides_suspected_is_said_on_both(turned_head):
    volumes = turned_head.balls()
    result = turned_head.result()
    result = replace(result, finding=replace(result.finding, side=Side.BOTH))
    right, left = places(result, turned_head.site_lps_mm(), box_of(turned_head, volumes))
    assert right.words == "other side: right, suspected too"
    assert left.words == "suspected side: left M1"


def test_without_a_call_both_m1_are_shown_without_a_mark(turned_head):
    """The atlas course of M1 goes through (27, -2.5, -17)."""
    volumes = turned_head.balls()
    result = turned_head.result(Call.NOT_DETECTED)
    right, left = places(result, np.zeros(3), box_of(turned_head, volumes))
    np.testing.assert_allclose(turned_head.pose.to_atlas_mm(left.center_lps_mm), (27.0, -2.5, -17.0), atol=1e-6)
    np.testing.assert_allclose(turned_head.pose.to_atlas_mm(right.center_lps_mm), (-27.0, -2.5, -17.0), atol=1e-6)
    rgb, _ = shown(turned_head, result, volumes)
    assert not marked(rgb).any()


def test_without_a_pose_m1_is_beside_the_middle_of_the_brain(turned_head):
    volumes = turned_head.balls()
    box = box_of(turned_head, volumes, None)
    around = np.array([3.0, -20.0, 430.0])
    right, left = places(turned_head.result(Call.NOT_DETECTED, pose=None), around, box)
    for place, x in ((left, 24.0), (right, -24.0)):
        np.testing.assert_allclose(place.center_lps_mm, (box.middle_lps_mm[0] + x, -20.0, 430.0))


@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT])
def test_the_arrow_points_at_the_stop_and_does_not_cover_it(turned_head, side):
    """The stop is the only bright thing in the scan, so the picture itself says where it is."""
    volumes = turned_head.balls(turned_head.site_lps_mm(side))
    rgb, axes = shown(turned_head, turned_head.result(side=side), volumes)
    column = 1 if side is Side.LEFT else 0
    for row in (0, 1):
        here, there = panel(rgb, axes[2 * row + column]), panel(rgb, axes[2 * row + 1 - column])
        mm = CLOSE_FIELD_MM / here.shape[1]
        bright, count = ndimage.label(ndimage.binary_opening((here > 200).all(axis=-1), iterations=6))
        assert count == 1, "letters and bars are thinner"
        stop = ndimage.center_of_mass(bright)
        np.testing.assert_allclose(stop, np.array(here.shape[:2]) / 2.0, atol=1.5 / mm)
        distance_mm = np.linalg.norm(np.argwhere(arrow_of(here)) - stop, axis=1) * mm
        assert 3.0 < distance_mm.min() < 5.5
        assert distance_mm.max() < 18.0
        assert not arrow_of(there).any()


def test_an_uncertain_call_has_a_hollow_arrow(turned_head):
    volumes = turned_head.balls(turned_head.site_lps_mm())
    filled, _ = shown(turned_head, turned_head.result(), volumes)
    hollow, axes = shown(turned_head, turned_head.result(Call.INDETERMINATE), volumes)
    assert 0 < arrow_of(panel(hollow, axes[1])).sum() < 0.5 * arrow_of(panel(filled, axes[1])).sum()


def test_the_arrow_comes_from_where_nothing_bright_lies(turned_head):
    """Vessels to all sides but one: the arrow takes that one."""
    site = turned_head.site_lps_mm()
    around = [turned_head.pose.to_lps_mm(np.add(SITE_ATLAS_MM, step)) for step in ((12, 0, 0), (-12, 0, 0), (0, 12, 0))]
    volumes = turned_head.balls(site, *around, radius_mm=7.0)
    rgb, axes = shown(turned_head, turned_head.result(), volumes)
    here = panel(rgb, axes[1])
    rows, columns = np.nonzero(arrow_of(here))
    assert rows.mean() < here.shape[0] / 2.0, "the free way is the front, which is on top"
    assert abs(columns.mean() - here.shape[1] / 2.0) < 0.1 * here.shape[1]


def test_both_sides_are_shown_in_one_window(turned_head):
    """Equal density is equal grey on both sides, and brain is darker than vessel."""
    both = [turned_head.site_lps_mm(side) for side in (Side.LEFT, Side.RIGHT)]
    rgb, axes = shown(turned_head, turned_head.result(), turned_head.balls(*both, radius_mm=3.0))
    right, left = (panel(rgb, one) for one in axes[:2])
    middles = [part[part.shape[0] // 2, part.shape[1] // 2] for part in (right, left)]
    np.testing.assert_allclose(*middles, atol=3)
    corners = [part[part.shape[0] // 4, part.shape[1] // 4] for part in (right, left)]
    np.testing.assert_allclose(*corners, atol=3)
    assert (middles[0] > corners[0] + 80).all()
