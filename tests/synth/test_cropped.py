"""A case is one head, seen through a wrong but bounded registration, with the truth that belongs to it."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.report import Side
from lvo.synth.acquire import Acquisition, Jolt
from lvo.synth.cases import draw_case, truth_of
from lvo.synth.cropped import RegistrationError, scan_case
from lvo.synth.render import TREE_CODES, UNSURE_CLASS, VEIN_CLASS

BOX = ((-45.0, -35.0, -35.0), (40.0, 30.0, 5.0))
SPACING_MM = 1.1
ERROR = RegistrationError()
EXACT = RegistrationError(0.0, 0.0, 0.0)


def scanned_case(case, error=None):
    return scan_case(case, spacing_mm=SPACING_MM, box_atlas_mm=BOX, error=error)


@pytest.fixture(scope="module")
def cases():
    """Four cases on a small box around the circle of Willis."""
    return {seed: scanned_case(draw_case(seed)) for seed in range(10_000, 10_004)}


def arteries(classes):
    return np.isin(classes, list(TREE_CODES.values()))


def test_the_same_seed_gives_the_same_bits_and_another_does_not(cases):
    again = scanned_case(draw_case(10_001))
    np.testing.assert_array_equal(again.hu.array, cases[10_001].hu.array)
    np.testing.assert_array_equal(again.classes.array, cases[10_001].classes.array)
    assert (again.hu.array.dtype, again.classes.array.dtype) == (np.int16, np.uint8)
    other = cases[10_002].hu.array
    assert other.shape != again.hu.array.shape or (other != again.hu.array).any()


def test_classes_lie_on_vessels(cases):
    """Arteries are brighter than brain in every case, and nothing has a code that means nothing."""
    for case in cases.values():
        assert case.classes.grid.same_as(case.hu.grid)
        hu, classes = case.hu.array, case.classes.array
        assert set(np.unique(classes)) <= {*range(len(VESSEL_CLASSES)), UNSURE_CLASS}
        assert 0.001 < arteries(classes).mean() < 0.05
        assert np.median(hu[arteries(classes)]) > 100.0


def test_the_truth_is_that_of_the_case(cases):
    for seed, scanned in cases.items():
        assert scanned.truth == truth_of(draw_case(seed))


def test_the_side_is_the_patients(cases):
    """The artery stops on the side that the truth names: atlas x grows to the left."""
    signs = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
    stops = [(case.true_pose, stop) for case in cases.values() for stop in case.truth.stops if stop.side in signs]
    assert stops
    for pose, stop in stops:
        assert pose.to_atlas_mm(stop.cutoff_lps_mm)[0] * signs[stop.side] > 0.0


def test_the_registration_error_is_there_and_bounded(cases):
    """Corners of the box move, and none by more than shift, turn and scale together allow."""
    corners = np.array(np.meshgrid(*zip(*BOX, strict=True))).reshape(3, -1).T
    reach_mm = np.linalg.norm(np.subtract(BOX[1], BOX[0])) / 2.0
    bound_mm = np.sqrt(3) * ERROR.shift_mm + reach_mm * (ERROR.scale + 3 * np.deg2rad(ERROR.rotation_deg)) * 1.1
    for case in cases.values():
        off_mm = np.linalg.norm(case.pose.to_atlas_mm(case.true_pose.to_lps_mm(corners)) - corners, axis=1)
        assert 0.1 < off_mm.max() < bound_mm


@pytest.fixture(scope="module")
def moved():
    """A case whose head moves within the scan, without a registration error."""
    jolt = Jolt(0.5, (0.0, 0.0, 6.0), (0.0, 5.0, 0.0))
    case = draw_case(10_000)
    case = replace(case, scan=Acquisition((1.5, 1.0, 1.0), scanner=case.scan.scanner, jolts=(jolt,)))
    return scanned_case(case, EXACT), scanned_case(replace(case, scan=replace(case.scan, jolts=())), EXACT)


def test_without_registration_error_the_pose_is_the_true_one(moved):
    scanned, _ = moved
    np.testing.assert_allclose(scanned.pose.atlas_from_lps, scanned.true_pose.atlas_from_lps, atol=1e-9)
    assert scanned.hu.grid.spacing_kji_mm == pytest.approx((SPACING_MM,) * 3)


def test_classes_of_a_moved_head_lie_where_the_slices_show_it(moved):
    """Above and below the jolt arteries are bright at their classes; above it they are not where they would have been."""
    (still_hu, still), (hu, classes) = ((case.hu.array, case.classes.array) for case in moved[::-1])
    middle = hu.shape[0] // 2
    for part in (slice(None, middle - 2), slice(middle + 2, None)):
        found = arteries(classes[part])
        assert found.sum() > 100
        assert np.median(hu[part][found]) > 110.0
    np.testing.assert_array_equal(classes[: middle - 4], still[: middle - 4])
    upper = slice(middle + 4, None)
    unmoved = arteries(still[upper]) & ~arteries(classes[upper])
    assert unmoved.sum() > 50
    assert np.median(hu[upper][unmoved]) < np.median(still_hu[upper][unmoved]) - 40.0


def test_veins_are_told_from_arteries(cases):
    assert sum(int((case.classes.array == VEIN_CLASS).sum()) for case in cases.values()) > 50
