"""The arteries of one head: named trunks through their atlas waypoints, individual course and variants, grown branches."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERIES, ArterySegment, segment
from lvo.core.report import Side
from lvo.synth.field import SmoothField
from lvo.synth.pial import Forest, Supply, grow
from lvo.synth.tissue import template
from lvo.synth.tree import ArterialTree, Branch, Variants, add_chains, deep_supply, draw_variants, find
from lvo.synth.tubes import arc_length, densify, rounded

__all__ = ["build_arteries"]

_JITTER_SD_MM = 2.2
_TORTUOSITY_SD_MM = 0.45
_RADIUS_SD = 0.12  # Rai et al. 2013: M1 3.1 +- 0.4 mm
_SETTLE_STEPS = 12
_SETTLE_MAX_MM = 4.0
_DURA_MM = 2.0
"""Intradural vessels keep this distance from the inner table."""
_LAG_MM = {"A2": 14.0, "A3": 14.0, "P2": 26.0, "P3": 26.0, "VA": 18.0}
"""Head start of the middle cerebral artery over the surface; total branch lengths PCA:ACA:MCA are about 1:2:4 (PMC3971907)."""
_CEREBRAL_FROM = {
    "M2-superior": 0.45, "M2-inferior": 0.45, "M2-middle": 0.45, "M1": 0.7, "A2": 0.25, "A3": 0.0, "P2": 0.5, "P3": 0.0,
}  # fmt: skip
_CEREBELLAR_FROM = {"BA": 0.25, "VA": 0.9}
"""From which fraction of its length on a trunk gives off surface branches."""
_NECK_END_MM = -240.0
_EXTRADURAL = {"ICA": -21.0, "VA": -64.0}
"""Below this height (atlas z) the artery runs in bone or neck and does not settle into CSF."""

_EARLY = 0.8
"""Dividing before this fraction of the usual M1 length is early."""


def build_arteries(rng: np.random.Generator) -> ArterialTree:
    """Draw the arteries of one head in template space."""
    variants = draw_variants(rng)
    jitter = SmoothField.random(rng, sd_mm=_JITTER_SD_MM, wavelength_mm=(30.0, 80.0), n_waves=14)
    bends = SmoothField.random(rng, sd_mm=_TORTUOSITY_SD_MM * rng.uniform(0.5, 1.8), wavelength_mm=(13.0, 28.0), n_waves=24)
    trunks: list[Branch] = []
    for item in ARTERIES:
        for side in (Side.LEFT, Side.RIGHT) if item.paired else (Side.MIDLINE,):
            _add_trunk(rng, trunks, item, side, variants.get(side, Variants()), (jitter, bends))
    for side in (Side.LEFT, Side.RIGHT):
        _reparent_fetal(trunks, side, variants[side])
        _trim_m1(trunks, side, variants[side])
    acom = bool(rng.random() < 0.92)
    if acom:
        _add_acom(trunks)
    branches = list(trunks)
    fed: list[tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]] = []
    for side in (Side.LEFT, Side.RIGHT):
        for forest in _forests(rng, trunks, side):
            add_chains(branches, forest.chains, side)
            reached = forest.trunk >= 0
            fed.append((forest.points_mm[reached], forest.trunk[reached], forest.trunk_at[reached]))
        fed.append(deep_supply(trunks, side))
    points, by, at = (np.concatenate([part[n] for part in fed]) for n in range(3))
    return ArterialTree(tuple(branches), variants, acom, points, by, at)


def _add_trunk(
    rng: np.random.Generator,
    trunks: list[Branch],
    item: ArterySegment,
    side: Side,
    variant: Variants,
    fields: tuple[SmoothField, SmoothField],
) -> None:
    """Add one named segment with its individual course and radius, unless the variant lacks it."""
    factor = _radius_factor(item.name, variant)
    if factor <= 0.0:
        return
    left = side is not Side.RIGHT
    waypoints = item.course_atlas_mm(left=left)
    if item.parent is None:  # the table starts in the upper neck: go on down
        start = waypoints[0]
        lower = np.stack(
            [start[0] * np.array([1.1, 1.0]), start[1] + np.array([10.0, 2.0]), [_NECK_END_MM, start[2] - 40.0]], axis=1
        )
        waypoints = np.concatenate([lower, waypoints])
    jitter, bends = fields
    course = bends.moved(jitter.moved(densify(waypoints)))
    course = _settle(course, floor_z=_EXTRADURAL.get(item.name, -np.inf))
    parent = None if item.parent is None else find(trunks, item.parent, side)
    parent_at = 0
    if parent is not None:
        parent_at = _attach_at(item.name, trunks[parent], variant)
        if item.name.startswith("M2") and variant.bifurcation < _EARLY:
            course = _after_early_bifurcation(trunks[parent], parent_at, course, up=item.name == "M2-superior")
        course = _snap(course, trunks[parent].points_mm[parent_at])
    if item.name == "BA":  # both vertebrals end where the basilar begins
        _join_vertebrals(trunks, course[0])
    if item.name == "Pcom":
        p1 = find(trunks, "P1", side)
        if p1 is not None:
            course = _snap(course[::-1], trunks[p1].points_mm[-1])[::-1]
    scale = float(np.clip(1.0 + _RADIUS_SD * rng.standard_normal(), 0.7, 1.35)) * factor
    wobble = ndimage.gaussian_filter1d(rng.standard_normal(len(course)), 8.0, mode="nearest") * 0.2
    radius = np.linspace(*item.radius_mm, len(course)) * scale * (1.0 + wobble)
    if item.name == "ICA":
        radius = _carotid_radius(course, item.radius_mm, scale)
    trunks.append(Branch(item.name, side, course, radius, parent, parent_at, item.territory))
    if item.name == "M2-inferior" and variant.trifurcation:
        middle = 0.5 * (segment("M2-superior").course_atlas_mm(left=left) + segment("M2-inferior").course_atlas_mm(left=left))
        path = _snap(_settle(bends.moved(jitter.moved(densify(middle))), floor_z=-np.inf), course[0])
        trunks.append(Branch("M2-middle", side, path, np.linspace(1.0, 0.8, len(path)), parent, parent_at, "MCA"))


def _after_early_bifurcation(m1: Branch, at: int, course: NDArray[np.float64], *, up: bool) -> NDArray[np.float64]:
    """Start an M2 trunk beside the rest of the usual M1 course; the two trunks run one above the other."""
    tail = m1.points_mm[at:]
    apart = np.clip(np.arange(len(tail)) / 6.0, 0.0, 1.0)[:, None] * (0.0, 0.0, 1.4 if up else -1.4)
    return np.concatenate([tail + apart, _snap(course, tail[-1] + apart[-1])[1:]])


def _trim_m1(trunks: list[Branch], side: Side, variant: Variants) -> None:
    """End M1 where it divides."""
    index = find(trunks, "M1", side)
    if index is not None:
        stop = _attach_at("M2", trunks[index], variant) + 1
        trunks[index] = replace(
            trunks[index], points_mm=trunks[index].points_mm[:stop], radius_mm=trunks[index].radius_mm[:stop]
        )


def _radius_factor(name: str, variant: Variants) -> float:
    """Factor on the tabulated radius."""
    table = {
        "A1": variant.a1_radius,
        "P1": 0.4 if variant.fetal_pca else 1.0,
        "Pcom": variant.pcom_radius_mm / segment("Pcom").radius_mm[0],
        "VA": variant.va_radius,
    }
    return table.get(name, 1.0)


def _carotid_radius(course: NDArray[np.float64], ends_mm: tuple[float, float], scale: float) -> NDArray[np.float64]:
    """Wide in neck and siphon, narrowing over the last 12 mm to the terminus."""
    to_end = arc_length(course)[-1] - arc_length(course)
    return np.asarray(np.interp(to_end, [0.0, 12.0, 40.0], [1.9, *ends_mm[::-1]]) * scale)


def _attach_at(name: str, parent: Branch, variant: Variants) -> int:
    """Point of the parent where the child leaves."""
    last = len(parent.points_mm) - 1
    if name.startswith("M2"):
        return round(last * variant.bifurcation)
    if name == "Pcom":
        return 0
    return last


def _snap(course: NDArray[np.float64], start_mm: NDArray[np.float64], *, fade_mm: float = 9.0) -> NDArray[np.float64]:
    """Move the beginning of a course to a point, fading out along it."""
    weight = np.clip(1.0 - arc_length(course) / fade_mm, 0.0, 1.0)[:, None]
    return np.asarray(course + weight**2 * (3.0 - 2.0 * weight) * (start_mm - course[0]))


def _join_vertebrals(trunks: list[Branch], meeting_mm: NDArray[np.float64]) -> None:
    """Bring both vertebral arteries to the start of the basilar."""
    for index, trunk in enumerate(trunks):
        if trunk.name == "VA":
            trunks[index] = replace(trunk, points_mm=_snap(trunk.points_mm[::-1], meeting_mm)[::-1])


def _reparent_fetal(trunks: list[Branch], side: Side, variant: Variants) -> None:
    """Feed P2 from the carotid where the posterior cerebral artery is of the foetal type."""
    p2, pcom = find(trunks, "P2", side), find(trunks, "Pcom", side)
    if variant.fetal_pca and p2 is not None and pcom is not None:
        trunks[p2] = replace(trunks[p2], parent=pcom, parent_at=len(trunks[pcom].points_mm) - 1)


def _add_acom(trunks: list[Branch]) -> None:
    """Join the two A2 origins (or what takes their place) across the midline."""
    left, right = find(trunks, "A2", Side.LEFT), find(trunks, "A2", Side.RIGHT)
    if left is None or right is None:
        return
    course = densify(np.stack([trunks[left].points_mm[1], trunks[right].points_mm[1]]), step_mm=0.5)
    trunks.append(Branch("Acom", Side.MIDLINE, course, np.full(len(course), 0.75), left, 1, "ACA"))


def _settle(course: NDArray[np.float64], *, floor_z: float) -> NDArray[np.float64]:
    """Let the intradural part of a course slide off the brain into CSF, a few millimetres at most."""
    anatomy = template()
    start = course.copy()
    free = np.clip((course[:, 2] - floor_z) / 3.0, 0.0, 1.0)[:, None] if np.isfinite(floor_z) else np.ones((len(course), 1))
    for _ in range(_SETTLE_STEPS):
        pull = np.zeros_like(course)
        for axis in range(3):
            step = np.zeros(3)
            step[axis] = 1.0
            slope = anatomy.brain.at(course + step) - anatomy.brain.at(course - step)
            edge = anatomy.inner_mm.at(course + step) - anatomy.inner_mm.at(course - step)
            pull[:, axis] = -1.2 * slope - 0.4 * edge * np.clip(anatomy.inner_mm.at(course) + _DURA_MM, 0.0, 1.0)
        moved = course + free * ndimage.gaussian_filter1d(pull, 2.0, axis=0, mode="nearest")
        offset = moved - start
        length = np.linalg.norm(offset, axis=1, keepdims=True)
        course = start + offset * np.minimum(1.0, _SETTLE_MAX_MM / np.maximum(length, 1e-6))
    return rounded(course, sigma=2.0)


def _forests(rng: np.random.Generator, trunks: list[Branch], side: Side) -> list[Forest]:
    """Grow the cerebral and the cerebellar branches of one side."""
    left = side is Side.LEFT
    cerebral = _supply(trunks, side, _CEREBRAL_FROM)
    cerebellar = _supply(trunks, side, _CEREBELLAR_FROM)
    n_cerebral, n_cerebellar = int(rng.integers(75, 110)), int(rng.integers(9, 15))
    return [
        grow(rng, "cerebrum", cerebral, left=left, n_leaves=n_cerebral, leaf_radius_mm=(0.33, 0.55)),
        grow(rng, "cerebellum", cerebellar, left=left, n_leaves=n_cerebellar, leaf_radius_mm=(0.25, 0.42)),
    ]


def _supply(trunks: list[Branch], side: Side, first: dict[str, float]) -> Supply:
    """Points where branches may leave: every third point of each trunk from the given fraction of its length."""
    points, owner, at, lag = [], [], [], []
    for index, trunk in enumerate(trunks):
        if trunk.name in first and trunk.side in {side, Side.MIDLINE}:
            chosen = np.arange(round(first[trunk.name] * (len(trunk.points_mm) - 1)), len(trunk.points_mm), 4)
            if chosen[-1] != len(trunk.points_mm) - 1:
                chosen = np.append(chosen, len(trunk.points_mm) - 1)
            points.append(trunk.points_mm[chosen])
            owner.append(np.full(len(chosen), index))
            at.append(chosen)
            lag.append(np.full(len(chosen), _LAG_MM.get(trunk.name, 0.0)))
    return Supply(np.concatenate(points), np.concatenate(owner), np.concatenate(at), np.concatenate(lag))
