"""Tubes are drawn with the right amount of contrast, whatever the grid."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.report import Side
from lvo.synth.tubes import Tube, cover, densify, disc_coverage

OBLIQUE = np.linalg.qr(np.array([[0.1, 0.2, 1.0], [-0.1, 1.0, 0.3], [1.0, 0.1, -0.2]]).T)[0].T


def straight(radius_mm: float, *, length_mm: float = 30.0, filling: float = 1.0) -> Tube:
    """A straight tube in an odd direction, off the origin."""
    direction = np.array([0.48, 0.6, 0.64])
    points = np.array([31.0, -12.0, 200.0]) + np.linspace(-0.5, 0.5, 50)[:, None] * length_mm * direction
    return Tube("M1", Side.LEFT, points, np.full(50, radius_mm), np.full(50, filling))


def around(spacing_kji_mm) -> Grid:
    """An oblique grid around it, three different lengths."""
    shape = tuple(int(n) for n in np.ceil(np.array([44.0, 42.0, 40.0]) / spacing_kji_mm))
    half = (np.array(shape) - 1) / 2 * spacing_kji_mm
    return Grid.from_axes(
        shape, spacing_kji_mm, origin_lps_mm=np.array([31.0, -12.0, 200.0]) - half @ OBLIQUE, axes_lps=OBLIQUE
    )


@pytest.mark.parametrize("radius_mm", [0.3, 0.5, 1.0, 1.55, 2.4])
@pytest.mark.parametrize("spacing", [(0.6, 0.45, 0.5), (0.8, 0.9, 0.7)], ids=["fine", "coarse"])
def test_the_radius_can_be_measured_from_the_image(radius_mm, spacing):
    """Contrast volume of the middle third of the tube is pi r^2 length within 6 %, also far below a voxel."""
    grid, tube = around(spacing), straight(radius_mm)
    found = cover((tube,), grid, sigma_mm=0.3 * max(spacing))
    points = grid.to_lps_mm(np.stack(np.unravel_index(found.flat_index, grid.shape_kji), axis=1))
    along = (points - (31.0, -12.0, 200.0)) @ (0.48, 0.6, 0.64)
    middle = np.abs(along) < 8.0
    area_mm2 = found.fraction[middle].sum() * grid.voxel_ml * 1000.0 / 16.0
    assert np.sqrt(area_mm2 / np.pi) == pytest.approx(radius_mm, rel=0.03)


def test_a_wrong_radius_would_be_noticed():
    """The check above can fail: 10 % of radius is 21 % of area."""
    distance = np.linspace(0.0, 4.0, 400)
    area = [2 * np.pi * (disc_coverage(np.full(400, r), distance, 0.2) * distance).sum() * 0.01 for r in (1.0, 1.1)]
    assert area[0] == pytest.approx(np.pi, rel=0.02)
    assert area[1] / area[0] == pytest.approx(1.21, rel=0.02)


def test_bends_have_no_holes():
    """Every sample of a hairpin's centre line is full."""
    angle = np.linspace(0.0, np.pi, 40)
    points = np.stack([2.5 * np.cos(angle), 2.5 * np.sin(angle), 0.2 * angle], axis=1)
    tube = Tube("ICA", Side.LEFT, points, np.full(40, 2.0), np.ones(40))
    grid = Grid.from_axes((21, 41, 43), (0.4, 0.35, 0.3), origin_lps_mm=(-6.3, -5.0, -4.0))
    image = np.zeros(grid.shape_kji)
    found = cover((tube,), grid, sigma_mm=0.1)
    image.ravel()[found.flat_index] = found.fraction
    k, j, i = np.rint(grid.to_kji(points[2:-2])).astype(int).T
    assert image[k, j, i].min() > 0.99


def test_every_voxel_comes_once_and_the_fuller_tube_wins():
    grid = around((0.6, 0.45, 0.5))
    wide, thin = straight(2.0, filling=1.0), straight(0.5, filling=0.2)
    found = cover((thin, wide), grid, sigma_mm=0.2)
    assert (np.diff(found.flat_index) > 0).all()
    clear = found.fraction > 0.2
    assert (found.tube_index[clear & (found.fraction < 0.95)] == 1).all()


def test_a_tube_elsewhere_is_not_drawn():
    grid = Grid.from_axes((5, 6, 7), (1.0, 1.0, 1.0), origin_lps_mm=(500.0, 0.0, 0.0))
    assert len(cover((straight(1.0),), grid, sigma_mm=0.3).flat_index) == 0
    assert len(cover((), grid, sigma_mm=0.3).flat_index) == 0


def test_densify_keeps_its_waypoints():
    waypoints = np.array([[0.0, 0, 0], [10, 2, 1], [12, 9, 4], [20, 9, 5]])
    course = densify(waypoints)
    gaps = np.linalg.norm(course[:, None] - waypoints, axis=2).min(axis=0)
    assert gaps.max() < 0.4
    assert np.linalg.norm(np.diff(course, axis=0), axis=1).max() < 0.75
