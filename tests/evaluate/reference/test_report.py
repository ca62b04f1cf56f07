"""The whole command: every file it leaves, what they say, and that nothing is left of a run that failed."""

import csv
import html
import json
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker

from lvo import cli as command_line
from lvo.errors import OutputError, UsageError
from lvo.evaluate.reference.latex import escaped, latex_table


def command(*arguments):
    return CliRunner().invoke(
        command_line._lvo, ["evaluate", *map(str, arguments)], standalone_mode=False, catch_exceptions=False
    )


@pytest.fixture(scope="module")
def reported(small_hospital, tmp_path_factory):
    """The report of the small hospital, and what the command printed."""
    out = tmp_path_factory.mktemp("evaluation") / "report"
    shown = command(*small_hospital_arguments(small_hospital), "--out", out, "--prevalence", "0.04", "--per-week", "25")
    return out, shown.stdout


def small_hospital_arguments(small_hospital):
    results, table = small_hospital
    return results, "--reference", table


def test_every_file_says_the_published_figure(reported):
    out, printed = reported
    assert "sensitivity 61/75 = 0.813 [0.711, 0.885]" in printed
    assert "At 4 % prevalence and 25 angiograms a week" in printed
    page = (out / "report.html").read_text()
    assert "61/75 = 0.813 [0.711, 0.885]" in page
    assert page.count("data:image/png;base64,") == len(list((out / "figures").glob("*.png"))) == 9
    assert "50% &lt;C&gt;_1" in page  # words of the table cannot become markup
    assert not re.search(r'(src|href)="(?!data:)', page)
    lines = list(csv.DictReader((out / "numbers.csv").read_text().splitlines()))
    (wilson,) = [line for line in lines if (line["name"], line["group"], line["method"]) == ("sensitivity", "", "Wilson")]
    assert (wilson["hits"], wilson["n"], round(float(wilson["low"]), 3), round(float(wilson["high"]), 3)) == (
        "61",
        "75",
        0.711,
        0.885,
    )
    content = json.loads((out / "evaluation.json").read_text())
    assert content["schema"] == "lvo-evaluation/1"
    assert len(content["numbers"]) == len(lines)
    assert content["answers"][3] == {"answer": "not judged", "occlusion": 0, "no_occlusion": 2}
    assert "61/75 = 0.813 [0.711, 0.885]" in (out / "table.tex").read_text()
    assert len((out / "cases.csv").read_text().splitlines()) == 101
    chapters = {line["chapter"] for line in lines}
    assert chapters == {"accuracy", "subgroups", "curves", "calibration", "alarms", "readers and products", "maps and volumes"}


def test_every_number_of_the_csv_is_on_the_page(reported):
    out, _ = reported
    page = html.unescape((out / "report.html").read_text())
    for line in csv.DictReader((out / "numbers.csv").read_text().splitlines()):
        if line["value"] and line["chapter"] in {"accuracy", "curves", "calibration", "maps and volumes"}:
            assert f"{float(line['value']):.3f}" in page, line


def test_the_tables_are_latex(reported):
    out, _ = reported
    names = sorted(path.name for path in out.glob("*.tex"))
    assert names == ["maps.tex", "readers.tex", "subgroups.tex", "table.tex"]
    for name in names:
        nodes, _, _ = LatexWalker((out / name).read_text(), tolerant_parsing=False).get_latex_nodes()
        (float_,) = [node for node in nodes if isinstance(node, LatexEnvironmentNode)]
        assert float_.environmentname == "table"
    assert r"50\% \textless{}C\textgreater{}\_1" in (out / "subgroups.tex").read_text()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_the_tables_compile_and_fit_a_page(tmp_path, reported):
    tables = sorted(reported[0].glob("*.tex"))
    for path in tables:
        shutil.copy(path, tmp_path)
    inputs = "".join(rf"\input{{{path.name}}}\clearpage" for path in tables)
    (tmp_path / "paper.tex").write_text(rf"\documentclass{{article}}\begin{{document}}{inputs}\end{{document}}")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Float too large" not in (tmp_path / "paper.log").read_text()


def test_special_letters_and_columns():
    assert escaped(r"a_b & 5% $x {y} #1 ~ ^ \ < > |") == (
        r"a\_b \& 5\% \$x \{y\} \#1 \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{} \textgreater{} \textbar{}"
    )
    text = latex_table([("part", [("a", "1"), ("b", "2")])], header=("", "n"), caption="c", note="d")
    assert text.count(r"\\") == 4  # header, heading, two lines
    assert text.count("&") == 3


def test_equal_input_gives_equal_files(tmp_path, small_hospital, reported):
    command(*small_hospital_arguments(small_hospital), "--out", tmp_path / "again", "--prevalence", "0.04", "--per-week", "25")
    first, second = (
        {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (reported[0], tmp_path / "again")
    )
    assert first == second


def test_no_places_readers_or_volumes_leave_chapters_that_say_so(tmp_path, hospital, result_json):
    results, table = hospital(
        [result_json("1.1"), result_json("1.2", "not_detected", 0.1)], [{"study": "1.1", "lvo": 1}, {"study": "1.2", "lvo": 0}]
    )
    command(results, "--reference", table, "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "The table has no columns named reader:" in page
    assert "Nothing to say: neither results nor table have it." in page
    assert not (tmp_path / "report" / "readers.tex").exists()


def test_occlusions_alone_have_a_report(tmp_path, hospital, result_json):
    results, table = hospital([result_json("1.1")], [{"study": "1.1", "lvo": 1}])
    shown = command(results, "--reference", table, "--out", tmp_path / "report")
    assert "specificity -;" in shown.stdout
    assert "Alarms cannot be told without cases of both kinds." in shown.stdout


def test_a_folder_with_something_in_it_is_refused(tmp_path, small_hospital):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="is not empty"):
        command(*small_hospital_arguments(small_hospital), "--out", tmp_path / "report")
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path, small_hospital):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        command(*small_hospital_arguments(small_hospital), "--out", tmp_path / "file" / "report")
    assert not list(tmp_path.glob(".evaluation-*"))
