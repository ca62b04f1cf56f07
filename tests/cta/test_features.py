"""What is measured on a drawn map: nothing where nothing is wrong, and where something is, just what belongs to it."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.report import Side
from lvo.cta.evidence import coverage, reasons, segment_rows, shares, territories
from lvo.cta.features import hemisphere_features
from lvo.cta.measure import ArteryMeasures, measure
from lvo.cta.path import Interruption

SIDES = pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT], ids=["left", "right"])
OTHER = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}

STOPS = {
    "siphon": {"ICA": (0.72, 0.9)}, "M1": {"M1": (0.3, 1.1)}, "trunk": {"M2-superior": (0.2, 1.1)},
    "basilar": {"BA": (0.2, 0.8)},
}  # fmt: skip
RAISED = {
    "siphon": {"siphon_gap_cm", "siphon_darkness", "carotid_vs_other", "carotid_vs_atlas"},
    "M1": {
        "trunk_gap_cm", "both_branches_gap_cm", "trunk_darkness", "both_branches_darkness", "branch_cut_off", "m1_vs_other",
        "m1_vs_atlas", "unfed",
    },
    "trunk": {"branch_cut_off", "m2_vs_other", "insula_vs_other"},
    "basilar": set(),
}  # fmt: skip
"""Which features of its side a stop raises."""


def closed(stop, side):
    return {(name, side is Side.LEFT or name == "BA"): span for name, span in STOPS[stop].items()}


def raised(found, usual):
    """Names of the features that speak more for an occlusion than usual: longer gaps, less lumen, more that is cut off."""
    more = {name: getattr(found, name) - getattr(usual, name) for name in asdict(usual)}
    return {name for name, change in more.items() if (-change if "_vs_" in name else change) > 0.3}


def test_a_symmetric_head_without_disease_has_no_gap_and_ratios_near_zero(measured):
    measures = measured()
    for side in (Side.LEFT, Side.RIGHT):
        for name, value in asdict(measures.features(side)).items():
            limit = 0.45 if name.endswith(("vs_atlas", "darkness")) else 0.2  # thin arteries are darkened by smoothing
            assert abs(value) < limit, (side, name, value)
    basilar = measures.basilar_features()
    assert (basilar.gap_cm, basilar.clot, basilar.tip_clot) == (0.0, 0.0, 0.0)
    assert abs(basilar.fed_tip_vs_atlas) < 0.45
    assert basilar.unfed_posterior == 0.0


@SIDES
@pytest.mark.parametrize("stop", ["siphon", "M1", "trunk"])
def test_a_stop_raises_what_belongs_to_it_on_its_side_alone(measured, stop, side):
    usual, found = measured(), measured(closed(stop, side))
    assert raised(found.features(side), usual.features(side)) == RAISED[stop]
    assert raised(found.features(OTHER[side]), usual.features(OTHER[side])) == set()
    assert raised(found.basilar_features(), usual.basilar_features()) == set()


def test_a_basilar_stop_raises_nothing_in_the_hemispheres(measured):
    usual, found = measured(), measured(closed("basilar", Side.LEFT))
    assert raised(found.basilar_features(), usual.basilar_features()) == {
        "gap_cm",
        "darkness",
        "fed_tip_vs_atlas",
        "unfed_posterior",
    }
    for side in (Side.LEFT, Side.RIGHT):
        assert raised(found.features(side), usual.features(side)) == set()


def test_a_stop_at_the_basilar_tip_is_seen_there(measured):
    """Both P1 origins and the last of the basilar artery are empty; most of the artery is not."""
    tip = {("BA", True): (0.75, 1.1), ("P1", True): (0.0, 1.1), ("P1", False): (0.0, 1.1)}
    usual, found = measured().basilar_features(), measured(tip).basilar_features()
    assert found.fed_tip_vs_atlas < usual.fed_tip_vs_atlas - 0.7
    assert found.unfed_posterior > 0.9


@pytest.mark.parametrize("filled_beyond", [True, False], ids=["P1 filled from elsewhere", "nothing beyond"])
def test_a_stump_within_reach_of_the_far_end_does_not_pass_for_it(measured, filled_beyond):
    """The basilar artery ends 7 mm below its tip: that is near P1, and not in it."""
    beyond = {} if filled_beyond else {("P1", left): (0.0, 1.1) for left in (True, False)}
    found = measured({("BA", True): (0.72, 1.1)} | beyond).basilar_features()
    assert measured().basilar_features().gap_cm == 0.0
    assert found.gap_cm >= 0.5
    assert found.darkness > 0.8


@SIDES
def test_where_the_map_has_lost_an_open_artery_the_way_stays_bright(drawing, tilted_pose, side):
    """The map breaks off in M1; in the image M1 is as bright as ever, or as dark as tissue."""
    name = ("M1", side is Side.LEFT)
    broken = drawing.draw(tilted_pose, closed={name: (0.3, 0.8)})
    darkness = []
    for vessels in (drawing.draw(tilted_pose), broken):
        found = measure(drawing.angiogram(vessels), broken, tilted_pose, broken["artery"].grid)
        assert found.features(side).trunk_gap_cm > 0.6
        darkness.append(found.features(side).trunk_darkness)
    assert darkness[0] < 0.3
    assert darkness[1] > 0.8


@SIDES
def test_what_lies_beyond_a_stop_is_cut_off_and_not_what_lies_before_it(measured, side):
    """All of the middle cerebral branches hang at a closed M1; a closed trunk leaves the other one fed."""
    assert measured(closed("M1", side)).features(side).unfed > 0.9
    assert measured().features(side).unfed == 0.0
    assert measured({("M2-superior", side is Side.LEFT): (0.1, 0.4)}).features(side).unfed == pytest.approx(0.4, abs=0.25)


@SIDES
def test_both_sides_closed_still_differ_from_the_atlas(measured, side):
    """With no healthy side to compare, the sides are alike, and gaps and atlas tell."""
    found = measured({("M1", left): (0.2, 1.1) for left in (True, False)}).features(side)
    assert abs(found.m1_vs_other) < 0.2
    assert found.m1_vs_atlas < -0.8
    assert found.trunk_gap_cm > 1.0


@pytest.mark.parametrize(
    ("part", "name"),
    [
        pytest.param("ICA", "siphon_clot", id="siphon"),
        pytest.param("M1", "stem_clot", id="M1"),
        pytest.param("M2-inferior", "m2_clot", id="M2"),
    ],
)
@SIDES
def test_a_clot_counts_where_it_lies(measured, part, name, side):
    span = (0.75, 0.85) if part == "ICA" else (0.3, 0.7)
    found = measured(clots={(part, side is Side.LEFT): span})
    here, there = asdict(found.features(side)), asdict(found.features(OTHER[side]))
    assert here[name] > 1.0
    assert max(value for key, value in here.items() if key.endswith("clot") and key != name) < 0.75
    assert max(value for key, value in there.items() if key.endswith("clot")) == 0.0
    assert found.basilar_features().clot == 0.0


def test_a_mirrored_map_has_mirrored_features(drawing, draw, tilted_pose):
    """Left and right change places, but for voxels as near to two points of the tree: displaced arteries, a stop and a clot."""
    vessels = draw(tilted_pose, closed={("M1", True): (0.6, 1.1)}, clots={("M1", True): (0.3, 0.6)}, seed=2)
    twin = drawing.mirror(vessels, tilted_pose)
    here, there = (measure(drawing.angiogram(v), v, tilted_pose, v["artery"].grid) for v in (vessels, twin))
    for side in (Side.LEFT, Side.RIGHT):
        expected, found = here.features(side), there.features(OTHER[side])
        for name, value in asdict(expected).items():
            assert getattr(found, name) == pytest.approx(value, abs=0.05), (side, name)
        for path in ("trunk", "siphon", "longest_branch"):
            stop, mirrored = (getattr(one.pair(s)[0], path).stop_atlas_mm for one, s in ((here, side), (there, OTHER[side])))
            np.testing.assert_allclose(mirrored * (-1, 1, 1), stop, atol=0.8)
    assert asdict(there.basilar_features()) == pytest.approx(asdict(here.basilar_features()), abs=0.05)
    assert here.features(Side.LEFT).trunk_gap_cm > 1.0


def test_a_carotid_that_was_not_seen_speaks_for_nothing(measured):
    """Whatever the map says below the scan, nothing of it comes into the features."""
    found = measured(closed("siphon", Side.LEFT), clots={("ICA", True): (0.75, 0.85)})
    unseen = [replace(side, siphon=None) for side in (found.left, found.right)]
    for features in (hemisphere_features(*unseen), hemisphere_features(*unseen[::-1])):
        assert {getattr(features, n) for n in ("siphon_gap_cm", "carotid_vs_other", "carotid_vs_atlas", "siphon_clot")} == {0.0}


def test_density_is_compared_above_that_of_tissue(measured):
    """An M1 that holds half of the other side's contrast differs by log 2; nothing is said where there is no lumen."""
    healthy = measured()
    weak = replace(healthy.left, m1_hu=40.0 + 140.0)
    full = replace(healthy.right, m1_hu=40.0 + 280.0)
    assert hemisphere_features(weak, full).m1_hu_vs_other == pytest.approx(-np.log(2.0))
    assert hemisphere_features(replace(weak, m1_hu=None), full).m1_hu_vs_other == 0.0


def test_segments_are_rows_with_their_lumen_gap_and_density(measured):
    rows = {row.segment: row for row in segment_rows(measured({("M1", False): (0.2, 0.9)}))}
    assert list(rows) == ["ICA", "ICA-T", "M1", "M2-superior", "M2-inferior", "A1", "A2", "P1", "P2", "BA"]
    m1 = rows["M1"]
    assert m1.right.expected_share < 0.5
    assert 0.75 < m1.left.expected_share < 1.4
    assert m1.left.gap_mm == 0.0
    assert m1.right.gap_mm == pytest.approx(0.7 * 19.8 * 1.06, abs=4.0)
    assert m1.left.hu == 320.0
    assert m1.left.lumen_ml > 2.0 * m1.right.lumen_ml
    assert rows["BA"].right is None
    assert rows["BA"].left.gap_mm == 0.0
    assert rows["A1"].left.gap_mm is None  # not followed


def test_a_segment_without_lumen_has_no_density(measured):
    rows = {row.segment: row for row in segment_rows(measured({("P2", True): (0.0, 1.1), ("P3", True): (0.0, 0.4)}))}
    assert rows["P2"].left.lumen_ml < 0.3 * rows["P2"].right.lumen_ml


def test_territories_are_volumes_on_each_side(measured):
    rows = {row.territory: row for row in territories(measured({("M1", False): (0.1, 1.1)}))}
    assert list(rows) == ["ICA", "MCA", "ACA", "PCA", "MCA distal"]
    assert rows["MCA"].right_ml < 0.75 * rows["MCA"].left_ml
    assert rows["MCA"].ratio == pytest.approx(rows["MCA"].right_ml / rows["MCA"].left_ml, abs=0.01)
    assert min(rows[name].ratio for name in ("ICA", "ACA", "PCA")) > 0.85


def test_coverage_names_what_was_judged(draw, drawing, measured, tilted_pose):
    """All of it, or what a scan shows that starts above the siphon; every vessel is named once."""
    judged, unjudged = coverage(measured())
    assert {"carotid terminus", "M1", "M2", "intracranial carotid", "basilar artery"} == set(judged)
    vessels = draw(tilted_pose, seed=None)
    grid = vessels["artery"].grid
    n_low = int(grid.to_kji(tilted_pose.to_lps_mm((0.0, 5.0, -33.0)))[0])
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.to_lps_mm((n_low, 0, 0))
    scanned = Grid((grid.shape_kji[0] - n_low, *grid.shape_kji[1:]), affine)
    above = measure(drawing.angiogram(vessels), vessels, tilted_pose, scanned)
    assert isinstance(above, ArteryMeasures)
    seen, unseen = coverage(above)
    assert {"intracranial carotid", "basilar artery"} <= set(unseen)
    assert {"carotid terminus", "M1", "M2"} == set(seen)
    assert set(seen) | set(unseen) == set(judged) | set(unjudged)
    assert not set(seen) & set(unseen)


def test_reasons_say_less_as_a_share_and_never_more_than_all_of_it():
    path = Interruption(9.0, 1.0, np.zeros(3), np.zeros(3), np.zeros((1, 3)))
    said = reasons("left M1", path, 0.05, {"M1": (0.2, 1.0), "M2": (20.5, 1.0), "distal branches": (1.0, 0.0)})
    assert said == (
        "left M1: the lumen is interrupted over 9 mm",
        "a blocked lumen of 50 cubic millimetres is seen there",
        "M1: 20% of the lumen of the other side",
        "M2: more lumen than the other side",
    )


def test_a_gap_as_short_as_blur_and_a_clot_that_is_not_there_are_not_mentioned():
    path = Interruption(2.9, 1.0, np.zeros(3), np.zeros(3), np.zeros((1, 3)))
    assert reasons("right M2", path, 0.0, {}) == ("right M2: less lumen than expected, without a certain interruption",)


def test_sides_are_compared_in_m1_m2_and_beyond(measured):
    measures = measured(closed("M1", Side.LEFT))
    compared = shares(*measures.pair(Side.LEFT))
    assert list(compared) == ["M1", "M2", "distal branches"]
    assert compared["M1"][0] < 0.6 * compared["M1"][1]
    assert compared == {name: pair[::-1] for name, pair in shares(*measures.pair(Side.RIGHT)).items()}
