"""Events of a log put together by case: what counts is the last event of each kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from lvo.eventlog import LOG_CASE, AiCall, Event, EventKind

__all__ = ["Case", "cases_of", "in_groups", "in_office_hours", "quintile_of", "start_date"]

OFFICE_HOURS = (8, 18)
"""Monday to Friday, local time: when a hospital has most of its staff."""


@dataclass(frozen=True, slots=True)
class Case:
    """One patient's episode under its pseudonym, with the last event of each kind."""

    name: str
    events: Mapping[EventKind, Event]

    @property
    def start(self) -> datetime:
        """Arrival, or the first event where that is not on record."""
        arrival = self.at(EventKind.ARRIVAL)
        return arrival or min(event.at for event in self.events.values())

    @property
    def site(self) -> str:
        """The hospital of arrival, or of the first event there is; never the centre the patient was brought to."""
        arrival = self.events.get(EventKind.ARRIVAL)
        return arrival.site if arrival else min(self.events.values(), key=lambda event: event.at).site

    @property
    def call(self) -> AiCall | None:
        """What the program said, None when it was not asked."""
        result = self.events.get(EventKind.RESULT_OUT)
        return None if result is None else result.facts.call

    @property
    def lvo(self) -> bool | None:
        """Whether there was an occlusion after all, None when that is not known."""
        final = self.events.get(EventKind.FINAL_DIAGNOSIS)
        return None if final is None else final.facts.lvo

    @property
    def mtici(self) -> str | None:
        """Grade of reperfusion, None when that is not known."""
        reperfusion = self.events.get(EventKind.REPERFUSION)
        return None if reperfusion is None else reperfusion.facts.mtici

    @property
    def scanner(self) -> str | None:
        """Label of the scanner of the CT angiogram, or of the plain CT."""
        scans = (self.events.get(kind) for kind in (EventKind.CTA, EventKind.NCCT))
        return next((scan.facts.scanner for scan in scans if scan is not None and scan.facts.scanner), None)

    @property
    def deprivation_decile(self) -> int | None:
        """Of the patient's area, 1 is most deprived."""
        arrival = self.events.get(EventKind.ARRIVAL)
        return None if arrival is None else arrival.facts.deprivation_decile

    @property
    def onset_seen(self) -> bool:
        """The time of onset is that of the first symptom, as far as is known."""
        onset = self.events.get(EventKind.ONSET)
        return onset is not None and onset.facts.onset_seen is True

    def at(self, kind: EventKind) -> datetime | None:
        """When something happened, None when it did not or is not on record."""
        event = self.events.get(kind)
        return None if event is None else event.at

    def minutes(self, start: EventKind, end: EventKind) -> float | None:
        """Minutes from one event to another, negative in the wrong order; None when one is not on record."""
        first, last = self.at(start), self.at(end)
        return None if first is None or last is None else (last - first).total_seconds() / 60.0


def cases_of(events: Iterable[Event]) -> tuple[Case, ...]:
    """Cases in the order of their start.

    Args:
        events: in the order in which they were written: a later one of the same kind corrects an earlier one.
    """
    found: dict[str, dict[EventKind, Event]] = {}
    for event in events:
        if event.case == LOG_CASE:
            continue
        found.setdefault(event.case, {})[event.kind] = event
    return tuple(sorted((Case(name, kinds) for name, kinds in found.items()), key=lambda case: (case.start, case.name)))


def start_date(case: Case, zone: ZoneInfo) -> str:
    """Day of the start, as 2026-03-01."""
    return f"{case.start.astimezone(zone):%Y-%m-%d}"


def in_groups(cases: Sequence[Case], size: int) -> list[Sequence[Case]]:
    """Cases in groups of equal size in the order of their start; what is left over at the end is no group yet."""
    return [cases[n : n + size] for n in range(0, len(cases) - size + 1, size)]


def in_office_hours(case: Case, zone: ZoneInfo) -> bool:
    """Whether the case started on a weekday in working hours."""
    local = case.start.astimezone(zone)
    return local.weekday() < 5 and OFFICE_HOURS[0] <= local.hour < OFFICE_HOURS[1]


def quintile_of(case: Case) -> str:
    """Fifth of deprivation in words, "unknown" where it is."""
    decile = case.deprivation_decile
    names: Sequence[str] = ("1 (most deprived)", "2", "3", "4", "5 (least deprived)")
    return "unknown" if decile is None else names[(decile - 1) // 2]
