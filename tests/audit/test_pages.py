"""The audit notices what was built into the service, and its pages say it."""

import csv
import json
import re
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from lvo import cli as command_line
from lvo.audit.cases import cases_of
from lvo.audit.drift import agreement, drift_of
from lvo.audit.pages import NUMBERS, render_numbers
from lvo.audit.power import median_power, share_power
from lvo.audit.summary import summarize
from lvo.errors import InputError
from lvo.eventlog import append_events

LONDON = ZoneInfo("Europe/London")


@pytest.fixture(scope="module")
def cases(events):
    return cases_of(events)


def words(html: str) -> str:
    body = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_a_scanner_that_fails_is_noticed_and_the_other_is_not(cases):
    """Scanner B judges nothing in the last two months."""
    by_name = {drift.scanner: drift for drift in drift_of(cases, LONDON)}
    assert set(by_name) == {"A", "B"}
    failing = by_name["B"].charts["not_assessable"]
    assert failing.values[-1] == 1.0
    assert failing.values[:-2].tolist() == [0.0] * (len(failing.values) - 2)
    assert len(failing.values) - 1 in failing.flagged
    assert by_name["A"].charts["not_assessable"].signals == ()
    assert by_name["A"].not_assessable.value == 0.0


def test_agreement_adds_up(cases):
    found = agreement(cases)
    asked = sum(case.call is not None for case in cases)
    assert sum(map(sum, found.table.values())) == asked
    right, wrong, unknown = found.table["suspected"]
    assert found.positive_predictive.value == pytest.approx(right / (right + wrong))
    assert unknown == 0
    shown = sum(row[0] for row in found.table.values())
    assert found.found.value == pytest.approx(right / shown)


def test_strata_add_up_and_differ_where_they_were_made_to(cases):
    summary = summarize(cases, LONDON)
    for groups in summary.strata.values():
        assert sum(own.n for own in groups.values()) == summary.all.n == len(cases)
    doors = {site: own.times["door_in_door_out"] for site, own in summary.strata["hospital"].items()}
    assert doors["SPOKE2"].high < doors["SPOKE1"].low
    assert len(summary.strata["deprivation, fifth"]) == 5
    assert {chart.name for chart in summary.charts} == {"cta_result", "door_in_door_out", "onset_puncture"}


def test_the_command_leaves_all_pages(events, tmp_path):
    log, out = tmp_path / "events.jsonl", tmp_path / "audit"
    append_events(log, events)
    shown = CliRunner().invoke(command_line._lvo, ["audit", str(log), "--out", str(out)], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    names = ["audit.json", "cases.csv", "feedback-SPOKE1.html", "feedback-SPOKE2.html", "index.html", "small-numbers.html"]
    assert sorted(path.name for path in out.iterdir()) == names
    document = json.loads((out / "audit.json").read_text())
    assert document["all"]["n"] == 1200
    assert json.dumps(document).count("NaN") == 0
    with (out / "cases.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1200
    overview = words((out / "index.html").read_text())
    assert "95 % CI" in overview
    assert re.search(r"change: (positive, )?not assessable", overview)
    feedback = words((out / "feedback-SPOKE1.html").read_text())
    assert "other cases" in feedback
    assert "c1 " in feedback
    assert "c0 " not in feedback, "a case of the other hospital"
    assert "<script" not in (out / "index.html").read_text()


def test_a_time_span_chooses_cases(events, tmp_path):
    log = tmp_path / "events.jsonl"
    append_events(log, events)
    arguments = ["audit", str(log), "--from", "2026-02-01", "--to", "2026-02-28", "--out", str(tmp_path / "feb")]
    assert CliRunner().invoke(command_line._lvo, arguments, catch_exceptions=False).exit_code == 0
    document = json.loads((tmp_path / "feb" / "audit.json").read_text())
    assert document["first"] >= "2026-02-01"
    assert document["last"] <= "2026-02-28"
    assert [chart["name"] for chart in document["charts"]] in ([], ["cta_result"]), "one month of transfers makes no chart"
    arguments[2:6] = ["--from", "2031-01-01"]
    with pytest.raises(InputError, match="no case in this time"):
        CliRunner().invoke(
            command_line._lvo, [*arguments[:4], "--out", str(tmp_path / "x")], standalone_mode=False, catch_exceptions=False
        )
    assert not (tmp_path / "x").exists()


def test_a_broken_log_is_not_audited(events, tmp_path):
    log = tmp_path / "events.jsonl"
    append_events(log, events[:20])
    log.write_text(log.read_text().replace("SPOKE2", "SPOKE1"))
    with pytest.raises(InputError, match="chain is broken"):
        CliRunner().invoke(
            command_line._lvo, ["audit", str(log), "--out", str(tmp_path / "x")], standalone_mode=False, catch_exceptions=False
        )


def test_one_case_makes_an_audit_without_intervals(log, tmp_path):
    log.add("only", "arrival", 0)
    append_events(tmp_path / "log", log.events)
    arguments = ["audit", str(tmp_path / "log"), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(command_line._lvo, arguments, catch_exceptions=False).exit_code == 0


def test_thirty_transfers_cannot_see_ten_minutes_but_see_forty():
    """The claims of the page on small numbers, at a median of 116 min."""
    month, ten_times = median_power(116.0, 0.25, (30, 360), (10.0, 40.0, 58.0))
    assert 95 < month.low < 110
    assert 122 < month.high < 136
    assert month.noticed[0] < 0.5
    assert month.noticed[1] > 0.95
    assert month.noticed[2] > 0.99
    assert ten_times.noticed[0] > 0.95
    assert share_power(0.05, 0.10, (30,))[0].noticed < 0.2
    assert share_power(0.60, 0.80, (30,))[0].noticed < 0.6


def test_no_change_is_noticed_as_often_as_the_tests_are_wrong():
    assert median_power(116.0, 0.25, (30,), (0.0,))[0].noticed[0] == pytest.approx(0.05, abs=0.02)
    assert share_power(0.5, 0.5, (360,))[0].noticed == pytest.approx(0.05, abs=0.02)


def test_the_page_on_small_numbers_uses_the_services_own_spread(cases):
    own = words(render_numbers(cases))
    assert "transfers in this log" in own
    supposed = words(render_numbers(cases[:5]))
    assert "are too few, so supposed" in supposed
    assert all(f"n = {n}" in own for n in NUMBERS)
