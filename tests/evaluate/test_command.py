"""The whole command, on fake scans."""

from click.testing import CliRunner

from lvo import cli as command_line


def call(tmp_path, *more):
    arguments = ["evaluate", "--set", "cta", "--out", str(tmp_path / "out"), "--cases", "6052:6231:178", *more]
    return CliRunner().invoke(command_line._lvo, arguments, standalone_mode=False, catch_exceptions=False)


def test_it_leaves_rows_and_report_and_goes_on_from_them(tmp_path, setup, fake_pipeline, monkeypatch):
    monkeypatch.setattr("lvo.cli.evaluate._load_models", lambda _threads, config: setup().load_models(config))
    shown = call(tmp_path, "--cache", str(tmp_path / "scans"))
    assert "2 of 480 cases of the set were run (2 were asked for)" in shown.stdout
    assert "case 6052: suspected" in shown.stderr
    out = tmp_path / "out"
    assert len((out / "rows.jsonl").read_text().splitlines()) == 2
    assert {"report.md", "report.html", "summary.json", "figures"} <= {path.name for path in out.iterdir()}
    assert len(list((tmp_path / "scans").rglob("*.npz"))) == 2
    first = call(tmp_path, "--cache", str(tmp_path / "scans"), "--first", "1")
    assert "1 of 1 tasks are done already" in first.stderr
    assert "1 of 480 cases of the set were run (1 were asked for)" in first.stdout
    again = call(tmp_path, "--cache", str(tmp_path / "scans"), "--ablations")
    assert "2 of 4 tasks are done already" in again.stderr
    assert fake_pipeline == {"scanned": 2, "judged": 4}
    assert "network without the mirrored pass" in (out / "report.md").read_text()
