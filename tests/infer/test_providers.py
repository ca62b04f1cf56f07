"""A network runs on the fastest that is installed, or on what is asked for; what is missing is named with its package."""

import json

import numpy as np
import pytest

from lvo.errors import ModelError
from lvo.infer import load_model
from lvo.infer.providers import choose_provider

CUDA, OPENVINO, CPU = "CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"


def names(providers):
    return [provider if isinstance(provider, str) else provider[0] for provider in providers]


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        pytest.param([CPU, OPENVINO, CUDA], [CUDA, CPU], id="everything"),
        pytest.param([CPU, "AzureExecutionProvider", OPENVINO], [OPENVINO, CPU], id="no graphics card"),
        pytest.param(["AzureExecutionProvider", CPU], [CPU], id="processor alone"),
    ],
)
def test_auto_takes_the_fastest_and_falls_back_to_the_processor(available, chosen):
    assert names(choose_provider("auto", available, threads=2)) == chosen


def test_what_is_asked_for_is_taken_though_something_faster_is_there():
    everything = [CUDA, OPENVINO, CPU]
    assert names(choose_provider("cpu", everything, threads=2)) == [CPU]
    assert names(choose_provider("openvino", everything, threads=2)) == [OPENVINO, CPU]


@pytest.mark.parametrize(("precision", "hint"), [("float32", "f32"), ("bfloat16", "bf16")])
def test_openvino_is_told_threads_and_precision(precision, hint):
    (_, options), _ = choose_provider("openvino", [OPENVINO, CPU], threads=3, precision=precision)
    assert options["num_of_threads"] == "3"
    assert json.loads(options["load_config"]) == {"CPU": {"INFERENCE_PRECISION_HINT": hint}}


@pytest.mark.parametrize(("device", "available"), [("cpu", [OPENVINO, CPU]), ("auto", [CPU]), ("auto", [CUDA, CPU])])
def test_a_precision_that_a_device_has_not_is_refused(device, available):
    with pytest.raises(ModelError, match="precision = 'bfloat16' needs device openvino"):
        choose_provider(device, available, threads=2, precision="bfloat16")


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_openvino_and_the_plain_processor_give_the_same_map(model_folder, precision, apart):
    """Of a window with a bright tube; rounding apart."""
    import onnxruntime

    if OPENVINO not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-openvino is for Linux on x86-64")
    plain, fast = (
        load_model("lopsided", root=model_folder.parent, device=device, precision=of)
        for device, of in (("cpu", "float32"), ("openvino", precision))
    )
    contract = plain.manifest.input
    size = 4 * contract.multiple
    window = np.random.default_rng(3).random((len(contract.channels), size, size, size), dtype=np.float32)
    assert np.abs(plain.run(window) - fast.run(window)).max() < apart
    assert fast.device == OPENVINO


@pytest.mark.parametrize(
    ("device", "package"), [("cuda", "onnxruntime-gpu"), ("openvino", "onnxruntime-openvino")], ids=["cuda", "openvino"]
)
def test_a_device_that_is_not_installed_is_refused_with_its_package(device, package):
    with pytest.raises(ModelError, match=rf"'{device}' needs {package}, here is cpu: pip install {package}, or use auto"):
        choose_provider(device, [CPU], threads=2)


def test_a_model_says_what_it_runs_on(model_folder):
    assert load_model("lopsided", root=model_folder.parent, device="cpu").device == CPU


def test_a_model_on_a_missing_device_is_refused(model_folder, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(ModelError, match="onnxruntime-gpu"):
        load_model("lopsided", root=model_folder.parent, device="cuda")
