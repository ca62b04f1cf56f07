"""Images of a head hold what the head is made of, on any grid."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity
from lvo.synth.head import BLOOD_HU, Head, HeadSpec, Occlusion, Tube, make_head
from lvo.synth.render import (
    ARTERY,
    CLOT,
    CLOT_CLASS,
    CSF,
    GREY,
    TERRITORY_CODES,
    TREE_CODES,
    UNSURE_CLASS,
    VEIN,
    VEIN_CLASS,
    WHITE,
    at_risk,
    class_labels,
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


GRID = Grid.from_axes((21, 25, 40), (0.7, 0.7, 0.7), origin_lps_mm=(-3.0, 11.0, 5.0))
START_KJI, END_KJI = np.array([9.6, 11.3, 3.0]), np.array([11.2, 12.9, 36.0])
"""Ends of a slanted tube, so that voxels lie at every distance from it."""


def with_tubes(head, *, arteries=(), veins=(), clots=()):
    """The head with no vessels but these, and arteries at 300 HU."""
    return replace(head, arteries=arteries, veins=veins, clots=clots, arterial_hu=300.0)


def tube(*, radius_mm=1.6, filling=1.0, territory="MCA", rows=0.0):
    """A straight tube through GRID, or one some rows behind it."""
    points = GRID.to_lps_mm(np.linspace(START_KJI, END_KJI, 60) + (0.0, rows, 0.0))
    return Tube("M1", Side.LEFT, points, np.full(60, radius_mm), np.full(60, filling), territory=territory)


def beside_tube(head):
    """Classes of the voxels beside the middle of the tube, their distance from its centre line, and how far along, mm."""
    offset_mm = (np.moveaxis(np.indices(GRID.shape_kji), 0, -1) - START_KJI) * 0.7
    direction = (END_KJI - START_KJI) / np.linalg.norm(END_KJI - START_KJI)
    along_mm = offset_mm @ direction
    distance_mm = np.linalg.norm(offset_mm - along_mm[..., None] * direction, axis=-1)
    middle = (along_mm > 3.0) & (along_mm < 20.0)
    return class_labels(head, GRID).array[middle], distance_mm[middle], along_mm[middle]


@pytest.mark.parametrize("radius_mm", [0.8, 1.6, 2.4])
@pytest.mark.parametrize(("territory", "code"), TREE_CODES.items())
def test_a_vessel_holds_what_it_fills_by_half_and_its_rim_is_unsure(head, radius_mm, territory, code):
    """Within the wall it is its tree; a quarter of a voxel around it nothing is said; beyond there is nothing."""
    classes, distance_mm, _ = beside_tube(with_tubes(head, arteries=(tube(radius_mm=radius_mm, territory=territory),)))
    assert set(np.unique(classes)) == {0, code, UNSURE_CLASS}
    assert (classes[distance_mm < radius_mm - 0.15] == code).all()
    rim = distance_mm[classes == UNSURE_CLASS]
    assert radius_mm - 0.15 < rim.min()
    assert rim.max() < radius_mm + 0.3
    assert not classes[distance_mm > radius_mm + 0.3].any()


def test_a_branch_finer_than_the_voxels_is_unsure_all_over(head):
    classes, *_ = beside_tube(with_tubes(head, arteries=(tube(radius_mm=0.2),)))
    assert set(np.unique(classes)) == {0, UNSURE_CLASS}


@pytest.mark.parametrize(
    ("enhancement_hu", "kind"),
    [(25.0, 0), (35.0, UNSURE_CLASS), (65.0, UNSURE_CLASS), (75.0, VEIN_CLASS)],
    ids=["invisible", "faint", "less than clear", "clear"],
)
def test_veins_are_there_as_far_as_their_contrast_shows_them(head, enhancement_hu, kind):
    """Below 30 HU above blood a vein looks like brain, from 70 on it stands out; between, nobody can tell."""
    filling = enhancement_hu / (300.0 - BLOOD_HU)
    classes, distance_mm, _ = beside_tube(with_tubes(head, veins=(tube(filling=filling, territory=""),)))
    assert (classes[distance_mm < 1.4] == kind).all()
    assert (classes == VEIN_CLASS).any() == (kind == VEIN_CLASS)


def test_a_lumen_that_hardly_fills_is_unsure_and_an_empty_one_is_nothing(head):
    for filling, kind in ((0.2, UNSURE_CLASS), (0.0, 0)):
        classes, distance_mm, _ = beside_tube(with_tubes(head, arteries=(tube(filling=filling),)))
        assert (classes[distance_mm < 1.4] == kind).all()


def test_an_artery_on_a_vein_is_an_artery_and_its_rim_takes_nothing_from_the_vein(head):
    """Where they overlap, what is surely artery is artery, and what is surely vein stays vein under an unsure artery."""
    both = with_tubes(head, arteries=(tube(),), veins=(tube(rows=4.0, filling=0.8, territory=""),))
    classes, distance_mm, _ = beside_tube(both)
    alone, *_ = beside_tube(replace(both, arteries=()))
    assert (alone[distance_mm < 1.5] == VEIN_CLASS).sum() > 10
    assert (classes[distance_mm < 1.4] == TREE_CODES["MCA"]).all()
    beyond = distance_mm > 1.65
    np.testing.assert_array_equal(classes[beyond] == VEIN_CLASS, alone[beyond] == VEIN_CLASS)
    faint, *_ = beside_tube(replace(both, arteries=(tube(filling=0.2),)))
    np.testing.assert_array_equal(faint == VEIN_CLASS, alone == VEIN_CLASS)


def test_a_clot_is_a_class_of_its_own_in_an_empty_lumen(head, crop):
    """Of the head with a left M1 occlusion: clot voxels lie along the clot, and no artery is called there."""
    classes = class_labels(head, crop).array
    k, j, i = np.rint(crop.to_kji(head.clot.points_lps_mm[3:-3])).astype(int).T
    assert (classes[k, j, i] == CLOT_CLASS).mean() > 0.9
    assert not np.isin(classes[k, j, i], list(TREE_CODES.values())).any()
    assert set(np.unique(classes)) <= {0, *TREE_CODES.values(), VEIN_CLASS, CLOT_CLASS, UNSURE_CLASS}
    points = head.pose.to_atlas_mm(crop.to_lps_mm(np.argwhere(classes == CLOT_CLASS)))
    assert (points[:, 0] > 0).all()


def test_a_clot_covers_whatever_lumen_it_lies_in(head):
    """Between 7.9 and 15.4 mm along an open tube."""
    clot = Tube("clot", Side.LEFT, tube().points_lps_mm[20:40], np.full(20, 1.6), np.zeros(20))
    classes, distance_mm, along_mm = beside_tube(with_tubes(head, arteries=(tube(),), clots=(clot,)))
    inner = distance_mm < 1.2
    assert (classes[inner & (along_mm > 8.7) & (along_mm < 14.6)] == CLOT_CLASS).all()
    for beside in (along_mm < 6.8, along_mm > 16.5):
        assert (classes[inner & beside] == TREE_CODES["MCA"]).all()


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
