"""What speaks for an occlusion in one hemisphere: how its arteries are interrupted, and how they compare.

The numbers mean the same on any head, so a call fitted on synthetic heads can be recalibrated on a handful of real ones.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.anatomy import segment
from lvo.core.pose import HeadPose
from lvo.core.volume import Volume
from lvo.cta.path import Interruption, Route, Zone, find_interruption
from lvo.cta.tree import ArteryTree, TreeVoxels, stretch

__all__ = [
    "TRUNKS",
    "BasilarFeatures",
    "HemisphereFeatures",
    "SideMeasures",
    "basilar_route",
    "hemisphere_features",
    "measure_basilar",
    "measure_side",
    "side_routes",
]  # fmt: skip

TRUNKS = ("M2-superior", "M2-inferior")

_CAROTID_START_MM = (22.0, 8.0)
"""A path starts in the carotid between 22 and 8 mm before its end: above the bony canal, below a clot of the carotid T."""

_NEAR_M2_MM = (2.0, 14.0)
_FAR_M2_MM = (14.0, 30.0)
"""M1 is followed to the first part of either trunk, each trunk to its insular part, where the two lie 15 mm apart."""

_START_REACH_MM, _NEAR_REACH_MM, _FAR_REACH_MM = 7.0, 8.0, 7.0
"""Half of people's courses lie within 4 mm of the atlas; trunks are looked for as far out as they cannot be confused."""

_A1_ORIGIN_MM = 8.0
"""Half of A1 (15.6 mm long); beyond, it fills from the other side when the carotid T is closed."""

_BASILAR_START_MM, _BASILAR_END_MM, _P1_END_MM = 8.0, 5.0, 6.0

_DISTAL_LOW_MM, _DISTAL_HIGH_MM = (36.0, -45.0, -20.0), (80.0, 55.0, 45.0)
"""Distal middle cerebral branches on the patient's left: insula to the convexity, frontal operculum to the temporo-parietal
cortex, atlas LPS mm."""

_FLOOR = 0.1
"""Added before taking logarithms, so that empty against empty is equal and empty against full is finite (about -2.4)."""

MAX_GAP_CM = 3.0
"""Longer interruptions say nothing more: an M1 without any filling beyond is 2 to 4 cm."""


@dataclass(frozen=True, slots=True, eq=False)
class SideMeasures:
    """One side, measured.

    Args:
        trunk: path from the carotid to the nearest part of M2.
        branches: path to the far part of each M2 trunk, in the order of `TRUNKS`.
        carotid, m1, m2: open lumen volume / volume that belongs there.
        a1: the same for the first millimetres of A1: a clot in the carotid T reaches into them.
        distal_ml: opacified artery in the distal middle cerebral territory.
    """

    trunk: Interruption
    branches: tuple[Interruption, ...]
    carotid: float
    m1: float
    m2: float
    a1: float
    distal_ml: float

    @property
    def main(self) -> Interruption:
        """The interruption that matters: that of M1, or else the longer one of the trunks."""
        longest = max(self.branches, key=lambda branch: branch.gap_mm)
        return self.trunk if self.trunk.gap_mm >= longest.gap_mm / 2.0 else longest


@dataclass(frozen=True, slots=True)
class HemisphereFeatures:
    """Evidence for an occlusion on one side: gaps in cm, and logarithms of ratios (0 normal, negative less than normal)."""

    trunk_gap_cm: float
    branch_gap_cm: float
    carotid_vs_other: float
    m1_vs_other: float
    m1_vs_atlas: float
    m2_vs_other: float
    distal_vs_other: float

    def vector(self) -> NDArray[np.float64]:
        """(7,) in the order of the fields."""
        return np.array(astuple(self))


@dataclass(frozen=True, slots=True)
class BasilarFeatures:
    """Evidence for a basilar occlusion; there is no other side to compare with."""

    gap_cm: float
    basilar_vs_atlas: float

    def vector(self) -> NDArray[np.float64]:
        """(2,) in the order of the fields."""
        return np.array(astuple(self))


def side_routes(tree: ArteryTree, *, left: bool) -> tuple[Route, ...]:
    """From the carotid to the nearest part of M2, and to the far part of each trunk in the order of `TRUNKS`."""
    low_mm, high_mm = _carotid_start_mm(tree)
    start = Zone(_course(tree, left, ("ICA", low_mm, high_mm)), _START_REACH_MM)
    stem = _course(tree, left, ("ICA", low_mm, np.inf), ("ICA-T", 0.0, np.inf), ("M1", 0.0, np.inf))
    near = _course(tree, left, *((name, *_NEAR_M2_MM) for name in TRUNKS))
    routes = [Route(start, Zone(near, _NEAR_REACH_MM), np.concatenate([stem, near]))]
    for name in TRUNKS:
        far = Zone(_course(tree, left, (name, *_FAR_M2_MM)), _FAR_REACH_MM)
        routes.append(Route(start, far, np.concatenate([stem, _course(tree, left, (name, 0.0, _FAR_M2_MM[1]))])))
    return tuple(routes)


def basilar_route(tree: ArteryTree) -> Route:
    """From the vertebral confluence to the basilar tip."""
    length_mm = float(tree.along_mm[stretch(tree, "BA", left=True)].max())
    start = Zone(_course(tree, True, ("BA", 0.0, _BASILAR_START_MM)), _START_REACH_MM)
    tip = [_course(tree, left, ("P1", 0.0, _P1_END_MM)) for left in (True, False)]
    end = np.concatenate([_course(tree, True, ("BA", length_mm - _BASILAR_END_MM, np.inf)), *tip])
    return Route(start, Zone(end, _START_REACH_MM), np.concatenate([_course(tree, True, ("BA", 0.0, np.inf)), end]))


def measure_side(artery: Volume, pose: HeadPose, tree: ArteryTree, voxels: TreeVoxels, *, left: bool) -> SideMeasures:
    """Follow and measure the arteries of one side; the map must cover `side_routes`."""
    trunk, *branches = (find_interruption(artery, pose, route) for route in side_routes(tree, left=left))
    mirrored = voxels.points_atlas_mm * (1.0 if left else -1.0, 1.0, 1.0)
    distal = ((mirrored >= _DISTAL_LOW_MM) & (mirrored <= _DISTAL_HIGH_MM)).all(axis=1)
    carotid = _share(tree, voxels, ("ICA", "ICA-T"), left=left, low_mm=_carotid_start_mm(tree)[0])
    m1, m2 = (_share(tree, voxels, names, left=left) for names in (("M1",), TRUNKS))
    a1 = _share(tree, voxels, ("A1",), left=left, high_mm=_A1_ORIGIN_MM)
    return SideMeasures(trunk, tuple(branches), carotid, m1, m2, a1, float(voxels.volume_ml[distal].sum()))


def measure_basilar(
    artery: Volume, pose: HeadPose, tree: ArteryTree, voxels: TreeVoxels
) -> tuple[BasilarFeatures, Interruption]:
    """Follow the basilar artery from the vertebral confluence to its tip; the map must cover `basilar_route`."""
    interruption = find_interruption(artery, pose, basilar_route(tree))
    share = _share(tree, voxels, ("BA",), left=True)
    return BasilarFeatures(min(MAX_GAP_CM, interruption.gap_mm / 10.0), _log_ratio(share, 1.0)), interruption


def hemisphere_features(side: SideMeasures, other: SideMeasures) -> HemisphereFeatures:
    """Compare one side with the other and with the atlas."""
    return HemisphereFeatures(
        trunk_gap_cm=min(MAX_GAP_CM, side.trunk.gap_mm / 10.0),
        branch_gap_cm=min(MAX_GAP_CM, max(branch.gap_mm for branch in side.branches) / 10.0),
        carotid_vs_other=_log_ratio(side.carotid, other.carotid),
        m1_vs_other=_log_ratio(side.m1, other.m1),
        m1_vs_atlas=_log_ratio(side.m1, 1.0),
        m2_vs_other=_log_ratio(side.m2, other.m2),
        distal_vs_other=_log_ratio(side.distal_ml, other.distal_ml),
    )


def _carotid_start_mm(tree: ArteryTree) -> tuple[float, float]:
    length_mm = float(tree.along_mm[stretch(tree, "ICA", left=True)].max())
    before_low, before_high = _CAROTID_START_MM
    return length_mm - before_low, length_mm - before_high


def _course(tree: ArteryTree, left: bool, *parts: tuple[str, float, float]) -> NDArray[np.float64]:  # noqa: FBT001
    return np.concatenate(
        [tree.points_atlas_mm[stretch(tree, name, left=left, low_mm=low, high_mm=high)] for name, low, high in parts]
    )


def _share(
    tree: ArteryTree, voxels: TreeVoxels, names: Sequence[str], *, left: bool, low_mm: float = 0.0, high_mm: float = np.inf
) -> float:
    """Open lumen named after these segments / the volume that their atlas radii and lengths give."""
    found_ml, expected_ml = 0.0, 0.0
    for name in names:
        member = stretch(tree, name, left=left, low_mm=low_mm if name == "ICA" else 0.0, high_mm=high_mm)
        named = voxels.nearest >= 0
        found_ml += float(voxels.volume_ml[named][member[voxels.nearest[named]]].sum())
        along_mm = tree.along_mm[member]
        radius_mm = np.interp(along_mm, (along_mm[0], along_mm[-1]), segment(name).radius_mm)
        expected_ml += float(np.pi * np.mean(radius_mm**2) * (along_mm[-1] - along_mm[0]) / 1000.0)
    return found_ml / expected_ml


def _log_ratio(value: float, reference: float) -> float:
    return float(np.log((value + _FLOOR) / (reference + _FLOOR)))
