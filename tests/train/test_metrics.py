"""Metrics: what overlaps, what is connected, which tree it is; unsure voxels count neither way."""

import numpy as np
import pytest

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS, VEIN_CLASS
from lvo.train.metrics import dice, is_artery, medial_depth, score, share_found
from lvo.train.tubes import ANY_ARTERY

ICA, MCA = VESSEL_CLASSES.index("ICA"), VESSEL_CLASSES.index("MCA")


@pytest.fixture
def truth():
    """A tube of two trees, a vein beside it, a clot at its end, and an unsure rim above it."""
    classes = np.zeros((12, 12, 44), np.uint8)
    classes[3:6, 3:6, 2:20], classes[3:6, 3:6, 20:38] = ICA, MCA
    classes[3:6, 3:6, 38:42] = CLOT_CLASS
    classes[9:11, 8:10, 2:38] = VEIN_CLASS
    classes[6, 3:6, 2:38] = UNSURE_CLASS
    return classes


def test_metrics_know_a_gap_from_a_thin_vessel():
    tube = np.zeros((9, 9, 40), bool)
    tube[3:6, 3:6, 2:38] = True
    thin = np.zeros_like(tube)
    thin[4, 4, 2:38] = True
    gap = tube.copy()
    gap[..., 15:25] = False
    depth = medial_depth(tube)
    assert depth[4, 4, 10] == 2.0
    assert depth[3, 3, 10] == 0.0
    assert share_found(thin, depth > 0.0) > 0.9
    assert share_found(gap, depth > 0.0) < 0.8
    assert dice(thin, tube) < 0.3 < dice(gap, tube)


def test_the_truth_itself_scores_one(truth):
    found = np.where(truth == UNSURE_CLASS, 0, truth).astype(np.uint8)
    perfect = score(found, truth)
    assert list(perfect.values()) == pytest.approx([1.0] * len(perfect))


def test_nothing_found_scores_zero_where_there_was_something(truth):
    scores = score(np.zeros_like(truth), truth)
    for name in ("artery_dice", "artery_cldice", "artery_recall", "trunk_recall", "vein_dice", "clot_dice"):
        assert scores[name] == pytest.approx(0.0, abs=1e-6), name


def test_an_empty_crop_without_mistakes_is_right():
    nothing = np.zeros((8, 8, 8), np.uint8)
    assert list(score(nothing, nothing).values()) == pytest.approx([1.0] * 8)


@pytest.mark.parametrize("said", [0, MCA, VEIN_CLASS, CLOT_CLASS])
def test_unsure_voxels_count_neither_way(truth, said):
    """What is said on the rim changes no overlap, and an artery there lowers no precision."""
    found = np.where(truth == UNSURE_CLASS, said, truth).astype(np.uint8)
    scores = score(found, truth)
    for name in ("artery_dice", "artery_precision", "artery_recall", "vein_dice", "clot_dice"):
        assert scores[name] == 1.0, name


def test_a_gap_lowers_recall_and_not_precision_and_a_false_vessel_the_reverse(truth):
    gap, false = (np.where(truth == UNSURE_CLASS, 0, truth).astype(np.uint8) for _ in range(2))
    gap[3:6, 3:6, 11:20] = 0
    false[1:4, 8:11, 2:38] = MCA
    with_gap, with_false = score(gap, truth), score(false, truth)
    assert with_gap["artery_recall"] == pytest.approx(27 / 36, abs=0.06)
    assert with_gap["trunk_recall"] == pytest.approx(27 / 36, abs=0.06)
    assert with_gap["artery_precision"] == 1.0
    assert with_false["artery_recall"] == 1.0
    assert with_false["artery_precision"] == pytest.approx(0.5, abs=0.06)


def test_a_wrong_tree_is_told_from_a_missed_artery(truth):
    """Half of the artery has the wrong name: the overlap is whole, the tree is right by half."""
    found = np.where(truth == MCA, ICA, np.where(truth == UNSURE_CLASS, 0, truth)).astype(np.uint8)
    scores = score(found, truth)
    assert scores["artery_dice"] == 1.0
    assert scores["tree_right"] == pytest.approx(0.5)


def test_without_anatomy_any_tree_is_right():
    classes = np.zeros((9, 9, 40), np.uint8)
    classes[3:6, 3:6, 2:38] = ANY_ARTERY
    found = np.where(classes > 0, MCA, 0).astype(np.uint8)
    scores = score(found, classes)
    assert (scores["artery_dice"], scores["tree_right"], scores["artery_cldice"]) == pytest.approx((1.0, 1.0, 1.0))


def test_an_artery_called_clot_is_neither(truth):
    found = np.where(np.isin(truth, (ICA, MCA)), CLOT_CLASS, truth).astype(np.uint8)
    scores = score(found, truth)
    assert scores["artery_dice"] == 0.0
    assert scores["clot_dice"] == pytest.approx(2 * 36 / (36 + 36 + 324), abs=1e-6)


def test_arteries_are_the_trees_and_the_unknown_one():
    codes = np.array([0, ICA, MCA, VEIN_CLASS, CLOT_CLASS, ANY_ARTERY, UNSURE_CLASS], np.uint8)
    assert is_artery(codes).tolist() == [False, True, True, False, False, True, False]
