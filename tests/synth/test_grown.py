"""The second topology: same records, published sizes, courses where anatomy wants them."""

import numpy as np
import pytest

from lvo.core.report import Side, Site
from lvo.synth.grown import build_grown
from lvo.synth.head import HeadSpec, Occlusion, make_head
from lvo.synth.tissue import template
from lvo.synth.tree import ArterialTree, Branch, find
from lvo.synth.tubes import arc_length

N_HEADS = 8


@pytest.fixture(scope="module")
def trees() -> list[ArterialTree]:
    return [build_grown(np.random.default_rng((seed, 2))) for seed in range(N_HEADS)]


def trunks(trees: list[ArterialTree], name: str) -> list[Branch]:
    return [branch for tree in trees for branch in tree.branches if branch.name == name and branch.trunk < 0]


def test_the_same_seed_gives_the_same_tree(trees):
    again = build_grown(np.random.default_rng((3, 2)))
    for one, two in zip(again.branches, trees[3].branches, strict=True):
        assert (one.name, one.side, one.parent) == (two.name, two.side, two.parent)
        np.testing.assert_array_equal(one.points_mm, two.points_mm)
        np.testing.assert_array_equal(one.radius_mm, two.radius_mm)


def test_every_branch_leaves_its_parent(trees):
    """A child begins within the lumen of the parent point that feeds it, or the flow would jump."""
    for tree in trees:
        for branch in tree.branches:
            if branch.parent is not None and branch.name not in {"A2", "BA", "Acom"}:  # A2 of a missing A1 is fed across Acom
                gap = np.linalg.norm(branch.points_mm[0] - tree.branches[branch.parent].points_mm[branch.parent_at])
                assert gap < 15.0 if branch.trunk >= 0 else gap < 0.8, (branch.name, gap)


@pytest.mark.parametrize(
    ("name", "diameter_mm", "length_mm"),
    [
        pytest.param("M1", 3.1, (15.0, 26.0), id="M1, Rai 2013: 3.1 mm wide, 22.5 +- 8.1 mm long"),
        pytest.param("M2-superior", 2.4, None, id="M2, Rai 2013: 2.4 mm wide"),
        pytest.param("BA", 3.6, (26.0, 35.0), id="basilar, Rai 2013: 3.6 mm wide; 27 to 33 mm long"),
        pytest.param("A1", 2.3, (13.0, 21.0), id="A1, 2.1 to 2.5 mm wide; TopCoW: 15.6 mm long"),
        pytest.param("P1", 2.1, (5.0, 12.0), id="P1, 2.1 mm wide; TopCoW: 7.2 mm long"),
        pytest.param("ICA-T", 3.6, None, id="terminus, Rai 2013: 3.6 mm wide"),
    ],
)
def test_trunks_have_published_sizes(trees, name, diameter_mm, length_mm):
    found = trunks(trees, name)
    normal = [branch for branch in found if branch.radius_mm.mean() > 0.3 * diameter_mm]  # hypoplastic ones are another test
    assert np.mean([2 * branch.radius_mm[:4].mean() for branch in normal]) == pytest.approx(diameter_mm, rel=0.15)
    if length_mm is not None:
        low, high = length_mm
        assert low < 0.95 * np.mean([arc_length(branch.points_mm)[-1] for branch in found]) < high


def test_m2_lies_on_the_insula_before_it_leaves(trees):
    """Both divisions cross the insula: most of M2 is deep (|x| < 48 mm); the upper one climbs, the lower one goes back."""
    for name in ("M2-superior", "M2-inferior"):
        courses = [branch.points_mm for branch in trunks(trees, name)]
        assert len(courses) == 2 * N_HEADS
        points = np.concatenate(courses)
        assert (np.abs(points[:, 0]) < 48.0).mean() > 0.85
        limen = np.array([course[0] for course in courses])
        ends = np.array([course[-1] for course in courses])
        axis = 2 if name == "M2-superior" else 1
        assert np.median((ends - limen)[:, axis]) > 8.0


def test_the_anterior_cerebral_artery_stays_in_the_midline_and_rounds_the_genu(trees):
    for branch in (*trunks(trees, "A2"), *trunks(trees, "A3")):
        assert np.abs(branch.points_mm[:, 0]).max() < 7.0
    for branch in trunks(trees, "A2"):
        assert branch.points_mm[:, 1].min() < -30.0
        assert branch.points_mm[-1, 2] > 15.0


def test_the_posterior_cerebral_artery_goes_around_the_midbrain(trees):
    """P2 is lateral of the midbrain (half-width about 14 mm) beside it and medial again behind it."""
    for branch in trunks(trees, "P2"):
        assert np.abs(branch.points_mm[:, 0]).max() > 13.0
        assert template().brain.at(branch.points_mm).mean() < 0.85


def test_branches_stay_inside_the_skull_on_their_side(trees):
    for tree in trees:
        for branch in tree.branches:
            if branch.trunk >= 0:
                sign = 1.0 if branch.side is Side.LEFT else -1.0
                assert (sign * branch.points_mm[:, 0]).min() > -5.0
                assert template().inner_mm.at(branch.points_mm).max() < 3.0
                assert 0.1 < branch.radius_mm.min() <= branch.radius_mm.max() < 2.0


def test_the_middle_cerebral_tree_is_the_largest(trees):
    """PCA:ACA:MCA total length about 1:2:4 (PMC3971907); the order of MCA and a factor of two must hold."""
    total = {
        name: sum(arc_length(branch.points_mm)[-1] for tree in trees for branch in tree.branches if branch.territory == name)
        for name in ("MCA", "ACA", "PCA")
    }
    assert 1.6 < total["MCA"] / total["ACA"] < 4.5
    assert 1.6 < total["MCA"] / total["PCA"] < 8.0


def test_every_brain_point_is_fed_by_its_own_side(trees):
    for tree in trees:
        sides = np.array([branch.side.value for branch in tree.branches])[tree.fed_by]
        lateral = np.abs(tree.fed_points_mm[:, 0]) > 10.0
        left = tree.fed_points_mm[:, 0] > 0.0
        assert (sides[lateral & left] != "right").all()
        assert (sides[lateral & ~left] != "left").all()


@pytest.mark.parametrize(
    ("side", "site"),
    [(Side.LEFT, Site.ICA), (Side.RIGHT, Site.ICA_T), (Side.LEFT, Site.M1), (Side.RIGHT, Site.M2), (Side.MIDLINE, Site.BA)],
)
def test_a_grown_head_can_be_occluded(side, site):
    head = make_head(HeadSpec(40, Occlusion(side, site), collateral_grade=0, topology="grown"))
    assert (head.truth.side, head.truth.site) == (side, site)
    dark = [tube for tube in head.arteries if tube.intracranial and tube.filling.max() < 0.2]
    assert len(dark) > 5
    assert {tube.side for tube in dark} <= {side, Side.MIDLINE} if side is not Side.MIDLINE else True
    expected = "VB" if site is Site.BA else "MCA"
    assert any(tube.territory == expected for tube in dark)


def test_variants_occur(trees):
    """Over many heads A1 and P1 are absent on some sides; the tree still reaches A2 and P2 there."""
    drawn = trees + [build_grown(np.random.default_rng((seed, 2))) for seed in (20, 21, 22, 23)]
    for tree in drawn:
        for side in (Side.LEFT, Side.RIGHT):
            for name in ("A2", "P2", "M1", "M2-superior"):
                index = find(tree.branches, name, side)
                assert index is not None
                assert tree.branches[index].parent is not None
            if find(tree.branches, "A1", side) is None:
                assert tree.acom
