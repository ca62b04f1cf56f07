"""Capped distances are exact up to their limit."""

import numpy as np
import pytest
from scipy import ndimage

from lvo.image.balls import capped_distance, dilated, eroded


@pytest.mark.parametrize("radius", [1.0, 2.5, 3.7, 8.0])
def test_agrees_with_the_full_transform_up_to_the_limit(radius):
    mask = np.random.default_rng(0).random((30, 41, 25)) < 0.97
    full = ndimage.distance_transform_edt(mask)
    capped = capped_distance(mask, radius)
    np.testing.assert_allclose(capped[full <= radius], full[full <= radius], rtol=1e-6)
    assert (capped[full > radius] > radius).all()
    np.testing.assert_array_equal(eroded(mask, radius), full > radius)


def test_dilation_grows_a_ball_and_the_array_edge_is_not_outside():
    mask = np.zeros((9, 11, 13), bool)
    mask[4, 5, 0] = True
    ball = dilated(mask, 2.0)
    k, j, i = np.indices(mask.shape)
    np.testing.assert_array_equal(ball, (k - 4) ** 2 + (j - 5) ** 2 + i**2 <= 4)
    assert eroded(np.ones((5, 5, 5), bool), 3.0).all()
