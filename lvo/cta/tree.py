"""Lay the atlas of arteries over an artery map: every artery voxel gets a segment, a side and a place along its course."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lvo.core.anatomy import ARTERIES

__all__ = ["ArteryTree", "align_tree", "atlas_tree", "nearest_points", "stretch"]

STEP_MM = 0.5
"""Distance between neighbouring points of the atlas courses."""

REACH_MM = 9.0
"""A voxel farther than this from every course is not named: twice the +-4 mm by which courses differ between people."""

_ALIGN_STEPS = 8
_ALIGN_REACH_MM = 14.0
_ALIGN_LIMIT_MM = 10.0
"""An artery tree sits within a centimetre of the atlas once the head is registered; a larger shift means a wrong fit."""
_ALIGN_SEGMENTS = ("ICA", "ICA-T", "M1", "BA", "A2", "P1", "P2")
"""Large, constant segments; the fit uses both sides of each, so that a missing side cannot pull the tree across."""


@dataclass(frozen=True, slots=True, eq=False)
class ArteryTree:
    """Both sides of the atlas arteries as points.

    Args:
        points_atlas_mm: (P, 3) positions, atlas LPS mm.
        segment: (P,) index into `lvo.core.anatomy.ARTERIES`.
        left: (P,) True on the patient's left; midline segments are counted as left.
        along_mm: (P,) distance from the start of the segment.
    """

    points_atlas_mm: NDArray[np.float64]
    segment: NDArray[np.int64]
    left: NDArray[np.bool_]
    along_mm: NDArray[np.float64]


def atlas_tree() -> ArteryTree:
    """The atlas courses of both sides, sampled every `STEP_MM`."""
    points, segments, lefts, along = [], [], [], []
    for index, artery in enumerate(ARTERIES):
        for left in (True, False) if artery.paired else (True,):
            course = artery.course_atlas_mm(left=left)
            lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))])
            at_mm = np.arange(0.0, lengths[-1] + STEP_MM / 2, STEP_MM)
            points.append(np.stack([np.interp(at_mm, lengths, course[:, axis]) for axis in range(3)], axis=1))
            segments.append(np.full(len(at_mm), index))
            lefts.append(np.full(len(at_mm), left))
            along.append(at_mm)
    return ArteryTree(np.concatenate(points), np.concatenate(segments), np.concatenate(lefts), np.concatenate(along))


def align_tree(tree: ArteryTree, artery_points_atlas_mm: NDArray[np.float64]) -> ArteryTree:
    """Shift the atlas courses by the few millimetres that registering the head leaves open.

    The shift is the median offset from points on the large arteries to the nearest artery voxel, repeated until it settles.
    Left-right offset is taken from both sides with equal weight, so a missing artery on one side cannot pull the tree.

    Args:
        tree: the atlas courses.
        artery_points_atlas_mm: (N, 3) artery voxels.

    Returns:
        The shifted tree, or the same one when too few arteries are near or the shift would exceed a centimetre.
    """
    names = [artery.name for artery in ARTERIES]
    wanted = np.isin(tree.segment, [names.index(name) for name in _ALIGN_SEGMENTS])
    anchors, sides = tree.points_atlas_mm[wanted], tree.left[wanted]
    voxels = cKDTree(artery_points_atlas_mm)
    shift = np.zeros(3)
    for _ in range(_ALIGN_STEPS):
        distance, nearest = (np.asarray(a) for a in voxels.query(anchors + shift, distance_upper_bound=_ALIGN_REACH_MM))
        found = np.isfinite(distance)
        if min((found & sides).sum(), (found & ~sides).sum()) < len(anchors) // 10:
            return tree
        offset = artery_points_atlas_mm[nearest[found]] - (anchors[found] + shift)
        on_left = sides[found]
        step = (np.median(offset[on_left], axis=0) + np.median(offset[~on_left], axis=0)) / 2.0
        shift = shift + step
        if np.linalg.norm(step) < STEP_MM / 5:
            break
    if np.linalg.norm(shift) > _ALIGN_LIMIT_MM:
        return tree
    return ArteryTree(tree.points_atlas_mm + shift, tree.segment, tree.left, tree.along_mm)


def nearest_points(tree: ArteryTree, points_atlas_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) index of the tree point nearest to each of (N, 3) positions, -1 where none is within reach."""
    distance, nearest = cKDTree(tree.points_atlas_mm).query(points_atlas_mm, distance_upper_bound=REACH_MM)
    return np.where(np.isfinite(distance), nearest, -1)


def stretch(tree: ArteryTree, name: str, *, left: bool, low_mm: float = 0.0, high_mm: float = np.inf) -> NDArray[np.bool_]:
    """Points of one segment on one side between two distances from its start: (P,) mask. Midline segments are on the left."""
    index = [artery.name for artery in ARTERIES].index(name)
    inside = (tree.along_mm >= low_mm) & (tree.along_mm <= high_mm)
    return np.asarray((tree.segment == index) & (tree.left == left) & inside)
