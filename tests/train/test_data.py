"""Crops and patches follow from their seeds, and classes and places stay with the image whatever is done to it."""

import numpy as np
import pytest
from msgspec.structs import replace

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.errors import InputError
from lvo.infer.window import place_channels
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS
from lvo.train import data as room
from lvo.train.config import DataSettings
from lvo.train.data import PatchDataset, TrainingCrops, augment, cut
from lvo.train.shards import Crop, ensure_crops, load_crop, render_crop, save_crop, shard_path
from lvo.train.tubes import ANY_ARTERY

MCA = VESSEL_CLASSES.index("MCA")


def a_crop(hu, classes=None, corner_atlas_mm=(-7.0, 11.0, -23.0), step_atlas_mm=(0.8, 0.7, 0.9)) -> Crop:
    """A crop somewhere left and right of the mid-plane: corner and steps differ along every axis."""
    none = np.zeros(hu.shape, np.uint8)
    return Crop(hu, none if classes is None else classes, np.array(corner_atlas_mm), np.array(step_atlas_mm))


@pytest.fixture
def lopsided() -> Crop:
    """An asymmetric crop of three lengths whose every voxel has its own number."""
    shape = (25, 28, 31)
    hu = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.int16)
    classes = np.random.default_rng(1).integers(0, 9, shape).astype(np.uint8)
    return a_crop(hu, classes)


def test_crops_are_the_same_bytes_wherever_they_are_rendered(tiny, tmp_path):
    data, seeds = tiny.data, range(10_000, 10_002)
    here = ensure_crops(tmp_path / "a", seeds, data, "tubes")
    there = ensure_crops(tmp_path / "b", seeds, data, "tubes", workers=2)
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]
    assert len({path.read_bytes() for path in here}) == 2
    assert load_crop(here[0]).hu.shape == load_crop(here[0]).classes.shape == data.shape_kji


def test_cached_crops_are_not_rendered_again_and_other_settings_have_their_own(tiny, tmp_path):
    lines: list[str] = []
    for _ in range(2):
        ensure_crops(tmp_path, range(10_000, 10_002), tiny.data, "cubes", progress=lines.append)
    assert len(lines) == 2
    other = replace(tiny.data, spacing_mm=0.9)
    assert shard_path(tmp_path, 10_000, other, "cubes") != shard_path(tmp_path, 10_000, tiny.data, "cubes")
    assert shard_path(tmp_path, 10_000, tiny.data, "tubes") != shard_path(tmp_path, 10_000, tiny.data, "cubes")


def test_a_damaged_crop_is_refused(tiny, tmp_path):
    (path,) = ensure_crops(tmp_path, range(10_000, 10_001), tiny.data, "cubes")
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="not a readable crop"):
        load_crop(path)


def test_a_cube_of_tubes_lies_in_the_box(tiny):
    low, high = np.array(tiny.data.low_atlas_mm), np.array(tiny.data.high_atlas_mm)
    settings = replace(tiny.data, tube_edge=16)
    corners = np.array([render_crop(seed, settings, "cubes").corner_atlas_mm for seed in range(20_000, 20_008)])
    assert (corners >= low).all()
    assert (corners + 15 * settings.spacing_mm <= high).all()
    assert (np.ptp(corners, axis=0) > 2.0).all()


def test_a_crop_of_a_case_keeps_its_classes_and_knows_where_it_is(tmp_path):
    """Classes survive the disk; the tree of a voxel is where the atlas has it: M1 beside the mid-plane, never in it."""
    settings = DataSettings(low_atlas_mm=(-25.0, -20.0, -25.0), high_atlas_mm=(25.0, 20.0, -5.0))
    crop = render_crop(10_001, settings, "cases")
    save_crop(tmp_path / "crop.npz", crop)
    loaded = load_crop(tmp_path / "crop.npz")
    for name in ("hu", "classes", "corner_atlas_mm", "step_atlas_mm"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(crop, name))
    assert crop.classes.dtype == np.uint8
    assert set(np.unique(crop.classes)) <= {*range(len(VESSEL_CLASSES)), UNSURE_CLASS}
    np.testing.assert_allclose(crop.corner_atlas_mm, settings.low_atlas_mm, atol=1e-6)
    mca = crop.corner_atlas_mm + np.argwhere(crop.classes == MCA)[:, ::-1] * crop.step_atlas_mm
    assert len(mca) > 20
    assert np.abs(mca[:, 0]).min() > 5.0


def test_patch_n_is_the_same_however_many_are_asked_for(tiny, tiny_crops):
    short, long = (PatchDataset(tiny_crops[0], tiny, n) for n in (5, 50))
    for index in (0, 4):
        for one, other in zip(short[index], long[index], strict=True):
            assert one.equal(other)
    assert not long[4][0].equal(long[5][0])
    image, classes = long[7]
    assert image.shape == (4, 16, 16, 16)
    assert classes.shape == (16, 16, 16)
    assert 0.0 <= float(image[0].min()) <= float(image[0].max()) <= 1.0
    assert float(image[1].min()) >= 0.0


def test_the_share_without_anatomy_is_kept(tiny):
    """Box crops all air and cubes all bone: the share of patches that are bone is that of the configuration."""
    air, bone = (a_crop(np.full((30, 30, 30), value, np.int16)) for value in (-1000, 2000))
    data = PatchDataset(TrainingCrops([air], [bone]), tiny, 300)
    share = np.mean([float(data[n][0][0].max()) > 0.9 for n in range(300)])
    assert share == pytest.approx(tiny.data.tube_share, abs=0.09)


def test_patches_are_centred_on_what_is_rare(tiny):
    """A clot of one voxel in 27000 is in a fifth of the patches and more."""
    classes = np.zeros((30, 30, 30), np.uint8)
    classes[15, 15, 15] = CLOT_CLASS
    data = PatchDataset(TrainingCrops([a_crop(np.full((30, 30, 30), 40, np.int16), classes)]), replace(tiny, seed=1), 200)
    assert np.mean([bool((data[n][1] == CLOT_CLASS).any()) for n in range(200)]) > 0.2


def test_a_turned_cut_keeps_classes_on_their_voxels():
    """A point 5 k-steps and 3 i-steps from the centre is found where the lattice says, in image and classes alike."""
    hu, classes = np.zeros((31, 33, 35), np.int16), np.zeros((31, 33, 35), np.uint8)
    hu[15 + 5, 16, 17 - 3], classes[15 + 5, 16, 17 - 3] = 900, ANY_ARTERY
    crop = a_crop(hu, classes)
    quarter_turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # the cube's k runs along -i, its i along k
    image, found, where = cut(crop, np.array([15.0, 16.0, 17.0]), size=17, linear=quarter_turn)
    assert np.argwhere(found == ANY_ARTERY).tolist() == [[8 + 3, 8, 8 + 5]]
    assert image[11, 8, 13] == pytest.approx(900.0)
    np.testing.assert_allclose(where[11, 8, 13], crop.corner_atlas_mm + np.array([14, 16, 20]) * crop.step_atlas_mm)


@pytest.mark.parametrize(
    "linear",
    [
        pytest.param(np.eye(3), id="copied"),
        pytest.param(np.diag([1.0, 1.0, -1.0]), id="mirrored"),
        pytest.param(np.array([[0.9, -0.2, 0.1], [0.25, 1.05, 0.0], [-0.05, 0.1, -0.95]]), id="turned, scaled and mirrored"),
    ],
)
@pytest.mark.parametrize("size", [8, 9])
def test_places_follow_the_voxels_through_every_lattice(lopsided, linear, size):
    """An image that holds its own atlas x, y or z: what is cut is that of the places that come with it."""
    for axis, name in enumerate("xyz"):
        index = np.indices(lopsided.hu.shape)[2 - axis]
        mm = lopsided.corner_atlas_mm[axis] + index * lopsided.step_atlas_mm[axis]
        crop = a_crop(mm.astype(np.float32))
        image, _, where = cut(crop, np.array([12.3, 13.8, 15.1]), size=size, linear=linear)
        np.testing.assert_allclose(where[..., axis], image, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("flip", [1.0, -1.0], ids=["as it is", "mirrored"])
def test_copying_gives_what_interpolating_would(lopsided, size, flip):
    """The fast way for lattices that fall on voxels against the general one, a hair away from it."""
    lattice = np.diag([1.0, 1.0, flip])
    middle = np.array([11.0, 14.0, 16.0]) + (0.5 if size % 2 == 0 else 0.0)
    nearly = lattice + 1e-9 * np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    fast, slow = (cut(lopsided, middle, size=size, linear=linear) for linear in (lattice, nearly))
    np.testing.assert_allclose(fast[0], slow[0], atol=0.01)
    np.testing.assert_array_equal(fast[1], slow[1])
    np.testing.assert_allclose(fast[2], slow[2], atol=1e-6)
    away = cut(lopsided, middle + (0, 0, 1), size=size, linear=lattice)
    assert (away[0] != fast[0]).any()


def test_a_mirrored_cut_keeps_its_distance_from_the_mid_plane(lopsided):
    """Left and right are swapped in the image; |x|, y and z of every voxel stay those of the voxel it came from."""
    middle = np.array([12.0, 13.0, 15.0])
    plain, mirrored = (cut(lopsided, middle, size=9, linear=np.diag([1.0, 1.0, flip])) for flip in (1.0, -1.0))
    np.testing.assert_array_equal(mirrored[0], plain[0][..., ::-1])
    np.testing.assert_array_equal(mirrored[1], plain[1][..., ::-1])
    np.testing.assert_array_equal(place_channels(mirrored[2]), place_channels(plain[2])[..., ::-1])
    at = place_channels(mirrored[2])[:, 4, 4, 0] * 80.0  # the voxel with the largest i of the plain cut
    x, y, z = lopsided.corner_atlas_mm + np.array([19, 13, 12]) * lopsided.step_atlas_mm
    np.testing.assert_allclose(at, (abs(x), y, z), atol=1e-4)


def test_patches_know_their_place(tiny, monkeypatch):
    """Without the individual error the places of a patch are those of the voxels it was cut from, turned or mirrored."""
    monkeypatch.setattr(room, "_PLACE_ERROR_MM", 0.0)
    monkeypatch.setattr(room, "augment", lambda _, hu: hu)
    shape = (40, 44, 48)
    z_mm = 2.0 + 0.4 * np.indices(shape)[0]
    crop = a_crop(z_mm.astype(np.float32), corner_atlas_mm=(-9.0, -8.0, 2.0), step_atlas_mm=(0.4, 0.4, 0.4))
    monkeypatch.setattr(room, "normalize", lambda hu, _: np.maximum(hu, 0.0))
    data = PatchDataset(TrainingCrops([crop]), tiny, 60)
    whole = [image for n in range(60) if (image := data[n][0].numpy())[0].min() > 0.0]  # air outside the crop is 0
    assert len(whole) > 5
    for image in whole:
        power = np.log(image[0]) / np.log(80.0 * image[3])
        assert 0.9 <= power.mean() <= 1.1
        assert np.ptp(power) < 1e-3  # an error of 0.01 mm


def test_outside_a_crop_is_air_without_vessels():
    crop = a_crop(np.full((8, 8, 8), 500, np.int16), np.ones((8, 8, 8), np.uint8))
    for linear in (np.eye(3), np.eye(3) + 1e-6):
        image, classes, _ = cut(crop, np.array([0.0, 4.0, 4.0]), size=16, linear=linear)
        assert image[0].max() == -1024.0
        assert not classes[0].any()
        assert image[12, 8, 8] == pytest.approx(500.0, abs=0.1)


def test_augmentation_moves_nothing():
    """A bright line stays where it is."""
    hu = np.full((24, 24, 24), 40.0, np.float32)
    hu[:, 12, 7] = 900.0
    for seed in range(20):
        changed = augment(np.random.default_rng(seed), hu)
        assert np.unravel_index(changed.mean(axis=0).argmax(), (24, 24)) == (12, 7)
