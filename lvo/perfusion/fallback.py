"""What can still be said without an arterial curve: tissue that peaks late against the other hemisphere.

The time to peak of a tissue curve needs no deconvolution. It mixes delay, transit time and the width of the bolus, so it is a
fallback, never the main result: rTTP > 4.5 s against normal tissue outlines about what Tmax > 6 s does (median absolute
difference 6.9 mL, interquartile range 2.3 to 13; doi:10.3389/fneur.2017.00539). There is no core without flow.
"""

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.grid import Plane
from lvo.core.outcome import NotAssessable
from lvo.core.report import TimeToPeakFallback
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.perfusion.artefact import VoxelSpace, solid
from lvo.perfusion.quality import noise_measures
from lvo.perfusion.sampling import VoxelCurves, at_base, find_bolus, remove_baseline, sample
from lvo.perfusion.shape import smoothed
from lvo.perfusion.tissue import TISSUE_HU, intracranial, smooth_in_plane

__all__ = ["late_by_time_to_peak"]

RTTP_S = 4.5
"""doi:10.3389/fneur.2017.00539."""
SIGMA_MM = 3.0
"""In-plane Gaussian before a peak is looked for: one voxel's highest value is where its noise is highest."""
VESSEL_RATIO = 4.0
"""Voxels that enhance by more than this many times the median are vessels, and peak late if they are veins."""
MIN_PEAK_NOISE = 5.0
"""A peak is told from noise when the median curve is this many deviations high: of 45 values of noise the highest is 2.2."""
MIN_ML = 20.0
"""Less tissue on a side cannot say what is normal there."""


def late_by_time_to_peak(
    series: TimeSeries, brain: Volume, midplane: Plane, settings: PerfusionSettings
) -> TimeToPeakFallback | None:
    """Outline tissue that peaks late.

    Args:
        series: (T, K, J, I) HU with the time of every slice.
        brain: mask on the same grid.
        midplane: tells the hemispheres apart; the earlier one is normal.
        settings: the least bolus and the smallest cluster.

    Returns:
        The late tissue; None where the bolus, its fall, the tissue of both sides, or the curves among the noise are not seen.
    """
    sampled = sample(series, intracranial(series, brain))
    n_baseline = find_bolus(sampled, min_bolus_hu=settings.min_bolus_hu)
    if isinstance(n_baseline, NotAssessable):
        return None
    curves = remove_baseline(sampled, n_baseline)
    tissue = _tissue(curves, brain)
    peak_s = _time_to_peak_s(curves, tissue)
    if peak_s is None:
        return None
    nowhere = np.zeros(tissue.size, dtype=bool)
    space = VoxelSpace(curves.voxel_kji, curves.grid, tissue, midplane, curves.baseline_hu, nowhere)
    sides = [tissue & space.left, tissue & ~space.left]
    if min(space.ml(side) for side in sides) < MIN_ML:
        return None
    rttp = np.where(tissue, peak_s - min(float(np.median(peak_s[side])) for side in sides), 0.0).astype(np.float32)
    late = solid(space, rttp > RTTP_S, min_ml=settings.min_cluster_ml)
    return TimeToPeakFallback(
        threshold_s=RTTP_S,
        left_ml=space.ml(late & space.left),
        right_ml=space.ml(late & ~space.left),
        rttp=Volume(curves.volume(rttp), curves.grid, Quantity.DELAY),
        late=Volume(curves.volume(late), curves.grid, Quantity.MASK),
    )


def _tissue(curves: VoxelCurves, brain: Volume) -> NDArray[np.bool_]:
    """(N,) voxels of brain that are neither fluid nor vessel; without an artery, by attenuation and height alone."""
    in_brain = brain.array[curves.voxel_kji] > 0
    level_hu = smooth_in_plane(curves, curves.baseline_hu[None], in_brain, sigma_mm=SIGMA_MM / 3.0)[0]
    height_hu = smoothed(curves.enhancement_hu[:, in_brain]).max(axis=0)
    chosen = (level_hu >= TISSUE_HU[0]) & (level_hu <= TISSUE_HU[1])
    chosen &= height_hu <= VESSEL_RATIO * np.median(height_hu[chosen]) if chosen.any() else False
    tissue = in_brain.copy()
    tissue[in_brain] = chosen
    return tissue


def _time_to_peak_s(curves: VoxelCurves, tissue: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """(N,) time of the peak of every tissue curve, between frames by a parabola; None where noise makes the peaks."""
    if not tissue.any():
        return None
    clean = at_base(
        smooth_in_plane(curves, curves.enhancement_hu, tissue, sigma_mm=SIGMA_MM), curves.times_s, curves.frames_of(tissue)
    )
    noise = noise_measures(clean)
    if noise["tissue_peak_hu"] < MIN_PEAK_NOISE * noise["noise_hu"]:
        return None
    clean = smoothed(clean)
    at = np.clip(clean.argmax(axis=0), 1, clean.shape[0] - 2)
    column = np.arange(at.size)
    before, peak, after = (clean[at + step, column].astype(np.float64) for step in (-1, 0, 1))
    bend = before - 2.0 * peak + after
    shift = np.where(bend < 0.0, 0.5 * (before - after) / np.where(bend < 0.0, bend, 1.0), 0.0)
    out = np.zeros(tissue.size)
    out[tissue] = curves.times_s[at] + curves.dt_s * np.clip(shift, -1.0, 1.0)
    return out
