"""Tubes: bright arteries of no tree, unsure rims, clots that block them, and what lies beyond, full or empty."""

import numpy as np
import pytest

from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS
from lvo.train import tubes
from lvo.train.tubes import ANY_ARTERY, tube_patch

SPACING_MM = 0.8
LENGTH = 60


def test_arteries_are_bright_and_rims_lie_beside_them():
    """Over many patches: three codes and the background, arteries bright, clots dark, every rim touches a vessel."""
    from scipy import ndimage

    hu, label = zip(*(tube_patch(np.random.default_rng(seed), (40, 48, 32), SPACING_MM) for seed in range(12)), strict=True)
    hu, labels = np.stack(hu), np.stack(label)
    assert set(np.unique(labels)) == {0, ANY_ARTERY, CLOT_CLASS, UNSURE_CLASS}
    assert 0.002 < (labels == ANY_ARTERY).mean() < 0.1
    assert np.median(hu[labels == ANY_ARTERY]) > 150.0
    assert np.median(hu[labels == CLOT_CLASS]) < 120.0
    vessel = np.isin(labels, (ANY_ARTERY, CLOT_CLASS))
    beside = ndimage.binary_dilation(vessel, structure=np.ones((1, 3, 3, 3)))
    rim = labels == UNSURE_CLASS
    assert beside[rim].mean() > 0.9
    assert 0.1 < rim.sum() / vessel.sum() < 1.5


@pytest.fixture
def straight(monkeypatch):
    """Paint one straight tube of 2.4 to 3.2 mm along i in an empty image; returns HU, labels."""

    def paint(seed, *, blocked):
        monkeypatch.setattr(tubes, "_BLOCKED", 1.0 if blocked else 0.0)
        along = np.arange(0.0, LENGTH, 0.5)
        course = np.stack([np.full_like(along, 9.0), np.full_like(along, 9.0), along + 2.0], axis=1)
        monkeypatch.setattr(tubes, "_course", lambda *_: course)
        monkeypatch.setattr(tubes, "RADIUS_MM", (1.2, 1.6))
        hu, label = np.zeros((19, 19, LENGTH + 4), np.float32), np.zeros((19, 19, LENGTH + 4), np.uint8)
        tubes._paint_tube(np.random.default_rng(seed), hu, label, arterial_hu=400.0, spacing_mm=SPACING_MM)
        return hu, label

    return paint


def test_an_open_tube_is_artery_from_end_to_end_with_a_rim_around_it(straight):
    """Inside the wall it is artery, a quarter of a voxel beyond it is unsure, and farther out there is nothing."""
    rims = 0
    for seed in range(8):
        hu, label = straight(seed, blocked=False)
        assert (label[9, 9, 3 : LENGTH + 1] == ANY_ARTERY).all()
        assert (hu[9, 9, 3 : LENGTH + 1] == 400.0).all()
        middle = label[:, :, 8]
        distance_mm = np.hypot(*(np.indices(middle.shape) - 9.0)) * SPACING_MM
        assert (middle[distance_mm < 1.2] == ANY_ARTERY).all()
        assert not middle[distance_mm > 1.6 + 0.25 * SPACING_MM].any()
        rim, inside = distance_mm[middle == UNSURE_CLASS], distance_mm[middle == ANY_ARTERY]
        if len(rim):
            rims += 1
            assert inside.max() < rim.min()
            assert rim.max() < inside.max() + 2 * SPACING_MM
    assert rims > 2


def test_a_clot_blocks_the_lumen_and_empties_what_lies_beyond_in_half_of_the_tubes(straight):
    """Upstream the lumen is full; beyond the clot it is either full or not there at all, in image and labels alike."""
    emptied = 0
    for seed in range(12):
        hu, label = straight(seed, blocked=True)
        clot = np.flatnonzero(label[9, 9] == CLOT_CLASS)
        assert len(clot) >= 4
        assert (np.diff(clot) == 1).all()
        assert (hu[9, 9, clot[1:-1]] < 95.0).all()
        if clot[0] > 6:
            assert (label[9, 9, 3 : clot[0] - 2] == ANY_ARTERY).all()
        beyond = slice(clot[-1] + 4, LENGTH)
        if beyond.stop - beyond.start < 3:
            continue
        empty = not label[..., beyond].any()
        assert empty or (label[9, 9, beyond] == ANY_ARTERY).all()
        assert (hu[..., beyond] == 0.0).all() == empty
        emptied += empty
    assert 2 <= emptied <= 10
