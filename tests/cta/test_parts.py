"""Tree, profile, bolus and call, each on its own."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lvo.core.anatomy import ARTERIES, segment
from lvo.core.outcome import NotAssessable
from lvo.core.report import Call, Side
from lvo.core.volume import Volume
from lvo.cta.bolus import measure_bolus
from lvo.cta.call import Logistic, Suspicion, judge
from lvo.cta.decode import measure
from lvo.cta.evidence import reasons
from lvo.cta.path import Interruption
from lvo.cta.tree import REACH_MM, align_tree, atlas_tree, name_voxels


def measured(artery, pose):
    return measure(artery, pose, artery.grid)


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
    voxels = name_voxels(tree, points, np.full(len(points), 0.001))
    assert voxels.nearest[-1] == -1
    inner = voxels.nearest[15:-15]
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
def test_the_interruption_has_the_length_of_the_gap_and_stops_where_the_lumen_does(draw, tilted_pose, span):
    course = segment("M1").course_atlas_mm(left=True)
    length_mm = np.linalg.norm(np.diff(course, axis=0), axis=1).sum()
    measures = measured(draw(tilted_pose, closed={("M1", True): span}, seed=3), tilted_pose)
    gap_mm = (span[1] - span[0]) * length_mm * 1.06  # the head is 6 % larger than the atlas
    assert measures.left.trunk.gap_mm == pytest.approx(gap_mm, abs=3.5)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))]) / length_mm
    stop = [np.interp(span[0], along, course[:, axis]) for axis in range(3)]
    np.testing.assert_allclose(measures.left.trunk.stop_atlas_mm, stop, atol=6)
    assert measures.right.trunk.gap_mm == 0


@pytest.mark.parametrize("seed", range(4))
def test_an_open_artery_is_never_interrupted_however_it_winds(draw, tilted_pose, seed):
    measures = measured(draw(tilted_pose, seed=seed), tilted_pose)
    for side in (measures.left, measures.right):
        assert side.trunk.gap_mm == 0
        assert max(branch.gap_mm for branch in side.branches) < 3
    assert measures.basilar[1].gap_mm == 0


def test_a_closed_branch_interrupts_its_own_path_and_not_that_of_the_trunk(draw, tilted_pose):
    measures = measured(draw(tilted_pose, closed={("M2-superior", False): (0.15, 1.1)}, seed=1), tilted_pose)
    assert measures.right.trunk.gap_mm == 0
    superior, inferior = measures.right.branches
    assert superior.gap_mm > 6
    assert inferior.gap_mm < 3
    assert measures.right.main is superior


def test_a_map_that_ends_below_the_circle_of_willis_is_not_measured(draw, tilted_pose):
    artery = draw(tilted_pose)
    n_low = artery.grid.shape_kji[0] // 5
    grid = replace(artery.grid, shape_kji=(n_low, *artery.grid.shape_kji[1:]))
    for artery_map, scanned in ((Volume(artery.array[:n_low], grid, artery.quantity), artery.grid), (artery, grid)):
        refused = measure(artery_map, tilted_pose, scanned)
        assert isinstance(refused, NotAssessable)
        assert "does not cover" in refused.reasons[0]


def test_reasons_say_less_as_a_share_and_never_more_than_all_of_it():
    path = Interruption(9.0, np.zeros(3), np.zeros(3))
    said = reasons("left M1", path, {"M1": (0.2, 1.0), "M2": (20.5, 1.0), "distal branches": (1.0, 0.0)})
    assert said == (
        "left M1: the lumen is interrupted over 9 mm",
        "M1: 20% of the lumen of the other side",
        "M2: more lumen than the other side",
    )


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


def test_a_logistic_is_half_at_its_boundary_and_never_overflows():
    model = Logistic(("a",), (2.0,), (4.0,), (8.0,), -4.0)
    assert model.probability(np.array([4.0])) == pytest.approx(0.5)
    assert model.probability(np.array([1e9])) == pytest.approx(1.0)
    assert model.probability(np.array([-1e9])) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("suspicion", "call", "side"),
    [
        pytest.param(Suspicion(0.1, 0.1, 0.1), Call.NOT_DETECTED, None, id="nothing"),
        pytest.param(Suspicion(0.2, 0.1, 0.1), Call.INDETERMINATE, Side.LEFT, id="at the lower threshold"),
        pytest.param(Suspicion(0.1, 0.5, 0.1), Call.SUSPECTED, Side.RIGHT, id="at the upper threshold"),
        pytest.param(Suspicion(0.6, 0.9, 0.1), Call.SUSPECTED, Side.BOTH, id="both"),
        pytest.param(Suspicion(0.3, 0.1, 0.9), Call.SUSPECTED, Side.MIDLINE, id="basilar"),
        pytest.param(Suspicion(0.6, 0.7, 0.9), Call.SUSPECTED, Side.MIDLINE, id="basilar is worst of three"),
        pytest.param(Suspicion(0.1, 0.3, None), Call.INDETERMINATE, Side.RIGHT, id="basilar not seen"),
        pytest.param(Suspicion(0.1, 0.1, None), Call.NOT_DETECTED, None, id="nothing, basilar not seen"),
    ],
)
def test_three_way_call(suspicion, call, side):
    assert judge(suspicion, suspected=0.5, indeterminate=0.2) == (call, side)
