"""Occlusions: where the clot lies, what it cuts off, what other arteries rescue, and how the rest fills by collaterals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import Side, Site
from lvo.synth.tree import ArterialTree, Branch, find
from lvo.synth.tubes import arc_length

__all__ = ["Occlusion", "Part", "Perfused", "occlude"]

COLLATERAL_FILLING = (0.05, 0.25, 0.60, 0.90)
"""Mean contrast of cut-off arteries, as a fraction of normal, for collateral grade 0 to 3 (Tan 2009, in words)."""
_BRANCH_LOSS = (0.6, 0.4, 0.15, 0.0)
"""Share of cut-off terminal branches that do not fill at all, by grade."""
_OPEN_TERMINUS_FILLING = (0.15, 0.45, 0.85, 1.0)
"""Filling beyond a carotid occlusion with an open terminus: the circle of Willis is the collateral."""
_RESCUE_PCOM_MM = 0.45
"""Radius from which a posterior communicating artery replaces what feeds the other end."""
_MAX_CLOT_MM = 60.0
_MAX_TAPER_MM = 20.0
_STAGNANT = 0.15
"""Contrast between a carotid clot and the open terminus, as a fraction of what the terminus has."""
_OPHTHALMIC_MM = 14.0
"""With the clot in the neck, the carotid fills backwards from its terminus to where the ophthalmic artery leaves."""
_THIN_MM = 0.6
"""Arteries thinner than this fill worse when collaterals are late."""

Part = Literal["", "cervical", "intracranial", "proximal", "distal", "superior", "inferior", "dominant"]

_ROOM = {  # site: trunk, and where on it the clot may start, as fractions of its length
    Site.M1: ("M1", 0.08, 0.65), Site.M2: ("M2", 0.05, 0.3), Site.A1: ("A1", 0.1, 0.4), Site.A2: ("A2", 0.04, 0.3),
    Site.P1: ("P1", 0.1, 0.4), Site.BA: ("BA", 0.1, 0.65),
}  # fmt: skip
_PARTS: dict[tuple[Site, Part], tuple[float, float]] = {
    (Site.M1, "proximal"): (0.05, 0.35), (Site.M1, "distal"): (0.6, 0.92),
    (Site.M2, "superior"): (0.05, 0.4), (Site.M2, "inferior"): (0.05, 0.4), (Site.M2, "dominant"): (0.05, 0.4),
    (Site.BA, "proximal"): (0.05, 0.35), (Site.BA, "distal"): (0.6, 0.9),
    (Site.ICA, "cervical"): (60.0, 130.0), (Site.ICA, "intracranial"): (14.0, 32.0),
}  # fmt: skip
"""Where on the trunk the clot may start, as fractions of its length; carotid: mm before its end."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """What is blocked.

    Args:
        side: the patient's side; MIDLINE for the basilar artery only.
        site: where the clot starts.
        clot_length_mm: its length; it continues into branches when the segment is shorter.
        part: which part of the segment, or which of its trunks; "" for any.
        clot_hu: attenuation of the clot, drawn from the seed when None.
        taper_mm: over this length the lumen narrows towards the clot; 0 for an abrupt stop.
        delay: how late collaterals come, 0 to 1: the late ones fill backwards, so contrast is least next to the clot and in
            thin arteries.

    Raises:
        ValueError: a side or a part that does not go with the site, or a number out of its range.
    """

    side: Side
    site: Site
    clot_length_mm: float = 12.0
    part: Part = ""
    clot_hu: float | None = None
    taper_mm: float = 0.0
    delay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if (self.site is Site.BA) != (self.side is Side.MIDLINE):
            msg = f"site {self.site} cannot be on side {self.side}: the basilar artery is midline, all others are left or right"
            raise ValueError(msg)
        if self.side is Side.BOTH:
            msg = "an occlusion is on one side; got both"
            raise ValueError(msg)
        if not 1.0 <= self.clot_length_mm <= _MAX_CLOT_MM:
            msg = f"clot_length_mm must be 1 to {_MAX_CLOT_MM:.0f}, got {self.clot_length_mm}"
            raise ValueError(msg)
        if self.part and (self.site, self.part) not in _PARTS:
            fitting = [part for site, part in _PARTS if site is self.site]
            msg = f"{self.site} has no part {self.part!r}; it has {fitting or 'none'}"
            raise ValueError(msg)
        if not 0.0 <= self.delay <= 1.0 or not 0.0 <= self.taper_mm <= _MAX_TAPER_MM:
            msg = f"delay must be 0 to 1 and taper_mm 0 to {_MAX_TAPER_MM:.0f}, got {self.delay} and {self.taper_mm}"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, eq=False)
class Perfused:
    """The tree after the occlusion.

    Args:
        filling: per branch (N,) contrast fraction.
        radius_factor: per branch, cut-off branches are narrower.
        clot: per branch (N,) whether the point lies in the clot.
        at_risk: per branch (N,) whether the point is cut off and not rescued.
        cutoff: branch and point where the clot begins, None without one.
        caliber: per branch (N,) factor on the radius along it.
    """

    filling: tuple[NDArray[np.float64], ...]
    radius_factor: NDArray[np.float64]
    clot: tuple[NDArray[np.bool_], ...]
    at_risk: tuple[NDArray[np.bool_], ...]
    cutoff: tuple[int, int] | None
    caliber: tuple[NDArray[np.float64], ...]

    def and_also(self, other: "Perfused") -> "Perfused":
        """Both occlusions in one head: what either starves is starved; the place of the first stays."""
        return Perfused(
            tuple(np.minimum(a, b) for a, b in zip(self.filling, other.filling, strict=True)),
            np.minimum(self.radius_factor, other.radius_factor),
            tuple(a | b for a, b in zip(self.clot, other.clot, strict=True)),
            tuple(a | b for a, b in zip(self.at_risk, other.at_risk, strict=True)),
            self.cutoff,
            tuple(np.minimum(a, b) for a, b in zip(self.caliber, other.caliber, strict=True)),
        )


def occlude(rng: np.random.Generator, tree: ArterialTree, occlusion: Occlusion | None, *, grade: int) -> Perfused:
    """Block the tree and fill what lies beyond.

    Args:
        rng: source of randomness (place within the segment, which branches fill).
        tree: the arteries.
        occlusion: what is blocked, None for a healthy head.
        grade: collateral grade 0 to 3.

    Raises:
        ValueError: this head lacks the artery that is to be occluded (a variant); use another seed.
    """
    branches = tree.branches
    filling = [np.ones(len(branch.points_mm)) for branch in branches]
    clot = [np.zeros(len(branch.points_mm), dtype=bool) for branch in branches]
    risk = [np.zeros(len(branch.points_mm), dtype=bool) for branch in branches]
    narrow = np.ones(len(branches))
    if occlusion is None:
        whole = tuple(np.ones(len(branch.points_mm)) for branch in branches)
        return Perfused(tuple(filling), narrow, tuple(clot), tuple(risk), None, whole)
    start = _place(rng, branches, occlusion)
    children = _children(branches)
    _fill_clot(rng, branches, children, clot, (*start, occlusion.clot_length_mm))
    risk[start[0]][start[1] :] = True
    open_terminus = occlusion.site is Site.ICA
    _cut_off(tree, children, risk, clot, occlusion)
    level = (_OPEN_TERMINUS_FILLING if open_terminus else COLLATERAL_FILLING)[grade]
    for index, branch in enumerate(branches):
        if not risk[index].any():
            continue
        own = level * float(np.clip(1.0 + 0.15 * rng.standard_normal(), 0.5, 1.3)) if branch.trunk >= 0 else level
        terminal = branch.trunk >= 0 and index not in children
        if terminal and rng.random() < _BRANCH_LOSS[grade]:
            own = 0.0
        if open_terminus and branch.name == "ICA":
            own = _STAGNANT * level  # stagnant blood between the clot and the terminus
        filling[index][risk[index]] = min(own, 1.0)
        narrow[index] = 0.7 + 0.1 * grade if branch.trunk >= 0 else 1.0
    if occlusion.part == "cervical":
        _fill_backwards(branches[start[0]], filling[start[0]], level)
    if occlusion.delay > 0.0:
        _fill_late(branches, (risk, clot), filling, occlusion.delay)
    for index, mask in enumerate(clot):
        filling[index][mask] = 0.0
    caliber = [np.ones(len(branch.points_mm)) for branch in branches]
    if occlusion.taper_mm > 0.0:
        _taper(branches, caliber, start, occlusion.taper_mm)
    return Perfused(tuple(filling), narrow, tuple(clot), tuple(risk), start, tuple(caliber))


def _fill_backwards(carotid: Branch, filling: NDArray[np.float64], level: float) -> None:
    """Fill the carotid from its terminus down to the ophthalmic artery, in place."""
    to_end = arc_length(carotid.points_mm)[-1] - arc_length(carotid.points_mm)
    back = np.interp(to_end, [0.0, _OPHTHALMIC_MM, _OPHTHALMIC_MM + 6.0], [level, 0.8 * level, _STAGNANT * level])
    beyond = filling < 1.0
    filling[beyond] = np.minimum(back[beyond], 1.0)


def _fill_late(
    branches: tuple[Branch, ...],
    cut_off: tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]],
    filling: list[NDArray[np.float64]],
    delay: float,
) -> None:
    """Take contrast from trunks next to the clot and from thin arteries, in place."""
    for index, (branch, risk, clot) in enumerate(zip(branches, *cut_off, strict=True)):
        if not risk.any():
            continue
        thin = np.clip(branch.radius_mm / _THIN_MM, 0.2, 1.0) ** (0.6 * delay)
        late = np.linspace(0.1, 1.0, len(risk)) if branch.trunk < 0 else np.ones(len(risk))
        if clot.any():
            late = np.clip(np.arange(len(risk)) - np.flatnonzero(clot)[-1], 0.0, None) / len(risk)
        filling[index][risk] *= (thin * (1.0 - delay * (1.0 - late)))[risk]


def _taper(branches: tuple[Branch, ...], caliber: list[NDArray[np.float64]], start: tuple[int, int], taper_mm: float) -> None:
    """Narrow the lumen before the clot to a tenth, in place; the beak ends where the segment begins."""
    index, first = start
    arc = arc_length(branches[index].points_mm)
    before = (arc <= arc[first]) & (arc > arc[first] - taper_mm)
    caliber[index][before] = 0.1 + 0.9 * (arc[first] - arc[before]) / taper_mm


def _place(rng: np.random.Generator, branches: tuple[Branch, ...], occlusion: Occlusion) -> tuple[int, int]:
    """Branch and point where the clot starts."""
    site = occlusion.site
    if site in {Site.ICA, Site.ICA_T, Site.VA}:
        name = "VA" if site is Site.VA else "ICA"
        before_mm = {
            Site.ICA: rng.uniform(*_PARTS.get((site, occlusion.part), (26.0, 42.0))),
            Site.VA: rng.uniform(16.0, 30.0),
            Site.ICA_T: min(0.4 * occlusion.clot_length_mm, 8.0),
        }[site]
        index = _need(branches, name, occlusion)
        arc = arc_length(branches[index].points_mm)
        return index, int(np.searchsorted(arc, arc[-1] - before_mm))
    name, low, high = _ROOM[site]
    low, high = _PARTS.get((site, occlusion.part), (low, high))
    if site is Site.M2:
        name = _m2_trunk(rng, branches, occlusion)
    index = _need(branches, name, occlusion)
    return index, round(float(rng.uniform(low, high)) * (len(branches[index].points_mm) - 1))


def _m2_trunk(rng: np.random.Generator, branches: tuple[Branch, ...], occlusion: Occlusion) -> str:
    """Name of the trunk that is asked for; the dominant one feeds most branches."""
    if occlusion.part in {"superior", "inferior"}:
        return f"M2-{occlusion.part}"
    if occlusion.part == "dominant":
        feeders = [branches[branch.trunk].name for branch in branches if branch.trunk >= 0 and branch.side is occlusion.side]
        names = sorted({name for name in feeders if name.startswith("M2")})
        return max(names, key=feeders.count, default="M2-superior")
    return str(rng.choice(["M2-superior", "M2-inferior"]))


def _need(branches: tuple[Branch, ...], name: str, occlusion: Occlusion) -> int:
    """Index of a trunk that must exist."""
    index = find(branches, name, occlusion.side)
    if index is None:
        msg = f"this head has no {occlusion.side} {name} to occlude (a variant); use another seed"
        raise ValueError(msg)
    return index


def _children(branches: tuple[Branch, ...]) -> dict[int, list[int]]:
    """Branches that leave each branch; Acom belongs to none, blood may cross it either way."""
    children: dict[int, list[int]] = {}
    for index, branch in enumerate(branches):
        if branch.parent is not None and branch.name != "Acom":
            children.setdefault(branch.parent, []).append(index)
    return {parent: sorted(found, key=lambda child: branches[child].parent_at) for parent, found in children.items()}


def _fill_clot(
    rng: np.random.Generator,
    branches: tuple[Branch, ...],
    children: dict[int, list[int]],
    clot: list[NDArray[np.bool_]],
    start: tuple[int, int, float],
) -> None:
    """Mark the clot from a point on, into the branches beyond the end of the segment.

    It enters both branches of the carotid terminus, and one of the branches elsewhere.
    """
    index, first, length_mm = start
    arc = arc_length(branches[index].points_mm)
    clot[index] |= (arc >= arc[first]) & (arc <= arc[first] + length_mm)
    left_mm = length_mm - (arc[-1] - arc[first])
    if left_mm <= 0.5:
        return
    trunks = [child for child in children.get(index, []) if branches[child].trunk < 0 and branches[child].name != "Pcom"]
    ends = [child for child in trunks if arc[branches[child].parent_at] > arc[-1] - 4.0]
    both = branches[index].name in {"ICA", "ICA-T"}
    chosen = ends if both or len(ends) < 2 else [ends[int(rng.integers(len(ends)))]]
    for child in chosen:
        share = 0.5 if branches[child].name == "A1" else 1.0
        _fill_clot(rng, branches, children, clot, (child, 0, share * left_mm))


def _cut_off(
    tree: ArterialTree,
    children: dict[int, list[int]],
    risk: list[NDArray[np.bool_]],
    clot: list[NDArray[np.bool_]],
    occlusion: Occlusion,
) -> None:
    """Carry the cut-off down the tree, except into branches that another artery feeds.

    A2 through the other A1 and Acom; P2 through Pcom (or, for the foetal type, through P1); the basilar artery and its
    branches through the other vertebral artery.
    """
    stack = [index for index, mask in enumerate(risk) if mask.any()]
    while stack:
        index = stack.pop()
        for child in children.get(index, []):
            if not risk[index][tree.branches[child].parent_at] or risk[child].all():
                continue
            if not clot[child].any() and _has_other_supply(tree, child, occlusion):
                continue
            risk[child][:] = True
            stack.append(child)


def _has_other_supply(tree: ArterialTree, index: int, occlusion: Occlusion) -> bool:
    """Tell whether a cut-off trunk is fed from its other end."""
    branch = tree.branches[index]
    if branch.trunk >= 0:
        return False
    if branch.name.startswith("A2"):
        other = Side.RIGHT if branch.side is Side.LEFT else Side.LEFT
        return tree.acom and find(tree.branches, "A1", other) is not None
    if branch.name == "BA":
        return True  # the other vertebral artery
    if branch.name in {"P2", "Pcom"}:
        variant = tree.variants[branch.side]
        if occlusion.site in {Site.BA, Site.P1}:
            return variant.pcom_radius_mm >= _RESCUE_PCOM_MM
        return not variant.fetal_pca
    return False
