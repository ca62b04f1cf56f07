"""Tables, summary and worklist say what the rows say."""

import csv
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow.parquet
import pytest

from lvo.batch.columns import COLUMNS, failed_row
from lvo.batch.key import describe, key_of
from lvo.batch.records import Item, Job, Kind, State
from lvo.batch.summary import Urgency, sorted_rows, summarize, urgency_of
from lvo.batch.tables import write_file, write_tables
from lvo.batch.worklist import render_worklist
from lvo.config import Config
from lvo.core.study import Role
from lvo.errors import OutputError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "batch.md"
NOW = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)


def row(uid, **facts):
    base = dict.fromkeys(COLUMNS) | {
        "study_instance_uid": uid,
        "item": f"i{uid}",
        "status": "complete",
        "exit_status": 0,
        "priority": 0,
    }
    return base | {name.replace("__", "."): value for name, value in facts.items()}


def judged(uid, call, probability, **facts):
    return row(
        uid, cta__state="assessed", cta__lvo__call=call, cta__lvo__probability=probability, folder=f"studies/{uid}", **facts
    )


UNJUDGED = row(
    "5", status="not_assessable", exit_status=3, cta__state="not_assessable", cta__reasons="motion; no bolus", seconds=4.0
)
ROWS = [
    judged("1", "not_detected", 0.1, seconds=1.0, peak_mb=900.0),
    judged("2", "suspected", 0.8, cta__lvo__side="left", cta__lvo__site="M1", seconds=2.0, due=10.0, ended_at=11.0),
    judged("3", "suspected", 0.95, seconds=3.0),
    judged("4", "indeterminate", 0.5, seconds=10.0),
    UNJUDGED,
    failed_row(Item("x", ("/DOE^JANE",)), Kind.TIME, 'stopped after 900 s, "too long"'),
    row("7", perfusion__state="assessed", perfusion__hypoperfusion_ml=12.0, cta__state="absent", folder="studies/7"),
]
JOBS = [Job(Item(f"{n}", (f"/in/{n}",)), State.FAILED if n == 5 else State.DONE, 1, (r,)) for n, r in enumerate(ROWS)]


def test_urgency_puts_what_could_not_be_judged_before_what_found_nothing():
    expected = [*[Urgency.SUSPECTED] * 2, *[each for each in Urgency if each is not Urgency.SUSPECTED]]
    assert [urgency_of(r) for r in sorted_rows(ROWS)] == expected
    assert [r["study_instance_uid"] for r in sorted_rows(ROWS)][:2] == ["3", "2"], "the higher probability first"


def test_the_summary_counts():
    summary = summarize(JOBS, ROWS, done_now=7, elapsed_s=1800.0)
    assert summary.calls == {"not_detected": 1, "suspected": 2, "indeterminate": 1}
    assert summary.positivity == 0.5
    assert summary.not_assessable == {"motion": 1, "no bolus": 1}
    assert summary.failed == {"time": 1}
    assert (summary.seconds_p50, summary.seconds_p95) == (3.0, 10.0)
    assert (summary.studies_per_hour, summary.late, summary.peak_mb) == (14.0, 1, 900.0)
    assert summary.items == {"queued": 0, "leased": 0, "done": 6, "failed": 1}


@pytest.mark.parametrize(
    ("rows", "left", "status"),
    [
        pytest.param(ROWS[:4], 0, 0, id="all judged"),
        pytest.param(ROWS[:1], 1, 1, id="something left to do"),
        pytest.param([ROWS[0], ROWS[5]], 0, 1, id="one failed"),
        pytest.param(ROWS, 0, 3, id="one could not be judged: the highest"),
    ],
)
def test_exit_status(rows, left, status):
    jobs = [*JOBS[: len(rows)], *[Job(Item("q", ("q",)), State.QUEUED)] * left]
    assert summarize(jobs, rows, done_now=0, elapsed_s=1.0).exit_status == status


def test_parquet_and_csv_hold_the_same_and_other_libraries_read_them(tmp_path):
    write_tables(tmp_path, JOBS, ROWS)
    typed = pyarrow.parquet.read_table(tmp_path / "results.parquet")
    assert typed.column_names == list(COLUMNS)
    assert str(typed.schema.field("cta.lvo.probability").type) == "double"
    assert str(typed.schema.field("exit_status").type) == "int64"
    plain = pd.read_csv(tmp_path / "results.csv", dtype={"study_instance_uid": str})
    assert plain["cta.lvo.probability"].dropna().tolist() == [0.1, 0.8, 0.95, 0.5]
    assert typed.to_pandas()["cta.lvo.call"].tolist()[1] == plain["cta.lvo.call"].tolist()[1] == "suspected"
    assert len(plain) == len(ROWS)


def test_the_reference_lists_every_column_with_its_type():
    words = {"text": "string", "number": "double", "integer": "int64"}
    found = {}
    for line in REFERENCE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1] in words:
            found |= dict.fromkeys(re.findall(r"`([\w.]+)`", cells[0]), words[cells[1]])
    assert found == dict(COLUMNS)


def test_errors_have_reasons_and_only_the_private_table_has_places(tmp_path):
    write_tables(tmp_path, JOBS, ROWS)
    with (tmp_path / "errors.csv").open(newline="") as file:
        (error,) = csv.DictReader(file)
    assert (error["error.kind"], error["error.reason"]) == ("time", 'stopped after 900 s, "too long"')
    assert "/in/3" in (tmp_path / "items.csv").read_text()
    assert (tmp_path / "items.csv").stat().st_mode & 0o077 == 0
    assert all(b"/in/" not in (tmp_path / name).read_bytes() for name in ("results.csv", "errors.csv", "results.parquet"))


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write_file(tmp_path / "results.csv", b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lvo.durable.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_file(tmp_path / "results.csv", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]
    assert (tmp_path / "results.csv").read_bytes() == b"old"


def test_the_worklist_shows_every_study_once_in_order_and_escapes_what_it_shows():
    odd = replace(JOBS[5], rows=(failed_row(Item("y", ("y",)), Kind.INPUT, "<script>alert(1)</script>"),))
    rows = [*ROWS, *odd.rows]
    page = render_worklist(rows, summarize(JOBS, rows, done_now=1, elapsed_s=1.0), at=NOW, refresh_s=30)
    places = [page.index(f"studies/{uid}/report.html") for uid in ("3", "2", "4", "7", "1")]
    assert places == sorted(places)
    assert page.index("Could not be judged") < page.index("Not detected, which does not rule one out")
    assert "<script>" not in page
    assert 'http-equiv="refresh" content="30"' in page
    assert page.count("<tr><td") == len(rows)


def test_another_configuration_model_fact_or_part_has_another_key():
    parts = frozenset({Role.CTA, Role.CTP})
    base = describe(Config(), {}, parts)
    other_cta = msgspec.structs.replace(Config(), cta=msgspec.structs.replace(Config().cta, min_arterial_hu=100.0))
    others = [
        describe(other_cta, {}, parts),
        describe(Config(), {"age": 70.0}, parts),
        describe(Config(), {}, frozenset({Role.CTA})),
        base | {"model": base["model"] | {"sha256": "0" * 64}},
        base | {"call_sha256": "0" * 64},
        base | {"lvo": "0.0.1"},
    ]
    assert len({key_of(each) for each in [base, *others]}) == 7


def test_threads_do_not_make_another_key():
    parts = frozenset({Role.CTA})
    one = msgspec.structs.replace(Config(), runtime=msgspec.structs.replace(Config().runtime, threads=1))
    assert key_of(describe(one, {}, parts)) == key_of(describe(Config(), {}, parts))
    assert json.dumps(describe(one, {}, parts))
