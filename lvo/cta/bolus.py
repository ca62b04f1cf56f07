"""How well, and when, the contrast had arrived."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SOFT_HU", "Bolus", "arterial_level_hu", "measure_bolus", "unfit_bolus"]

SOFT_HU = 40.0
"""Brain and clot without contrast."""

_MIN_VOXELS = 100
_SURE = 0.8
"""Only voxels that the network is sure of are read, so that the rim of a vessel does not lower the figure."""

_LUMEN_PERCENTILE = 75
"""Partial volume darkens most of a thin vessel; its upper quartile is the lumen."""

_EARLY_BELOW, _LATE_ABOVE = 0.35, 0.9
"""Venous / arterial attenuation: below, veins are hardly filled; above, the bolus has passed. Peak arterial CTA has veins
at 80 to 180 HU against arteries at 250 to 350 (equilibrium: equal)."""


@dataclass(frozen=True, slots=True)
class Bolus:
    """Attenuation in the large arteries and the phase: "early arterial", "arterial", "venous" or "unknown"."""

    arterial_hu: float
    phase: str


def arterial_level_hu(hu: NDArray[np.floating], artery: NDArray[np.floating]) -> float | None:
    """Attenuation of the large arteries; None when hardly any voxel is surely one.

    Args:
        hu: (K, J, I) attenuation.
        artery: (K, J, I) probability of artery.
    """
    sure = hu[artery >= _SURE]
    return float(np.percentile(sure, _LUMEN_PERCENTILE)) if sure.size >= _MIN_VOXELS else None


def measure_bolus(hu: NDArray[np.float32], artery: NDArray[np.float32], vein: NDArray[np.float32]) -> Bolus | None:
    """Read the bolus from the voxels that are surely lumen.

    Args:
        hu: (K, J, I) attenuation.
        artery: (K, J, I) probability of artery.
        vein: (K, J, I) probability of vein.

    Returns:
        The bolus, or None when hardly any artery was found.
    """
    arterial_hu = arterial_level_hu(hu, artery)
    if arterial_hu is None:
        return None
    in_vein = hu[vein >= _SURE]
    if in_vein.size < _MIN_VOXELS:
        return Bolus(arterial_hu, "early arterial")
    ratio = float(np.percentile(in_vein, _LUMEN_PERCENTILE)) / arterial_hu
    phase = "early arterial" if ratio < _EARLY_BELOW else "venous" if ratio > _LATE_ABOVE else "arterial"
    return Bolus(arterial_hu, phase)


def unfit_bolus(bolus: Bolus | None, min_arterial_hu: float) -> str:
    """Why a scan has too little contrast to be judged, empty when it has enough.

    Args:
        bolus: from `measure_bolus`.
        min_arterial_hu: what the large arteries must have.
    """
    if bolus is None:
        return "no contrast: hardly any voxel is surely artery; is it an angiogram?"
    if bolus.arterial_hu < min_arterial_hu:
        return f"too little contrast: arteries have {bolus.arterial_hu:.0f} HU, {min_arterial_hu:.0f} HU are needed"
    return ""
