"""Vessel maps drawn from the atlas courses with displacement and taper: no scanner, no network, exact truth."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from lvo.core.anatomy import ARTERIES, ARTERY_BOX_ATLAS_MM, ARTERY_TREES, segment
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume

SPACING_MM = 1.2
LUMEN_HU, TISSUE_HU = 320.0, 40.0

Spans = Mapping[tuple[str, bool], tuple[float, float]]


def draw(pose: HeadPose, *, closed: Spans | None = None, clots: Spans | None = None, seed: int | None = 0) -> dict[str, Volume]:
    """Draw the vessels of both sides as probabilities: every tree, "artery", "clot", and an empty "vein".

    Args:
        pose: where the head lies.
        closed: (segment, on the left) -> (from, to) as fraction of its course that is not open.
        clots: the same, of what is a clot there.
        seed: draws a smooth displacement of a few millimetres, so that no artery lies where the atlas has it; none without.
    """
    grid = pose.crop(*ARTERY_BOX_ATLAS_MM, spacing_mm=SPACING_MM)
    points, radii, kinds = [], [], []
    for artery in ARTERIES:
        for left in (True, False) if artery.paired else (True,):
            course = artery.course_atlas_mm(left=left)
            length = lengths_mm(course)
            at = np.arange(0, length[-1], 0.4)
            kind = np.full(len(at), ARTERY_TREES.index(artery.territory))
            for number, spans in ((-1, closed), (len(ARTERY_TREES), clots)):
                low, high = (spans or {}).get((artery.name, left), (2.0, 2.0))
                kind[(at / length[-1] >= low) & (at / length[-1] <= high)] = number
            at, kind = at[kind >= 0], kind[kind >= 0]
            points.append(np.stack([np.interp(at, length, course[:, axis]) for axis in range(3)], axis=1))
            radii.append(np.interp(at, (0, length[-1]), artery.radius_mm))
            kinds.append(kind)
    course, radius, kind = np.concatenate(points), np.concatenate(radii), np.concatenate(kinds)
    if seed is not None:
        knots = np.random.default_rng(seed).normal(0, 2.5, (3, 5, 5, 5))
        where = (course - np.array(ARTERY_BOX_ATLAS_MM[0])) / np.subtract(*ARTERY_BOX_ATLAS_MM[::-1]) * 4
        course = course + np.stack([map_coordinates(knots[n], where.T, order=1, mode="nearest") for n in range(3)], axis=1)
    centers = pose.to_lps_mm(course)
    near = np.zeros(grid.shape_kji, bool)
    k, j, i = np.rint(grid.to_kji(centers)).astype(int).T
    inside = ((np.stack([k, j, i], axis=1) >= 0) & (np.stack([k, j, i], axis=1) < grid.shape_kji)).all(axis=1)
    near[k[inside], j[inside], i[inside]] = True
    index = np.argwhere(maximum_filter(near, size=9))  # 4 voxels: what lies farther away is empty
    distance, nearest = cKDTree(centers).query(grid.to_lps_mm(index))
    values, found = np.zeros(grid.shape_kji, np.float32), np.full(grid.shape_kji, -1)
    where = tuple(index.T)
    values[where], found[where] = np.clip(0.5 + radius[nearest] - distance, 0, 1), kind[nearest]
    shares = {name: np.where(found == n, values, 0) for n, name in enumerate((*ARTERY_TREES, "clot"))}
    shares["artery"] = values - shares["clot"]
    shares["vein"] = np.zeros_like(values)
    return {name: Volume(share, grid, Quantity.PROBABILITY) for name, share in shares.items()}


def angiogram(vessels: Mapping[str, Volume], lumen_hu: float = LUMEN_HU) -> Volume:
    """What a scanner without noise would show of the map."""
    artery = vessels["artery"]
    return Volume(np.where(artery.array > 0.5, lumen_hu, TISSUE_HU).astype(np.float32), artery.grid, Quantity.HU)


def mirror(vessels: Mapping[str, Volume], pose: HeadPose) -> dict[str, Volume]:
    """The patient's mirror image about the mid-plane: voxels in reverse along i, at negated atlas x."""
    grid = vessels["artery"].grid
    flipped = grid.lps_from_kji.copy()
    flipped[:3, 3] = grid.to_lps_mm((0, 0, grid.shape_kji[2] - 1))
    flipped[:3, 2] *= -1.0
    twin = Grid(grid.shape_kji, pose.lps_from_atlas @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ pose.atlas_from_lps @ flipped)
    return {name: Volume(one.array[..., ::-1].copy(), twin, one.quantity) for name, one in vessels.items()}


def lengths_mm(course: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance along a polyline from its first point."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(course, axis=0), axis=1))])


def at(name: str, share: float, *, left: bool) -> NDArray[np.float64]:
    """(3,) the point of an atlas course after a share of its length."""
    course = segment(name).course_atlas_mm(left=left)
    length = lengths_mm(course)
    return np.array([np.interp(share * length[-1], length, course[:, axis]) for axis in range(3)])
