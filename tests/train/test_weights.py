"""A shipped model can be trained on: its ONNX file gives back the network, and training starts where it left off."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lvo.durable import sha256_of
from lvo.errors import ModelError
from lvo.infer.manifest import MANIFEST_FILE, manifest_toml, read_manifest
from lvo.infer.registry import models_folder
from lvo.infer.session import open_model
from lvo.infer.window import IMAGE_CHANNELS
from lvo.train.fit import torch_runner
from lvo.train.network import build_network
from lvo.train.weights import load_start, shipped_network, unfold_norms

ARTERIES = models_folder() / "arteries"


def patches(seed=0, n=2, size=32):
    """Batches with bright tubes on soft tissue, and places."""
    rng = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(n):
        image = 0.15 + 0.03 * torch.randn((2, len(IMAGE_CHANNELS), size, size, size), generator=rng)
        image[:, 0, :, size // 2 - 2 : size // 2 + 2, size // 3 : size // 3 + 3] = 0.5
        image[:, 1:] *= 4.0
        out.append(image)
    return out


@pytest.fixture(scope="module")
def shipped():
    return shipped_network(ARTERIES)


def test_the_shipped_model_comes_back_as_the_same_function(shipped):
    """On windows that look like CT, not only on the noise that the loader itself tries."""
    network, settings = shipped
    manifest = read_manifest(ARTERIES)
    assert settings.multiple == manifest.input.multiple
    model = open_model(ARTERIES, device="cpu")
    for window in (batch[0].numpy() for batch in patches(3)):
        found, expected = torch_runner(network)(window), model.run(window)
        assert np.ptp(expected[0]) > 0.05
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_unfolding_changes_nothing_in_use_and_makes_training_start_there(shipped):
    """Folded norms throw the features out in the first training batch; unfolded ones hardly change them."""
    plain, settings = shipped
    unfolded = build_network(settings, seed=0)
    unfolded.load_state_dict(plain.state_dict())
    unfold_norms(unfolded, patches(0, n=4))
    window = patches(5, n=1)[0]
    with torch.no_grad():
        before = plain.eval()(window).softmax(1)
        torch.testing.assert_close(unfolded.eval()(window).softmax(1), before, atol=1e-4, rtol=0)
        learning, thrown = (network.train()(window).softmax(1) for network in (unfolded, plain))
    plain.eval()
    assert (learning - before).abs().mean() < 0.2 * (thrown - before).abs().mean()


def test_unfolding_by_hand_on_one_layer():
    """Mean and variance of the layer's input are the numbers numpy gives; the function stays."""
    layer = nn.Sequential(nn.Conv3d(1, 3, 1, bias=False), nn.BatchNorm3d(3))
    with torch.no_grad():
        layer[1].bias.copy_(torch.tensor([0.3, -1.0, 2.0]))
        layer[1].weight.copy_(torch.tensor([1.0, 2.0, -0.5]))
    data = [torch.randn(2, 1, 4, 5, 6) + 3 for _ in range(3)]
    before = layer.eval()(data[0]).detach()
    unfold_norms(layer, data)
    inputs = np.concatenate([layer[0](one).detach().numpy() for one in data])
    np.testing.assert_allclose(layer[1].running_mean, inputs.mean(axis=(0, 2, 3, 4)), rtol=1e-4)
    np.testing.assert_allclose(layer[1].running_var, inputs.var(axis=(0, 2, 3, 4)), rtol=1e-4)
    torch.testing.assert_close(layer.eval()(data[0]), before, atol=1e-5, rtol=1e-5)
    with pytest.raises(ModelError, match="no training patches"):
        unfold_norms(layer, [])


def test_a_run_can_start_from_a_name_and_says_from_what():
    start = load_start(Path("arteries"), patches(n=1))
    manifest = read_manifest(ARTERIES)
    assert start.start.startswith(f"model arteries {manifest.version}")
    assert manifest.training.data in start.start
    network = build_network(start.config.network, seed=1)
    network.load_state_dict(start.network)
    with pytest.raises(ModelError, match="nothing"):
        load_start(Path("nothing"), patches(n=1))


@pytest.mark.parametrize("change", ["renamed", "dropped", "altered"])
def test_a_model_that_does_not_fit_is_refused(tmp_path, change):
    """A weight that nobody knows, one that is missing, and a sign that is wrong where names and shapes are right."""
    import onnx
    from onnx import numpy_helper

    folder = tmp_path / "arteries"
    shutil.copytree(ARTERIES, folder)
    model = onnx.load(str(folder / "model.onnx"))
    by_name = {one.name: one for one in model.graph.initializer}
    one = by_name["network.last.0.weight" if change == "dropped" else "network.last.0.bias"]
    if change == "altered":  # only the graph negates it: the weights alone look right
        negated = numpy_helper.from_array(-numpy_helper.to_array(one), "other")
        model.graph.initializer.append(negated)
        for node in model.graph.node:
            for n, name in enumerate(node.input):
                if name == one.name:
                    node.input[n] = "other"
    else:
        new = "network.last.9.bias" if change == "renamed" else "hidden"
        for node in model.graph.node:
            for n, name in enumerate(node.input):
                if name == one.name:
                    node.input[n] = new
        one.name = new
    onnx.save(model, str(folder / "model.onnx"))
    import msgspec

    manifest = msgspec.structs.replace(read_manifest(folder), sha256=sha256_of(folder / "model.onnx"))
    (folder / MANIFEST_FILE).write_text(manifest_toml(manifest))
    words = {"renamed": "no place", "dropped": "holds no weights for last.0.weight", "altered": "differ by"}[change]
    with pytest.raises(ModelError, match=words):
        shipped_network(folder)
