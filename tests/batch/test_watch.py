"""Sources that are watched: studies that arrive, and sources that fail for a while."""

import pytest
from batch_phantoms import plain_study

from lvo.batch.table import open_table
from lvo.batch.watch import Watch
from lvo.errors import InputError


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""

    class Clock:
        now_s = 1000.0

        def monotonic(self):
            return self.now_s

    made = Clock()
    monkeypatch.setattr("lvo.batch.watch.time", made)
    return made


@pytest.fixture
def table(tmp_path):
    with open_table(tmp_path / "out", "sqlite") as opened:
        yield opened


def test_a_study_is_taken_only_when_it_has_stopped_growing(tmp_path, table, clock):
    root = tmp_path / "in"
    plain_study(root / "s", 1)
    watch, said = Watch([str(root)], every_s=30.0), []

    def look():
        clock.now_s += 30.0
        return watch.look(table, said.append)

    assert look() == 0
    (root / "s" / "late").write_bytes(next((root / "s").iterdir()).read_bytes())
    assert look() == 0, "it grew since"
    assert look() == 1
    assert look() == 0
    assert said == []


def test_nothing_is_looked_at_before_its_time(tmp_path, table, clock):
    root = tmp_path / "in"
    root.mkdir()
    watch = Watch([str(root)], every_s=30.0)
    watch.look(table, print)
    plain_study(root / "s", 1)
    for _ in range(3):
        clock.now_s += 9.0
        watch.look(table, print)
    assert watch._seen == {}
    clock.now_s += 9.0
    watch.look(table, print)
    assert len(watch._seen) == 1


def test_a_source_that_fails_for_a_while_stops_neither_the_watch_nor_the_others(tmp_path, table, clock):
    gone, other = tmp_path / "DOE^JANE", tmp_path / "other"
    gone.mkdir()
    other.mkdir()
    watch, said = Watch([str(gone), str(other)], every_s=30.0), []
    watch.look(table, said.append)
    gone.rmdir()
    plain_study(other / "s", 1)
    added = 0
    for _ in range(10):
        clock.now_s += 30.0
        added += watch.look(table, said.append)
    assert added == 1, "the other source goes on"
    assert len(said) == 3, "it was tried after 30, 60 and 120 s more"
    assert "source 1 cannot be looked at" in said[0]
    assert said[0].endswith("tried again in 1 min")
    assert said[2].endswith("tried again in 4 min")
    assert not any("DOE" in text for text in said)
    plain_study(gone / "s", 2)
    for _ in range(9):
        clock.now_s += 30.0
        added += watch.look(table, said.append)
    assert added == 2
    assert said[-1] == "source 1 is there again"


def test_a_source_that_is_gone_for_long_is_asked_every_quarter_of_an_hour(tmp_path, table, clock):
    root = tmp_path / "in"
    root.mkdir()
    watch, said = Watch([str(root)], every_s=30.0), []
    watch.look(table, said.append)
    root.rmdir()
    for _ in range(60 * 24):
        clock.now_s += 60.0
        watch.look(table, said.append)
    assert 24 * 4 - 4 <= len(said) <= 24 * 4 + 4


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("every_s", [None, 30.0])
def test_a_source_that_was_never_there_is_an_error_at_once(tmp_path, table, every_s):
    with pytest.raises(InputError, match="no such file"):
        Watch([str(tmp_path / "typo")], every_s=every_s).look(table, print)
