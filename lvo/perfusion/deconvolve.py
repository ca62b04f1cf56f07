"""Block-circulant deconvolution: the flow-scaled residue of every voxel, its height and the time of its maximum.

A circulant matrix is diagonal in the Fourier basis and its singular values are the magnitudes of the spectrum of its first
column. Truncated block-circulant SVD is therefore the same as dividing by the spectrum of the arterial curve where that is
strong and writing 0 where it is weak; no decomposition is needed, and the inverse is one small matrix for all voxels.

References:
    Wu et al., Magn Reson Med 2003;50:164, doi:10.1002/mrm.10522. Delay-insensitive through zero-padding to twice the length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Residue", "deconvolve", "inverse_operator"]

EARLIEST_S = -10.0
"""Tissue may fill before the chosen artery (its time is then negative), but not by more than this."""
OVERSAMPLING = 4
"""Points per frame at which the residue is evaluated: it is band-limited, so the maximum between frames is exact."""
CHUNK = 8192
"""Voxels per matrix product: the working set stays in the cache."""


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
    aif_hu: NDArray[np.float64], dt_s: float, *, threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times and the matrix that turns (T,) tissue curves into residues at those times.

    Args:
        aif_hu: (T,) arterial curve on a uniform time base.
        dt_s: its interval.
        threshold: frequencies weaker than this share of the strongest are left out.

    Returns:
        (M,) seconds, from `EARLIEST_S` to the end of the record in steps of dt / `OVERSAMPLING`, and the (M, T) matrix, 1/s
        per HU/HU. The last part of the circular time axis is negative time.
    """
    n_frames = aif_hu.size
    padded = 2 * n_frames  # at least twice the record, so that late and early tissue do not fold onto each other
    spectrum = np.fft.rfft(aif_hu, padded) * dt_s
    strength = np.abs(spectrum)
    kept = strength >= threshold * strength.max()
    inverse = np.where(kept, 1.0 / np.where(kept, spectrum, 1.0), 0.0)
    inverse[-1] *= 0.5  # the Nyquist term is shared by both signs of frequency once the kernel is interpolated
    fine = padded * OVERSAMPLING
    kernel = np.fft.irfft(inverse, fine) * OVERSAMPLING
    earliest = max(-(padded - n_frames) * OVERSAMPLING, round(EARLIEST_S / dt_s * OVERSAMPLING))
    step = np.arange(earliest, (n_frames - 1) * OVERSAMPLING + 1)
    matrix = kernel[(step[:, None] - OVERSAMPLING * np.arange(n_frames)) % fine]
    return np.asarray(step * (dt_s / OVERSAMPLING)), np.asarray(matrix, dtype=np.float32)


def deconvolve(
    curves: NDArray[np.float32],
    operator: tuple[NDArray[np.float64], NDArray[np.float32]],
    window_s: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> Residue:
    """Height and time of the maximum of the residue of each curve, inside a window.

    Args:
        curves: (T, N) tissue curves, HU above baseline.
        operator: times and matrix from `inverse_operator`.
        window_s: first and last time looked at, (N,) seconds each. Outside lies only the ringing of the truncation and noise,
            whose highest of a hundred values would pass for flow.
    """
    fine_s, matrix = operator
    times_s = fine_s.astype(np.float32)
    first_s, last_s = window_s
    peak = np.empty(curves.shape[1], dtype=np.float32)
    peak_s = np.empty(curves.shape[1], dtype=np.float32)
    for start in range(0, curves.shape[1], CHUNK):
        here = slice(start, start + CHUNK)
        residue = curves[:, here].T @ matrix.T
        residue[(times_s < first_s[here, None]) | (times_s > last_s[here, None])] = -np.inf
        peak[here] = residue.max(axis=1)
        peak_s[here] = times_s[residue.argmax(axis=1)]
    return Residue(peak, peak_s)
