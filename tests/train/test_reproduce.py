"""Statements of a model's folder: which agree, which differ, and two runs compared bit for bit."""

import json
import shutil
from types import SimpleNamespace

import msgspec
import pytest
from click.testing import CliRunner

from lvo import cli as command_line
from lvo.errors import InputError, ModelError, UsageError
from lvo.infer.manifest import manifest_toml, read_manifest
from lvo.infer.registry import models_folder
from lvo.train import reproduce as room
from lvo.train.reproduce import Scan, compare_runs, read_reproduction, reproduce

FIGURES = {
    "artery_dice": 0.68774, "artery_cldice": 0.4951, "artery_recall": 0.3896, "artery_precision": 0.7567,
    "trunk_recall": 0.8663, "tree_right": 0.9763, "vein_dice": 0.3779, "clot_dice": 0.5,
}  # fmt: skip


class Measured(msgspec.Struct):
    """A measured case, as far as it is looked at."""

    seed: int


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A copy of the shipped model with figures of our own, and scans that give them; no network runs."""
    folder = tmp_path / "models" / "arteries"
    shutil.copytree(models_folder() / "arteries", folder)
    manifest = read_manifest(folder)
    metrics = {f"validation_{name}": round(value, 4) for name, value in FIGURES.items()} | {"parity_max_difference": 1e-5}
    manifest = msgspec.structs.replace(manifest, metrics=metrics)
    (folder / "manifest.toml").write_text(manifest_toml(manifest))
    (folder / "CARD.md").write_text(
        "| validation_artery_dice | 0.6877 |\n| validation_clot_dice | 0.4 |\n\n"
        "cross-validated AUC 0.931,\n  Brier 0.100; M2 0.913\n"
    )
    monkeypatch.setattr(room, "models_folder", lambda: tmp_path / "models")

    def validate_one(_folder, _settings, seed):
        return Scan("validation", seed, f"map of {seed}", FIGURES)

    monkeypatch.setattr(room, "_validate_one", validate_one)
    monkeypatch.setattr(room, "_call_cases", lambda *_: ())
    monkeypatch.setattr(room, "open_network", lambda *_, **__: None)
    return folder


def verdicts(run):
    return {(one.file, one.name): one.verdict for one in run.statements}


def test_what_agrees_and_what_differs(shipped):
    found = verdicts(reproduce(shipped))
    assert found["manifest.toml", "sha256 of the network"] == "agrees"
    assert found["call.json", "network it was fitted on"] == "agrees"
    assert found["CARD.md", "validation_artery_dice, as in the manifest"] == "agrees"
    assert found["CARD.md", "validation_clot_dice, as in the manifest"] == "differs"
    assert found["manifest.toml", "validation_artery_dice"] == "agrees"
    assert found["manifest.toml", "parity_max_difference"] == "not recomputed"


def test_another_mean_differs(shipped, monkeypatch):
    worse = FIGURES | {"artery_dice": 0.6876}
    monkeypatch.setattr(room, "_validate_one", lambda _folder, _settings, seed: Scan("validation", seed, "", worse))
    assert verdicts(reproduce(shipped))["manifest.toml", "validation_artery_dice"] == "differs"


def test_a_subset_proves_no_mean(shipped):
    run = reproduce(shipped, subset=2)
    assert [scan.seed for scan in run.scans] == [5000, 5001]
    assert verdicts(run)["manifest.toml", "validation_artery_dice"] == "not recomputed"
    assert verdicts(run)["call.json", "stem"] == "not recomputed"


def test_the_call_is_fitted_again(shipped, monkeypatch):
    head = json.loads((shipped / "call.json").read_text())
    again = {**head, "slope": head["slope"] + 0.01}
    quality = SimpleNamespace(auc=0.93149, brier=0.0996, detector_auc={"stem": 0.9, "m2": 0.9, "basilar": 0.9, "siphon": 0.9})
    monkeypatch.setattr(room, "_call_cases", lambda *_: (Measured(5100),))
    monkeypatch.setattr(room, "make_call", lambda *_: (msgspec.convert(again, room.CallHead), quality))
    found = verdicts(reproduce(shipped))
    assert (found["call.json", "intercept"], found["call.json", "slope"]) == ("agrees", "differs")
    assert (found["CARD.md", "cross-validated AUC"], found["CARD.md", "Brier"], found["CARD.md", "M2"]) == (
        "agrees", "agrees", "differs",
    )  # fmt: skip


def test_a_machine_without_the_precision_of_the_call_says_so_and_compares_the_rest(shipped, monkeypatch):
    """Maps of another precision would give another call, and that would not be the model's fault."""

    def refuse(_name, precision, *, root):
        assert (root, precision) == (shipped.parent, "bfloat16")
        msg = "[runtime] precision = 'bfloat16' needs device openvino"
        raise ModelError(msg)

    monkeypatch.setattr(room, "open_network", refuse)
    monkeypatch.setattr(room, "_call_cases", lambda *_: pytest.fail("a scan was measured"))
    run = reproduce(shipped)
    (stem,) = (one for one in run.statements if (one.file, one.name) == ("call.json", "stem"))
    assert stem.verdict == "not recomputed"
    assert "precision = 'bfloat16', which this machine cannot repeat: [runtime]" in stem.remark
    assert verdicts(run)["manifest.toml", "validation_artery_dice"] == "agrees"


def test_two_runs_bit_for_bit(shipped):
    run = reproduce(shipped, subset=2)
    assert [one.verdict for one in compare_runs(run, run)] == ["agrees", "not recomputed"]
    moved = msgspec.structs.replace(run.scans[0], figures=FIGURES | {"artery_dice": 0.6877400000001})
    other = msgspec.structs.replace(run, scans=(moved, run.scans[1]), machine="another")
    line = compare_runs(run, other)[0]
    assert (line.stated, line.found, line.verdict) == ("2", "1", "differs")
    assert line.remark == "other machine or libraries: another"


def test_a_model_elsewhere_and_a_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is not among the models of this installation"):
        reproduce(tmp_path / "arteries")
    (tmp_path / "reproduced.json").write_text("{}")
    with pytest.raises(InputError, match=r"is not a reproduced\.json"):
        read_reproduction(tmp_path / "reproduced.json")


@pytest.mark.parametrize("subset", [None, 2])
def test_scans_of_the_call_follow_from_its_words(tmp_path, monkeypatch, subset):
    """Five were asked for, one of them could not be judged, and one with a rare site was added at the end."""
    monkeypatch.setattr(room, "_LEAST_HEADS", 2)
    monkeypatch.setattr(room, "fitting_seeds", lambda first, heads: (*range(first, first + heads), 5120))
    asked = []

    def measure_cases(_name, seeds, **_how):
        asked.extend(seeds)
        return tuple(Measured(seed) for seed in seeds if seed != 5102)

    monkeypatch.setattr(room, "measure_cases", measure_cases)
    run = room._Run(subset, 1, lambda _: None)
    words = SimpleNamespace(fitted_on="5 synthetic scans, seeds 5100 to 5120; 64% with an occlusion")
    found = [case.seed for case in room._call_cases(tmp_path, words, run, None)]
    assert found == ([5100, 5101] if subset else [5100, 5101, 5103, 5104, 5120])
    assert len(asked) == len(set(asked))
    assert room._call_cases(tmp_path, SimpleNamespace(fitted_on="fitted by hand"), run, None) == ()


def test_the_command_says_which_statements_agree(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr("lvo.train.require_extra", lambda: None)
    arguments = ["evaluate", "--reproduce", str(shipped), "--out", str(tmp_path / "check"), "--subset", "1"]
    first = CliRunner().invoke(command_line._lvo, arguments)
    assert first.exit_code == 1  # the card of this copy says another clot Dice than its manifest
    assert "differs        CARD.md: validation_clot_dice, as in the manifest: stated 0.4, found 0.5" in first.stdout
    assert "NOT REPRODUCED: 1 of " in first.stderr
    assert "(CARD.md: validation_clot_dice, as in the manifest)" in first.stderr
    (shipped / "CARD.md").write_text("| validation_clot_dice | 0.5 |\n")
    again = CliRunner().invoke(command_line._lvo, [*arguments, "--against", str(tmp_path / "check" / "reproduced.json")])
    assert again.exit_code == 0
    assert "agrees         earlier run: validation scans, bit for bit: stated 1, found 1" in again.stdout
    assert "NOT REPRODUCED" not in again.stderr
