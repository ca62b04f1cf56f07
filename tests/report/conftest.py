"""A turned head with one artery per side: fine voxels around the circle of Willis, so that marks can be measured."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CtaResult, Finding, Side, Site
from lvo.core.volume import Quantity, Volume

SITE_ATLAS_MM = np.array([24.0, -3.0, -16.0])
BRIGHT_HU, BRAIN_HU = 320.0, 35.0


@dataclass(frozen=True)
class TurnedHead:
    """A head turned about every axis and larger than the atlas, scanned on a grid that is oblique against both."""

    @property
    def pose(self) -> HeadPose:
        """From the patient to the atlas."""
        turned = np.eye(4)
        turned[:3, :3] = Rotation.from_euler("zyx", (17.0, -11.0, 8.0), degrees=True).as_matrix() * 0.96
        turned[:3, 3] = (31.0, -12.0, -420.0)
        return HeadPose(turned, 0.9)

    @property
    def grid(self) -> Grid:
        """Three sizes, three spacings, off the origin."""
        axes = Rotation.from_euler("xyz", (-6.0, 9.0, 4.0), degrees=True).as_matrix()[::-1]
        shape, spacing = (96, 114, 148), np.array([1.0, 0.9, 0.8])
        center = self.pose.to_lps_mm((0.0, -3.0, -16.0))
        origin = center - ((np.array(shape) - 1) / 2.0 * spacing) @ axes
        return Grid.from_axes(shape, spacing, origin_lps_mm=origin, axes_lps=axes, frame_of_reference_uid="1.2.3")

    def site_lps_mm(self, side: Side = Side.LEFT) -> np.ndarray:
        """Where the artery stops on the left, and its mirror image."""
        return self.pose.to_lps_mm(SITE_ATLAS_MM * ((1.0 if side is Side.LEFT else -1.0), 1.0, 1.0))

    def balls(self, *centers_lps_mm: np.ndarray, radius_mm: float = 2.0) -> dict[str, Volume]:
        """A scan that is brain but for bright balls."""
        grid = self.grid
        points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
        hu = np.full(grid.shape_kji, BRAIN_HU, np.float32)
        for center in centers_lps_mm:
            hu[np.linalg.norm(points - center, axis=-1) <= radius_mm] = BRIGHT_HU
        return {"cta": Volume(hu, grid, Quantity.HU)}

    def result(self, call: Call = Call.SUSPECTED, side: Side = Side.LEFT, **changes: object) -> CtaResult:
        """A call on the M1 of a side."""
        place = None if call is Call.NOT_DETECTED else tuple(float(x) for x in self.site_lps_mm(side))
        named = None if place is None else side
        finding = Finding(call, 0.9, 0.5, named, None if place is None else Site.M1, place)
        result = CtaResult(finding, (), None, 300.0, "arterial", pose=self.pose)
        return replace(result, **changes)


@pytest.fixture(scope="session")
def turned_head() -> TurnedHead:
    return TurnedHead()
