"""What a person sees while a batch runs."""

import pytest

from lvo.batch.columns import COLUMNS, failed_row
from lvo.batch.progress import Lines, Quiet, bar, row_words, span_words
from lvo.batch.records import Item, Kind, State

COUNTS = {State.QUEUED: 8, State.LEASED: 2, State.DONE: 0, State.FAILED: 0}
FAILED = failed_row(Item("/in/DOE^JANE", ("/in/DOE^JANE",)), Kind.TIME, "stopped after 900 s")
JUDGED = dict.fromkeys(COLUMNS) | {
    "study_instance_uid": "1.2.3", "status": "complete", "cta.lvo.call": "suspected", "cta.lvo.side": "left",
    "cta.lvo.site": "M1", "seconds": 31.26,
}  # fmt: skip
UNJUDGED = dict.fromkeys(COLUMNS) | {"study_instance_uid": "1.2.4", "status": "not_assessable", "seconds": 1.0}


@pytest.fixture
def clock(monkeypatch):
    """Ten minutes have passed since the beginning."""

    class Clock:
        now_s = 0.0

        def monotonic(self):
            return self.now_s

    made = Clock()
    monkeypatch.setattr("lvo.batch.progress.time", made)
    return made


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(JUDGED, "1.2.3 suspected left M1, 31.3 s", id="judged"),
        pytest.param(UNJUDGED, "1.2.4 COULD NOT BE JUDGED, 1.0 s", id="not judged"),
        pytest.param(FAILED, f"item {FAILED['item']} FAILED (time): stopped after 900 s", id="failed"),
    ],
)
def test_a_study_in_a_line(row, words):
    assert row_words(row) == words
    assert "DOE" not in words


@pytest.mark.parametrize(("seconds", "words"), [(12.4, "12 s"), (150.0, "2 min"), (3900.0, "1 h 05 min")])
def test_a_span_for_people(seconds, words):
    assert span_words(seconds) == words


def test_rate_and_remaining_time_follow_the_pace_of_this_run(clock):
    listener = Quiet(start_s=0.0)
    listener.counted(COUNTS)
    assert listener.pace() == ""
    clock.now_s = 600.0
    for _ in range(5):
        listener.ended(JUDGED)
    assert listener.pace() == "30 studies/h, 10 min left", "5 in 10 minutes; 3 queued and 2 in progress are left"


def test_a_log_has_a_line_per_study_and_per_remark(clock):
    lines = []
    listener = Lines(start_s=0.0, print_line=lines.append)
    listener.counted(COUNTS)
    clock.now_s = 60.0
    listener.ended(JUDGED)
    listener.say("the disk is nearly full")
    listener.counted(COUNTS)
    assert lines == [
        "10 items, 0 of them done before; 8 to do",
        "1: 1.2.3 suspected left M1, 31.3 s; 60 studies/h, 9 min left",
        "the disk is nearly full",
    ]


def test_a_terminal_shows_a_bar_and_failures_above_it(capsys):
    with bar() as listener:
        listener.counted(COUNTS)
        listener.ended(JUDGED)
        listener.ended(FAILED)
    shown = capsys.readouterr().err
    assert "FAILED (time): stopped after 900 s" in shown
    assert "2/10" in shown
    assert "1 failed" in shown
    assert "1.2.3" not in shown
