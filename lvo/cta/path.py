"""The way of the blood: the path from one artery zone to the next that crosses the least tissue, and what it has to cross.

In an open artery the path stays inside the lumen wherever the vessel runs, however it winds. Over a clot it must leave the
lumen: the longest stretch outside is the interruption. The artery stops where the lumen that hangs together with the start
reaches farthest along the course; the path itself may leave the lumen earlier, for a shortcut.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cumulative_trapezoid
from scipy.ndimage import label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from lvo.core.anatomy import ARTERY_PROBABILITY
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Volume

__all__ = ["Interruption", "Route", "Zone", "covers", "find_interruption"]

CORRIDOR_MM = 10.0
"""How far from the atlas course the path may stray: twice the +-4 mm by which courses differ, and a bulge."""

LUMEN_COST = 0.05
"""Cost of a millimetre inside the lumen, against 1 outside: a detour of 20 mm inside is as dear as 1 mm outside."""

_DARK_MM = 5.0
"""The shortest clots are 3 to 5 mm long, and their ends are blurred."""

_BESIDE_MM = 7.0
_STOP_POINTS = 3
"""The end of the lumen is read from what lies within 7 mm of the course and in its last 1.5 mm."""

_COVERED = 0.95
"""Share of a course that must lie inside the scan: the rest is rounding at its edge."""

_NEIGHBOURS_KJI = tuple(
    (k, j, i) for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1) if (k, j, i) > (0, 0, 0)
)  # fmt: skip
"""Half of the 26 neighbours: every pair of voxels once."""


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """Where a path begins or ends: any artery voxel within reach of these points, or, without one, the points themselves.

    What lies nearer to the rest of the arteries does not count: the stump before a clot, within reach of the zone behind it,
    would otherwise pass for its end.

    Args:
        points_atlas_mm: (N, 3) part of an atlas course.
        others_atlas_mm: (M, 3) the rest of the atlas courses.
        reach_mm: how far an artery may lie from the points.
    """

    points_atlas_mm: NDArray[np.float64]
    others_atlas_mm: NDArray[np.float64]
    reach_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """From where to where, and the atlas course between them."""

    start: Zone
    end: Zone
    course_atlas_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Interruption:
    """What the path had to cross.

    Args:
        gap_mm: longest stretch outside the lumen.
        darkness: of the darkest 5 mm, 0 as bright as the arteries to 1 as dark as tissue: where the map has lost an artery that
            is open, the image is bright all the same.
        stop_atlas_mm: (3,) where the lumen that comes from the start ends.
        stop_course_mm: (3,) the point of the atlas course beside it, which names the segment.
        way_lps_mm: (N, 3) the path, patient LPS mm, from its start to its end.
    """

    gap_mm: float
    darkness: float
    stop_atlas_mm: NDArray[np.float64]
    stop_course_mm: NDArray[np.float64]
    way_lps_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Corridor:
    """Voxels along a course as a graph: positions, lumen, lumen of the followed trees, piece, and the cost of every step."""

    atlas_mm: NDArray[np.float64]
    lps_mm: NDArray[np.float64]
    lumen: NDArray[np.bool_]
    own: NDArray[np.bool_]
    piece: NDArray[np.int64]
    steps: coo_matrix


def covers(grid: Grid, pose: HeadPose, route: Route) -> bool:
    """Tell whether a scan shows the whole course of a route."""
    return bool(grid.contains(pose.to_lps_mm(route.course_atlas_mm)).mean() >= _COVERED)


def find_interruption(
    artery: Volume, darkness: Volume, pose: HeadPose, route: Route, *, own: Volume | None = None
) -> Interruption:
    """Find the path of least tissue along a route and measure what interrupts it.

    Args:
        artery: probability of artery on a grid that `covers` the route.
        darkness: on the same grid, 0 as bright as the arteries to 1 as dark as tissue.
        pose: how the head lies.
        route: from where to where.
        own: probability of the trees that are followed, on the same grid: a neighbour that hangs on the same lumen (Pcom, A1)
            does not say how far it reaches. All arteries when None.
    """
    corridor = _corridor(artery, own or artery, pose, route)
    starts, ends = _members(corridor, route.start), _members(corridor, route.end)
    cost, before, _ = dijkstra(corridor.steps.tocsr(), directed=False, indices=starts, min_only=True, return_predecessors=True)
    end = int(ends[np.argmin(cost[ends])])
    path = [end]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    way = np.array(path[::-1])
    way_lps_mm = corridor.lps_mm[way]
    at_mm = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(way_lps_mm, axis=0), axis=1))])
    index_kji = np.rint(darkness.grid.to_kji(way_lps_mm)).astype(int)
    stop_atlas_mm, stop_course_mm = _stop(corridor, starts, route.course_atlas_mm)
    return Interruption(
        gap_mm=_gap_mm(corridor.lumen[way], at_mm),
        darkness=_darkest(darkness.array[tuple(index_kji.T)], at_mm),
        stop_atlas_mm=stop_atlas_mm,
        stop_course_mm=stop_course_mm,
        way_lps_mm=way_lps_mm,
    )


def _corridor(artery: Volume, own: Volume, pose: HeadPose, route: Route) -> _Corridor:
    course_kji = artery.grid.to_kji(pose.to_lps_mm(route.course_atlas_mm))
    margin = CORRIDOR_MM / artery.grid.spacing_kji_mm * 1.2  # the pose may scale
    low = np.maximum(np.floor(course_kji.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(course_kji.max(axis=0) + margin) + 1, artery.grid.shape_kji).astype(int)
    shape = tuple(high - low)
    index_kji = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    lps_mm = artery.grid.to_lps_mm(index_kji.reshape(-1, 3))
    atlas_mm = pose.to_atlas_mm(lps_mm)
    distance, _ = cKDTree(route.course_atlas_mm).query(atlas_mm, distance_upper_bound=CORRIDOR_MM)
    inside = np.isfinite(distance)
    number = np.full(len(inside), -1)
    number[inside] = np.arange(int(inside.sum()))
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    lumen, is_own = (image.array[box].reshape(-1)[inside] >= ARTERY_PROBABILITY for image in (artery, own))
    steps = _steps(number.reshape(shape), np.where(lumen, LUMEN_COST, 1.0), artery.grid.lps_from_kji[:3, :3])
    whole = np.zeros(shape, dtype=bool)
    whole.reshape(-1)[np.flatnonzero(inside)[lumen]] = True
    piece = label(whole, structure=np.ones((3, 3, 3)))[0].astype(np.int64).reshape(-1)[inside]
    return _Corridor(atlas_mm[inside], lps_mm[inside], lumen, is_own, piece, steps)


def _steps(number: NDArray[np.int64], cost: NDArray[np.float64], lps_from_kji: NDArray[np.float64]) -> coo_matrix:
    """Sparse graph: a step costs its length times the mean cost of its two voxels."""
    rows, columns, weights = [], [], []
    for offset in _NEIGHBOURS_KJI:
        first = tuple(slice(max(0, -o), n - max(0, o)) for o, n in zip(offset, number.shape, strict=True))
        second = tuple(slice(max(0, o), n + min(0, o)) for o, n in zip(offset, number.shape, strict=True))
        a, b = number[first].ravel(), number[second].ravel()
        both = (a >= 0) & (b >= 0)
        a, b = a[both], b[both]
        length_mm = float(np.linalg.norm(lps_from_kji @ np.array(offset)))
        rows.append(a)
        columns.append(b)
        weights.append(length_mm * (cost[a] + cost[b]) / 2.0)
    return coo_matrix((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(len(cost),) * 2)


def _members(corridor: _Corridor, zone: Zone) -> NDArray[np.int64]:
    lumen = np.flatnonzero(corridor.lumen)
    distance, _ = cKDTree(zone.points_atlas_mm).query(corridor.atlas_mm[lumen], distance_upper_bound=zone.reach_mm)
    elsewhere, _ = cKDTree(zone.others_atlas_mm).query(corridor.atlas_mm[lumen], distance_upper_bound=zone.reach_mm)
    members = lumen[np.isfinite(distance) & (distance <= elsewhere)]
    if len(members):
        return members
    _, nearest = cKDTree(corridor.atlas_mm).query(zone.points_atlas_mm)
    return np.unique(np.asarray(nearest))


def _gap_mm(lumen: NDArray[np.bool_], at_mm: NDArray[np.float64]) -> float:
    """Longest stretch of a path outside the lumen, in patient mm."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~lumen).astype(np.int8), [0]])))
    if len(edges) == 0:
        return 0.0
    last, first = np.maximum(edges[::2] - 1, 0), np.minimum(edges[1::2], len(lumen) - 1)
    return float((at_mm[first] - at_mm[last]).max())


def _darkest(darkness: NDArray[np.floating], at_mm: NDArray[np.float64]) -> float:
    """Mean of the darkest `_DARK_MM` of a path; of all of it when it is shorter."""
    if at_mm[-1] <= _DARK_MM:
        return float(darkness.mean())
    integral = np.asarray(cumulative_trapezoid(darkness.astype(np.float64), at_mm, initial=0))
    first_mm = at_mm[at_mm <= at_mm[-1] - _DARK_MM]
    return float((np.interp(first_mm + _DARK_MM, at_mm, integral) - np.interp(first_mm, at_mm, integral)).max() / _DARK_MM)


def _stop(
    corridor: _Corridor, starts: NDArray[np.int64], course_atlas_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far along the course the lumen reaches that hangs together with the start; the first point when there is none."""
    pieces = np.unique(corridor.piece[starts][corridor.lumen[starts]])
    fed = corridor.atlas_mm[np.isin(corridor.piece, pieces) & corridor.lumen & corridor.own]
    distance, beside = cKDTree(course_atlas_mm).query(fed, distance_upper_bound=_BESIDE_MM)
    beside = np.where(np.isfinite(distance), beside, -1)
    if len(fed) == 0 or beside.max() < 0:
        return corridor.atlas_mm[starts[0]], course_atlas_mm[0]
    farthest = int(beside.max())
    at_the_end = beside >= farthest - _STOP_POINTS
    return np.asarray(fed[at_the_end].mean(axis=0)), np.asarray(course_atlas_mm[farthest])
