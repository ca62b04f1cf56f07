"""A made-up service whose truth is known."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lvo.eventlog import Event, EventKind, Facts

FIRST = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""A Monday morning."""


class Log:
    """Events of cases, by minutes after the first of their events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def add(self, case: str, kind: str, minutes: float, *, start: datetime = FIRST, site: str = "SPOKE1", **facts) -> None:
        """One event."""
        at = start + timedelta(minutes=minutes)
        self.events.append(Event(at=at, kind=EventKind(kind), case=case, site=site, facts=Facts(**facts)))


@pytest.fixture
def log() -> Log:
    return Log()


def service(n: int = 1200, *, seed: int = 1, months: int = 24) -> list[Event]:
    """Two hospitals, `n` cases over some months.

    Truth: door-in to door-out has a median of 120 min in SPOKE1 and 90 in SPOKE2; CT angiogram to result 5 min; onset to
    puncture 300 min; the program is right in 8 of 10 suspicions; scanner B can judge nothing in the last two months.
    """
    rng = np.random.default_rng(seed)
    log = Log()
    for k in range(n):
        site, scanner = ("SPOKE1", "A") if k % 2 else ("SPOKE2", "B")
        start = FIRST + timedelta(days=float(k * 30.4 * months / n), minutes=float(rng.integers(0, 1440)))
        name = f"c{k}"
        occluded = rng.random() < 0.3
        broken = scanner == "B" and k >= n * (months - 2) / months
        suspected = rng.random() < (0.9 if occluded else 0.0964)  # 0.27 right and 0.0675 wrong of all: 8 in 10
        call = "not_assessable" if broken else "suspected" if suspected else "not_detected"
        common = {"start": start, "site": site}
        log.add(name, "onset", -90, onset_seen=bool(rng.random() < 0.7), **common)
        log.add(name, "arrival", 0, deprivation_decile=int(rng.integers(1, 11)), **common)
        log.add(name, "ncct", 20, **common)
        if rng.random() < 0.8:
            log.add(name, "cta", 30, scanner=scanner, **common)
            log.add(name, "result_out", 30 + float(rng.lognormal(np.log(5), 0.3)), call=call, **common)
        log.add(name, "final_diagnosis", 5000, lvo=bool(occluded), **common)
        if occluded and rng.random() < 0.5:
            out = float(rng.lognormal(np.log(120 if site == "SPOKE1" else 90), 0.25))
            log.add(name, "door_out", out, **common)
            log.add(name, "hub_arrival", out + 40, **{**common, "site": "HUB"})
            puncture = float(rng.lognormal(np.log(300), 0.1)) - 90
            log.add(name, "puncture", puncture, **{**common, "site": "HUB"})
            grade = "2b" if rng.random() < 0.81 else "2a"
            log.add(name, "reperfusion", puncture + 45, mtici=grade, **{**common, "site": "HUB"})
    return log.events


@pytest.fixture(scope="session")
def events() -> list[Event]:
    return service()
