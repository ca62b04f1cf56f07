"""From a 4D CT perfusion to maps, volumes and notes: the order of the steps, nothing else."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.grid import Plane
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import HeadMotion, PerfusionResult
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.perfusion.artefact import VoxelSpace
from lvo.perfusion.arterial import Inputs, curve_reasons, select_inputs
from lvo.perfusion.denoise import less_noise
from lvo.perfusion.lesion import Lesion, delineate
from lvo.perfusion.maps import Maps, compute_maps, methods
from lvo.perfusion.quality import curve_measures, motion_measures, noise_measures, notes_of, record_measures, refusals_of
from lvo.perfusion.sampling import Sampled, VoxelCurves, find_bolus, frames_before, remove_baseline, sample
from lvo.perfusion.tissue import Tissue, classify, intracranial

__all__ = ["NoInputCurve", "analyze"]

STRENGTHS = {"bcsvd": ("svd_threshold",), "osvd": ("oscillation_index",), "tikhonov": ("tikhonov_lambda",)}
"""Settings that a method of deconvolution goes by, for the record."""


@dataclass(frozen=True, slots=True)
class NoInputCurve(NotAssessable):
    """There is a bolus, but no artery or vein to measure it by: `lvo.perfusion.fallback` may still say something."""


def analyze(
    series: TimeSeries,
    brain: Volume,
    midplane: Plane,
    settings: PerfusionSettings,
    *,
    motion: HeadMotion | None = None,
    below_tentorium: Volume | None = None,
) -> Assessed[PerfusionResult] | NotAssessable:
    """Judge one CT perfusion.

    Args:
        series: (T, K, J, I) HU with the time of every slice.
        brain: mask on the same grid.
        midplane: the mid-sagittal plane, which tells the sides apart.
        settings: thresholds.
        motion: how the head moved before the frames were brought onto each other.
        below_tentorium: mask of the posterior fossa on the same grid, None when it is not known.

    Returns:
        The result, or why there is none: a rule of `lvo.perfusion.rules` that refuses, no bolus, no usable artery or vein
        (`NoInputCurve`), no normal tissue.

    Raises:
        ValueError: the brain mask is on another grid than the series.
    """
    if not brain.grid.same_as(series.grid):
        msg = "the brain mask must be on the grid of the CT perfusion"
        raise ValueError(msg)
    measures = record_measures(series, brain) | motion_measures(motion)
    if reasons := refusals_of(measures, settings):
        return NotAssessable(reasons)
    sampled = sample(series, intracranial(series, brain))
    found = _curves_and_inputs(sampled, settings)
    if isinstance(found, NotAssessable):
        return found
    curves, inputs = found
    measures |= curve_measures(inputs, series, n_baseline=curves.n_baseline)
    in_brain = brain.array[curves.voxel_kji] > 0
    tissue = classify(curves, in_brain, inputs)
    if not tissue.tissue.any():
        return NotAssessable(("the CT perfusion shows no brain tissue: nothing lies between fluid and bone in attenuation",))
    clean = _less_noise(curves, tissue, sigma_mm=settings.timing_sigma_mm)
    measures |= noise_measures(clean[:, tissue.tissue])
    if reasons := refusals_of(measures, settings):
        return NotAssessable(reasons)
    sharper = _less_noise(curves, tissue, sigma_mm=settings.smoothing_sigma_mm)
    maps = _maps(clean, sharper, curves, tissue, inputs, settings)
    lesion = delineate(maps, _space(curves, tissue, midplane, below_tentorium), settings)
    if isinstance(lesion, NotAssessable):
        return lesion
    measures |= lesion.measures
    return Assessed(_result(curves, maps, lesion, inputs, brain, settings=settings, measures=measures, motion=motion))


def _space(curves: VoxelCurves, tissue: Tissue, midplane: Plane, below_tentorium: Volume | None) -> VoxelSpace:
    below = np.zeros(tissue.tissue.size, dtype=bool) if below_tentorium is None else below_tentorium.array[curves.voxel_kji] > 0
    return VoxelSpace(curves.voxel_kji, curves.grid, tissue.tissue, midplane, curves.baseline_hu, below)


def _curves_and_inputs(sampled: Sampled, settings: PerfusionSettings) -> tuple[VoxelCurves, Inputs] | NotAssessable:
    """Enhancement and the two input curves; the artery, once found, says how many frames lie before the bolus."""
    n_baseline = find_bolus(sampled, min_bolus_hu=settings.min_bolus_hu)
    if isinstance(n_baseline, NotAssessable):
        return n_baseline
    first = select_inputs(remove_baseline(sampled, n_baseline))
    if isinstance(first, NotAssessable):
        return NoInputCurve(first.reasons)
    curves = remove_baseline(sampled, frames_before(first.aif.enhancement_hu))
    inputs = select_inputs(curves)
    if isinstance(inputs, NotAssessable):
        return NoInputCurve(inputs.reasons)
    if reasons := curve_reasons(inputs.aif, inputs.vof, min_bolus_hu=settings.min_bolus_hu):
        return NoInputCurve(reasons)
    return curves, inputs


def _less_noise(curves: VoxelCurves, tissue: Tissue, *, sigma_mm: float) -> NDArray[np.float32]:
    """(T, N) enhancement with the tissue smoothed; vessels and all else as they are."""
    clean = curves.enhancement_hu.copy()
    clean[:, tissue.tissue] = less_noise(curves, tissue.tissue, sigma_mm=sigma_mm)
    return clean


def _maps(
    clean: NDArray[np.float32],
    sharper: NDArray[np.float32],
    curves: VoxelCurves,
    tissue: Tissue,
    inputs: Inputs,
    settings: PerfusionSettings,
) -> Maps:
    """Times from the clean curves, which they need; flow and volume, which change at once in cortex, from the sharper."""
    shown = tissue.tissue | tissue.vessel
    times, amounts = (compute_maps(few[:, shown], inputs, settings, curves.frames_of(shown)) for few in (clean, sharper))
    return _everywhere(shown, replace(amounts, tmax=times.tmax, delay=times.delay))


def _everywhere(shown: NDArray[np.bool_], few: Maps) -> Maps:
    """Maps of all (N,) voxels: 0 where nothing is shown (cerebrospinal fluid, margin)."""

    def filled(values: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros(shown.size, dtype=np.float32)
        out[shown] = values
        return out

    delay = None if few.delay is None else filled(few.delay)
    return Maps(filled(few.cbf), filled(few.cbv), filled(few.mtt), filled(few.tmax), delay)


def _result(
    curves: VoxelCurves,
    maps: Maps,
    lesion: Lesion,
    inputs: Inputs,
    brain: Volume,
    *,
    settings: PerfusionSettings,
    measures: dict[str, float],
    motion: HeadMotion | None,
) -> PerfusionResult:
    """Assemble the record; every map is (K, J, I) on the grid of the series."""
    values = {
        "cbf": (maps.cbf, Quantity.CBF),
        "cbv": (maps.cbv, Quantity.CBV),
        "mtt": (maps.mtt, Quantity.MTT),
        "tmax": (maps.tmax, Quantity.TMAX),
        "core": (lesion.core, Quantity.MASK),
        "hypoperfusion": (lesion.hypoperfusion, Quantity.MASK),
    }
    if maps.delay is not None:
        values["delay"] = (maps.delay, Quantity.DELAY)
    volumes = {name: Volume(curves.volume(v), curves.grid, quantity) for name, (v, quantity) in values.items()}
    return PerfusionResult(
        core_ml=lesion.core_ml,
        hypoperfusion_ml=lesion.hypoperfusion_ml,
        mismatch_ml=lesion.hypoperfusion_ml - lesion.core_ml,
        mismatch_ratio=lesion.hypoperfusion_ml / lesion.core_ml if lesion.core_ml > 0 else None,
        hir=lesion.hir,
        cbv_index=lesion.cbv_index,
        side=lesion.side,
        volumes_ml=lesion.volumes_ml,
        thresholds={
            "tmax_hypoperfusion_s": settings.tmax_hypoperfusion_s,
            "core_rcbf": settings.core_rcbf,
            "min_cluster_ml": settings.min_cluster_ml,
            **{name: getattr(settings, name) for name in STRENGTHS[settings.method]},
            "smoothing_sigma_mm": settings.smoothing_sigma_mm,
            "timing_sigma_mm": settings.timing_sigma_mm,
        },
        aif=inputs.aif,
        vof=inputs.vof,
        maps={**volumes, "brain": Volume((brain.array > 0).astype(np.float32), brain.grid, Quantity.MASK)},
        notes=notes_of(measures, settings),
        candidates=inputs.candidates,
        motion=motion,
        methods=methods(settings),
        measures=measures,
    )
