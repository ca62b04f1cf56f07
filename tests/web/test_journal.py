"""What people do is on record, in a chain that shows what was altered."""

import pytest

from lvo.errors import InputError, UsageError
from lvo.eventlog import EventKind, read_events
from lvo.web.journal import Journal, Opinion
from lvo.web.source import StudyEntry

ENTRY = StudyEntry("1.2.3", ())


def test_acknowledgements_and_opinions_survive_a_restart(tmp_path):
    journal = Journal(tmp_path, site="NR47UY")
    journal.acknowledge("1.2.3", "anna")
    journal.acknowledge("1.2.3", "bert")
    journal.judge(ENTRY, Opinion(agree=False, reason="artefact"), "anna")
    journal.judge(ENTRY, Opinion(agree=True), "bert")
    again = Journal(tmp_path, site="NR47UY")
    assert again.seen("1.2.3").by == "anna"
    assert (again.opinion("1.2.3").by, again.opinion("1.2.3").agree) == ("bert", True)
    assert again.seen("1.2.4") is None


def test_an_altered_log_is_not_taken_for_the_truth(tmp_path):
    Journal(tmp_path, site="NR47UY").acknowledge("1.2.3", "anna")
    log = tmp_path / "audit.jsonl"
    log.write_text(log.read_text().replace("anna", "bert"))
    with pytest.raises(InputError, match="chain is broken"):
        Journal(tmp_path, site="NR47UY")


def test_the_clock_of_the_service_hears_of_the_first_reading_only(tmp_path):
    service = tmp_path / "events.jsonl"
    journal = Journal(tmp_path / "state", site="NR47UY", service_log=str(service))
    journal.acknowledge("1.2.3", "anna")
    journal.acknowledge("1.2.3", "bert")
    (event,) = read_events(service)
    assert (event.kind, event.case, event.facts.by) == (EventKind.READ, "1.2.3", None)


def test_half_a_line_that_a_power_cut_left_is_put_aside(tmp_path):
    Journal(tmp_path, site="NR47UY").acknowledge("1.2.3", "anna")
    log = tmp_path / "audit.jsonl"
    with log.open("ab") as file:
        file.write(b'{"at":"2026-')
    again = Journal(tmp_path, site="NR47UY")
    again.acknowledge("1.2.4", "bert")
    kinds = [EventKind.ACKNOWLEDGED, EventKind.MENDED, EventKind.ACKNOWLEDGED]
    assert [event.kind for event in read_events(log)] == kinds
    assert (again.seen("1.2.3").by, again.seen("1.2.4").by) == ("anna", "bert")
    (aside,) = tmp_path.glob("audit.jsonl.torn-*")
    assert aside.read_bytes() == b'{"at":"2026-'


@pytest.mark.parametrize("name", ["Anna Smith", "", "a" * 65])
def test_only_accounts_get_into_the_log(tmp_path, name):
    journal = Journal(tmp_path, site="NR47UY")
    with pytest.raises(UsageError):
        journal.note(EventKind.VIEWED, name, case="1.2.3")
