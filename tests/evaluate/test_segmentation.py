"""Overlap and centre lines of small drawings."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.evaluate.segmentation import center_line_dice, dice, segmentation_scores
from lvo.synth.render import UNSURE_CLASS

SHAPE = (15, 15, 60)
NOTHING = np.zeros(SHAPE, bool)


def rod(first=5, last=55, radius=2):
    """A straight vessel along i."""
    k, j, i = np.indices(SHAPE)
    return (np.hypot(k - 7, j - 7) <= radius) & (i >= first) & (i < last)


def test_dice_by_hand():
    assert dice(rod(5, 55), rod(5, 30)) == pytest.approx(2 * 25 / (50 + 25))
    assert dice(NOTHING, NOTHING) == 1.0
    assert dice(rod(), NOTHING) == 0.0


def test_a_gap_costs_more_along_the_centre_line_than_a_thin_wall_does():
    truth = rod(radius=3)
    thin, gapped = rod(radius=2), truth & ~rod(20, 36, radius=3)
    assert dice(thin, truth) < dice(gapped, truth)
    assert center_line_dice(thin, truth, unsure=NOTHING) > 0.95
    assert center_line_dice(gapped, truth, unsure=NOTHING) < 0.87


def test_centre_lines_of_nothing():
    assert center_line_dice(NOTHING, NOTHING, unsure=NOTHING) == 1.0
    assert center_line_dice(NOTHING, rod(), unsure=NOTHING) == 0.0
    assert center_line_dice(rod(), NOTHING, unsure=NOTHING) == 0.0
    assert center_line_dice(rod(), NOTHING, unsure=rod()) == 1.0


def scores(classes, **found):
    """Scores of masks per class name."""
    grid = Grid.from_axes(SHAPE, (0.8,) * 3, origin_lps_mm=(0, 0, 0))
    vessels = {name: Volume(mask.astype(np.float32), grid, Quantity.PROBABILITY) for name, mask in found.items()}
    return segmentation_scores(vessels, Volume(classes.astype(np.uint8), grid, Quantity.LABEL))


def test_unsure_voxels_count_neither_way():
    classes = rod(5, 30) * 2
    classes[rod(30, 55)] = UNSURE_CLASS
    assert scores(classes, artery=rod(5, 30))["artery_dice"] == 1.0
    longer = scores(classes, artery=rod(5, 55))
    assert (longer["artery_dice"], longer["artery_cldice"]) == (1.0, pytest.approx(1.0, abs=0.03))
    classes[rod(30, 55)] = 0
    assert scores(classes, artery=rod(5, 55))["artery_dice"] == pytest.approx(2 / 3, abs=1e-3)


def test_veins_and_clots_are_no_arteries_and_every_class_is_scored_by_itself():
    classes = rod(5, 20) * 1 + rod(20, 40) * 6 + rod(40, 55) * 7
    found = scores(classes, artery=rod(5, 40), ICA=rod(5, 20), MCA=NOTHING, vein=NOTHING, clot=rod(40, 55))
    assert found["artery_dice"] == pytest.approx(2 * 15 / (35 + 15), abs=1e-3)
    assert {name: value for name, value in found.items() if name.startswith("dice")} == {
        "dice_ICA": 1.0, "dice_vein": 0.0, "dice_clot": 1.0,
    }  # fmt: skip
