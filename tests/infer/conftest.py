"""Tiny models made on the spot: their output is known for every voxel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.durable import sha256_of
from lvo.infer.manifest import SCHEMA, InputContract, Manifest, OutputContract, TrainingRecord, manifest_toml
from lvo.infer.window import IMAGE_CHANNELS

WINDOW, MULTIPLE = (24, 32, 40), 8
SPACING_MM = 0.5

WEIGHTS = np.zeros((len(VESSEL_CLASSES), len(IMAGE_CHANNELS), 1, 1, 3), np.float32)
"""A convolution along i: class from channel and neighbour. Not symmetric: left and right of a voxel count differently."""
for _row, _channel, _neighbour, _value in ((1, 0, 1, 0.4), (2, 0, 0, 0.2), (3, 1, 1, 0.1), (6, 2, 1, 0.1), (7, 3, 2, -0.1)):
    WEIGHTS[_row, _channel, 0, 0, _neighbour] = _value
WEIGHTS[0] = -WEIGHTS.sum(axis=0)


def write_onnx(path: Path, size: tuple[int | str, int | str, int | str] = ("k", "j", "i")) -> None:
    """Write the convolution with `WEIGHTS` as a network whose background is 1 less the rest."""
    shape_in, shape_out = [1, len(IMAGE_CHANNELS), *size], [1, len(VESSEL_CLASSES), *size]
    bias = np.zeros(len(VESSEL_CLASSES), np.float32)
    bias[0] = 1.0
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights", "bias"], ["probability"], pads=[0, 0, 1, 0, 0, 1])],
        "lopsided",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape_out)],
        [numpy_helper.from_array(WEIGHTS, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def a_manifest(folder: Path) -> Manifest:
    """The manifest that fits `write_onnx`."""
    return Manifest(
        schema=SCHEMA,
        name=folder.name,
        version="1",
        sha256=sha256_of(folder / "model.onnx"),
        input=InputContract(
            frame="atlas-aligned kji",
            channels=IMAGE_CHANNELS,
            spacing_mm=SPACING_MM,
            window_hu=(-100.0, 700.0),
            window_kji=WINDOW,
            multiple=MULTIPLE,
            opset=18,
        ),
        output=OutputContract(channels=VESSEL_CLASSES),
        training=TrainingRecord(
            config_sha256="0" * 64,
            data="none",
            training_seeds=(10_000, 10_001),
            validation_seeds=(5000, 5001),
            steps=0,
            parameters=0,
        ),
        metrics={},
    )


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A complete model named "lopsided"."""
    folder = tmp_path / "models" / "lopsided"
    folder.mkdir(parents=True)
    write_onnx(folder / "model.onnx")
    (folder / "manifest.toml").write_text(manifest_toml(a_manifest(folder)))
    return folder


@pytest.fixture
def fixed_size_folder(model_folder: Path) -> Path:
    """The same model for windows of one size only."""
    write_onnx(model_folder / "model.onnx", (16, 16, 16))
    (model_folder / "manifest.toml").write_text(manifest_toml(a_manifest(model_folder)))
    return model_folder


@pytest.fixture
def edit_manifest(model_folder: Path) -> Callable[[str, str], None]:
    """Replace text in the manifest; the text must be there."""

    def edit(old: str, new: str) -> None:
        path = model_folder / "manifest.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


@pytest.fixture(scope="session")
def weights() -> np.ndarray:
    """What `write_onnx` multiplies by: (classes, channels, 1, 1, 3)."""
    return WEIGHTS
