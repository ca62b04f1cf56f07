"""Less noise in tissue curves without washing lesions out at their borders.

A voxel is averaged with those voxels of its slice whose curves are like its own. That is the idea of the filter on
time-intensity profiles (TIPS; Mendrik et al., Phys Med Biol 2011;56:3857-3872), here in passes over eight neighbours that lie
1, 2, 4 ... voxels away (Dammertz et al., Edge-avoiding a-trous wavelet transform, High Performance Graphics 2010), so that a
wide mean costs little.
How unlike two curves may be follows from the noise of the scan itself.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lvo.perfusion.sampling import VoxelCurves

__all__ = ["less_noise"]

Floats = NDArray[np.float32]

N_SPANS = 8
"""Two curves are compared by their means over so many spans of the record: noise falls, a delay of 3 s still shows."""
TOLERANCE = 1.0
"""A neighbour counts e times less for every so many usual squared differences beyond the usual one, which is noise."""
EVERY = 7
"""Every so many voxels tell the usual difference."""
OFFSETS_JI = ((0, 0), *((j, i) for j, i in product((-1, 0, 1), repeat=2) if (j, i) != (0, 0)))
KERNEL = np.array([2.0 ** (2 - abs(j) - abs(i)) for j, i in OFFSETS_JI], dtype=np.float32)
"""Binomial weights of the voxel itself and its eight neighbours; the variance of one pass at distance d is d**2 / 2."""


def less_noise(curves: VoxelCurves, chosen: NDArray[np.bool_], *, sigma_mm: float) -> Floats:
    """Enhancement of the chosen of N voxels, (T, number chosen), averaged over neighbours in the slice that fill alike.

    Voxels that are not chosen neither give nor take, so vessels do not bleed into tissue. Slices are thick and are not mixed.

    Args:
        curves: of N voxels.
        chosen: (N,) tissue.
        sigma_mm: standard deviation of the mean where all is alike; 0 leaves the curves as they are.
    """
    taken = curves.enhancement_hu[:, chosen]
    n_passes = _n_passes(sigma_mm / float(curves.grid.spacing_kji_mm[1:].mean()))
    if n_passes == 0 or taken.shape[1] == 0:
        return taken
    number = np.full(curves.grid.shape_kji, -1, dtype=np.int32)
    kji = tuple(axis[chosen] for axis in curves.voxel_kji)
    number[kji] = np.arange(taken.shape[1])
    values = np.ascontiguousarray(taken.T)
    guide = _in_spans(values, curves.n_baseline)
    near = _neighbours(number, kji, 1)
    guide = _mean(near, np.broadcast_to(KERNEL, near.shape)) @ guide
    for n in range(n_passes):
        near = _neighbours(number, kji, 2**n)
        mean = _mean(near, KERNEL * _likeness(guide, near))
        values, guide = mean @ values, mean @ guide
    return np.ascontiguousarray(values.T)


def _n_passes(sigma_voxels: float) -> int:
    """Passes at distances 1, 2, 4 ... whose variances, d**2 / 2 each, come nearest to that of the wanted mean."""
    return max(0, round(float(np.log2(6.0 * sigma_voxels**2 + 1.0)) / 2.0))


def _in_spans(values: Floats, n_baseline: int) -> Floats:
    """(N, spans) means of (N, T) curves over equal spans of the time after the baseline."""
    n_frames = values.shape[1]
    first = min(n_baseline, max(0, n_frames - N_SPANS))
    edges = np.unique(np.linspace(first, n_frames, N_SPANS + 1).astype(int))
    return np.asarray(np.add.reduceat(values, edges[:-1], axis=1) / np.diff(edges), dtype=np.float32)


def _neighbours(number: NDArray[np.int32], kji: tuple[NDArray[np.intp], ...], step: int) -> NDArray[np.int32]:
    """(N, 9) numbers of each voxel and its eight neighbours `step` voxels away; its own number where there is none."""
    padded = np.pad(number, ((0, 0), (step, step), (step, step)), constant_values=-1)
    k, j, i = kji
    near = np.stack([padded[k, j + (1 + dj) * step, i + (1 + di) * step] for dj, di in OFFSETS_JI], axis=1)
    own = near[:, :1]
    return np.where(near < 0, own, near)


def _likeness(guide: Floats, near: NDArray[np.int32]) -> Floats:
    """(N, 9) weights from 1 for curves that differ as noise lets them to 0 for those that differ more."""
    apart = np.zeros(near.shape, dtype=np.float32)
    for n in range(1, 5):  # as far as its opposite neighbour is from the voxel itself
        difference = guide - guide[near[:, n]]
        apart[:, n] = np.einsum("ij,ij->i", difference, difference)
        apart[:, 9 - n] = apart[near[:, 9 - n], n]
    usual = max(float(np.median(apart[::EVERY, 1:])), 1e-12)
    return np.asarray(np.exp(-np.maximum(apart - usual, 0.0) / (TOLERANCE * usual)), dtype=np.float32)


def _mean(near: NDArray[np.int32], weights: Floats) -> sparse.csr_array:
    """(N, N) matrix of the weighted mean over (N, 9) neighbours; a neighbour that is absent weighs nothing."""
    present = near != near[:, :1]
    present[:, 0] = True
    weights = np.where(present, weights, np.float32(0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    n_voxels, n_near = near.shape
    return sparse.csr_array((weights.ravel(), near.ravel(), np.arange(0, near.size + 1, n_near)), shape=(n_voxels, n_voxels))
