"""Resampling keeps every value at its position in the patient."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.image.resample import box_grid, coarsen, is_orthogonal, paste, resample

TILT = Rotation.from_euler("xyz", (12, -20, 31), degrees=True).as_matrix()


def ramp(grid: Grid) -> np.ndarray:
    """A value that names its own position: linear in x, y, z with three different slopes, the largest 3 per mm."""
    return (grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1)) - (0, 0, 310)) @ (1.0, -2.0, 3.0)


@pytest.fixture
def scan() -> Volume:
    grid = Grid.from_axes((20, 31, 44), (3.0, 1.7, 1.1), origin_lps_mm=(-20.0, 5.0, 300.0), axes_lps=TILT)
    return Volume(ramp(grid).astype(np.float32), grid, Quantity.HU)


SHEARED = np.array([[0.0, 0.1, 1.3, 0.0], [0.5, 1.1, 0.0, 20.0], [2.0, 0.0, 0.0, 315.0], [0, 0, 0, 1]])


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(
    "target",
    [
        pytest.param(Grid.from_axes((9, 14, 12), (2.0, 1.5, 2.5), origin_lps_mm=(5.0, 25.0, 320.0)), id="upright"),
        pytest.param(Grid((11, 15, 13), SHEARED), id="sheared"),
    ],
)
def test_values_stay_at_their_position(scan, target, order):
    out = resample(scan, target, order=order, fill=np.nan).array
    inside = scan.grid.contains(target.to_lps_mm(np.moveaxis(np.indices(target.shape_kji), 0, -1)))
    deep = np.isfinite(out) & inside
    index = scan.grid.to_kji(target.to_lps_mm(np.moveaxis(np.indices(target.shape_kji), 0, -1)))
    deep &= ((index > 4) & (index < np.array(scan.grid.shape_kji) - 5)).all(axis=-1)  # splines bend at the edge
    assert deep.sum() > 100
    np.testing.assert_allclose(out[deep], ramp(target)[deep], atol=0.2)
    np.testing.assert_array_equal(np.isfinite(out), inside)


def test_parallel_grids_agree_with_the_general_way(scan):
    """The fast path for parallel grids gives what interpolation in 3D gives."""
    shape, step, start = (17, 40, 15), np.array([0.9, 0.7, 2.3]), np.array([1.2, 0.4, 2.0])
    affine = scan.grid.lps_from_kji @ np.vstack([np.column_stack([np.diag(step), start]), (0, 0, 0, 1)])
    bent = affine.copy()
    bent[:3, 0] += 1e-2 * affine[:3, 2] / shape[0]  # leaves the fast path, moves no voxel by more than 0.03 mm
    fast, slow = (resample(scan, Grid(shape, a), fill=-5.0).array for a in (affine, bent))
    np.testing.assert_allclose(fast, slow, atol=0.2)
    np.testing.assert_allclose(fast, ramp(Grid(shape, affine)), atol=0.01)


def test_onto_its_own_grid_nothing_changes(scan):
    np.testing.assert_array_equal(resample(scan, scan.grid, fill=-1.0).array, scan.array)


def test_a_single_slice_survives():
    grid = Grid.from_axes((1, 6, 5), (5.0, 1.0, 2.0), origin_lps_mm=(1, 2, 3), axes_lps=TILT)
    out = resample(Volume(np.full((1, 6, 5), 7, np.int16), grid, Quantity.HU), grid, order=0, fill=0)
    assert out.array.dtype == np.int16
    assert (out.array == 7).all()


def test_masks_keep_their_type_and_are_not_blended(scan):
    mask = Volume(scan.array > scan.array.mean(), scan.grid, Quantity.MASK)
    out = resample(mask, coarsen(scan, 4.0).grid, order=0, fill=0)
    assert out.array.dtype == np.bool_
    with pytest.raises(ValueError, match="must not be blended"):
        resample(mask, scan.grid, order=1, fill=0)


LARGE = {
    "upright around it": Grid.from_axes((40, 60, 62), (2.0, 1.5, 1.4), origin_lps_mm=(-40.0, -20.0, 280.0)),
    "parallel, finer": Grid.from_axes((90, 70, 80), (1.0, 1.2, 0.9), origin_lps_mm=(-40.0, -30.0, 290.0), axes_lps=TILT),
    "sheared": Grid((50, 45, 41), SHEARED @ np.diag([0.6, 0.7, 1.2, 1.0])),
    "a part of it": Grid.from_axes((9, 14, 12), (2.0, 1.5, 2.5), origin_lps_mm=(5.0, 25.0, 320.0)),
    "elsewhere": Grid.from_axes((9, 14, 12), (2.0, 1.5, 2.5), origin_lps_mm=(500.0, 25.0, 320.0)),
}  # fmt: skip


@pytest.mark.parametrize("kind", [Quantity.HU, Quantity.PROBABILITY, Quantity.LABEL, Quantity.MASK], ids=lambda kind: kind.name)
@pytest.mark.parametrize("grid", LARGE.values(), ids=LARGE)
def test_pasting_is_resampling(scan, grid, kind):
    """On an oblique, a parallel and a sheared grid: every voxel is the same, inside, at the border and outside."""
    labels = np.random.default_rng(5).integers(1, 200, scan.grid.shape_kji).astype(np.uint8)
    whole = kind in {Quantity.LABEL, Quantity.MASK}
    array = labels > 100 if kind is Quantity.MASK else labels if whole else scan.array
    small = Volume(array, scan.grid, kind)
    pasted, resampled = paste(small, grid, fill=0), resample(small, grid, order=0 if whole else 1, fill=0)
    assert pasted.array.dtype == resampled.array.dtype
    assert pasted.quantity is kind
    assert pasted.grid is grid
    if whole:
        np.testing.assert_array_equal(pasted.array, resampled.array)
    else:
        np.testing.assert_allclose(pasted.array, resampled.array, atol=1e-3)
    assert resampled.array.any() == (grid is not LARGE["elsewhere"])


def test_pasting_reaches_the_border(scan):
    """A constant image covers its grid to the outer faces, and what it does not cover has the fill."""
    full = Volume(np.full(scan.grid.shape_kji, 7.0, np.float32), scan.grid, Quantity.HU)
    grid = LARGE["upright around it"]
    points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    beyond = np.abs(scan.grid.to_kji(points) - (np.array(scan.grid.shape_kji) - 1) / 2.0) - np.array(scan.grid.shape_kji) / 2.0
    clear = (np.abs(beyond) > 1e-3).all(axis=-1)  # on a face itself either is right
    found = paste(full, grid, fill=-1.0).array
    np.testing.assert_array_equal(found[clear], np.where(scan.grid.contains(points), 7.0, -1.0)[clear])


def test_coarsen_averages_and_stays_in_place(scan):
    """Means of a ramp are its values at the new centres; the space covered is the old one, rounded up to whole cells."""
    coarse = coarsen(scan, 4.0)
    np.testing.assert_allclose(coarse.grid.spacing_kji_mm, 4.0)
    np.testing.assert_allclose(coarse.grid.center_lps_mm, scan.grid.center_lps_mm, atol=1e-9)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(coarse.array[inner], ramp(coarse.grid)[inner], atol=0.6)  # 0.2 mm: cells of 1.3 voxels


def test_coarsen_lowers_noise_and_interpolates_thick_slices():
    noise = np.random.default_rng(3).normal(0, 20, (12, 64, 60)).astype(np.float32)
    grid = Grid.from_axes(noise.shape, (7.0, 0.5, 0.5), origin_lps_mm=(0, 0, 0))
    coarse = coarsen(Volume(noise, grid, Quantity.HU), 2.0)
    assert coarse.grid.shape_kji == (42, 16, 15)
    assert coarse.array.std() < 20 / 4


def test_box_grid_covers_its_corners():
    corners = np.array([(3.0, -7.0, 11.0), (-20.0, 30.0, 99.5)])
    grid = box_grid(corners, 2.5, "1.2")
    assert grid.contains(corners).all()
    assert grid.frame_of_reference_uid == "1.2"


def test_orthogonal_grids_are_told_from_sheared_ones(scan):
    assert is_orthogonal(scan.grid)
    assert not is_orthogonal(Grid((3, 3, 3), SHEARED))
