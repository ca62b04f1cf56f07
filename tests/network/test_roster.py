"""A centre is open, closed, or of unknown hours: at night, over midnight, on holidays and when the clock changes."""

from datetime import UTC, datetime, timedelta

import pytest

from lvo.errors import InputError, UsageError
from lvo.network.roster import read_roster

TABLE = """unit,days,open,close
DAY,mon-fri,08:00,18:00
DAY,sat,09:00,13:00
NIGHT,fri-mon,20:00,06:00
ALWAYS,daily,00:00,24:00
DAY,2026-01-16,,
DAY,2026-01-18,10:00,12:00
"""


@pytest.fixture
def roster(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text(TABLE)
    return read_roster(path, time_zone="Europe/London")


@pytest.mark.parametrize(
    ("unit", "at", "is_open"),
    [
        ("DAY", "2026-01-14T07:59", False), ("DAY", "2026-01-14T08:00", True), ("DAY", "2026-01-14T17:59", True),
        ("DAY", "2026-01-14T18:00", False), ("DAY", "2026-01-17T12:00", True), ("DAY", "2026-01-17T13:00", False),
        ("DAY", "2026-01-16T12:00", False), ("DAY", "2026-01-18T11:00", True), ("DAY", "2026-01-25T11:00", False),
        ("NIGHT", "2026-01-16T20:00", True), ("NIGHT", "2026-01-17T05:59", True), ("NIGHT", "2026-01-17T06:00", False),
        ("NIGHT", "2026-01-20T05:00", True), ("NIGHT", "2026-01-21T05:00", False), ("NIGHT", "2026-01-14T22:00", False),
        ("ALWAYS", "2026-01-14T00:00", True), ("ALWAYS", "2026-01-14T23:59", True), ("NOBODY", "2026-01-14T12:00", None),
    ],
)  # fmt: skip
def test_hours(roster, unit, at, is_open):
    assert roster.is_open(unit, datetime.fromisoformat(at).replace(tzinfo=roster.zone)) is is_open


def test_the_hours_are_local_in_winter_and_in_summer(roster):
    """08:00 in London is 08:00 UTC in January and 07:00 UTC in July."""
    assert roster.is_open("DAY", datetime(2026, 1, 14, 7, 30, tzinfo=UTC)) is False
    assert roster.is_open("DAY", datetime(2026, 7, 15, 7, 30, tzinfo=UTC)) is True
    assert roster.is_open("DAY", datetime(2026, 7, 15, 17, 30, tzinfo=UTC)) is False


@pytest.mark.parametrize(
    ("unit", "at", "opens"),
    [
        ("DAY", "2026-01-15T19:00", "2026-01-17T09:00"),  # the holiday is skipped
        ("NIGHT", "2026-01-14T12:00", "2026-01-16T20:00"),
        ("DAY", "2026-03-28T22:00", "2026-03-30T08:00"),  # over the change of the clock
        ("NOBODY", "2026-01-14T12:00", None),
    ],
)
def test_when_it_opens_next(roster, unit, at, opens):
    found = roster.opens_next(unit, datetime.fromisoformat(at).replace(tzinfo=roster.zone))
    assert (None if found is None else found.strftime("%Y-%m-%dT%H:%M")) == opens


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("A,mon-fri,8h,18:00", "line 2: open and close must be", id="a time in another form"),
        pytest.param("A,mon-fri,08:00,", "open and close must be", id="no closing"),
        pytest.param("A,monday,08:00,18:00", "days must be", id="a day in full"),
        pytest.param("A,2026-02-30,08:00,18:00", "days must be", id="no such date"),
        pytest.param("A,mon-fry,08:00,18:00", "days must be", id="misspelt"),
        pytest.param("A,mon,25:00,26:00", "open and close must be", id="no such hour"),
        pytest.param("CB2 0QQ,mon,08:00,18:00", "line 2: there is no unit 'CB2 0QQ'", id="nobody knows the unit"),
        pytest.param(",mon,08:00,18:00", "line 2: there is no unit ''", id="no unit"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named(tmp_path, line, words):
    path = tmp_path / "roster.csv"
    path.write_text(f"unit,days,open,close\n{line}\n")
    with pytest.raises(InputError, match=words):
        read_roster(path, time_zone="Europe/London", known={"A"})


def test_a_roster_that_is_none_is_refused(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("unit,hours\nA,all\n")
    with pytest.raises(InputError, match="needs the columns"):
        read_roster(path, time_zone="Europe/London")
    with pytest.raises(InputError, match="cannot be read"):
        read_roster(tmp_path / "none.csv", time_zone="Europe/London")
    with pytest.raises(UsageError, match="no time zone"):
        read_roster(path, time_zone="Europe/Norwich")


def test_a_week_without_holidays_agrees_with_the_calendar(roster):
    """Two ways to the same answer, at every half hour of a week: the timetable, and the calendar with its clock."""
    monday = datetime(2026, 1, 5, tzinfo=roster.zone)
    for unit in ("DAY", "NIGHT", "ALWAYS"):
        for half_hours in range(336):
            at = monday + timedelta(minutes=30 * half_hours)
            assert roster.open_in_week(unit, half_hours / 2) is roster.is_open(unit, at), (unit, at)
    with pytest.raises(UsageError, match="no opening hours for NOBODY"):
        roster.open_in_week("NOBODY", 3)
