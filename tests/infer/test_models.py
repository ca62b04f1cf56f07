"""A model is used only when it is the file its manifest describes, and only on what it was made for."""

import subprocess
import sys

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer import list_models, load_model, predict
from lvo.infer.window import normalize

AXES_LPS = np.array([[0.0, -0.28, 0.96], [0.6, 0.768, 0.224], [0.8, -0.576, -0.168]])
"""An oblique orthonormal frame: rows are the directions of k, j and i."""


def a_volume(rng: np.random.Generator, *, spacing_mm: float = 0.7, quantity: Quantity = Quantity.HU) -> Volume:
    shape = (19, 31, 23)
    grid = Grid.from_axes(shape, (spacing_mm,) * 3, origin_lps_mm=(-12.0, 40.0, 7.0), axes_lps=AXES_LPS)
    return Volume(rng.uniform(-300.0, 900.0, shape).astype(np.float32), grid, quantity)


def test_a_complete_model_predicts_on_the_grid_of_its_input(model_folder):
    model = load_model("shares", root=model_folder.parent, threads=1)
    volume = a_volume(np.random.default_rng(0))
    found = predict(model, volume)
    assert list(found) == ["artery", "vein"]
    expected = normalize(volume.array, (-100.0, 700.0))
    np.testing.assert_allclose(found["artery"].array, 0.75 * expected, atol=1e-6)
    np.testing.assert_allclose(found["vein"].array, 0.25 * expected, atol=1e-6)
    assert found["artery"].grid.same_as(volume.grid)
    assert found["artery"].quantity is Quantity.PROBABILITY


def test_prediction_repeats_bit_for_bit(model_folder):
    volume = a_volume(np.random.default_rng(1))
    first, second = (predict(load_model("shares", root=model_folder.parent), volume)["artery"].array for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"spacing_mm": 0.75}, r"0\.7 mm.*0\.750", id="another spacing"),
        pytest.param({"quantity": Quantity.PROBABILITY}, "HU", id="another quantity"),
    ],
)
def test_a_volume_it_was_not_made_for_is_refused(model_folder, change, words):
    model = load_model("shares", root=model_folder.parent)
    with pytest.raises(ModelError, match=words):
        predict(model, a_volume(np.random.default_rng(0), **change))


def test_an_altered_model_file_is_refused(model_folder):
    path = model_folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"has sha256 .* its manifest needs"):
        load_model("shares", root=model_folder.parent)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.toml"])
def test_a_missing_file_is_refused(model_folder, name):
    (model_folder / name).unlink()
    with pytest.raises(ModelError, match=f"no readable {name}"):
        load_model("shares", root=model_folder.parent)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param("lvo-model/1", "lvo-model/9", "schema = 'lvo-model/9'.* needs 'lvo-model/1'", id="another schema"),
        pytest.param("atlas-aligned kji", "patient ijk", "input.frame = 'patient ijk'", id="another frame"),
        pytest.param('name = "shares"', 'name = "other"', "name = 'other'", id="another name"),
        pytest.param("spacing_mm = 0.7", "spacing_mm = -0.7", "spacing_mm", id="an impossible spacing"),
        pytest.param("spacing_mm = 0.7", "spacing_mm = 0.7\nblur_mm = 1.0", "blur_mm", id="an unknown key"),
        pytest.param("-100.0", "700.0", "window_hu must rise", id="an empty window"),
        pytest.param('"background", ', "", "start with background", id="no background"),
        pytest.param("24", "32", "its manifest needs", id="another patch than the network's"),
        pytest.param('"vein"]', '"vein", "clot"]', "its manifest needs", id="more channels than the network's"),
    ],
)
def test_an_unsupported_contract_is_refused(model_folder, edit_manifest, old, new, words):
    edit_manifest(old, new)
    with pytest.raises(ModelError, match=words):
        load_model("shares", root=model_folder.parent)


def test_a_file_that_is_no_network_is_refused(model_folder, edit_manifest):
    from lvo.infer.manifest import sha256_of

    path = model_folder / "model.onnx"
    old = sha256_of(path)
    path.write_bytes(b"no network")
    edit_manifest(old, sha256_of(path))
    with pytest.raises(ModelError, match="cannot be opened"):
        load_model("shares", root=model_folder.parent)


@pytest.mark.parametrize("name", ["nothing", "../models/shares", "Shares", ""])
def test_an_unknown_name_is_refused_with_the_known_ones(model_folder, name):
    with pytest.raises(ModelError, match="installed: shares"):
        load_model(name, root=model_folder.parent)


def test_models_are_listed_without_the_runtime(model_folder):
    assert [manifest.name for manifest in list_models(root=model_folder.parent)] == ["shares"]
    program = "import sys, lvo.infer; lvo.infer.list_models(); sys.exit('onnxruntime' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
