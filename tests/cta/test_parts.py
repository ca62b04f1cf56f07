"""Tree, profile, bolus and call, each on its own."""

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from lvo.core.anatomy import ARTERIES, segment
from lvo.core.outcome import NotAssessable
from lvo.core.report import Call, Side
from lvo.cta.bolus import measure_bolus
from lvo.cta.call import CallHead, HemisphereSuspicion, Logistic, Suspicion, judge, suspect
from lvo.cta.features import BasilarFeatures
from lvo.cta.measure import measure
from lvo.cta.tree import REACH_MM, align_tree, atlas_tree, nearest_points


def points_on(name, *, left, offset_mm=(0.0, 0.0, 0.0)):
    course = segment(name).course_atlas_mm(left=left)
    return np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(course)]) + offset_mm


def test_the_tree_mirrors_paired_segments_and_has_the_basilar_once():
    tree = atlas_tree()
    names = [artery.name for artery in ARTERIES]
    m1, basilar = tree.segment == names.index("M1"), tree.segment == names.index("BA")
    left, right = tree.points_atlas_mm[m1 & tree.left], tree.points_atlas_mm[m1 & ~tree.left]
    np.testing.assert_allclose(left * (-1, 1, 1), right)
    assert (left[:, 0] > 0).all()
    assert tree.left[basilar].all()


def test_voxels_get_the_segment_and_the_side_they_lie_on_and_none_when_far_from_all():
    tree = atlas_tree()
    far = np.array([[70.0, -60.0, 40.0]])
    points = np.concatenate([points_on("M1", left=False), far])
    nearest = nearest_points(tree, points)
    assert nearest[-1] == -1
    inner = nearest[15:-15]
    assert {ARTERIES[n].name for n in tree.segment[inner]} == {"M1"}
    assert not tree.left[inner].any()


@pytest.mark.parametrize("missing_left_m1", [False, True], ids=["both sides", "left M1 missing"])
def test_alignment_undoes_a_shift_of_the_whole_tree_even_when_one_side_is_missing(missing_left_m1):
    shift = np.array([2.0, -5.0, 4.0])
    tree = atlas_tree()
    names = [artery.name for artery in ARTERIES]
    keep = ~((tree.segment == names.index("M1")) & tree.left & missing_left_m1)
    aligned = align_tree(tree, tree.points_atlas_mm[keep] + shift)
    moved_mm = aligned.points_atlas_mm - tree.points_atlas_mm
    np.testing.assert_allclose(moved_mm, np.broadcast_to(shift, moved_mm.shape), atol=1.2)


def test_alignment_gives_up_when_arteries_are_elsewhere():
    tree = atlas_tree()
    assert align_tree(tree, tree.points_atlas_mm + (40.0, 0, 0)) is tree


@pytest.mark.parametrize("span", [(0.35, 0.8), (0.1, 0.9)], ids=["clot of 10 mm", "clot of 18 mm"])
def test_the_interruption_has_the_length_of_the_gap_and_stops_where_the_lumen_does(drawing, measured, span):
    length_mm = drawing.lengths_mm(segment("M1").course_atlas_mm(left=True))[-1]
    measures = measured({("M1", True): span}, seed=3)
    gap_mm = (span[1] - span[0]) * length_mm * 1.06  # the head is 6 % larger than the atlas
    assert measures.left.trunk.gap_mm == pytest.approx(gap_mm, abs=3.5)
    np.testing.assert_allclose(measures.left.trunk.stop_atlas_mm, drawing.at("M1", span[0], left=True), atol=6)
    assert measures.right.trunk.gap_mm == 0


@pytest.mark.parametrize("seed", range(4))
def test_an_open_artery_is_never_interrupted_however_it_winds(measured, seed):
    measures = measured(seed=seed)
    for side in (measures.left, measures.right):
        assert side.trunk.gap_mm == 0
        assert side.siphon.gap_mm == 0
        assert max(branch.gap_mm for branch in side.branches) < 3
    assert measures.basilar.path.gap_mm == 0


def test_a_closed_branch_interrupts_its_own_path_and_not_that_of_the_trunk(measured):
    measures = measured({("M2-superior", False): (0.15, 1.1)}, seed=1)
    assert measures.right.trunk.gap_mm == 0
    superior, inferior = measures.right.branches
    assert superior.gap_mm > 6
    assert inferior.gap_mm < 3
    assert measures.right.longest_branch is superior


def test_the_path_is_the_way_from_start_to_end(measured, tilted_pose):
    """It leaves no voxel out, begins in the carotid and ends in M2, and what is outside the lumen lies in the gap."""
    path = measured({("M1", True): (0.35, 0.8)}, seed=3).left.trunk
    way = tilted_pose.to_atlas_mm(path.way_lps_mm)
    steps_mm = np.linalg.norm(np.diff(path.way_lps_mm, axis=0), axis=1)
    assert steps_mm.max() < 1.2 * np.sqrt(3) + 1e-6
    assert way[0, 2] < way[-1, 2]
    assert way[0, 0] < 20.0
    assert way[-1, 0] > 27.0


def test_a_map_that_ends_below_the_circle_of_willis_is_not_measured(drawing, draw, tilted_pose):
    vessels = draw(tilted_pose)
    whole = vessels["artery"].grid
    n_low = whole.shape_kji[0] // 5
    part = replace(whole, shape_kji=(n_low, *whole.shape_kji[1:]))
    low = {name: replace(one, array=one.array[:n_low], grid=part) for name, one in vessels.items()}
    for found, scanned in ((low, whole), (vessels, part)):
        refused = measure(drawing.angiogram(found), found, tilted_pose, scanned)
        assert isinstance(refused, NotAssessable)
        assert "does not cover" in refused.reasons[0]


def test_reach_is_beyond_what_people_differ():
    assert REACH_MM >= 2 * 4.0


def test_bolus_reads_the_lumen_and_the_phase():
    hu = np.full((10, 20, 20), 40.0, np.float32)
    artery, vein = np.zeros_like(hu), np.zeros_like(hu)
    artery[2:5], vein[6:8] = 1.0, 1.0
    for arterial, venous, phase in ((300, 60, "early arterial"), (300, 180, "arterial"), (220, 240, "venous")):
        hu[2:5], hu[6:8] = arterial, venous
        bolus = measure_bolus(hu, artery, vein)
        assert bolus.arterial_hu == arterial
        assert bolus.phase == phase
    assert measure_bolus(hu, np.zeros_like(hu), vein) is None


def test_a_logistic_with_lists_of_different_length_is_refused():
    with pytest.raises(ValueError, match="one length"):
        Logistic(("a", "b"), (0.0,), (1.0, 1.0), (1.0, 1.0), 0.0)
    with pytest.raises(ValueError, match="positive"):
        Logistic(("a",), (0.0,), (0.0,), (1.0,), 0.0)


def test_a_logistic_weighs_its_features_and_never_overflows():
    model = Logistic(("clot", "gap_cm"), (1.0, 2.0), (4.0, 0.5), (8.0, -1.0), -4.0)
    assert model.logit(features(gap_cm=3.0, clot=5.0)) == pytest.approx(8.0 - 2.0 - 4.0)
    assert model.logit(features(gap_cm=2.0, clot=1e9)) == 50.0
    assert model.logit(features(gap_cm=2.0, clot=-1e9)) == -50.0


def features(**given):
    """Of a basilar artery; what is not given is 0."""
    return BasilarFeatures(**{field.name: 0.0 for field in fields(BasilarFeatures)} | given)


def test_probabilities_are_those_of_the_calibration():
    """One slope and intercept for every detector; half lies where they cross, and nothing overflows."""
    gap = Logistic(("gap_cm",), (0.0,), (1.0,), (1.0,), 0.0)
    head = CallHead("net", "nothing", gap, gap, gap, gap, slope=2.0, intercept=-3.0)
    assert head.probability(1.5) == pytest.approx(0.5)
    assert head.probability(2.0) == pytest.approx(1.0 / (1.0 + np.exp(-1.0)))
    assert head.probability(1e9) == pytest.approx(1.0)
    assert head.probability(-1e9) == pytest.approx(0.0)
    found = suspect(head, features(gap_cm=0.5), features(gap_cm=2.0), features(gap_cm=1.5))  # any record with the feature
    assert found.basilar == pytest.approx(0.5)
    assert found.right.highest == head.probability(2.0)
    assert found.worst is Side.RIGHT
    assert suspect(head, features(), features(), None).basilar is None


def test_the_suspected_part_nearest_to_the_heart_names_the_detector():
    assert HemisphereSuspicion(0.2, 0.3, 0.4).detector(0.7) == "m2"
    assert HemisphereSuspicion(0.5, 0.3, 0.4).detector(0.7) == "siphon"
    assert HemisphereSuspicion(0.2, 0.9, 0.95).detector(0.7) == "stem"  # M2 is empty because M1 is
    assert HemisphereSuspicion(0.7, 0.9, 0.95).detector(0.7) == "siphon"
    assert HemisphereSuspicion(0.69, 0.6, 0.95).detector(0.7) == "m2"
    assert HemisphereSuspicion(0.2, 0.9, 0.4).highest == 0.9


def suspicion(left, right, basilar, part="stem"):
    """A suspicion with these values in one part of each hemisphere, and less in the others."""
    sides = (HemisphereSuspicion(**{"siphon": 0.05, "stem": 0.05, "m2": 0.05} | {part: value}) for value in (left, right))
    return Suspicion(*sides, basilar)


@pytest.mark.parametrize("part", ["siphon", "stem", "m2"])
@pytest.mark.parametrize(
    ("places", "call", "side"),
    [
        pytest.param((0.1, 0.1, 0.1), Call.NOT_DETECTED, None, id="nothing"),
        pytest.param((0.199, 0.1, 0.1), Call.NOT_DETECTED, None, id="below the lower threshold"),
        pytest.param((0.2, 0.1, 0.1), Call.INDETERMINATE, Side.LEFT, id="at the lower threshold"),
        pytest.param((0.1, 0.499, 0.1), Call.INDETERMINATE, Side.RIGHT, id="below the upper threshold"),
        pytest.param((0.1, 0.5, 0.1), Call.SUSPECTED, Side.RIGHT, id="at the upper threshold"),
        pytest.param((0.4, 0.3, 0.1), Call.INDETERMINATE, Side.LEFT, id="neither of two is sure"),
        pytest.param((0.6, 0.3, 0.1), Call.SUSPECTED, Side.LEFT, id="one of two is sure"),
        pytest.param((0.6, 0.9, 0.1), Call.SUSPECTED, Side.BOTH, id="both"),
        pytest.param((0.3, 0.1, 0.9), Call.SUSPECTED, Side.MIDLINE, id="basilar"),
        pytest.param((0.6, 0.7, 0.9), Call.SUSPECTED, Side.MIDLINE, id="basilar is worst of three"),
        pytest.param((0.1, 0.3, None), Call.INDETERMINATE, Side.RIGHT, id="basilar not seen"),
        pytest.param((0.1, 0.1, None), Call.NOT_DETECTED, None, id="nothing, basilar not seen"),
    ],
)
def test_three_way_call(places, call, side, part):
    assert judge(suspicion(*places, part=part), suspected=0.5, indeterminate=0.2) == (call, side)
