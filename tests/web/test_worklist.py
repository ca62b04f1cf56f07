"""What needs eyes first stands on top, and no patient is shown unless that is configured."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from lvo.web.settings import WebSettings


def listed(server, search="", **query):
    with server.client() as client:
        return client.get("/api/studies", params=query, headers={"X-Search": quote(search)}).json()


def test_suspected_first_then_what_could_not_be_judged_then_the_rest(open_server):
    states = [row["state"] for row in listed(open_server)["studies"]]
    assert states[0] == "suspected"
    assert set(states[1:3]) == {"not_assessable", "failed"}
    assert states[3:] == ["indeterminate", "not_detected"]


@pytest.mark.parametrize("text", ['{"schema": "lvo-result/1"}', '{"schema": "lvo-result/1", "cta": [], "status": "complete"}'])
def test_a_result_that_lacks_its_parts_is_listed_as_damaged_and_takes_no_other_with_it(open_server, results, serving, text):
    (results / serving.UIDS["damaged"] / "result.json").write_text(text)
    states = {row["key"]: row["state"] for row in listed(open_server)["studies"]}
    assert states[serving.key("damaged")] == "failed"
    assert states[serving.key("suspected")] == "suspected"


def test_a_half_written_result_is_not_listed(open_server, serving):
    assert listed(open_server)["total"] == len(serving.UIDS)


def test_seen_studies_go_behind_unseen_ones_of_their_group(open_server, results, reports, serving):
    serving.write_result(results, replace(reports["suspected"], study_instance_uid="1.2.3.99"))
    with open_server.reader() as client:
        first = client.get("/api/studies").json()["studies"][0]["key"]
        assert client.post(f"/api/studies/{first}/acknowledge").status_code == 200
        rows = client.get("/api/studies").json()["studies"]
    assert [row["state"] for row in rows[:2]] == ["suspected", "suspected"]
    assert rows[1]["key"] == first
    assert rows[1]["acknowledged"]["by"] == "local"


def test_a_row_says_where_how_sure_and_how_much_tissue(open_server, reports):
    row = listed(open_server)["studies"][0]
    finding, tissue = reports["suspected"].cta.value.finding, reports["suspected"].perfusion.value
    assert (row["site"], row["side"], row["probability"]) == ("M1", "left", finding.probability)
    assert row["core_ml"] == pytest.approx(tissue.core_ml, rel=1e-5)
    assert row["mismatch_ml"] == pytest.approx(tissue.mismatch_ml, rel=1e-5)
    assert datetime.fromisoformat(row["scanned_at"]) == datetime(2026, 3, 1, 9, 15, tzinfo=UTC)  # 10:15 at +01:00


def test_a_refused_study_says_why_and_has_no_probability(open_server, serving):
    row = next(row for row in listed(open_server)["studies"] if row["key"] == serving.key("refused"))
    assert row["probability"] is None
    assert "send the thin series" in row["reasons"][0]
    assert {stage["name"]: stage["state"] for stage in row["stages"]}["CT angiogram"] == "refused"


def test_a_damaged_result_is_said_to_be_damaged(open_server, serving):
    row = next(row for row in listed(open_server)["studies"] if row["key"] == serving.key("damaged"))
    assert row["state"] == "failed"
    assert "analyse the study again" in row["reasons"][0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "left M1"}, ["indeterminate", "suspected"]),
        ({"search": "LEFT suspected"}, ["suspected"]),
        ({"search": "basilar"}, []),
        ({"show": "not_assessable"}, ["damaged", "refused"]),
        ({"show": "rest"}, ["indeterminate", "not_detected"]),
        ({"show": "unseen", "limit": 1}, ["suspected"]),
    ],
    ids=str,
)
def test_search_and_filters(open_server, query, found, serving):
    names = {serving.key(name): name for name in serving.UIDS}
    assert sorted(names[row["key"]] for row in listed(open_server, **query)["studies"]) == found


@pytest.mark.parametrize(
    ("patient", "shown"), [("hidden", None), ("initials", "C. B."), ("full", "CANARYFAMILY, Berta · CANARY-4711")]
)
def test_the_patient_is_shown_as_configured(results, tmp_path, patient, shown, serving):
    with serving.running(results, tmp_path / "state", WebSettings(patient=patient)) as server:
        rows = {row["key"]: row for row in listed(server)["studies"]}
    assert rows[serving.key("suspected")]["patient"] == shown


def test_hidden_patients_are_in_no_answer_and_uids_in_no_address(open_server, serving):
    with open_server.reader() as client:
        answers = [client.get("/api/studies"), client.get(f"/api/studies/{serving.key('suspected')}")]
        assert client.get("/api/studies", headers={"X-Search": quote(serving.CANARY)}).json()["studies"] == []
    assert all(answer.status_code == 200 for answer in answers)
    assert not any(word in answer.text for word in (serving.CANARY, serving.CANARY_ID) for answer in answers)
    assert serving.UIDS["suspected"] not in answers[0].text


def test_a_new_result_appears_and_a_changed_one_changes(open_server, results, reports, serving):
    assert listed(open_server)["total"] == len(serving.UIDS)
    serving.write_result(results, replace(reports["not_detected"], study_instance_uid="1.2.3.100"))
    path = results / serving.UIDS["damaged"] / "result.json"
    path.write_text(
        (results / serving.UIDS["suspected"] / "result.json")
        .read_text()
        .replace(serving.UIDS["suspected"], serving.UIDS["damaged"])
    )
    os.utime(path, (1, 1))
    open_server.app.state.context._studies = (float("-inf"), {})
    found = listed(open_server)
    assert found["total"] == len(serving.UIDS) + 1
    assert next(row for row in found["studies"] if row["key"] == serving.key("damaged"))["state"] == "suspected"


def test_a_link_to_ohif_only_where_one_is_configured(results, tmp_path, serving):
    address = "https://pacs.example.org/ohif/viewer?StudyInstanceUIDs="
    for ohif_url, link in (("", None), (address, address + serving.UIDS["suspected"])):
        with serving.running(results, tmp_path / "state", WebSettings(ohif_url=ohif_url)) as server, server.client() as client:
            assert client.get(f"/api/studies/{serving.key('suspected')}").json()["ohif"] == link


def test_changes_are_told_as_they_happen_and_say_nothing_else(open_server, results, serving):
    with open_server.client() as client, client.stream("GET", "/api/events") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith(("event:", "data:")))
        assert [next(lines), next(lines)] == ["event: changed", "data: 1"]
        (results / serving.UIDS["damaged"] / "result.json").write_text("{}")
        assert [next(lines), next(lines)] == ["event: changed", "data: 2"]
