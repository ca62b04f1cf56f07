"""Artery maps drawn from the atlas courses with displacement and taper: no scanner, no network, exact truth."""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from lvo.core.anatomy import ARTERIES, ARTERY_BOX_ATLAS_MM
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume

SPACING_MM = 1.2


def draw(pose: HeadPose, *, closed: Mapping[tuple[str, bool], tuple[float, float]] | None = None, seed: int = 0) -> Volume:
    """Draw both sides' arteries as probability.

    Args:
        pose: where the head lies.
        closed: (segment, on the left) -> (from, to) as fraction of its course that is not open.
        seed: draws a smooth displacement of a few millimetres, so that no artery lies where the atlas has it.
    """
    grid = pose.crop(*ARTERY_BOX_ATLAS_MM, spacing_mm=SPACING_MM)
    rng = np.random.default_rng(seed)
    knots = rng.normal(0, 2.5, (3, 5, 5, 5))
    points, radii = [], []
    for artery in ARTERIES:
        for left in (True, False) if artery.paired else (True,):
            course = artery.course_atlas_mm(left=left)
            length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))])
            at = np.arange(0, length[-1], 0.4)
            low, high = (closed or {}).get((artery.name, left), (2.0, 2.0))
            at = at[(at / length[-1] < low) | (at / length[-1] > high)]
            points.append(np.stack([np.interp(at, length, course[:, axis]) for axis in range(3)], axis=1))
            radii.append(np.interp(at, (0, length[-1]), artery.radius_mm))
    course, radius = np.concatenate(points), np.concatenate(radii)
    where = (course - np.array(ARTERY_BOX_ATLAS_MM[0])) / np.subtract(*ARTERY_BOX_ATLAS_MM[::-1]) * 4
    course = course + np.stack([map_coordinates(knots[axis], where.T, order=1, mode="nearest") for axis in range(3)], axis=1)
    centers = pose.to_lps_mm(course)
    index = np.argwhere(np.ones(grid.shape_kji, bool))
    distance, nearest = cKDTree(centers).query(grid.to_lps_mm(index), distance_upper_bound=4.0)
    inside = np.isfinite(distance)
    values = np.zeros(len(index), np.float32)
    values[inside] = np.clip(0.5 + radius[nearest[inside]] - distance[inside], 0, 1)
    return Volume(values.reshape(grid.shape_kji), grid, Quantity.PROBABILITY)
