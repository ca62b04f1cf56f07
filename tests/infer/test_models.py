"""A model is used only when it is the file its manifest describes, and only on what it was made for."""

import subprocess
import sys

import numpy as np
import pytest

from lvo.core.anatomy import ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer import list_models, load_model, predict
from lvo.infer.window import normalize, place_channels

TURN = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]]) @ np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]]
)
POSE = HeadPose(np.block([[TURN, np.array([[14.0], [-22.0], [71.0]])], [np.zeros((1, 3)), np.ones((1, 1))]]), 0.9)
"""A head that is turned and nodded, off centre."""


def a_volume(rng: np.random.Generator, *, spacing_mm: float = 0.5, quantity: Quantity = Quantity.HU) -> Volume:
    """A crop along the atlas, across the mid-plane but not centred on it."""
    grid = POSE.crop((-7.0, 3.0, -9.0), (19.0, 18.0, 2.0), spacing_mm=spacing_mm)
    return Volume(rng.uniform(-300.0, 900.0, grid.shape_kji).astype(np.float32), grid, quantity)


def test_a_complete_model_predicts_on_the_grid_of_its_input(model_folder, weights):
    """Every class is what the weights make of attenuation and place, voxel by voxel, over several windows."""
    model = load_model("lopsided", root=model_folder.parent, threads=1)
    volume = a_volume(np.random.default_rng(0))
    found = predict(model, volume, POSE, mirrored=False)
    assert list(found) == [*VESSEL_CLASSES[1:], "artery"]
    points = np.stack(np.meshgrid(*[np.arange(n) for n in volume.grid.shape_kji], indexing="ij"), axis=-1)
    place = place_channels(POSE.to_atlas_mm(volume.grid.to_lps_mm(points)))
    np.testing.assert_allclose(place[:, 0, 0, 0], np.array([7.0, 3.0, -9.0]) / 80.0, atol=1e-5)
    image = np.concatenate([normalize(volume.array, (-100.0, 700.0))[np.newaxis], place])
    expected = np.zeros((len(VESSEL_CLASSES), *volume.array.shape))
    for neighbour in range(3):
        shifted = np.roll(image, 1 - neighbour, axis=-1)
        expected += np.einsum("oc,ckji->okji", weights[:, :, 0, 0, neighbour], shifted)
    inner = (slice(None), slice(None), slice(1, -1))  # windows see nothing beyond the image
    for number, name in enumerate(VESSEL_CLASSES):
        if name in {"ICA", "ACA", "vein"}:  # read the voxel itself alone: exact in every window
            np.testing.assert_allclose(found[name].array, np.clip(expected[number], 0, 1), atol=1e-5, err_msg=name)
        elif number:
            assert np.median(np.abs(found[name].array - np.clip(expected[number], 0, 1))[inner]) < 1e-5, name
    trees = sum(found[name].array.astype(float) for name in ARTERY_TREES)
    np.testing.assert_allclose(found["artery"].array, trees, atol=1e-6)
    assert found["artery"].grid.same_as(volume.grid)
    assert found["clot"].quantity is Quantity.PROBABILITY


def mirror(volume: Volume) -> Volume:
    """The patient's mirror image about the mid-plane of the atlas: voxels in reverse along i, at negated x."""
    grid = volume.grid
    flipped = grid.lps_from_kji.copy()
    flipped[:3, 3] = grid.to_lps_mm((0, 0, grid.shape_kji[2] - 1))
    flipped[:3, 2] *= -1.0
    reflect = POSE.lps_from_atlas @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ POSE.atlas_from_lps
    return Volume(np.ascontiguousarray(volume.array[..., ::-1]), Grid(grid.shape_kji, reflect @ flipped), volume.quantity)


def test_a_mirrored_scan_gets_the_mirrored_map(model_folder):
    """Although the network is lopsided, and whatever windows there are; without the second look it is not so."""
    model = load_model("lopsided", root=model_folder.parent, threads=1)
    volume = a_volume(np.random.default_rng(3))
    assert volume.grid.shape_kji[2] > model.manifest.input.window_kji[2]
    twin = mirror(volume)
    np.testing.assert_allclose(POSE.to_atlas_mm(twin.grid.to_lps_mm((0, 0, 0))), (-19.0, 3.0, -9.0), atol=1e-6)
    here, there = (predict(model, scan, POSE) for scan in (volume, twin))
    for name in (*VESSEL_CLASSES[1:], "artery"):
        np.testing.assert_allclose(there[name].array, here[name].array[..., ::-1], atol=1e-6, err_msg=name)
    once, twice = (predict(model, scan, POSE, mirrored=False)["MCA"].array for scan in (volume, twin))
    assert np.abs(twice - once[..., ::-1]).max() > 0.05


def test_the_mirrored_map_has_the_same_bits_where_positions_do(model_folder):
    """On a head that lies straight in the scanner nothing is rounded."""
    model, straight = load_model("lopsided", root=model_folder.parent, threads=1), HeadPose(np.eye(4), 1.0)
    array = np.random.default_rng(4).uniform(-300.0, 900.0, (19, 31, 53)).astype(np.float32)
    scans = [
        Volume(values, Grid.from_axes(array.shape, (0.5, 0.5, 0.5), origin_lps_mm=(x_mm, 3.0, -9.0)), Quantity.HU)
        for values, x_mm in ((array, -7.0), (np.ascontiguousarray(array[..., ::-1]), -19.0))
    ]
    here, there = (predict(model, scan, straight) for scan in scans)
    for name in (*VESSEL_CLASSES[1:], "artery"):
        np.testing.assert_array_equal(there[name].array, here[name].array[..., ::-1], err_msg=name)


def test_prediction_repeats_bit_for_bit(model_folder):
    volume = a_volume(np.random.default_rng(1))
    first, second = (predict(load_model("lopsided", root=model_folder.parent), volume, POSE)["artery"].array for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"spacing_mm": 0.55}, r"0\.5 mm.*0\.550", id="another spacing"),
        pytest.param({"quantity": Quantity.PROBABILITY}, "HU", id="another quantity"),
    ],
)
def test_a_volume_it_was_not_made_for_is_refused(model_folder, change, words):
    model = load_model("lopsided", root=model_folder.parent)
    with pytest.raises(ModelError, match=words):
        predict(model, a_volume(np.random.default_rng(0), **change), POSE)


def test_channels_that_this_version_does_not_have_are_refused(model_folder, edit_manifest):
    edit_manifest('"atlas_abs_x"', '"atlas_x"')
    model = load_model("lopsided", root=model_folder.parent)
    with pytest.raises(ModelError, match=r"hu, atlas_x, .* has hu, atlas_abs_x, .*export it again"):
        predict(model, a_volume(np.random.default_rng(0)), POSE)


def test_a_network_for_windows_of_one_size_is_refused(fixed_size_folder):
    with pytest.raises(ModelError, match="any size of window"):
        load_model("lopsided", root=fixed_size_folder.parent)


def test_an_altered_model_file_is_refused(model_folder):
    path = model_folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"has sha256 .* its manifest needs"):
        load_model("lopsided", root=model_folder.parent)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.toml"])
def test_a_missing_file_is_refused(model_folder, name):
    (model_folder / name).unlink()
    with pytest.raises(ModelError, match=f"no readable {name}"):
        load_model("lopsided", root=model_folder.parent)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("lvo-model/2", "lvo-model/1", "schema = 'lvo-model/1'.* needs 'lvo-model/2'", id="another schema"),
        pytest.param("atlas-aligned kji", "patient ijk", "input.frame = 'patient ijk'", id="another frame"),
        pytest.param('name = "lopsided"', 'name = "other"', "name = 'other'", id="another name"),
        pytest.param("spacing_mm = 0.5", "spacing_mm = -0.5", "spacing_mm", id="an impossible spacing"),
        pytest.param("spacing_mm = 0.5", "spacing_mm = 0.5\nblur_mm = 1.0", "blur_mm", id="an unknown key"),
        pytest.param("-100.0", "700.0", "window_hu must rise", id="an empty window"),
        pytest.param('"background", ', "", "start with background", id="no background"),
        pytest.param("[24, 32, 40]", "[24, 30, 40]", "multiples of 8", id="a window that cannot be halved"),
        pytest.param('"clot"]', '"clot", "bone"]', "its manifest needs", id="more classes than the network's"),
        pytest.param('"atlas_z"]', '"atlas_z", "ncct"]', "its manifest needs", id="more channels than the network's"),
    ],
)
def test_an_unsupported_contract_is_refused(model_folder, edit_manifest, old, new, words):
    edit_manifest(old, new)
    with pytest.raises(ModelError, match=words):
        load_model("lopsided", root=model_folder.parent)


def test_a_file_that_is_no_network_is_refused(model_folder, edit_manifest):
    from lvo.durable import sha256_of

    path = model_folder / "model.onnx"
    old = sha256_of(path)
    path.write_bytes(b"no network")
    edit_manifest(old, sha256_of(path))
    with pytest.raises(ModelError, match="cannot be opened"):
        load_model("lopsided", root=model_folder.parent)


@pytest.mark.parametrize("name", ["nothing", "../models/lopsided", "Lopsided", ""])
def test_an_unknown_name_is_refused_with_the_known_ones(model_folder, name):
    with pytest.raises(ModelError, match="installed: lopsided"):
        load_model(name, root=model_folder.parent)


def test_models_are_listed_without_the_runtime(model_folder):
    assert [manifest.name for manifest in list_models(root=model_folder.parent)] == ["lopsided"]
    program = (
        "import sys, pathlib, lvo.infer; lvo.infer.list_models(root=pathlib.Path(sys.argv[1])); "
        "sys.exit('onnxruntime' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(model_folder.parent)], check=True)
