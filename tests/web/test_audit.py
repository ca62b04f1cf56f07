"""The audit log as those see it who may: complete, filtered, in pages, and honest about its chain."""

import json

import pytest

from lvo.delivery.link import study_key
from lvo.eventlog import EventKind
from lvo.web.accounts import Accounts
from lvo.web.settings import WebSettings

PASSWORD = "correct horse battery"  # noqa: S105 - of a made-up account


@pytest.fixture
def admin(results, tmp_path, serving):
    """A server with a log of 30 views by two people and two decisions, and the client of an admin."""
    accounts = Accounts(tmp_path / "state")
    for name, role in (("boss", "admin"), ("anna", "reader")):
        accounts.put(name, role, PASSWORD)
    with serving.running(results, tmp_path / "state", WebSettings(), needs_accounts=True) as server:
        journal = server.app.state.context.journal
        for n in range(30):
            journal.note(EventKind.VIEWED, "anna" if n % 2 else "bert", case=f"1.2.{n}")
        with server.signed_in("anna", PASSWORD) as anna:
            path = f"/api/studies/{serving.key('suspected')}"
            assert anna.post(f"{path}/acknowledge").status_code == 200
            assert anna.post(f"{path}/opinion", json={"agree": False, "reason": "artefact"}).status_code == 200
        with server.signed_in("boss", PASSWORD) as client:
            client.log = server.state / "audit.jsonl"
            yield client


def asked(client, **query):
    answer = client.get("/api/audit", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_line_is_there_the_newest_first_and_the_chain_is_whole(admin):
    found = asked(admin)
    assert [line["n"] for line in found["lines"]] == list(range(33, -1, -1))
    assert [line["kind"] for line in found["lines"][:4]] == ["signed_in", "opinion", "acknowledged", "signed_in"]
    assert (found["total"], found["found"], found["problem"], found["older"]) == (34, 34, "", None)


@pytest.mark.parametrize(
    ("query", "n_found"),
    [
        ({"show": "views"}, 30), ({"show": "decisions"}, 2), ({"show": "people"}, 2), ({"by": "bert"}, 15),
        ({"by": "anna", "show": "views"}, 15), ({"by": "nobody"}, 0), ({"key": study_key("1.2.7")}, 1), ({"key": "0" * 24}, 0),
    ],
    ids=str,
)  # fmt: skip
def test_filters(admin, query, n_found):
    found = asked(admin, **query)
    assert found["found"] == len(found["lines"]) == n_found
    assert found["total"] == 34


def test_pages_follow_each_other_without_gap_or_repetition(admin):
    seen, before = [], {}
    while before is not None:
        page = asked(admin, by="anna", limit=7, **before)
        assert page["found"] == 18
        seen += [line["n"] for line in page["lines"]]
        before = None if page["older"] is None else {"before": page["older"]}
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 18


def test_decisions_say_what_and_why_and_no_uid_is_in_the_answer(admin, serving):
    opinion = asked(admin, show="decisions")["lines"][0]
    assert (opinion["by"], opinion["agree"], opinion["reason"]) == ("anna", False, "artefact")
    assert opinion["key"] == serving.key("suspected")
    assert serving.UIDS["suspected"] not in admin.get("/api/audit").text


@pytest.mark.parametrize("what", ["changed", "removed", "half a line"])
def test_a_broken_chain_is_said_and_only_what_stands_before_it_is_shown(admin, what):
    lines = admin.log.read_bytes().splitlines(keepends=True)
    if what == "changed":
        event = json.loads(lines[9])
        event["facts"]["by"] = "carl"
        lines[9] = json.dumps(event).encode() + b"\n"
    elif what == "removed":
        del lines[9]
    else:
        lines.append(b'{"n": 34')
    admin.log.write_bytes(b"".join(lines))
    found = asked(admin)
    assert "audit.jsonl" in found["problem"]
    assert str(admin.log.parent) not in found["problem"], "a path of the server"
    assert found["total"] == (34 if what == "half a line" else 9)
    assert "carl" not in json.dumps(found["lines"])


def test_nothing_can_be_written_there(admin):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert admin.request(method, "/api/audit").status_code == 405
    assert asked(admin)["total"] == 34
