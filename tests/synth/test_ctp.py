"""The perfusion phantom shows the lesion that its truth describes, and its curves follow the bolus."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.report import Side, Site
from lvo.errors import UsageError
from lvo.synth.bolus import tissue_hu
from lvo.synth.ctp import draw_bolus, render_ctp
from lvo.synth.head import Head, HeadSpec, Occlusion, make_head
from lvo.synth.lesion import CORE_RCBF, GREY, HYPOPERFUSION_TMAX_S, WHITE, flow, perfusion_truth
from lvo.synth.scanner import Scanner

QUIET = Scanner(noise_sd_hu=0.0, edge_enhancement=0.0)
LEFT_M1 = Occlusion(Side.LEFT, Site.M1)


def head_of(grade: int, occlusion: Occlusion | None = LEFT_M1, **changes) -> Head:
    return make_head(
        HeadSpec(4, occlusion, collateral_grade=grade, rotation_deg=(4.0, 7.0, -12.0), shift_mm=(9.0, -5.0, 30.0), **changes)
    )


def slab(head: Head, **changes) -> Grid:
    """Ten 8 mm slices over the territory of the middle cerebral artery, 4 x 3.5 mm pixels, oblique, off the origin."""
    axes = Rotation.from_euler("xyz", [3.0, -4.0, 8.0], degrees=True).apply(np.eye(3)[::-1])
    spacing, shape = np.array([8.0, 4.0, 3.5]), (10, 50, 48)
    center = head.pose.to_lps_mm((0.0, 18.0, 20.0))
    origin = center - axes.T @ ((np.array(shape) - 1) / 2 * spacing)
    return Grid.from_axes(shape, spacing, **{"origin_lps_mm": origin, "axes_lps": axes, **changes})


@pytest.fixture(scope="module")
def head() -> Head:
    return head_of(1)


@pytest.fixture(scope="module")
def grid(head) -> Grid:
    return slab(head)


@pytest.fixture(scope="module")
def truth(head, grid):
    return perfusion_truth(head, grid)


@pytest.fixture(scope="module")
def times_s() -> np.ndarray:
    """34 frames 1.8 s apart; every slice a little later than the one below."""
    return np.arange(34)[:, None] * 1.8 + 0.11 * np.arange(10)


@pytest.fixture(scope="module")
def frames(head, grid, times_s):
    return render_ctp(head, grid, times_s, QUIET, seed=1)


def enhancement(frames) -> np.ndarray:
    return frames.array.astype(float) - frames.array[0].astype(float)


def side_of(head: Head, mask) -> np.ndarray:
    """Signed distance from the mid-plane of every voxel of a mask, positive on the patient's left."""
    return head.pose.midplane.signed_distance_mm(mask.grid.to_lps_mm(np.argwhere(mask.array > 0)))


def test_lesion_is_on_the_occluded_side(head, truth):
    for name in ("core", "hypoperfusion"):
        assert (side_of(head, truth.maps[name]) > 0).mean() > 0.98, name


def test_right_occlusion_makes_a_right_lesion():
    head = head_of(1, Occlusion(Side.RIGHT, Site.M1))
    assert (side_of(head, perfusion_truth(head, slab(head)).maps["hypoperfusion"]) < 0).mean() > 0.98


def test_volumes_count_the_masks_and_follow_the_definitions(truth):
    maps = {name: volume.array for name, volume in truth.maps.items()}
    brain, ill, core = (maps[name] > 0 for name in ("brain", "hypoperfusion", "core"))
    assert truth.core_ml == pytest.approx(core.sum() * 8.0 * 4.0 * 3.5 / 1000.0)
    assert truth.hypoperfusion_ml == pytest.approx(ill.sum() * 8.0 * 4.0 * 3.5 / 1000.0)
    np.testing.assert_array_equal(ill, brain & (maps["tmax"] > HYPOPERFUSION_TMAX_S))
    np.testing.assert_array_equal(core, ill & (maps["cbf"] < CORE_RCBF * maps["cbf"][brain & ~ill].mean()))
    np.testing.assert_allclose(maps["mtt"][brain], 60.0 * maps["cbv"][brain] / maps["cbf"][brain], rtol=1e-5)
    np.testing.assert_allclose(maps["tmax"][brain], (maps["delay"] + maps["mtt"] / 2)[brain], rtol=1e-5)
    assert (maps["cbf"][~brain] == 0.0).all()


def test_core_shrinks_with_better_collaterals():
    """Grade 0 has a large core, grade 3 next to none; the hypoperfusion shrinks too, and stays a lesion."""
    found = [perfusion_truth(head, slab(head)) for head in map(head_of, range(4))]
    assert all(a.core_ml > b.core_ml for a, b in pairwise(found))
    assert all(a.hypoperfusion_ml > b.hypoperfusion_ml for a, b in pairwise(found))
    assert found[0].core_ml > 0.3 * found[0].hypoperfusion_ml
    assert found[3].core_ml < 0.1 * found[3].hypoperfusion_ml
    assert found[3].hypoperfusion_ml > 40.0


def test_healthy_head_has_no_lesion():
    head = head_of(2, None)
    truth = perfusion_truth(head, slab(head))
    assert (truth.core_ml, truth.hypoperfusion_ml) == (0.0, 0.0)
    assert truth.maps["tmax"].array.max() < HYPOPERFUSION_TMAX_S


def test_lesion_does_not_depend_on_the_scan(head, truth):
    """A finer grid over the same slab finds the same volumes, within the partial volume of coarse voxels."""
    coarse = slab(head)
    affine = coarse.lps_from_kji.copy()
    affine[:3, 0] /= 2.0
    affine[:3, 3] = coarse.to_lps_mm((-0.25, 0.0, 0.0))
    fine = perfusion_truth(head, Grid((20, 50, 48), affine))
    assert fine.hypoperfusion_ml == pytest.approx(truth.hypoperfusion_ml, rel=0.06)
    assert fine.core_ml == pytest.approx(truth.core_ml, rel=0.10)


@pytest.mark.parametrize("tissue", [GREY, WHITE])
def test_penumbra_keeps_its_blood_volume_and_core_loses_it(tissue):
    """Murphy et al. 2008: matched decrease of flow and volume in infarcts, flow alone in the penumbra."""
    (normal, penumbra, core) = zip(*flow(tissue, np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0]), grade=2), strict=True)
    assert penumbra[1] == normal[1]
    assert penumbra[0] < 0.7 * normal[0]
    assert core[1] < 0.5 * normal[1]
    assert core[0] < 0.2 * normal[0]
    assert penumbra[2] > normal[2] + 4.0


def test_curve_of_pure_white_matter_is_the_equation(head, truth, frames, times_s):
    """A voxel deep in healthy white matter shows 25 mL/100 g/min, 2 mL/100 g and its slice's own times."""
    maps = truth.maps
    pure = (abs(maps["cbf"].array - 25.0) < 0.01) & (maps["hypoperfusion"].array == 0)
    curves = enhancement(frames)
    pure &= curves.max(axis=0) < 15.0  # no vessel inside
    k, j, i = np.argwhere(pure)[len(np.argwhere(pure)) // 2]
    expected = tissue_hu(draw_bolus(head), times_s[:, k], cbf_ml_100g_min=25.0, mtt_s=4.8, delay_s=0.9)[0]
    np.testing.assert_allclose(curves[:, k, j, i], expected, atol=0.8)


def test_lesion_fills_late(truth, frames, times_s):
    """The time to peak is some 5 s later in the penumbra, and the core hardly enhances."""
    maps = {name: volume.array > 0 for name, volume in truth.maps.items()}
    curves = enhancement(frames)
    groups = {
        "normal": maps["brain"] & ~maps["hypoperfusion"],
        "penumbra": maps["hypoperfusion"] & ~maps["core"],
        "core": maps["core"],
    }
    mean = {name: curves[:, mask].mean(axis=1) for name, mask in groups.items()}
    peak_s = {name: times_s[curve.argmax(), 5] for name, curve in mean.items()}
    assert peak_s["penumbra"] > peak_s["normal"] + 4.0
    assert mean["core"].max() < 0.5 * mean["penumbra"].max()


def test_artery_comes_first_then_vein(head, frames, times_s):
    curves = enhancement(frames)
    top = np.argsort(curves.max(axis=0).ravel())[-40:]
    peaks_s = times_s[curves.reshape(len(times_s), -1)[:, top].argmax(axis=0), 5]
    bolus = draw_bolus(head)
    arterial_s = bolus.arrival_s + bolus.alpha * bolus.beta_s
    assert abs(peaks_s - arterial_s).min() < 2.0, "some of the brightest voxels are arteries"
    assert peaks_s.max() > arterial_s + 3.0, "and some are veins"


def test_nothing_enhances_before_the_bolus_and_outside_the_head(head, frames, times_s):
    curves = enhancement(frames)
    before = times_s.max(axis=1) < draw_bolus(head).arrival_s
    assert before.sum() >= 2
    assert abs(curves[before]).max() == 0.0
    assert abs(curves[:, frames.array[0] < -900]).max() <= 1.0


def test_noise_differs_between_frames_and_repeats_by_seed(head, grid, times_s):
    noisy = replace(QUIET, noise_sd_hu=4.0)
    few = Grid((2, *grid.shape_kji[1:]), grid.lps_from_kji)
    one, again, other = (render_ctp(head, few, times_s[:2, :2], noisy, seed=seed).array for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    for difference in (one[0].astype(float) - one[1], one[0].astype(float) - other[0]):
        inside = difference[(one[0] > 0) & (one[0] < 80)]
        assert inside.std() == pytest.approx(4.0 * np.sqrt(2.0), rel=0.1)


def test_times_without_a_column_per_slice_are_refused(head, grid):
    with pytest.raises(UsageError, match="one column per slice"):
        render_ctp(head, grid, np.arange(10.0)[:, None], QUIET, seed=1)
