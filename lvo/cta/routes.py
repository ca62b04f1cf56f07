"""Ways of the blood that are followed: along the carotid, from it to M2 and its trunks, and along the basilar artery."""

import numpy as np
from numpy.typing import NDArray

from lvo.cta.path import Route, Zone
from lvo.cta.tree import ArteryTree, stretch
from lvo.cta.voxels import BASILAR_START_MM

__all__ = [
    "CAROTID_TOP_MM", "FAR_M2_MM", "SIPHON_MM", "TRUNKS", "basilar_route", "carotid_end_mm", "carotid_route", "side_routes",
]  # fmt: skip

TRUNKS = ("M2-superior", "M2-inferior")

SIPHON_MM = (45.0, 36.0)
"""The carotid is followed from between 45 and 36 mm before its end, where it leaves the petrous bone: an occlusion of the
intracranial carotid lies beyond, and one in the neck leaves the lumen up to here empty."""

CAROTID_TOP_MM = 8.0
"""The last millimetres of the carotid: the terminus may fill from the other side when the carotid before it does not."""

_CAROTID_START_MM = (22.0, 8.0)
"""A path to M2 starts in the carotid 22 to 8 mm before its end: above the bony canal, below a clot of the carotid T."""

_NEAR_M2_MM = (2.0, 14.0)
FAR_M2_MM = (18.0, 34.0)
"""M1 is followed to the first part of either trunk, each trunk to its insular part, where the two lie 20 mm apart and a clot at
the origin of M2 has ended."""

_START_REACH_MM, _NEAR_REACH_MM, _FAR_REACH_MM = 7.0, 8.0, 7.0
"""Half of people's courses lie within 4 mm of the atlas; trunks are looked for as far out as they cannot be confused."""

_P1_END_MM = 6.0
"""The basilar artery is followed into the first part of either P1, beyond an embolus at its tip."""

_Part = tuple[str, bool, float, float]
"""Name of a segment, whether it is the left one, and from where to where along it, in mm."""


def carotid_end_mm(tree: ArteryTree) -> float:
    """Length of the carotid's course up to the terminus."""
    return float(tree.along_mm[stretch(tree, "ICA", left=True)].max())


def side_routes(tree: ArteryTree, *, left: bool) -> tuple[Route, ...]:
    """From the carotid to the nearest part of M2, and to the far part of each trunk in the order of `TRUNKS`."""
    end_mm = carotid_end_mm(tree)
    low_mm, high_mm = (end_mm - before for before in _CAROTID_START_MM)
    start = _zone(tree, _START_REACH_MM, ("ICA", left, low_mm, high_mm))
    stem = _course(tree, ("ICA", left, low_mm, np.inf), ("ICA-T", left, 0.0, np.inf), ("M1", left, 0.0, np.inf))
    near = tuple((name, left, *_NEAR_M2_MM) for name in TRUNKS)
    routes = [Route(start, _zone(tree, _NEAR_REACH_MM, *near), np.concatenate([stem, _course(tree, *near)]))]
    for name in TRUNKS:
        far = _zone(tree, _FAR_REACH_MM, (name, left, *FAR_M2_MM))
        routes.append(Route(start, far, np.concatenate([stem, _course(tree, (name, left, 0.0, FAR_M2_MM[1]))])))
    return tuple(routes)


def carotid_route(tree: ArteryTree, *, left: bool) -> Route:
    """From the end of the petrous carotid to its last millimetres."""
    end_mm = carotid_end_mm(tree)
    first, last = (end_mm - before for before in SIPHON_MM)
    start = _zone(tree, _START_REACH_MM, ("ICA", left, first, last))
    top = _zone(tree, _START_REACH_MM, ("ICA", left, end_mm - CAROTID_TOP_MM, np.inf), ("ICA-T", left, 0.0, np.inf))
    return Route(start, top, _course(tree, ("ICA", left, first, np.inf), ("ICA-T", left, 0.0, np.inf)))


def basilar_route(tree: ArteryTree) -> Route:
    """From the vertebral confluence to the first part of P1."""
    start = _zone(tree, _START_REACH_MM, ("BA", True, 0.0, BASILAR_START_MM))
    origins = tuple(("P1", left, 0.0, _P1_END_MM) for left in (True, False))
    return Route(start, _zone(tree, _START_REACH_MM, *origins), _course(tree, ("BA", True, 0.0, np.inf), *origins))


def _zone(tree: ArteryTree, reach_mm: float, *parts: _Part) -> Zone:
    members = np.any([_mask(tree, part) for part in parts], axis=0)
    return Zone(tree.points_atlas_mm[members], tree.points_atlas_mm[~members], reach_mm)


def _course(tree: ArteryTree, *parts: _Part) -> NDArray[np.float64]:
    return np.concatenate([tree.points_atlas_mm[_mask(tree, part)] for part in parts])


def _mask(tree: ArteryTree, part: _Part) -> NDArray[np.bool_]:
    name, left, low_mm, high_mm = part
    return stretch(tree, name, left=left, low_mm=low_mm, high_mm=high_mm)
