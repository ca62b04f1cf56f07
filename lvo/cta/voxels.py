"""The vessels of one map as voxels that have names: which tree, which atlas segment, which side, and what feeds them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_PROBABILITY, ARTERY_TREES
from lvo.core.pose import HeadPose
from lvo.core.volume import Volume
from lvo.cta.bolus import SOFT_HU, arterial_level_hu
from lvo.cta.tree import ArteryTree, align_tree, atlas_tree, nearest_points, stretch

__all__ = ["BASILAR_START_MM", "CLOT_PROBABILITY", "VesselVoxels", "find_voxels"]

CLOT_PROBABILITY = 0.3
"""On a vessel map, a voxel may be clot from here on: clots are rare, so the network seldom dares more."""

_BRIDGE_MM = 3.3
"""Breaks in a thin branch up to this length are the map's own: most clots are longer (8 to 20 mm in M1, 3 to 12 mm in M2)."""

BASILAR_START_MM = 8.0
"""The basilar artery is followed from its first millimetres, whichever vertebral artery feeds it."""

_LEAST_CONTRAST_HU = 50.0
_SMOOTHING = 0.5
"""Voxels; against noise."""


@dataclass(frozen=True, slots=True, eq=False)
class VesselVoxels:
    """Artery voxels of a map and clot voxels beside them.

    Args:
        tree: the atlas courses, laid over the map.
        points_atlas_mm: (N, 3) artery voxels, atlas LPS mm.
        tree_index: (N,) index into `ARTERY_TREES`, the likeliest.
        nearest: (N,) index of the nearest tree point, -1 where none is within reach.
        fed: (2, N) True where lumen hangs together with the carotid of the left, and of the right side, breaks of up to
            3.3 mm set aside.
        fed_behind: (N,) the same for the vertebral arteries and the first 8 mm of the basilar artery: a clot within those is
            not seen by it.
        hu: (N,) attenuation.
        darkness: of the image, 0 as bright as the arteries to 1 as dark as tissue.
        clot_atlas_mm: (M, 3) clot voxels, atlas LPS mm.
        clot_nearest: (M,) index of the tree point nearest to each, -1 where none is within reach.
        voxel_ml: volume of one voxel.
    """

    tree: ArteryTree
    points_atlas_mm: NDArray[np.float64]
    tree_index: NDArray[np.intp]
    nearest: NDArray[np.int64]
    fed: NDArray[np.bool_]
    fed_behind: NDArray[np.bool_]
    hu: NDArray[np.float32]
    darkness: Volume
    clot_atlas_mm: NDArray[np.float64]
    clot_nearest: NDArray[np.int64]
    voxel_ml: float

    def of_tree(self, *names: str) -> NDArray[np.bool_]:
        """(N,) mask of the voxels that belong to these trees."""
        return np.isin(self.tree_index, [ARTERY_TREES.index(name) for name in names])

    def on(self, member: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N,) mask of the voxels whose nearest tree point is one of the (P,) members."""
        return (self.nearest >= 0) & member[self.nearest]

    def clot_ml(self, member: NDArray[np.bool_]) -> float:
        """Volume of the clot voxels whose nearest tree point is one of the (P,) members."""
        return float(((self.clot_nearest >= 0) & member[self.clot_nearest]).sum()) * self.voxel_ml

    def beside(self, *, left: bool) -> NDArray[np.bool_]:
        """(N,) mask of the voxels on one side of the mid-plane."""
        return np.asarray((self.points_atlas_mm[:, 0] > 0) == left)


def find_voxels(hu: Volume, vessels: Mapping[str, Volume], pose: HeadPose) -> VesselVoxels:
    """Name the vessels of a map.

    Args:
        hu: CTA on the grid of the map.
        vessels: probability per tree of `ARTERY_TREES`, of "artery" and of "clot", on one grid.
        pose: how the head lies.
    """
    artery = vessels["artery"]
    lumen = artery.array >= ARTERY_PROBABILITY
    index_kji = np.argwhere(lumen)
    points = pose.to_atlas_mm(artery.grid.to_lps_mm(index_kji))
    where = tuple(index_kji.T)
    trees = np.stack([vessels[name].array[where] for name in ARTERY_TREES]).argmax(axis=0)
    tree = align_tree(atlas_tree(), points) if len(points) else atlas_tree()
    nearest = nearest_points(tree, points)
    piece = _pieces(lumen, artery.grid.spacing_kji_mm)[where]
    clots = np.argwhere(vessels["clot"].array >= CLOT_PROBABILITY)
    clot_points = pose.to_atlas_mm(artery.grid.to_lps_mm(clots))
    return VesselVoxels(
        tree=tree,
        points_atlas_mm=points,
        tree_index=trees,
        nearest=nearest,
        fed=np.stack([_fed(piece, nearest, _carotid(tree, left=left)) for left in (True, False)]),
        fed_behind=_fed(piece, nearest, _confluence(tree)),
        hu=np.asarray(hu.array[where], dtype=np.float32),
        darkness=replace(artery, array=_darkness(hu.array, arterial_level_hu(hu.array, artery.array))),
        clot_atlas_mm=clot_points,
        clot_nearest=nearest_points(tree, clot_points),
        voxel_ml=artery.grid.voxel_ml,
    )


def _darkness(hu: NDArray[np.floating], arterial_hu: float | None) -> NDArray[np.float32]:
    """(K, J, I) how far the image lies below the arteries, of the way to soft tissue: 0 to 1."""
    contrast_hu = max((arterial_hu or 0.0) - SOFT_HU, _LEAST_CONTRAST_HU)
    smooth = ndimage.gaussian_filter(np.asarray(hu, dtype=np.float32), _SMOOTHING)
    return np.asarray(1.0 - np.clip((smooth - SOFT_HU) / contrast_hu, 0.0, 1.0), dtype=np.float32)


def _pieces(lumen: NDArray[np.bool_], spacing_kji_mm: NDArray[np.float64]) -> NDArray[np.intp]:
    """Number of the piece that each voxel hangs together with across breaks of up to `_BRIDGE_MM`; 0 away from lumen."""
    if not lumen.any():
        return np.zeros(lumen.shape, dtype=np.intp)
    away_mm = ndimage.distance_transform_edt(~lumen, sampling=spacing_kji_mm)
    return np.asarray(ndimage.label(away_mm <= _BRIDGE_MM / 2.0, structure=np.ones((3, 3, 3)))[0], dtype=np.intp)


def _carotid(tree: ArteryTree, *, left: bool) -> NDArray[np.bool_]:
    """(P,) the intracranial carotid of one side."""
    return stretch(tree, "ICA", left=left) | stretch(tree, "ICA-T", left=left)


def _confluence(tree: ArteryTree) -> NDArray[np.bool_]:
    """(P,) both vertebral arteries and the first of the basilar artery."""
    vertebral = [stretch(tree, "VA", left=left) for left in (True, False)]
    return np.asarray(np.any([*vertebral, stretch(tree, "BA", left=True, high_mm=BASILAR_START_MM)], axis=0))


def _fed(piece: NDArray[np.intp], nearest: NDArray[np.int64], root: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) what hangs together with the voxels beside some (P,) tree points."""
    return np.isin(piece, piece[(nearest >= 0) & root[nearest]])
