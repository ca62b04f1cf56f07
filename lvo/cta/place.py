"""Where the finding is: the artery in which the lumen stops, and the point."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.anatomy import ARTERIES
from lvo.core.report import Side, Site
from lvo.cta.call import Detector
from lvo.cta.features import SideMeasures
from lvo.cta.measure import ArteryMeasures
from lvo.cta.path import Interruption
from lvo.cta.routes import CAROTID_TOP_MM, TRUNKS, carotid_end_mm
from lvo.cta.tree import ArteryTree, stretch
from lvo.cta.voxels import VesselVoxels

__all__ = ["Place", "basilar_place", "hemisphere_place"]

_T_REACH_MM = 5.0
_A1_OPEN = 0.4
"""A stop within 5 mm of the carotid terminus belongs to M1 when A1 is open, and to the carotid T when A1 has lost its lumen
too; displacement along the course leaves no finer distinction."""

_CLOT_AT_T = 0.15
"""A clot of the stem that lies by this share before M1 or in A1 is one of the carotid T."""

_SURE_CLOT_ML = 0.02
"""A clot of 3 mm in M2 has 0.01 mL, one of 5 mm in M1 0.035 mL: from here on the clot itself tells where the lumen ends."""

_FIRST_SHARE = 0.15
"""The start of a clot is read from this share of its voxels: those nearest to the heart along the course."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a finding is.

    Args:
        site: the artery.
        stop_atlas_mm: (3,) where its lumen stops.
        path: the interruption that was found there.
        course: a longer way through it, to be shown.
        other_course: the same way on the other side, None in the midline.
    """

    site: Site
    stop_atlas_mm: NDArray[np.float64]
    path: Interruption
    course: Interruption
    other_course: Interruption | None = None


def hemisphere_place(measures: ArteryMeasures, side: Side, detector: Detector) -> Place:
    """Where the most suspicious stop of a hemisphere is.

    Args:
        measures: of the map.
        side: LEFT or RIGHT.
        detector: which part of the arteries is suspicious.
    """
    voxels, left = measures.voxels, side is Side.LEFT
    this, other = measures.pair(side)
    siphon_ml, stem_ml, m2_ml = this.clot_ml
    if detector == "siphon" and this.siphon is not None:
        stop = _clot_start(voxels, ("ICA", "ICA-T"), left=left) if siphon_ml >= _SURE_CLOT_ML else None
        return Place(Site.ICA, this.siphon.stop_atlas_mm if stop is None else stop, this.siphon, this.siphon, other.siphon)
    longest = this.longest_branch
    courses = (longest, other.branches[this.branches.index(longest)])
    if detector == "m2":
        stop = _clot_start(voxels, TRUNKS, left=left) if m2_ml >= _SURE_CLOT_ML / 2 else None
        return Place(Site.M2, longest.stop_atlas_mm if stop is None else stop, longest, *courses)
    path = this.trunk if this.trunk.gap_mm >= longest.gap_mm / 2.0 else longest
    if stem_ml >= _SURE_CLOT_ML:
        site = Site.ICA_T if this.clot_at_t >= _CLOT_AT_T else Site.M1
        low_mm = carotid_end_mm(voxels.tree) - CAROTID_TOP_MM
        stop = _clot_start(voxels, ("ICA", "ICA-T", "M1"), left=left, low_mm=low_mm)
        return Place(site, path.stop_atlas_mm if stop is None else stop, path, *courses)
    return Place(_site_of_stop(voxels.tree, this, path, left=left), path.stop_atlas_mm, path, *courses)


def basilar_place(measures: ArteryMeasures) -> Place | None:
    """Where the basilar artery stops; None when the scan does not cover it."""
    if measures.basilar is None:
        return None
    path = measures.basilar.path
    sure = max(measures.basilar.clot_ml) >= _SURE_CLOT_ML
    stop = _clot_start(measures.voxels, ("BA", "P1"), left=True) if sure else None
    return Place(Site.BA, path.stop_atlas_mm if stop is None else stop, path, path)


def _site_of_stop(tree: ArteryTree, side: SideMeasures, path: Interruption, *, left: bool) -> Site:
    """The artery of the stem, or M2, in which an interruption without a visible clot begins."""
    names = ("ICA", "ICA-T", "M1", *TRUNKS)
    members = np.flatnonzero(np.any([stretch(tree, name, left=left) for name in names], axis=0))
    distance = np.linalg.norm(tree.points_atlas_mm[members] - path.stop_course_mm, axis=1)
    nearest = members[int(np.argmin(distance))]
    name, along_mm = ARTERIES[tree.segment[nearest]].name, tree.along_mm[nearest]
    if name in TRUNKS:
        return Site.M2
    terminus = tree.points_atlas_mm[stretch(tree, "M1", left=left)][0]
    if np.linalg.norm(tree.points_atlas_mm[nearest] - terminus) <= _T_REACH_MM:
        return Site.M1 if side.a1 >= _A1_OPEN else Site.ICA_T
    return Site.M1 if name == "M1" and along_mm > _T_REACH_MM else Site.ICA_T


def _clot_start(voxels: VesselVoxels, names: tuple[str, ...], *, left: bool, low_mm: float = 0.0) -> NDArray[np.float64] | None:
    """(3,) mean position of the clot voxels nearest to the heart along these segments, None without any.

    What lies less than `low_mm` from the start of the first segment does not count.
    """
    tree = voxels.tree
    order = np.full(len(tree.segment), -1.0)
    before_mm = 0.0
    for name in names:
        member = stretch(tree, name, left=left)
        order[member] = before_mm + tree.along_mm[member]
        before_mm += 0.0 if name in TRUNKS else float(tree.along_mm[member].max())
    along_mm = np.where(voxels.clot_nearest >= 0, order[voxels.clot_nearest], -1.0)
    here = np.flatnonzero(along_mm >= low_mm)
    if len(here) == 0:
        return None
    first = here[np.argsort(along_mm[here])[: max(1, round(_FIRST_SHARE * len(here)))]]
    return np.asarray(voxels.clot_atlas_mm[first].mean(axis=0))
