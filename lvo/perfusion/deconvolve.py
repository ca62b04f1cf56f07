"""Deconvolution: the flow-scaled residue of every voxel, its height and the time of its maximum.

A circulant matrix is diagonal in the Fourier basis and its singular values are the magnitudes of the spectrum of its first
column. Truncated block-circulant SVD is therefore the same as dividing by the spectrum of the arterial curve where that is
strong and writing 0 where it is weak, and Tikhonov regularisation is the same with a smooth transition. No decomposition is
needed, and the inverse is one small matrix for all voxels.

References:
    Wu et al., Magn Reson Med 2003;50:164, doi:10.1002/mrm.10522: block-circulant ("bcsvd", the same truncation for every
    voxel) and oscillation-limited ("osvd", in every voxel the least truncation whose residue does not oscillate).
    Fieselmann et al., Int J Biomed Imaging 2011;467563, doi:10.1155/2011/467563, eq. 27: Tikhonov.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Operator", "Residue", "adapted_strength", "deconvolve", "inverse_operator", "noise_hu"]

EARLIEST_S = -10.0
"""Tissue may fill before the chosen artery (its time is then negative), but not by more than this."""
THRESHOLDS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.17, 0.22, 0.3, 0.4, 0.6)
"""Truncations that an oscillation-limited deconvolution tries in turn. There are no more different ones than frequencies."""

STRONGER = (1.0, 1.2, 1.4, 1.7, 2.0)
"""Factors of the regularisation tried one after the other where there is noise."""
MAX_NOISE = 0.15
"""Noise of the residue, as a share of its height, above which the regularisation is made stronger."""


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """The way from (T,) tissue curves to residues at M times, 1/s per HU/HU.

    Args:
        times_s: (M,) even seconds after the artery, from early to late.
        shown: the part of them between `EARLIEST_S` and the end of the record, where flow is read.
        matrices: (M, T) float32 each; more than one are tried in turn until a residue does not oscillate.
        max_oscillation: oscillation index from which the next one is tried.
    """

    times_s: NDArray[np.float64]
    shown: slice
    matrices: tuple[NDArray[np.float32], ...]
    max_oscillation: float = np.inf


@dataclass(frozen=True, slots=True, eq=False)
class Residue:
    """What the maps need of the flow-scaled residue k(t) = CBF R(t).

    Args:
        peak_per_s: (N,) maximum of the residue, 1/s, before the constants of blood and tissue.
        peak_s: (N,) time of that maximum; negative where the tissue fills before the artery.
    """

    peak_per_s: NDArray[np.float32]
    peak_s: NDArray[np.float32]


def inverse_operator(
    aif_hu: NDArray[np.float64],
    dt_s: float,
    *,
    method: Literal["bcsvd", "osvd", "tikhonov"],
    strength: float,
    max_oscillation: float = 0.035,
    to_base: NDArray[np.float64] | None = None,
) -> Operator:
    """Prepare the deconvolution with one artery.

    Args:
        aif_hu: (B,) arterial curve on an even time base.
        dt_s: its interval.
        method: how weak frequencies are treated.
        strength: of the regularisation: frequencies weaker than this share of the strongest are left out ("bcsvd"), or their
            inverse is halved in the Tikhonov way. Not used by "osvd".
        max_oscillation: oscillation index that "osvd" accepts; 0.035 as in dsc-mri-toolbox.
        to_base: (B, T) matrix that interpolates curves sampled at other times to the base, None when they are on it.
    """
    n_base = aif_hu.size
    padded = 2 * n_base  # at least twice the record, so that late and early tissue do not fold onto each other
    spectrum = np.fft.rfft(aif_hu, padded) * dt_s
    strengths = THRESHOLDS if method == "osvd" else (strength,)
    step = np.arange(-n_base, n_base)  # the second half of the circular axis is negative time
    matrices = []
    for share in strengths:
        kernel = np.fft.irfft(_inverse(spectrum, share, smooth=method == "tikhonov"), padded)
        matrix = kernel[(step[:, None] - np.arange(n_base)) % padded]
        matrices.append((matrix if to_base is None else matrix @ to_base).astype(np.float32))
    first = int(np.searchsorted(step * dt_s, EARLIEST_S - 1e-9))
    limit = max_oscillation if method == "osvd" else np.inf
    return Operator(np.asarray(step * dt_s), slice(first, padded), tuple(matrices), limit)


def _inverse(spectrum: NDArray[np.complex128], share: float, *, smooth: bool) -> NDArray[np.complex128]:
    strength = np.abs(spectrum)
    least = share * strength.max()
    if smooth:
        return np.asarray(spectrum.conj() / (strength**2 + least**2))
    kept = strength >= least
    return np.where(kept, 1.0 / np.where(kept, spectrum, 1.0), 0.0)


def deconvolve(
    curves: NDArray[np.float32],
    by: Operator,
    window_s: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> Residue:
    """Height and time of the maximum of the residue of (T, N) curves, between frames by a parabola.

    Args:
        curves: tissue curves, HU above baseline; a few thousand at a time stay in the cache.
        by: the deconvolution.
        window_s: first and last time looked at, (N,) seconds each; outside lies only the ringing of the truncation and noise,
            whose highest of fifty values would pass for flow. None looks everywhere.
    """
    residue = _residue(curves, by)
    times_s = by.times_s[by.shown].astype(np.float32)
    looked_at = residue
    if window_s is not None:
        outside = (times_s < window_s[0][:, None]) | (times_s > window_s[1][:, None])
        looked_at = np.where(outside, np.float32(-np.inf), residue)
    middle = np.clip(looked_at.argmax(axis=1), 1, times_s.size - 2)
    voxel = np.arange(middle.size)
    before, height, after = (residue[voxel, middle + step] for step in (-1, 0, 1))
    slope, bend = 0.5 * (after - before), np.minimum(before - 2.0 * height + after, np.float32(-1e-20))
    offset = np.clip(-slope / bend, np.float32(-0.5), np.float32(0.5))  # at the ends of record and window there is no maximum
    return Residue(height + offset * (slope + 0.5 * bend * offset), times_s[middle] + (times_s[1] - times_s[0]) * offset)


def _residue(curves: NDArray[np.float32], by: Operator) -> NDArray[np.float32]:
    """(N, M shown) residue: a voxel per row, as numpy finds maxima along rows 20 times faster."""
    by_voxel = curves.T
    if len(by.matrices) == 1:
        return by_voxel @ by.matrices[0][by.shown].T
    out = np.empty((by_voxel.shape[0], by.times_s.size), dtype=np.float32)
    left = np.arange(by_voxel.shape[0])
    for matrix in by.matrices:
        residue = by_voxel[left] @ matrix.T
        out[left] = residue
        left = left[_oscillation(residue) >= by.max_oscillation]
        if not left.size:
            break
    return out[:, by.shown]


def _oscillation(residue: NDArray[np.float32]) -> NDArray[np.float32]:
    """Oscillation index of (N, M) residues (Wu 2003, eq. 9): mean absolute second difference over the maximum."""
    bend = np.abs(residue[:, 2:] - 2.0 * residue[:, 1:-1] + residue[:, :-2]).sum(axis=1)
    return np.asarray(bend / residue.shape[1] / np.maximum(residue.max(axis=1), np.float32(1e-20)))


def noise_hu(curves: NDArray[np.float32]) -> float:
    """Standard deviation of the noise of (T, N) curves: the median of all second differences, which a bolus hardly touches."""
    return float(np.median(np.abs(np.diff(curves, n=2, axis=0))) / (0.6745 * np.sqrt(6.0)))


def adapted_strength(curves: NDArray[np.float32], least: float, make: Callable[[float], Operator]) -> float:
    """Regularisation for the noise of (T, N) curves: the weakest that keeps the noise of the residue small.

    The noise of the residue is that of the curves times the length of a row of the matrix; it is held against the height of
    the residue of the mean curve. What is asked for is `MAX_NOISE`; where nothing reaches that, the strongest is taken.

    Args:
        curves: a sample of the tissue curves, HU above baseline, all at the same times.
        least: regularisation without noise; never less.
        make: makes the deconvolution of a regularisation.
    """
    noise, mean = noise_hu(curves), curves.mean(axis=1)
    for strength in (least * factor for factor in STRONGER):
        matrix = make(strength).matrices[0]
        if noise * float(np.linalg.norm(matrix, axis=1).max()) <= MAX_NOISE * float((matrix @ mean).max()):
            break
    return strength
