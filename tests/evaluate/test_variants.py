"""The same case shown in another way: what must change and what must not."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.report import Call, Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.evaluate.asymmetry import asymmetry
from lvo.evaluate.records import Found
from lvo.evaluate.variants import INVARIANCES, mirrored, mirrored_back, scaled, shown, sliced, turned
from lvo.synth.cases import draw_case

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = 0.95 * Rotation.from_euler("xyz", (7, -11, 4), degrees=True).as_matrix()
OBLIQUE[:3, 3] = (3.0, -8.0, 5.0)
POSE = HeadPose(OBLIQUE, 1.0)
BOX = ((-80.0, -75.0, -60.0), (80.0, 60.0, 45.0))


def crop(spacing_mm=2.0):
    """A crop of the pose, 35 HU everywhere, that may be written."""
    grid = POSE.crop(*BOX, spacing_mm=spacing_mm)
    return np.full(grid.shape_kji, 35, np.int16), grid


def test_a_mark_on_the_left_lies_at_the_mirrored_place_on_the_right():
    array, grid = crop()
    index = (30, 40, 61)
    array[index] = 500
    seen = mirrored(Volume(array, grid, Quantity.HU), POSE)
    (where,) = np.argwhere(seen.array == 500)
    before, after = (POSE.to_atlas_mm(g.to_lps_mm(at)) for g, at in ((grid, index), (seen.grid, where)))
    assert before[0] > 5.0
    assert after == pytest.approx(before * (-1.0, 1.0, 1.0), abs=1e-9)
    assert np.allclose(seen.grid.axes_lps, grid.axes_lps)  # still along the atlas, so that the network may read it


def test_mirroring_twice_changes_nothing():
    array, grid = crop()
    array[:] = np.random.default_rng(2).integers(-100, 500, grid.shape_kji)
    volume = Volume(array, grid, Quantity.HU)
    twice = mirrored(mirrored(volume, POSE), POSE)
    assert (twice.array == volume.array).all()
    assert twice.grid.same_as(volume.grid)


def test_a_result_is_carried_back_to_the_side_it_belongs_to():
    there = POSE.to_lps_mm((-25.0, -2.0, -16.0))
    found = Found(call=Call.SUSPECTED, probability=0.7, side=Side.RIGHT, site=Site.M1, location_lps_mm=tuple(there.tolist()))
    back = mirrored_back(found, POSE)
    assert (back.call, back.probability, back.side, back.site) == (Call.SUSPECTED, 0.7, Side.LEFT, Site.M1)
    assert POSE.to_atlas_mm(back.location_lps_mm) == pytest.approx((25.0, -2.0, -16.0), abs=0.1)
    assert mirrored_back(Found(call=Call.SUSPECTED, probability=0.7, side=Side.MIDLINE), POSE).side is Side.MIDLINE


def test_scaling_changes_contrast_and_spares_brain_and_air():
    grid = Grid.from_axes((1, 1, 5), (1.0,) * 3, origin_lps_mm=(0, 0, 0))
    volume = Volume(np.array([[[-1000, 30, 40, 340, 3000]]], np.int16), grid, Quantity.HU)
    assert scaled(volume, 0.7).array.tolist() == [[[-1000, 30, 40, 250, 2112]]]
    assert scaled(volume, 1.3).array.tolist() == [[[-1000, 30, 40, 430, 3071]]]


def test_thicker_slices_change_the_scan_and_not_the_head():
    case = draw_case(6300, "evaluation")
    assert case.scan.spacing_kji_mm[0] < 1.25
    changed = sliced(case)
    assert changed.scan.spacing_kji_mm == (1.25, *case.scan.spacing_kji_mm[1:])
    assert (changed.head, changed.scan.scanner) == (case.head, case.scan.scanner)
    assert sliced(changed) == changed


def test_turned_heads_are_turned_by_15_degrees_about_one_axis():
    for seed in (6300, 6301, 6302):
        case = draw_case(seed, "evaluation")
        change = np.subtract(turned(case).head.rotation_deg, case.head.rotation_deg)
        assert sorted(np.abs(change)) == pytest.approx([0.0, 0.0, 15.0])
        assert turned(case).scan == case.scan


def test_an_unknown_variant_is_an_error(fake_pipeline):
    assert fake_pipeline["scanned"] == 0
    assert len(set(INVARIANCES)) == 5
    with pytest.raises(KeyError):
        shown("upside down", None, type("S", (), {"hu": None}))


def vessels_on(sides, bone_on=()):
    """A crop with an M1 on some sides, and the edge of the skull on others."""
    array, grid = crop(1.0)
    points = POSE.to_atlas_mm(grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1)))
    for side in (1.0, -1.0):
        if side in sides:
            m1 = (
                (np.hypot(points[..., 1] + 2.0, points[..., 2] + 13.0) < 2.0)
                & (side * points[..., 0] > 14)
                & (side * points[..., 0] < 35)
            )
            array[m1] = 350
        if side in bone_on:
            array[(side * points[..., 0] > 50.0) & (side * points[..., 0] < 58.0)] = 1200
    return Volume(array, grid, Quantity.HU)


def test_asymmetry_tells_the_side_and_bone_does_not_mislead_it():
    assert asymmetry(vessels_on({1.0, -1.0}), POSE) == pytest.approx(0.0, abs=0.1)
    assert asymmetry(vessels_on({1.0}), POSE) > 0.6
    assert asymmetry(vessels_on({-1.0}, bone_on={1.0}), POSE) < -0.6
    assert asymmetry(vessels_on(set()), POSE) == 0.0
