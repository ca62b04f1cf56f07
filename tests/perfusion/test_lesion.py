"""Clusters, artefacts, sides, the reference tissue and the volumes, on maps drawn by hand."""

import numpy as np
import pytest
from scipy import ndimage

from lvo.config import PerfusionSettings
from lvo.core.grid import Grid, Plane
from lvo.core.outcome import NotAssessable
from lvo.core.report import Side
from lvo.perfusion.artefact import VoxelSpace
from lvo.perfusion.lesion import delineate
from lvo.perfusion.maps import Maps

SHAPE = (4, 30, 41)


@pytest.fixture(scope="module")
def grid():
    return Grid.from_axes(SHAPE, (6.0, 4.0, 3.0), origin_lps_mm=(200.0, -50.0, 11.0))  # 0.072 mL per voxel


def outline(grid, tmax, cbf, *, cbv=4.0, tissue=None, hu=35.0, below=None):
    """Outline (K, J, I) maps; i grows to the patient's left."""
    full = np.ones(grid.shape_kji, np.float32)
    space = VoxelSpace(
        voxel_kji=np.nonzero(full),
        grid=grid,
        tissue=(full > 0 if tissue is None else tissue).ravel(),
        midplane=Plane(grid.center_lps_mm, grid.axes_lps[2]),
        baseline_hu=(hu * full).ravel(),
        below_tentorium=(full < 0 if below is None else below).ravel(),
    )
    cbf, cbv, tmax = ((part * full).ravel().astype(np.float32) for part in (cbf, cbv, tmax))
    return delineate(Maps(cbf, cbv, np.ones_like(cbf), tmax, tmax), space, PerfusionSettings())


def draw(grid, *, slow=(), low=(), cbf=50.0, **rest):
    """Outline maps with Tmax 12 s in `slow` boxes and CBF 5 in `low` boxes (index slices k, j, i)."""
    tmax, flow, cbv = (np.full(SHAPE, value, np.float32) for value in (1.5, cbf, 4.0))
    for box in slow:
        tmax[box], cbv[box] = 12.0, 3.0
    for box in low:
        flow[box] = 5.0
    return outline(grid, tmax, flow, cbv=cbv, **rest)


LEFT, RIGHT = np.s_[1:3, 5:20, 25:38], np.s_[1:3, 5:20, 3:16]
CORE_LEFT = np.s_[1:3, 8:14, 28:34]
ML = 0.072
CORNERS = 0.05  # the vote of the neighbourhood rounds the corners of boxes


@pytest.mark.parametrize(("box", "side"), [(LEFT, Side.LEFT), (RIGHT, Side.RIGHT)])
def test_side_is_the_patients(grid, box, side):
    found = draw(grid, slow=[box])
    assert found.side is side
    assert found.hypoperfusion_ml == pytest.approx(2 * 15 * 13 * ML, rel=CORNERS)


def test_core_needs_low_flow_and_delay(grid):
    """Low flow outside the hypoperfusion (an old infarct) is no core; inside it is."""
    found = draw(grid, slow=[LEFT], low=[CORE_LEFT, np.s_[0, 0:3, 0:10]])
    assert found.core_ml == pytest.approx(2 * 6 * 6 * ML, rel=0.15)
    assert not (found.core & ~found.hypoperfusion).any()


def test_reference_is_the_other_side(grid):
    """Low flow in the rest of the lesion's own hemisphere does not lower the reference."""
    low_left = np.s_[:, :, 21:]
    found = draw(grid, slow=[LEFT], low=[low_left])
    assert found.measures["normal_cbf"] == 50.0
    assert found.core_ml == pytest.approx(found.hypoperfusion_ml)


def test_reference_falls_back_and_is_measured(grid):
    """Too little of the other side in the slab: all tissue in time is the reference, and the rule sees how little there is."""
    tissue = np.ones(SHAPE, bool)
    tissue[:, :, :19] = False
    found = draw(grid, slow=[LEFT], tissue=tissue)
    assert found.measures["opposite_ml"] == pytest.approx(2 * 30 * 4 * 0.072)
    assert found.measures["normal_cbf"] == 50.0


@pytest.mark.parametrize(("rows", "judged"), [(6, False), (7, True)])
def test_a_reference_has_a_least_volume_anywhere(grid, rows, judged):
    """Both sides slow but for rows of 2.95 mL: 17.7 mL in time are refused with their number, 20.7 mL are compared with."""
    found = draw(grid, slow=[np.s_[:, : 30 - rows], np.s_[1:, 30 - rows :]])
    if judged:
        assert found.measures["normal_cbf"] == 50.0
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
    """2.3 mL are left out, 5 mL stay; voxels that only touch at a corner are not one island."""
    small, enough = np.s_[1:3, 4:8, 30:34], np.s_[1:3, 4:10, 30:36]
    assert draw(grid, slow=[small]).hypoperfusion_ml == 0.0
    assert draw(grid, slow=[small]).side is None
    assert draw(grid, slow=[small]).measures["artefact_ml"] == pytest.approx(2 * 4 * 4 * ML, rel=0.3)
    assert draw(grid, slow=[enough]).hypoperfusion_ml > 0.0
    diagonal = [np.s_[k : k + 1, j : j + 6, 30:35] for k, j in ((0, 0), (1, 6), (2, 0))]
    assert draw(grid, slow=diagonal).hypoperfusion_ml == 0.0


def test_holes_are_noise_too(grid):
    """Tissue in time that is enclosed by slow tissue in its slice counts with it; a bay open to the outside does not."""
    around = [np.s_[1:3, 5:20, 25:30], np.s_[1:3, 5:20, 32:38], np.s_[1:3, 5:11, 30:32], np.s_[1:3, 13:20, 30:32]]
    assert draw(grid, slow=around).hypoperfusion_ml == pytest.approx(2 * 15 * 13 * ML, rel=CORNERS)
    wide = [np.s_[1:3, 3:25, 22:27], np.s_[1:3, 3:25, 34:39], np.s_[1:3, 3:8, 27:34]]
    assert draw(grid, slow=wide).hypoperfusion_ml == pytest.approx(2 * (22 * 17 - 7 * 17) * ML, rel=CORNERS)


def test_a_large_hole_is_none(grid):
    """Tissue in time of 12 cm2 inside a ring of late tissue is not filled."""
    ring = [np.s_[1:3, 3:25, 21:25], np.s_[1:3, 3:25, 37:41], np.s_[1:3, 3:8, 25:37], np.s_[1:3, 20:25, 25:37]]
    drawn_ml = 2 * (22 * 20 - 12 * 12) * ML
    assert draw(grid, slow=ring).hypoperfusion_ml == pytest.approx(drawn_ml, rel=2 * CORNERS)


def test_both_sides(grid):
    """Two alike halves are bilateral, both counted, and compared with all tissue in time."""
    found = draw(grid, slow=[LEFT, RIGHT])
    assert found.side is Side.BOTH
    assert found.hypoperfusion_ml == pytest.approx(2 * 2 * 15 * 13 * ML, rel=0.05)
    assert found.measures["both_sides_ml"] == pytest.approx(2 * 15 * 13 * ML, rel=0.05)


def test_an_island_on_the_other_side_is_left_out_and_measured(grid):
    found = draw(grid, slow=[LEFT, np.s_[1:3, 5:12, 3:8]])
    assert found.side is Side.LEFT
    assert found.hypoperfusion_ml == pytest.approx(2 * 15 * 13 * ML, rel=0.05)
    assert found.measures["other_side_ml"] == pytest.approx(2 * 7 * 5 * ML, rel=0.2)
    assert found.measures["both_sides_ml"] == 0.0


def test_a_large_part_on_the_other_side_is_counted(grid):
    """22 mL opposite 100 mL: less than a third, but no island."""
    found = draw(grid, slow=[np.s_[0:4, 2:26, 25:40], np.s_[1:4, 5:15, 3:13]])
    assert found.side is Side.LEFT
    assert found.measures["both_sides_ml"] == pytest.approx(3 * 10 * 10 * ML, rel=0.1)
    assert found.measures["other_side_ml"] == 0.0


def test_a_lesion_across_the_midline_is_not_divided(grid):
    found = draw(grid, slow=[np.s_[1:3, 5:20, 18:38]])
    assert found.side is Side.LEFT
    assert found.measures["right_ml"] > 3.0


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
    tissue[:, :, 30] = False
    assert draw(grid, slow=[LEFT], tissue=tissue).hypoperfusion_ml == pytest.approx(2 * 15 * 12 * ML, rel=CORNERS)


FINE = Grid.from_axes((6, 110, 104), (5.0, 1.5, 1.4), origin_lps_mm=(-7.0, 30.0, 500.0))


def seam(mask, width_mm):
    """The voxels inside a mask that lie within this distance of its edge, slice by slice."""
    depth = ndimage.distance_transform_edt(np.pad(mask, ((0, 0), (1, 1), (1, 1))), sampling=(1e6, 1.5, 1.4))[:, 1:-1, 1:-1]
    return mask & (depth <= width_mm)


def brain():
    j, i = np.meshgrid(np.arange(110) - 55.0, np.arange(104) - 52.0, indexing="ij")
    return np.repeat((np.hypot(j * 1.5 / 78, i * 1.4 / 64) < 1)[None], 6, axis=0)


def parts():
    """A brain with a ventricle and a vessel, both no tissue."""
    inside = brain()
    ventricle, vessel = np.zeros_like(inside), np.zeros_like(inside)
    ventricle[:, 40:70, 56:64] = True
    vessel[:, 60:68, 20:28] = True
    return inside & ~ventricle & ~vessel, inside, ventricle | vessel


@pytest.mark.parametrize("where", ["rim", "holes"])
def test_seams_are_no_lesion(where):
    """3 mm of late tissue all around the brain, or around ventricle and vessel, through all slices: 0 mL, and said."""
    tissue, inside, holes = parts()
    beside = ndimage.distance_transform_edt(~holes, sampling=(1e6, 1.5, 1.4)) <= 3.0
    late = tissue & (seam(inside, 3.0) if where == "rim" else beside)
    found = outline(FINE, np.where(late, 12.0, 1.5), 50.0, tissue=tissue)
    assert late.sum() * FINE.voxel_ml > 10.0
    assert found.hypoperfusion_ml == 0.0
    assert found.measures["artefact_ml"] > 5.0


def test_a_lesion_keeps_its_cortex_and_loses_the_seam_that_hangs_on_it():
    """A wedge out to the rim is whole within 4 %, though a seam runs on from it around the brain."""
    tissue, inside, _ = parts()
    wedge = np.zeros_like(tissue)
    wedge[1:5, 35:75, 74:104] = True
    wedge &= tissue
    found = outline(FINE, np.where(wedge | (seam(inside, 2.5) & tissue), 12.0, 1.5), 50.0, tissue=tissue)
    assert found.side is Side.LEFT
    assert found.hypoperfusion_ml == pytest.approx(wedge.sum() * FINE.voxel_ml, rel=0.12)


def test_sulci_do_not_divide_a_lesion():
    """Late tissue in strips of 5 mm between sulci of 3 mm is one lesion."""
    tissue, _, _ = parts()
    sulci = np.zeros_like(tissue)
    sulci[:, :, 70::6] = sulci[:, :, 71::6] = True
    tissue &= ~sulci
    late = np.zeros_like(tissue)
    late[1:5, 35:75, 68:98] = True
    late &= tissue
    found = outline(FINE, np.where(late, 12.0, 1.5), 50.0, tissue=tissue)
    assert found.hypoperfusion_ml == pytest.approx(late.sum() * FINE.voxel_ml, rel=0.08)


@pytest.mark.parametrize("k", [0, 3, 5])
def test_one_slice_is_no_lesion(k):
    """12 mL in a single slice of 5 mm, at the end of the slab or within it."""
    tissue, _, _ = parts()
    tmax = np.full(tissue.shape, 1.5)
    tmax[k, 35:70, 70:102] = 12.0
    assert outline(FINE, tmax, 50.0, tissue=tissue).hypoperfusion_ml == 0.0
    tmax[(k + 1) % 6 if k < 5 else 4, 35:70, 70:102] = 12.0
    assert outline(FINE, tmax, 50.0, tissue=tissue).hypoperfusion_ml > 15.0


def test_one_thick_slice_can_hold_a_lesion():
    thick = Grid.from_axes((2, 110, 104), (10.0, 1.5, 1.4), origin_lps_mm=(0.0, 0.0, 0.0))
    tmax = np.full(thick.shape_kji, 1.5)
    tmax[1, 35:70, 70:102] = 12.0
    assert outline(thick, tmax, 50.0).hypoperfusion_ml > 15.0


@pytest.mark.parametrize(("hu", "ml"), [(14.0, 0.0), (24.0, 25.2)])
def test_fluid_and_old_infarcts_are_no_lesion(hu, ml):
    """At 14 HU before contrast a late cluster is left out and measured; at 24 HU, dark but fresh, it stays."""
    tmax, level = np.full(FINE.shape_kji, 1.5), np.full(FINE.shape_kji, 35.0)
    box = np.s_[1:4, 30:60, 65:91]
    tmax[box], level[box] = 12.0, hu
    found = outline(FINE, tmax, np.where(tmax > 6, 5.0, 50.0), hu=level)
    assert found.hypoperfusion_ml == pytest.approx(ml, rel=0.05)
    assert found.measures["fluid_ml"] == pytest.approx(25.2 - ml, abs=1.5)
    if ml:
        assert found.measures["core_below_hu"] == pytest.approx(11.0, abs=0.01)


def test_the_posterior_fossa_is_left_out_but_no_lesion_is_cut():
    """A cluster below the tentorium is not counted but measured; one that only reaches down there is counted whole."""
    tmax, below = np.full(FINE.shape_kji, 1.5), np.zeros(FINE.shape_kji, bool)
    below[:2] = True
    tmax[0:2, 30:60, 65:91] = 12.0
    found = outline(FINE, tmax, 50.0, below=below)
    assert found.hypoperfusion_ml == 0.0
    assert found.measures["below_tentorium_ml"] > 12.0
    tmax[2:5, 30:60, 65:91] = 12.0
    whole = outline(FINE, tmax, 50.0, below=below)
    assert whole.hypoperfusion_ml == pytest.approx(5 * 30 * 26 * FINE.voxel_ml, rel=0.05)
    assert whole.measures["below_tentorium_ml"] == 0.0


def test_speckle_is_evened_out():
    """A third of the voxels of a lesion read short by chance, and a fifth of the others long: volume within 10 %."""
    tissue, _, _ = parts()
    lesion = np.zeros_like(tissue)
    lesion[1:5, 30:80, 65:100] = True
    lesion &= tissue
    rng = np.random.default_rng(4)
    wrong = rng.random(tissue.shape) < np.where(lesion, 0.33, 0.2)
    found = outline(FINE, np.where(lesion ^ wrong, 12.0, 1.5), 50.0, tissue=tissue)
    assert found.hypoperfusion_ml == pytest.approx(lesion.sum() * FINE.voxel_ml, rel=0.1)


@pytest.mark.parametrize("grey_share", [0.35, 0.5, 0.65])
def test_the_reference_does_not_jump_with_the_mix(grey_share):
    """Grey at 60, white at 25: the reference is their mean, and fluid or vessels in 3 % of the voxels do not move it."""
    rng = np.random.default_rng(1)
    cbf = np.where(rng.random(FINE.shape_kji) < grey_share, 60.0, 25.0)
    truth = 25.0 + 35.0 * grey_share
    assert outline(FINE, 1.5, cbf).measures["normal_cbf"] == pytest.approx(truth, rel=0.06)
    odd = np.where(rng.random(FINE.shape_kji) < 0.03, rng.choice([0.0, 400.0], FINE.shape_kji), cbf)
    assert outline(FINE, 1.5, odd).measures["normal_cbf"] == pytest.approx(truth, rel=0.06)


def late_box(cbf_there, cbv_there=4.0):
    """A lesion of 53 mL on the left with the given flow and blood volume in it, else 50 and 4."""
    tmax = np.full(FINE.shape_kji, 1.5)
    box = np.s_[1:5, 30:75, 65:93]
    tmax[box] = 12.0
    return outline(FINE, tmax, np.where(tmax > 6, cbf_there, 50.0), cbv=np.where(tmax > 6, cbv_there, 4.0))


def test_noise_makes_no_core():
    """Penumbra at 20 whose flow scatters by 40 %, so that 9 % of its voxels read below 15, holds no core."""
    noise = np.random.default_rng(3).normal(1.0, 0.2, FINE.shape_kji)
    scattered = 20.0 * noise**2
    assert (scattered < 15.0).mean() > 0.08
    found = late_box(scattered)
    assert found.hypoperfusion_ml > 50.0
    assert found.core_ml == 0.0
    assert found.volumes_ml["rcbf<38"] < 15.0


def test_a_core_in_noise_keeps_its_size():
    """Core at 5 in penumbra at 24, both scattering by 40 %, its blood volume lost too: 13 mL within 10 %; bands are nested."""
    core = np.zeros(FINE.shape_kji, bool)
    core[1:4, 42:62, 70:91] = True
    flow = np.where(core, 5.0, 24.0) * np.random.default_rng(3).normal(1.0, 0.2, FINE.shape_kji) ** 2
    found = late_box(flow, np.where(core, 1.6, 4.0))
    assert found.core_ml == pytest.approx(core.sum() * FINE.voxel_ml, rel=0.1)
    rcbf = [found.volumes_ml[f"rcbf<{percent}"] for percent in (20, 30, 34, 38)]
    assert rcbf == sorted(rcbf)


@pytest.mark.parametrize(("width", "has_core"), [(10, False), (22, True)])
def test_a_core_has_a_least_volume(width, has_core):
    """2.1 mL are left out, 10 mL are not."""
    flow = np.full(FINE.shape_kji, 24.0)
    flow[2:4, 45 : 45 + width, 70 : 70 + width] = 4.0
    assert (late_box(flow).core_ml > 0.0) is has_core
