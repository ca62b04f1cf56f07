"""What is exported is what was trained, says where it comes from, and fits the code that runs it."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.errors import ModelError
from lvo.infer import load_model, predict
from lvo.infer.window import normalize, sliding_window
from lvo.train import export
from lvo.train.fit import BEST, Checkpoint, fit, load_checkpoint, torch_runner
from lvo.train.network import CHANNELS, build_network


@pytest.fixture(scope="module")
def exported(tiny, tiny_crops, tmp_path_factory):
    """A trained checkpoint and the models folder it was exported to."""
    out = tmp_path_factory.mktemp("export")
    fit(tiny, *tiny_crops, out / "run")
    checkpoint = load_checkpoint(out / "run" / BEST)
    export.export_model(checkpoint, "tiny", out / "models")
    return checkpoint, out / "models"


def test_the_exported_model_gives_what_torch_gives(tiny, tiny_crops, exported):
    checkpoint, models = exported
    crop = tiny_crops[1][0]
    grid = Grid.from_axes(crop.hu.shape, (0.7, 0.7, 0.7), origin_lps_mm=(3.0, -20.0, 11.0))
    network = build_network(tiny.network, seed=99)
    network.load_state_dict(checkpoint.network)
    image = normalize(crop.hu, tiny.network.window_hu)
    expected = sliding_window(image, torch_runner(network), patch_kji=tiny.network.patch_kji, n_channels=len(CHANNELS))
    found = predict(load_model("tiny", root=models), Volume(crop.hu, grid, Quantity.HU))
    assert np.ptp(expected[0]) > 0.1
    np.testing.assert_allclose(found["artery"].array, expected[0], atol=1e-3)
    np.testing.assert_allclose(found["vein"].array, expected[1], atol=1e-3)


def test_manifest_and_card_say_where_it_comes_from(tiny, exported):
    checkpoint, models = exported
    manifest = load_model("tiny", root=models).manifest
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


def test_probabilities_sum_to_one(tiny, exported):
    model = load_model("tiny", root=exported[1])
    window = np.random.default_rng(0).uniform(0, 1, tiny.network.patch_kji).astype(np.float32)
    np.testing.assert_allclose(model.run(window).sum(axis=0), 1.0, atol=1e-5)


def test_both_commands_work_together(tmp_path):
    """`lvo train` on a file, `lvo export` on its checkpoint, `load_model` on that."""
    from lvo.cli.export import command as export_command
    from lvo.cli.train import command as train_command

    config = tmp_path / "tiny.toml"
    config.write_text(
        'name = "tiny"\n[data]\nkind = "tubes"\nlow_atlas_mm = [-9, -8, -7]\nhigh_atlas_mm = [9, 8, 7]\n'
        "training_seeds = [10000, 10001]\nvalidation_seeds = [5000, 5001]\ntube_seeds = [20000, 20001]\ntube_edge = 20\n"
        "[network]\nchannels = [4, 8]\nresidual_units = 0\npatch_kji = [16, 16, 16]\n"
        '[fit]\nepochs = 1\nsteps_per_epoch = 2\nbatch = 2\npatch = 16\nprecision = "float32"\nthreads = 1\n'
    )
    trained = CliRunner().invoke(train_command, ["--config", str(config), "--out", str(tmp_path / "run")])
    assert trained.exit_code == 0, trained.output
    arguments = ["--checkpoint", str(tmp_path / "run" / "best.pt"), "--name", "tiny", "--out", str(tmp_path / "models")]
    made = CliRunner().invoke(export_command, arguments)
    assert made.exit_code == 0, made.output
    assert isinstance(load_checkpoint(tmp_path / "run" / "best.pt"), Checkpoint)
    assert load_model("tiny", root=tmp_path / "models").manifest.sha256 in made.output
