"""Choose the arterial input and the venous output among the vessels of the head.

An artery of the brain is thinner than a few voxels, so its curve is too low (partial volume). The area under a curve is the
same in artery and vein when all contrast agent passes, so the arterial curve is scaled to the area of the fullest vein.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.outcome import NotAssessable
from lvo.core.report import Curve, QualityNote, Severity
from lvo.perfusion.sampling import VoxelCurves
from lvo.perfusion.shape import Shape, measure, smoothed

__all__ = ["Inputs", "curve_notes", "curve_reasons", "select_inputs"]

POOL_FRACTION = 0.03
"""Share of voxels, by height of the curve, in which arteries and veins are looked for: sinuses, which come first, fill up to
1 % of a slice."""
N_ARTERY = 20
"""Voxels averaged for the arterial curve: noise falls to a fifth; the arteries of one slab hold hundreds."""
N_VEIN = 20
"""Voxels averaged for the venous curve: about a fifth of the sagittal sinus in one 5 mm slice."""
MIN_VOXELS = 3
"""An arterial curve from fewer voxels is an accident, not an artery."""
EARLY_SHARE = 0.02
"""The earliest peak among the vessels is their 2 % quantile: arteries are few beside the sinuses, outliers fewer still."""
EARLY_S = 2.0
"""Arteries peak within this time of the earliest; veins follow at least 3 s later (62 scans, ISLES 2018)."""
SAME_SHAPE = 0.9
"""Correlation with the median candidate below which a candidate is dropped."""
VENOUS_LAG_S = 1.0
"""A vein peaks at least this much after the artery; the shortest lag in 62 stroke scans (ISLES 2018) is 3 s."""
MAX_WIDTH_S = 30.0
"""Full width at half maximum above which a curve is not a first pass; the widest artery in 62 stroke scans has 27 s."""
MAX_ROUGHNESS = 0.25
"""Mean second difference over the peak: noise of a tenth of the peak gives 0.2, a bolus alone 0.02 to 0.1."""
TRUNCATED_END = 0.4
"""Height of the venous curve at the end, as a share of its peak, from which the record is too short (PMC5134896)."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The arterial and the venous curve.

    Args:
        aif: arterial curve as measured.
        vof: venous curve as measured.
        scale: factor that brings the arterial curve to the venous area, at least 1.
    """

    aif: Curve
    vof: Curve
    scale: float


def select_inputs(curves: VoxelCurves) -> Inputs | NotAssessable:
    """Choose artery and vein among all voxels of (T, N) curves.

    Vessels are the highest curves. Those that peak first are arteries; the best of them by arrival, width, height and
    smoothness together are averaged. The vein is the fullest vessel that peaks later.
    """
    pool = _highest(curves.enhancement_hu)
    smooth = smoothed(curves.enhancement_hu[:, pool])
    shape = measure(curves.times_s, smooth)
    arteries = _arteries(shape, smooth, end_s=float(curves.times_s[-1]))
    if arteries.size < MIN_VOXELS:
        return NotAssessable(
            (f"no artery found in the CT perfusion: {arteries.size} voxels look like one, {MIN_VOXELS} needed",)
        )
    aif = _average(curves, pool[arteries])
    aif_shape = measure(curves.times_s, smoothed(aif.enhancement_hu[:, None].astype(np.float32)))
    later = np.flatnonzero(shape.peak_s >= aif_shape.peak_s[0] + VENOUS_LAG_S)
    veins = _alike(smooth, later[np.argsort(shape.area[later])[::-1][:N_VEIN]])
    if veins.size < MIN_VOXELS:
        return NotAssessable(("no vein found in the CT perfusion: no vessel peaks after the artery",))
    vof = _average(curves, pool[veins])
    areas = [float(c.enhancement_hu.sum()) for c in (aif, vof)]
    return Inputs(aif, vof, scale=max(1.0, areas[1] / areas[0]) if areas[0] > 0 else 1.0)


def _highest(enhancement_hu: NDArray[np.float32]) -> NDArray[np.intp]:
    """Indices of the voxels with the highest mean of three neighbouring frames at the peak."""
    height = (enhancement_hu[:-2] + enhancement_hu[1:-1] + enhancement_hu[2:]).max(axis=0)
    n_pool = min(height.size, max(10 * N_ARTERY, round(POOL_FRACTION * height.size)))
    return np.argpartition(height, -n_pool)[-n_pool:]


def _arteries(shape: Shape, smooth: NDArray[np.float32], *, end_s: float) -> NDArray[np.intp]:
    """Indices into the pool of the best arterial candidates, best first."""
    fit = (shape.width_s <= MAX_WIDTH_S) & (shape.peak_s < end_s) & (shape.area > 0) & (shape.roughness <= MAX_ROUGHNESS)
    index = np.flatnonzero(fit)
    if index.size < MIN_VOXELS:
        return index
    earliest_s = float(np.quantile(shape.peak_s[index], EARLY_SHARE))
    index = index[shape.peak_s[index] <= earliest_s + EARLY_S]
    # ranks, not weights: they need no tuning to protocol, dose or tube voltage
    score = (
        _rank(-shape.arrival_s[index])
        + _rank(-shape.width_s[index])
        + _rank(shape.peak_hu[index])
        + _rank(-shape.roughness[index])
    )
    return _alike(smooth, index[np.argsort(score)[::-1][:N_ARTERY]])


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each value, 0 for the smallest to 1 for the largest, equal values sharing a rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.asarray((below + 0.5 * counts)[inverse] / values.size)


def _alike(smooth: NDArray[np.float32], index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Drop the candidates whose shape differs from the median of them all."""
    if index.size < MIN_VOXELS:
        return index
    chosen = smooth[:, index].astype(np.float64)
    scaled = chosen / np.maximum(chosen.max(axis=0), 1e-6)
    middle = np.median(scaled, axis=1)
    middle = middle - middle.mean()
    centred = scaled - scaled.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0) * np.linalg.norm(middle)
    correlation = (middle @ centred) / np.maximum(norm, 1e-12)
    return np.asarray(index[correlation >= SAME_SHAPE])


def _average(curves: VoxelCurves, index: NDArray[np.intp]) -> Curve:
    """Mean curve of the voxels; its place is that of the first, the best, of them."""
    mean = curves.enhancement_hu[:, index].mean(axis=1).astype(np.float64)
    kji = np.array([axis[index[0]] for axis in curves.voxel_kji])
    x, y, z = (float(v) for v in curves.grid.to_lps_mm(kji))
    return Curve(curves.times_s, mean, (x, y, z), int(index.size))


def curve_reasons(aif: Curve, vof: Curve, *, min_bolus_hu: float) -> tuple[str, ...]:
    """Why this pair of curves cannot carry a deconvolution; empty when it can.

    There is deliberately no least height of the artery: partial volume halves or quarters it (median peak 40 HU in 62
    stroke scans, 15 HU in the lowest) and the scaling to the vein undoes that.
    """
    artery, vein = (measure(c.times_s, smoothed(c.enhancement_hu[:, None].astype(np.float32))) for c in (aif, vof))
    reasons = []
    if vein.peak_hu[0] < min_bolus_hu:
        reasons.append(f"the venous curve rises by {vein.peak_hu[0]:.0f} HU, at least {min_bolus_hu:.0f} HU are needed")
    if artery.peak_s[0] >= aif.times_s[-2]:
        reasons.append(f"the arterial curve still rises at the end of the record, at {aif.times_s[-1]:.0f} s")
    if artery.width_s[0] > MAX_WIDTH_S:
        reasons.append(f"the arterial curve is {artery.width_s[0]:.0f} s wide, at most {MAX_WIDTH_S:.0f} s make a bolus")
    if artery.roughness[0] > MAX_ROUGHNESS:
        reasons.append(f"the arterial curve is too noisy: roughness {artery.roughness[0]:.2f}, at most {MAX_ROUGHNESS}")
    if vein.peak_s[0] <= artery.peak_s[0]:
        reasons.append(f"the vein peaks at {vein.peak_s[0]:.1f} s, not after the artery at {artery.peak_s[0]:.1f} s")
    return tuple(reasons)


def curve_notes(inputs: Inputs) -> tuple[QualityNote, ...]:
    """What a reader should know about the two curves."""
    times_s = inputs.vof.times_s
    vein = measure(times_s, smoothed(inputs.vof.enhancement_hu[:, None].astype(np.float32)))
    notes = []
    if vein.end[0] > TRUNCATED_END:
        notes.append(QualityNote(
            "perfusion.truncated", Severity.WARNING,
            f"the record ends before the bolus has passed: the vein is still at {vein.end[0]:.0%} of its peak (at most "
            f"{TRUNCATED_END:.0%}). The core tends to come out too large and the hypoperfusion too small",
        ))  # fmt: skip
    if inputs.scale > 1.0:
        notes.append(QualityNote(
            "perfusion.partial_volume", Severity.INFO,
            f"the arterial curve was multiplied by {inputs.scale:.2f} to the area of the venous curve",
        ))  # fmt: skip
    return tuple(notes)
