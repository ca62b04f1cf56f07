"""What speaks for an occlusion in one hemisphere: how its arteries are interrupted, what is missing, and where a clot shows.

The numbers mean the same on any head, so a call fitted on synthetic heads can be recalibrated on a handful of real ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lvo.core.anatomy import segment
from lvo.core.pose import HeadPose
from lvo.core.volume import Volume
from lvo.cta.bolus import SOFT_HU
from lvo.cta.path import Interruption, find_interruption
from lvo.cta.routes import (
    CAROTID_TOP_MM,
    FAR_M2_MM,
    SIPHON_MM,
    TRUNKS,
    basilar_route,
    carotid_end_mm,
    carotid_route,
    side_routes,
)  # fmt: skip
from lvo.cta.tree import ArteryTree, stretch
from lvo.cta.voxels import VesselVoxels

__all__ = [
    "MAX_GAP_CM",
    "BasilarFeatures",
    "BasilarMeasures",
    "HemisphereFeatures",
    "SideMeasures",
    "basilar_features",
    "hemisphere_features",
    "measure_basilar",
    "measure_side",
    "vector",
]

_A1_ORIGIN_MM = 8.0
"""Half of A1 (15.6 mm long); beyond, it fills from the other side when the carotid T is closed."""

_TIP_MM = 8.0
"""The last of the basilar artery and the first of both P1: an embolus that comes up the basilar artery lodges here."""

_INSULA_MM, _CORTEX_MM, _FRONT_BACK_MM = 30.0, 48.0, 5.0
"""Zones of the middle cerebral tree by atlas |x| and y: the insular part from the limen to the operculum, then the cortex in
front of and behind the central lobe."""

_FLOOR_ML, _FLOOR = 0.05, 0.1
"""Added before taking logarithms, so that empty against empty is equal and empty against full is finite (about -2.4)."""

_M2_ORIGIN_MM = 6.0
"""The trunks lie side by side up to here: what is beside their origin may belong to either."""

_CLOT_FLOOR_ML = 0.01
"""A clot of 3 mm in an M2 trunk has 0.01 mL: what is much smaller is noise."""

_BRIGHTEST = 90.0
"""Partial volume darkens most of a thin vessel; the brightest tenth is the lumen."""
_FEW = 8

MAX_GAP_CM = 3.0
"""Longer interruptions say nothing more: an M1 without any filling beyond is 2 to 4 cm."""


@dataclass(frozen=True, slots=True, eq=False)
class SideMeasures:
    """One side, measured.

    Args:
        trunk: path from the carotid to the nearest part of M2.
        branches: path to the far part of each M2 trunk, in the order of `TRUNKS`.
        siphon: path along the intracranial carotid to its end, None when the scan does not cover it.
        carotid, m1: open lumen volume / volume that belongs there.
        m2: the same of either trunk, in the order of `TRUNKS`.
        a1: the same for the first millimetres of A1: a clot in the carotid T reaches into them.
        zones_ml: middle cerebral lumen in the insula, the front and the back of the cortex.
        unfed: share of the middle cerebral lumen that does not hang together with the carotid.
        unfed_m2: the same of the lumen along either trunk, in the order of `TRUNKS`.
        m1_hu: attenuation of M1, None without lumen there.
        clot_ml: clot voxels along the siphon, along carotid T and M1, and along M2.
        clot_at_t: share of the clot of carotid T and M1 that lies before M1 or in A1.
    """

    trunk: Interruption
    branches: tuple[Interruption, ...]
    siphon: Interruption | None
    carotid: float
    m1: float
    m2: tuple[float, ...]
    a1: float
    zones_ml: tuple[float, float, float]
    unfed: float
    unfed_m2: tuple[float, ...]
    m1_hu: float | None
    clot_ml: tuple[float, float, float]
    clot_at_t: float

    @property
    def distal_ml(self) -> float:
        """Middle cerebral lumen from the insula on."""
        return sum(self.zones_ml)

    @property
    def shortest_branch(self) -> Interruption:
        """The shorter interruption of the two trunks: before their origin, a clot interrupts both."""
        return min(self.branches, key=lambda branch: branch.gap_mm)

    @property
    def longest_branch(self) -> Interruption:
        """The longer interruption of the two trunks."""
        return max(self.branches, key=lambda branch: branch.gap_mm)


@dataclass(frozen=True, slots=True)
class HemisphereFeatures:
    """Evidence for an occlusion on one side.

    Gaps in cm, darkness as in `Interruption`, logarithms of ratios (0 normal, negative less than normal), clots as logarithms
    (0 none). A branch is cut off where the way to it is dark and its lumen does not hang together with the carotid: the way
    alone is dark too where a trunk runs elsewhere than in the atlas.
    """

    trunk_gap_cm: float
    both_branches_gap_cm: float
    siphon_gap_cm: float
    trunk_darkness: float
    both_branches_darkness: float
    siphon_darkness: float
    carotid_vs_other: float
    carotid_vs_atlas: float
    m1_vs_other: float
    m1_vs_atlas: float
    m1_hu_vs_other: float
    m2_vs_other: float
    insula_vs_other: float
    weaker_zone_vs_other: float
    front_vs_other: float
    back_vs_other: float
    unfed: float
    branch_cut_off: float
    siphon_clot: float
    stem_clot: float
    m2_clot: float


@dataclass(frozen=True, slots=True)
class BasilarFeatures:
    """Evidence for a basilar occlusion; there is no other side to compare with."""

    gap_cm: float
    darkness: float
    fed_tip_vs_atlas: float
    unfed_posterior: float
    clot: float
    tip_clot: float


@dataclass(frozen=True, slots=True, eq=False)
class BasilarMeasures:
    """The basilar artery, measured.

    Args:
        path: from the vertebral confluence to the tip.
        fed_tip: lumen of the tip and of both P1 origins that hangs together with the vertebral arteries or the first 8 mm of
            the basilar artery / what belongs there.
        unfed_posterior: share of the lumen of both P2 that does not hang together with them.
        clot_ml: clot voxels along the artery, and at the tip, from which a clot reaches into both P1.
    """

    path: Interruption
    fed_tip: float
    unfed_posterior: float
    clot_ml: tuple[float, float]


def vector(features: HemisphereFeatures | BasilarFeatures, names: Sequence[str] | None = None) -> NDArray[np.float64]:
    """Features in the order of the names, by default all in the order of the fields."""
    return np.array([getattr(features, name) for name in names or [field.name for field in fields(features)]])


def measure_side(
    vessels: Mapping[str, Volume], pose: HeadPose, voxels: VesselVoxels, *, left: bool, siphon_seen: bool
) -> SideMeasures:
    """Follow and measure the arteries of one side.

    Args:
        vessels: probability of "artery", "ICA" and "MCA" on a grid that covers the routes of the side.
        pose: how the head lies.
        voxels: the vessels, named.
        left: the patient's side.
        siphon_seen: whether the scan covers the intracranial carotid.
    """
    tree, artery = voxels.tree, vessels["artery"]
    own = replace(artery, array=vessels["ICA"].array + vessels["MCA"].array)
    find = partial(find_interruption, artery, voxels.darkness, pose, own=own)
    trunk, *branches = (find(route) for route in side_routes(tree, left=left))
    end_mm = carotid_end_mm(tree)
    siphon = stretch(tree, "ICA", left=left, low_mm=end_mm - SIPHON_MM[0], high_mm=end_mm - CAROTID_TOP_MM)
    top = stretch(tree, "ICA", left=left, low_mm=end_mm - CAROTID_TOP_MM) | stretch(tree, "ICA-T", left=left)
    m1, a1 = stretch(tree, "M1", left=left), stretch(tree, "A1", left=left, high_mm=_A1_ORIGIN_MM)
    m2 = np.any([stretch(tree, name, left=left, high_mm=FAR_M2_MM[1]) for name in TRUNKS], axis=0)
    middle = voxels.of_tree("MCA") & voxels.beside(left=left)
    zones = _zones(np.abs(voxels.points_atlas_mm[:, 0]), voxels.points_atlas_mm[:, 1])
    fed = voxels.fed[0 if left else 1]
    beyond = middle & np.any(zones, axis=0)
    beyond_origin = [stretch(tree, name, left=left, low_mm=_M2_ORIGIN_MM) for name in TRUNKS]
    at_t = voxels.clot_ml(top | a1)
    stem = at_t + voxels.clot_ml(m1)
    return SideMeasures(
        trunk=trunk,
        branches=tuple(branches),
        siphon=find(carotid_route(tree, left=left)) if siphon_seen else None,
        carotid=_share(voxels, siphon, ("ICA",)),
        m1=_share(voxels, m1, ("M1",)),
        m2=tuple(_share(voxels, stretch(tree, name, left=left), (name,)) for name in TRUNKS),
        a1=_share(voxels, a1, ("A1",)),
        zones_ml=tuple(float((middle & zone).sum()) * voxels.voxel_ml for zone in zones),  # type: ignore[arg-type]
        unfed=_unfed(fed, beyond),
        unfed_m2=tuple(_unfed(fed, middle & voxels.on(trunk)) for trunk in beyond_origin),
        m1_hu=_lumen_hu(voxels, m1),
        clot_ml=(voxels.clot_ml(siphon), stem, voxels.clot_ml(m2)),
        clot_at_t=at_t / stem if stem > 0 else 0.0,
    )


def measure_basilar(artery: Volume, pose: HeadPose, voxels: VesselVoxels) -> BasilarMeasures:
    """Follow the basilar artery from the vertebral confluence to its tip; the map must cover `basilar_route`."""
    tree = voxels.tree
    trunk = stretch(tree, "BA", left=True)
    top = stretch(tree, "BA", left=True, low_mm=float(tree.along_mm[trunk].max()) - _TIP_MM)
    origins = [stretch(tree, "P1", left=left, high_mm=_TIP_MM) for left in (True, False)]
    parts = [(top, "BA"), *((origin, "P1") for origin in origins)]
    tip = np.any([member for member, _ in parts], axis=0)
    expected_tip_ml = sum(expected_ml(tree, member, (name,)) for member, name in parts)
    posterior = np.any([stretch(tree, "P2", left=left) for left in (True, False)], axis=0)
    return BasilarMeasures(
        path=find_interruption(artery, voxels.darkness, pose, basilar_route(tree)),
        fed_tip=float((voxels.on(tip) & voxels.fed_behind).sum()) * voxels.voxel_ml / expected_tip_ml,
        unfed_posterior=_unfed(voxels.fed_behind, voxels.on(posterior)),
        clot_ml=(voxels.clot_ml(trunk), voxels.clot_ml(tip)),
    )


def hemisphere_features(side: SideMeasures, other: SideMeasures) -> HemisphereFeatures:
    """Compare one side with the other and with the atlas; of a carotid that was not seen nothing speaks for an occlusion."""
    seen = side.siphon is not None and other.siphon is not None
    insula, front, back = (_log_ratio(a, b, _FLOOR_ML) for a, b in zip(side.zones_ml, other.zones_ml, strict=True))
    siphon_clot, stem_clot, m2_clot = (float(np.log1p(clot / _CLOT_FLOOR_ML)) for clot in side.clot_ml)
    return HemisphereFeatures(
        trunk_gap_cm=_gap_cm(side.trunk),
        both_branches_gap_cm=_gap_cm(side.shortest_branch),
        siphon_gap_cm=_gap_cm(side.siphon) if side.siphon is not None else 0.0,
        trunk_darkness=side.trunk.darkness,
        both_branches_darkness=min(branch.darkness for branch in side.branches),
        siphon_darkness=side.siphon.darkness if side.siphon is not None else 0.0,
        carotid_vs_other=_log_ratio(side.carotid, other.carotid, _FLOOR) if seen else 0.0,
        carotid_vs_atlas=_log_ratio(side.carotid, 1.0, _FLOOR) if seen else 0.0,
        m1_vs_other=_log_ratio(side.m1, other.m1, _FLOOR),
        m1_vs_atlas=_log_ratio(side.m1, 1.0, _FLOOR),
        m1_hu_vs_other=_hu_ratio(side.m1_hu, other.m1_hu),
        m2_vs_other=_log_ratio(sum(side.m2), sum(other.m2), _FLOOR),
        insula_vs_other=insula,
        weaker_zone_vs_other=min(front, back),
        front_vs_other=front,
        back_vs_other=back,
        unfed=side.unfed,
        branch_cut_off=max(branch.darkness * unfed for branch, unfed in zip(side.branches, side.unfed_m2, strict=True)),
        siphon_clot=siphon_clot if seen else 0.0,
        stem_clot=stem_clot,
        m2_clot=m2_clot,
    )


def basilar_features(basilar: BasilarMeasures) -> BasilarFeatures:
    """The basilar artery against the atlas."""
    clot, tip_clot = (float(np.log1p(clot / _CLOT_FLOOR_ML)) for clot in basilar.clot_ml)
    return BasilarFeatures(
        gap_cm=_gap_cm(basilar.path),
        darkness=basilar.path.darkness,
        fed_tip_vs_atlas=_log_ratio(basilar.fed_tip, 1.0, _FLOOR),
        unfed_posterior=basilar.unfed_posterior,
        clot=clot,
        tip_clot=tip_clot,
    )


def _zones(lateral_mm: NDArray[np.float64], back_mm: NDArray[np.float64]) -> tuple[NDArray[np.bool_], ...]:
    insula = (lateral_mm >= _INSULA_MM) & (lateral_mm < _CORTEX_MM)
    cortex = lateral_mm >= _CORTEX_MM
    return insula, cortex & (back_mm < _FRONT_BACK_MM), cortex & (back_mm >= _FRONT_BACK_MM)


def _unfed(fed: NDArray[np.bool_], member: NDArray[np.bool_]) -> float:
    """Share of some voxels that is not fed; 1 where there is hardly any lumen."""
    return float((~fed)[member].mean()) if member.sum() >= _FEW else 1.0


def _share(voxels: VesselVoxels, member: NDArray[np.bool_], names: Sequence[str]) -> float:
    """Lumen beside some tree points / the volume that their atlas radii and lengths give."""
    return float(voxels.on(member).sum()) * voxels.voxel_ml / expected_ml(voxels.tree, member, names)


def expected_ml(tree: ArteryTree, member: NDArray[np.bool_], names: Sequence[str]) -> float:
    """Volume of the lumen beside some tree points of these segments after the atlas."""
    total = 0.0
    for name in names:
        along_mm = tree.along_mm[member]
        radius_mm = np.interp(along_mm, (along_mm[0], along_mm[-1]), segment(name).radius_mm)
        total += float(np.pi * np.mean(radius_mm**2) * (along_mm[-1] - along_mm[0]) / 1000.0)
    return total


def _lumen_hu(voxels: VesselVoxels, member: NDArray[np.bool_]) -> float | None:
    hu = voxels.hu[voxels.on(member)]
    return float(np.percentile(hu, _BRIGHTEST)) if len(hu) >= _FEW else None


def _hu_ratio(hu: float | None, other: float | None) -> float:
    """Logarithm of the enhancement over that of the other side; 0 where either cannot be told."""
    if hu is None or other is None:
        return 0.0
    return float(np.log(max(hu - SOFT_HU, 10.0) / max(other - SOFT_HU, 10.0)))


def _gap_cm(path: Interruption) -> float:
    return min(MAX_GAP_CM, path.gap_mm / 10.0)


def _log_ratio(value: float, reference: float, floor: float) -> float:
    return float(np.log((value + floor) / (reference + floor)))
