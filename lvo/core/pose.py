"""How a head lies in the scanner: the similarity transform between patient space and the atlas.

Atlas space is ICBM MNI152 2009a symmetric, written in LPS like everything else: x grows to the left, y to the back, z to
the head, so an MNI coordinate (x, y, z) RAS is (-x, -y, z) here. Its mid-plane is x = 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvo.core.grid import Grid, Plane, transform

__all__ = ["HeadPose"]


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """Rotation, shift and scale that carry patient positions into the atlas.

    Args:
        atlas_from_lps: (4, 4) affine, patient LPS mm to atlas LPS mm.
        quality: 0 to 1, how well head and atlas agree after the transform; the function that made it says what is measured.
    """

    atlas_from_lps: NDArray[np.float64]
    quality: float

    @property
    def lps_from_atlas(self) -> NDArray[np.float64]:
        """(4, 4) affine, atlas LPS mm to patient LPS mm."""
        return np.asarray(np.linalg.inv(self.atlas_from_lps))

    def to_atlas_mm(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Carry (..., 3) patient positions into the atlas."""
        return transform(self.atlas_from_lps, points_lps_mm)

    def to_lps_mm(self, points_atlas_mm: ArrayLike) -> NDArray[np.float64]:
        """Carry (..., 3) atlas positions into the patient."""
        return transform(self.lps_from_atlas, points_atlas_mm)

    @property
    def midplane(self) -> Plane:
        """The atlas plane x = 0 in patient space, its normal to the patient's left."""
        normal = self.atlas_from_lps[0, :3]  # gradient of atlas x, so it is normal to the plane under any affine
        return Plane(self.to_lps_mm((0.0, 0.0, 0.0)), normal / np.linalg.norm(normal))

    def crop(
        self, low_atlas_mm: ArrayLike, high_atlas_mm: ArrayLike, *, spacing_mm: float, frame_of_reference_uid: str = ""
    ) -> Grid:
        """Grid in patient space whose axes follow the atlas and which covers an atlas box: resample onto it to crop.

        Its inverse is resampling back onto the scan's own grid; positions stay patient LPS mm throughout.

        Args:
            low_atlas_mm: (3,) lower corner of the box, atlas LPS mm.
            high_atlas_mm: (3,) upper corner.
            spacing_mm: distance between voxels in patient mm, the same along each axis when the pose is a similarity.
            frame_of_reference_uid: that of the scan.
        """
        low = np.asarray(low_atlas_mm, dtype=np.float64)
        size = np.asarray(high_atlas_mm, dtype=np.float64) - low
        linear = self.lps_from_atlas[:3, :3]
        scale = np.linalg.norm(linear, axis=0)  # patient mm per atlas mm along atlas x, y, z
        step_atlas_mm = spacing_mm / scale
        n_x, n_y, n_z = (int(n) for n in np.ceil(size / step_atlas_mm) + 1)
        affine = np.eye(4)
        affine[:3, :3] = (linear * step_atlas_mm)[:, ::-1]  # columns x, y, z become i, j, k
        affine[:3, 3] = self.to_lps_mm(low)
        return Grid((n_z, n_y, n_x), affine, frame_of_reference_uid)
