"""Images of a head hold what the head is made of, on any grid."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity
from lvo.synth.head import Head, HeadSpec, Occlusion, make_head
from lvo.synth.render import (
    ARTERY,
    CLOT,
    CSF,
    GREY,
    TERRITORY_CODES,
    VEIN,
    WHITE,
    at_risk,
    render_cta,
    render_ncct,
    territory_labels,
    tissue_labels,
    vessel_fractions,
    vessel_labels,
)
from lvo.synth.scanner import Scanner

SILENT = Scanner(noise_sd_hu=0.0, psf_fwhm_mm=0.5, edge_enhancement=0.0, cupping_hu=0.0)
SPEC = HeadSpec(
    5, Occlusion(Side.LEFT, Site.M1), collateral_grade=0, rotation_deg=(7.0, -4.0, 11.0), shift_mm=(9.0, -14.0, 30.0),
    arterial_hu=350.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def head() -> Head:
    return make_head(SPEC)


@pytest.fixture(scope="module")
def crop(head: Head) -> Grid:
    """The circle of Willis and both M1, along the atlas."""
    return head.pose.crop((-45, -30, -32), (45, 30, 5), spacing_mm=0.8)


@pytest.fixture(scope="module")
def whole(head) -> Grid:
    """The head on a coarse oblique grid, three lengths and three spacings."""
    axes = np.linalg.qr(np.array([[0.05, -0.1, 1.0], [0.1, 1.0, 0.1], [1.0, -0.1, 0.05]]).T)[0].T
    axes *= np.sign(np.diag(axes[:, ::-1]))[:, None]
    shape, spacing = (62, 74, 83), np.array([3.1, 3.3, 2.7])
    center = head.pose.to_lps_mm((0.0, 18.0, 0.0))
    return Grid.from_axes(shape, spacing, origin_lps_mm=center - ((np.array(shape) - 1) / 2 * spacing) @ axes, axes_lps=axes)


@pytest.fixture(scope="module")
def silent(head, crop) -> np.ndarray:
    return render_cta(head, crop, SILENT).array


@pytest.fixture(scope="module")
def labels(head, crop) -> np.ndarray:
    return vessel_labels(head, crop).array


def test_arteries_have_the_asked_attenuation(silent, labels):
    """The core of the right carotid is at the HU of the spec, and veins are below."""
    from scipy import ndimage

    core = ndimage.binary_erosion(labels == ARTERY, iterations=2)
    assert np.median(silent[core]) == pytest.approx(350.0, abs=15.0)
    assert silent[labels == VEIN].mean() < 350.0


def test_the_clot_is_a_gap(head, crop, silent, labels):
    """No opacified label inside the clot, the lumen there is at clot density, and the plain CT shows it dense."""
    index = np.rint(crop.to_kji(head.clot.points_lps_mm[3:-3])).astype(int)
    k, j, i = index.T
    assert (labels[k, j, i] == CLOT).mean() > 0.9
    assert not (labels[k, j, i] == ARTERY).any()
    assert silent[k, j, i].max() < 110
    plain = render_ncct(head, crop, SILENT).array
    assert plain[k, j, i].mean() > 38.0
    assert plain.max() <= 3071


def test_labels_are_lopsided_with_a_left_occlusion(head, crop, labels):
    """Patient left of the mid-plane there is less opacified artery lateral to the carotids."""
    points = head.pose.to_atlas_mm(crop.to_lps_mm(np.argwhere(labels == ARTERY)))
    points = points[points[:, 1] < 12]  # without the posterior cerebral artery
    left, right = (points[:, 0] > 26).sum(), (points[:, 0] < -26).sum()
    assert left < 0.35 * right


def test_external_branches_are_seen_and_not_labelled(head):
    grid = head.pose.crop((70, -20, -50), (95, 30, 20), spacing_mm=0.9)
    outside = [tube for tube in head.arteries if tube.name == "STA" and tube.side is Side.LEFT]
    k, j, i = np.rint(grid.to_kji(outside[0].points_lps_mm)).astype(int).T
    seen = ((np.stack([k, j, i]) >= 0) & (grid.shape_kji > np.stack([k, j, i]).T).T).all(axis=0)
    assert seen.sum() > 10
    hu = render_cta(head, grid, SILENT).array[k[seen], j[seen], i[seen]]
    assert np.median(hu) > 90  # scalp is fat and muscle, -95 to 55
    assert not vessel_labels(head, grid).array[k[seen], j[seen], i[seen]].any()


def test_tissue_is_in_its_range(head, crop, silent, labels):
    tissue = tissue_labels(head, crop).array
    from scipy import ndimage

    away = ~ndimage.binary_dilation((labels > 0) | (silent > 120) | (silent < -20), iterations=4)
    for code, low, high in ((CSF, 0, 25), (GREY, 33, 46), (WHITE, 26, 40)):
        values = silent[(tissue == code) & away]
        assert len(values) > 300
        assert low < np.median(values) < high, code


def test_the_whole_head_has_bone_air_and_brain(head, whole):
    hu = render_cta(head, whole, Scanner(seed=2)).array
    assert hu.dtype == np.int16
    assert hu.min() >= -1024
    assert (hu > 400).mean() > 0.03
    assert (hu < -900).mean() > 0.2
    brain = tissue_labels(head, whole).array > 0
    volume_ml = brain.sum() * whole.voxel_ml
    scale = np.linalg.norm(head.pose.lps_from_atlas[:3, 0])
    assert volume_ml / scale**3 == pytest.approx(1990.0, rel=0.1)  # the template's inner skull, 1883 mL + CSF rim
    assert hu[brain].mean() == pytest.approx(40, abs=25)


def test_a_neck_is_there_only_when_asked():
    grid = Grid.from_axes((8, 50, 47), (5.0, 4.4, 4.8), origin_lps_mm=(-110.0, -90.0, -175.0))
    with_neck, without = (
        (render_cta(make_head(HeadSpec(8, neck=neck)), grid, SILENT).array > -200).mean() for neck in (True, False)
    )
    assert with_neck > 0.15
    assert without < 0.1


def test_noise_has_the_asked_size_and_seed(head):
    grid = head.pose.crop((18, 30, 30), (42, 60, 48), spacing_mm=0.7)
    silent = render_cta(head, grid, Scanner(noise_sd_hu=0.0)).array.astype(float)
    one, two, other = (render_cta(head, grid, Scanner(noise_sd_hu=15.0, seed=seed)).array.astype(float) for seed in (1, 1, 2))
    assert (one - silent).std() == pytest.approx(15.0, rel=0.1)
    np.testing.assert_array_equal(one, two)
    assert abs(np.corrcoef((one - silent).ravel(), (other - silent).ravel())[0, 1]) < 0.1


def test_slabs_leave_no_seam(head, crop, monkeypatch):
    """Cutting the volume in slabs does not change a voxel."""
    from lvo.synth import render

    whole = render_cta(head, crop, Scanner(seed=4)).array
    monkeypatch.setattr(render, "_SLAB_SAMPLES", 60_000)
    np.testing.assert_array_equal(render_cta(head, crop, Scanner(seed=4)).array, whole)


def test_thick_slices_keep_the_contrast(head):
    """The mean over a block is the same whether voxels are thin or thick: partial volume is right."""
    low, high = (-40.0, -22.0, -24.0), (-6.0, 12.0, -8.0)
    thin = head.pose.crop(low, high, spacing_mm=0.5)
    n_k, n_j, n_i = thin.shape_kji
    n_k, n_j, n_i = n_k // 8 * 8, n_j // 3 * 3, n_i // 3 * 3
    affine = thin.lps_from_kji.copy()
    affine[:3, :3] = affine[:3, :3] * (8, 3, 3)
    affine[:3, 3] = thin.to_lps_mm((3.5, 1.0, 1.0))
    thick = Grid((n_k // 8, n_j // 3, n_i // 3), affine)
    fine, vein_fine = (volume.array[:n_k, :n_j, :n_i] for volume in vessel_fractions(head, thin))
    coarse, vein_coarse = (volume.array for volume in vessel_fractions(head, thick))
    blocks = fine.reshape(n_k // 8, 8, n_j // 3, 3, n_i // 3, 3).mean(axis=(1, 3, 5))
    assert coarse.max() <= 1.0
    assert coarse.sum() == pytest.approx(blocks.sum(), rel=0.05)
    assert np.corrcoef(coarse.ravel(), blocks.ravel())[0, 1] > 0.97
    assert vein_coarse.sum() == pytest.approx(vein_fine.reshape(-1).sum() / 72, rel=0.1, abs=1.0)


def test_tissue_at_risk_is_the_left_middle_territory(head, whole):
    risk = at_risk(head, whole)
    assert risk.quantity is Quantity.PROBABILITY
    territory = territory_labels(head, whole).array
    mine = territory == TERRITORY_CODES["MCA", True]
    assert risk.array[mine].mean() > 0.7
    assert risk.array[(territory > 0) & ~mine].mean() < 0.1
    assert risk.array[territory == 0].max() == 0.0
    part = (risk.array > 0.5).sum() / (territory > 0).sum()
    assert 0.17 < part < 0.34  # half to two thirds of a hemisphere, which is 40 to 45 % of the skull's content
    assert set(np.unique(territory)) <= {0, *TERRITORY_CODES.values()}


def test_a_healthy_head_has_nothing_at_risk(whole):
    assert at_risk(make_head(HeadSpec(5)), whole).array.max() == 0.0


def test_the_right_side_of_the_head_is_the_right_side_of_the_image():
    """The clot of a left occlusion lies at higher i on a standard axial grid."""
    upright = make_head(HeadSpec(5, Occlusion(Side.LEFT, Site.M1)))
    grid = Grid.from_axes((30, 60, 90), (1.0, 1.0, 1.0), origin_lps_mm=(-44.5, -35.0, -30.0))
    clot = np.argwhere(vessel_labels(upright, grid).array == CLOT)
    assert len(clot) > 5
    assert clot[:, 2].min() > 48


@pytest.mark.parametrize("change", ["noise_sd_hu", "psf_fwhm_mm", "edge_enhancement", "noise_grain_mm", "seed"])
def test_a_negative_scanner_setting_is_refused(change):
    with pytest.raises(ValueError, match=change):
        Scanner(**{change: -1})
