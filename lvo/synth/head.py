"""A digital head: drawn from a seed, in patient space, with its exact truth."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lvo.core.pose import HeadPose
from lvo.core.report import Side, Site
from lvo.synth.arteries import build_arteries
from lvo.synth.disease import Occlusion, Perfused, occlude
from lvo.synth.field import SmoothField
from lvo.synth.grown import build_grown
from lvo.synth.mimics import Craniotomy, Mimic, OldInfarct, calcified, changed
from lvo.synth.skull import HeadShape, draw_shape
from lvo.synth.tree import ArterialTree, Branch, Topology, find
from lvo.synth.tubes import Tube, arc_length
from lvo.synth.veins import build_external, build_plaques, build_veins

__all__ = ["Head", "HeadSpec", "Occlusion", "Territories", "Truth", "Tube", "has_artery", "make_head"]

_PIVOT_ATLAS_MM = (0.0, 18.0, 0.0)
"""The head turns about this atlas point."""
_WARP_SD_MM = (1.8, 1.8, 1.5)
_WARP_WAVELENGTH_MM = (90.0, 220.0)
_SCALE = (0.86, 1.04)
"""Size against the atlas, which is large: its skull holds 1.9 L, people's 1.45 +- 0.15 L, so most lie below 1."""
ARTERIAL_HU = (250.0, 450.0)
"""Arterial attenuation of routine CTA at 100 to 120 kVp (project notes on CTA, recalled range)."""
VENOUS_FRACTION = (0.2, 0.9)
CLOT_HU = (45.0, 80.0)
BLOOD_HU = 41.0  # unclotted blood without contrast, mean 41.3
_SELLA_ATLAS_MM = (0.0, 0.0, -18.0)
_NEAR_MM, _FAR_MM = 15.0, 75.0
"""Up to this far from the sella no contrast is missing on its way, and this much further most is."""
_Kind = TypeVar("_Kind")
_BUILDERS: dict[Topology, Callable[[np.random.Generator], ArterialTree]] = {"spline": build_arteries, "grown": build_grown}


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What is asked of a head; everything else follows from the seed.

    Args:
        seed: two heads of one seed and spec are identical.
        occlusion: None for a healthy head.
        collateral_grade: filling beyond the occlusion, 0 none to 3 full.
        rotation_deg: about the patient's x, then y, then z axis.
        shift_mm: of the head's pivot, LPS.
        neck: whether the neck is there.
        arterial_hu: attenuation of the arterial lumen on CTA, drawn from the seed when None.
        topology: which generator draws the arteries.
        further: more occlusions in the same head: a tandem or the other side; the truth of `occlusion` comes first.
        mimics: what is no occlusion and looks like one.
        venous_fraction: contrast of the veins over that of the arteries, drawn from the seed when None: near 0 for an early,
            above 1 for a late bolus.
        distal_loss: share of the contrast that the farthest arteries have not got yet, the same on both sides: an early
            bolus or a weak heart.

    Raises:
        ValueError: a negative seed, a grade outside 0 to 3, a rotation or shift that is not three finite numbers, an
            arterial attenuation outside 80 to 900 HU, a venous fraction outside 0 to 1.5, a distal loss outside 0 to 1, or
            further occlusions without a first.
    """

    seed: int
    occlusion: Occlusion | None = None
    collateral_grade: int = 2
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    neck: bool = True
    arterial_hu: float | None = None
    topology: Topology = "spline"
    further: tuple[Occlusion, ...] = ()
    mimics: tuple[Mimic, ...] = ()
    venous_fraction: float | None = None
    distal_loss: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if self.seed < 0:
            msg = f"seed must not be negative, got {self.seed}"
            raise ValueError(msg)
        if self.collateral_grade not in range(4):
            msg = f"collateral_grade must be 0, 1, 2 or 3, got {self.collateral_grade}"
            raise ValueError(msg)
        for name in ("rotation_deg", "shift_mm"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != (3,) or not np.isfinite(value).all():
                msg = f"{name} must be three finite numbers, got {getattr(self, name)}"
                raise ValueError(msg)
        for name, low, high in (("arterial_hu", 80.0, 900.0), ("venous_fraction", 0.0, 1.5), ("distal_loss", 0.0, 1.0)):
            number = getattr(self, name)
            if number is not None and not low <= number <= high:
                msg = f"{name} must be {low:g} to {high:g}, got {number}"
                raise ValueError(msg)
        if self.further and self.occlusion is None:
            msg = "further occlusions need a first one: give occlusion too"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a reader should find; all None in a healthy head.

    Args:
        side: the patient's side of the occlusion.
        site: its site.
        clot_center_lps_mm: middle of the clot in its main vessel.
        cutoff_lps_mm: its most proximal end.
        further: the same of further occlusions.
    """

    side: Side | None
    site: Site | None
    clot_center_lps_mm: tuple[float, float, float] | None
    cutoff_lps_mm: tuple[float, float, float] | None
    further: tuple["Truth", ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Territories:
    """Which artery feeds which part of the brain.

    Args:
        points_lps_mm: (N, 3) points of the brain surface and the deep nuclei.
        territory: (N,) "MCA", "ACA", "PCA" or "VB".
        left: (N,) fed by an artery of the patient's left side (midline arteries count by position).
        at_risk: (N,) cut off by the occlusion.
    """

    points_lps_mm: NDArray[np.float64]
    territory: NDArray[np.str_]
    left: NDArray[np.bool_]
    at_risk: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A head in patient space.

    Args:
        spec: what was asked.
        pose: true similarity between patient and atlas; individual shape comes on top of it (`warp`).
        warp: individual shape: atlas points of the template move by it before the pose applies.
        shape: bone, face and scalp.
        arteries: all arteries, also the external ones.
        veins: veins and sinuses.
        clots: parts of the arteries that hold the clot; the first is the main one.
        plaques: calcifications on the carotid walls.
        territories: which artery feeds what.
        truth: what a reader should find.
        arterial_hu: attenuation of a fully opacified artery.
        venous_fraction: contrast of the veins, as a fraction of the arterial one.
        clot_hu: attenuation of the clot.
    """

    spec: HeadSpec
    pose: HeadPose
    warp: SmoothField
    shape: HeadShape
    arteries: tuple[Tube, ...]
    veins: tuple[Tube, ...]
    clots: tuple[Tube, ...]
    plaques: tuple[Tube, ...]
    territories: Territories
    truth: Truth
    arterial_hu: float
    venous_fraction: float
    clot_hu: float

    @property
    def clot(self) -> Tube | None:
        """The main part of the clot, None in a healthy head."""
        return self.clots[0] if self.clots else None

    def template_mm(self, points_lps_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Carry (..., 3) patient positions into the template, through pose and individual shape."""
        return self.warp.undone(self.pose.to_atlas_mm(points_lps_mm))

    def lps_mm(self, points_template_mm: NDArray[np.floating]) -> NDArray[np.float64]:
        """Carry (..., 3) template positions into the patient."""
        return self.pose.to_lps_mm(self.warp.moved(points_template_mm))


def make_head(spec: HeadSpec) -> Head:
    """Draw the head that the spec describes; the same spec gives the same head, bit for bit.

    Anatomy depends on the seed alone, so one seed with and without an occlusion is the same person.

    Raises:
        ValueError: this head lacks the artery that is to be occluded (a variant); use another seed.
    """
    streams = [np.random.default_rng((spec.seed, number)) for number in range(8)]
    scale = float(streams[0].uniform(*_SCALE))
    warp = SmoothField.random(streams[0], sd_mm=_WARP_SD_MM, wavelength_mm=_WARP_WAVELENGTH_MM)
    pose = _pose(spec, scale)
    shape = draw_shape(streams[1], neck=spec.neck)
    tree = changed(_tree(spec.topology, spec.seed), spec.mimics)
    veins = build_veins(streams[3])
    external = build_external(streams[4])
    plaques = build_plaques(streams[7], tuple(branch for branch in tree.branches if branch.name == "ICA"))
    plaques += calcified(np.random.default_rng((spec.seed, 8)), tree, spec.mimics)
    drawn_hu = float(streams[5].uniform(*ARTERIAL_HU))
    venous = float(streams[5].uniform(*VENOUS_FRACTION))
    clot_hu = float(streams[5].uniform(*CLOT_HU))
    venous = venous if spec.venous_fraction is None else spec.venous_fraction
    if spec.occlusion is not None and spec.occlusion.clot_hu is not None:
        clot_hu = spec.occlusion.clot_hu
    stops = [occlude(streams[6], tree, spec.occlusion, grade=spec.collateral_grade)]
    for number, occlusion in enumerate(spec.further):
        stops.append(occlude(np.random.default_rng((spec.seed, 9, number)), tree, occlusion, grade=spec.collateral_grade))
    transform = _Transform(pose, warp)
    perfused = reduce(Perfused.and_also, stops)
    clots = [_clot_tubes(transform, tree, stop) for stop in stops]
    arteries = _artery_tubes(transform, tree, perfused, spec.distal_loss)
    return Head(
        spec=spec,
        pose=pose,
        warp=warp,
        shape=replace(shape, operated=_of(Craniotomy, spec.mimics), lost=_of(OldInfarct, spec.mimics)),
        arteries=(*arteries, *(transform.tube(branch, np.ones(len(branch.points_mm))) for branch in external)),
        veins=tuple(transform.tube(branch, np.full(len(branch.points_mm), venous)) for branch in veins),
        clots=tuple(clot for found in clots for clot in found),
        plaques=tuple(transform.tube(branch, np.ones(len(branch.points_mm))) for branch in plaques),
        territories=_territories(transform, tree, perfused),
        truth=_truth((spec.occlusion, *spec.further), clots),
        arterial_hu=spec.arterial_hu if spec.arterial_hu is not None else drawn_hu,
        venous_fraction=venous,
        clot_hu=clot_hu,
    )


def has_artery(spec: HeadSpec, name: str, side: Side) -> bool:
    """Tell whether the head that the spec describes has a trunk, e.g. an A1, on one side."""
    return find(_tree(spec.topology, spec.seed).branches, name, side) is not None


@lru_cache(maxsize=4)
def _tree(topology: Topology, seed: int) -> ArterialTree:
    """The arteries of a seed; kept for a moment, since a case asks what they have before the head is drawn."""
    return _BUILDERS[topology](np.random.default_rng((seed, 2)))


def _of(kind: type[_Kind], mimics: tuple[Mimic, ...]) -> tuple[_Kind, ...]:
    """The mimics of one kind."""
    return tuple(mimic for mimic in mimics if isinstance(mimic, kind))


@dataclass(frozen=True, slots=True, eq=False)
class _Transform:
    """Template to patient."""

    pose: HeadPose
    warp: SmoothField

    def points(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points."""
        return self.pose.to_lps_mm(self.warp.moved(points_mm))

    def tube(self, branch: Branch, filling: NDArray[np.float64], *, radius_factor: NDArray[np.float64] | float = 1.0) -> Tube:
        """Move a branch; radii are millimetres of the patient and do not scale."""
        return Tube(
            branch.name, branch.side, self.points(branch.points_mm), branch.radius_mm * radius_factor, filling,
            branch.intracranial, branch.territory,
        )  # fmt: skip


def _pose(spec: HeadSpec, scale: float) -> HeadPose:
    """Similarity that turns the atlas about its pivot, scales and shifts it; the inverse is stored."""
    angle = np.deg2rad(spec.rotation_deg)
    rotation = np.eye(3)
    for axis in range(3):
        one, two = [(1, 2), (2, 0), (0, 1)][axis]
        turn = np.eye(3)
        turn[one, one] = turn[two, two] = np.cos(angle[axis])
        turn[one, two], turn[two, one] = -np.sin(angle[axis]), np.sin(angle[axis])
        rotation = turn @ rotation
    pivot = np.asarray(_PIVOT_ATLAS_MM)
    lps_from_atlas = np.eye(4)
    lps_from_atlas[:3, :3] = scale * rotation
    lps_from_atlas[:3, 3] = pivot + np.asarray(spec.shift_mm) - scale * rotation @ pivot
    return HeadPose(np.asarray(np.linalg.inv(lps_from_atlas), dtype=np.float64), 1.0)


def _artery_tubes(transform: _Transform, tree: ArterialTree, perfused: Perfused, distal_loss: float) -> tuple[Tube, ...]:
    """Intracranial arteries with their filling."""
    tubes = []
    for index, branch in enumerate(tree.branches):
        filling = perfused.filling[index]
        if distal_loss > 0.0:
            away = np.linalg.norm(branch.points_mm - _SELLA_ATLAS_MM, axis=1)
            share = np.clip((away - _NEAR_MM) / _FAR_MM, 0.0, 1.0) * (branch.points_mm[:, 2] > _SELLA_ATLAS_MM[2])
            filling = filling * (1.0 - distal_loss * share)
        factor = perfused.radius_factor[index] * perfused.caliber[index]
        tubes.append(transform.tube(branch, filling, radius_factor=factor))
    return tuple(tubes)


def _clot_tubes(transform: _Transform, tree: ArterialTree, perfused: Perfused) -> tuple[Tube, ...]:
    """The clot, vessel by vessel, the one where it begins first."""
    if perfused.cutoff is None:
        return ()
    holders = [index for index, mask in enumerate(perfused.clot) if mask.any()]
    first = perfused.cutoff[0]
    holders.sort(key=lambda index: index != first)
    tubes = []
    for index in holders:
        whole = transform.tube(tree.branches[index], np.zeros(len(perfused.clot[index])))
        inside = np.flatnonzero(perfused.clot[index])
        inside = np.arange(inside[0], max(inside[-1], min(inside[0] + 1, len(perfused.clot[index]) - 1)) + 1)
        tubes.append(Tube("clot", whole.side, whole.points_lps_mm[inside], whole.radius_mm[inside], whole.filling[inside]))
    return tuple(tubes)


def _territories(transform: _Transform, tree: ArterialTree, perfused: Perfused) -> Territories:
    """Feeding artery of every surface and deep point."""
    by, at = tree.fed_by, tree.fed_at
    names = np.array([branch.territory for branch in tree.branches])
    risk = np.array([perfused.at_risk[branch][point] for branch, point in zip(by, at, strict=True)], dtype=bool)
    return Territories(transform.points(tree.fed_points_mm), names[by], tree.fed_points_mm[:, 0] > 0, risk)


def _truth(occlusions: tuple[Occlusion | None, ...], clots: list[tuple[Tube, ...]]) -> Truth:
    """The answer."""
    found = []
    for occlusion, tubes in zip(occlusions, clots, strict=True):
        if occlusion is None or not tubes:
            return Truth(None, None, None, None)
        points = tubes[0].points_lps_mm
        arc = arc_length(points)
        center = points[int(np.argmin(np.abs(arc - arc[-1] / 2)))]
        found.append(Truth(occlusion.side, occlusion.site, _triple(center), _triple(points[0])))
    return replace(found[0], further=tuple(found[1:]))


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    """Three plain floats."""
    return float(point[0]), float(point[1]), float(point[2])
