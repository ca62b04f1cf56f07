"""`lvo batch` as a user meets it, with real studies that are refused at once, and its options."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from batch_phantoms import plain_study
from click.testing import CliRunner

from lvo.cli.batch import command, parse_deadline
from lvo.errors import UsageError

BIN = Path(sys.executable).parent
NOW = datetime.fromisoformat("2026-03-01T22:30+00:00")


def lvo(*arguments):
    code = "from lvo.cli import main\nif __name__ == '__main__':\n    main()\n"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=800
    )


def test_an_archive_becomes_one_table_and_a_second_run_does_nothing(tmp_path):
    uids = {plain_study(tmp_path / "in" / f"{n}", n) for n in range(2)}
    (tmp_path / "in" / "broken").mkdir()
    (tmp_path / "in" / "broken" / "DOE^JANE").write_bytes(b"\x01" * 300)
    arguments = ("batch", tmp_path / "in", "--out", tmp_path / "out", "--outputs", "json", "--workers", 1)
    first = lvo(*arguments, "--json")
    assert first.returncode == 3, first.stderr
    summary = json.loads(first.stdout)
    assert summary["status"] == {"not_assessable": 2, "failed": 1}
    assert summary["items"] == {"queued": 0, "leased": 0, "done": 2, "failed": 1}
    (folder,) = (tmp_path / "out").iterdir()
    rows = pd.read_parquet(folder / "results.parquet")
    assert set(rows["study_instance_uid"].dropna()) == uids
    assert all("no CT angiogram" in text or "no CT" in text for text in rows["cta.reasons"].dropna())
    assert (rows["peak_mb"] > 100.0).all()
    assert {path.name for path in (folder / "studies" / next(iter(uids))).iterdir()} == {"result.json", "run.json"}
    assert "DOE" not in first.stderr + first.stdout
    second = lvo(*arguments)
    assert second.returncode == 3
    assert "studies/h in this run" not in second.stdout
    assert pd.read_csv(folder / "results.csv")["ended_at"].tolist() == pytest.approx(rows["ended_at"].tolist())


def test_a_source_without_anything_to_score_is_a_failure(tmp_path):
    """Status 0 would say that everything was analysed: a wrong path in a nightly job would look like a quiet night."""
    (tmp_path / "in").mkdir()
    found = lvo("batch", tmp_path / "in", "--out", tmp_path / "out", "--outputs", "json", "--workers", 1)
    assert found.returncode == 1
    assert "lvo: nothing to score was found" in found.stderr
    assert "internal error" not in found.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("6h", NOW + timedelta(hours=6), id="hours"),
        pytest.param("90min", NOW + timedelta(minutes=90), id="minutes"),
        pytest.param("07:00", NOW + timedelta(hours=8, minutes=30), id="the next morning"),
        pytest.param("23:00", NOW + timedelta(minutes=30), id="tonight"),
        pytest.param("2026-03-02T07:00+01:00", NOW + timedelta(hours=7, minutes=30), id="date and offset"),
    ],
)
def test_a_deadline_is_a_time_or_a_span(text, expected):
    assert parse_deadline(text, now=NOW) == expected.timestamp()


@pytest.mark.parametrize("text", ["soon", "25:00", "2026-02-01T07:00+00:00", "0h"])
def test_a_deadline_that_is_none_or_over_is_refused(text):
    with pytest.raises(UsageError, match="--deadline"):
        parse_deadline(text, now=NOW)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--outputs", "pdf"], "--outputs takes", id="an output nobody knows"),
        pytest.param(["--address", "auto"], "belong to --engine ray", id="an address without a cluster"),
        pytest.param(["--export", "e"], "--export-secret", id="copies without a secret"),
        pytest.param(["--deadline", "yesterday"], "--deadline takes", id="no time"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_made(tmp_path, arguments, words):
    with pytest.raises(UsageError, match=words):
        CliRunner().invoke(
            command, [str(tmp_path), "--out", str(tmp_path / "o"), *arguments], standalone_mode=False, catch_exceptions=False
        )
    assert not (tmp_path / "o").exists()
