"""`lvo evaluate`: which cases are meant, and what is refused before anything is drawn."""

import click
import pytest
from click.testing import CliRunner

from lvo import cli as command_line
from lvo.cli.evaluate import parse_cases
from lvo.errors import UsageError

SET = range(6000, 6480)


def test_a_part_of_the_set():
    assert list(parse_cases("6000:6003", SET)) == [6000, 6001, 6002]
    assert list(parse_cases("6470:6480:4", SET)) == [6470, 6474, 6478]


@pytest.mark.parametrize(
    "text", ["6000", "6000:6000", "5999:6010", "6000:6481", "6000:6010:0", "a:b", "6000:-1", "6000:6010:2:3", ""]
)
def test_anything_else_is_refused(text):
    with pytest.raises(click.BadParameter):
        parse_cases(text, SET)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--out", "OUT"], "--set", id="no set"),
        pytest.param(["--set", "cta"], "--out", id="no place"),
        pytest.param(["--set", "mri", "--out", "OUT"], "cta", id="no such set"),
        pytest.param(["--set", "cta", "--out", ""], "the path is empty", id="empty place"),
        pytest.param(["--set", "cta", "--out", "OUT", "--cases", "1:2"], "the set has 6000:6480", id="other cases"),
    ],
)
def test_wrong_usage_draws_nothing(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(command_line._lvo, ["evaluate", *arguments])
    assert shown.exit_code == 2
    assert says in shown.output
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("lvo.evaluate.find_spec", lambda name: None if name == "skimage" else name)
    with pytest.raises(UsageError, match=r"scikit-image: pip install 'lvo\[evaluate\]'"):
        CliRunner().invoke(
            command_line._lvo, ["evaluate", "--set", "cta", "--out", "OUT"], standalone_mode=False, catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--set", "cta", "--reference", "T.csv"], "got --set and --reference", id="two ways"),
        pytest.param(["--set", "cta", "--per-week", "3"], "--per-week does not go with --set", id="an option of another way"),
        pytest.param(["R", "--set", "cta"], "RESULTS does not go with --set", id="results without a table"),
        pytest.param(["--reference", "T.csv", "--cases", "1:2"], "--cases does not go with --reference", id="cases of a table"),
        pytest.param(["--reference", "T.csv"], "--reference needs RESULTS", id="a table without results"),
        pytest.param(["--reproduce", "M", "--cache", "C"], "--cache does not go with --reproduce", id="a cache of a card"),
        pytest.param(["R", "--reference", "T.csv", "--prevalence", "1"], "0.0<x<1.0", id="everybody has one"),
    ],
)
def test_the_ways_of_evaluating_are_not_mixed(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(command_line._lvo, ["evaluate", *arguments, "--out", "OUT"])
    assert shown.exit_code == 2
    assert says in shown.output
    assert list(tmp_path.iterdir()) == []
