"""Time-attenuation curves of chosen voxels as scanned, when that was, and their unenhanced level.

Nothing is interpolated here but the few curves from which arteries and veins are chosen: where slices have their own times,
or frames are missing, deconvolution and matching take the true times.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.core.volume import TimeSeries

__all__ = [
    "Sampled",
    "SliceTimes",
    "VoxelCurves",
    "find_bolus",
    "frame_interval_s",
    "frames_before",
    "interpolation",
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
"""Slices whose times agree this well share their times: 20 ms is 1 % of the usual frame interval."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceTimes:
    """When each of N voxels was scanned: a slice has its own frame times.

    Args:
        times_s: (G, T) frame times, not necessarily even; no two rows are the same.
        row: (N,) which of them belongs to each voxel.
    """

    times_s: NDArray[np.float64]
    row: NDArray[np.intp]

    def of(self, chosen: NDArray[Any]) -> "SliceTimes":
        """Times of the chosen voxels, by index or by mask."""
        return SliceTimes(self.times_s, self.row[chosen])

    def runs(self) -> Iterator[tuple[int, slice]]:
        """Row, and a range of neighbouring voxels that share it, until all voxels are covered."""
        edges = np.flatnonzero(np.diff(self.row)) + 1
        for start, stop in pairwise([0, *edges.tolist(), self.row.size]):
            if stop > start:
                yield int(self.row[start]), slice(start, stop)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Curves before the baseline is known, as scanned.

    Args:
        times_s: (B,) even time base, inside the times of every slice.
        hu: (T, N) float32 attenuation.
        voxel_kji: three (N,) index arrays.
        grid: where the voxels are.
        frames: when the voxels were scanned; None when all were scanned at `times_s`.
    """

    times_s: NDArray[np.float64]
    hu: NDArray[np.float32]
    voxel_kji: tuple[NDArray[np.intp], ...]
    grid: Grid
    frames: SliceTimes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VoxelCurves:
    """Enhancement of chosen voxels, as scanned.

    Args:
        times_s: (B,) even time base, inside the times of every slice.
        enhancement_hu: (T, N) float32, HU above the baseline of each voxel.
        baseline_hu: (N,) float32, mean HU before the bolus.
        voxel_kji: three (N,) index arrays.
        grid: where the voxels are.
        n_baseline: number of times of the base before the bolus.
        frames: when the voxels were scanned; None when all were scanned at `times_s`.
    """

    times_s: NDArray[np.float64]
    enhancement_hu: NDArray[np.float32]
    baseline_hu: NDArray[np.float32]
    voxel_kji: tuple[NDArray[np.intp], ...]
    grid: Grid
    n_baseline: int
    frames: SliceTimes | None = None

    @property
    def dt_s(self) -> float:
        """Interval of the time base."""
        return float(self.times_s[1] - self.times_s[0])

    def at_base(self, chosen: NDArray[Any]) -> NDArray[np.float32]:
        """(B, number chosen) curves of a few voxels, by index or mask, at the times of the base."""
        return at_base(self.enhancement_hu[:, chosen], self.times_s, self.frames_of(chosen))

    def frames_of(self, chosen: NDArray[Any]) -> SliceTimes | None:
        """When the chosen voxels were scanned."""
        return self.frames.of(chosen) if self.frames else None

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
    """Curves of the voxels in a (K, J, I) mask, as scanned; the one copy that is made of the series."""
    base_s = uniform_times_s(series.times_s)
    voxel_kji = np.nonzero(mask)
    k, j, i = voxel_kji
    hu = series.array[:, k, j, i].astype(np.float32, copy=False)
    distinct, row_of_slice = _distinct(series.times_s)
    if len(distinct) == 1 and distinct[0].size == base_s.size and np.abs(distinct[0] - base_s).max() <= SAME_TIME_S:
        return Sampled(base_s, hu, voxel_kji, series.grid)
    return Sampled(base_s, hu, voxel_kji, series.grid, SliceTimes(distinct, row_of_slice[voxel_kji[0]]))


def _distinct(times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(G, T) times that differ by more than `SAME_TIME_S`, and for each of the K slices of (T, K) times which are its own."""
    found: list[NDArray[np.float64]] = []
    row = np.empty(times_s.shape[1], dtype=np.intp)
    for k, own_s in enumerate(times_s.T):
        near = [g for g, other_s in enumerate(found) if np.abs(own_s - other_s).max() <= SAME_TIME_S]
        if not near:
            found.append(own_s)
        row[k] = near[0] if near else len(found) - 1
    return np.array(found), row


def at_base(hu: NDArray[np.float32], base_s: NDArray[np.float64], frames: SliceTimes | None) -> NDArray[np.float32]:
    """(B, N) curves at the times of the base from (T, N) curves as scanned."""
    if frames is None:
        return hu
    out = np.empty((base_s.size, hu.shape[1]), dtype=np.float32)
    for row in np.unique(frames.row).tolist():
        here = frames.row == row
        out[:, here] = interpolation(frames.times_s[row], base_s).astype(np.float32) @ hu[:, here]
    return out


def interpolation(from_s: NDArray[np.float64], to_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(to_s), len(from_s)) matrix of natural cubic splines: straight lines would flatten the peaks."""
    spline = CubicSpline(from_s, np.eye(from_s.size), bc_type="natural")
    return np.asarray(spline(to_s), dtype=np.float64)


def find_bolus(sampled: Sampled, *, min_bolus_hu: float) -> int | NotAssessable:
    """Number of frames that are surely before the bolus, at least 1, from the voxels that change most.

    A first guess, to find the artery with; `frames_before` then counts from the artery itself.
    """
    spread = sampled.hu.std(axis=0)
    n_vessel = max(20, round(VESSEL_FRACTION * spread.size))
    vessels = np.argpartition(spread, -min(n_vessel, spread.size))[-n_vessel:]
    frames = sampled.frames.of(vessels) if sampled.frames else None
    curve = at_base(sampled.hu[:, vessels], sampled.times_s, frames).mean(axis=1)
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
    """Subtract from each curve its mean over the frames that lie in the first times of the base."""
    if sampled.frames is None:
        baseline_hu = sampled.hu[:n_baseline].mean(axis=0)
    else:
        last_s = float(sampled.times_s[n_baseline - 1]) + SAME_TIME_S
        baseline_hu = np.empty(sampled.hu.shape[1], dtype=np.float32)
        for row, here in sampled.frames.runs():
            n_frames = max(1, int(np.searchsorted(sampled.frames.times_s[row], last_s)))
            baseline_hu[here] = sampled.hu[:n_frames, here].mean(axis=0)
    enhancement_hu = sampled.hu - baseline_hu
    return VoxelCurves(
        sampled.times_s, enhancement_hu, baseline_hu, sampled.voxel_kji, sampled.grid, n_baseline, sampled.frames
    )
