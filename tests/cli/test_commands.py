"""Every command has help, is documented, and the program starts without the heavy libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lvo import RESEARCH_USE_ONLY, __version__
from lvo import cli as command_line
from lvo.cli.boundary import guarded
from lvo.cli.run import read_facts
from lvo.errors import ConfigError, GeometryError, UsageError

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "monai", "pydicom", "highdicom", "onnxruntime", "matplotlib", "SimpleITK", "nilearn", "scipy", "rich")


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_has_help_and_is_documented(name):
    shown = CliRunner().invoke(command_line._lvo, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert len(shown.output.splitlines()) > 4
    assert f"lvo {name}" in (ROOT / "docs" / "reference" / "commands.md").read_text()


def test_help_loads_nothing_heavy():
    start = "import sys, lvo.cli as c; c._lvo.main(['--help'], standalone_mode=False)"
    code = f"{start}; print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"
    assert RESEARCH_USE_ONLY.split(".", maxsplit=1)[0] in shown.stdout


def test_info_lists_models_settings_and_versions_without_loading_a_model():
    code = (
        "import sys, lvo.cli as c; c._lvo.main(['info', '--json'], standalone_mode=False); print('onnxruntime' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *document, loaded = shown.stdout.splitlines()
    info = json.loads("\n".join(document))
    assert loaded == "False"
    assert info["lvo"] == __version__
    assert {"cta", "runtime", "perfusion", "outputs", "selection"} == set(info["config"])
    assert len(info["models"][0]["sha256"]) == 64


def test_doctor_says_that_this_installation_can_run():
    shown = CliRunner().invoke(command_line._lvo, ["doctor"], standalone_mode=False)
    assert shown.return_value == 0, shown.output
    assert "FAIL" not in shown.output


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        pytest.param(ConfigError("site.toml: unknown key"), 2, "site.toml", id="wrong usage"),
        pytest.param(GeometryError("a slice is missing"), 1, "a slice is missing", id="bad input"),
        pytest.param(KeyError("DOE^JANE"), 1, "internal error (KeyError", id="internal error"),
        pytest.param(
            PermissionError(13, "Permission denied", "DOE^JANE"), 1, "closed to this user: Permission denied", id="closed"
        ),
    ],
)
def test_errors_become_one_line_and_a_status_and_never_quote_the_patient(capsys, error, status, words):
    def fail():
        raise error

    assert guarded(fail) == (None, status)
    shown = capsys.readouterr().err
    assert words in shown
    assert len(shown.strip().splitlines()) == 1
    assert "DOE" not in shown


def test_a_good_action_passes_through():
    assert guarded(lambda: 7) == (7, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["run", "STUDY", "--out", ""], id="no place for results"),
        pytest.param(["run", "", "--out", "OUT"], id="no study"),
        pytest.param(["inspect", ""], id="nothing to look at"),
    ],
)
def test_an_empty_path_is_wrong_usage_and_never_the_present_folder(arguments):
    shown = CliRunner().invoke(command_line._lvo, arguments)
    assert shown.exit_code == 2
    assert "the path is empty" in shown.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('{"age": NaN}', "NaN is no number; leave out what is not known", id="NaN"),
        pytest.param('{"age": -1}', "clinical facts: Expected", id="impossible"),
        pytest.param("age 70", "are not JSON", id="not JSON"),
    ],
)
def test_clinical_facts_that_cannot_be_are_refused_in_words(tmp_path, text, says):
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_facts(path)
    assert says in str(caught.value)
    assert str(caught.value).count("clinical facts") == 1


def test_calibrate_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lvo.train.find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(UsageError, match=r"pip install 'lvo\[train\]'"):
        CliRunner().invoke(command_line._lvo, ["calibrate"], standalone_mode=False, catch_exceptions=False)
