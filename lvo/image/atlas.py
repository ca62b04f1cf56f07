"""The atlas all heads are brought to: ICBM MNI152 2009a symmetric, as nilearn ships it, in LPS.

The maps are read from nilearn's package data and not through its functions: importing `nilearn.datasets` loads
scikit-learn and pandas (2.7 s), reading the three files takes 0.1 s. A test compares both.

References:
    Fonov et al., NeuroImage 2011, doi:10.1016/j.neuroimage.2010.07.033.
"""

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume

__all__ = ["Atlas", "from_nibabel_ras", "load_atlas"]

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"

GREY_HU, WHITE_HU, CSF_HU = 38.0, 28.0, 8.0
"""Middle of the usual ranges: grey 37 to 41, white 20 to 34, fluid 0 to 15 HU."""

SKULL_HU = 800.0
"""Averaged over the thickness of the vault, diploe included."""

OUTSIDE_HU = -1000.0

ATLAS_MM = 2.0
"""Voxel of the atlas as used here: registration works no finer."""

CISTERN_MM = 8.0
"""Clefts of the brain up to twice as wide are filled with fluid, not with bone."""

DURA_MM, SKULL_MM = 2.0, 9.0
"""The skull lies between these distances from the brain of the atlas; measured on a CT template in the same space."""


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """A standard head, all volumes on one upright 2 mm grid in atlas LPS mm; exactly symmetric about x = 0.

    Args:
        brain: mask, with ventricles.
        grey: probability of grey matter.
        white: probability of white matter.
        csf: probability of cerebrospinal fluid inside the brain mask.
        expected_ct: HU that a plain CT would show: brain, a skull of even thickness around it, air beyond.
    """

    brain: Volume
    grey: Volume
    white: Volume
    csf: Volume
    expected_ct: Volume


def from_nibabel_ras(array_ijk: NDArray[np.generic], ras_from_ijk: NDArray[np.float64], quantity: Quantity) -> Volume:
    """Turn a nibabel image, indexed (i, j, k) in RAS, into a volume indexed (k, j, i) in LPS.

    The array is turned so that its indices grow to the head, the back and the left where its axes allow.

    Args:
        array_ijk: (I, J, K) values.
        ras_from_ijk: (4, 4) affine from voxel index to RAS mm.
        quantity: what the numbers mean.
    """
    array = array_ijk.transpose(2, 1, 0)
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras_from_ijk)[:, [2, 1, 0, 3]]
    for index_axis, lps_axis in ((0, 2), (1, 1), (2, 0)):
        if affine[lps_axis, index_axis] < 0:
            array = np.flip(array, index_axis)
            affine[:3, 3] += affine[:3, index_axis] * (array.shape[index_axis] - 1)
            affine[:3, index_axis] *= -1.0
    n_k, n_j, n_i = array.shape
    return Volume(np.ascontiguousarray(array), Grid((n_k, n_j, n_i), affine), quantity)


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Read the atlas; later calls return the same object.

    Raises:
        FileNotFoundError: nilearn is not installed or does not ship the maps where version 0.12 to 0.14 does.
    """
    t1, grey, white = (_read(tissue) for tissue in ("t1", "gm", "wm"))
    brain = np.asarray(t1.array > 0)[::2, ::2, ::2]
    grid = Grid.from_axes(brain.shape, (ATLAS_MM,) * 3, origin_lps_mm=t1.grid.to_lps_mm((0, 0, 0)))
    grey_part, white_part = (_halved(tissue.array) * brain for tissue in (grey, white))
    csf_part = np.clip(brain - grey_part - white_part, 0.0, 1.0)
    expected = _expected_ct(brain, grey_part, white_part, csf_part)
    return Atlas(
        brain=Volume(brain, grid, Quantity.MASK),
        grey=Volume(grey_part, grid, Quantity.PROBABILITY),
        white=Volume(white_part, grid, Quantity.PROBABILITY),
        csf=Volume(csf_part, grid, Quantity.PROBABILITY),
        expected_ct=Volume(expected, grid, Quantity.HU),
    )


def _read(tissue: str) -> Volume:
    """Read one packaged map."""
    spec = importlib.util.find_spec("nilearn")
    folder = next(iter(spec.submodule_search_locations or []), "") if spec else ""
    image = nibabel.load(Path(folder) / "datasets" / "data" / _FILE.format(tissue))
    return from_nibabel_ras(np.asanyarray(image.dataobj), image.affine, Quantity.PROBABILITY)


def _halved(array_1mm: NDArray[np.generic]) -> NDArray[np.float32]:
    """Every other voxel of a map in 1/255, each the weighted mean of its neighbourhood, so that symmetry survives."""
    smooth = array_1mm.astype(np.float32) / 255.0
    for axis in range(3):
        smooth = ndimage.convolve1d(smooth, (0.25, 0.5, 0.25), axis=axis, mode="nearest")
    return np.ascontiguousarray(smooth[::2, ::2, ::2])


def _expected_ct(
    brain: NDArray[np.bool_], grey: NDArray[np.float32], white: NDArray[np.float32], csf: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Paint the HU of a plain CT: tissue by probability, fluid in cisterns and up to the dura, then bone, then air."""
    total = np.maximum(grey + white + csf, 1e-3)
    tissue = (GREY_HU * grey + WHITE_HU * white + CSF_HU * csf) / total
    near = ndimage.distance_transform_edt(~brain) * ATLAS_MM <= CISTERN_MM
    closed = ndimage.distance_transform_edt(near) * ATLAS_MM > CISTERN_MM
    distance_mm = ndimage.distance_transform_edt(~(closed | brain)) * ATLAS_MM
    beyond = np.select([distance_mm <= DURA_MM, distance_mm <= SKULL_MM], [CSF_HU, SKULL_HU], OUTSIDE_HU)
    return np.where(brain, tissue, beyond).astype(np.float32)
