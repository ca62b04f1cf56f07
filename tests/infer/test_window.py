"""The sliding window gives what the network would give on the whole, and looks nowhere it need not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvo.infer.window import blend_weights, normalize, sliding_window, window_starts

PATCH = (8, 12, 16)


def shares(window):
    """A network without context: 0.75 artery, 0.25 vein of what it sees."""
    return np.stack([1.0 - window, 0.75 * window, 0.25 * window])


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((8, 12, 16), id="one window"),
        pytest.param((5, 7, 3), id="smaller than the window along every axis"),
        pytest.param((5, 30, 16), id="smaller along one axis"),
        pytest.param((9, 13, 17), id="one voxel more"),
        pytest.param((21, 35, 50), id="many windows"),
    ],
)
def test_windows_of_a_pointwise_network_give_the_whole(shape):
    image = np.random.default_rng(0).uniform(0.01, 1.0, shape).astype(np.float32)
    found = sliding_window(image, shares, patch_kji=PATCH, n_channels=3)
    assert found.shape == (2, *shape)
    np.testing.assert_allclose(found[0], 0.75 * image, atol=1e-6)
    np.testing.assert_allclose(found[1], 0.25 * image, atol=1e-6)


def test_blending_trusts_the_middle_of_a_window():
    """Of two windows that disagree, the one that sees a voxel nearer to its centre has more say, and the change is smooth."""
    answers = iter([0.0, 1.0])

    def run(window):
        return np.stack([np.zeros_like(window), np.full_like(window, next(answers))])

    found = sliding_window(np.ones((8, 12, 28), np.float32), run, patch_kji=PATCH, n_channels=2, overlap=0.25)[0, 4, 6]
    assert found[11] == 0.0
    assert found[16] == 1.0
    assert (np.diff(found[11:17]) > 0.0).all()
    assert found[13] + found[14] == pytest.approx(1.0)


def test_air_is_not_looked_at():
    seen = []

    def run(window):
        seen.append(float(window.max()))
        return shares(window)

    image = np.zeros((8, 12, 64), np.float32)
    image[4, 6, 2] = 1.0
    found = sliding_window(image, run, patch_kji=PATCH, n_channels=3)
    assert seen == [1.0]
    assert not found[..., 20:].any()
    assert not sliding_window(np.zeros((3, 3, 3), np.float32), run, patch_kji=PATCH, n_channels=3).any()


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 400), patch=st.integers(8, 96), overlap=st.floats(0.0, 0.9))
def test_windows_cover_everything_and_overlap_enough(size, patch, overlap):
    starts = window_starts(size, patch, overlap)
    assert starts[0] == 0
    if size <= patch:
        assert starts == [0]
        return
    assert starts[-1] == size - patch
    assert max(np.diff(starts)) <= patch * (1.0 - overlap) + 1.0


def test_weights_are_highest_in_the_middle_and_nowhere_zero():
    weights = blend_weights((9, 13, 17))
    assert weights[4, 6, 8] == weights.max() == 1.0
    assert weights.min() > 0.0
    np.testing.assert_array_equal(weights, weights[::-1, ::-1, ::-1])


def test_normalisation_maps_the_window_to_one_and_clips():
    hu = np.array([-3024.0, -100.0, 300.0, 700.0, 3071.0, np.nan])
    np.testing.assert_allclose(normalize(hu, (-100.0, 700.0)), [0.0, 0.0, 0.5, 1.0, 1.0, 0.0])
    assert normalize(hu[:5].astype(np.int16), (-100.0, 700.0)).dtype == np.float32
