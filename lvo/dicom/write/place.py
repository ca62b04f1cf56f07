"""Where a point of the patient lies on the source images: the image, the frame of it, the column and the row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset

from lvo.dicom.frames import Frame, frames_of
from lvo.dicom.write.source_headers import Headers

__all__ = ["SourcePoint", "source_point"]


@dataclass(frozen=True, slots=True, eq=False)
class SourcePoint:
    """A point on the source image that lies nearest to it.

    Args:
        image: header of that image.
        frame: number of the frame from 1, None where the image has no frames.
        column_row: distance from the top left corner of the image, not from the middle of its first pixel, in pixels
            (PS3.3 C.18.6.1.1, C.10.5.1.1).
        spacing_mm: distance of pixels along column_row: (between columns, between rows).
    """

    image: Dataset
    frame: int | None
    column_row: tuple[float, float]
    spacing_mm: tuple[float, float]


def source_point(headers: Headers, point_lps_mm: tuple[float, float, float]) -> SourcePoint | None:
    """Find a point on the source images.

    Args:
        headers: images of one scan.
        point_lps_mm: the point.

    Returns:
        The point on the image or frame whose plane is nearest; None where no image says where it lies, or the point is
        beside that image.
    """
    seen = [one for image in headers.main for frame in frames_of(image, Path()) if (one := _seen(image, frame, point_lps_mm))]
    if not seen:
        return None
    _, nearest = min(seen, key=lambda one: one[0])
    column, row = nearest.column_row
    return nearest if 0.0 <= column <= nearest.image.Columns and 0.0 <= row <= nearest.image.Rows else None


def _seen(image: Dataset, frame: Frame, point_lps_mm: tuple[float, float, float]) -> tuple[float, SourcePoint] | None:
    """Distance of the point from the plane of a frame, and the point on it; None where the frame does not say where it lies."""
    position, orientation, spacing = frame.position_lps_mm, frame.orientation_lps, frame.pixel_spacing_ji_mm
    if position is None or orientation is None or spacing is None:
        return None
    offset = np.subtract(point_lps_mm, position)
    right, down = np.reshape(orientation, (2, 3))
    column_row = (float(offset @ right) / spacing[1] + 0.5, float(offset @ down) / spacing[0] + 0.5)
    number = frame.index + 1 if "NumberOfFrames" in image else None
    return abs(float(offset @ np.cross(right, down))), SourcePoint(image, number, column_row, (spacing[1], spacing[0]))
