"""Mimics change what they should and leave an open artery open."""

import numpy as np
import pytest

from lvo.core.report import Side, Site
from lvo.synth.disease import Occlusion
from lvo.synth.head import Head, HeadSpec, make_head
from lvo.synth.mimics import Aneurysm, Craniotomy, Hypoplasia, OldInfarct, Plaques, Stenosis
from lvo.synth.skull import solid_fields, tissue_fractions

SEED = 40


def head_with(*mimics, **more) -> Head:
    return make_head(HeadSpec(SEED, mimics=mimics, **more))


@pytest.fixture(scope="module")
def plain() -> Head:
    return head_with()


def trunk(head: Head, name: str, side: Side):
    return next(tube for tube in head.arteries if tube.name == name and tube.side is side)


def test_a_stenosis_narrows_by_its_degree_and_stays_open(plain):
    head = head_with(Stenosis(Side.LEFT, "M1", 0.8, length_mm=5.0))
    narrow, open_ = trunk(head, "M1", Side.LEFT), trunk(plain, "M1", Side.LEFT)
    ratio = narrow.radius_mm / open_.radius_mm
    assert ratio.min() == pytest.approx(0.2, abs=0.03)
    assert ratio[0] == ratio[-1] == pytest.approx(1.0, abs=1e-3)
    assert narrow.filling.min() == 1.0
    assert head.truth.site is None
    np.testing.assert_array_equal(trunk(head, "M1", Side.RIGHT).radius_mm, trunk(plain, "M1", Side.RIGHT).radius_mm)


def test_hypoplasia_thins_the_whole_trunk(plain):
    head = head_with(Hypoplasia(Side.RIGHT, "A1", 0.4))
    np.testing.assert_allclose(
        trunk(head, "A1", Side.RIGHT).radius_mm, np.maximum(0.4 * trunk(plain, "A1", Side.RIGHT).radius_mm, 0.15)
    )


def test_plaques_lie_on_the_wall(plain):
    head = head_with(Plaques(Side.LEFT, "ICA", number=5))
    assert len(head.plaques) == len(plain.plaques) + 5
    carotid = trunk(head, "ICA", Side.LEFT)
    for plaque in head.plaques[-5:]:
        gap = np.linalg.norm(carotid.points_lps_mm[:, None] - plaque.points_lps_mm, axis=2).min(axis=0)
        assert 0.3 * carotid.radius_mm.min() < gap.min() < 1.4 * carotid.radius_mm.max()


def test_an_aneurysm_is_a_filled_sphere_beside_its_artery():
    head = head_with(Aneurysm(Side.LEFT, "M1", 0.9, 8.0))
    (sac,) = [tube for tube in head.arteries if tube.name == "aneurysm"]
    middle = sac.points_lps_mm.mean(axis=0)
    surface = np.hypot(np.linalg.norm(sac.points_lps_mm - middle, axis=1), sac.radius_mm)
    np.testing.assert_allclose(surface, 4.0, atol=0.35)  # the head's own scale and shape bend it a little
    assert sac.filling.min() == 1.0


def test_a_craniotomy_cuts_bone_and_an_infarct_takes_tissue(plain):
    flap, hole = Craniotomy(Side.LEFT, radius_mm=30.0, removed=True), OldInfarct(Side.RIGHT)
    head = head_with(flap, hole)
    middle = np.array([[68.0, -8.0, 22.0]], dtype=np.float32)
    line = middle + np.linspace(-10.0, 12.0, 60)[:, None].astype(np.float32) * np.array([1, 0, 0.2], dtype=np.float32)
    assert solid_fields(plain.shape, line, ()).bone.min() < 0.0
    assert solid_fields(head.shape, line, ()).bone.min() > 0.0
    right = np.array([hole.center_mm], dtype=np.float32) * np.array([-1, 1, 1], dtype=np.float32)
    left = right * np.array([-1, 1, 1], dtype=np.float32)
    for points, share in ((right, 0.2), (left, 1.0)):
        before, after = (sum(tissue_fractions(one.shape, points))[0] for one in (plain, head))
        assert after <= share * before + 1e-6
    np.testing.assert_allclose(sum(tissue_fractions(head.shape, left)), sum(tissue_fractions(plain.shape, left)))


def test_contrast_can_be_early_or_late(plain):
    early = head_with(venous_fraction=0.02, distal_loss=0.8)
    late = head_with(venous_fraction=1.3)
    assert max(vein.filling.max() for vein in early.veins) == pytest.approx(0.02)
    assert min(vein.filling.min() for vein in late.veins) == pytest.approx(1.3)
    far = [tube.filling.min() for tube in early.arteries if tube.name == "M3"]
    assert min(far) < 0.5
    assert trunk(early, "ICA", Side.LEFT).filling.min() > 0.9
    assert min(tube.filling.min() for tube in plain.arteries) == 1.0


def test_tandem_and_bilateral_occlusions_are_both_in_the_truth():
    first = Occlusion(Side.LEFT, Site.M1, 8.0, part="proximal")
    head = make_head(
        HeadSpec(SEED, first, further=(Occlusion(Side.LEFT, Site.ICA, 20.0, part="cervical"),), collateral_grade=1)
    )
    assert (head.truth.site, [one.site for one in head.truth.further]) == (Site.M1, [Site.ICA])
    neck = head.pose.to_atlas_mm(head.truth.further[0].cutoff_lps_mm)
    assert neck[2] < -40.0
    assert trunk(head, "ICA", Side.LEFT).filling.min() == 0.0
    both = make_head(HeadSpec(SEED, first, further=(Occlusion(Side.RIGHT, Site.M1, 8.0),), collateral_grade=0))
    for side in (Side.LEFT, Side.RIGHT):
        assert trunk(both, "M2-superior", side).filling.max() < 0.2


def test_late_collaterals_fill_backwards_and_a_beak_tapers():
    def m1(**more):
        return make_head(HeadSpec(SEED, Occlusion(Side.LEFT, Site.M1, 5.0, part="distal", **more), collateral_grade=3))

    prompt, late = trunk(m1(), "M2-superior", Side.LEFT).filling, trunk(m1(delay=0.9), "M2-superior", Side.LEFT).filling
    assert late[3] < 0.4 * prompt[3]
    assert late[-1] > late[3]
    blunt, beak = trunk(m1(), "M1", Side.LEFT), trunk(m1(taper_mm=6.0), "M1", Side.LEFT)
    first = int(np.flatnonzero(blunt.filling == 0.0)[0])
    assert beak.radius_mm[first - 1] < 0.4 * blunt.radius_mm[first - 1]
    assert blunt.radius_mm[first - 1] > 0.8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: Occlusion(Side.LEFT, Site.A1, part="cervical"), "no part", id="a part of another artery"),
        pytest.param(lambda: Occlusion(Side.LEFT, Site.M1, delay=1.5), "delay", id="delay beyond 1"),
        pytest.param(lambda: HeadSpec(1, distal_loss=2.0), "distal_loss", id="more than all contrast lost"),
        pytest.param(lambda: HeadSpec(1, venous_fraction=-0.1), "venous_fraction", id="negative veins"),
        pytest.param(lambda: HeadSpec(1, further=(Occlusion(Side.LEFT, Site.M1),)), "first", id="a second without a first"),
    ],
)
def test_the_impossible_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
