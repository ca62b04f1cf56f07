"""When the thrombectomy centres are open: there is no public source, so a network keeps this table itself."""

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lvo.errors import InputError, UsageError

__all__ = ["Roster", "Shift", "read_roster"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_COLUMNS = ("unit", "days", "open", "close")
_LOOK_AHEAD_DAYS = 14
_WEEK_MIN = 7 * 1440


@dataclass(frozen=True, slots=True)
class Shift:
    """Opening hours of one unit on some weekdays, or on one date, in local time.

    Args:
        weekdays: 0 is Monday; empty for a date.
        date: the one day they hold, instead of what the week says; None for weekdays.
        open_min: minutes after midnight; None when closed that day.
        close_min: minutes after the same midnight; above 1440 when it closes on the next day.
    """

    weekdays: frozenset[int]
    date: date | None
    open_min: int | None
    close_min: int


@dataclass(frozen=True, slots=True)
class Roster:
    """Shifts per unit; a unit that is not in it has unknown hours.

    Args:
        shifts: by code of the unit.
        zone: whose clock the hours are read on.
    """

    shifts: Mapping[str, tuple[Shift, ...]]
    zone: ZoneInfo

    def is_open(self, code: str, at: datetime) -> bool | None:
        """Whether a unit is open at a moment, None when its hours are unknown."""
        if code not in self.shifts:
            return None
        local = at.astimezone(self.zone).date()
        hours = (span for day in (local - timedelta(days=1), local) for span in self._hours(code, day))
        return any(start <= at.astimezone(UTC) < end for start, end in hours)

    def open_in_week(self, code: str, hour: float) -> bool:
        """Whether a unit is open some hours after midnight of a Monday, holidays aside.

        Raises:
            UsageError: its hours are unknown.
        """
        if code not in self.shifts:
            msg = f"the roster has no opening hours for {code}; add them"
            raise UsageError(msg)
        minute = round(60 * hour) % _WEEK_MIN
        spans = ((1440 * day, s) for s in self.shifts[code] for day in s.weekdays if s.open_min is not None)
        return any((minute - start - (s.open_min or 0)) % _WEEK_MIN < s.close_min - (s.open_min or 0) for start, s in spans)

    def opens_next(self, code: str, at: datetime) -> datetime | None:
        """When a unit opens next, at or after a moment; None when that is unknown or not within two weeks."""
        first = at.astimezone(self.zone).date()
        days = (first + timedelta(days=n) for n in range(_LOOK_AHEAD_DAYS + 1))
        starts = [start for day in days for start, _ in self._hours(code, day) if start >= at.astimezone(UTC)]
        return min(starts).astimezone(self.zone) if starts else None

    def _hours(self, code: str, day: date) -> list[tuple[datetime, datetime]]:
        """Spans that begin on a day, in UTC: a date replaces what the week says."""
        shifts = self.shifts.get(code, ())
        valid = [s for s in shifts if s.date == day] or [s for s in shifts if day.weekday() in s.weekdays]
        return [(self._moment(day, s.open_min), self._moment(day, s.close_min)) for s in valid if s.open_min is not None]

    def _moment(self, day: date, minutes: int) -> datetime:
        """Wall-clock minutes after midnight, also across a change of the clock."""
        days, rest = divmod(minutes, 1440)
        wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), self.zone)
        return wall.astimezone(UTC)


def read_roster(path: Path, *, time_zone: str, known: Collection[str] | None = None) -> Roster:
    """Read a table with the columns unit, days, open, close.

    `days` is "mon-fri", "sat", "daily" or a date like 2026-12-25, which replaces the week on that day; `open` and `close` are
    like 08:00 and 24:00, and both empty when the unit is closed. Closing at or before opening means on the next day.

    Args:
        path: of the table.
        time_zone: whose clock the hours are read on.
        known: codes of units; any if omitted.

    Raises:
        InputError: the table cannot be read, or a row cannot be understood; the message names the line.
        UsageError: there is no such time zone.
    """
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = f"there is no time zone {time_zone!r}; write it as Europe/London"
        raise UsageError(msg) from error
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"the roster {path} cannot be read: {error}"
        raise InputError(msg) from error
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        msg = f"the roster {path} needs the columns {', '.join(_COLUMNS)} and a row per unit"
        raise InputError(msg)
    shifts: dict[str, tuple[Shift, ...]] = {}
    for line, row in enumerate(rows, 2):
        code = (row["unit"] or "").strip()
        if not code or (known is not None and code not in known):
            msg = f"{path}, line {line}: there is no unit {code!r}; `lvo network units` lists all with their codes"
            raise InputError(msg)
        shifts[code] = (*shifts.get(code, ()), _shift(row, f"{path}, line {line}"))
    return Roster(shifts, zone)


def _shift(row: Mapping[str, str | None], where: str) -> Shift:
    days, opens, closes = ((row[name] or "").strip().lower() for name in ("days", "open", "close"))
    weekdays, day = _days(days, where)
    if not opens and not closes:
        return Shift(weekdays, day, None, 0)
    start, end = _clock(opens, where), _clock(closes, where)
    return Shift(weekdays, day, start, end if end > start else end + 1440)


def _days(text: str, where: str) -> tuple[frozenset[int], date | None]:
    if text == "daily":
        return frozenset(range(7)), None
    first, _, last = text.partition("-")
    if first in _DAYS and (last in _DAYS or text == first):
        a, b = _DAYS.index(first), _DAYS.index(last or first)
        return frozenset((a + n) % 7 for n in range((b - a) % 7 + 1)), None
    try:
        return frozenset(), date.fromisoformat(text)
    except ValueError as error:
        msg = f"{where}: days must be like mon-fri, sat, daily or 2026-12-25, got {text!r}"
        raise InputError(msg) from error


def _clock(text: str, where: str) -> int:
    if not _CLOCK.fullmatch(text):
        msg = f"{where}: open and close must be like 08:00 or 24:00, or both empty when closed, got {text!r}"
        raise InputError(msg)
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)
