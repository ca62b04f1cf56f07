"""Which voxels are tissue, and their curves with less noise."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.volume import TimeSeries, Volume
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.maps import blood_volume_ml_100g
from lvo.perfusion.sampling import VoxelCurves

__all__ = ["Tissue", "classify", "intracranial", "smooth_in_plane"]

TISSUE_HU = (10.0, 80.0)
"""Unenhanced brain lies at 20 to 45 HU, fresh blood below 80; less is cerebrospinal fluid or an old infarct, more is bone
or calcium. Reference table, perfusion quality rules: mask below about 10 HU and bone."""
LEVEL_SIGMA_MM = 1.0
"""The unenhanced level is smoothed less than the curves: it is a mean of several frames already, and sulci are narrow."""
VESSEL_HU = (-20.0, 100.0)
"""Unenhanced blood lies at 40 to 60 HU; wide limits because they are applied to a few noisy frames, narrow enough for bone."""
VESSEL_CBV_ML_100G = 8.0
"""Blood volume above which a voxel is a vessel, not tissue (vascular-pixel elimination, Kudo et al., AJNR 2003;24:419)."""
VESSEL_CBV_RATIO = 3.0
"""A vessel also holds this many times the blood of the median voxel, so that a wrong scale cannot turn brain into vessels."""
SINUS_MARGIN_MM = 5.0
"""The sinuses lie between brain and skull: vessels are looked for this far outside the brain, in plane."""


@dataclass(frozen=True, slots=True, eq=False)
class Tissue:
    """Masks over the N voxels of a `VoxelCurves`: `tissue` carries the volumes, `vessel` is shown but not counted."""

    tissue: NDArray[np.bool_]
    vessel: NDArray[np.bool_]


def intracranial(series: TimeSeries, brain: Volume) -> NDArray[np.bool_]:
    """(K, J, I) voxels in which vessels and tissue are looked for: brain and a margin, without bone and air."""
    margin = max(1, round(SINUS_MARGIN_MM / float(brain.grid.spacing_kji_mm[1:].mean())))
    in_plane = ndimage.generate_binary_structure(2, 1)[None]
    wide = ndimage.binary_dilation(brain.array > 0, in_plane, iterations=margin)
    unenhanced = series.array[:2].mean(axis=0, dtype=np.float32)
    return np.asarray(wide & (unenhanced > VESSEL_HU[0]) & (unenhanced < VESSEL_HU[1]))


def classify(curves: VoxelCurves, in_brain: NDArray[np.bool_], inputs: Inputs) -> Tissue:
    """Tell tissue from vessels and from cerebrospinal fluid among the (N,) brain voxels."""
    blood = np.zeros(in_brain.size, dtype=np.float32)
    blood[in_brain] = blood_volume_ml_100g(curves.enhancement_hu[:, in_brain], inputs, curves.frames_of(in_brain))
    vessel = blood > max(VESSEL_CBV_ML_100G, VESSEL_CBV_RATIO * float(np.median(blood[in_brain])))
    candidate = in_brain & ~vessel
    level = smooth_in_plane(curves, curves.baseline_hu[None], candidate, sigma_mm=LEVEL_SIGMA_MM)[0]
    tissue = candidate.copy()
    tissue[candidate] = (level >= TISSUE_HU[0]) & (level <= TISSUE_HU[1])
    return Tissue(tissue, vessel)


def smooth_in_plane(
    curves: VoxelCurves, values: NDArray[np.float32], chosen: NDArray[np.bool_], *, sigma_mm: float
) -> NDArray[np.float32]:
    """Gaussian mean of (T, N) values over the chosen voxels of the same slice: (T, number chosen).

    Voxels that are not chosen neither give nor take, so vessels do not bleed into tissue. Slices are thick and are not mixed.
    """
    if sigma_mm == 0.0:
        return values[:, chosen]
    k, j, i = (axis[chosen] for axis in curves.voxel_kji)
    taken = values[:, chosen]
    out = np.empty_like(taken)
    edges = np.searchsorted(k, np.arange(curves.grid.shape_kji[0] + 1))
    _, spacing_j_mm, spacing_i_mm = curves.grid.spacing_kji_mm
    for start, stop in pairwise(edges):
        if start == stop:
            continue
        row, column = j[start:stop] - j[start:stop].min(), i[start:stop] - i[start:stop].min()
        shape = (int(row.max()) + 1, int(column.max()) + 1)
        across = _gaussian(shape[0], sigma_mm / spacing_j_mm), _gaussian(shape[1], sigma_mm / spacing_i_mm)
        image = np.zeros((values.shape[0] + 1, *shape), dtype=np.float32)
        image[:-1, row, column] = taken[:, start:stop]
        image[-1, row, column] = 1.0
        blurred = (across[0] @ image @ across[1])[:, row, column]
        out[:, start:stop] = blurred[:-1] / blurred[-1]
    return out


def _gaussian(size: int, sigma: float) -> NDArray[np.float32]:
    """(size, size) symmetric matrix that convolves with a Gaussian; its scale cancels in the masked mean."""
    offset = np.arange(size)
    return np.exp(-0.5 * ((offset[:, None] - offset) / sigma) ** 2).astype(np.float32)
