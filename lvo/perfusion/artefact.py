"""What looks like a lesion on a perfusion map and is none: speckle, thin seams, single slices, fluid.

Late or missing flow is also read from voxels that are half tissue: at the rim of the brain, beside ventricles and sinuses,
where bone streaks, in the outermost slices after motion. Such seams are thin and lie in one plane; lesions of brain arteries
are thick in every direction.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid, Plane

__all__ = ["VoxelSpace", "majority", "solid", "steadied_flow"]

Mask = NDArray[np.bool_]

VOTE_MM = 5.0
"""Side of the square in whose tissue the majority decides: it evens out speckle, and keeps a straight border where it is."""
TRANSIT_SIGMA_MM = 2.5
"""Transit times in a lesion are pooled over this (standard deviation), also across slices: they vary little from place to
place, and are what noise spoils most. Blood volume, which changes at once from grey to white matter, is not pooled."""
MIN_WIDTH_MM = 6.0
"""A lesion is somewhere this wide in its slice: a disc of this diameter fits in. Cortex alone is 2 to 4 mm thick (Fischl and
Dale, doi:10.1073/pnas.200033797), as is a seam of mixed voxels; a cut-off branch takes the white matter below it along."""
SPUR_MM = 5.0
"""What lies further than this from a place of that width is a seam that hangs on a lesion, not part of it."""
BRIDGE_MM = 4.0
"""Vessels and sulci up to this width do not divide a lesion."""
MIN_HEIGHT_MM = 8.0
"""A lesion reaches over more than one slice of usual thickness (5 mm); one that does not is the edge of the scanned slab, a
streak, or a frame that moved."""
MAX_HOLE_MM2 = 400.0
"""Tissue in time that late tissue encloses is taken for noise up to this area: tissue with almost no flow has no sharp maximum
in its residue, so a core is speckled with short Tmax. A seam around the whole brain encloses more."""
IN_PLANE = np.pad(ndimage.generate_binary_structure(2, 1)[None], ((1, 1), (0, 0), (0, 0)))
CONNECTED = ndimage.generate_binary_structure(3, 1)
"""Voxels of one cluster share a face: noise is broken up, lesions are not."""


@dataclass(frozen=True, eq=False)
class VoxelSpace:
    """Where the (N,) voxels of a map are, and what is there.

    Args:
        voxel_kji: index arrays on the grid.
        grid: of the scan.
        tissue: brain that is neither vessel nor fluid.
        midplane: the mid-sagittal plane.
        baseline_hu: attenuation before contrast.
        below_tentorium: known to lie in the posterior fossa.
    """

    voxel_kji: tuple[NDArray[np.intp], ...]
    grid: Grid
    tissue: Mask
    midplane: Plane
    baseline_hu: NDArray[np.float32]
    below_tentorium: Mask

    @cached_property
    def left(self) -> Mask:
        """(N,) voxels on the patient's left."""
        return np.asarray(self.midplane.signed_distance_mm(self.points_lps_mm(slice(None))) > 0)

    def points_lps_mm(self, chosen: slice | NDArray[np.intp]) -> NDArray[np.float64]:
        """(M, 3) positions of the chosen voxels."""
        return self.grid.to_lps_mm(np.stack([axis[chosen] for axis in self.voxel_kji], axis=-1))

    def image(self, mask: Mask) -> Mask:
        """(K, J, I) mask of (N,) values."""
        out = np.zeros(self.grid.shape_kji, dtype=bool)
        out[self.voxel_kji] = mask
        return out

    def take(self, image: NDArray[np.bool_]) -> Mask:
        """(N,) values of a (K, J, I) mask, tissue only."""
        return np.asarray(image[self.voxel_kji] & self.tissue)

    def clusters(self, mask: Mask) -> tuple[NDArray[np.intp], int]:
        """Number of the cluster that each of (N,) voxels belongs to, 0 for none, and how many there are."""
        label, n_clusters = ndimage.label(self.image(mask), CONNECTED)
        return np.asarray(label[self.voxel_kji]), int(n_clusters)

    def ml(self, mask: Mask) -> float:
        """Volume of an (N,) mask."""
        return float(np.count_nonzero(mask) * self.grid.voxel_ml)


def majority(space: VoxelSpace, chosen: Mask) -> Mask:
    """Give each tissue voxel the vote of the tissue around it in its slice: (N,) to (N,)."""
    size = [1, *(max(1, 2 * round(VOTE_MM / (2.0 * mm)) + 1) for mm in space.grid.spacing_kji_mm[1:])]
    votes, voters = (
        ndimage.uniform_filter(space.image(mask).astype(np.float32), size, mode="constant")
        for mask in (chosen & space.tissue, space.tissue)
    )
    return space.take(2.0 * votes > voters)


def steadied_flow(space: VoxelSpace, cbf: NDArray[np.float32], cbv: NDArray[np.float32], chosen: Mask) -> NDArray[np.float32]:
    """(N,) flow of the chosen voxels with the transit time of their surroundings, 0 elsewhere.

    Flow is the blood volume of the voxel over that transit time (central volume theorem). Roots of its inverse are averaged,
    for the scatter of flow grows with flow: a mean of flow itself follows its highest values, a mean of logarithms its lowest.
    """
    sigma = TRANSIT_SIGMA_MM / space.grid.spacing_kji_mm
    there = chosen & (cbf > 0.0) & (cbv > 0.0)
    turnover = np.sqrt(np.where(there, cbf, 0.0) / np.where(there, cbv, 1.0))
    image = np.zeros((2, *space.grid.shape_kji), dtype=np.float32)
    image[0][space.voxel_kji], image[1][space.voxel_kji] = turnover, there
    total, weight = (ndimage.gaussian_filter(part, sigma, mode="constant")[space.voxel_kji] for part in image)
    return np.asarray(np.where(there, cbv * (total / np.where(there, weight, 1.0)) ** 2, 0.0), dtype=np.float32)


def solid(space: VoxelSpace, chosen: Mask, *, min_ml: float) -> Mask:
    """Keep what is large and thick enough for a lesion, with the tissue it encloses in a slice: (N,) to (N,).

    Args:
        space: where the voxels are.
        chosen: voxels beyond a threshold.
        min_ml: smaller clusters are left out.
    """
    image = space.image(majority(space, chosen))
    if not image.any():
        return np.zeros(chosen.size, dtype=bool)
    box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in ndimage.find_objects(image.astype(np.uint8))[0])
    found = np.zeros_like(image)
    found[box] = _solid(image[box], space.image(space.tissue)[box], space.grid, min_ml)
    return space.take(found)


def _solid(late: Mask, tissue: Mask, grid: Grid, min_ml: float) -> Mask:
    """The same on (K, J, I) masks of the box that holds them."""
    filled = late | _small_holes(late, tissue, grid)
    bridged = filled | (_grown(_grown(filled, BRIDGE_MM / 2.0, grid), -BRIDGE_MM / 2.0, grid) & ~tissue)
    wide = _grown(bridged, -MIN_WIDTH_MM / 2.0, grid)
    kept = bridged & _grown(wide, MIN_WIDTH_MM / 2.0 + SPUR_MM, grid)
    label, n_clusters = ndimage.label(kept, CONNECTED)
    size = np.bincount(np.where(tissue, label, 0).ravel(), minlength=n_clusters + 1)
    enough = size >= min_ml / grid.voxel_ml
    slices = [0, *(box[0].stop - box[0].start for box in ndimage.find_objects(label))]
    high_mm = np.array(slices) * grid.spacing_kji_mm[0]
    enough &= high_mm >= min(MIN_HEIGHT_MM, grid.shape_kji[0] * grid.spacing_kji_mm[0])
    enough[0] = False
    return np.asarray(enough[label])


def _small_holes(late: Mask, tissue: Mask, grid: Grid) -> Mask:
    """Tissue that late tissue encloses in its slice, unless there is much of it, or it is more fluid and vessel than tissue."""
    holes = np.stack([ndimage.binary_fill_holes(layer) for layer in late]) & ~late
    label, n_holes = ndimage.label(holes, IN_PLANE)
    size = np.bincount(label.ravel(), minlength=n_holes + 1)
    of_tissue = np.bincount(label.ravel(), tissue.ravel(), minlength=n_holes + 1)
    small = (size * float(np.prod(grid.spacing_kji_mm[1:])) <= MAX_HOLE_MM2) & (2.0 * of_tissue > size)
    small[0] = False
    return np.asarray(small[label])


def _grown(mask: Mask, radius_mm: float, grid: Grid) -> Mask:
    """Grow a (K, J, I) mask in its slices, or shrink it where the radius is negative; what lies outside the box is empty."""
    apart_mm = (1e6, *grid.spacing_kji_mm[1:])  # slices do not see each other
    if radius_mm < 0.0:
        padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
        depth_mm = np.asarray(ndimage.distance_transform_edt(padded, sampling=apart_mm))[:, 1:-1, 1:-1]
        return np.asarray(depth_mm > -radius_mm)
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=apart_mm) <= radius_mm)
