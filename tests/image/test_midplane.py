"""The mid-plane of a slab by symmetry."""

import numpy as np
import pytest

from lvo.core.grid import Grid, Plane
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import Quantity, Volume
from lvo.image.brain import find_brain
from lvo.image.midplane import find_midplane
from lvo.image.register import register_to_atlas

from .conftest import Phantom


def plane_of(volume: Volume) -> Plane:
    brain = find_brain(volume)
    assert isinstance(brain, Assessed), brain
    outcome = find_midplane(volume, brain.value)
    assert isinstance(outcome, Assessed), outcome
    return outcome.value


def slab(n_slices: int, thickness: float, shift_mm=(0.0, 0.0, 0.0)) -> Grid:
    return Grid.from_axes((n_slices, 115, 110), (thickness, 2.0, 1.9), origin_lps_mm=np.add((-104, -114, 0), shift_mm))


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize(
    ("n_slices", "thickness", "angles", "limit_deg"),
    [
        pytest.param(8, 5.0, (0, 0, 0), 1.5, id="straight"),
        pytest.param(16, 5.0, (10, 12, -20), 3.0, id="turned about every axis"),
        pytest.param(4, 5.0, (0, 0, 25), 3.0, id="four slices"),
    ],
)
def test_a_turned_slab_gives_the_turned_plane(n_slices, thickness, angles, limit_deg, turned):
    shift = (25.0, -10.0, 40.0)
    move = turned(angles, shift)
    plane = plane_of(Phantom(contrast=True).on(slab(n_slices, thickness, shift), move))
    normal = move[:3, :3].T @ (1.0, 0.0, 0.0)  # x = 0 at rest
    assert angle_deg(plane.normal_lps, normal) < limit_deg
    middle = np.array(shift) + (0, 0, n_slices * thickness / 2)
    assert Plane(np.array(shift), normal).signed_distance_mm(middle) == pytest.approx(plane.signed_distance_mm(middle), abs=2.0)


def test_the_normal_points_to_the_patients_left_also_when_columns_run_to_the_right():
    volume = Phantom().on(slab(8, 5.0))
    affine = volume.grid.lps_from_kji.copy()
    affine[:3, 3] = volume.grid.to_lps_mm((0, 0, 109))
    affine[:3, 2] *= -1
    flipped = Volume(volume.array[:, :, ::-1], Grid(volume.grid.shape_kji, affine), Quantity.HU)
    for plane in (plane_of(volume), plane_of(flipped)):
        assert plane.normal_lps[0] > 0.99
        assert plane.signed_distance_mm((60.0, 0.0, 20.0)) > 50


def test_a_mirrored_slab_gives_the_mirrored_plane(turned):
    volume = Phantom().on(slab(8, 5.0, (-0.45, 0, 0)), turned((0, 6, 14)))  # the grid's middle is at x = -0.9 + 0
    plane = plane_of(volume)
    middle = volume.grid.center_lps_mm[0]
    other = plane_of(Volume(volume.array[:, :, ::-1], volume.grid, Quantity.HU))
    np.testing.assert_allclose(other.normal_lps * (1, -1, -1), plane.normal_lps, atol=0.01)
    mirrored_point = plane.point_lps_mm * (-1, 1, 1) + (2 * middle, 0, 0)
    assert other.signed_distance_mm(mirrored_point) == pytest.approx(0.0, abs=0.5)


def test_refuses_what_is_round():
    grid = slab(8, 5.0)
    points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    radius = np.hypot(points[..., 0], points[..., 1])
    volume = Volume(np.select([radius < 70, radius < 77], [35.0, 900.0], -1000.0).astype(np.float32), grid, Quantity.HU)
    outcome = find_midplane(volume, Volume(radius < 69, grid, Quantity.MASK))
    assert isinstance(outcome, NotAssessable)
    assert "no plane stands out" in outcome.reasons[0]


def test_refuses_noise():
    grid = slab(6, 5.0)
    noise = np.random.default_rng(0).normal(40, 60, grid.shape_kji).astype(np.float32)
    mask = np.zeros(grid.shape_kji, bool)
    mask[:, 30:80, 30:80] = True
    outcome = find_midplane(Volume(noise, grid, Quantity.HU), Volume(mask, grid, Quantity.MASK))
    assert isinstance(outcome, NotAssessable)
    assert "match with a correlation" in outcome.reasons[0]


def test_refuses_wrong_input():
    grid = slab(4, 5.0)
    volume = Volume(np.zeros(grid.shape_kji, np.float32), grid, Quantity.HU)
    with pytest.raises(ValueError, match="empty"):
        find_midplane(volume, Volume(np.zeros(grid.shape_kji, bool), grid, Quantity.MASK))
    with pytest.raises(ValueError, match="needs HU and a mask"):
        find_midplane(volume, volume)


@pytest.mark.real
def test_symmetry_and_atlas_agree_on_a_real_head(real_heads):
    """Two ways that share no step after the brain mask: 2 degrees, 2 mm."""
    head = real_heads["ge"]
    brain = find_brain(head)
    assert isinstance(brain, Assessed)
    pose = register_to_atlas(head, brain.value)
    assert isinstance(pose, Assessed), pose
    plane = find_midplane(head, brain.value)
    assert isinstance(plane, Assessed), plane
    assert angle_deg(plane.value.normal_lps, pose.value.midplane.normal_lps) < 2.0
    assert abs(plane.value.signed_distance_mm(pose.value.midplane.point_lps_mm)) < 2.0
