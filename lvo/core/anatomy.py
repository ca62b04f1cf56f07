"""The cerebral arteries as a table: where each segment usually runs in the atlas, and how wide it is.

One side only (the patient's left); the right is its mirror image, since the atlas is symmetric. Positions are atlas LPS mm
(MNI with x and y negated), +-4 mm between people. They are waypoints, not a vessel model. Intradural courses were laid by
eye into the CSF of the MNI152 2009a symmetric template: M1 in the sylvian stem, M2 on the insula, A2 and A3 in the
interhemispheric fissure, the basilar artery 3 mm in front of pons, P2 in the ambient cistern.

Radii: Rai et al., J NeuroIntervent Surg 2013 (ICA terminus 3.6 mm, M1 3.1, M2 2.4, basilar 3.6 to 3.1, vertebral 3.9 to
2.8 mm diameter). Courses: standard anatomical positions in MNI space; lengths agree with Rai 2013 (M1 22.5 +- 8.1 mm) and
with TopCoW centre-lines (A1 15.6, P1 7.2, supraclinoid ICA 7.1 mm; Musio et al., Zenodo 17358162).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ARTERIES", "ARTERY_BOX_ATLAS_MM", "ARTERY_PROBABILITY", "ARTERY_TREES", "VESSEL_CLASSES", "ArterySegment",
    "is_below_tentorium", "segment",
]  # fmt: skip

ARTERY_BOX_ATLAS_MM = ((-80.0, -75.0, -60.0), (80.0, 60.0, 45.0))
"""Lower and upper corner of the region in which arteries are looked for: skull base to the upper convexity, A2 to P2."""

ARTERY_PROBABILITY = 0.5
"""On an artery map, a voxel is artery from here on: when the network finds that more likely than not."""

ARTERY_TREES = ("ICA", "MCA", "ACA", "PCA", "VB")
"""The trees that arteries are told apart by; VB is vertebrobasilar. The side follows from the position."""

VESSEL_CLASSES = ("background", *ARTERY_TREES, "vein", "clot")
"""What a voxel of a vessel map can be, in the order of the codes 0 to 7. A clot is where an artery's lumen is blocked."""


@dataclass(frozen=True, slots=True)
class ArterySegment:
    """One artery segment on the patient's left, or in the midline.

    Args:
        name: anatomical name, e.g. "M1".
        territory: ICA, MCA, ACA, PCA or VB (vertebrobasilar).
        parent: segment that feeds it, None at the edge of the head.
        paired: False for midline arteries.
        radius_mm: lumen radius at its start and its end.
        waypoints_atlas_mm: course from the heart outwards, atlas LPS mm.
    """

    name: str
    territory: str
    parent: str | None
    paired: bool
    radius_mm: tuple[float, float]
    waypoints_atlas_mm: tuple[tuple[float, float, float], ...]

    def course_atlas_mm(self, *, left: bool) -> NDArray[np.float64]:
        """(N, 3) waypoints of the asked side."""
        return np.array(self.waypoints_atlas_mm) * (1.0 if left else -1.0, 1.0, 1.0)


ARTERIES: tuple[ArterySegment, ...] = (
    # neck to carotid canal, petrous (medial and forward), cavernous siphon, supraclinoid to the terminus
    ArterySegment("ICA", "ICA", None, True, (2.5, 2.1), (
        (25, 18, -95), (25, 17, -75), (26, 16, -58), (24, 14, -48), (18, 8, -44), (14, 3, -41), (15, 0, -34), (15, -6, -29),
        (14, -11, -27), (13, -12, -22), (13.5, -8, -19), (15, -4, -17.5),
    )),
    ArterySegment("ICA-T", "ICA", "ICA", True, (1.9, 1.8), ((15, -4, -17.5), (17.5, -2.5, -15))),
    ArterySegment("M1", "MCA", "ICA-T", True, (1.55, 1.35), (
        (17.5, -2.5, -15), (21, -2, -16), (27, -2.5, -17), (33, -2.5, -15.5), (36, -2, -13),
    )),
    ArterySegment("M2-superior", "MCA", "M1", True, (1.2, 0.9), (
        (36, -2, -13), (38, -5.5, -8), (40, -7, -1), (41, -5, 7), (42.5, -2, 13), (47, -2, 13),
    )),
    ArterySegment("M2-inferior", "MCA", "M1", True, (1.2, 0.9), (
        (36, -2, -13), (40, 4, -10), (41.5, 11, -5), (42, 19, 1), (43, 26, 8), (47, 31, 12),
    )),
    ArterySegment("A1", "ACA", "ICA-T", True, (1.15, 1.05), (
        (17.5, -2.5, -15), (10, -5.5, -15.5), (5, -9, -15), (2.5, -12, -13),
    )),
    ArterySegment("A2", "ACA", "A1", True, (1.05, 0.9), (
        (2.5, -12, -13), (1.8, -19, -11), (1.8, -27, -8), (1.8, -34, -2), (1.8, -36.5, 6), (1.8, -35, 14), (1.8, -29, 22),
    )),
    ArterySegment("A3", "ACA", "A2", True, (0.9, 0.6), (
        (1.8, -29, 22), (1.8, -18, 29), (1.8, -4, 33), (2, 12, 34), (2.5, 26, 35),
    )),
    ArterySegment("VA", "VB", None, True, (1.7, 1.5), (
        (22, 30, -95), (24, 34, -76), (20, 40, -72), (12, 37, -68), (7, 33, -62), (4, 29, -54), (0, 19, -47),
    )),
    ArterySegment("BA", "VB", "VA", False, (1.7, 1.55), (
        (0, 19, -47), (0, 12.5, -38), (0, 10.5, -30), (0, 10.5, -23), (0, 11, -17.5),
    )),
    ArterySegment("P1", "PCA", "BA", True, (1.05, 1.05), ((0, 11, -17.5), (4, 10, -17), (9.5, 12.5, -16))),
    ArterySegment("P2", "PCA", "P1", True, (1.05, 0.9), (
        (9.5, 12.5, -16), (14.5, 17, -14.5), (17.5, 24, -11.5), (16.5, 31, -7.5), (14.5, 37, -3),
    )),
    ArterySegment("P3", "PCA", "P2", True, (0.85, 0.6), (
        (14.5, 37, -3), (15.5, 46, -1), (15, 56, 1), (13, 66, 3), (10.5, 76, 5), (9, 86, 3),
    )),
    ArterySegment("Pcom", "PCA", "ICA-T", True, (0.65, 0.65), ((15, -4, -17), (12.5, 4, -17), (9.5, 12.5, -16))),
)  # fmt: skip


def segment(name: str) -> ArterySegment:
    """The segment of that name.

    Raises:
        KeyError: there is none.
    """
    for candidate in ARTERIES:
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def is_below_tentorium(points_atlas_mm: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which (..., 3) atlas points lie below the tentorium; planes read off the template by eye, good to 3 mm."""
    x, y, z = np.abs(points_atlas_mm[..., 0]), points_atlas_mm[..., 1], points_atlas_mm[..., 2]
    below_roof = z < -0.35 * (y - 45.0) - 0.3 * x
    behind = y > np.where(z > -31.0, 10.0 + 1.05 * x + 0.7 * (z + 28.0), 22.0)
    return np.asarray(below_roof & behind)
