"""A case is one head, seen through a wrong but bounded registration, with the truth that belongs to it."""

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from lvo.core.report import Side
from lvo.synth.acquire import Acquisition, Jolt
from lvo.synth.cases import draw_case
from lvo.synth.render import VEIN_CLASS
from lvo.train.config import DataSettings
from lvo.train.heads import head_case, render_head, scan_case
from lvo.train.shards import load_crop, render_crop, save_crop
from lvo.train.tubes import ARTERY, VEIN

SETTINGS = DataSettings(spacing_mm=1.1, low_atlas_mm=(-45.0, -35.0, -35.0), high_atlas_mm=(40.0, 30.0, 5.0))


@pytest.fixture(scope="module")
def cases():
    """Eight cases on a small box around the circle of Willis."""
    return [head_case(seed, SETTINGS) for seed in range(3000, 3008)]


def test_the_same_seed_gives_the_same_bits_and_another_does_not(cases):
    hu, label = render_head(3001, SETTINGS)
    np.testing.assert_array_equal(hu, cases[1].hu.array)
    np.testing.assert_array_equal(label, cases[1].label.array)
    assert (hu.dtype, label.dtype) == (np.int16, np.uint8)
    assert hu.shape != cases[2].hu.array.shape or (hu != cases[2].hu.array).any()


def test_labels_lie_on_vessels(cases):
    """Arteries are brighter than brain in every case; a clot and brain are background."""
    for case in cases:
        assert case.label.grid.same_as(case.hu.grid)
        hu, label = case.hu.array, case.label.array
        assert set(np.unique(label)) <= {0, ARTERY, VEIN}
        assert 0.001 < (label == ARTERY).mean() < 0.05
        assert np.median(hu[label == ARTERY]) > 100.0


def test_occluded_and_healthy_heads_are_both_drawn(cases):
    assert {case.site is None for case in cases} == {True, False}
    for case in cases:
        assert (case.site is None) == (case.side is None) == (case.cutoff_lps_mm is None)


def test_the_side_is_the_patients(cases):
    """The artery stops on the side that the truth names: atlas x grows to the left."""
    sides = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
    lateral = [case for case in cases if case.side in sides and case.cutoff_lps_mm is not None]
    assert lateral
    for case in lateral:
        assert case.true_pose.to_atlas_mm(case.cutoff_lps_mm)[0] * sides[case.side] > 0.0


def test_the_registration_error_is_there_and_bounded(cases):
    """Corners of the box move, and none by more than shift, turn and scale together allow."""
    corners = np.array(np.meshgrid(*zip(SETTINGS.low_atlas_mm, SETTINGS.high_atlas_mm, strict=True))).reshape(3, -1).T
    reach_mm = np.linalg.norm(np.subtract(SETTINGS.high_atlas_mm, SETTINGS.low_atlas_mm)) / 2.0
    bound_mm = np.sqrt(3) * SETTINGS.shift_mm + reach_mm * (SETTINGS.scale + 3 * np.deg2rad(SETTINGS.rotation_deg)) * 1.1
    for case in cases:
        off_mm = np.linalg.norm(case.pose.to_atlas_mm(case.true_pose.to_lps_mm(corners)) - corners, axis=1)
        assert 0.1 < off_mm.max() < bound_mm


def test_without_registration_error_the_pose_is_the_true_one():
    exact = replace(SETTINGS, rotation_deg=0.0, shift_mm=0.0, scale=0.0)
    case = head_case(3000, exact)
    np.testing.assert_allclose(case.pose.atlas_from_lps, case.true_pose.atlas_from_lps, atol=1e-9)
    assert case.hu.grid.spacing_kji_mm == pytest.approx((1.1, 1.1, 1.1))


@pytest.fixture(scope="module")
def moved():
    """A case whose head moves within the scan."""
    jolt = Jolt(0.5, (0.0, 0.0, 6.0), (0.0, 5.0, 0.0))
    case = draw_case(10_000)
    case = dataclasses.replace(case, scan=Acquisition((1.5, 1.0, 1.0), scanner=case.scan.scanner, jolts=(jolt,)))
    return case, scan_case(case, SETTINGS)


def test_a_scanned_case_is_the_same_every_time(moved):
    case, scanned = moved
    again = scan_case(case, SETTINGS)
    np.testing.assert_array_equal(again.hu.array, scanned.hu.array)
    np.testing.assert_array_equal(again.classes.array, scanned.classes.array)
    assert (scanned.site, scanned.side) == (case.head.occlusion.site, case.head.occlusion.side)


def test_labels_of_a_moved_head_lie_where_the_slices_show_it(moved):
    """Above and below the jolt arteries are bright at their labels: the median is far above brain (about 40 HU)."""
    _, scanned = moved
    hu, classes = scanned.hu.array, scanned.classes.array
    middle = hu.shape[0] // 2
    for part in (slice(None, middle - 2), slice(middle + 2, None)):
        artery = (classes[part] > 0) & (classes[part] < VEIN_CLASS)
        assert artery.sum() > 100
        assert np.median(hu[part][artery]) > 110.0
    np.testing.assert_array_equal(scanned.label.array == ARTERY, (classes > 0) & (classes < VEIN_CLASS))
    np.testing.assert_array_equal(scanned.label.array == VEIN, classes == VEIN_CLASS)


def test_a_crop_of_a_case_keeps_its_classes(tmp_path):
    settings = replace(SETTINGS, kind="cases", low_atlas_mm=(-25.0, -20.0, -25.0), high_atlas_mm=(25.0, 20.0, -5.0))
    crop = render_crop(10_001, settings, "cases")
    save_crop(tmp_path / "crop.npz", crop)
    loaded = load_crop(tmp_path / "crop.npz")
    np.testing.assert_array_equal(loaded.classes, crop.classes)
    assert set(np.unique(crop.label)) <= {0, ARTERY, VEIN}
    assert crop.classes.max() >= 1
