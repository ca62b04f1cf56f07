"""Positions: one asymmetric, oblique, off-origin grid, and what each predicate refuses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvo.core.grid import Grid, Plane

COS, SIN = np.cos(np.radians(16.26)), np.sin(np.radians(16.26))
AXES_LPS = np.array([[0, -SIN, COS], [0, COS, SIN], [1, 0, 0]])


@pytest.fixture
def oblique_grid() -> Grid:
    return Grid.from_axes(
        (4, 5, 7), (3.0, 0.7, 0.4), origin_lps_mm=(-12.0, 30.0, 55.0), axes_lps=AXES_LPS, frame_of_reference_uid="1.2.3"
    )


def test_each_index_moves_along_its_own_axis_by_its_own_spacing(oblique_grid):
    origin = oblique_grid.to_lps_mm((0, 0, 0))
    np.testing.assert_allclose(origin, (-12, 30, 55))
    np.testing.assert_allclose(oblique_grid.to_lps_mm((1, 0, 0)) - origin, 3.0 * AXES_LPS[0])
    np.testing.assert_allclose(oblique_grid.to_lps_mm((0, 1, 0)) - origin, 0.7 * AXES_LPS[1])
    np.testing.assert_allclose(oblique_grid.to_lps_mm((0, 0, 1)) - origin, (0.4, 0, 0))
    np.testing.assert_allclose(oblique_grid.spacing_kji_mm, (3.0, 0.7, 0.4))
    np.testing.assert_allclose(oblique_grid.axes_lps, AXES_LPS)
    assert oblique_grid.voxel_ml == pytest.approx(3.0 * 0.7 * 0.4 / 1000)


@given(st.tuples(*[st.floats(-300, 300)] * 3))
def test_going_to_the_patient_and_back_changes_nothing(point):
    grid = Grid.from_axes((4, 5, 7), (3.0, 0.7, 0.4), origin_lps_mm=(-12.0, 30.0, 55.0), axes_lps=AXES_LPS)
    np.testing.assert_allclose(grid.to_lps_mm(grid.to_kji(point)), point, atol=1e-9)


def test_default_axes_are_a_supine_axial_scan():
    grid = Grid.from_axes((2, 2, 2), (5.0, 1.0, 1.0), origin_lps_mm=(0, 0, 0))
    np.testing.assert_allclose(grid.to_lps_mm((1, 0, 0)), (0, 0, 5))
    np.testing.assert_allclose(grid.to_lps_mm((0, 0, 1)), (1, 0, 0))


def test_contains_ends_at_the_outer_face_of_the_last_voxel(oblique_grid):
    assert oblique_grid.contains(oblique_grid.to_lps_mm((3.49, 4.49, 6.49)))
    assert not oblique_grid.contains(oblique_grid.to_lps_mm((3.51, 4.0, 6.0)))
    assert not oblique_grid.contains(oblique_grid.to_lps_mm((0, -0.51, 0)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"frame_of_reference_uid": "9.9"}, id="another frame of reference"),
        pytest.param({"shape_kji": (4, 5, 6)}, id="another shape"),
        pytest.param({"lps_from_kji": np.diag([3.0, 0.7, 0.4, 1.0])}, id="another orientation"),
    ],
)
def test_same_as_says_no(oblique_grid, change):
    assert oblique_grid.same_as(replace(oblique_grid))
    assert not oblique_grid.same_as(replace(oblique_grid, **change))


@pytest.mark.parametrize(
    ("shape_kji", "affine", "match"),
    [
        pytest.param((0, 2, 2), np.eye(4), "at least 1", id="an empty axis"),
        pytest.param((2, 2), np.eye(4), "three sizes", id="two axes"),
        pytest.param((2, 2, 2), np.eye(3), "affine", id="a 3x3 matrix"),
        pytest.param((2, 2, 2), np.diag([1.0, 0.0, 1.0, 1.0]), "invertible", id="a flat voxel"),
        pytest.param((2, 2, 2), np.diag([1.0, np.nan, 1.0, 1.0]), "finite", id="a NaN"),
    ],
)
def test_a_grid_that_is_none_is_refused(shape_kji, affine, match):
    with pytest.raises(ValueError, match=match):
        Grid(shape_kji, affine)


def test_the_affine_cannot_be_written_through(oblique_grid):
    with pytest.raises(ValueError, match="read-only"):
        oblique_grid.lps_from_kji[0, 0] = 1.0


def test_the_mid_plane_tells_left_from_right_and_mirrors_across():
    normal = np.array([COS, SIN, 0.0])
    plane = Plane(np.array([3.0, -8.0, 20.0]), normal)
    left = plane.point_lps_mm + 10 * normal
    assert plane.signed_distance_mm(left) == pytest.approx(10)
    mirrored = plane.mirror() @ np.append(left, 1.0)
    np.testing.assert_allclose(mirrored[:3], plane.point_lps_mm - 10 * normal)
