"""Branches over the brain surface: random shortest-path trees on a graph of pial points.

A path from every terminal point back to the nearest trunk, along edges that prefer sulci and carry random costs, gives trees
that branch, follow furrows and end in the watershed between their neighbours; radii follow Murray's law
r^k = sum r_child^k (Murray, PNAS 1926, doi:10.1073/pnas.12.3.207; k from 2.3 to 3 in the cerebral circulation).
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from lvo.core.anatomy import segment
from lvo.synth.tissue import is_cerebellar, template
from lvo.synth.tubes import densify, rounded

__all__ = ["Chain", "Forest", "Region", "Supply", "cut_chains", "grow", "spread_leaves", "surface"]

Region = Literal["cerebrum", "cerebellum"]

_FURROW = 0.05
"""How much less tissue a furrow has than its surroundings."""
_CELL_MM = 2.5
"""One pial point per cell of this size."""
_SCATTER_MM = 0.8
"""Points leave the voxel lattice by this much, or branches would run along its axes."""
_NEIGHBOUR_MM = 4.6
_COST_SPREAD = 0.55
"""Standard deviation of the log of an edge's random cost: how crooked branches are."""
_TISSUE_COST = 4.0
"""How much dearer an edge is that cuts through tissue."""
_CISTERN_MM = 8.0
"""No cortical branch runs back beside the carotid T, M1 or A1: only threadlike perforators do, which CT does not show."""
_MURRAY = 2.7
_LINK_COST = 1.5
"""Leaving the trunk costs this much more per mm than running along the surface, so branches share stems."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Pial points of one side.

    Args:
        points_mm: (N, 3) atlas positions, on the patient's left.
        edges: (E, 2) neighbours.
        cost_mm: (E,) length of the edges, raised where they cut tissue.
    """

    points_mm: NDArray[np.float64]
    edges: NDArray[np.intp]
    cost_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Supply:
    """Where branches may leave a trunk.

    Args:
        points_mm: (M, 3) points.
        trunk: (M,) trunk of each.
        at: (M,) which of its points.
        lag_mm: (M,) head start of the neighbours: shares the surface between territories.
    """

    points_mm: NDArray[np.float64]
    trunk: NDArray[np.intp]
    at: NDArray[np.intp]
    lag_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One unbranched stretch of a grown tree.

    Args:
        points_mm: (N, 3) course.
        radius_mm: radius (constant along the chain, tapering at a leaf).
        parent_chain: chain it leaves, None when it leaves a trunk.
        trunk: trunk that feeds it in the end.
        trunk_at: point of that trunk.
        depth_mm: distance along the tree from the trunk to its start.
    """

    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    parent_chain: int | None
    trunk: int
    trunk_at: int
    depth_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Grown trees and, for every surface point, which trunk point feeds it (territories).

    Args:
        chains: the trees.
        points_mm: (N, 3) surface points.
        trunk: (N,) trunk that feeds each, -1 when none reaches it.
        trunk_at: (N,) point of that trunk.
    """

    chains: tuple[Chain, ...]
    points_mm: NDArray[np.float64]
    trunk: NDArray[np.intp]
    trunk_at: NDArray[np.intp]


@cache
def surface(region: Region) -> Surface:
    """Pial points of the patient's left side of the template, computed once per process."""
    anatomy = template()
    solid = anatomy.grey.array + anatomy.white.array
    shell = (anatomy.brain.array > 0.25) & (anatomy.brain.array < 0.62)
    furrow = ndimage.gaussian_filter(solid, 4.0) - anatomy.brain.array > _FURROW  # narrow sulci hold little clear CSF
    shell |= furrow & (anatomy.brain.array > 0.25)
    shell &= (anatomy.ventricle.array < 0.5) & (anatomy.inner_mm.at(anatomy.grey.points()) < -1.0)
    points = anatomy.grey.points()[shell].astype(np.float64)
    x, y, z = points.T
    cerebellum = is_cerebellar(points)
    stem = (np.abs(x) < 18.0) & (y > 2.0) & (y < 40.0) & (z < -8.0)
    deep = (np.abs(x) < 24.0) & (y > -8.0) & (y < 30.0) & (z > -14.0) & (z < 24.0)
    trunks = np.concatenate([densify(segment(name).course_atlas_mm(left=True)) for name in ("ICA", "ICA-T", "M1", "A1")])
    beside_trunk = cKDTree(trunks).query(points)[0] < _CISTERN_MM
    wanted = (x > 0.8) & ~deep & ~beside_trunk & (cerebellum if region == "cerebellum" else ~cerebellum & ~stem)
    points = points[wanted]
    cell = np.floor(points / _CELL_MM).astype(np.int64)
    _, first = np.unique(cell, axis=0, return_index=True)
    points = points[first] + np.random.default_rng(0).uniform(-_SCATTER_MM, _SCATTER_MM, (len(first), 3))
    edges = cKDTree(points).query_pairs(_NEIGHBOUR_MM, output_type="ndarray")
    middle = points[edges].mean(axis=1)
    length = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    cost = length * (1.0 + _TISSUE_COST * np.clip(anatomy.brain.at(middle) - 0.45, 0.0, 1.0))
    return Surface(points, edges, cost)


def grow(
    rng: np.random.Generator, region: Region, supply: Supply, *, left: bool, n_leaves: int, leaf_radius_mm: tuple[float, float]
) -> Forest:
    """Grow trees from the supply points over one side.

    Args:
        rng: source of randomness.
        region: which surface.
        supply: where branches leave their trunks, on the asked side.
        left: the patient's left side.
        n_leaves: how many terminal branches are tried for.
        leaf_radius_mm: smallest and largest radius of a terminal branch.
    """
    base = surface(region)
    points = base.points_mm * (1.0 if left else -1.0, 1.0, 1.0)
    n_points = len(points)
    cost = base.cost_mm * np.exp(_COST_SPREAD * rng.standard_normal(len(base.cost_mm)))
    tree = cKDTree(points)
    found = tree.query(supply.points_mm, k=4, distance_upper_bound=16.0)
    distance, nearest = np.asarray(found[0]), np.asarray(found[1])
    linked = np.isfinite(distance)
    source = np.broadcast_to(np.arange(len(supply.points_mm))[:, None], distance.shape)[linked] + n_points
    rows = np.concatenate([base.edges[:, 0], source])
    columns = np.concatenate([base.edges[:, 1], nearest[linked]])
    link_cost = _LINK_COST * (distance[linked] + 0.5) * np.exp(_COST_SPREAD * rng.standard_normal(linked.sum()))
    link_cost += np.broadcast_to(supply.lag_mm[:, None], distance.shape)[linked]
    n_nodes = n_points + len(supply.points_mm)
    graph = sparse.coo_array((np.concatenate([cost, link_cost]), (rows, columns)), shape=(n_nodes, n_nodes)).tocsr()
    sources = np.arange(n_points, n_nodes)
    reached, before, origin = csgraph.dijkstra(graph, directed=False, indices=sources, return_predecessors=True, min_only=True)
    leaves = spread_leaves(rng, points, np.isfinite(reached[:n_points]), n_leaves)
    positions = np.concatenate([points, supply.points_mm])
    chains = cut_chains(rng, positions, before, leaves, (supply, n_points), leaf_radius_mm)
    fed = np.where(origin[:n_points] >= n_points, origin[:n_points] - n_points, -1)
    return Forest(chains, points, np.where(fed >= 0, supply.trunk[fed], -1), np.where(fed >= 0, supply.at[fed], -1))


def spread_leaves(
    rng: np.random.Generator, points: NDArray[np.float64], reachable: NDArray[np.bool_], n_leaves: int
) -> NDArray[np.intp]:
    """Spread terminal points: random ones, dropped when too close to one that was chosen.

    Args:
        rng: source of randomness.
        points: (N, 3) surface points.
        reachable: (N,) which of them may be chosen.
        n_leaves: how many are tried for.
    """
    candidates = rng.permutation(np.flatnonzero(reachable))[: 6 * n_leaves]
    area_mm2 = 1.0 * _CELL_MM**2 * reachable.sum()
    spacing = 0.45 * np.sqrt(area_mm2 / max(n_leaves, 1))
    chosen: list[int] = []
    tree = cKDTree(points[candidates]) if len(candidates) else None
    taken = np.zeros(len(candidates), dtype=bool)
    for number, candidate in enumerate(candidates):
        if taken[number] or len(chosen) >= n_leaves or tree is None:
            continue
        chosen.append(int(candidate))
        taken[tree.query_ball_point(points[candidate], spacing)] = True
    return np.array(chosen, dtype=np.intp)


def cut_chains(
    rng: np.random.Generator,
    positions: NDArray[np.float64],
    before: NDArray[np.int32],
    leaves: NDArray[np.intp],
    roots: tuple[Supply, int],
    leaf_radius_mm: tuple[float, float],
) -> tuple[Chain, ...]:
    """Cut the union of leaf paths into unbranched chains with Murray radii.

    Args:
        rng: source of randomness.
        positions: (N + M, 3) surface points, then supply points.
        before: (N + M,) the point that feeds each, negative where there is none.
        leaves: terminal points.
        roots: the supply, and N.
        leaf_radius_mm: smallest and largest radius of a terminal branch.
    """
    supply, n_points = roots
    power = dict.fromkeys(leaves.tolist(), 0.0)
    children: dict[int, set[int]] = {}
    flow: dict[int, float] = {}
    for leaf in leaves.tolist():
        share = float(rng.uniform(*leaf_radius_mm)) ** _MURRAY
        power[leaf] = share
        node = leaf
        while True:
            flow[node] = flow.get(node, 0.0) + share
            parent = int(before[node])
            if parent < 0:
                break
            children.setdefault(parent, set()).add(node)
            node = parent
    chains: list[Chain] = []
    stack: list[tuple[int, int, int | None, float]] = [
        (root, child, None, 0.0) for root in sorted(children) if root >= n_points for child in sorted(children[root])
    ]
    origin = {child: root for root, child, _, _ in stack}
    while stack:
        start, node, parent_chain, depth = stack.pop()
        root = origin.pop(node)
        path = [start, node]
        while len(children.get(node, ())) == 1:
            node = next(iter(children[node]))
            path.append(node)
        course = _smooth(positions[path])
        radius = np.full(len(course), flow[path[1]] ** (1.0 / _MURRAY))
        if not children.get(node):
            radius *= np.linspace(1.0, 0.7, len(course))
        chains.append(
            Chain(course, radius, parent_chain, int(supply.trunk[root - n_points]), int(supply.at[root - n_points]), depth)
        )
        length = 0.7 * len(course)
        for child in sorted(children.get(node, ())):
            stack.append((node, child, len(chains) - 1, depth + length))
            origin[child] = root
    return tuple(chains)


def _smooth(path_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round off the corners of a path; its ends stay."""
    return rounded(densify(path_mm), sigma=2.2)
