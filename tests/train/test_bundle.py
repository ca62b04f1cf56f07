"""The MONAI Bundle of a model is accepted by MONAI's own commands and gives what the ONNX model gives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.infer import load_model, predict
from lvo.train import export
from lvo.train.bundle import export_bundle
from lvo.train.fit import Checkpoint, crop_image
from lvo.train.network import build_network

SCHEMA = Path(__file__).with_name("metadata_schema.json")


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """A model with random weights and batch norms that do something, and its bundle."""
    network = build_network(tiny.network, seed=5)
    network.train()
    with torch.no_grad():
        for seed in range(3):
            network(torch.rand(2, 4, 16, 24, 16, generator=torch.Generator().manual_seed(seed)) * 2)
        network.last[2].weight.mul_(30.0)
    out = tmp_path_factory.mktemp("bundle")
    export.export_model(Checkpoint(tiny, network=network.state_dict()), "tiny", out / "models")
    return out / "models", export_bundle(out / "models" / "tiny", out / "bundles")


def monai(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "monai.bundle", *map(str, arguments)],
        capture_output=True, text=True, cwd=folder, check=False, timeout=600,
    )  # fmt: skip


@pytest.mark.slow
def test_monais_commands_accept_it(exported, tmp_path):
    """Metadata against the specification, which lies beside this test since MONAI would download it; and sizes in and out."""
    schema = tmp_path / "schema.json"
    schema.write_text(SCHEMA.read_text())
    verified = monai("verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", schema, folder=exported[1])
    assert verified.returncode == 0, verified.stderr
    sizes = monai(
        "verify_net_in_out", "--net_id", "network_def", "--meta_file", "configs/metadata.json",
        "--config_file", "configs/inference.json", "--n", "4", folder=exported[1],
    )  # fmt: skip
    assert sizes.returncode == 0, sizes.stderr


def test_the_metadata_keep_to_the_specification_and_the_check_can_fail(exported):
    import jsonschema

    schema, metadata = (json.loads(path.read_text()) for path in (SCHEMA, exported[1] / "configs" / "metadata.json"))
    jsonschema.validate(metadata, schema)
    assert "Research use only" in metadata["intended_use"]
    assert "synthetic only" in metadata["data_source"]
    assert list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values()) == list(VESSEL_CLASSES)
    del metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(metadata, schema)


def test_its_configuration_gives_the_probabilities_of_the_onnx_model(tiny, tiny_crops, exported):
    """Network, weights and inferer as MONAI makes them from the file; several windows, so that blending counts."""
    from monai.bundle import ConfigParser

    models, bundle = exported
    parser = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "inference.json"))
    parser["bundle_root"] = str(bundle)
    parser.parse()
    network = parser.get_parsed_content("network")
    parser.get_parsed_content("initialize")
    crop = tiny_crops[1][0]
    assert any(n > largest for n, largest in zip(crop.hu.shape, tiny.network.window_kji, strict=True))
    image = torch.from_numpy(crop_image(crop, tiny.network.window_hu)[np.newaxis])
    found = parser.get_parsed_content("inferer")(image, network)[0].numpy()
    grid = Grid.from_axes(crop.hu.shape, crop.step_atlas_mm[::-1], origin_lps_mm=crop.corner_atlas_mm)
    model = load_model("tiny", root=models, device="cpu")
    expected = predict(model, Volume(crop.hu, grid, Quantity.HU), HeadPose(np.eye(4), 1.0), mirrored=False)
    for name, probability in zip(VESSEL_CLASSES[1:], found[1:], strict=True):
        np.testing.assert_allclose(probability, expected[name].array, atol=1e-3, err_msg=name)
    assert max(np.ptp(expected[name].array) for name in VESSEL_CLASSES[1:]) > 0.2


def test_it_holds_the_weights_the_model_and_its_card(exported):
    names = {path.relative_to(exported[1]).as_posix() for path in exported[1].rglob("*") if path.is_file()}
    configs = {"configs/metadata.json", "configs/inference.json"}
    assert names == configs | {"models/model.pt", "models/model.onnx", "docs/README.md"}
