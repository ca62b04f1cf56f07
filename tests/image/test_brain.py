"""The brain mask: right wherever the head lies, and a refusal where there is no whole head to judge."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import Quantity, Volume
from lvo.image.brain import find_brain

from .conftest import Phantom

REFERENCE_ML = {"ge": 1262.0, "cranium": 1246.0}
"""Volumes of the real brains, measured once by another method."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def with_noise(volume: Volume, sd: float = 12.0) -> Volume:
    hu = volume.array + np.random.default_rng(4).normal(0, sd, volume.array.shape) * (volume.array > -1000)
    return Volume(hu.round().astype(np.int16), volume.grid, volume.quantity)


@pytest.mark.parametrize(
    ("phantom", "angles", "shift", "spacing"),
    [
        pytest.param(Phantom(), (0, 0, 0), (0, 0, 0), (3.0, 1.9, 2.1), id="upright"),
        pytest.param(Phantom(neck=False), (25, 0, 0), (60, 0, 0), (3.0, 1.9, 2.1), id="no neck, nodding"),
        pytest.param(Phantom(), (-25, 0, 0), (0, -60, 0), (2.5, 1.9, 2.1), id="head back"),
        pytest.param(
            Phantom(contrast=True), (25, -25, 25), (0, 0, 60), (2.5, 1.9, 1.7), id="contrast, turned about every axis"
        ),
        pytest.param(Phantom(contrast=True), (-20, 25, -25), (-60, 0, 0), (7.0, 1.3, 1.5), id="slices of 7 mm"),
    ],
)
def test_finds_the_brain_wherever_it_lies(phantom, angles, shift, spacing, turned, awkward_grid):
    move = turned(angles, shift)
    grid = awkward_grid(spacing, center=np.add(shift, (0.0, 0.0, -8.0)), size_mm=(240, 260, 250))
    outcome = find_brain(with_noise(phantom.on(grid, move)))
    assert isinstance(outcome, Assessed), outcome
    truth = phantom.inside_dura(phantom.points(grid, move))
    assert outcome.value.grid.same_as(grid)
    assert outcome.value.array.dtype == np.bool_
    assert dice(outcome.value.array, truth) > 0.94
    outside = outcome.value.array & ~(phantom.brain(phantom.points(grid, move)) < 1.12)
    assert np.count_nonzero(outside) * grid.voxel_ml < 15.0  # a stub of the cord


def test_fine_slices_and_coarse_ones_give_one_volume(awkward_grid):
    volumes = []
    for spacing in ((1.1, 0.9, 1.3), (5.0, 1.9, 2.1)):
        outcome = find_brain(Phantom().on(awkward_grid(spacing, size_mm=(210, 210, 200))))
        assert isinstance(outcome, Assessed), outcome
        volumes.append(np.count_nonzero(outcome.value.array) * outcome.value.grid.voxel_ml)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.06)


def test_a_tilted_scan_is_handled_on_its_sheared_grid(awkward_grid):
    upright = awkward_grid((3.0, 2.1, 1.9))
    affine = upright.lps_from_kji.copy()
    affine[1, 0] += 0.35 * affine[2, 0]  # 19 degrees of gantry tilt
    affine[1, 3] -= 0.35 * 3.0 * 38
    grid = Grid(upright.shape_kji, affine)
    outcome = find_brain(Phantom().on(grid))
    assert isinstance(outcome, Assessed), outcome
    phantom = Phantom()
    assert dice(outcome.value.array, phantom.inside_dura(phantom.points(grid, np.eye(4)))) > 0.95


@pytest.mark.parametrize(("n_slices", "thickness"), [(4, 5.0), (8, 10.0), (16, 5.0)])
def test_a_slab_gives_the_brain_inside_it(n_slices, thickness, turned):
    """CT perfusion: the brain meets the first and the last slice."""
    phantom, move = Phantom(contrast=True), turned((8, 5, -15))
    grid = Grid.from_axes((n_slices, 115, 110), (thickness, 2.0, 1.9), origin_lps_mm=(-104, -114, 8 - n_slices * thickness / 2))
    outcome = find_brain(with_noise(phantom.on(grid, move), 4.0))
    assert isinstance(outcome, Assessed), outcome
    truth = phantom.inside_dura(phantom.points(grid, move))
    assert dice(outcome.value.array, truth) > 0.95


def test_vessels_and_ventricles_belong_to_the_brain(awkward_grid):
    phantom, grid = Phantom(contrast=True), awkward_grid((1.5, 1.4, 1.3), size_mm=(200, 200, 180))
    volume = phantom.on(grid)
    outcome = find_brain(volume)
    assert isinstance(outcome, Assessed), outcome
    deep = phantom.brain(phantom.points(grid, np.eye(4))) < 0.9
    assert outcome.value.array[deep & (volume.array > 300)].mean() > 0.95
    assert outcome.value.array[deep & (volume.array < 20)].all()


def _tube(points):
    radius = np.hypot(points[..., 0], points[..., 1])
    return np.select([radius < 84, radius < 90], [35.0, 900.0], -1000.0)


@pytest.mark.parametrize(
    ("hu", "reason"),
    [
        pytest.param(lambda p: np.full(p.shape[:-1], -1000.0), "no skull", id="air"),
        pytest.param(lambda p: np.full(p.shape[:-1], 40.0), "no skull", id="tissue without end"),
        pytest.param(lambda p: np.where(np.hypot(p[..., 0], p[..., 1]) < 90, 0.0, -1000.0), "no skull", id="a water cylinder"),
        pytest.param(lambda p: np.random.default_rng(0).normal(0, 300, p.shape[:-1]), "no ", id="noise"),
        pytest.param(_tube, "mL", id="a wide tube of bone"),
        pytest.param(lambda p: np.where(p[..., 1] > 0, Phantom().hu(p), -1000.0), "mL", id="no front of the skull"),
    ],
)
def test_refuses_what_is_no_head(hu, reason, awkward_grid):
    grid = awkward_grid((2.9, 2.3, 2.5), size_mm=(180, 200, 190))
    points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    outcome = find_brain(Volume(hu(points).astype(np.float32), grid, Quantity.HU))
    assert isinstance(outcome, NotAssessable)
    assert reason in outcome.reasons[0]


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        pytest.param(np.s_[:-35], "top of the head is missing", id="top missing"),
        pytest.param(np.s_[:, :, 45:], "cuts through the side", id="a side missing"),
        pytest.param(np.s_[:, 58:], "mL", id="front half missing"),
    ],
)
def test_refuses_a_head_that_is_cut_off(cut, reason, awkward_grid):
    volume = with_noise(Phantom().on(awkward_grid((2.5, 2.1, 2.0))))
    start = [(piece.start or 0) if isinstance(piece, slice) else 0 for piece in (cut if isinstance(cut, tuple) else (cut,))]
    affine = volume.grid.lps_from_kji.copy()
    affine[:3, 3] = volume.grid.to_lps_mm((start + [0, 0, 0])[:3])
    array = volume.array[cut]
    outcome = find_brain(Volume(array, Grid(array.shape, affine), Quantity.HU))
    assert isinstance(outcome, NotAssessable), np.count_nonzero(outcome.value.array) * volume.grid.voxel_ml
    assert reason in outcome.reasons[0]


def test_refuses_another_quantity(awkward_grid):
    grid = awkward_grid()
    with pytest.raises(ValueError, match="needs HU"):
        find_brain(Volume(np.zeros(grid.shape_kji, bool), grid, Quantity.MASK))


@pytest.mark.real
@pytest.mark.parametrize("name", ["ge", "cranium"])
def test_real_heads_measure_what_another_method_measured(name, real_heads):
    outcome = find_brain(real_heads[name])
    assert isinstance(outcome, Assessed), outcome
    volume_ml = np.count_nonzero(outcome.value.array) * outcome.value.grid.voxel_ml
    assert volume_ml == pytest.approx(REFERENCE_ML[name], rel=0.10)


@pytest.mark.real
@pytest.mark.parametrize("angles", [(-25, 25, -25)])
def test_a_real_brain_keeps_its_volume_when_the_head_turns(angles, real_heads, turned, moved, awkward_grid):
    head = real_heads["cranium"]
    center = head.grid.center_lps_mm
    turn = turned(angles, (30, 0, 0), center)
    grid = awkward_grid((2.0, 1.5, 1.4), size_mm=(250, 260, 250), center=center + (30, 0, 0))
    outcome, before = find_brain(moved(head, turn, grid)), find_brain(head)
    assert isinstance(outcome, Assessed), outcome
    assert isinstance(before, Assessed)
    assert np.count_nonzero(outcome.value.array) * grid.voxel_ml == pytest.approx(
        np.count_nonzero(before.value.array) * head.grid.voxel_ml, rel=0.03
    )
