"""The cerebral arteries as a table: where each segment usually runs in the atlas, and how wide it is.

One side only (the patient's left); the right is its mirror image, since the atlas is symmetric. Positions are atlas LPS mm
(MNI with x and y negated), rounded to what is known: +-4 mm between people. They are waypoints, not a vessel model.

Radii: Rai et al., J NeuroIntervent Surg 2013 (ICA terminus 3.6 mm, M1 3.1, M2 2.4, basilar 3.6 to 3.1, vertebral 3.9 to
2.8 mm diameter). Courses: standard anatomical positions in MNI space; lengths agree with Rai 2013 (M1 22.5 +- 8.1 mm) and
with TopCoW centre-lines (A1 15.6, P1 7.2, supraclinoid ICA 7.1 mm; Musio et al., Zenodo 17358162).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARTERIES", "ArterySegment", "segment"]


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
    ArterySegment("ICA", "ICA", None, True, (2.5, 2.4), (
        (25, 18, -95), (25, 17, -75), (26, 16, -58), (24, 14, -48), (17, 8, -44), (13, 3, -41), (14, 0, -34), (14, -6, -29),
        (13, -11, -27), (12, -12, -22), (12, -8, -19), (13, -5, -17),
    )),
    ArterySegment("ICA-T", "ICA", "ICA", True, (1.8, 1.8), ((13, -5, -17), (14, -4, -14))),
    ArterySegment("M1", "MCA", "ICA-T", True, (1.55, 1.35), ((14, -4, -14), (20, -5, -15), (27, -5, -16), (34, -3, -15))),
    ArterySegment("M2-superior", "MCA", "M1", True, (1.2, 0.9), (
        (34, -3, -15), (37, -6, -9), (38, -7, -1), (39, -4, 8), (42, -2, 15), (47, -4, 14),
    )),
    ArterySegment("M2-inferior", "MCA", "M1", True, (1.2, 0.9), (
        (34, -3, -15), (38, 3, -12), (40, 11, -6), (41, 20, 2), (42, 28, 10), (47, 32, 13),
    )),
    ArterySegment("A1", "ACA", "ICA-T", True, (1.15, 1.05), ((14, -4, -14), (9, -8, -15), (5, -13, -14), (3, -16, -12))),
    ArterySegment("A2", "ACA", "A1", True, (1.05, 0.9), (
        (3, -16, -12), (2.5, -23, -9), (2.5, -30, -3), (2.5, -34, 6), (2.5, -34, 14), (2.5, -29, 22),
    )),
    ArterySegment("A3", "ACA", "A2", True, (0.9, 0.6), ((2.5, -29, 22), (2.5, -18, 30), (3, -4, 35), (3, 12, 38), (3, 28, 42))),
    ArterySegment("VA", "VB", None, True, (1.7, 1.5), (
        (22, 30, -95), (24, 34, -76), (20, 40, -70), (10, 36, -66), (6, 32, -58), (0, 30, -48),
    )),
    ArterySegment("BA", "VB", "VA", False, (1.7, 1.55), ((0, 30, -48), (0, 25, -38), (0, 21, -28), (0, 17, -18))),
    ArterySegment("P1", "PCA", "BA", True, (1.05, 1.05), ((0, 17, -18), (4, 16, -16), (9, 18, -15))),
    ArterySegment("P2", "PCA", "P1", True, (1.05, 0.9), ((9, 18, -15), (16, 21, -13), (20, 27, -9), (22, 35, -5))),
    ArterySegment("P3", "PCA", "P2", True, (0.85, 0.6), ((22, 35, -5), (19, 46, -2), (15, 58, 0), (12, 72, 3), (10, 84, 4))),
    ArterySegment("Pcom", "PCA", "ICA-T", True, (0.65, 0.65), ((13, -4, -16), (12, 5, -16), (9, 18, -15))),
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
