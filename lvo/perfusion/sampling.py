"""Time-attenuation curves of chosen voxels on one uniform time base, and their unenhanced level."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.core.volume import TimeSeries

__all__ = [
    "Sampled",
    "VoxelCurves",
    "find_bolus",
    "frame_interval_s",
    "frames_before",
    "remove_baseline",
    "sample",
    "uniform_times_s",
]

VESSEL_FRACTION = 0.005
"""Share of voxels taken for vessels when the bolus is timed: arteries and veins fill 2 to 4 % of the brain (CBV)."""
VESSEL_RISE = 0.1
"""The mean vessel curve has begun to rise at this share of its peak."""
VENOUS_LEAD_S = 6.0
"""That mean curve is mostly veins; arteries rise before it, by the lag of the vein (median 6 s in 62 scans, ISLES 2018)."""
ARTERY_RISE = 0.05
"""The chosen artery has begun to rise at this share of its peak; the frame before is kept out of the baseline as well."""
SAME_TIME_S = 0.02
"""Slices whose times agree this well need no interpolation: 20 ms is 1 % of the usual frame interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Curves before the baseline is known.

    Args:
        times_s: (T,) uniform time base.
        hu: (T, N) float32 attenuation.
        voxel_kji: three (N,) index arrays.
        grid: where the voxels are.
        interpolated: slices were scanned at different times, or unevenly, and were brought to the common base.
    """

    times_s: NDArray[np.float64]
    hu: NDArray[np.float32]
    voxel_kji: tuple[NDArray[np.intp], ...]
    grid: Grid
    interpolated: bool


@dataclass(frozen=True, slots=True, eq=False)
class VoxelCurves:
    """Enhancement of chosen voxels.

    Args:
        times_s: (T,) uniform time base.
        enhancement_hu: (T, N) float32, HU above the baseline of each voxel.
        baseline_hu: (N,) float32, mean HU before the bolus.
        voxel_kji: three (N,) index arrays.
        grid: where the voxels are.
        n_baseline: number of frames before the bolus.
    """

    times_s: NDArray[np.float64]
    enhancement_hu: NDArray[np.float32]
    baseline_hu: NDArray[np.float32]
    voxel_kji: tuple[NDArray[np.intp], ...]
    grid: Grid
    n_baseline: int

    @property
    def dt_s(self) -> float:
        """Interval of the time base."""
        return float(self.times_s[1] - self.times_s[0])

    def volume(self, values: NDArray[Any], background: float = 0.0) -> NDArray[np.float32]:
        """(K, J, I) array with one value per voxel, `background` elsewhere."""
        out = np.full(self.grid.shape_kji, background, dtype=np.float32)
        out[self.voxel_kji] = values
        return out


def frame_interval_s(times_s: NDArray[np.float64]) -> float:
    """Median interval between frames of (T, K) slice times."""
    return float(np.median(np.diff(times_s, axis=0)))


def uniform_times_s(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Time base at the median frame interval, inside the span that every slice of (T, K) times covers."""
    dt_s = frame_interval_s(times_s)
    start_s, end_s = float(times_s[0].max()), float(times_s[-1].min())
    n_frames = int((end_s - start_s) / dt_s + 0.01) + 1
    return np.asarray(start_s + dt_s * np.arange(n_frames))


def sample(series: TimeSeries, mask: NDArray[np.bool_]) -> Sampled:
    """Curves of the voxels in a (K, J, I) mask, each slice interpolated from its own times to a common uniform base.

    Natural cubic splines in time: unlike linear interpolation they do not flatten the peak of slices that fall between
    two frames. A slice already on the base is copied untouched.
    """
    base_s = uniform_times_s(series.times_s)
    voxel_kji = np.nonzero(mask)
    hu = np.empty((base_s.size, voxel_kji[0].size), dtype=np.float32)
    edges = np.searchsorted(voxel_kji[0], np.arange(series.grid.shape_kji[0] + 1))
    interpolated = False
    for k in range(series.grid.shape_kji[0]):
        here = slice(int(edges[k]), int(edges[k + 1]))
        if here.start == here.stop:
            continue
        raw = series.array[:, k, voxel_kji[1][here], voxel_kji[2][here]].astype(np.float32)
        slice_s = series.times_s[:, k]
        if slice_s.size == base_s.size and np.abs(slice_s - base_s).max() <= SAME_TIME_S:
            hu[:, here] = raw
        else:
            interpolated = True
            hu[:, here] = _weights(slice_s, base_s) @ raw
    return Sampled(base_s, hu, voxel_kji, series.grid, interpolated)


def _weights(from_s: NDArray[np.float64], to_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """(len(to_s), len(from_s)) matrix of natural cubic spline interpolation."""
    spline = CubicSpline(from_s, np.eye(from_s.size), bc_type="natural")
    return np.asarray(spline(to_s), dtype=np.float32)


def find_bolus(sampled: Sampled, *, min_bolus_hu: float) -> int | NotAssessable:
    """Number of frames that are surely before the bolus, at least 1, from the voxels that change most.

    A first guess, to find the artery with; `frames_before` then counts from the artery itself.
    """
    spread = sampled.hu.std(axis=0)
    n_vessel = max(20, round(VESSEL_FRACTION * spread.size))
    vessels = np.argpartition(spread, -min(n_vessel, spread.size))[-n_vessel:]
    curve = sampled.hu[:, vessels].mean(axis=1)
    peak = int(curve.argmax())
    lowest = float(curve[: peak + 1].min())
    rise_hu = float(curve[peak]) - lowest
    if rise_hu < min_bolus_hu:
        reason = (
            f"no contrast bolus in the CT perfusion: the strongest vessels rise by {rise_hu:.0f} HU, at least "
            f"{min_bolus_hu:.0f} HU are needed"
        )
        return NotAssessable((reason,))
    if peak == sampled.times_s.size - 1:
        duration_s = sampled.times_s[-1] - sampled.times_s[0]
        return NotAssessable((f"the CT perfusion ends while the bolus is still rising, after {duration_s:.0f} s",))
    before = int(np.flatnonzero(curve[:peak] <= lowest + VESSEL_RISE * rise_hu)[-1])
    margin = round(VENOUS_LEAD_S / float(sampled.times_s[1] - sampled.times_s[0]))
    return max(1, before - margin)


def frames_before(artery_hu: NDArray[np.float64]) -> int:
    """Number of frames before an arterial curve begins to rise, less one for safety, at least 1."""
    peak = int(artery_hu.argmax())
    low = np.flatnonzero(artery_hu[:peak] <= ARTERY_RISE * artery_hu[peak])
    return max(1, int(low[-1]) if low.size else 0)


def remove_baseline(sampled: Sampled, n_baseline: int) -> VoxelCurves:
    """Subtract from each curve its mean over the first frames."""
    baseline_hu = sampled.hu[:n_baseline].mean(axis=0)
    return VoxelCurves(sampled.times_s, sampled.hu - baseline_hu, baseline_hu, sampled.voxel_kji, sampled.grid, n_baseline)
