"""Crops and patches follow from their seeds, and labels stay with the image whatever is done to it."""

import numpy as np
import pytest
from msgspec.structs import replace

from lvo.errors import InputError
from lvo.train.data import PatchDataset, TrainingCrops, augment, cut
from lvo.train.metrics import dice, medial_depth, score, share_found
from lvo.train.shards import Crop, ensure_crops, load_crop, shard_path
from lvo.train.tubes import ARTERY, tube_patch


def test_tubes_are_bright_and_labelled():
    """Over many patches, labelled voxels are arterial; a clot in a tube is background."""
    hu, label = zip(*(tube_patch(np.random.default_rng(seed), (40, 48, 32), 0.7) for seed in range(12)), strict=True)
    labels = np.stack(label)
    assert set(np.unique(labels)) == {0, ARTERY}
    assert 0.002 < labels.mean() < 0.1
    assert np.median(np.stack(hu)[labels == ARTERY]) > 150.0


def test_crops_are_the_same_bytes_wherever_they_are_rendered(tiny, tmp_path):
    data, seeds = tiny.data, range(10_000, 10_003)
    here = ensure_crops(tmp_path / "a", seeds, data, "tubes")
    there = ensure_crops(tmp_path / "b", seeds, data, "tubes", workers=2)
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]
    assert len({path.read_bytes() for path in here}) == 3
    assert load_crop(here[0]).hu.shape == load_crop(here[0]).label.shape == data.shape_kji


def test_cached_crops_are_not_rendered_again_and_other_settings_have_their_own(tiny, tmp_path):
    lines: list[str] = []
    for _ in range(2):
        ensure_crops(tmp_path, range(10_000, 10_002), tiny.data, "cubes", progress=lines.append)
    assert len(lines) == 2
    other = replace(tiny.data, spacing_mm=0.8)
    assert shard_path(tmp_path, 10_000, other, "cubes") != shard_path(tmp_path, 10_000, tiny.data, "cubes")
    assert shard_path(tmp_path, 10_000, tiny.data, "tubes") != shard_path(tmp_path, 10_000, tiny.data, "cubes")


def test_a_damaged_crop_is_refused(tiny, tmp_path):
    (path,) = ensure_crops(tmp_path, range(10_000, 10_001), tiny.data, "cubes")
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="not a readable crop"):
        load_crop(path)


def test_patch_n_is_the_same_however_many_are_asked_for(tiny, tiny_crops):
    short, long = (PatchDataset(tiny_crops[0], tiny, n) for n in (5, 50))
    for index in (0, 4):
        for one, other in zip(short[index], long[index], strict=True):
            assert one.equal(other)
    assert not long[4][0].equal(long[5][0])
    image, label = long[7]
    assert image.shape == label.shape == (1, 16, 16, 16)
    assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0


def test_the_share_without_anatomy_is_kept(tiny):
    """Box crops all air and cubes all bone: the share of patches that are bone is that of the configuration."""
    air = Crop(np.full((30, 30, 30), -1000, np.int16), np.zeros((30, 30, 30), np.uint8))
    bone = Crop(np.full((30, 30, 30), 2000, np.int16), np.zeros((30, 30, 30), np.uint8))
    data = PatchDataset(TrainingCrops([air], [bone]), tiny, 300)
    share = np.mean([float(data[n][0].max()) > 0.9 for n in range(300)])
    assert share == pytest.approx(tiny.data.tube_share, abs=0.09)


def test_a_turned_cut_keeps_labels_on_their_voxels():
    """A point 5 k-steps and 3 i-steps from the centre is found where the lattice says, in image and labels alike."""
    hu, label = np.zeros((31, 33, 35), np.int16), np.zeros((31, 33, 35), np.uint8)
    hu[15 + 5, 16, 17 - 3], label[15 + 5, 16, 17 - 3] = 900, ARTERY
    quarter_turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # the cube's k runs along -i, its i along k
    image, labels = cut(Crop(hu, label), np.array([15.0, 16.0, 17.0]), size=17, linear=quarter_turn)
    assert np.argwhere(labels == ARTERY).tolist() == [[8 + 3, 8, 8 + 5]]
    assert image[11, 8, 13] == pytest.approx(900.0)


def test_outside_a_crop_is_air_without_vessels():
    crop = Crop(np.full((8, 8, 8), 500, np.int16), np.ones((8, 8, 8), np.uint8))
    image, labels = cut(crop, np.array([0.0, 4.0, 4.0]), size=16, linear=np.eye(3))
    assert image[0].max() == -1000.0
    assert not labels[0].any()


def test_augmentation_moves_nothing():
    """A bright line stays where it is."""
    hu = np.full((24, 24, 24), 40.0, np.float32)
    hu[:, 12, 7] = 900.0
    for seed in range(20):
        changed = augment(np.random.default_rng(seed), hu)
        assert np.unravel_index(changed.mean(axis=0).argmax(), (24, 24)) == (12, 7)


def test_metrics_know_a_gap_from_a_thin_vessel():
    truth = np.zeros((9, 9, 40), bool)
    truth[3:6, 3:6, 2:38] = True
    thin = np.zeros_like(truth)
    thin[4, 4, 2:38] = True
    gap = truth.copy()
    gap[..., 15:25] = False
    depth = medial_depth(truth)
    assert depth[4, 4, 10] == 2.0
    assert depth[3, 3, 10] == 0.0
    assert share_found(thin, depth > 0.0) > 0.9
    assert share_found(gap, depth > 0.0) < 0.8
    assert dice(thin, truth) < 0.3 < dice(gap, truth)
    perfect = score(truth.astype(np.uint8), truth.astype(np.uint8))
    assert list(perfect.values()) == pytest.approx([1.0] * len(perfect))
    assert score(gap.astype(np.uint8), truth.astype(np.uint8))["artery_trunk_recall"] == pytest.approx(26 / 36, abs=0.06)
    assert score(np.zeros(truth.shape, np.uint8), truth.astype(np.uint8))["artery_cldice"] == 0.0
