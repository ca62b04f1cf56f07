"""Where voxels are: the one place that turns voxel indices into patient positions and back.

Arrays are indexed (k, j, i): slice, row, column. Positions are DICOM patient coordinates, LPS millimetres: x grows to the
patient's left, y to the back, z to the head (DICOM PS3.3 C.7.6.2.1.1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Grid", "Plane"]

_SAME_POSITION_MM = 1e-3
"""Two grids are one when every corner agrees to a micrometre; DICOM decimal strings carry at least that."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A regular voxel grid in patient space; axes may be oblique and, for tilted scans, sheared.

    Args:
        shape_kji: number of slices, rows, columns.
        lps_from_kji: (4, 4) affine from homogeneous (k, j, i, 1) to LPS mm.
        frame_of_reference_uid: DICOM frame of reference, empty when unknown.

    Raises:
        ValueError: a size below 1, or an affine that is not an invertible (4, 4) affine.
    """

    shape_kji: tuple[int, int, int]
    lps_from_kji: NDArray[np.float64]
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        """Refuse what is not a grid, and lock the affine."""
        affine = np.array(self.lps_from_kji, dtype=np.float64)
        if np.shape(self.shape_kji) != (3,) or min(self.shape_kji) < 1:
            msg = f"shape_kji must be three sizes of at least 1, got {self.shape_kji}"
            raise ValueError(msg)
        if affine.shape != (4, 4) or not np.allclose(affine[3], (0, 0, 0, 1)):
            msg = f"lps_from_kji must be a (4, 4) affine, got shape {affine.shape}"
            raise ValueError(msg)
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
            msg = "lps_from_kji must be finite and invertible"
            raise ValueError(msg)
        affine.setflags(write=False)
        object.__setattr__(self, "lps_from_kji", affine)
        object.__setattr__(self, "shape_kji", tuple(int(n) for n in self.shape_kji))

    @classmethod
    def from_axes(
        cls,
        shape_kji: tuple[int, int, int],
        spacing_kji_mm: ArrayLike,
        *,
        origin_lps_mm: ArrayLike,
        axes_lps: ArrayLike | None = None,
        frame_of_reference_uid: str = "",
    ) -> "Grid":
        """Build a grid from spacing, the position of voxel (0, 0, 0) and the unit directions of k, j and i.

        Args:
            shape_kji: number of slices, rows, columns.
            spacing_kji_mm: distance between slices, rows, columns.
            origin_lps_mm: position of the centre of voxel (0, 0, 0).
            axes_lps: (3, 3), row n is the unit direction of index n in LPS; a supine axial scan when omitted
                (k to the head, j to the back, i to the left).
            frame_of_reference_uid: DICOM frame of reference, empty when unknown.
        """
        axes = np.eye(3)[::-1] if axes_lps is None else np.asarray(axes_lps, dtype=np.float64)
        affine = np.eye(4)
        affine[:3, :3] = axes.T * np.asarray(spacing_kji_mm, dtype=np.float64)
        affine[:3, 3] = np.asarray(origin_lps_mm, dtype=np.float64)
        return cls(shape_kji, affine, frame_of_reference_uid)

    @property
    def spacing_kji_mm(self) -> NDArray[np.float64]:
        """Distance between neighbouring voxel centres along k, j, i: (3,) mm."""
        return np.asarray(np.linalg.norm(self.lps_from_kji[:3, :3], axis=0))

    @property
    def axes_lps(self) -> NDArray[np.float64]:
        """(3, 3): row n is the unit direction of index n (k, j, i) in LPS."""
        return np.asarray((self.lps_from_kji[:3, :3] / self.spacing_kji_mm).T)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.lps_from_kji[:3, :3])) / 1000.0)

    @property
    def center_lps_mm(self) -> NDArray[np.float64]:
        """Position of the middle of the grid: (3,) LPS mm."""
        return self.to_lps_mm((np.array(self.shape_kji) - 1) / 2.0)

    @property
    def kji_from_lps(self) -> NDArray[np.float64]:
        """(4, 4) affine from homogeneous LPS mm to (k, j, i, 1)."""
        return np.asarray(np.linalg.inv(self.lps_from_kji))

    def to_lps_mm(self, index_kji: ArrayLike) -> NDArray[np.float64]:
        """Turn (..., 3) voxel indices, which may be fractional, into (..., 3) LPS mm."""
        return transform(self.lps_from_kji, index_kji)

    def to_kji(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Turn (..., 3) LPS mm into (..., 3) fractional voxel indices."""
        return transform(self.kji_from_lps, points_lps_mm)

    def contains(self, points_lps_mm: ArrayLike) -> NDArray[np.bool_]:
        """Tell which of the (..., 3) LPS points lie inside the outer voxel faces."""
        index_kji = self.to_kji(points_lps_mm)
        return np.asarray(((index_kji >= -0.5) & (index_kji <= np.array(self.shape_kji) - 0.5)).all(axis=-1))

    def same_as(self, other: "Grid") -> bool:
        """Tell whether both grids have the same shape, frame of reference and, to a micrometre, corners."""
        if self.shape_kji != other.shape_kji or self.frame_of_reference_uid != other.frame_of_reference_uid:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape_kji])).reshape(3, -1).T
        return bool(np.abs(self.to_lps_mm(corners) - other.to_lps_mm(corners)).max() <= _SAME_POSITION_MM)


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """The mid-sagittal plane: a point on it and its unit normal, which points to the patient's left."""

    point_lps_mm: NDArray[np.float64]
    normal_lps: NDArray[np.float64]

    def signed_distance_mm(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Distance of (..., 3) points from the plane in mm, positive on the patient's left."""
        offset = np.asarray(points_lps_mm, dtype=np.float64) - self.point_lps_mm
        return np.asarray(offset @ self.normal_lps)

    def mirror(self) -> NDArray[np.float64]:
        """(4, 4) affine that reflects LPS positions in the plane."""
        affine = np.eye(4)
        affine[:3, :3] -= 2.0 * np.outer(self.normal_lps, self.normal_lps)
        affine[:3, 3] = 2.0 * (self.point_lps_mm @ self.normal_lps) * self.normal_lps
        return affine


def transform(affine: NDArray[np.float64], points: ArrayLike) -> NDArray[Any]:
    """Apply a (4, 4) affine to (..., 3) points."""
    return np.asarray(points, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]
