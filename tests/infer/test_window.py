"""The sliding window gives what the network would give on the whole, and looks nowhere it need not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvo.infer.window import blend_weights, normalize, place_channels, sliding_window, window_sizes, window_starts

LARGEST, MULTIPLE = (24, 32, 40), 8
SIZE = st.integers(1, 400)


def shares(window):
    """A network without context: 0.75 of one class, 0.25 of another, of what it sees in the first channel."""
    return np.stack([1.0 - window[0], 0.75 * window[0], 0.25 * window[0]])


def slide(image, run):
    return sliding_window(image, run, largest_kji=LARGEST, multiple=MULTIPLE, n_classes=3)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((24, 32, 40), id="one window"),
        pytest.param((5, 7, 3), id="smaller than a step along every axis"),
        pytest.param((5, 50, 16), id="smaller along one axis"),
        pytest.param((25, 33, 41), id="one voxel more"),
        pytest.param((41, 35, 90), id="many windows"),
    ],
)
def test_windows_of_a_pointwise_network_give_the_whole(shape):
    image = np.random.default_rng(0).uniform(0.01, 1.0, (2, *shape)).astype(np.float32)
    seen = []

    def run(window):
        seen.append(window.shape)
        return shares(window)

    found = slide(image, run)
    assert found.shape == (3, *shape)
    np.testing.assert_allclose(found, shares(image), atol=1e-6)
    assert len(set(seen)) == 1
    assert all(n % MULTIPLE == 0 and n <= largest for n, largest in zip(seen[0][1:], LARGEST, strict=True))


def test_blending_trusts_the_middle_of_a_window():
    """Of two windows that disagree, the one that sees a voxel nearer to its centre has more say, and the change is smooth."""
    answers = iter([0.0, 1.0])

    def run(window):
        said = next(answers)
        return np.stack([np.full_like(window[0], 1.0 - said), np.full_like(window[0], said), np.zeros_like(window[0])])

    found = slide(np.ones((1, 24, 32, 64), np.float32), run)[1, 12, 16]  # windows 0..39 and 24..63
    assert found[23] == 0.0
    assert found[40] == 1.0
    assert (np.diff(found[23:41]) > 0.0).all()
    assert found[31] + found[32] == pytest.approx(1.0)


def test_air_is_not_looked_at_and_is_background():
    """Where a window has no attenuation above air; places are not asked."""
    seen = []

    def run(window):
        seen.append(float(window[0].max()))
        return shares(window)

    image = np.zeros((2, 24, 32, 100), np.float32)
    image[1] = 0.7
    image[0, 4, 6, 2] = 1.0
    found = slide(image, run)
    assert seen == [1.0]
    assert not found[1:, ..., 45:].any()
    assert (found[0, ..., 45:] == 1.0).all()
    assert not slide(np.zeros((2, 3, 3, 3), np.float32), run)[1:].any()


@settings(max_examples=300, deadline=None)
@given(shape=st.tuples(SIZE, SIZE, SIZE), steps=st.tuples(*[st.integers(3, 20)] * 3), multiple=st.sampled_from([8, 16]))
def test_window_sizes_are_few_small_and_divisible(shape, steps, multiple):
    """Multiples, no larger than allowed; an image that fits has one window around it; no step smaller would do."""
    largest = tuple(multiple * step for step in steps)
    for n, size, most in zip(shape, window_sizes(shape, largest, multiple), largest, strict=True):
        assert size % multiple == 0
        assert size <= most
        count = len(window_starts(n, size))
        assert count == len(window_starts(n, most))  # as few as the largest would take
        if n <= most:
            assert size - multiple < n <= size
        else:
            assert size > 16
            assert size - multiple <= 16 or count < len(window_starts(n, size - multiple))


@settings(max_examples=300, deadline=None)
@given(n=SIZE, steps=st.integers(3, 20), multiple=st.sampled_from([8, 16]))
def test_windows_cover_everything_and_overlap_enough(n, steps, multiple):
    largest = (multiple * steps,) * 3
    size, _, _ = window_sizes((n, n, n), largest, multiple)
    starts = window_starts(n, size)
    assert starts[0] == 0
    if n <= size:
        assert starts == [0]
        return
    assert starts[-1] == n - size
    steps_between = np.diff(starts)
    assert steps_between.min() > 0
    assert steps_between.max() <= size - 16


def test_weights_are_highest_in_the_middle_and_nowhere_zero():
    weights = blend_weights((9, 13, 17))
    assert weights[4, 6, 8] == weights.max() == 1.0
    assert weights.min() > 0.0
    np.testing.assert_array_equal(weights, weights[::-1, ::-1, ::-1])


def test_normalisation_maps_the_window_to_one_and_clips():
    hu = np.array([-3024.0, -100.0, 300.0, 700.0, 3071.0, np.nan])
    np.testing.assert_allclose(normalize(hu, (-100.0, 700.0)), [0.0, 0.0, 0.5, 1.0, 1.0, 0.0])
    assert normalize(hu[:5].astype(np.int16), (-100.0, 700.0)).dtype == np.float32


def test_places_have_no_side_and_keep_front_and_height():
    """One unit is 80 mm; left and right look alike, nothing else does. The points are left as they are."""
    points = np.array([[[40.0, -20.0, 8.0]], [[-40.0, -20.0, 8.0]], [[40.0, 20.0, -8.0]]])
    before = points.copy()
    found = place_channels(points)
    assert found.shape == (3, 3, 1)
    np.testing.assert_allclose(found[:, :, 0].T, [[0.5, -0.25, 0.1], [0.5, -0.25, 0.1], [0.5, 0.25, -0.1]])
    np.testing.assert_array_equal(points, before)
