"""The tutorial is true: its cells run in their order and their assertions hold."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="training needs the train extra")

from lvo import cli as command_line

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "finetune.md"


def cells(text: str) -> list[tuple[str, str]]:
    """Fenced cells that are to be run: (language, content)."""
    return [(m[1], m[2]) for m in re.finditer(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


@pytest.mark.slow
def test_every_cell_of_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    run = cells(PAGE.read_text(encoding="utf-8"))
    assert [language for language, _ in run].count("sh") >= 5
    for language, content in run:
        if language == "python":
            exec(compile(content, "finetune.md", "exec"), names)  # noqa: S102 - our own page
            continue
        for line in filter(None, content.splitlines()):
            program, *arguments = shlex.split(line, comments=True)
            assert program == "lvo"
            shown = CliRunner().invoke(command_line._lvo, arguments, standalone_mode=False, catch_exceptions=False)
            assert shown.exit_code == 0, shown.output
    assert (tmp_path / "bundles" / "arteries-local" / "configs" / "metadata.json").is_file()


def test_cells_are_found_and_others_are_not():
    text = "```sh\nlvo a\n```\ntext\n```text\nlvo b\n```\n```python\nx = 1\n```\n"
    assert cells(text) == [("sh", "lvo a\n"), ("python", "x = 1\n")]
