"""Clusters, sides, the reference tissue and the volumes, on maps drawn by hand."""

import numpy as np
import pytest

from lvo.core.grid import Grid, Plane
from lvo.core.outcome import NotAssessable
from lvo.core.report import Side
from lvo.perfusion.lesion import VoxelSpace, delineate
from lvo.perfusion.maps import Maps

SHAPE = (4, 30, 41)


@pytest.fixture(scope="module")
def grid():
    return Grid.from_axes(SHAPE, (6.0, 4.0, 3.0), origin_lps_mm=(200.0, -50.0, 11.0))  # 0.072 mL per voxel


def draw(grid, *, slow=(), low=(), tissue=None, cbf=50.0):
    """Outline maps with Tmax 12 s in `slow` boxes and CBF 5 in `low` boxes (index slices k, j, i)."""
    tmax, flow = np.full(SHAPE, 1.5, np.float32), np.full(SHAPE, cbf, np.float32)
    cbv = np.full(SHAPE, 4.0, np.float32)
    for box in slow:
        tmax[box], cbv[box] = 12.0, 3.0
    for box in low:
        flow[box] = 5.0
    keep = np.ones(SHAPE, bool) if tissue is None else tissue
    kji = np.nonzero(np.ones(SHAPE, bool))
    maps = Maps(flow.ravel(), cbv.ravel(), np.ones(flow.size, np.float32), tmax.ravel(), tmax.ravel())
    middle = Plane(grid.center_lps_mm, grid.axes_lps[2])  # i grows to the patient's left
    return delineate(maps, VoxelSpace(kji, grid, keep.ravel()), middle, tmax_s=6.0, core_rcbf=0.3, min_cluster_ml=3.0)


LEFT, RIGHT = np.s_[1:3, 5:20, 25:38], np.s_[1:3, 5:20, 3:16]
CORE_LEFT = np.s_[1:3, 8:14, 28:34]
ML = 0.072


@pytest.mark.parametrize(("box", "side"), [(LEFT, Side.LEFT), (RIGHT, Side.RIGHT)])
def test_side_is_the_patients(grid, box, side):
    found = draw(grid, slow=[box])
    assert found.side is side
    assert found.hypoperfusion_ml == pytest.approx(2 * 15 * 13 * ML)


def test_core_needs_low_flow_and_delay(grid):
    """Low flow outside the hypoperfusion (an old infarct) is no core; inside it is."""
    found = draw(grid, slow=[LEFT], low=[CORE_LEFT, np.s_[0, 0:3, 0:10]])
    assert found.core_ml == pytest.approx(2 * 6 * 6 * ML)
    assert not (found.core & ~found.hypoperfusion).any()


def test_reference_is_the_other_side(grid):
    """Low flow in the rest of the lesion's own hemisphere does not lower the reference."""
    low_left = np.s_[:, :, 21:]
    found = draw(grid, slow=[LEFT], low=[low_left])
    assert found.normal_cbf == 50.0
    assert found.core_ml == pytest.approx(found.hypoperfusion_ml)


def test_reference_falls_back_and_says_so(grid):
    """Too little of the other side in the slab: all tissue in time is the reference, with a warning."""
    tissue = np.ones(SHAPE, bool)
    tissue[:, :, :19] = False
    found = draw(grid, slow=[LEFT], tissue=tissue)
    assert "perfusion.reference" in {note.code for note in found.notes}
    assert found.normal_cbf == 50.0


@pytest.mark.parametrize(("rows", "judged"), [(6, False), (7, True)])
def test_a_reference_has_a_least_volume_anywhere(grid, rows, judged):
    """Both sides slow but for rows of 2.95 mL: 17.7 mL in time are refused with their number, 20.7 mL are compared with."""
    found = draw(grid, slow=[np.s_[:, : 30 - rows], np.s_[1:, 30 - rows :]])
    if judged:
        assert found.normal_cbf == 50.0
        return
    assert isinstance(found, NotAssessable)
    assert "18 mL" in found.reasons[0]


def test_speckle_inside_the_lesion_is_no_reference(grid):
    """Short Tmax that noise strews over slow tissue, 71 mL in all, is lesion and not normal tissue."""
    strewn = np.zeros(SHAPE, bool)
    strewn[:, 1:-1:3, 1:-1:3] = True
    strewn[:, 2:-1:3, 1:-1:3] = True
    assert strewn.sum() * ML > 20.0
    assert isinstance(draw(grid, slow=[~strewn]), NotAssessable)


def test_a_reference_without_flow_is_refused(grid):
    assert isinstance(draw(grid, slow=[LEFT], cbf=0.0), NotAssessable)


def test_small_islands_are_noise(grid):
    """2.8 mL are left out, 3.0 mL stay; voxels that only touch at a corner are not one island."""
    small, enough = np.s_[0, 0:1, 0:39], np.s_[0, 0:1, 0:41]
    assert draw(grid, slow=[small]).hypoperfusion_ml == 0.0
    assert draw(grid, slow=[small]).side is None
    assert draw(grid, slow=[enough, np.s_[0, 1:2, 0:1]]).hypoperfusion_ml == pytest.approx(42 * ML)
    diagonal = [np.s_[k, j : j + 1, i : i + 20] for k, j, i in ((0, 0, 0), (1, 1, 0), (2, 2, 0))]
    assert draw(grid, slow=diagonal).hypoperfusion_ml == 0.0


def test_holes_are_noise_too(grid):
    """Tissue in time that is enclosed by slow tissue in its slice counts with it; a bay open to the outside does not."""
    around = [np.s_[1:3, 5:20, 25:30], np.s_[1:3, 5:20, 32:38], np.s_[1:3, 5:11, 30:32], np.s_[1:3, 13:20, 30:32]]
    assert draw(grid, slow=around).hypoperfusion_ml == pytest.approx(2 * 15 * 13 * ML)
    assert draw(grid, slow=around[:3]).hypoperfusion_ml == pytest.approx(2 * (15 * 13 - 2 * 9) * ML)


def test_both_sides(grid):
    """Two alike halves are bilateral, with a warning, and compared with all tissue in time."""
    found = draw(grid, slow=[LEFT, RIGHT])
    assert found.side is Side.BOTH
    assert "perfusion.bilateral" in {note.code for note in found.notes}


def test_a_smaller_other_side_is_counted_and_said(grid):
    found = draw(grid, slow=[LEFT, np.s_[1:3, 5:12, 3:8]])
    assert found.side is Side.LEFT
    assert found.hypoperfusion_ml == pytest.approx((2 * 15 * 13 + 2 * 7 * 5) * ML)
    assert "perfusion.contralateral" in {note.code for note in found.notes}


def test_no_lesion(grid):
    found = draw(grid)
    assert (found.side, found.hir, found.cbv_index) == (None, None, None)
    assert (found.hypoperfusion_ml, found.core_ml) == (0.0, 0.0)
    assert set(found.volumes_ml) == {
        "tmax>4", "tmax>6", "tmax>8", "tmax>10", "rcbf<20", "rcbf<30", "rcbf<34", "rcbf<38",
    }  # fmt: skip


def test_indices(grid):
    """HIR and CBV index are ratios of volumes and of means: all of it beyond 10 s, three quarters of normal volume."""
    found = draw(grid, slow=[LEFT])
    assert found.hir == 1.0
    assert found.cbv_index == pytest.approx(0.75)


def test_vessels_and_fluid_are_not_counted(grid):
    tissue = np.ones(SHAPE, bool)
    tissue[1] = False
    assert draw(grid, slow=[LEFT], tissue=tissue).hypoperfusion_ml == pytest.approx(15 * 13 * ML)
