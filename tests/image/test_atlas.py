"""The atlas is symmetric, in LPS, and what nilearn's own functions give."""

import warnings

import numpy as np
import pytest

from lvo.core.volume import Quantity
from lvo.image.atlas import from_nibabel_ras, load_atlas


def test_the_midplane_is_at_x_0_and_both_sides_are_equal():
    atlas = load_atlas()
    for volume in (atlas.brain, atlas.grey, atlas.white, atlas.csf, atlas.expected_ct):
        np.testing.assert_array_equal(volume.array, volume.array[:, :, ::-1])
        assert volume.grid.same_as(atlas.brain.grid)
    assert atlas.brain.grid.center_lps_mm[0] == 0.0


def test_the_back_of_the_brain_is_at_positive_y():
    """The cerebellum is low and behind, so LPS y > 0."""
    atlas = load_atlas()
    positions = atlas.brain.grid.to_lps_mm(np.argwhere(atlas.brain.array))
    low = positions[positions[:, 2] < -45]
    assert low[:, 1].mean() > 40
    assert positions[:, 1].max() == pytest.approx(107, abs=2)  # MNI: occipital pole at y = -107
    assert positions[:, 1].min() == pytest.approx(-73, abs=2)


def test_tissue_adds_up_and_looks_like_ct():
    atlas = load_atlas()
    brain = atlas.brain.array
    total = atlas.grey.array + atlas.white.array + atlas.csf.array
    assert np.count_nonzero(brain) * atlas.brain.grid.voxel_ml == pytest.approx(1886, rel=0.01)
    assert (total[brain] > 0.95).mean() > 0.99
    ct = atlas.expected_ct.array
    assert ct[brain].min() > 0
    assert ct[brain].max() < 45
    k, j, i = np.rint(atlas.brain.grid.to_kji((0.0, 18.0, 86.0))).astype(int)
    assert ct[k, j, i] > 300  # the vault above the vertex


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_nilearn_and_is_read_in_ras_to_lps():
    """Reading the package data directly gives what `load_mni152_wm_template` gives, at the same positions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nilearn.datasets import load_mni152_wm_template

        image = load_mni152_wm_template(resolution=1)
    white = from_nibabel_ras(np.asarray(image.dataobj), image.affine, Quantity.PROBABILITY)
    atlas = load_atlas()
    at = atlas.white.array > 0.97
    positions = atlas.white.grid.to_lps_mm(np.argwhere(at))
    k, j, i = np.rint(white.grid.to_kji(positions)).astype(int).T
    assert white.array[k, j, i].min() > 0.75
    x, y, z = -positions[0, 0], -positions[0, 1], positions[0, 2]  # the same point in RAS, through nibabel's own affine
    ijk = np.rint(np.linalg.inv(image.affine) @ (x, y, z, 1)).astype(int)[:3]
    assert np.asarray(image.dataobj)[tuple(ijk)] == white.array[k[0], j[0], i[0]]


def test_from_nibabel_turns_indices_to_head_back_left():
    array = np.arange(24.0).reshape(2, 3, 4)
    affine = np.array([[2.0, 0, 0, 10], [0, 3.0, 0, 20], [0, 0, 5.0, 30], [0, 0, 0, 1]])  # RAS
    volume = from_nibabel_ras(array, affine, Quantity.HU)
    np.testing.assert_allclose(volume.grid.axes_lps, np.eye(3)[::-1])
    for i, j, k in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
        right, front, up, _ = affine @ (i, j, k, 1)
        index = np.rint(volume.grid.to_kji((-right, -front, up))).astype(int)
        assert volume.array[tuple(index)] == array[i, j, k]
