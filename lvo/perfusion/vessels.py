"""Vessels in a CT perfusion: groups of neighbouring voxels that fill alike, which makes a curve of each with little noise.

A single voxel is at the mercy of noise, of motion and of the bone beside it; the mean over neighbours that agree is not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from lvo.core.report import Curve
from lvo.perfusion.sampling import VoxelCurves
from lvo.perfusion.shape import Shape, measure, smoothed

__all__ = ["MAX_ROUGHNESS", "MAX_WIDTH_S", "Group", "find_groups", "shape_of"]

POOL_FRACTION = 0.05
"""Share of voxels, by height of the curve, in which vessels are looked for: sinuses, which come first, fill up to 1 % of a
slice, and blood is 2 to 4 % of the brain."""
MIN_POOL = 200
"""At least so many voxels are looked at in small scans."""
RADIUS_MM = 6.0
"""A group reaches this far around its highest voxel: two widths of an M1, into the slices above and below in 5 mm slices."""
MAX_VOXELS = 20
"""Voxels in a group, the highest; noise falls to a fifth, and the rim of the vessel stays out."""
MIN_VOXELS = 3
"""A curve from fewer voxels is an accident, not a vessel."""
ALIKE_SEED, ALIKE_MEAN = 0.6, 0.8
"""Correlation that keeps a voxel in a group: first with the seed, then with the mean. Two voxels of one artery of 20 HU
under 5 HU of noise reach 0.7 (smoothed), an artery and a vein 6 s later 0.5."""
MAX_WIDTH_S = 40.0
"""Full width at half maximum above which a curve is not a first pass; 28 and 35 s are the widest artery and vein in 62 stroke
scans (ISLES 2018)."""
MAX_ROUGHNESS = 0.15
"""Mean second difference over the peak of a smoothed curve: at most 0.05 in 62 stroke scans; edges of bone in a head that
shakes have 0.2 and more."""
FOOT = 0.1
"""The bolus comes where the curve leaves this part of its rise for good; all frames before are the level it rises from."""
BONE_MARGIN_MM = 3.0
"""Voxels nearer than this to what is not soft tissue are `at_edge`: bone moves in and out of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Neighbouring voxels of one vessel: its mean curve, the measures of it, and whether most of it lies at the edge."""

    curve: Curve
    shape: Shape
    at_edge: bool


def shape_of(curve: Curve) -> Shape:
    """Measures of one curve, each (1,), after a little smoothing in time."""
    return measure(curve.times_s, smoothed(curve.enhancement_hu[:, None].astype(np.float32)))


def find_groups(curves: VoxelCurves) -> tuple[Group, ...]:
    """All vessels with a curve like a bolus, the highest first."""
    pool = _pool(curves)
    found_hu = curves.at_base(pool)
    smooth = smoothed(found_hu)
    height = smooth.max(axis=0)
    shape = measure(curves.times_s, smooth)
    end_s = float(curves.times_s[-1])
    seeds = (shape.width_s <= MAX_WIDTH_S) & (shape.peak_s < end_s) & (shape.area > 0.0)
    kji = np.stack([axis[pool] for axis in curves.voxel_kji], axis=1)
    neighbours = cKDTree(curves.grid.to_lps_mm(kji))
    unit = smooth - smooth.mean(axis=0)
    unit /= np.maximum(np.linalg.norm(unit, axis=0), 1e-6)
    at_edge = _at_edge(curves)[tuple(kji.T)]
    free = np.ones(pool.size, dtype=bool)
    groups = []
    for seed in np.argsort(height)[::-1]:
        if not (free[seed] and seeds[seed]):
            continue
        near = np.array(neighbours.query_ball_point(neighbours.data[seed], RADIUS_MM))
        near = near[free[near]]
        members = _alike(unit, near, seed, height)
        free[seed] = False
        if members.size < MIN_VOXELS:
            continue
        free[near[unit[:, near].T @ unit[:, seed] >= ALIKE_SEED]] = False
        curve = _mean(curves, pool[members], found_hu[:, members])
        found = shape_of(curve)
        if found.roughness[0] <= MAX_ROUGHNESS and found.width_s[0] <= MAX_WIDTH_S and found.area[0] > 0.0:
            groups.append(Group(curve, found, bool(at_edge[members].mean() > 0.5)))
    return tuple(groups)


def _pool(curves: VoxelCurves) -> NDArray[np.intp]:
    """Indices of the voxels that rise most above their own mean, averaged over three neighbouring frames.

    Not above the baseline: of one or two noisy frames, that would bring those to the top whose baseline is too low.
    """
    hu = curves.enhancement_hu
    height = (hu[:-2] + hu[1:-1] + hu[2:]).max(axis=0) - 3.0 * hu.mean(axis=0)
    n_pool = min(height.size, max(MIN_POOL, round(POOL_FRACTION * height.size)))
    return np.argpartition(height, -n_pool)[-n_pool:]


def _alike(unit: NDArray[np.float32], near: NDArray[np.intp], seed: np.intp, height: NDArray[np.float32]) -> NDArray[np.intp]:
    """The highest of the voxels near a seed that fill like it, the highest first; `unit` are centred curves of length 1."""
    like_seed = near[unit[:, near].T @ unit[:, seed] >= ALIKE_SEED]
    if like_seed.size < MIN_VOXELS:
        return like_seed
    mean = unit[:, like_seed].mean(axis=1)
    like_mean = like_seed[unit[:, like_seed].T @ (mean / max(float(np.linalg.norm(mean)), 1e-6)) >= ALIKE_MEAN]
    return np.asarray(like_mean[np.argsort(height[like_mean])[::-1][:MAX_VOXELS]])


def _at_edge(curves: VoxelCurves) -> NDArray[np.bool_]:
    """(K, J, I) voxels near bone, air, or the outside of the brain's surroundings."""
    soft = np.zeros(curves.grid.shape_kji, dtype=bool)
    soft[curves.voxel_kji] = True
    soft = ndimage.binary_closing(soft, ndimage.generate_binary_structure(2, 2)[None])  # voxels lost to noise or calcium
    steps = max(1, round(BONE_MARGIN_MM / float(curves.grid.spacing_kji_mm[1:].mean())))
    return ~np.asarray(ndimage.binary_erosion(soft, ndimage.generate_binary_structure(2, 1)[None], iterations=steps))


def _mean(curves: VoxelCurves, index: NDArray[np.intp], hu: NDArray[np.float32]) -> Curve:
    """Mean of (B, n) curves above its own level before the bolus, at the place of the first, the highest, of their voxels."""
    mean = hu.mean(axis=1, dtype=np.float64)
    rise = smoothed(mean[:, None].astype(np.float32))[: int(mean.argmax()) + 1, 0]
    foot = np.flatnonzero(rise <= rise.min() + FOOT * (rise.max() - rise.min()))[-1]
    x, y, z = (float(v) for v in curves.grid.to_lps_mm(np.array([axis[index[0]] for axis in curves.voxel_kji])))
    return Curve(curves.times_s, mean - mean[: max(1, int(foot))].mean(), (x, y, z), int(index.size))
