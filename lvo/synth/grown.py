"""The arteries of one head, second generator: elastic trunks between drawn landmarks, trees built terminal by terminal.

Nothing but the brain and the published rates is shared with `lvo.synth.arteries`: landmarks are drawn one by one and not by a
common field, trunks are relaxed chains (`lvo.synth.elastic`), branches are constructed under a cost (`lvo.synth.growth`), and
the M2 trunks are what turned out to be the main stems of the middle cerebral tree.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.report import Side
from lvo.synth.canopy import Habit, grow_canopy
from lvo.synth.elastic import Bed, relax
from lvo.synth.tree import ArterialTree, Branch, Variants, deep_supply, draw_variants, find, trunk_of
from lvo.synth.tubes import arc_length

__all__ = ["build_grown"]

Points = NDArray[np.float64]
Rng = np.random.Generator

# Landmarks on the patient's left, atlas LPS mm, as (middle, standard deviation); cisterns of the MNI template, spread as people
# are. Sources: termini 30 to 33 mm apart and basilar tip 13 to 17 mm behind them (TopCoW labels); clivus, limen insulae,
# callosum and calcarine fissure read off the template.
_MARKS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "siphon-end": ((15.3, -4.0, -17.8), (1.3, 1.3, 1.0)),
    "limen": ((38.2, -1.0, -12.4), (1.5, 1.6, 1.4)),
    "a1-end": ((2.2, -11.2, -13.2), (0.5, 1.6, 1.2)),
    "p1-end": ((8.0, 12.2, -16.4), (1.0, 1.0, 0.9)),
}
_TIP = ((0.0, 11.0, -17.2), (1.2, 1.0, 1.6))
_JUNCTION = ((0.0, 18.0, -46.0), (1.6, 1.2, 2.5))
_CALLOSAL = (
    ((1.8, -25.0, -9.5), (0.5, 1.5, 1.2)), ((1.8, -36.5, 4.0), (0.4, 1.5, 2.0)), ((1.8, -29.0, 22.0), (0.4, 1.5, 1.5)),
)  # fmt: skip
_PERICALLOSAL = (
    ((1.8, -12.0, 31.0), (0.4, 2.0, 1.2)),
    ((2.0, 10.0, 34.0), (0.5, 3.0, 1.2)),
    ((2.4, 26.0, 35.0), (0.6, 4.0, 2.0)),
)
_AMBIENT = (
    ((15.8, 18.5, -14.0), (0.8, 1.2, 1.0)),
    ((17.0, 27.0, -10.0), (0.8, 1.5, 1.0)),
    ((14.5, 37.0, -3.5), (1.0, 1.5, 1.2)),
)
_CALCARINE = (((15.0, 48.0, -1.0), (1.0, 2.0, 1.2)), ((13.0, 64.0, 2.5), (1.0, 3.0, 1.5)), ((9.5, 84.0, 3.5), (1.0, 4.0, 2.0)))
_VERTEBRAL = (
    ((24.0, 30.0, -240.0), (3.0, 5.0, 0.0)), ((23.0, 30.0, -150.0), (1.5, 2.5, 4.0)), ((22.0, 30.0, -96.0), (1.0, 1.5, 2.0)),
    ((24.0, 35.0, -78.0), (1.0, 1.5, 1.5)), ((20.5, 41.0, -72.0), (1.0, 1.2, 1.0)), ((12.0, 37.0, -67.0), (1.2, 1.2, 1.2)),
    ((5.0, 29.0, -56.0), (1.3, 1.2, 1.5)),
)  # fmt: skip
_CAROTID = (
    ((27.0, 30.0, -240.0), (3.0, 5.0, 0.0)), ((26.5, 23.0, -145.0), (2.0, 4.0, 6.0)), ((25.5, 18.0, -98.0), (1.2, 2.0, 3.0)),
    ((25.0, 16.5, -72.0), (0.8, 1.0, 2.0)), ((25.0, 15.5, -57.0), (0.7, 0.8, 0.8)), ((22.5, 13.5, -48.5), (0.8, 0.8, 0.7)),
    ((17.5, 8.5, -44.5), (0.8, 0.8, 0.7)), ((14.6, 4.0, -42.0), (0.6, 0.8, 0.8)),
)  # fmt: skip
"""Neck, vertical and horizontal petrous part; the siphon that follows is shaped by `_siphon`."""

_RADII_MM = {
    "M1": (1.55, 1.35), "A1": (1.15, 1.05), "A2": (1.05, 0.9), "A3": (0.9, 0.6), "BA": (1.8, 1.55), "VA": (1.95, 1.4),
    "P1": (1.05, 1.05), "P2": (1.05, 0.88), "P3": (0.85, 0.6), "A2-third": (0.8, 0.65), "M2": (1.2, 0.85), "ICA-T": (1.9, 1.8),
}  # fmt: skip
"""Rai et al., J NeuroIntervent Surg 2013 (diameters: carotid 5.0 to 3.6, M1 3.1, M2 2.4, basilar 3.6 to 3.1, vertebral 3.9 to
2.8 mm); the rest usual calibres of the circle of Willis (recalled)."""

_RADIUS_SD = 0.12
_ABSENT_P1 = 0.3
"""Of the foetal types, in how many P1 is missing altogether."""
_THIRD_A2 = 0.04  # 3 to 5 %; ISLES'24 3.4 %
_ACOM = 0.92


@dataclass(frozen=True, slots=True)
class _Individual:
    """What one head shares between its trunks.

    Args:
        width: size of the circle of Willis against the landmarks.
        elongation: mean excess length of trunks; grows with age.
    """

    width: float
    elongation: float


def build_grown(rng: Rng) -> ArterialTree:
    """Grow the arteries of one head in template space."""
    one = _Individual(
        width=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.15)),
        elongation=float(0.02 + rng.gamma(2.0, 0.025)),
    )
    habit = Habit(directness=float(rng.uniform(0.2, 0.65)), sway_mm=float(rng.uniform(0.35, 0.8)))
    variants = draw_variants(rng)
    third = bool(rng.random() < _THIRD_A2)
    acom = bool(rng.random() < _ACOM) or third or any(variant.a1_radius == 0.0 for variant in variants.values())
    trunks: list[Branch] = []
    _vertebrobasilar(rng, trunks, one, variants)
    for side in (Side.LEFT, Side.RIGHT):
        _anterior(rng, trunks, one, side, variants[side])
        _posterior(rng, trunks, one, side, variants[side])
    _communicate(rng, trunks, acom=acom, third=third)
    branches = list(trunks)
    fed = []
    for side in (Side.LEFT, Side.RIGHT):
        limen = _draw(rng, _MARKS["limen"], side)
        fed += grow_canopy(rng, branches, side, variants[side], habit=habit, limen_mm=limen)
        fed.append(deep_supply(trunks, side))
    points, by, at = (np.concatenate([part[n] for part in fed]) for n in range(3))
    return ArterialTree(tuple(branches), variants, acom, points, by, at)


def _draw(
    rng: Rng, mark: tuple[tuple[float, float, float], tuple[float, float, float]], side: Side, width: float = 1.0
) -> Points:
    """One landmark of one head."""
    middle, sd = (np.array(part) for part in mark)
    point = middle * (width, 1.0, 1.0) + np.clip(rng.standard_normal(3), -2.2, 2.2) * sd
    return np.asarray(point * (-1.0 if side is Side.RIGHT else 1.0, 1.0, 1.0))


def _radius(rng: Rng, n: int, name: str, factor: float = 1.0) -> NDArray[np.float64]:
    """Tapering, slightly uneven calibre."""
    scale = float(np.clip(1.0 + _RADIUS_SD * rng.standard_normal(), 0.7, 1.35)) * factor
    uneven = ndimage.gaussian_filter1d(rng.standard_normal(n), 6.0, mode="nearest") * 0.18
    return np.asarray(np.linspace(*_RADII_MM[name], n) * scale * (1.0 + uneven))


def _add(
    rng: Rng,
    trunks: list[Branch],
    name: str,
    side: Side,
    course: Points,
    fed_by: tuple[int | None, int],
    *,
    factor: float = 1.0,
) -> int:
    """Append a trunk; returns its index."""
    territory = {"I": "ICA", "M": "MCA", "A": "ACA", "P": "PCA"}.get(name[0], "VB")
    if name in {"VA", "BA"}:
        territory = "VB"
    trunks.append(Branch(name, side, course, _radius(rng, len(course), name, factor), fed_by[0], fed_by[1], territory))
    return len(trunks) - 1


def _end(trunks: list[Branch], index: int) -> tuple[int, int]:
    """The last point of a trunk as a place to be fed from."""
    return index, len(trunks[index].points_mm) - 1


def _longer(rng: Rng, one: _Individual, weight: float = 1.0) -> float:
    """Elongation of one chain."""
    return float(1.0 + weight * one.elongation * rng.uniform(0.3, 1.7))


def _vertebrobasilar(rng: Rng, trunks: list[Branch], one: _Individual, variants: dict[Side, Variants]) -> None:
    """Both vertebral arteries and the basilar artery, which bends away from the stronger vertebral."""
    junction, tip = _draw(rng, _JUNCTION, Side.MIDLINE), _draw(rng, _TIP, Side.MIDLINE)
    ends = []
    for side in (Side.LEFT, Side.RIGHT):
        marks = np.stack([*(_draw(rng, mark, side) for mark in _VERTEBRAL), junction])
        course = relax(rng, marks, Bed(_longer(rng, one, 0.6), free_below_z_mm=-64.0))
        ends.append(_add(rng, trunks, "VA", side, course, (None, 0), factor=variants[side].va_radius))
    stronger = variants[Side.LEFT].va_radius - variants[Side.RIGHT].va_radius
    bow = rng.normal(0.0, 2.0) - 2.5 * stronger
    middle = 0.5 * (junction + tip) + (bow, -1.5, rng.normal(0.0, 1.5))
    course = relax(rng, np.stack([junction, middle, tip]), Bed(_longer(rng, one), hold=0.5))
    strong = ends[0] if stronger >= 0 else ends[1]
    _add(rng, trunks, "BA", Side.MIDLINE, course, _end(trunks, strong))


def _siphon(rng: Rng, side: Side, end: Points) -> Points:
    """The carotid siphon by its shape: how far forward its knee lies, how open it is, how high its hind bend."""
    front, opening, hind = rng.normal(-12.0, 2.2), rng.uniform(2.6, 4.6), rng.normal(-32.0, 1.6)
    x = float(np.clip(rng.normal(14.2, 0.8), 12.8, 15.8))
    knee_z = 0.5 * (hind + 2.0 + float(end[2])) - 1.0
    lateral = np.array([
        (x + 0.3, 1.8, hind - 4.5), (x + 0.5, -1.2, hind), (x + 0.4, 0.5 * front, hind + rng.uniform(0.8, 2.5)),
        (x - 0.2, front + 1.5, knee_z - opening), (x - 0.9, front, knee_z), (x - 1.1, front + 2.5, knee_z + opening),
    ])  # fmt: skip
    return np.asarray(lateral * (-1.0 if side is Side.RIGHT else 1.0, 1.0, 1.0))


def _carotid(rng: Rng, trunks: list[Branch], one: _Individual, side: Side) -> int:
    """Neck to terminus; returns the index of ICA-T."""
    end = _draw(rng, _MARKS["siphon-end"], side, one.width)
    marks = np.concatenate([[_draw(rng, mark, side) for mark in _CAROTID], _siphon(rng, side, end), [end]])
    course = relax(rng, marks, Bed(_longer(rng, one, 0.5), free_below_z_mm=-21.0, hold=2.0))
    scale = float(np.clip(1.0 + _RADIUS_SD * rng.standard_normal(), 0.72, 1.3))
    to_end = arc_length(course)[-1] - arc_length(course)
    uneven = 1.0 + 0.15 * ndimage.gaussian_filter1d(rng.standard_normal(len(course)), 8.0, mode="nearest")
    radius = np.interp(to_end, [0.0, 14.0, 34.0, 90.0], [1.88, 2.15, 2.65, 2.45]) * scale * uneven
    trunks.append(Branch("ICA", side, course, radius, None, 0, "ICA"))
    sign = -1.0 if side is Side.RIGHT else 1.0
    top = end + (sign * rng.normal(1.9, 0.5), rng.normal(1.3, 0.5), rng.uniform(1.8, 3.4))
    neck = relax(rng, np.stack([end, 0.5 * (end + top), top]), Bed())
    index = _add(rng, trunks, "ICA-T", side, neck, _end(trunks, len(trunks) - 1))
    trunks[index] = replace(trunks[index], radius_mm=np.linspace(radius[-1], 0.95 * radius[-1], len(neck)))
    return index


def _anterior(rng: Rng, trunks: list[Branch], one: _Individual, side: Side, variant: Variants) -> None:
    """Carotid, M1 up to its division, A1 to A3 of one side."""
    terminus = _carotid(rng, trunks, one, side)
    top = trunks[terminus].points_mm[-1]
    limen, crossing = _draw(rng, _MARKS["limen"], side), _draw(rng, _MARKS["a1-end"], side)
    arch = 0.5 * (top + limen) + (0.0, rng.normal(-1.0, 1.5), rng.normal(-1.8, 2.0))
    whole = relax(rng, np.stack([top, arch, limen]), Bed(_longer(rng, one, 2.2), hold=0.5))
    m1 = whole[: max(round(variant.bifurcation * (len(whole) - 1)), 6) + 1]
    _add(rng, trunks, "M1", side, m1, _end(trunks, terminus))
    fed_by: tuple[int | None, int] = (None, 0)
    if variant.a1_radius > 0.0:
        dip = 0.5 * (top + crossing) + (0.0, rng.normal(-0.5, 1.3), rng.normal(-0.3, 1.2))
        course = relax(rng, np.stack([top, dip, crossing]), Bed(_longer(rng, one, 0.6), hold=0.5))
        index = _add(rng, trunks, "A1", side, course, _end(trunks, terminus), factor=variant.a1_radius)
        fed_by = _end(trunks, index)
    marks = np.stack([crossing, *(_draw(rng, mark, side) for mark in _CALLOSAL)])
    index = _add(rng, trunks, "A2", side, relax(rng, marks, Bed(_longer(rng, one, 0.8))), fed_by)
    marks = np.stack([trunks[index].points_mm[-1], *(_draw(rng, mark, side) for mark in _PERICALLOSAL)])
    _add(rng, trunks, "A3", side, relax(rng, marks, Bed(_longer(rng, one, 0.8))), _end(trunks, index))


def _posterior(rng: Rng, trunks: list[Branch], one: _Individual, side: Side, variant: Variants) -> None:
    """P1 to P3 and the posterior communicating artery of one side."""
    basilar, terminus = trunk_of(trunks, "BA", side), trunk_of(trunks, "ICA-T", side)
    tip, corner = trunks[basilar].points_mm[-1], _draw(rng, _MARKS["p1-end"], side)
    fed_by = _end(trunks, basilar)
    if not (variant.fetal_pca and rng.random() < _ABSENT_P1):
        middle = 0.5 * (tip + corner) + (0.0, rng.normal(-0.7, 0.6), rng.normal(0.0, 0.6))
        course = relax(rng, np.stack([tip, middle, corner]), Bed(_longer(rng, one), hold=0.5))
        fed_by = _end(trunks, _add(rng, trunks, "P1", side, course, fed_by, factor=0.4 if variant.fetal_pca else 1.0))
    if variant.pcom_radius_mm > 0.0:
        start = trunks[terminus].points_mm[0]
        middle = 0.5 * (start + corner) + (0.0, 0.0, rng.normal(-0.5, 0.8))
        course = relax(rng, np.stack([start, middle, corner]), Bed(_longer(rng, one), hold=0.5))
        trunks.append(Branch("Pcom", side, course, np.full(len(course), variant.pcom_radius_mm), terminus, 0, "PCA"))
        if variant.fetal_pca:
            fed_by = _end(trunks, len(trunks) - 1)
    marks = np.stack([corner, *(_draw(rng, mark, side) for mark in _AMBIENT)])
    index = _add(rng, trunks, "P2", side, relax(rng, marks, Bed(_longer(rng, one))), fed_by)
    marks = np.stack([trunks[index].points_mm[-1], *(_draw(rng, mark, side) for mark in _CALCARINE)])
    _add(rng, trunks, "P3", side, relax(rng, marks, Bed(_longer(rng, one))), _end(trunks, index))


def _communicate(rng: Rng, trunks: list[Branch], *, acom: bool, third: bool) -> None:
    """The anterior communicating artery, a third A2 from it, and A2 of a missing A1 fed by the other side."""
    sides = (Side.LEFT, Side.RIGHT)
    left, right = (trunk_of(trunks, "A2", side) for side in sides)
    for own, other in ((left, Side.RIGHT), (right, Side.LEFT)):
        across = find(trunks, "A1", other)
        if trunks[own].parent is None and across is not None:
            parent, at = _end(trunks, across)
            trunks[own] = replace(trunks[own], parent=parent, parent_at=at)
    if not acom:
        return
    ends = np.stack([trunks[index].points_mm[1] for index in (left, right)])
    middle = ends.mean(axis=0) + (0.0, -0.6, 0.3)
    course = relax(rng, np.stack([ends[0], middle, ends[1]]), Bed())
    radius = np.full(len(course), rng.uniform(0.55, 0.95))
    trunks.append(Branch("Acom", Side.MIDLINE, course, radius, left, 1, "ACA"))
    if third:
        start = course[len(course) // 2]
        marks = np.stack([start, *(_draw(rng, mark, Side.MIDLINE) * (0.15, 1.0, 1.0) + (0.0, 1.5, -0.5) for mark in _CALLOSAL)])
        _add(rng, trunks, "A2-third", Side.MIDLINE, relax(rng, marks, Bed(1.03)), (len(trunks) - 1, len(course) // 2))
