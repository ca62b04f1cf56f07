"""What is exported is what was trained, says where it comes from, and fits the code that runs it."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lvo.core.anatomy import ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer import load_model, predict
from lvo.infer.window import IMAGE_CHANNELS, sliding_window
from lvo.train import export
from lvo.train.fit import crop_image, fit, load_checkpoint, torch_runner
from lvo.train.network import build_network
from lvo.train.run import BEST


@pytest.fixture(scope="module")
def exported(tiny, tiny_crops, tmp_path_factory):
    """A trained checkpoint and the models folder it was exported to."""
    out = tmp_path_factory.mktemp("export")
    fit(tiny, *tiny_crops, out / "run")
    checkpoint = load_checkpoint(out / "run" / BEST)
    export.export_model(checkpoint, "tiny", out / "models")
    return checkpoint, out / "models"


def test_the_exported_model_gives_what_torch_gives(tiny, tiny_crops, exported):
    """Places and all: the grid lies where the crop says that it lies in the atlas."""
    checkpoint, models = exported
    crop = tiny_crops[1][0]
    grid = Grid.from_axes(crop.hu.shape, crop.step_atlas_mm[::-1], origin_lps_mm=crop.corner_atlas_mm + (3.0, -20.0, 11.0))
    shift = np.eye(4)
    shift[:3, 3] = (-3.0, 20.0, -11.0)
    network = build_network(tiny.network, seed=99)
    network.load_state_dict(checkpoint.network)
    expected = sliding_window(
        crop_image(crop, tiny.network.window_hu),
        torch_runner(network),
        largest_kji=tiny.network.window_kji,
        multiple=tiny.network.multiple,
        n_classes=len(VESSEL_CLASSES),
    )
    found = predict(load_model("tiny", root=models), Volume(crop.hu, grid, Quantity.HU), HeadPose(shift, 1.0), mirrored=False)
    assert np.ptp(expected[0]) > 0.1
    for name, probability in zip(VESSEL_CLASSES[1:], expected[1:], strict=True):
        np.testing.assert_allclose(found[name].array, probability, atol=1e-3, err_msg=name)
    np.testing.assert_allclose(found["artery"].array, expected[1 : 1 + len(ARTERY_TREES)].sum(axis=0), atol=3e-3)


@pytest.mark.parametrize("size", [(8, 8, 8), (24, 32, 32), (40, 16, 56)], ids=str)
def test_the_exported_model_takes_windows_of_any_size(tiny, exported, size):
    """The smallest, the largest that is used, and a larger one still; each gives what torch gives."""
    checkpoint, models = exported
    network = build_network(tiny.network, seed=99)
    network.load_state_dict(checkpoint.network)
    window = np.random.default_rng(0).uniform(0, 1, (len(IMAGE_CHANNELS), *size)).astype(np.float32)
    found = load_model("tiny", root=models).run(window)
    assert found.shape == (len(VESSEL_CLASSES), *size)
    np.testing.assert_allclose(found, torch_runner(network)(window), atol=1e-3)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-5)


def test_manifest_and_card_say_where_it_comes_from(tiny, exported):
    checkpoint, models = exported
    manifest = load_model("tiny", root=models).manifest
    assert manifest.schema == "lvo-model/2"
    assert manifest.input.channels == IMAGE_CHANNELS
    assert (manifest.input.window_kji, manifest.input.multiple) == (tiny.network.window_kji, 8)
    assert manifest.input.spacing_mm == tiny.data.spacing_mm
    assert manifest.output.channels == VESSEL_CLASSES
    assert manifest.training.config_sha256 == tiny.sha256
    assert manifest.training.training_seeds == (10_000, 10_002)
    assert manifest.training.validation_seeds == (5000, 5000)
    assert manifest.metrics["validation_artery_dice"] == pytest.approx(checkpoint.metrics["artery_dice"], abs=1e-4)
    assert manifest.metrics["parity_max_difference"] < export.PARITY_TOLERANCE
    card = (models / "tiny" / "CARD.md").read_text()
    assert "Research use only" in card
    assert manifest.sha256 in card
    assert sorted(path.name for path in models.iterdir()) == ["tiny"]


def test_the_model_file_tells_nothing_about_the_machine(exported):
    content = (exported[1] / "tiny" / "model.onnx").read_bytes()
    for word in (b"/home", b"site-packages", b".py", b"stack_trace"):
        assert word not in content


def test_export_replaces_an_older_model_and_repeats_itself(exported):
    checkpoint, models = exported
    before = (models / "tiny" / "model.onnx").read_bytes()
    export.export_model(checkpoint, "tiny", models)
    assert (models / "tiny" / "model.onnx").read_bytes() == before


def test_a_model_that_differs_from_torch_is_not_written(tiny, exported, tmp_path, monkeypatch):
    """The comparison is real: against other weights it fails, and nothing is left behind."""
    other = build_network(tiny.network, seed=5)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    monkeypatch.setattr(export, "torch_runner", lambda _: torch_runner(other))
    with pytest.raises(ModelError, match="differ by"):
        export.export_model(exported[0], "tiny", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_too_large_to_ship_is_refused(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MAX_BYTES", 1000)
    with pytest.raises(ModelError, match="1000 at most"):
        export.export_model(exported[0], "tiny", tmp_path)


def test_both_commands_work_together(tmp_path):
    """`lvo train` on a file, `lvo export` on its checkpoint, `load_model` on that."""
    from lvo.cli.export import command as export_command
    from lvo.cli.train import command as train_command

    config = tmp_path / "tiny.toml"
    config.write_text(
        'name = "tiny"\n[data]\nkind = "tubes"\nlow_atlas_mm = [-9, -8, -7]\nhigh_atlas_mm = [9, 8, 7]\n'
        "training_seeds = [10000, 10001]\nvalidation_seeds = [5000, 5001]\ntube_seeds = [20000, 20001]\ntube_edge = 20\n"
        "[network]\nchannels = [4, 8, 8]\nwindow_kji = [24, 24, 24]\n"
        '[fit]\nepochs = 1\nsteps_per_epoch = 2\nbatch = 2\npatch = 16\nprecision = "float32"\nthreads = 1\n'
    )
    trained = CliRunner().invoke(train_command, ["--config", str(config), "--out", str(tmp_path / "run")])
    assert trained.exit_code == 0, trained.output
    arguments = ["--checkpoint", str(tmp_path / "run" / "best.pt"), "--name", "tiny", "--out", str(tmp_path / "models")]
    made = CliRunner().invoke(export_command, arguments)
    assert made.exit_code == 0, made.output
    assert load_checkpoint(tmp_path / "run" / "best.pt").config.name == "tiny"
    assert load_model("tiny", root=tmp_path / "models").manifest.sha256 in made.output
