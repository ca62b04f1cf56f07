"""Ways of the blood that are followed: along the carotid, from it to M2 and its trunks, and along the basilar artery."""

import numpy as np
from numpy.typing import NDArray

from lvo.cta.path import Route, Zone
from lvo.cta.tree import ArteryTree, stretch

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
FAR_M2_MM = (14.0, 30.0)
"""M1 is followed to the first part of either trunk, each trunk to its insular part, where the two lie 15 mm apart."""

_START_REACH_MM, _NEAR_REACH_MM, _FAR_REACH_MM = 7.0, 8.0, 7.0
"""Half of people's courses lie within 4 mm of the atlas; trunks are looked for as far out as they cannot be confused."""

_BASILAR_START_MM, _BASILAR_END_MM, _P1_END_MM = 8.0, 5.0, 6.0


def carotid_end_mm(tree: ArteryTree) -> float:
    """Length of the carotid's course up to the terminus."""
    return float(tree.along_mm[stretch(tree, "ICA", left=True)].max())


def side_routes(tree: ArteryTree, *, left: bool) -> tuple[Route, ...]:
    """From the carotid to the nearest part of M2, and to the far part of each trunk in the order of `TRUNKS`."""
    end_mm = carotid_end_mm(tree)
    low_mm, high_mm = (end_mm - before for before in _CAROTID_START_MM)
    start = Zone(_course(tree, left, ("ICA", low_mm, high_mm)), _START_REACH_MM)
    stem = _course(tree, left, ("ICA", low_mm, np.inf), ("ICA-T", 0.0, np.inf), ("M1", 0.0, np.inf))
    near = _course(tree, left, *((name, *_NEAR_M2_MM) for name in TRUNKS))
    routes = [Route(start, Zone(near, _NEAR_REACH_MM), np.concatenate([stem, near]))]
    for name in TRUNKS:
        far = Zone(_course(tree, left, (name, *FAR_M2_MM)), _FAR_REACH_MM)
        routes.append(Route(start, far, np.concatenate([stem, _course(tree, left, (name, 0.0, FAR_M2_MM[1]))])))
    return tuple(routes)


def carotid_route(tree: ArteryTree, *, left: bool) -> Route:
    """From the end of the petrous carotid to its last millimetres."""
    end_mm = carotid_end_mm(tree)
    first, last = (end_mm - before for before in SIPHON_MM)
    start = Zone(_course(tree, left, ("ICA", first, last)), _START_REACH_MM)
    top = _course(tree, left, ("ICA", end_mm - CAROTID_TOP_MM, np.inf), ("ICA-T", 0.0, np.inf))
    return Route(start, Zone(top, _START_REACH_MM), _course(tree, left, ("ICA", first, np.inf), ("ICA-T", 0.0, np.inf)))


def basilar_route(tree: ArteryTree) -> Route:
    """From the vertebral confluence to the basilar tip."""
    length_mm = float(tree.along_mm[stretch(tree, "BA", left=True)].max())
    start = Zone(_course(tree, True, ("BA", 0.0, _BASILAR_START_MM)), _START_REACH_MM)
    tip = [_course(tree, left, ("P1", 0.0, _P1_END_MM)) for left in (True, False)]
    end = np.concatenate([_course(tree, True, ("BA", length_mm - _BASILAR_END_MM, np.inf)), *tip])
    return Route(start, Zone(end, _START_REACH_MM), np.concatenate([_course(tree, True, ("BA", 0.0, np.inf)), end]))


def _course(tree: ArteryTree, left: bool, *parts: tuple[str, float, float]) -> NDArray[np.float64]:  # noqa: FBT001
    return np.concatenate(
        [tree.points_atlas_mm[stretch(tree, name, left=left, low_mm=low, high_mm=high)] for name, low, high in parts]
    )
