"""Every way of turning tissue curves into flow that the accuracy table compares: ours, an exact reference, wrong ones, osipy.

All of them get the same curves, the same artery and the same constants of blood and tissue, so only the method differs.
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import circulant, toeplitz

from lvo.config import PerfusionSettings
from lvo.core.grid import Grid
from lvo.core.report import Curve
from lvo.core.volume import TimeSeries
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.maps import compute_maps
from lvo.perfusion.sampling import VoxelCurves, sample
from lvo.synth.tiles import Tiles
from lvo.synth.tracer import ML_100G_PER_FRACTION, S_PER_MIN

Floats = NDArray[np.float64]
WU_THRESHOLD = 0.1
"""Share of the largest singular value; the usual choice for block-circulant decomposition (Wu 2003)."""
OSTERGAARD_THRESHOLD = 0.2
"""The same for the plain decomposition (Ostergaard 1996)."""


@dataclass(frozen=True)
class Estimate:
    """(N,) values that a method found. `delay_s` is its best word on the arrival: Tmax where it knows nothing else."""

    cbf: Floats
    cbv: Floats
    mtt_s: Floats
    delay_s: Floats


Method = Callable[[Tiles], Estimate]


def ours(settings: PerfusionSettings) -> Method:
    """What `lvo` does to a curve once artery and tissue are known, from uneven slice times to maps."""

    def method(tiles: Tiles) -> Estimate:
        n_curves = tiles.cbf.size + 1  # the artery travels with the tissue, so that both are resampled alike
        array = np.concatenate([tiles.artery_hu[:, None], tiles.curves_hu], axis=1).astype(np.float32)
        series = TimeSeries(array.reshape(-1, 1, 1, n_curves), Grid((1, 1, n_curves), np.eye(4)), tiles.times_s[:, None])
        sampled = sample(series, np.ones((1, 1, n_curves), dtype=bool))
        zero = np.zeros(n_curves, dtype=np.float32)
        curves = VoxelCurves(
            sampled.times_s, sampled.hu, zero, sampled.voxel_kji, sampled.grid, n_baseline=1, frames=sampled.frames
        )
        aif = Curve(sampled.times_s, curves.at_base(np.array([0]))[:, 0].astype(np.float64), (0.0, 0.0, 0.0), 1)
        tissue = np.arange(1, n_curves)
        maps = compute_maps(curves.enhancement_hu[:, tissue], Inputs(aif, aif, 1.0), settings, curves.frames_of(tissue))
        delay_s = maps.tmax if maps.delay is None else maps.delay
        return Estimate(*(values.astype(np.float64) for values in (maps.cbf, maps.cbv, maps.mtt, delay_s)))

    return method


def on_even_times(tiles: Tiles) -> tuple[Floats, Floats, float]:
    """Artery, curves and interval on even times: linear interpolation at the median interval, as peers have it done."""
    times_s = tiles.times_s
    dt_s = float(np.median(np.diff(times_s)))
    even_s = np.arange(times_s[0], times_s[-1] + 1e-6, dt_s)
    if even_s.size == times_s.size and np.allclose(even_s, times_s):
        return tiles.artery_hu, tiles.curves_hu, dt_s
    curves = np.stack([np.interp(even_s, times_s, curve) for curve in tiles.curves_hu.T], axis=1)
    return np.interp(even_s, times_s, tiles.artery_hu), curves, dt_s


def inverted(matrix: Floats, threshold: float) -> Floats:
    """Pseudo-inverse without the singular values below a share of the largest."""
    u, s, vt = np.linalg.svd(matrix)
    kept = s >= threshold * s[0]
    return (vt[kept].T / s[kept]) @ u[:, kept].T


def block_circulant(artery: Floats) -> Floats:
    """Wu 2003: padded to twice the length, so that delays of either sign wrap around."""
    return np.asarray(circulant(np.concatenate([artery, np.zeros(artery.size)])), dtype=np.float64)


def estimate(residue: Floats, volume: Floats, dt_s: float, *, wrapped: bool) -> Estimate:
    """CBF is the height of the residue (M, N), Tmax its place; times beyond half of a wrapped axis are negative."""
    peak, at = residue.max(axis=0), residue.argmax(axis=0)
    if wrapped:
        at = np.where(at >= residue.shape[0] // 2, at - residue.shape[0], at)
    cbf, cbv = peak * ML_100G_PER_FRACTION * S_PER_MIN, volume * ML_100G_PER_FRACTION
    return Estimate(cbf, cbv, S_PER_MIN * cbv / np.maximum(cbf, 0.1), at * dt_s)


def exact_bcsvd(tiles: Tiles) -> Estimate:
    """Block-circulant SVD, written out in float64; blood volume by the ratio of areas."""
    artery, curves, dt_s = on_even_times(tiles)
    padded = np.concatenate([curves, np.zeros_like(curves)])
    residue = inverted(dt_s * block_circulant(artery), WU_THRESHOLD) @ padded
    return estimate(residue, curves.sum(axis=0) / artery.sum(), dt_s, wrapped=True)


def wrong_ssvd(tiles: Tiles) -> Estimate:
    """Wrong: a causal matrix of the length of the record, so a delay between artery and tissue is taken for low flow."""
    artery, curves, dt_s = on_even_times(tiles)
    residue = inverted(dt_s * toeplitz(artery, np.zeros(artery.size)), OSTERGAARD_THRESHOLD) @ curves
    return estimate(residue, curves.sum(axis=0) / artery.sum(), dt_s, wrapped=False)


def wrong_dt_dropped(tiles: Tiles) -> Estimate:
    """Wrong: the interval is left out of the integral of the residue, so volume and transit time are in frames."""
    artery, curves, dt_s = on_even_times(tiles)
    padded = np.concatenate([curves, np.zeros_like(curves)])
    residue = inverted(dt_s * block_circulant(artery), WU_THRESHOLD) @ padded
    return estimate(residue, residue.sum(axis=0), dt_s, wrapped=True)


def wrong_magnitude(tiles: Tiles) -> Estimate:
    """Wrong: |R| instead of R, so ringing and noise on either side of 0 count as blood."""
    artery, curves, dt_s = on_even_times(tiles)
    padded = np.concatenate([curves, np.zeros_like(curves)])
    residue = np.abs(inverted(dt_s * block_circulant(artery), WU_THRESHOLD) @ padded)
    return estimate(residue, residue.sum(axis=0) * dt_s, dt_s, wrapped=True)


WRONG: dict[str, Method] = {
    "WRONG: sSVD": wrong_ssvd, "WRONG: dt dropped": wrong_dt_dropped, "WRONG: \\|R\\|": wrong_magnitude,
}  # fmt: skip

_OSIPY = """
import sys
import numpy as np
from osipy.dsc.deconvolution import get_deconvolver
data = np.load(sys.argv[1])
found = get_deconvolver(sys.argv[2]).deconvolve(data["curves"], data["artery"], data["times"])
np.savez(sys.argv[3], cbf=found.cbf, mtt=found.mtt, delay=found.delay)
"""


def osipy(python: Path, method: str) -> Method:
    """A deconvolution of osipy, run by a Python in which it is installed; blood volume by the ratio of areas, as it does."""

    def run(tiles: Tiles) -> Estimate:
        artery, curves, dt_s = on_even_times(tiles)
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
            np.savez(given, curves=curves.T, artery=artery, times=dt_s * np.arange(artery.size))
            subprocess.run([str(python), "-c", _OSIPY, str(given), method, str(found)], check=True)
            with np.load(found) as result:
                cbf = result["cbf"] * ML_100G_PER_FRACTION * S_PER_MIN
                return Estimate(cbf, curves.sum(axis=0) / artery.sum() * ML_100G_PER_FRACTION, result["mtt"], result["delay"])

    return run
