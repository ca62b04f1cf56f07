"""What is no occlusion and looks like one, or hides one.

Narrowings, small arteries, plaques, aneurysms, old infarcts and operated skulls. Each is a record that a head is asked for;
positions are fractions of a trunk, so they fit any topology.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import Side
from lvo.synth.tree import ArterialTree, Branch, find
from lvo.synth.tubes import arc_length

__all__ = ["Aneurysm", "Craniotomy", "Hypoplasia", "Mimic", "OldInfarct", "Plaques", "Stenosis", "calcified", "changed"]

Rng = np.random.Generator

_NARROWEST_MM = 0.15
"""A lumen that is open at all is at least this wide (radius)."""
_STARVED = 0.6
"""Radius of branches in an old infarct, as a fraction of what it was."""


@dataclass(frozen=True, slots=True)
class Stenosis:
    """A short narrowing of an open artery.

    Args:
        side: the patient's side, MIDLINE for the basilar artery.
        vessel: trunk, e.g. "M1".
        degree: loss of diameter, 0 to 0.95.
        length_mm: of the narrow part.
        at: where on the trunk, as a fraction of its length.
    """

    side: Side
    vessel: str
    degree: float
    length_mm: float = 4.0
    at: float = 0.5


@dataclass(frozen=True, slots=True)
class Hypoplasia:
    """A trunk, with what it feeds, that is small from birth: the radius is multiplied by `factor`."""

    side: Side
    vessel: str
    factor: float = 0.5


@dataclass(frozen=True, slots=True)
class Plaques:
    """Calcified plaques along a trunk: how many, between which fractions of its length, and how thick in mm (radius)."""

    side: Side
    vessel: str
    number: int = 4
    between: tuple[float, float] = (0.6, 1.0)
    radius_mm: float = 1.0


@dataclass(frozen=True, slots=True)
class Aneurysm:
    """A sac at a fraction of a trunk."""

    side: Side
    vessel: str
    at: float = 1.0
    diameter_mm: float = 7.0


@dataclass(frozen=True, slots=True)
class Craniotomy:
    """An operated vault: a round flap whose cut is open, or that is missing.

    Args:
        side: the patient's side.
        center_mm: of the flap, atlas LPS on the patient's left (mirrored for the right).
        radius_mm: of the flap.
        removed: the flap is not there.
    """

    side: Side
    center_mm: tuple[float, float, float] = (62.0, -8.0, 20.0)
    radius_mm: float = 30.0
    removed: bool = False


@dataclass(frozen=True, slots=True)
class OldInfarct:
    """A hole full of CSF in the brain: an ellipsoid, atlas LPS on the patient's left (mirrored for the right)."""

    side: Side
    center_mm: tuple[float, float, float] = (48.0, 5.0, 18.0)
    radii_mm: tuple[float, float, float] = (16.0, 25.0, 18.0)


Mimic: TypeAlias = Stenosis | Hypoplasia | Plaques | Aneurysm | Craniotomy | OldInfarct


def changed(tree: ArterialTree, mimics: Sequence[Mimic]) -> ArterialTree:
    """Put narrowings, small trunks, sacs and starved branches into a tree; what this tree lacks is left as it is."""
    branches = list(tree.branches)
    for mimic in mimics:
        match mimic:
            case Stenosis():
                _narrow(branches, mimic)
            case Hypoplasia():
                _shrink(branches, mimic)
            case Aneurysm():
                _bulge(branches, mimic)
            case OldInfarct():
                _starve(branches, mimic)
            case _:
                pass
    return replace(tree, branches=tuple(branches))


def calcified(rng: Rng, tree: ArterialTree, mimics: Sequence[Mimic]) -> tuple[Branch, ...]:
    """Plaques on the walls that the mimics ask for."""
    found = []
    for mimic in mimics:
        index = find(tree.branches, mimic.vessel, mimic.side) if isinstance(mimic, Plaques) else None
        if not isinstance(mimic, Plaques) or index is None:
            continue
        trunk = tree.branches[index]
        last = len(trunk.points_mm) - 1
        for start in rng.uniform(*mimic.between, mimic.number) * last:
            first = min(int(start), last - 2)
            chosen = np.arange(first, min(first + int(rng.integers(3, 9)), last) + 1)
            direction = rng.standard_normal(3)
            offset = direction / np.linalg.norm(direction) * trunk.radius_mm[chosen][:, None]
            radius = np.full(len(chosen), mimic.radius_mm * rng.uniform(0.6, 1.3))
            course = trunk.points_mm[chosen] + offset
            found.append(Branch("plaque", trunk.side, course, radius, None, 0, "", intracranial=False))
    return tuple(found)


def _narrow(branches: list[Branch], mimic: Stenosis) -> None:
    """Pinch a trunk."""
    index = find(branches, mimic.vessel, mimic.side)
    if index is None:
        return
    arc = arc_length(branches[index].points_mm)
    away = (arc - mimic.at * arc[-1]) / (0.5 * mimic.length_mm)
    radius = branches[index].radius_mm * (1.0 - mimic.degree * np.exp(-(away**4)))
    branches[index] = replace(branches[index], radius_mm=np.maximum(radius, _NARROWEST_MM))


def _shrink(branches: list[Branch], mimic: Hypoplasia) -> None:
    """Make a trunk thin all along."""
    index = find(branches, mimic.vessel, mimic.side)
    if index is not None:
        radius = np.maximum(mimic.factor * branches[index].radius_mm, _NARROWEST_MM)
        branches[index] = replace(branches[index], radius_mm=radius)


def _bulge(branches: list[Branch], mimic: Aneurysm) -> None:
    """Hang a sphere on a trunk, upwards of its wall."""
    index = find(branches, mimic.vessel, mimic.side)
    if index is None:
        return
    trunk = branches[index]
    at = round(mimic.at * (len(trunk.points_mm) - 1))
    half = 0.5 * mimic.diameter_mm
    tangent = np.gradient(trunk.points_mm, axis=0)[at]
    out = np.cross(tangent, (0.31, 0.17, 0.93))
    out /= max(float(np.linalg.norm(out)), 1e-6)
    along = np.linspace(-0.98, 0.98, 15)
    center = trunk.points_mm[at] + out * (half + 0.4 * trunk.radius_mm[at])
    points = center + half * along[:, None] * out
    radius = half * np.sqrt(1.0 - along**2)
    branches.append(Branch("aneurysm", trunk.side, points, radius, index, at, trunk.territory))


def _starve(branches: list[Branch], mimic: OldInfarct) -> None:
    """Thin out the branches that run through a dead part of the brain."""
    for index, branch in enumerate(branches):
        if branch.trunk >= 0 and float(np.mean(inside(mimic, branch.points_mm))) > 0.5:
            branches[index] = replace(branch, radius_mm=_STARVED * branch.radius_mm)


def inside(mimic: OldInfarct, points_mm: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which (..., 3) atlas points lie in an old infarct."""
    sign = -1.0 if mimic.side is Side.RIGHT else 1.0
    away = (points_mm - np.array(mimic.center_mm) * (sign, 1.0, 1.0)) / np.array(mimic.radii_mm)
    return np.asarray((away**2).sum(axis=-1) < 1.0)
