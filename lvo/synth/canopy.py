"""The branches of the second generator: who feeds which part of the brain, and trees constructed there.

The middle cerebral artery is given no course beyond its division: each trunk is grown over its share of insula, opercula and
convexity, and its main stem is called M2 as far as it lies on the insula.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from lvo.core.report import Side
from lvo.synth.elastic import Bed, relax
from lvo.synth.growth import Pial, Roots, Scaffold, construct, draw_pial, root_graph, wander
from lvo.synth.pial import Chain, Supply, cut_chains, spread_leaves
from lvo.synth.tree import Branch, Variants, add_chains, trunk_of
from lvo.synth.tubes import arc_length

__all__ = ["Fed", "Habit", "grow_canopy"]

Points = NDArray[np.float64]
Rng = np.random.Generator
Fed = tuple[Points, NDArray[np.intp], NDArray[np.intp]]
"""Points of the brain, and the branch and the point of it that feed each."""

_EARLY = 0.8
"""Dividing before this fraction of the usual M1 length is early."""
_LAGS_MM = {"ACA": (22.0, 34.0), "PCA": (24.0, 36.0)}
"""Head start of the middle cerebral artery on the insula, drawn per side: territories vary between people."""
_N_LEAVES = (80, 135)
_N_CEREBELLAR = (9, 16)
_M2_RADIUS_MM = (1.2, 0.13)  # Rai 2013: M2 2.4 +- 0.4 mm wide
_M2_MM = (22.0, 42.0)
"""A stem of the middle cerebral tree is called M2 this far."""
_M2_EDGE_MM = 47.0
"""Further out than this (atlas x) it has left the insula and is M3."""
_ON_RIM = (4, 7)
"""Where each division reaches the rim of the insula."""
_RIM, _INSULA = 0.7, 1.15
"""From which level (0 in the middle, 1 at the rim) on a point lies on the rim, and up to which the scaffold may go."""
_CLIMB_MM = 16.0
"""M2 runs at least this far over the insula before it turns out."""
_FAN = 0.6
"""Directness of M2 on the insula, where branches fan out from the limen."""
_LEAF_RADIUS_MM = (0.3, 0.45)
_THINNEST_MM = 0.25
_SWAY_WAVE_MM = (7.0, 13.0)


@dataclass(frozen=True, slots=True)
class Habit:
    """How the branches of one head grow.

    Args:
        directness: 0 for few long stems, 1 for the shortest ways from the trunk.
        sway_mm: how far branches wander about their course.
    """

    directness: float
    sway_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class _Plot:
    """A part of the surface, and the terminals in it."""

    pial: Pial
    members: NDArray[np.intp]
    leaves: NDArray[np.intp]

    def where(self, own: NDArray[np.bool_]) -> "_Plot":
        """The points for which `own` (one value per surface point) holds."""
        return replace(self, members=self.members[own[self.members]], leaves=self.leaves[own[self.leaves]])


def grow_canopy(
    rng: Rng, branches: list[Branch], side: Side, variant: Variants, *, habit: Habit, limen_mm: Points
) -> list[Fed]:
    """Grow all surface trees of one side.

    Args:
        rng: source of randomness.
        branches: trunks of the head; the new branches are appended.
        side: the patient's side.
        variant: where M1 divides and into how many trunks.
        habit: how they grow.
        limen_mm: where an early division reaches the insula.
    """
    supplies = {
        "ACA": _supply(branches, side, {"A2": 0.2, "A3": 0.0}),
        "PCA": _supply(branches, side, {"P2": 0.5, "P3": 0.0}),
    }
    pial = draw_pial(rng, cerebellum=False, left=side is Side.LEFT)
    owner = _territories(rng, pial, supplies)
    leaves = spread_leaves(rng, pial.points_mm, owner >= 0, int(rng.integers(*_N_LEAVES)))
    plot = _Plot(pial, np.arange(len(owner)), leaves)
    fed = _middle_cerebral(rng, branches, (side, variant, limen_mm), plot.where(owner == 0), habit)
    for number, supply in enumerate(supplies.values(), start=1):
        fed.append(_tree(rng, branches, side, plot.where(owner == number), supply, habit))
    pial = draw_pial(rng, cerebellum=True, left=side is Side.LEFT)
    everything = np.ones(len(pial.points_mm), dtype=bool)
    leaves = spread_leaves(rng, pial.points_mm, everything, int(rng.integers(*_N_CEREBELLAR)))
    supply = _supply(branches, side, {"BA": 0.3, "VA": 0.92})
    fed.append(_tree(rng, branches, side, _Plot(pial, np.flatnonzero(everything), leaves), supply, habit))
    return fed


def _supply(branches: Sequence[Branch], side: Side, first: dict[str, float]) -> Supply:
    """Points where branches may leave: every fourth point of the trunks, from a fraction of their length on."""
    points, owner, at, depth = [], [], [], []
    for index, trunk in enumerate(branches):
        if trunk.trunk < 0 and trunk.name in first and trunk.side in {side, Side.MIDLINE}:
            chosen = np.arange(round(first[trunk.name] * (len(trunk.points_mm) - 1)), len(trunk.points_mm), 4)
            points.append(trunk.points_mm[chosen])
            owner.append(np.full(len(chosen), index))
            at.append(chosen)
            depth.append(0.3 * arc_length(trunk.points_mm)[chosen])
    return Supply(np.concatenate(points), np.concatenate(owner), np.concatenate(at), np.concatenate(depth))


def _territories(rng: Rng, pial: Pial, supplies: dict[str, Supply]) -> NDArray[np.intp]:
    """(N,) 0 for points of the middle, 1 of the anterior, 2 of the posterior cerebral artery: a race over the surface."""
    points = pial.points_mm
    n = len(points)
    insula = _insula(points) < 1.0
    starts = [Roots(points[insula], np.zeros(int(insula.sum())))]
    starts += [
        Roots(supply.points_mm, np.full(len(supply.at), rng.uniform(*_LAGS_MM[name]))) for name, supply in supplies.items()
    ]
    roots = Roots(np.concatenate([part.points_mm for part in starts]), np.concatenate([part.depth_mm for part in starts]))
    graph = root_graph(pial, np.arange(n), roots, delayed=True)
    sources = np.arange(n, n + len(roots.depth_mm))
    reached, _, origin = csgraph.dijkstra(graph, directed=False, indices=sources, return_predecessors=True, min_only=True)
    kind = np.repeat(np.arange(3), [len(part.depth_mm) for part in starts])
    own = np.where(origin[:n] >= n, kind[np.maximum(origin[:n] - n, 0)], -1)
    return np.where(np.isfinite(reached[:n]), own, -1).astype(np.intp)


def _insula(points: Points) -> NDArray[np.float64]:
    """(N,) 0 in the middle of the insula to 1 at its rim, infinite off it; read off the template, good to 3 mm."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    level = np.hypot(y / 25.0, (z - 1.0) / 18.0)
    deep = (x > 32.0) & (x < 37.0 + 0.25 * np.abs(y - 2.0) + 6.0)
    return np.where(deep, level, np.inf)


def _tree(rng: Rng, branches: list[Branch], side: Side, plot: _Plot, supply: Supply, habit: Habit) -> Fed:
    """Grow a tree from trunks whose course is given."""
    roots = Roots(supply.points_mm, supply.lag_mm)
    chains = _chains(rng, plot, roots, supply, habit)
    first = len(branches)
    add_chains(branches, chains, side)
    return _feeds(branches, [*np.unique(supply.trunk).tolist(), *range(first, len(branches))], plot)


def _chains(
    rng: Rng, plot: _Plot, roots: Roots, supply: Supply, habit: Habit, *, scaffold: Scaffold | None = None
) -> list[Chain]:
    """Construct a tree and cut it into swaying chains."""
    grown = construct(plot.pial, plot.members, roots, plot.leaves, directness=habit.directness, scaffold=scaffold)
    chains = cut_chains(rng, grown.points_mm, grown.before, grown.leaves, (supply, grown.n_surface), _LEAF_RADIUS_MM)
    wave = float(rng.uniform(*_SWAY_WAVE_MM))
    return [replace(chain, points_mm=wander(rng, chain.points_mm, sd_mm=habit.sway_mm, wavelength_mm=wave)) for chain in chains]


def _on_insula(rng: Rng, plot: _Plot, roots: Roots) -> Scaffold | None:
    """The part of a middle cerebral tree that crosses the insula to its rim, where branches turn out over the opercula."""
    points = plot.pial.points_mm
    level = _insula(points[plot.members])
    way = np.linalg.norm(points[plot.members] - roots.points_mm[0], axis=1)
    rim = plot.members[(level > _RIM) & (level < 1.0) & (way > _CLIMB_MM)]
    if not rim.size:
        return None
    chosen = [int(rng.choice(rim))]
    while len(chosen) < min(int(rng.integers(*_ON_RIM)), len(rim)):  # the farthest from those that were chosen
        gap = np.linalg.norm(points[rim][:, None] - points[chosen], axis=2).min(axis=1)
        chosen.append(int(rim[np.argmax(gap)]))
    tree = construct(plot.pial, plot.members[level < _INSULA], roots, np.array(chosen), directness=_FAN)
    if not tree.leaves.size:
        return None
    turn = np.abs(_bearing(points[plot.leaves])[:, None] - _bearing(points[tree.leaves]))
    return Scaffold(tree, tree.leaves[np.minimum(turn, 2.0 * np.pi - turn).argmin(axis=1)])


def _bearing(points: Points) -> NDArray[np.float64]:
    """(N,) direction from the middle of the insula, seen from the side: branches leave it like spokes."""
    return np.arctan2((points[:, 2] - 1.0) / 18.0, points[:, 1] / 25.0)


def _feeds(branches: Sequence[Branch], members: Sequence[int], plot: _Plot) -> Fed:
    """Let the nearest branch of a tree feed each surface point of its plot."""
    points = np.concatenate([branches[index].points_mm for index in members])
    owner = np.repeat(np.array(members, dtype=np.intp), [len(branches[index].points_mm) for index in members])
    at = np.concatenate([np.arange(len(branches[index].points_mm)) for index in members])
    surface = plot.pial.points_mm[plot.members]
    nearest = cKDTree(points).query(surface)[1]
    return surface, owner[nearest], at[nearest]


def _middle_cerebral(
    rng: Rng, branches: list[Branch], who: tuple[Side, Variants, Points], plot: _Plot, habit: Habit
) -> list[Fed]:
    """The trunks after the division of M1, each with its tree."""
    side, variant, limen = who
    m1 = trunk_of(branches, "M1", side)
    names = ["M2-superior", "M2-inferior", *(["M2-middle"] if variant.trifurcation else [])]
    part = _divisions(rng, plot.pial.points_mm, three=variant.trifurcation)
    division = branches[m1].points_mm[-1]
    fed = []
    for number, name in enumerate(names):
        lead = division[None]
        if variant.bifurcation < _EARLY:
            apart = limen + (0.0, 0.0, (2.5, -2.0, 0.5)[number])
            lead = relax(rng, np.stack([division, 0.5 * (division + apart), apart]), Bed(1.03))
        own = plot.where(part == number)
        supply = Supply(lead[-1:], np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp), np.zeros(1))
        roots = Roots(lead[-1:], np.zeros(1))
        chains = _chains(rng, own, roots, supply, habit, scaffold=_on_insula(rng, own, roots))
        if chains:
            first = len(branches)
            _stem(rng, branches, (name, side, m1), lead, chains)
            fed.append(_feeds(branches, range(first, len(branches)), own))
    return fed


def _divisions(rng: Rng, points: Points, *, three: bool) -> NDArray[np.intp]:
    """(N,) 0 above, 1 below the Sylvian line, 2 between them: which division of the middle cerebral artery feeds a point.

    How far behind the fissure the border turns up or down decides which division is dominant.
    """
    y, z = points[:, 1], points[:, 2]
    border = rng.normal(0.0, 1.5) + rng.uniform(-0.5, 0.8) * np.clip(y - 22.0, 0.0, None)
    line = np.where(_insula(points) < 1.0, -12.0 + 1.05 * (y + 2.0), 3.0 + 0.5 * (y - 4.0))
    above = z - line - border
    part = np.where(above > 0.0, 0, 1)
    if three:
        part = np.where((np.abs(above) < rng.uniform(8.0, 14.0)) & (y > -4.0), 2, part)
    return part.astype(np.intp)


def _stem(rng: Rng, branches: list[Branch], who: tuple[str, Side, int], lead: Points, chains: Sequence[Chain]) -> None:
    """Make the main stem of a tree an M2 trunk and hang the rest on it."""
    name, side, m1 = who
    middle, sd = _M2_RADIUS_MM
    origin = min(float(np.clip(rng.normal(middle, sd), 0.8, 1.6)), 0.95 * float(branches[m1].radius_mm[-1]))
    gain = origin / max(float(chain.radius_mm[0]) for chain in chains)
    members = _heaviest(rng, chains)
    course, at = lead, {}
    radius = np.full(len(lead), origin)
    for number in members:
        course = np.concatenate([course, chains[number].points_mm[1:]])
        radius = np.concatenate([radius, np.full(len(course) - len(radius), gain * chains[number].radius_mm[0])])
        at[number] = len(course) - 1
    radius = ndimage.gaussian_filter1d(np.maximum(radius, 0.6 * origin), 4.0, mode="nearest")
    trunk = len(branches)
    branches.append(Branch(name, side, course, radius, m1, len(branches[m1].points_mm) - 1, "MCA"))
    place = dict.fromkeys(members, trunk)
    for number, chain in enumerate(chains):
        if number in place:
            continue
        parent = trunk if chain.parent_chain is None else place[chain.parent_chain]
        begin = len(branches[parent].points_mm) - 1
        if parent == trunk:
            begin = len(lead) - 1 if chain.parent_chain is None else at[chain.parent_chain]
        place[number] = len(branches)
        calibre = np.clip(gain * chain.radius_mm, _THINNEST_MM, 0.9 * float(branches[parent].radius_mm[begin]))
        branches.append(Branch("M3", side, chain.points_mm, calibre, parent, begin, "MCA", trunk=trunk))


def _heaviest(rng: Rng, chains: Sequence[Chain]) -> list[int]:
    """The main stem: from the root along the widest child, until it is long enough or leaves the insula."""
    limit = float(rng.uniform(*_M2_MM))
    stem: list[int] = []
    length = 0.0
    parent: int | None = None
    while children := [number for number, chain in enumerate(chains) if chain.parent_chain == parent]:
        parent = max(children, key=lambda number: float(chains[number].radius_mm[0]))
        step = float(arc_length(chains[parent].points_mm)[-1])
        if stem and length + step > _M2_MM[1]:
            break
        stem.append(parent)
        length += step
        if length > limit or abs(chains[parent].points_mm[-1, 0]) > _M2_EDGE_MM:
            break
    return stem
