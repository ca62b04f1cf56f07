"""Clots block what they should, and nothing else."""

import numpy as np
import pytest

from lvo.core.report import Side, Site
from lvo.synth.arteries import build_arteries
from lvo.synth.disease import COLLATERAL_FILLING, Occlusion
from lvo.synth.head import Head, HeadSpec, make_head
from lvo.synth.tree import draw_variants
from lvo.synth.tubes import arc_length

PLACES = [
    (Side.LEFT, Site.ICA), (Side.RIGHT, Site.ICA_T), (Side.LEFT, Site.ICA_T), (Side.LEFT, Site.M1), (Side.RIGHT, Site.M2),
    (Side.RIGHT, Site.A1), (Side.LEFT, Site.A2), (Side.RIGHT, Site.P1), (Side.MIDLINE, Site.BA), (Side.LEFT, Site.VA),
]  # fmt: skip


def occluded(side: Side, site: Site, *, grade: int = 0, length_mm: float = 12.0, seed: int = 40) -> Head:
    return make_head(HeadSpec(seed, Occlusion(side, site, length_mm), collateral_grade=grade))


def fill(head: Head, name: str, side: Side) -> float:
    """Mean filling of the end of a trunk."""
    return float(next(tube for tube in head.arteries if tube.name == name and tube.side is side).filling[-3:].mean())


@pytest.mark.parametrize(("side", "site"), PLACES, ids=lambda value: value.value)
def test_every_site_has_its_clot_and_truth(side, site):
    head = occluded(side, site)
    assert head.truth.side is side
    assert head.truth.site is site
    np.testing.assert_allclose(head.truth.cutoff_lps_mm, head.clot.points_lps_mm[0])
    total = sum(arc_length(tube.points_lps_mm)[-1] for tube in head.clots)
    assert total >= 5.0  # it may end early only where the vessel does
    for tube in head.clots:
        assert (tube.filling == 0).all()
    for clot in head.clots:  # the artery that holds it has no contrast there
        holder = min(
            head.arteries,
            key=lambda tube: np.linalg.norm(tube.points_lps_mm[:, None] - clot.points_lps_mm, axis=2).min(axis=0).max(),
        )
        gap = np.linalg.norm(holder.points_lps_mm[:, None] - clot.points_lps_mm, axis=2).min(axis=1)
        assert (gap < 1e-6).sum() >= 2
        assert (holder.filling[gap < 1e-6] == 0).all()


def test_left_m1_starves_the_left_middle_territory_only():
    head = occluded(Side.LEFT, Site.M1)
    for tube in head.arteries:
        if tube.territory == "MCA" and tube.name == "M3" and tube.side is Side.LEFT:
            assert tube.filling.max() < 0.2
        if tube.side is Side.RIGHT or tube.territory in {"ACA", "VB"}:
            assert tube.filling.min() == 1.0
    risk = head.territories
    assert risk.at_risk[(risk.territory == "MCA") & risk.left].mean() > 0.8
    assert not risk.at_risk[(risk.territory != "MCA") | ~risk.left].any()


def test_carotid_terminus_takes_m1_and_a1_but_acom_saves_a2():
    seed = next(seed for seed in range(60) if (tree := build_arteries(np.random.default_rng((seed, 2)))).acom
                and all(v.a1_radius == 1.0 and not v.fetal_pca for v in tree.variants.values()))  # fmt: skip
    head = occluded(Side.RIGHT, Site.ICA_T, length_mm=20.0, seed=seed)
    assert {"M1", "A1", "ICA"} <= {
        tube.name for tube in head.arteries if tube.side is Side.RIGHT and tube.filling.min() == 0 and tube.intracranial
    }
    assert fill(head, "A2", Side.RIGHT) == 1.0
    assert fill(head, "M2-superior", Side.RIGHT) < 0.2
    assert fill(head, "P2", Side.RIGHT) == 1.0
    assert fill(head, "M1", Side.LEFT) == 1.0


@pytest.mark.parametrize("grade", [0, 1, 2, 3])
def test_collaterals_fill_by_grade(grade):
    head = occluded(Side.LEFT, Site.M1, grade=grade)
    values = [tube.filling[-1] for tube in head.arteries if tube.name == "M3" and tube.side is Side.LEFT]
    assert np.median([v for v in values if v > 0] or [0.0]) == pytest.approx(COLLATERAL_FILLING[grade], abs=0.12)
    empty = np.mean(np.array(values) == 0)
    assert empty < 0.2 if grade == 3 else empty < 0.8


def test_a_longer_clot_reaches_into_m2():
    short, long = (occluded(Side.LEFT, Site.M1, length_mm=length) for length in (5.0, 35.0))
    assert len(long.clots) > len(short.clots)
    lengths = [sum(arc_length(tube.points_lps_mm)[-1] for tube in head.clots) for head in (short, long)]
    assert lengths[0] == pytest.approx(5.0, abs=1.2)
    assert lengths[1] > 20.0


def test_variants_occur_about_as_often_as_in_people():
    """Foetal PCA 15-25 % of sides, small or absent Pcom 30-50 %, absent or small A1 5-10 %, early bifurcation 10-20 %."""
    drawn = [v for seed in range(500) for v in draw_variants(np.random.default_rng(seed)).values()]
    assert np.mean([v.fetal_pca for v in drawn]) == pytest.approx(0.2, abs=0.06)
    assert np.mean([v.pcom_radius_mm < 0.45 for v in drawn]) == pytest.approx(0.4, abs=0.12)
    assert np.mean([v.a1_radius < 1.0 for v in drawn]) == pytest.approx(0.075, abs=0.035)
    assert np.mean([v.bifurcation < 0.8 for v in drawn]) == pytest.approx(0.15, abs=0.05)
    assert np.mean([v.va_radius < 1.0 for v in drawn]) == pytest.approx(0.15, abs=0.05)


def test_an_artery_that_is_not_there_cannot_be_occluded():
    seed, side = next(
        (seed, side) for seed in range(200)
        for side, variant in build_arteries(np.random.default_rng((seed, 2))).variants.items() if variant.a1_radius == 0.0
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"no (left|right) A1 to occlude"):
        occluded(side, Site.A1, seed=seed)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((Side.LEFT, Site.BA), "midline"),
        ((Side.MIDLINE, Site.M1), "midline"),
        ((Side.BOTH, Site.M1), "one side"),
        ((Side.LEFT, Site.M1, 0.2), "clot_length_mm"),
        ((Side.LEFT, Site.M1, 90.0), "clot_length_mm"),
    ],
)
def test_an_impossible_occlusion_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Occlusion(*arguments)
