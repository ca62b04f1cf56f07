"""Who is how far from which unit, how many patients each unit gets, and what passing by the nearest unit changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.network.roster import Roster
from lvo.network.units import Areas, Units

__all__ = [
    "LIMITS_MIN", "Bypass", "Coverage", "Nearest", "Transfers", "bypass", "coverage", "nearest", "nearest_open", "transfers",
    "volumes",
]  # fmt: skip

LIMITS_MIN = (30.0, 45.0, 60.0, 90.0)
"""Travel times whose shares are given."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The nearest of some units for each of A areas.

    Args:
        units: the units, by code.
        index: (A,) which of them.
        minutes: (A,) how far.
    """

    units: tuple[str, ...]
    index: NDArray[np.intp]
    minutes: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Travel times weighted by admissions: mean, median, 95th percentile, and the share within each limit."""

    mean_min: float
    median_min: float
    p95_min: float
    within: Mapping[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Transfers:
    """Patients who reach a unit without thrombectomy first, by drip-and-ship.

    Args:
        first: nearest unit of each area.
        spoke: (A,) that unit does no thrombectomy.
        drive_min: (A,) from there to the nearest centre; 0 where no transfer is needed.
        mean_min: mean drive, by admissions.
        median_min: median drive, by admissions.
        p90_min: 90th percentile.
        centre_share: share of all patients whose first unit is a centre.
    """

    first: Nearest
    spoke: NDArray[np.bool_]
    drive_min: NDArray[np.float64]
    mean_min: float
    median_min: float
    p90_min: float
    centre_share: float


@dataclass(frozen=True, slots=True)
class Bypass:
    """What it changes when patients pass by the nearest unit if the centre is hardly farther.

    Args:
        redirected: share of all patients.
        thrombolysis_later_min: mean delay of their thrombolysis.
        thrombectomy_sooner_min: mean gain of their thrombectomy.
        centre_share: share of all patients whose first unit is then a centre.
    """

    redirected: float
    thrombolysis_later_min: float
    thrombectomy_sooner_min: float
    centre_share: float


def nearest(areas: Areas, units: Sequence[str]) -> Nearest:
    """The nearest of some units.

    Raises:
        UsageError: one of them cannot be reached.
    """
    minutes = areas.to_unit_min[:, areas.columns(units)]
    index = minutes.argmin(axis=1)
    return Nearest(tuple(units), index, minutes[np.arange(len(minutes)), index])


def nearest_open(areas: Areas, units: Sequence[str], roster: Roster, hours: Sequence[float]) -> tuple[Nearest, ...]:
    """The nearest open unit in each of some hours; where none is open the minutes are infinite.

    Args:
        areas: of patients.
        units: centres.
        roster: their opening hours, without holidays.
        hours: after midnight of a Monday, local time.

    Raises:
        UsageError: one of them cannot be reached, or has no opening hours.
    """
    found: dict[tuple[str, ...], Nearest] = {}
    result = []
    for hour in hours:
        is_open = tuple(code for code in units if roster.open_in_week(code, hour))
        if is_open not in found:
            found[is_open] = nearest(areas, is_open) if is_open else _nowhere(areas)
        result.append(found[is_open])
    return tuple(result)


def coverage(minutes: NDArray[np.float64], weights: NDArray[np.float64]) -> Coverage:
    """Weighted summary of travel times.

    Args:
        minutes: (N,) of any shape that fits the weights.
        weights: (N,) patients.
    """
    total = weights.sum()
    median, p95 = np.quantile(minutes, (0.5, 0.95), weights=weights, method="inverted_cdf")
    within = {limit: float(weights[minutes <= limit].sum() / total) for limit in LIMITS_MIN}
    return Coverage(float(np.average(minutes, weights=weights)), float(median), float(p95), within)


def volumes(areas: Areas, found: Nearest) -> dict[str, float]:
    """Admissions per year of each unit when everyone goes to the nearest."""
    counted = np.bincount(found.index, weights=areas.admissions, minlength=len(found.units))
    return dict(zip(found.units, counted.tolist(), strict=True))


def transfers(areas: Areas, units: Units, *, first_units: Sequence[str], centres: Sequence[str]) -> Transfers:
    """Drip-and-ship: first the nearest unit, then from there the nearest centre.

    Raises:
        UsageError: a unit has no travel times.
    """
    first = nearest(areas, list(dict.fromkeys([*first_units, *centres])))
    to_centre = np.array([min(units.drive_min(code, centre) for centre in centres) for code in first.units])
    is_centre = np.isin(first.units, centres)
    spoke = ~is_centre[first.index]
    drive_min = np.where(spoke, to_centre[first.index], 0.0)
    weights = areas.admissions * spoke
    if weights.sum() == 0:
        return Transfers(first, spoke, drive_min, 0.0, 0.0, 0.0, 1.0)
    median, p90 = np.quantile(drive_min, (0.5, 0.9), weights=weights, method="inverted_cdf")
    mean = float(np.average(drive_min, weights=weights))
    share = 1.0 - float(weights.sum() / areas.admissions.sum())
    return Transfers(first, spoke, drive_min, mean, float(median), float(p90), share)


def bypass(areas: Areas, moved: Transfers, to_centre: Nearest, *, most_extra_min: float, transfer_delay_min: float) -> Bypass:
    """Let patients pass by the nearest unit when a centre is at most some minutes farther.

    Args:
        areas: of patients.
        moved: drip-and-ship, which it is compared with.
        to_centre: nearest centre of each area.
        most_extra_min: extra drive from which the nearest unit is not passed by.
        transfer_delay_min: what a transfer costs beside the drive.
    """
    extra_min = to_centre.minutes - moved.first.minutes
    chosen = moved.spoke & (extra_min <= most_extra_min)
    weights = areas.admissions * chosen
    total = areas.admissions.sum()
    if weights.sum() == 0:
        return Bypass(0.0, 0.0, 0.0, moved.centre_share)
    sooner_min = moved.drive_min + transfer_delay_min - extra_min
    redirected = float(weights.sum() / total)
    return Bypass(
        redirected,
        float(np.average(extra_min, weights=weights)),
        float(np.average(sooner_min, weights=weights)),
        moved.centre_share + redirected,
    )


def _nowhere(areas: Areas) -> Nearest:
    n = len(areas.names)
    return Nearest(("none open",), np.zeros(n, np.intp), np.full(n, np.inf))
