"""A scan shows the head on the scanner's slices, with the artefacts that were asked for and no others."""

import numpy as np
import pytest

from lvo.core.report import Side, Site
from lvo.synth.acquire import Acquisition, Jolt, Metal, acquire, heads_by_slice, scan_grid
from lvo.synth.head import Head, HeadSpec, Occlusion, make_head
from lvo.synth.render import CLOT_CLASS, TREE_CODES, UNSURE_CLASS, VEIN_CLASS, class_labels, render_cta, vessel_labels
from lvo.synth.scanner import Scanner

BOX = ((-40.0, -30.0, -30.0), (35.0, 25.0, 0.0))
SCANNER = Scanner(noise_sd_hu=5.0, seed=3)
SPACING = (1.5, 1.1, 1.1)


@pytest.fixture(scope="module")
def head() -> Head:
    return make_head(HeadSpec(12, rotation_deg=(4.0, -3.0, 6.0), arterial_hu=350.0))


@pytest.fixture(scope="module")
def grid(head):
    return scan_grid(head.pose, BOX, SPACING)


def test_the_grid_covers_the_box_with_axial_slices(head, grid):
    corners = head.pose.to_lps_mm(np.array(np.meshgrid(*zip(*BOX, strict=True))).reshape(3, -1).T)
    assert grid.contains(corners).all()
    np.testing.assert_allclose(grid.lps_from_kji[:3, :3], [[0, 0, SPACING[2]], [0, SPACING[1], 0], [SPACING[0], 0, 0]])


def test_without_artefacts_it_is_the_rendered_head(head, grid):
    scan = acquire(head, grid, Acquisition(SPACING, scanner=SCANNER))
    np.testing.assert_array_equal(scan.array, render_cta(head, grid, SCANNER).array)


def test_a_jolt_moves_the_later_slices_only(head, grid):
    scan = Acquisition(SPACING, scanner=SCANNER, jolts=(Jolt(0.5, (0.0, 0.0, 5.0), (3.0, 0.0, 0.0)),))
    (early, still), (later, moved) = heads_by_slice(head, grid, scan)
    assert (early.start, early.stop, later.stop) == (0, later.start, grid.shape_kji[0])
    still_hu, scan_hu = render_cta(head, grid, SCANNER).array, acquire(head, grid, scan).array
    np.testing.assert_allclose(still_hu[: early.stop - 2], scan_hu[: early.stop - 2], atol=1)  # the blur reaches a little
    assert np.abs(still_hu[later.start :].astype(int) - scan_hu[later.start :]).mean() > 10.0
    pivot = still.pose.to_lps_mm((0.0, 18.0, -20.0))
    np.testing.assert_allclose(moved.pose.to_lps_mm((0.0, 18.0, -20.0)) - pivot, (3.0, 0.0, 0.0), atol=1e-9)
    for one, two in zip(still.arteries, moved.arteries, strict=True):
        np.testing.assert_allclose(
            moved.pose.to_atlas_mm(two.points_lps_mm), still.pose.to_atlas_mm(one.points_lps_mm), atol=1e-9
        )


def test_thick_slices_blur_along_z_and_keep_the_noise(head, grid):
    thin, thick = (acquire(head, grid, Acquisition(SPACING, t, scanner=SCANNER)).array.astype(float) for t in (0.0, 6.0))
    assert np.abs(np.diff(thick, axis=0)).mean() < 0.7 * np.abs(np.diff(thin, axis=0)).mean()


def test_metal_is_bright_and_streaks_fade(head, grid):
    metal = Metal((10.0, -5.0, -15.0), radius_mm=2.5, strength_hu=400.0)
    plain, scan = (acquire(head, grid, Acquisition(SPACING, scanner=SCANNER, metal=m)).array for m in ((), (metal,)))
    k, j, i = np.rint(grid.to_kji(head.pose.to_lps_mm(metal.center_atlas_mm))).astype(int)
    assert scan[k, j, i] == 3071
    change = np.abs(scan[k].astype(float) - plain[k])
    near, far = change[j - 9 : j + 10, i - 9 : i + 10].mean(), change[:5].mean()
    assert near > 3.0 * far > 0.0
    np.testing.assert_array_equal(scan[k - 8], plain[k - 8])


def test_outside_the_field_of_view_is_padding(head, grid):
    scan = acquire(head, grid, Acquisition(SPACING, scanner=SCANNER, fov_mm=60.0, padding_hu=-2000)).array
    assert (scan[:, 0, 0] == -2000).all()
    center = np.rint(grid.to_kji(head.pose.to_lps_mm((0.0, 18.0, -15.0)))).astype(int)
    assert scan[tuple(center)] > -200


def test_bands_darken_between_the_petrous_bones():
    head = make_head(HeadSpec(12))
    grid = scan_grid(head.pose, ((-75.0, 0.0, -50.0), (75.0, 40.0, -35.0)), (2.0, 1.2, 1.2))
    plain, dark = (
        acquire(head, grid, Acquisition((2.0, 1.2, 1.2), scanner=SCANNER, bands_hu=b)).array.astype(float) for b in (0.0, 80.0)
    )
    change = dark - plain
    assert -80.5 <= change.min() < -40.0
    assert change.max() <= 0.5


def test_classes_name_the_tree_and_leave_rims_open():
    """Every tree is there; a voxel of the plain labels is a vessel here too or unsure, and hardly any is unsure."""
    head = make_head(HeadSpec(12, Occlusion(Side.LEFT, Site.M1), collateral_grade=1))
    grid = scan_grid(head.pose, BOX, (0.8, 0.8, 0.8))
    classes, labels = class_labels(head, grid).array, vessel_labels(head, grid).array
    assert set(np.unique(classes)) == {0, *TREE_CODES.values(), VEIN_CLASS, CLOT_CLASS, UNSURE_CLASS}
    artery = (classes > 0) & (classes < VEIN_CLASS)
    vessel = artery | (classes == CLOT_CLASS) | (classes == UNSURE_CLASS)
    assert vessel[labels == 1].mean() > 0.99
    assert (classes == UNSURE_CLASS)[labels == 1].mean() < 0.2
    assert (classes == UNSURE_CLASS).sum() > 0.2 * artery.sum()
    clot = grid.to_lps_mm(np.argwhere(classes == CLOT_CLASS).mean(axis=0))
    assert np.linalg.norm(clot - head.truth.clot_center_lps_mm) < 4.0
