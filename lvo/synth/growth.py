"""Branches by constrained construction: terminals are joined one after the other, each where it makes the tree cheapest.

Each new terminal looks along the pial surface for the point of its tree that costs least: new vessel plus a part of the way
that blood then has to the root. That is constructive optimisation of the kind of Schreiner and Buxbaum (IEEE Trans Biomed Eng
1993, doi:10.1109/10.243413) under the constraint that vessels lie on the brain; the part of the way decides between few long
stems (0) and direct ones (1), as in Alpert's trade-off between spanning and shortest-path trees (IEEE Trans CAD 1995,
doi:10.1109/43.391733). Surface points are drawn anew for every head.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from lvo.synth.tissue import is_cerebellar, template
from lvo.synth.tubes import arc_length

__all__ = ["Grown", "Pial", "Roots", "Scaffold", "construct", "draw_pial", "root_graph", "wander"]

Points = NDArray[np.float64]
Rng = np.random.Generator

_CELL_MM = 2.9
_NEIGHBOUR_MM = 5.4
_SCATTER_MM = 0.7
_COST_SPREAD = 0.3
_TISSUE_COST = 5.0
_LINK_MM = 15.0
"""A root joins surface points up to this far away."""
_LINKS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Pial:
    """Points over one half of the brain and what the way between neighbours costs.

    Args:
        points_mm: (N, 3) atlas positions.
        cost_mm: (N, N) sparse, symmetric.
    """

    points_mm: Points
    cost_mm: sparse.csr_array


@dataclass(frozen=True, slots=True, eq=False)
class Roots:
    """Where a tree may begin.

    Args:
        points_mm: (M, 3) positions.
        depth_mm: (M,) cost that blood has behind it there.
    """

    points_mm: Points
    depth_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scaffold:
    """A tree to build on, whose leaves are the places where others may join.

    Args:
        tree: what stands, grown from the same roots.
        door: (L,) for each terminal to come, the leaf of the scaffold behind which it must join.
    """

    tree: "Grown"
    door: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """A tree over the surface.

    Args:
        points_mm: (N + M, 3) positions of surface points, then roots.
        before: (N + M,) the point that feeds each, -1 for roots and points outside the tree.
        leaves: terminals that were joined.
        n_surface: N.
    """

    points_mm: Points
    before: NDArray[np.int32]
    leaves: NDArray[np.intp]
    n_surface: int


@cache
def _shell() -> tuple[Points, NDArray[np.bool_]]:
    """Pial voxels of the patient's left side and whether each is cerebellar, computed once per process."""
    anatomy = template()
    tissue = anatomy.brain.array
    around = ndimage.gaussian_filter(anatomy.grey.array + anatomy.white.array, 4.0)
    pial = (tissue > 0.2) & ((tissue < 0.6) | (around - tissue > 0.05)) & (anatomy.ventricle.array < 0.5)
    points = anatomy.grey.points()
    pial &= points[..., 0] > 0.8
    points = points[pial].astype(np.float64)
    x, y, z = points.T
    stem = (x < 18.0) & (y > 2.0) & (y < 40.0) & (z < -8.0)
    deep = (x < 26.0) & (y > -8.0) & (y < 30.0) & (z > -14.0) & (z < 24.0)
    stem_cistern = (x < 31.0) & (np.abs(y + 4.0) < 9.0) & (z < -8.0) & (z > -24.0)
    cerebellum = is_cerebellar(points)
    wanted = (anatomy.inner_mm.at(points) < -1.0) & ~deep & (cerebellum | ~(stem | stem_cistern))
    return points[wanted], cerebellum[wanted]


def draw_pial(rng: Rng, *, cerebellum: bool, left: bool) -> Pial:
    """Draw surface points of one side, one per cell of a lattice that lies anew each time."""
    points, cerebellar = _shell()
    points = points[cerebellar == cerebellum]
    points = points[rng.permutation(len(points))]
    _, first = np.unique(
        np.floor((points + rng.uniform(0.0, _CELL_MM, 3)) / _CELL_MM).astype(np.int64), axis=0, return_index=True
    )
    points = points[first] + rng.uniform(-_SCATTER_MM, _SCATTER_MM, (len(first), 3))
    edges = cKDTree(points).query_pairs(_NEIGHBOUR_MM, output_type="ndarray")
    one, two = edges.T
    length = np.linalg.norm(points[one] - points[two], axis=1)
    tissue = template().brain.at(points[edges].mean(axis=1))
    cost = (
        length * (1.0 + _TISSUE_COST * np.clip(tissue - 0.45, 0.0, 1.0)) * np.exp(_COST_SPREAD * rng.standard_normal(len(one)))
    )
    n = len(points)
    graph = sparse.coo_array((cost, (one, two)), shape=(n, n))
    return Pial(points * (1.0 if left else -1.0, 1.0, 1.0), sparse.csr_array(graph + graph.T))


def construct(
    pial: Pial,
    members: NDArray[np.intp],
    roots: Roots,
    leaves: NDArray[np.intp],
    *,
    directness: float,
    scaffold: Scaffold | None = None,
) -> Grown:
    """Join terminals to a tree.

    Args:
        pial: the surface.
        members: surface points the tree may use.
        roots: where it may begin.
        leaves: terminals in the order in which they are joined, members; those off the largest connected part
            are left out.
        directness: 0 for the shortest tree, 1 for the shortest ways to the root.
        scaffold: a tree to build on.
    """
    within = pial.cost_mm[members][:, members]
    part = csgraph.connected_components(within, directed=False)[1]
    members = members[part == np.argmax(np.bincount(part))]
    n_points, n_members, n_roots = len(pial.points_mm), len(members), len(roots.points_mm)
    graph = root_graph(pial, members, roots)
    local = np.full(n_points + n_roots, -1, dtype=np.intp)
    local[members] = np.arange(n_members)
    local[n_points:] = n_members + np.arange(n_roots)
    depth, before = np.full(n_members + n_roots, np.inf), np.full(n_members + n_roots, -1, dtype=np.int32)
    door = np.full(n_members + n_roots, -1, dtype=np.intp)
    depth[n_members:] = roots.depth_mm
    wanted = np.full(len(leaves), -1, dtype=np.intp)
    joined: list[int] = []
    if scaffold is not None:
        built = np.flatnonzero(scaffold.tree.before[members] >= 0)
        before[built] = local[scaffold.tree.before[members[built]]]
        depth[built] = 0.0
        door[local[scaffold.tree.leaves]] = scaffold.tree.leaves
        joined, wanted = local[scaffold.tree.leaves].tolist(), scaffold.door
    for leaf, behind in zip(local[leaves], wanted, strict=True):
        if leaf < 0 or np.isfinite(depth[leaf]):
            continue
        distance, after = csgraph.dijkstra(graph, directed=False, indices=np.array(leaf), return_predecessors=True)
        tree = np.flatnonzero(np.isfinite(depth) & (door == behind))
        node = int(tree[np.argmin(distance[tree] + directness * depth[tree])])
        if np.isfinite(distance[node]):
            _join(node, int(leaf), (distance, after), (depth, before, door))
            joined.append(int(leaf))
    names = np.concatenate([members, n_points + np.arange(n_roots)])
    whole = np.full(n_points + n_roots, -1, dtype=np.int32)
    whole[names] = np.where(before >= 0, names[before], -1)
    positions = np.concatenate([pial.points_mm, roots.points_mm])
    return Grown(positions, whole, members[np.array(joined, dtype=np.intp)], n_points)


def _join(
    node: int,
    leaf: int,
    way: tuple[NDArray[np.float64], NDArray[np.int32]],
    tree: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.intp]],
) -> None:
    """Add the way from a node of the tree to a leaf; where it runs along the tree, it goes on from there."""
    distance, after = way
    depth, before, door = tree
    behind, base, total = door[node], depth[node], distance[node]
    while node != leaf:
        following = int(after[node])
        if np.isfinite(depth[following]):
            base, total = depth[following], distance[following]
        else:
            before[following], depth[following], door[following] = node, base + total - distance[following], behind
        node = following


def root_graph(pial: Pial, members: NDArray[np.intp], roots: Roots, *, delayed: bool = False) -> sparse.csr_array:
    """The graph of some surface points, with links to roots, which are numbered after them; there are none between roots.

    Args:
        pial: the surface.
        members: its points.
        roots: what is linked.
        delayed: count the depth of a root in its links, for races between roots.
    """
    within = sparse.coo_array(pial.cost_mm[members][:, members])
    found = cKDTree(pial.points_mm[members]).query(roots.points_mm, k=_LINKS, distance_upper_bound=_LINK_MM)
    distance, nearest = np.asarray(found[0]), np.asarray(found[1])
    linked = np.isfinite(distance)
    row = np.broadcast_to(np.arange(len(roots.points_mm))[:, None], distance.shape)[linked] + len(members)
    n = len(members) + len(roots.points_mm)
    link_mm = 1.3 * distance[linked] + 0.5
    if delayed:
        link_mm += np.broadcast_to(roots.depth_mm[:, None], distance.shape)[linked]
    rows, columns = np.concatenate([within.coords[0], row]), np.concatenate([within.coords[1], nearest[linked]])
    return sparse.csr_array(sparse.coo_array((np.concatenate([within.data, link_mm]), (rows, columns)), shape=(n, n)))


def wander(rng: Rng, course_mm: Points, *, sd_mm: float, wavelength_mm: float) -> Points:
    """Let a course sway about itself by a smooth random walk; its ends stay."""
    n = len(course_mm)
    if n < 6:
        return course_mm
    step_mm = arc_length(course_mm)[-1] / (n - 1)
    sigma = wavelength_mm / (4.0 * step_mm)
    sway = ndimage.gaussian_filter1d(rng.standard_normal((n + 8, 3)), sigma, axis=0, mode="wrap")[4:-4]
    sway *= sd_mm * np.sqrt(2.0 * np.sqrt(np.pi) * sigma)  # unit variance after the filter
    fade = np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) * step_mm / (0.4 * wavelength_mm), 0.0, 1.0)[:, None]
    return np.asarray(course_mm + fade * sway)
