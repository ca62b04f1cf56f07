"""Tiny models made on the spot: their output is known for every voxel."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from lvo.infer.manifest import SCHEMA, InputContract, Manifest, OutputContract, TrainingRecord, manifest_toml, sha256_of

PATCH = (16, 24, 8)
SPACING_MM = 0.7


def write_onnx(path: Path, patch: tuple[int, int, int] = PATCH) -> None:
    """Write a network whose artery channel is 0.75 of its input and whose vein channel is 0.25 of it."""
    shape_in, shape_out = [1, 1, *patch], [1, 3, *patch]
    constant = {
        name: helper.make_tensor(name, TensorProto.FLOAT, [], [v]) for name, v in (("a", 0.75), ("v", 0.25), ("one", 1.0))
    }
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "a"], ["artery"]),
            helper.make_node("Mul", ["image", "v"], ["vein"]),
            helper.make_node("Sub", ["one", "image"], ["background"]),
            helper.make_node("Concat", ["background", "artery", "vein"], ["probability"], axis=1),
        ],
        "shares",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape_out)],
        list(constant.values()),
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def a_manifest(folder: Path) -> Manifest:
    """The manifest that fits `write_onnx`."""
    return Manifest(
        schema=SCHEMA,
        name=folder.name,
        version="1",
        sha256=sha256_of(folder / "model.onnx"),
        input=InputContract(frame="atlas-aligned kji", spacing_mm=SPACING_MM, window_hu=(-100.0, 700.0), patch_kji=PATCH),
        output=OutputContract(channels=("background", "artery", "vein")),
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
    """A complete model named "shares"."""
    folder = tmp_path / "models" / "shares"
    folder.mkdir(parents=True)
    write_onnx(folder / "model.onnx")
    (folder / "manifest.toml").write_text(manifest_toml(a_manifest(folder)))
    return folder


@pytest.fixture
def edit_manifest(model_folder: Path) -> Callable[[str, str], None]:
    """Replace text in the manifest; the text must be there."""

    def edit(old: str, new: str) -> None:
        path = model_folder / "manifest.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit
