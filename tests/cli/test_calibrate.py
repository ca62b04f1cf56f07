"""`lvo calibrate` measures heads that nothing else uses, keeps what it measured, and writes the call beside its network."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

pytest.importorskip("sklearn", reason="the call is fitted with the train extra")

from lvo.cli.calibrate import FIRST_SEED, command
from lvo.core.report import Side, Site
from lvo.cta.call import CallHead, Logistic
from lvo.cta.features import BasilarFeatures, HemisphereFeatures
from lvo.infer import registry
from lvo.infer.call_head import CALL_FILE
from lvo.synth.cases import SEEDS, split_of
from lvo.train import call
from lvo.train.call import CallCase, FitQuality
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

    def fit(cases, *, network):
        fitted.append((cases, network))
        return head, FitQuality(len(cases), {"stem": 0.987}, 0.9654, 0.0432)

    (tmp_path / "arteries").mkdir()
    monkeypatch.setattr(registry, "load_model", lambda _: SimpleNamespace(manifest="the manifest"))
    monkeypatch.setattr(registry, "models_folder", lambda: tmp_path)
    monkeypatch.setattr(call, "measure_cases", measure)
    monkeypatch.setattr(call, "fitting_seeds", lambda first, n_heads: tuple(range(first, first + n_heads)))
    monkeypatch.setattr(call, "fit_call", fit)
    arguments = ["--heads", "50", "--cases", str(tmp_path / "cases.json")]
    shown = [CliRunner().invoke(command, arguments, catch_exceptions=False) for _ in range(2)]
    assert [one.exit_code for one in shown] == [0, 0]
    assert asked == [("arteries", tuple(range(FIRST_SEED, FIRST_SEED + 50)))]
    assert fitted[0][0] == fitted[1][0] == tuple(a_case(seed) for seed in range(FIRST_SEED, FIRST_SEED + 50))
    assert fitted[1][1] == "the manifest"
    assert (tmp_path / "arteries" / CALL_FILE).is_file()
    for words in ("50 scans", "AUC 0.965", "Brier 0.043", "stem 0.987"):
        assert words in shown[1].output
