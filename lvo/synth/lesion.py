"""How ill every piece of a digital brain is, and the perfusion maps a perfect analysis would find.

Tissue is normal, underperfused (late, slow, blood volume kept) or core (flow and volume both down), as measured in
patients by Murphy et al. 2008, doi:10.1148/radiol.2473070551. Where the occlusion cuts off supply follows from the arteries
of the head; how much of it is core and how late it fills follows from the collateral grade.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.synth.field import SmoothField
from lvo.synth.head import Head
from lvo.synth.render import GREY, WHITE, at_risk, tissue_labels

__all__ = ["ARRIVAL_DELAY_S", "PerfusionTruth", "Scene", "brain_fractions", "flow", "lesion", "perfusion_truth"]

Floats = NDArray[np.float32]

TISSUES = (GREY, WHITE)
NORMAL_CBF = {GREY: 60.0, WHITE: 25.0}
"""mL/100 g/min; textbook ranges 50 +- 15 (grey) and 22 +- 5 (white), CT perfusion reads a little higher."""
NORMAL_CBV = {GREY: 4.0, WHITE: 2.0}  # mL/100 g
NORMAL_DELAY_S = {GREY: 0.5, WHITE: 0.9}
"""Tissue after the circle of Willis: cortex is reached first, deep white matter last."""
PENUMBRA_CBF = {GREY: 0.45, WHITE: 0.65}
"""Fraction of normal flow without core: 27 and 16 mL/100 g/min, below the ischaemic and above the infarct range of each."""
CORE_CBF = 0.10
CORE_CBV = 0.30
"""Fractions of normal in the core: flow and volume fall together."""
CORE_FRACTION = (0.60, 0.35, 0.12, 0.02)
"""Part of the cut-off tissue that is core, for collateral grade 0 to 3: large core without collaterals, next to none with."""
REACHED_FRACTION = (1.0, 0.85, 0.65, 0.45)
"""Part of the cut-off tissue that is underperfused, by grade: collaterals rescue the watershed first."""
OLIGAEMIA = 0.2
"""Severity that is left in the rescued rest: late by a second or two, not underperfused."""
ARRIVAL_DELAY_S = (8.5, 7.0, 5.5, 4.5)
"""Delay beyond the occlusion for collateral grade 0 to 3; with half the transit time Tmax is over 6 s for each."""
HYPOPERFUSION_TMAX_S = 6.0  # DEFUSE 3, doi:10.1056/NEJMoa1713973
CORE_RCBF = 0.30  # DEFUSE 3
BRAIN_FRACTION = 0.5
"""A voxel is brain when grey and white matter fill this much of it."""

_EDGE_MM = 3.0
"""Standard deviation of the blur of a lesion's edge."""
_BORDER_MM = 4.0
"""How irregular the borders within the cut-off tissue are."""
_LESION_GRID_MM = 4.0
_BRAIN_BOX_ATLAS_MM = ((-76.0, -76.0, -60.0), (76.0, 108.0, 84.0))
_THIN_MM = 1.5
"""Voxels longer than this along k are averages of thinner samples."""


@dataclass(frozen=True, slots=True, eq=False)
class PerfusionTruth:
    """What a perfect analysis finds on a grid.

    A voxel's flow, volume and delay are means over its grey and white matter; MTT = CBV / CBF; delay is the arrival after
    the artery; Tmax = delay + MTT / 2 (Kudo et al. 2013, doi:10.1148/radiol.12112618). Hypoperfusion is brain with
    Tmax > 6 s; core is hypoperfused brain with CBF < 30 % of the mean CBF of all other brain in the grid.

    Args:
        maps: "cbf", "cbv", "mtt", "tmax", "delay" and the masks "core", "hypoperfusion", "brain"; 0 outside the brain.
        core_ml: volume of the core within the grid.
        hypoperfusion_ml: volume of the hypoperfusion within the grid.
    """

    maps: Mapping[str, Volume]
    core_ml: float
    hypoperfusion_ml: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What fills every voxel of a grid.

    Args:
        fraction: GREY and WHITE: (K, J, I) part of the voxel that each fills.
        severity: (K, J, I) 0 normal to 1 fully underperfused.
        core: (K, J, I) 0 to 1 infarcted.
    """

    fraction: Mapping[int, Floats]
    severity: Floats
    core: Floats


def flow(
    tissue: int, severity: NDArray[np.floating], core: NDArray[np.floating], *, grade: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """CBF (mL/100 g/min), CBV (mL/100 g) and delay (s) of GREY or WHITE that is so ill, at a collateral grade."""
    ill, dead = np.asarray(severity, dtype=np.float64), np.asarray(core, dtype=np.float64)
    penumbra = 1.0 + ill * (PENUMBRA_CBF[tissue] - 1.0)
    cbf = NORMAL_CBF[tissue] * (penumbra + dead * (CORE_CBF - penumbra))
    cbv = NORMAL_CBV[tissue] * (1.0 + dead * (CORE_CBV - 1.0))
    return cbf, cbv, NORMAL_DELAY_S[tissue] + ill * ARRIVAL_DELAY_S[grade]


def lesion(head: Head, grid: Grid) -> Scene:
    """Find how much grey and white matter fills every voxel, and how ill it is."""
    sigma = _EDGE_MM / grid.spacing_kji_mm
    risk = ndimage.gaussian_filter(at_risk(head, grid).array, sigma, truncate=3.0)
    severity = _smooth_step(np.asarray(risk, dtype=np.float32), 0.2, 0.7)
    core = np.zeros_like(severity)
    ill = severity > 0.0
    if ill.any():
        distance_mm = _distance_mm(head, grid.to_lps_mm(np.argwhere(ill))).astype(np.float32)
        core_mm, reach_mm = _radii_mm(head)
        inside = _smooth_step(np.float32(reach_mm) - distance_mm, -_EDGE_MM, _EDGE_MM)
        core[ill] = severity[ill] * _smooth_step(np.float32(core_mm) - distance_mm, -_EDGE_MM, _EDGE_MM)
        severity[ill] *= np.float32(OLIGAEMIA) + np.float32(1.0 - OLIGAEMIA) * inside
    return Scene(brain_fractions(head, grid), severity, core)


def perfusion_truth(head: Head, grid: Grid) -> PerfusionTruth:
    """Work out what a perfect analysis of the head finds on a grid; see `PerfusionTruth` for the definitions."""
    scene = lesion(head, grid)
    total = scene.fraction[GREY] + scene.fraction[WHITE]
    brain = total >= BRAIN_FRACTION
    cbf = cbv = delay = np.zeros(grid.shape_kji)
    for tissue in TISSUES:
        share = np.where(brain, scene.fraction[tissue] / np.maximum(total, BRAIN_FRACTION), 0.0)
        parts = flow(tissue, scene.severity, scene.core, grade=head.spec.collateral_grade)
        cbf, cbv, delay = (whole + share * part for whole, part in zip((cbf, cbv, delay), parts, strict=True))
    mtt = np.divide(60.0 * cbv, cbf, out=np.zeros_like(cbv), where=brain)
    tmax = delay + mtt / 2.0
    hypoperfusion = brain & (tmax > HYPOPERFUSION_TMAX_S)
    normal = brain & ~hypoperfusion
    normal_cbf = float(cbf[normal].mean()) if normal.any() else 0.0
    core = hypoperfusion & (cbf < CORE_RCBF * normal_cbf)
    values = {
        Quantity.CBF: cbf, Quantity.CBV: cbv, Quantity.MTT: mtt, Quantity.TMAX: tmax, Quantity.DELAY: delay,
    }  # fmt: skip
    maps = {quantity.name.lower(): Volume(array.astype(np.float32), grid, quantity) for quantity, array in values.items()}
    masks = {"core": core, "hypoperfusion": hypoperfusion, "brain": brain}
    maps |= {name: Volume(mask.astype(np.uint8), grid, Quantity.MASK) for name, mask in masks.items()}
    return PerfusionTruth(maps, float(core.sum() * grid.voxel_ml), float(hypoperfusion.sum() * grid.voxel_ml))


def brain_fractions(head: Head, grid: Grid) -> dict[int, Floats]:
    """Grey and white fractions, averaged over samples through thick slices."""
    n_samples = int(np.ceil(grid.spacing_kji_mm[0] / _THIN_MM))
    n_k, n_j, n_i = grid.shape_kji
    affine = grid.lps_from_kji.copy()
    affine[:3, 0] /= n_samples
    affine[:3, 3] = grid.to_lps_mm(((1.0 / n_samples - 1.0) / 2.0, 0.0, 0.0))
    labels = tissue_labels(head, Grid((n_k * n_samples, n_j, n_i), affine)).array.reshape(n_k, n_samples, n_j, n_i)
    return {tissue: (labels == tissue).mean(axis=1, dtype=np.float32) for tissue in TISSUES}


def _radii_mm(head: Head) -> tuple[float, float]:
    """Distances from the occlusion within which the core and the underperfused part of the cut-off tissue lie.

    Measured on a grid of the head, not of the scan, so every scan of a head shows the same lesion.
    """
    box = head.pose.crop(*_BRAIN_BOX_ATLAS_MM, spacing_mm=_LESION_GRID_MM)
    cut_off = (at_risk(head, box).array >= 0.5) & np.isin(tissue_labels(head, box).array, TISSUES)
    if not cut_off.any():
        return -np.inf, -np.inf
    distance_mm = _distance_mm(head, box.to_lps_mm(np.argwhere(cut_off)))
    grade = head.spec.collateral_grade
    core_mm, reach_mm = np.quantile(distance_mm, (CORE_FRACTION[grade], REACHED_FRACTION[grade]))
    return float(core_mm), float(reach_mm) if REACHED_FRACTION[grade] < 1.0 else np.inf


def _distance_mm(head: Head, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of (N, 3) points from where the artery stops, a little bent: there tissue dies first."""
    center = head.truth.cutoff_lps_mm
    if center is None:
        return np.full(len(points_lps_mm), np.inf)
    rng = np.random.default_rng((head.spec.seed, 32))
    shape = SmoothField.random(rng, sd_mm=_BORDER_MM, wavelength_mm=(25.0, 60.0))
    return np.asarray(np.linalg.norm(shape.moved(points_lps_mm) - np.asarray(center), axis=1))


def _smooth_step(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, without a kink."""
    x = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x), dtype=np.float32)
