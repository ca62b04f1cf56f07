"""Noise falls as under a wide Gaussian, and the borders of a lesion stay where a Gaussian moves them."""

import numpy as np
import pytest
from scipy import ndimage

from lvo.config import PerfusionSettings
from lvo.core.grid import Grid
from lvo.perfusion.denoise import less_noise
from lvo.perfusion.maps import compute_maps
from lvo.perfusion.sampling import VoxelCurves
from lvo.perfusion.tissue import smooth_in_plane

TIMES_S = 1.5 * np.arange(45)
SHAPE_KJI, SPACING_KJI_MM = (2, 84, 78), (5.0, 1.0, 1.1)
GAUSSIAN_MM, REACH_MM = 3.0, 6.0


def curves_of(clean, noise_hu, seed=0):
    """Curves of a slab with grainy noise (1 mm), and the clean (T, N) truth above its baseline."""
    rng = np.random.default_rng(seed)
    grain = ndimage.gaussian_filter(rng.normal(size=clean.shape), (0, 0, 0.43, 0.39))
    hu = clean + noise_hu * grain / grain.std()
    grid = Grid.from_axes(SHAPE_KJI, SPACING_KJI_MM, origin_lps_mm=(0.0, 0.0, 0.0))
    flat = hu.reshape(TIMES_S.size, -1)
    level = flat[:5].mean(axis=0)
    kji = np.nonzero(np.ones(SHAPE_KJI, bool))
    return VoxelCurves(TIMES_S, (flat - level).astype(np.float32), level.astype(np.float32), kji, grid, 5)


@pytest.fixture(scope="module")
def head(forms):
    """Grey and white matter with an elliptic penumbra and a core in it: clean curves and masks, all in closed form."""
    _, j, i = np.meshgrid(*[np.arange(n) for n in SHAPE_KJI], indexing="ij")
    y, x = (j - 41.5) * 1.0, (i - 36.0) * 1.1
    white = np.sin(x / 7.0) * np.cos(y / 9.0) < 0.2
    lesion, core = np.hypot(x / 26.0, y / 30.0) < 1, np.hypot(x / 12.0, y / 14.0) < 1
    cbf, cbv = np.where(white, 24.0, 58.0), np.where(white, 2.1, 4.0)
    flow, volume = (np.where(core, a, np.where(lesion, b, 1.0)) for a, b in ((0.15, 0.75), (0.4, 1.1)))
    delay_s = np.where(core, 7.0, np.where(lesion, 6.0, 0.5))
    mtt_s = 60.0 * cbv * volume / (cbf * flow)
    clean = forms.tissue(TIMES_S[:, None, None, None], cbf=cbf * flow, mtt_s=mtt_s, delay_s=delay_s)
    near = sum(ndimage.distance_transform_edt(side, (9e9, *SPACING_KJI_MM[1:])) for side in (core, ~core)) < 5.0
    return clean, lesion.ravel(), core.ravel(), near.ravel()


def rms(values):
    return float(np.sqrt((values**2).mean()))


def dice(found, truth):
    return 2.0 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize("noise_hu", [3.0, 5.0])
def test_borders_are_kept_better_than_by_a_gaussian(head, true_inputs, noise_hu):
    """Within 5 mm of the border of the core, and for the outlines of core and hypoperfusion, at the noise of perfusion dose."""
    clean, lesion, core, near = head
    curves, everywhere = curves_of(clean, noise_hu), np.ones(lesion.size, bool)
    truth = clean.reshape(TIMES_S.size, -1)
    error, overlap = {}, {}
    for name, found in (
        ("gaussian", smooth_in_plane(curves, curves.enhancement_hu, everywhere, sigma_mm=GAUSSIAN_MM)),
        ("ours", less_noise(curves, everywhere, sigma_mm=REACH_MM)),
    ):
        error[name] = rms((found - truth)[:, near])
        maps = compute_maps(found, true_inputs(TIMES_S), PerfusionSettings())
        late = maps.tmax > 6.0
        low = late & (maps.cbf < 0.3 * maps.cbf[~lesion].mean())
        overlap[name] = dice(late, lesion), dice(low, core)
    assert error["ours"] < 0.95 * error["gaussian"]
    assert overlap["ours"][0] > overlap["gaussian"][0]
    assert overlap["ours"][1] > overlap["gaussian"][1]
    assert overlap["ours"][0] > 0.97


def test_without_noise_nothing_is_mixed(head):
    """A border between clean curves is hardly touched; a Gaussian of 3 mm is off by half a HU there."""
    clean, _, core, near = head
    curves, everywhere = curves_of(clean, 0.0), np.ones(core.size, bool)
    truth = clean.reshape(TIMES_S.size, -1)
    assert rms((less_noise(curves, everywhere, sigma_mm=REACH_MM) - truth)[:, near]) < 0.2
    assert rms((smooth_in_plane(curves, curves.enhancement_hu, everywhere, sigma_mm=GAUSSIAN_MM) - truth)[:, near]) > 0.4


def test_even_tissue_loses_its_noise_and_keeps_its_curve(forms):
    """5 HU become less than 1 HU, and the mean over the tissue stays within 0.05 HU."""
    curve = forms.tissue(TIMES_S, cbf=50.0, mtt_s=4.0)
    clean = np.broadcast_to(curve[:, None, None, None], (TIMES_S.size, *SHAPE_KJI))
    curves, everywhere = curves_of(clean, 5.0), np.ones(int(np.prod(SHAPE_KJI)), bool)
    found = less_noise(curves, everywhere, sigma_mm=REACH_MM)
    assert rms(curves.enhancement_hu - curves.enhancement_hu.mean(axis=1, keepdims=True)) > 5.0
    assert rms(found - found.mean(axis=1, keepdims=True)) < 1.0
    np.testing.assert_allclose(found.mean(axis=1), curves.enhancement_hu.mean(axis=1), atol=0.05)


def test_what_is_not_tissue_neither_gives_nor_takes(head):
    """Vessels of 500 HU beside the tissue change nothing in it, to the bit; nor does another slice."""
    clean, _, core, _ = head
    curves = curves_of(clean, 4.0)
    tissue = np.random.default_rng(2).uniform(size=core.size) > 0.1
    in_first = curves.voxel_kji[0] == 0
    once = less_noise(curves, tissue, sigma_mm=REACH_MM)
    bright = curves.enhancement_hu.copy()
    bright[:, ~tissue] = 500.0
    changed = VoxelCurves(TIMES_S, bright, curves.baseline_hu, curves.voxel_kji, curves.grid, 5)
    np.testing.assert_array_equal(less_noise(changed, tissue, sigma_mm=REACH_MM), once)
    bright = curves.enhancement_hu.copy()
    bright[:, in_first] *= 1.001  # hardly changes what is usual, but would show
    changed = VoxelCurves(TIMES_S, bright, curves.baseline_hu, curves.voxel_kji, curves.grid, 5)
    other = ~in_first[tissue]
    np.testing.assert_allclose(less_noise(changed, tissue, sigma_mm=REACH_MM)[:, other], once[:, other], atol=0.1)


def test_zero_reach_and_no_tissue_change_nothing(head):
    clean, _, core, _ = head
    curves, everywhere = curves_of(clean, 4.0), np.ones(core.size, bool)
    np.testing.assert_array_equal(less_noise(curves, everywhere, sigma_mm=0.0), curves.enhancement_hu)
    assert less_noise(curves, ~everywhere, sigma_mm=REACH_MM).shape == (TIMES_S.size, 0)
    lone = np.zeros(core.size, bool)
    lone[3000] = True
    np.testing.assert_array_equal(less_noise(curves, lone, sigma_mm=REACH_MM), curves.enhancement_hu[:, lone])
