"""The event log keeps what was written, notices what was changed, and has no room for a patient's name."""

import hashlib
import json
import multiprocessing
import resource
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from lvo.errors import InputError, OutputError, UsageError
from lvo.eventlog import FIRST, Event, EventKind, Facts, append_events, parse_time, read_events

T0 = datetime(2026, 3, 1, 23, 50, tzinfo=UTC)


def event(kind="arrival", *, minutes=0, case="c1", **facts) -> Event:
    return Event(at=T0 + timedelta(minutes=minutes), kind=EventKind(kind), case=case, site="NR47UY", facts=Facts(**facts))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "events.jsonl"
    append_events(path, [event("onset", onset_seen=False), event("arrival", minutes=40, deprivation_decile=3)])
    append_events(path, [event("result_out", minutes=70, call="suspected"), event("final_diagnosis", minutes=4000, lvo=True)])
    return path


def test_what_was_written_comes_back_in_order(log):
    events = read_events(log)
    assert [e.kind.value for e in events] == ["onset", "arrival", "result_out", "final_diagnosis"]
    assert [e.n for e in events] == [0, 1, 2, 3]
    assert events[1].at == T0 + timedelta(minutes=40)
    assert events[1].facts == Facts(deprivation_decile=3)
    assert events[2].facts.call == "suspected"
    assert events[0].facts.onset_seen is False


def test_the_chain_can_be_checked_without_this_program(log):
    """SHA-256 over the line without its own hash, keys sorted, no spaces: anyone can repeat it."""
    previous = FIRST
    for line in log.read_text().splitlines():
        content = json.loads(line)
        own = content.pop("sha256")
        assert content["previous"] == previous
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(canonical.encode()).hexdigest() == own
        previous = own


@pytest.mark.parametrize(
    ("change", "line"),
    [
        pytest.param(lambda lines: [lines[0], lines[1].replace('"deprivation_decile":3', '"deprivation_decile":4'), *lines[2:]],
                     2, id="a fact was changed"),
        pytest.param(lambda lines: [lines[0].replace("T23:50", "T23:40"), *lines[1:]], 1, id="a time was changed"),
        pytest.param(lambda lines: [lines[0], *lines[2:]], 2, id="a line was removed"),
        pytest.param(lambda lines: [lines[0], lines[1], lines[1], *lines[2:]], 3, id="a line was put in"),
        pytest.param(lambda lines: [lines[1], lines[0], *lines[2:]], 1, id="lines were exchanged"),
        pytest.param(lambda lines: [*lines[:3], "{}"], 4, id="no event"),
        pytest.param(lambda lines: [*lines[:3], "DOE^JANE"], 4, id="no JSON"),
    ],
)  # fmt: skip
def test_a_changed_log_is_refused_and_the_line_is_named(log, change, line):
    log.write_text("\n".join(change(log.read_text().splitlines())) + "\n")
    with pytest.raises(InputError, match=rf"line {line}\b") as caught:
        read_events(log)
    assert "DOE" not in str(caught.value)


def test_half_a_line_is_refused_by_reader_and_writer(log):
    log.write_bytes(log.read_bytes()[:-20])
    for action in (lambda: read_events(log), lambda: append_events(log, [event()])):
        with pytest.raises(InputError, match="half a line"):
            action()


def test_nothing_is_appended_to_a_changed_last_line(log):
    log.write_text(log.read_text().replace('"lvo":true', '"lvo":false'))
    before = log.read_bytes()
    with pytest.raises(InputError, match="last line was changed"):
        append_events(log, [event()])
    assert log.read_bytes() == before


@pytest.mark.parametrize(
    ("case", "site"),
    [
        pytest.param("Jane Doe", "NR47UY", id="a name"),
        pytest.param("943-476-5919", "NR47UY", id="a patient number with dashes"),
        pytest.param("9434765919", "NR47UY", id="a patient number"),
        pytest.param("", "NR47UY", id="nothing"),
        pytest.param("c1", "St. Mary's", id="the site in words"),
    ],
)
def test_a_name_or_a_patient_number_is_no_case(case, site):
    with pytest.raises(ValueError, match="must be") as caught:
        Event(at=T0, kind=EventKind.ARRIVAL, case=case, site=site)
    assert not case or case not in str(caught.value)


def test_ten_digits_that_are_no_patient_number_may_be_a_case():
    assert Event(at=T0, kind=EventKind.ARRIVAL, case="9434765918", site="A").case == "9434765918"


@pytest.mark.parametrize(
    "facts",
    ['{"name":"x"}', '{"call":"positive"}', '{"mtici":"2"}', '{"deprivation_decile":11}', '{"scanner":"a\\nb"}'],
    ids=str,
)
def test_facts_hold_nothing_but_what_they_are_for(facts):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(facts, type=Facts)


def test_a_time_without_offset_is_refused():
    with pytest.raises(ValueError, match="no offset"):
        Event(at=datetime(2026, 3, 1), kind=EventKind.CTA, case="c1", site="A")  # noqa: DTZ001 - that is the point
    for text in ("2026-03-01T14:05", "yesterday", "14:05"):
        with pytest.raises(UsageError, match="offset from UTC"):
            parse_time(text)
    assert parse_time("2026-03-01T14:05+01:00") == parse_time("2026-03-01T13:05Z")


def test_an_unwritable_place_is_an_error_in_words(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        append_events(tmp_path / "no" / "such" / "log", [event()])
    with pytest.raises(InputError, match="cannot be read"):
        read_events(tmp_path / "none")


def test_a_full_disk_leaves_the_log_as_it_was(log):
    """No half line: what does not fit is not there, and the next event finds the chain whole."""
    before = log.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            append_events(log, [event("read", minutes=80), event("referred", minutes=81)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.read_bytes() == before
    append_events(log, [event("read", minutes=80)])
    assert len(read_events(log)) == 5


def _write_many(path, case):
    for minutes in range(25):
        append_events(path, [event(minutes=minutes, case=case)])


def test_several_writers_at_once_keep_the_chain(tmp_path):
    """Four processes write to one log: nothing is lost and the chain holds."""
    path = tmp_path / "events.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path, f"w{n}")) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = read_events(path)
    assert len(events) == 100
    for n in range(4):
        own = [e.at for e in events if e.case == f"w{n}"]
        assert own == sorted(own)
        assert len(own) == 25
