"""Waiting for an ambulance crew and for a laboratory, as a simulation of single patients (simpy)."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import simpy

__all__ = ["QueueSettings", "Waiting", "simulate"]

YEAR_MIN = 365.25 * 1440.0


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """One centre and the ambulances that bring patients to it.

    Args:
        transfers_per_year: patients brought from other hospitals.
        direct_per_year: patients of the centre itself, who need the laboratory too.
        crews: ambulances for transfers.
        labs: laboratories.
        ready_min: mean time from arrival at the first hospital until the patient could leave.
        ready_sd_min: its standard deviation (log-normal).
        drive_min: to the centre; the crew is back after twice that and a handover.
        handover_min: at the centre.
        door_to_lab_min: from arrival at the centre until the laboratory is needed.
        procedure_min: mean time that the laboratory is taken.
        procedure_sd_min: its standard deviation (log-normal); 0 for a fixed time.
        years: simulated.
        seed: of the simulation.
    """

    transfers_per_year: float
    direct_per_year: float = 0.0
    crews: int = 1
    labs: int = 1
    ready_min: float = 100.0
    ready_sd_min: float = 25.0
    drive_min: float = 40.0
    handover_min: float = 20.0
    door_to_lab_min: float = 30.0
    procedure_min: float = 90.0
    procedure_sd_min: float = 30.0
    years: float = 20.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Waiting:
    """What came of it, in minutes; all 0 where nobody came.

    Args:
        door_in_door_out: median and 95th percentile, waiting for a crew included.
        for_crew: mean and 95th percentile of that waiting.
        for_lab: mean and 95th percentile of waiting for the laboratory.
    """

    door_in_door_out: tuple[float, float]
    for_crew: tuple[float, float]
    for_lab: tuple[float, float]


@dataclass(slots=True)
class _Record:
    door_in_door_out: list[float] = field(default_factory=list)
    for_crew: list[float] = field(default_factory=list)
    for_lab: list[float] = field(default_factory=list)


def simulate(settings: QueueSettings) -> Waiting:
    """Let patients arrive at random and wait; the same seed gives the same result."""
    import simpy

    environment = simpy.Environment()
    service = _Service(environment, settings)
    environment.process(service.arrivals(settings.transfers_per_year, service.transferred))
    environment.process(service.arrivals(settings.direct_per_year, service.in_lab))
    environment.run(until=settings.years * YEAR_MIN)
    record = service.record
    return Waiting(_summary(record.door_in_door_out, median=True), _summary(record.for_crew), _summary(record.for_lab))


class _Service:
    """Crews, laboratories, and what happens to a patient."""

    def __init__(self, environment: "simpy.Environment", settings: QueueSettings) -> None:
        import simpy

        self.environment, self.settings, self.record = environment, settings, _Record()
        self.rng = np.random.default_rng(settings.seed)
        self.crews = simpy.Resource(environment, settings.crews)
        self.labs = simpy.Resource(environment, settings.labs)

    def arrivals(self, per_year: float, patient: Any) -> Generator[Any, Any, None]:  # noqa: ANN401 - a process of simpy
        """Patients at random times."""
        while per_year > 0:
            yield self.environment.timeout(self.rng.exponential(YEAR_MIN / per_year))
            self.environment.process(patient())

    def transferred(self) -> Generator[Any, Any, None]:
        """Ready, wait for a crew, drive; the crew hands over and drives back."""
        arrived = self.environment.now
        yield self.environment.timeout(self._time(self.settings.ready_min, self.settings.ready_sd_min))
        asked = self.environment.now
        with self.crews.request() as crew:
            yield crew
            self.record.for_crew.append(self.environment.now - asked)
            self.record.door_in_door_out.append(self.environment.now - arrived)
            yield self.environment.timeout(self.settings.drive_min)
            self.environment.process(self.in_lab())
            yield self.environment.timeout(self.settings.handover_min + self.settings.drive_min)

    def in_lab(self) -> Generator[Any, Any, None]:
        """Wait for the laboratory and take it."""
        yield self.environment.timeout(self.settings.door_to_lab_min)
        asked = self.environment.now
        with self.labs.request() as lab:
            yield lab
            self.record.for_lab.append(self.environment.now - asked)
            yield self.environment.timeout(self._time(self.settings.procedure_min, self.settings.procedure_sd_min))

    def _time(self, mean: float, sd: float) -> float:
        """A log-normal time of given mean and standard deviation."""
        if sd == 0:
            return mean
        variance = np.log1p((sd / mean) ** 2)
        return float(self.rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance)))


def _summary(minutes: list[float], *, median: bool = False) -> tuple[float, float]:
    if not minutes:
        return 0.0, 0.0
    return float(np.median(minutes) if median else np.mean(minutes)), float(np.quantile(minutes, 0.95))
