"""From a 4D CT perfusion to maps, volumes and notes: the order of the steps, nothing else."""

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.grid import Plane
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import PerfusionResult, QualityNote, Severity
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.perfusion.arterial import Inputs, curve_notes, curve_reasons, select_inputs
from lvo.perfusion.lesion import Lesion, VoxelSpace, delineate
from lvo.perfusion.maps import Maps, compute_maps
from lvo.perfusion.quality import motion_notes, noise_notes, timing_notes, timing_reasons
from lvo.perfusion.sampling import Sampled, VoxelCurves, find_bolus, frames_before, remove_baseline, sample
from lvo.perfusion.tissue import Tissue, classify, intracranial, smooth_in_plane

__all__ = ["analyze"]


def analyze(
    series: TimeSeries, brain: Volume, midplane: Plane, settings: PerfusionSettings
) -> Assessed[PerfusionResult] | NotAssessable:
    """Judge one CT perfusion.

    Args:
        series: (T, K, J, I) HU with the time of every slice.
        brain: mask on the same grid.
        midplane: the mid-sagittal plane, which tells the sides apart.
        settings: thresholds.

    Returns:
        The result, or why there is none: too few frames, too short, too little brain, no bolus, no usable artery or
        vein, no normal tissue.

    Raises:
        ValueError: the brain mask is on another grid than the series.
    """
    if not brain.grid.same_as(series.grid):
        msg = "the brain mask must be on the grid of the CT perfusion"
        raise ValueError(msg)
    if reasons := timing_reasons(series, brain, settings):
        return NotAssessable(reasons)
    sampled = sample(series, intracranial(series, brain))
    found = _curves_and_inputs(sampled, settings)
    if isinstance(found, NotAssessable):
        return found
    curves, inputs = found
    if reasons := curve_reasons(inputs.aif, inputs.vof, min_bolus_hu=settings.min_bolus_hu):
        return NotAssessable(reasons)
    in_brain = brain.array[curves.voxel_kji] > 0
    tissue = classify(curves, in_brain, inputs)
    if not tissue.tissue.any():
        return NotAssessable(("the CT perfusion shows no brain tissue: nothing lies between fluid and bone in attenuation",))
    clean = _less_noise(curves, tissue, sigma_mm=settings.smoothing_sigma_mm)
    maps = _maps(clean, tissue, inputs, settings)
    lesion = delineate(
        maps,
        VoxelSpace(curves.voxel_kji, curves.grid, tissue.tissue),
        midplane,
        tmax_s=settings.tmax_hypoperfusion_s,
        core_rcbf=settings.core_rcbf,
        min_cluster_ml=settings.min_cluster_ml,
    )
    if isinstance(lesion, NotAssessable):
        return lesion
    notes = (
        *timing_notes(series, interpolated=sampled.interpolated, n_baseline=curves.n_baseline),
        *motion_notes(series),
        *curve_notes(inputs),
        *noise_notes(clean[:, tissue.tissue]),
        *lesion.notes,
        QualityNote(
            "perfusion.normal_tissue",
            Severity.INFO,
            f"median CBF of normal tissue {lesion.normal_cbf:.0f} mL/100 g/min",
        ),
    )
    return Assessed(_result(curves, maps, lesion, inputs, brain, settings=settings, notes=notes))


def _curves_and_inputs(sampled: Sampled, settings: PerfusionSettings) -> tuple[VoxelCurves, Inputs] | NotAssessable:
    """Enhancement and the two input curves; the artery, once found, says how many frames lie before the bolus."""
    n_baseline = find_bolus(sampled, min_bolus_hu=settings.min_bolus_hu)
    if isinstance(n_baseline, NotAssessable):
        return n_baseline
    first = select_inputs(remove_baseline(sampled, n_baseline))
    if isinstance(first, NotAssessable):
        return first
    curves = remove_baseline(sampled, frames_before(first.aif.enhancement_hu))
    inputs = select_inputs(curves)
    return inputs if isinstance(inputs, NotAssessable) else (curves, inputs)


def _less_noise(curves: VoxelCurves, tissue: Tissue, *, sigma_mm: float) -> NDArray[np.float32]:
    """(T, N) enhancement with the tissue smoothed; vessels and all else as they are."""
    clean = curves.enhancement_hu.copy()
    clean[:, tissue.tissue] = smooth_in_plane(curves, curves.enhancement_hu, tissue.tissue, sigma_mm=sigma_mm)
    return clean


def _maps(clean: NDArray[np.float32], tissue: Tissue, inputs: Inputs, settings: PerfusionSettings) -> Maps:
    """Maps of all (N,) voxels: tissue and vessels, 0 elsewhere (cerebrospinal fluid, margin)."""
    shown = tissue.tissue | tissue.vessel
    few = compute_maps(clean[:, shown], inputs, settings)

    def everywhere(values: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros(shown.size, dtype=np.float32)
        out[shown] = values
        return out

    return Maps(*(everywhere(values) for values in (few.cbf, few.cbv, few.mtt, few.tmax, few.delay)))


def _result(
    curves: VoxelCurves,
    maps: Maps,
    lesion: Lesion,
    inputs: Inputs,
    brain: Volume,
    *,
    settings: PerfusionSettings,
    notes: tuple[QualityNote, ...],
) -> PerfusionResult:
    """Assemble the record; every map is (K, J, I) on the grid of the series."""
    values = {
        "cbf": (maps.cbf, Quantity.CBF),
        "cbv": (maps.cbv, Quantity.CBV),
        "mtt": (maps.mtt, Quantity.MTT),
        "tmax": (maps.tmax, Quantity.TMAX),
        "delay": (maps.delay, Quantity.DELAY),
        "core": (lesion.core, Quantity.MASK),
        "hypoperfusion": (lesion.hypoperfusion, Quantity.MASK),
    }
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
            "svd_threshold": settings.svd_threshold,
            "flow_svd_threshold": settings.flow_svd_threshold if settings.match_curves else settings.svd_threshold,
            "smoothing_sigma_mm": settings.smoothing_sigma_mm,
        },
        aif=inputs.aif,
        vof=inputs.vof,
        maps={**volumes, "brain": Volume((brain.array > 0).astype(np.float32), brain.grid, Quantity.MASK)},
        notes=notes,
    )
