"""Real scans become training crops: at the right place, with labels that claim no more than they know."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.image.resample import resample
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS
from lvo.train.datasets.align import align, moved
from lvo.train.manifest_data import honest

MCA = 2


def head(grid: Grid, seed: int = 0) -> Volume:
    """Skull, brain, ventricles off the middle, and arteries: nothing symmetric."""
    points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    radius = np.linalg.norm(points / (66, 82, 70), axis=-1)
    hu = np.select([radius < 0.9, radius < 1.0, radius < 1.07], [36.0, 1000.0, 50.0], -1000.0)
    balls = (((12, 20, 10), 11, 5), ((-14, -4, -15), 4, 330), ((-30, -4, -14), 4, 310), ((20, 8, -20), 5, 350))
    for place, size, value in balls:
        hu[np.linalg.norm(points - np.array(place), axis=-1) < size] = value
    return Volume((hu + np.random.default_rng(seed).normal(0, 8, hu.shape)).astype(np.float32), grid, Quantity.HU)


def grids():
    thin = Grid.from_axes((130, 130, 118), (1.2, 1.4, 1.3), origin_lps_mm=(-76, -90, -77))
    thick = Grid.from_axes((56, 130, 118), (2.8, 1.4, 1.3), origin_lps_mm=(-74, -92, -76))
    return thin, thick


def test_the_move_between_a_scan_and_its_resampled_copy_is_found():
    """Known move, thick slices; every corner of the brain comes back to a third of a slice of the copy."""
    thin, thick = grids()
    native = head(thin)
    move = np.eye(4)  # copy to native
    move[:3, :3] = Rotation.from_euler("xyz", (7, -4, 5), degrees=True).as_matrix()
    move[:3, 3] = (4.0, -9.0, 12.0)
    copy = resample(native, Grid(thick.shape_kji, move @ thick.lps_from_kji), fill=AIR_HU)
    copy = Volume(copy.array, thick, Quantity.HU)
    found = align(native, copy)
    assert isinstance(found, Assessed)
    corners = np.array(np.meshgrid((-50, 50), (-60, 60), (-40, 40))).reshape(3, -1).T
    away = (corners @ (found.value - move)[:3, :3].T) + (found.value - move)[:3, 3]
    assert np.linalg.norm(away, axis=1).max() < 0.9
    label = Volume(np.ones(thick.shape_kji, np.uint8), thick, Quantity.LABEL)
    np.testing.assert_allclose(moved(label, move).grid.to_lps_mm((0, 0, 0)), (move @ np.array([-74, -92, -76, 1]))[:3])


def test_another_head_is_no_copy():
    thin, thick = grids()
    other = np.random.default_rng(1).normal(40, 200, thick.shape_kji).astype(np.float32)
    found = align(head(thin), Volume(other, thick, Quantity.HU))
    assert isinstance(found, NotAssessable)
    assert "does not lie on its resampled copy" in found.reasons[0]


@pytest.mark.parametrize("partial", [True, False])
def test_labels_claim_no_more_than_they_know(partial):
    """A labelled artery, its rim, brain, a bright vessel nobody labelled, bone, brain, a labelled dark artery, a clot."""
    codes = np.array([[[MCA, 0, 0, 0, 0, 0, MCA, 0, CLOT_CLASS]]], np.uint8)
    hu = np.array([[[300, 180, 40, 320, 1200, 35, 40, 20, 60]]], np.int16)
    unlabelled = UNSURE_CLASS if partial else 0
    expected = [MCA, UNSURE_CLASS, 0, unlabelled, 0, 0, UNSURE_CLASS, 0, CLOT_CLASS]
    assert honest(codes, hu, partial=partial).ravel().tolist() == expected
