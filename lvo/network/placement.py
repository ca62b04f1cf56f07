"""How many centres a country can have: adding the most useful next one, and the most that all stay large enough."""

from collections.abc import Sequence

import numpy as np

from lvo.network.units import Areas

__all__ = ["add_centres", "most_centres"]

RESTARTS = 15
SMALLEST = 3
"""A restart closes one of the three smallest units at random: always closing the smallest one ends two centres short."""


def add_centres(areas: Areas, centres: Sequence[str], candidates: Sequence[str], number: int) -> tuple[str, ...]:
    """The candidates that shorten the mean travel time most, one after the other.

    Args:
        areas: of patients.
        centres: those that are there.
        candidates: units that could become centres.
        number: how many to add.

    Raises:
        UsageError: a unit cannot be reached.
    """
    current = areas.to_unit_min[:, areas.columns(centres)].min(axis=1)
    left = [code for code in candidates if code not in centres]
    times = areas.to_unit_min[:, areas.columns(left)]
    added: list[int] = []
    for _ in range(min(number, len(left))):
        means = areas.admissions @ np.minimum(current[:, None], times)
        means[added] = np.inf
        added.append(int(means.argmin()))
        current = np.minimum(current, times[:, added[-1]])
    return tuple(left[n] for n in added)


def most_centres(areas: Areas, candidates: Sequence[str], *, min_admissions: float, seed: int = 1) -> tuple[str, ...]:
    """As many units as can be open with every one getting enough patients, when everyone goes to the nearest.

    A heuristic with restarts: it finds a set, not a proof that there is no larger one.

    Args:
        areas: of patients.
        candidates: units that could be open.
        min_admissions: a unit needs per year.
        seed: of the restarts.

    Raises:
        UsageError: a unit cannot be reached.
    """
    rng = np.random.default_rng(seed)
    columns = areas.columns(candidates)
    found = [_close_small(areas, columns, min_admissions, rng, among=SMALLEST if n else 1) for n in range(RESTARTS)]
    best = max(found, key=len)
    return tuple(candidates[n] for n in best)


def _close_small(
    areas: Areas, columns: np.ndarray, min_admissions: float, rng: np.random.Generator, *, among: int
) -> list[int]:
    """Close one small unit after the other until none is too small; indices of those that stay open."""
    times = areas.to_unit_min[:, columns].copy()
    is_open = np.ones(len(columns), bool)
    index = times.argmin(axis=1)
    while is_open.any():
        counted = np.bincount(index, weights=areas.admissions, minlength=len(columns))
        small = np.flatnonzero(is_open & (counted < min_admissions))
        if small.size == 0:
            break
        closed = rng.choice(small[np.argsort(counted[small])][:among])
        is_open[closed] = False
        times[:, closed] = np.inf
        moved = index == closed
        index[moved] = times[moved].argmin(axis=1)
    return np.flatnonzero(is_open).tolist()
