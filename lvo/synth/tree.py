"""The arterial tree of one head as records, whichever generator drew it, and the variants of the circle of Willis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lvo.core.report import Side
from lvo.synth.pial import Chain

__all__ = [
    "BRANCH_NAMES", "TOPOLOGIES", "ArterialTree", "Branch", "Topology", "Variants", "add_chains", "deep_supply",
    "draw_variants", "find", "trunk_of",
]  # fmt: skip

Topology = Literal["spline", "grown"]
TOPOLOGIES: tuple[Topology, ...] = ("spline", "grown")
"""The generators: "spline" bends one table of courses (`lvo.synth.arteries`), "grown" lets chains and trees find their own
way through the cisterns and over the brain (`lvo.synth.grown`). They share the brain and the rates below, no course."""

BRANCH_NAMES = {
    "M1": "M3", "M2-superior": "M3", "M2-inferior": "M3", "M2-middle": "M3", "A2": "A4", "A3": "A4", "P2": "P4", "P3": "P4",
    "BA": "SCA", "VA": "PICA",
}  # fmt: skip
"""What branches over the brain surface are called, by the trunk that gives them off."""

# How often a variant occurs, per side unless said; reference: project notes on circle of Willis variants (recalled ranges):
_ABSENT_A1 = 0.06  # one side only, 5-10 % with hypoplasia
_FETAL_PCA = 0.18  # 15-25 %
_SMALL_PCOM = 0.40  # absent or hypoplastic, 30-50 %
_EARLY_BIFURCATION = 0.15  # 10-20 %
_TRIFURCATION = 0.10
_SMALL_VA = 0.15  # 10-20 %, one side


@dataclass(frozen=True, slots=True)
class Variants:
    """What one side of the circle of Willis looks like.

    Args:
        a1_radius: factor on the radius of A1, 0 when absent.
        fetal_pca: the posterior cerebral artery comes from the carotid.
        pcom_radius_mm: radius of the posterior communicating artery, 0 when absent.
        bifurcation: where M1 divides, as a fraction of its length.
        trifurcation: a third M2 trunk.
        va_radius: factor on the radius of the vertebral artery.
    """

    a1_radius: float = 1.0
    fetal_pca: bool = False
    pcom_radius_mm: float = 0.65
    bifurcation: float = 1.0
    trifurcation: bool = False
    va_radius: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One vessel of the tree, in template space.

    Args:
        name: segment.
        side: the patient's side.
        points_mm: (N, 3) atlas course.
        radius_mm: (N,) lumen radius.
        parent: index of the feeding branch, None for inflow from the neck.
        parent_at: point of the parent where it leaves.
        territory: ICA, MCA, ACA, PCA or VB; empty for external arteries.
        intracranial: False for external carotid branches.
        trunk: grown branches: index of the trunk that feeds them; -1 for trunks.
    """

    name: str
    side: Side
    points_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    parent: int | None
    parent_at: int
    territory: str
    intracranial: bool = True
    trunk: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class ArterialTree:
    """All branches, and which trunk point feeds each surface point.

    Args:
        branches: the tree.
        variants: left and right.
        acom: whether the anterior communicating artery joins the sides.
        fed_points_mm: (N, 3) surface and deep points of the brain.
        fed_by: (N,) branch that feeds them.
        fed_at: (N,) point of that branch.
    """

    branches: tuple[Branch, ...]
    variants: dict[Side, Variants]
    acom: bool
    fed_points_mm: NDArray[np.float64]
    fed_by: NDArray[np.intp]
    fed_at: NDArray[np.intp]


def draw_variants(rng: np.random.Generator) -> dict[Side, Variants]:
    """Draw both sides; A1 and the vertebral artery are small on at most one."""
    sides: dict[Side, Variants] = {}
    weak_a1 = rng.integers(2) if rng.random() < 2 * _ABSENT_A1 else -1
    weak_va = rng.integers(2) if rng.random() < 2 * _SMALL_VA else -1
    for number, side in enumerate((Side.LEFT, Side.RIGHT)):
        fetal = bool(rng.random() < _FETAL_PCA)
        small = rng.random() < _SMALL_PCOM
        early = rng.random() < _EARLY_BIFURCATION
        pcom = 1.0 if fetal else float(rng.choice([0.0, 0.35]) if small else rng.uniform(0.5, 0.8))
        sides[side] = Variants(
            a1_radius=float(rng.choice([0.0, 0.5])) if weak_a1 == number else 1.0,
            fetal_pca=fetal,
            pcom_radius_mm=pcom,
            bifurcation=float(rng.uniform(0.45, 0.7) if early else rng.uniform(0.88, 1.0)),
            trifurcation=bool(rng.random() < _TRIFURCATION) and not early,
            va_radius=float(rng.uniform(0.4, 0.65)) if weak_va == number else 1.0,
        )
    return sides


def find(branches: Sequence[Branch], name: str, side: Side) -> int | None:
    """Index of the trunk of that name and side, None when the variant lacks it."""
    for index, branch in enumerate(branches):
        if branch.name == name and branch.side in {side, Side.MIDLINE} and branch.trunk < 0:
            return index
    return None


def trunk_of(branches: Sequence[Branch], name: str, side: Side) -> int:
    """Index of a trunk that every head has.

    Raises:
        KeyError: this one does not.
    """
    index = find(branches, name, side)
    if index is None:
        msg = f"no {side} {name}"
        raise KeyError(msg)
    return index


def deep_supply(trunks: list[Branch], side: Side) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Deep nuclei and brainstem: perforators of M1, P1 and the basilar, too thin to draw.

    Basal ganglia from the first two thirds of M1, thalamus from P1, brainstem from the basilar artery.
    """
    sign = 1.0 if side is Side.LEFT else -1.0
    boxes = {"M1": ((12, 30), (-18, 14), (-6, 16)), "P1": ((3, 14), (8, 28), (-2, 14)), "BA": ((1, 16), (14, 34), (-46, -14))}
    points, by, at = [], [], []
    for name, box in boxes.items():
        index = find(trunks, name, side)
        if index is None:
            continue
        axes = [np.arange(low, high + 0.1, 3.0) for low, high in box]
        block = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) * (sign, 1.0, 1.0)
        points.append(block)
        by.append(np.full(len(block), index))
        at.append(np.full(len(block), len(trunks[index].points_mm) // 2))
    return np.concatenate(points), np.concatenate(by), np.concatenate(at)


def add_chains(branches: list[Branch], chains: Sequence[Chain], side: Side) -> None:
    """Append grown chains as branches."""
    first = len(branches)
    for chain in chains:
        trunk = branches[chain.trunk]
        parent = chain.trunk if chain.parent_chain is None else first + chain.parent_chain
        parent_at = chain.trunk_at if chain.parent_chain is None else len(branches[parent].points_mm) - 1
        limit = 0.9 * trunk.radius_mm[chain.trunk_at]
        if chain.parent_chain is not None:
            limit = min(limit, float(branches[parent].radius_mm[-1]))
        branches.append(
            Branch(
                BRANCH_NAMES[trunk.name],
                side,
                chain.points_mm,
                np.minimum(chain.radius_mm, limit),
                parent,
                parent_at,
                trunk.territory,
                trunk=chain.trunk,
            )
        )
