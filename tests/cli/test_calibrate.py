"""`lvo calibrate` measures heads that nothing else uses, keeps what it measured, and writes the call beside its network."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

pytest.importorskip("sklearn", reason="the call is fitted with the train extra")

from lvo.cli.calibrate import command
from lvo.core.report import Side, Site
from lvo.cta.call import CallHead, Logistic
from lvo.cta.features import BasilarFeatures, HemisphereFeatures
from lvo.infer import registry
from lvo.infer.call_head import CALL_FILE
from lvo.synth.cases import SEEDS, split_of
from lvo.train import call_cases
from lvo.train.call import CallCase, FitQuality
from lvo.train.call_config import FIRST_SEED, load_call_config
from lvo.train.config import load_train_config

CONFIGS = Path(__file__).parents[2] / "configs" / "train"


def test_its_heads_are_nobody_elses():
    """Of the validation split, beyond those that choose a checkpoint, however many are asked for."""
    most = next(option for option in command.params if option.name == "heads").type.max
    seeds = range(FIRST_SEED, FIRST_SEED + most)
    assert {split_of(seeds[0]), split_of(seeds[-1])} == {"validation"}
    configs = [load_train_config(path) for path in CONFIGS.glob("*.toml")]
    assert configs
    for config in configs:
        chosen = range(*config.data.validation_seeds)
        assert chosen.stop <= seeds.start or not set(chosen) & set(seeds)
        assert not set(range(*config.data.training_seeds)) & set(SEEDS["validation"])


def a_case(seed):
    """With values that JSON must bring back."""
    side = HemisphereFeatures(*(0.1 * n for n in range(len(fields(HemisphereFeatures)))))
    basilar = BasilarFeatures(*(0.2 * n for n in range(len(fields(BasilarFeatures))))) if seed % 2 else None
    return CallCase(seed, "plain", side, side, basilar, ((Side.LEFT, Site.M1),))


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path, monkeypatch):
    logistic = Logistic(("unfed",), (0.0,), (1.0,), (1.0,), 0.0)
    head = CallHead("ab", "made up", logistic, logistic, logistic, logistic, slope=1.5, intercept=-0.5)
    fitted, asked = [], []

    def measure(model, seeds, **_):
        asked.append((model, seeds))
        return tuple(a_case(seed) for seed in seeds)

    def fit(cases, *, network, how, local):
        assert (how.folds, local) == (5, "")
        fitted.append((cases, network))
        return head, FitQuality(len(cases), {"stem": 0.987}, 0.9654, 0.0432)

    network = SimpleNamespace(sha256="ab" * 32)
    (tmp_path / "arteries").mkdir()
    monkeypatch.setattr(call_cases, "open_network", lambda *_: SimpleNamespace(manifest=network))
    monkeypatch.setattr(registry, "models_folder", lambda: tmp_path)
    monkeypatch.setattr(call_cases, "measure_cases", measure)
    monkeypatch.setattr(call_cases, "fitting_seeds", lambda first, heads, **_: tuple(range(first, first + heads)))
    monkeypatch.setattr(call_cases, "fit_call", fit)
    arguments = ["--heads", "50", "--cases", str(tmp_path / "cases.json")]
    shown = [CliRunner().invoke(command, arguments, catch_exceptions=False) for _ in range(2)]
    assert [one.exit_code for one in shown] == [0, 0]
    assert asked == [("arteries", tuple(range(FIRST_SEED, FIRST_SEED + 50)))]
    assert fitted[0][0] == fitted[1][0] == tuple(a_case(seed) for seed in range(FIRST_SEED, FIRST_SEED + 50))
    assert fitted[1][1] is network
    assert (tmp_path / "arteries" / CALL_FILE).is_file()
    record = load_call_config(tmp_path / "arteries" / "call.toml")
    assert (record.network, record.synthetic.heads) == ("arteries", 50)
    assert f"configuration {record.sha256[:12]}" in (tmp_path / "arteries" / CALL_FILE).read_text()
    for words in ("50 scans", "AUC 0.965", "Brier 0.043", "stem 0.987"):
        assert words in shown[1].output
    for changed, words in (("--heads 51", "another network or configuration"), ("", "another network or configuration")):
        network.sha256 = "ab" * 32 if changed else "cd" * 32
        refused = CliRunner().invoke(command, [*arguments, *changed.split()])
        assert refused.exit_code != 0
        assert words in str(refused.exception) + refused.output
    (tmp_path / "cases.json").write_text("[]")
    assert "holds no cases" in str(CliRunner().invoke(command, arguments).exception)
    assert len(fitted) == 2


def test_local_cases_change_two_numbers_and_leave_a_report(tmp_path, monkeypatch):
    """The installed call stays as it is; what could not be used is named."""
    import msgspec
    import numpy as np

    from lvo.train import local_cases, manifest_data
    from lvo.train.local_cases import LocalCases
    from lvo.train.recalibrate import RecalibrationCase

    logistic = Logistic(("unfed",), (0.0,), (1.0,), (1.0,), 0.0)
    head = CallHead("ab", "made up", logistic, logistic, logistic, logistic, slope=1.5, intercept=-0.5)
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 40)
    cases = tuple(
        RecalibrationCase(f"s{n}", float(x), bool(rng.random() < 1 / (1 + np.exp(-0.4 * x)))) for n, x in enumerate(logits)
    )
    asked = []

    def measure(sources, splits, *_, **__):
        asked.append((sources, splits))
        return LocalCases(cases, (("s99", "no head <found>"),))

    monkeypatch.setattr(registry, "load_model", lambda _: SimpleNamespace(manifest="the manifest"))
    monkeypatch.setattr("lvo.infer.call_head.load_call_head", lambda _: head)
    source = SimpleNamespace(manifest=SimpleNamespace(title="Hospital A"))
    monkeypatch.setattr(manifest_data, "read_sources", lambda _: (source,))
    monkeypatch.setattr(local_cases, "measure_local", measure)
    (tmp_path / "m.json").write_text("{}")
    out = tmp_path / "out"
    shown = CliRunner().invoke(command, ["--manifest", str(tmp_path / "m.json"), "--out", str(out)], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert asked == [((source,), ("training", "validation"))]
    new = msgspec.json.decode((out / CALL_FILE).read_bytes(), type=CallHead)
    assert (new.stem, new.network_sha256) == (head.stem, "ab")
    assert new.slope < head.slope
    assert "recalibrated on 40 cases of Hospital A" in new.fitted_on
    page = (out / "report.html").read_text()
    assert "no head &lt;found&gt;" in page
    assert "expected calibration error" in page
    assert (out / "reliability.png").read_bytes().startswith(b"\x89PNG")
    assert len(msgspec.json.decode((out / "cases.json").read_bytes())) == 40


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--manifest", "m.json"], "go together", id="nowhere to go"),
        pytest.param(["--manifest", "m.json", "--out", "x", "--config", "m.json"], "name it in the configuration", id="both"),
        pytest.param(["--config", "m.json", "--heads", "240"], "--config and --heads do not go together", id="heads twice"),
        pytest.param(
            ["--config", "m.json", "--model", "a", "--heads", "60"],
            "--config and --model and --heads",
            id="model and heads twice",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.json").write_text("{}")
    shown = CliRunner().invoke(command, arguments)
    assert shown.exit_code == 2
    assert words in shown.output
