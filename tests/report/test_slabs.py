"""Pictures lie the way radiologists look at them: the patient's right at the image's left."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.report import Call, Side
from lvo.core.study import Role
from lvo.core.volume import Quantity, Volume
from lvo.report.head import head_box
from lvo.report.slabs import (
    AXIAL,
    BONE_HU,
    CORONAL,
    SAGITTAL,
    SLAB_MM,
    as_radiologist,
    slab_center,
    slab_mip,
)  # fmt: skip


@pytest.fixture(scope="module")
def volumes(report_phantom) -> dict[str, Volume]:
    return report_phantom.volumes()


@pytest.fixture(scope="module")
def box(volumes):
    return head_box(volumes["cta"], volumes["brain"])


@pytest.mark.parametrize("view", [AXIAL, CORONAL, SAGITTAL], ids=lambda view: view.name)
def test_a_point_falls_on_its_voxel(report_phantom, box, view):
    """One bright voxel in the oblique scan shows at the pixel that the slab gives for its place."""
    grid = report_phantom.grid(Role.CTA)
    array = np.full(grid.shape_kji, -1000.0, np.float32)
    array[14, 11, 15] = 500.0
    point = grid.to_lps_mm((14, 11, 15))
    slab = slab_mip({"cta": Volume(array, grid, Quantity.HU)}, view, point, box)
    row, column = np.unravel_index(slab.hu.argmax(), slab.hu.shape)
    assert slab.to_column_row(tuple(point)) == pytest.approx((column, row), abs=2.0)


def test_the_left_of_the_patient_is_at_the_right_and_the_front_on_top(box, volumes):
    slab = slab_mip(volumes, AXIAL, box.middle_lps_mm, box)
    x, y, z = box.middle_lps_mm
    left, back = slab.to_column_row((x + 30, y, z)), slab.to_column_row((x, y + 30, z))
    middle = slab.to_column_row((x, y, z))
    assert left[0] > middle[0]
    assert back[1] > middle[1]


def test_the_head_is_on_top_in_coronal_and_the_front_at_the_left_in_sagittal(box, volumes):
    x, y, z = box.middle_lps_mm
    coronal = slab_mip(volumes, CORONAL, box.middle_lps_mm, box)
    assert coronal.to_column_row((x, y, z + 30))[1] < coronal.to_column_row((x, y, z))[1]
    sagittal = slab_mip(volumes, SAGITTAL, box.middle_lps_mm, box)
    assert sagittal.to_column_row((x, y - 30, z))[0] < sagittal.to_column_row((x, y, z))[0]


def test_edge_letters_fit_the_directions():
    """LPS: x grows to the left, y to the back, z to the head."""
    letters = {(1, 0, 0): "L", (-1, 0, 0): "R", (0, 1, 0): "P", (0, -1, 0): "A", (0, 0, 1): "S", (0, 0, -1): "I"}
    for view in (AXIAL, CORONAL, SAGITTAL):
        right, down = np.array(view.right), np.array(view.down)
        assert view.edges == tuple(letters[tuple(int(n) for n in d)] for d in (-right, right, -down, down))


def test_bone_outside_the_brain_is_dimmed_and_arteries_are_not(volumes, box):
    slab = slab_mip(volumes, AXIAL, box.middle_lps_mm, box)
    plain = slab_mip({"cta": volumes["cta"]}, AXIAL, box.middle_lps_mm, box)
    bone, left_over = (int((s.hu > BONE_HU).sum()) for s in (plain, slab))
    assert bone > 1000
    assert left_over < 0.1 * bone, "what is left lies in voxels that are half brain"
    assert slab_mip(volumes, AXIAL, box.middle_lps_mm - (0, 0, 18.0), box).hu.max() > 250.0


def test_the_slab_runs_through_the_site(report_phantom, volumes, box):
    finding = report_phantom.cta_result().finding
    np.testing.assert_allclose(slab_center(finding, volumes["arteries"], box), finding.location_lps_mm)


def test_without_a_site_the_slab_holds_the_circle_of_willis(report_phantom, volumes, box):
    finding = report_phantom.cta_result(Call.NOT_DETECTED).finding
    center = slab_center(finding, volumes["arteries"], box)
    assert abs(center[2] - (640.0 - 14.0)) < SLAB_MM / 2.0


def test_without_site_and_arteries_the_slab_is_on_the_side_said(report_phantom, box):
    finding = replace(report_phantom.cta_result(Call.NOT_DETECTED).finding, side=Side.RIGHT)
    assert slab_center(finding, None, box)[0] < box.middle_lps_mm[0]


def test_a_head_without_brain_mask_is_found(volumes, box):
    found = head_box(volumes["cta"], None)
    np.testing.assert_allclose(found.middle_lps_mm, box.middle_lps_mm, atol=8.0)


def test_an_empty_scan_is_framed_whole():
    grid = Grid.from_axes((4, 5, 6), (3.0, 2.0, 1.5), origin_lps_mm=(7, 8, 9))
    box = head_box(Volume(np.full((4, 5, 6), -1000.0), grid, Quantity.HU), None)
    np.testing.assert_allclose(box.high_mm, grid.to_lps_mm((3, 4, 5)))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
def test_turning_keeps_every_voxel_in_its_place(report_phantom, order, flips):
    """Whatever axes a scan has, the turned volume has k up, j to the back, i to the left, and values where they were."""
    grid = report_phantom.grid(Role.CTP)
    array = np.arange(np.prod(grid.shape_kji), dtype=float).reshape(grid.shape_kji)
    affine = grid.lps_from_kji.copy()
    affine[:3, :3] = affine[:3, :3][:, order] * flips
    shape = tuple(grid.shape_kji[n] for n in order)
    volume = Volume(array.transpose(order).copy(), Grid(shape, affine), Quantity.TMAX)
    turned = as_radiologist(volume)
    assert (np.diag(turned.grid.axes_lps[:, ::-1]) > 0.5).all()
    for index in ((0, 0, 0), (1, 3, 2), tuple(n - 1 for n in shape)):
        moved = tuple(np.round(turned.grid.to_kji(volume.grid.to_lps_mm(index))).astype(int))
        assert turned.array[moved] == volume.array[index]
