"""Where the head is and how it lies: pictures are turned with it, so that left and right are level and can be compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvo.core.anatomy import segment
from lvo.core.grid import Plane, transform
from lvo.core.pose import HeadPose
from lvo.core.report import Side
from lvo.core.volume import Volume

__all__ = ["HeadBox", "head_axes", "head_box", "m1_level"]

SKIN_HU = -200.0
"""Denser than air and foam: the head."""

MARGIN_MM = 8.0
"""Half of what skull and scalp add to the brain."""

SIDE_CENTER_MM = 24.0
"""Distance of the middle of M1 from the mid-plane (it runs from 14 to 34 mm), where the pose does not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadBox:
    """The head as a box that lies as the head does.

    Args:
        axes_lps: (3, 3) unit directions to the patient's left, back and head.
        low_mm: (3,) lower corner along these axes, counted from the LPS origin.
        high_mm: (3,) upper corner, the same.
        middle_lps_mm: (3,) middle of the brain.
        midplane: between left and right.
    """

    axes_lps: NDArray[np.float64]
    low_mm: NDArray[np.float64]
    high_mm: NDArray[np.float64]
    middle_lps_mm: NDArray[np.float64]
    midplane: Plane

    def along(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Turn (..., 3) positions into millimetres along the head's axes."""
        return np.asarray(np.asarray(points_lps_mm, dtype=np.float64) @ self.axes_lps.T)

    def to_lps_mm(self, along_mm: ArrayLike) -> NDArray[np.float64]:
        """Turn (..., 3) millimetres along the head's axes into positions."""
        return np.asarray(np.asarray(along_mm, dtype=np.float64) @ self.axes_lps)

    def mirrored(self, point_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """The same place on the other side: (3,) LPS mm."""
        return transform(self.midplane.mirror(), point_lps_mm)

    def side_of(self, point_lps_mm: ArrayLike) -> Side:
        """The patient's side on which a point lies."""
        return Side.LEFT if self.midplane.signed_distance_mm(point_lps_mm) > 0 else Side.RIGHT


def head_axes(pose: HeadPose | None) -> NDArray[np.float64]:
    """(3, 3) unit directions to the patient's left, back and head; those of the scanner's bed without a pose."""
    if pose is None:
        return np.eye(3)
    left = pose.midplane.normal_lps
    up = pose.lps_from_atlas[:3, 2]
    up = up - (up @ left) * left
    up = up / np.linalg.norm(up)
    return np.stack([left, np.cross(up, left), up])


def head_box(cta: Volume, brain: Volume | None, pose: HeadPose | None = None) -> HeadBox:
    """The head's extent, from the brain mask where there is one, else from everything denser than air.

    The neck is left out: the box ends shortly below the brain.

    Args:
        cta: the scan, HU.
        brain: mask of the brain, on any grid.
        pose: how the head lies.
    """
    mask, grid = (brain.array > 0, brain.grid) if brain is not None else (cta.array > SKIN_HU, cta.grid)
    step = np.maximum(1, np.round(2.0 / grid.spacing_kji_mm)).astype(int)
    index = np.argwhere(mask[:: step[0], :: step[1], :: step[2]]) * step
    if len(index) == 0:
        index = np.argwhere(np.ones((2, 2, 2))) * (np.array(grid.shape_kji) - 1)
    points = grid.to_lps_mm(index)
    axes = head_axes(pose)
    along = points @ axes.T
    around = 2.0 * MARGIN_MM if brain is not None else 0.0  # skull and scalp
    middle = points.mean(axis=0)
    midplane = Plane(middle, axes[0]) if pose is None else pose.midplane
    return HeadBox(axes, along.min(axis=0) - around, along.max(axis=0) + around, middle, midplane)


def m1_level(side: Side, box: HeadBox, pose: HeadPose | None, around_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the middle of M1 lies on a side: (3,) LPS mm.

    Args:
        side: left or right.
        box: the head.
        pose: how it lies; tells the place.
        around_lps_mm: (3,) a point at the height and depth to take where there is no pose.
    """
    is_left = side is Side.LEFT
    if pose is not None:
        course = segment("M1").course_atlas_mm(left=is_left)
        return pose.to_lps_mm(course[len(course) // 2])
    beside = SIDE_CENTER_MM if is_left else -SIDE_CENTER_MM
    normal = box.midplane.normal_lps
    return np.asarray(around_lps_mm + (beside - box.midplane.signed_distance_mm(around_lps_mm)) * normal)
