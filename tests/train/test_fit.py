"""The loop learns, repeats itself, and goes on where it stopped."""

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from lvo.errors import ConfigError, InputError, UsageError
from lvo.train import fit as room
from lvo.train.config import decode_config, encode_config, load_train_config
from lvo.train.data import PatchDataset
from lvo.train.fit import Checkpoint, fit, learning_rate, load_checkpoint
from lvo.train.run import BEST, LAST
from lvo.train.team import Team, join_team


def same_weights(one, other) -> bool:
    return all(torch.equal(one.network[name], other.network[name]) for name in one.network)


@pytest.fixture(scope="module")
def run(tiny, tiny_crops, tmp_path_factory):
    """An unbroken run of two epochs."""
    out, lines = tmp_path_factory.mktemp("run"), []
    fit(tiny, *tiny_crops, out, progress=lines.append)
    return out, lines


def test_the_loss_falls(tiny, tiny_crops, tmp_path):
    """Eight times as many steps leave a clearly lower loss than the first ones."""
    fitting = replace(tiny.fit, epochs=5, steps_per_epoch=24)
    losses: list[float] = []
    fit(
        replace(tiny, fit=fitting), *tiny_crops, tmp_path,
        progress=lambda line: losses.append(float(line.split("loss ")[1].split(",")[0])),
    )  # fmt: skip
    assert losses[-1] < 0.85 * losses[0]


def test_every_epoch_leaves_a_line_a_checkpoint_and_a_log(tiny, run):
    out, lines = run
    last = load_checkpoint(out / LAST)
    assert (last.epoch, last.step, last.config) == (2, 24, tiny)
    assert [line.split(",")[0] for line in lines] == ["epoch 1", "epoch 2"]
    assert {"loss", "artery_dice", "artery_cldice", "trunk_recall", "tree_right", "vein_dice", "clot_dice"} <= set(last.metrics)
    assert load_checkpoint(out / BEST).metrics["artery_dice"] >= last.metrics["artery_dice"]


def test_tensorboard_has_the_validation_of_every_epoch(run):
    """Read back by TensorBoard itself: the figures of the checkpoint, at its step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out, _ = run
    board = EventAccumulator(str(out / "tensorboard"))
    board.Reload()
    last = load_checkpoint(out / LAST)
    assert set(board.Tags()["scalars"]) == set(last.metrics)
    for name, value in last.metrics.items():
        points = board.Scalars(name)
        assert [point.step for point in points] == [12, 24]
        assert points[-1].value == pytest.approx(value, abs=1e-6)


def test_mixed_precision_keeps_float32_weights_and_nearly_the_loss(tiny, tiny_crops, tmp_path):
    """The same patches through bfloat16: another rounding, not another network."""
    short = replace(tiny, fit=replace(tiny.fit, epochs=1, steps_per_epoch=2))
    mixed = replace(short, fit=replace(short.fit, precision="bfloat16"))
    exact, rounded = (fit(one, *tiny_crops, tmp_path / one.fit.precision) for one in (short, mixed))
    assert {value.dtype for name, value in rounded.network.items() if "num_batches" not in name} == {torch.float32}
    assert rounded.metrics["loss"] != exact.metrics["loss"]
    assert rounded.metrics["loss"] == pytest.approx(exact.metrics["loss"], rel=0.02)


def test_a_resumed_run_ends_where_an_unbroken_one_does(tiny, tiny_crops, run, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(_: str) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        fit(tiny, *tiny_crops, tmp_path, progress=stop)
    assert load_checkpoint(tmp_path / LAST).epoch == 1
    fit(tiny, *tiny_crops, tmp_path, resume=True)
    assert same_weights(load_checkpoint(tmp_path / LAST), load_checkpoint(run[0] / LAST))


def test_another_seed_gives_other_weights(tiny, tiny_crops, run, tmp_path):
    fit(replace(tiny, seed=4), *tiny_crops, tmp_path)
    assert not same_weights(load_checkpoint(tmp_path / LAST), load_checkpoint(run[0] / LAST))


def test_an_old_run_is_never_overwritten_nor_mixed(tiny, tiny_crops, run):
    out, _ = run
    with pytest.raises(UsageError, match="--resume"):
        fit(tiny, *tiny_crops, out)
    with pytest.raises(UsageError, match="another configuration"):
        fit(replace(tiny, seed=9), *tiny_crops, out, resume=True)


def test_a_run_starts_from_the_weights_of_another_and_says_so(tiny, tiny_crops, run, tmp_path):
    """With no learning left, what comes out is what it started from, but for the running means of the batch norm."""
    first = load_checkpoint(run[0] / LAST)
    still = replace(tiny, fit=replace(tiny.fit, learning_rate=1e-12, weight_decay=0.0, epochs=1))
    fit(still, *tiny_crops, tmp_path, start=first)
    last = load_checkpoint(tmp_path / LAST)
    learnt = [name for name in first.network if "running" not in name and "num_batches" not in name]
    assert learnt
    assert all(torch.allclose(last.network[name], first.network[name], atol=1e-6) for name in learnt)
    assert last.step == tiny.fit.steps_per_epoch
    assert last.start == f"started from the weights of run {tiny.sha256[:12]} after 24 steps"
    assert first.start == ""


def test_a_start_with_another_network_is_refused(tiny, tiny_crops, run, tmp_path):
    wider = replace(tiny, network=replace(tiny.network, channels=tuple(2 * n for n in tiny.network.channels)))
    with pytest.raises(UsageError, match="has channels"):
        fit(wider, *tiny_crops, tmp_path, start=load_checkpoint(run[0] / LAST))


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"], ids=["absent", "empty", "something else"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "x.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(path)


def test_a_team_shares_every_batch_and_leaves_nothing_out(tiny, tiny_crops):
    """Step by step, what two processes see together is what one alone would see."""
    data, cpu = PatchDataset(tiny_crops[0], tiny, 48), torch.device("cpu")
    alone, first, second = (
        [image for image, _ in room._batches(data, Checkpoint(tiny, epoch=1), team, tiny.fit.batch // team.size)]
        for team in (Team(0, 1, cpu), Team(0, 2, cpu), Team(1, 2, cpu))
    )
    assert len(alone) == len(first) == len(second) == tiny.fit.steps_per_epoch
    for batch, *shares in zip(alone, first, second, strict=True):
        assert torch.equal(torch.cat(shares), batch)


def test_without_torchrun_a_process_is_alone_and_leads(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    team = join_team()
    assert (team.rank, team.size, team.leads) == (0, 1, True)
    assert team.agree(3.5) == 3.5


def test_a_batch_that_a_team_cannot_share_is_refused(tiny, tiny_crops, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "join_team", lambda: Team(0, 3, torch.device("cpu")))
    with pytest.raises(UsageError, match="batch = 2 cannot be shared by 3 processes"):
        fit(tiny, *tiny_crops, tmp_path)


def test_training_ends_when_the_time_is_up(tiny, tiny_crops, tmp_path):
    limited = replace(tiny, fit=replace(tiny.fit, epochs=1000, max_minutes=0.02))
    best = fit(limited, *tiny_crops, tmp_path)
    assert 0 < best.epoch < 1000


def test_training_ends_when_patience_does(tiny, tiny_crops, tmp_path, monkeypatch):
    """The validation is best after the second epoch; with a patience of two the fourth is the last, also after a break."""
    values = iter([0.2, 0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(room, "validate", lambda *_: {"artery_dice": next(values)})
    patient = replace(tiny, fit=replace(tiny.fit, epochs=5, steps_per_epoch=1, patience=2))
    best = fit(patient, *tiny_crops, tmp_path)
    assert (best.epoch, load_checkpoint(tmp_path / LAST).epoch) == (2, 4)
    fit(patient, *tiny_crops, tmp_path, resume=True)
    assert load_checkpoint(tmp_path / LAST).epoch == 4
    assert next(values) == 0.9


class Other(Team):
    """A process that does not lead; what it hears from the leader is 0."""

    def agree(self, value):
        return 0.0 if value == 0.0 else value

    def sharing(self, network):
        return network


def test_a_process_that_does_not_lead_writes_nothing(tiny, tiny_crops, tmp_path, run, monkeypatch):
    """It opens no log; the best checkpoint is the leader's, which is there by then."""
    fitting = replace(tiny.fit, epochs=1, steps_per_epoch=1)
    monkeypatch.setattr(room, "join_team", lambda: Other(1, 2, torch.device("cpu")))
    (tmp_path / BEST).write_bytes((run[0] / BEST).read_bytes())
    fit(replace(tiny, fit=fitting), *tiny_crops, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [BEST]


def test_mlflow_hears_what_tensorboard_does(tiny, tiny_crops, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told = replace(tiny, fit=replace(tiny.fit, epochs=1, steps_per_epoch=1, mlflow="trial"))
    fit(told, *tiny_crops, tmp_path)
    loss = load_checkpoint(tmp_path / LAST).metrics["loss"]
    (metric,) = (tmp_path / "mlflow").glob("*/*/metrics/loss")
    _, value, step = metric.read_text().split()[:3]
    assert (float(value), int(step)) == (pytest.approx(loss), 1)


def test_mlflow_that_is_not_there_is_named(tiny, tiny_crops, tmp_path, monkeypatch):
    monkeypatch.setattr("lvo.train.logs.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'lvo\[mlflow\]'"):
        fit(replace(tiny, fit=replace(tiny.fit, mlflow="trial")), *tiny_crops, tmp_path)


def test_keys_that_are_left_out_do_not_change_the_hash_of_older_runs(tiny):
    """The shipped model names the hash of its configuration; new keys must not make it another one."""
    assert b"patience" not in encode_config(tiny)
    assert b"manifests" not in encode_config(tiny)
    assert replace(tiny, fit=replace(tiny.fit, patience=3)).sha256 != tiny.sha256


def test_the_learning_rate_rises_then_falls_to_zero():
    rates = [learning_rate(progress, 1.0) for progress in np.linspace(0.0, 1.0, 201)]
    assert 0.0 < rates[0] < 0.2
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert (np.diff(rates[10:]) < 0.0).all()
    assert rates[-1] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("sede = 1", "sede", id="unknown key"),
        pytest.param("[fit]\nbatch = 0", "batch", id="no batch"),
        pytest.param("[data]\ntraining_seeds = [900, 1100]", "for tests", id="seeds of the tests"),
        pytest.param("[data]\nvalidation_seeds = [10070, 10090]", "overlap", id="validation learnt by heart"),
        pytest.param("[data]\ntube_share = 0.0", "both or none", id="tubes that are not used"),
        pytest.param("[data]\nlow_atlas_mm = [90.0, -75.0, -60.0]", "below", id="empty box"),
        pytest.param("[data]\nkind = 'heads'", "heads", id="a kind that is gone"),
        pytest.param("[data]\ntopologies = ['drawn']", "drawn", id="unknown topology"),
        pytest.param("[data]\nscale = 1.5", "scale", id="a head scaled away"),
        pytest.param("[network]\nwindow_kji = [64, 92, 96]", "multiples of 8", id="window that cannot be halved"),
        pytest.param("[network]\nwindow_kji = [64, 16, 96]", "more than 16", id="window that is all overlap"),
        pytest.param("[network]\nwindow_hu = [700.0, -100.0]", "window_hu must rise", id="HU upside down"),
        pytest.param("[network]\nchannels = [8, 16]", "channels", id="too few levels"),
        pytest.param("[network]\nchannels = [8, 8, 8, 8]\n[fit]\npatch = 56", "multiple of 16", id="odd patch"),
        pytest.param("[network]\nchannels = [8, 8, 8, 8]\n[data]\ntube_edge = 16", "tube_edge", id="cubes too small to check"),
        pytest.param("[fit]\nprecision = 'float16'", "precision", id="unknown precision"),
    ],
)
def test_an_impossible_configuration_is_refused(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_train_config(path)


def test_the_hash_is_that_of_the_values(tiny, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("seed = 0\n[fit]\nbatch = 4\n")
    assert load_train_config(path).sha256 == type(tiny)().sha256 != tiny.sha256
    with pytest.raises(ConfigError, match="train again"):
        decode_config(b'{"epochs": 3}')
