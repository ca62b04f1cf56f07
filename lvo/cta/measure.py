"""Everything that is measured on one vessel map, before any judgement; what the call is fitted on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Side
from lvo.core.volume import Volume
from lvo.cta.features import (
    BasilarFeatures,
    BasilarMeasures,
    HemisphereFeatures,
    SideMeasures,
    basilar_features,
    hemisphere_features,
    measure_basilar,
    measure_side,
)  # fmt: skip
from lvo.cta.path import Route, covers
from lvo.cta.routes import basilar_route, carotid_route, side_routes
from lvo.cta.voxels import VesselVoxels, find_voxels

__all__ = ["ArteryMeasures", "measure"]

MIN_NAMED_ML = 0.4
"""A patent circle of Willis with both M1 holds about 2 mL; with less than a fifth of it named, the map has failed."""


@dataclass(frozen=True, slots=True, eq=False)
class ArteryMeasures:
    """The measures of both sides and of the basilar artery, which is None when the scan does not cover it."""

    voxels: VesselVoxels
    left: SideMeasures
    right: SideMeasures
    basilar: BasilarMeasures | None

    def features(self, side: Side) -> HemisphereFeatures:
        """Features of one hemisphere."""
        return hemisphere_features(*self.pair(side))

    def basilar_features(self) -> BasilarFeatures | None:
        """Features of the basilar artery, None when it is not covered."""
        return None if self.basilar is None else basilar_features(self.basilar)

    def pair(self, side: Side) -> tuple[SideMeasures, SideMeasures]:
        """Measures of a side and of the other one."""
        return (self.left, self.right) if side is Side.LEFT else (self.right, self.left)


def measure(hu: Volume, vessels: Mapping[str, Volume], pose: HeadPose, scanned: Grid) -> ArteryMeasures | NotAssessable:
    """Name the vessels of a map and measure them.

    Args:
        hu: CTA on the grid of the map.
        vessels: probability per vessel class and of "artery", as `lvo.infer.predict` gives them.
        pose: how the head lies.
        scanned: grid of the scan itself; what lies outside it was never seen, whatever the map says there.

    Returns:
        The measures, or why there are none: hardly any artery on the map, or a scan that does not reach from carotid to M2.
    """
    artery = vessels["artery"]
    voxels = find_voxels(hu, vessels, pose)
    grids = (artery.grid, scanned)

    def seen(*routes: Route) -> bool:
        return all(covers(grid, pose, route) for route in routes for grid in grids)

    if not seen(*(route for left in (True, False) for route in side_routes(voxels.tree, left=left))):
        return NotAssessable(("the scan does not cover the carotid terminus and both M1: send a scan from the skull base up",))
    named_ml = float(np.count_nonzero(voxels.nearest >= 0)) * voxels.voxel_ml
    if named_ml < MIN_NAMED_ML:
        found = f"{named_ml:.2f} mL of opacified artery near the circle of Willis, at least {MIN_NAMED_ML} mL are needed"
        return NotAssessable((f"no arteries found: {found}; is it an angiogram?",))
    siphon_seen = seen(*(carotid_route(voxels.tree, left=left) for left in (True, False)))
    left, right = (measure_side(vessels, pose, voxels, left=left, siphon_seen=siphon_seen) for left in (True, False))
    basilar = measure_basilar(artery, pose, voxels) if seen(basilar_route(voxels.tree)) else None
    return ArteryMeasures(voxels, left, right, basilar)
