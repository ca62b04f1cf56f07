"""CT perfusion of a digital head: every voxel's attenuation over time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, TimeSeries
from lvo.errors import UsageError
from lvo.synth.bolus import Bolus, arterial_hu, tissue_hu, venous_hu
from lvo.synth.head import BLOOD_HU, Head
from lvo.synth.lesion import ARRIVAL_DELAY_S, TISSUES, PerfusionTruth, flow, lesion, perfusion_truth
from lvo.synth.render import render_ncct, vessel_fractions
from lvo.synth.scanner import Scanner

__all__ = ["PerfusionTruth", "draw_bolus", "perfusion_truth", "render_ctp"]

Floats = NDArray[np.float32]

_LEVELS = 48
"""Steps of severity that get a curve of their own: less than 0.2 s of delay each."""
_CORE_LEVELS = 12
_FULL = 0.999
"""Arteries filled to this fraction lie upstream of any occlusion."""
_MIN_HU, _MAX_HU = -1024, 3071


def draw_bolus(head: Head) -> Bolus:
    """The contrast bolus of a head: as strong as on its CTA, with its own arrival and width."""
    rng = np.random.default_rng((head.spec.seed, 31))
    arrival_s, beta_s = rng.uniform(5.0, 9.0), rng.uniform(1.8, 2.3)
    return Bolus(arrival_s=float(arrival_s), beta_s=float(beta_s), peak_hu=head.arterial_hu - BLOOD_HU)


def render_ctp(head: Head, grid: Grid, times_s: ArrayLike, scanner: Scanner, seed: int) -> TimeSeries:
    """CT perfusion of the head.

    A voxel is plain CT plus, for each of its constituents, fraction times curve. Curves depend on few things (tissue, how
    ill, moment), so they are worked out once and looked up.

    Args:
        head: the head.
        grid: where; usually a slab of thick slices.
        times_s: (T, K) seconds at which every slice is scanned, growing along T.
        scanner: how the image is made; its own seed is not used.
        seed: of the noise, which differs from frame to frame.

    Returns:
        (T, K, J, I) int16 HU.

    Raises:
        UsageError: `times_s` does not have one column per slice.
    """
    times = np.asarray(times_s, dtype=np.float64)
    n_slices = grid.shape_kji[0]
    if times.ndim != 2 or times.shape[1] != n_slices:
        msg = f"times_s must be (T, {n_slices}), one column per slice, got {times.shape}"
        raise UsageError(msg)
    baseline = render_ncct(head, grid, replace(scanner, noise_sd_hu=0.0)).array
    scene, vessels = lesion(head, grid), _Vessels.of(head, grid, scanner)
    curves = _Curves.of(head, times.ravel())
    level = np.rint(scene.severity * (_LEVELS - 1)).astype(np.intp)
    state = level * _CORE_LEVELS + np.rint(scene.core * (_CORE_LEVELS - 1)).astype(np.intp)
    frames = np.empty((len(times), *grid.shape_kji), dtype=np.int16)
    for t in range(len(times)):
        hu = baseline.astype(np.float32)
        if scanner.noise_sd_hu > 0.0:
            grain = replace(scanner, seed=seed * 100_003 + t + 1)
            hu += grain.noise(grid.shape_kji[1:], range(n_slices), grid.spacing_kji_mm)
        for k in range(n_slices):
            moment = t * n_slices + k
            for tissue in TISSUES:
                hu[k] += scene.fraction[tissue][k] * curves.tissue[tissue][moment][state[k]]
            hu[k] += vessels.upstream[k] * curves.artery[moment, 0] + vessels.vein[k] * curves.vein[moment]
            hu[k] += vessels.downstream[k] * curves.artery[moment][level[k]]
        frames[t] = np.clip(np.rint(hu), _MIN_HU, _MAX_HU)
    return TimeSeries(frames, grid, times, Quantity.HU)


@dataclass(frozen=True, slots=True, eq=False)
class _Vessels:
    """(K, J, I) part of every voxel that holds arterial blood before and beyond the occlusion, and venous blood."""

    upstream: Floats
    downstream: Floats
    vein: Floats

    @classmethod
    def of(cls, head: Head, grid: Grid, scanner: Scanner) -> "_Vessels":
        def only(*, upstream: bool) -> Head:
            fillings = [(tube.filling >= _FULL) == upstream for tube in head.arteries]
            # beyond the occlusion a CTA catches part of the filling; over a whole scan it comes to more, hence the root
            tubes = [
                replace(tube, filling=np.sqrt(tube.filling) * keep) for tube, keep in zip(head.arteries, fillings, strict=True)
            ]
            return replace(head, arteries=tuple(tubes))

        before, vein = vessel_fractions(only(upstream=True), grid)
        beyond, _ = vessel_fractions(only(upstream=False), grid)
        smooth = replace(scanner, edge_enhancement=0.0)
        parts = (smooth.blurred(volume.array, grid.spacing_kji_mm) for volume in (before, beyond, vein))
        return cls(*parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """Curves of every kind of voxel, one row per moment (frame and slice).

    Args:
        tissue: GREY and WHITE: (moments, severity level * core level) HU, severity varies slowest.
        artery: (moments, severity level) HU of an artery; level 0 is upstream.
        vein: (moments,) HU.
    """

    tissue: Mapping[int, Floats]
    artery: Floats
    vein: Floats

    @classmethod
    def of(cls, head: Head, moments_s: NDArray[np.float64]) -> "_Curves":
        bolus, grade = draw_bolus(head), head.spec.collateral_grade
        ill = np.linspace(0.0, 1.0, _LEVELS)
        severity, core = (part.ravel() for part in np.meshgrid(ill, np.linspace(0.0, 1.0, _CORE_LEVELS), indexing="ij"))
        tissue = {}
        for code in TISSUES:
            cbf, cbv, delay_s = flow(code, severity, core, grade=grade)
            curves = tissue_hu(bolus, moments_s, cbf_ml_100g_min=cbf, mtt_s=60.0 * cbv / cbf, delay_s=delay_s)
            tissue[code] = np.ascontiguousarray(curves.T, dtype=np.float32)
        artery = np.stack([arterial_hu(bolus, moments_s, step * ARRIVAL_DELAY_S[grade]) for step in ill], axis=1)
        return cls(tissue, artery.astype(np.float32), venous_hu(bolus, moments_s).astype(np.float32))
