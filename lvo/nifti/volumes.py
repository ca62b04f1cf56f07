"""NIfTI volumes: the one place where patient LPS positions and (k, j, i) arrays become RAS and (i, j, k), and back."""

import gzip
import io
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.errors import OutputError

__all__ = ["from_nibabel_ras", "nifti_bytes", "to_nibabel_ras", "write_nifti"]

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KJI_FROM_IJK = np.eye(4)[[2, 1, 0, 3]]
_SCANNER_CODE = 1
"""NIFTI_XFORM_SCANNER_ANAT: the affine leads to the scanner's patient coordinates."""


def to_nibabel_ras(volume: Volume) -> nibabel.Nifti1Image:
    """A nibabel image with the same voxels at the same places.

    Masks and labels become uint8 or int16, HU int16 where they are whole numbers, everything else float32. A sheared grid
    (tilted scan) is kept in the sform, which readers prefer; the qform cannot hold shear and gets the nearest rotation.
    """
    affine = _RAS_FROM_LPS @ volume.grid.lps_from_kji @ _KJI_FROM_IJK
    image = nibabel.Nifti1Image(_stored(volume).transpose(2, 1, 0), affine)
    image.set_sform(affine, code=_SCANNER_CODE)
    image.set_qform(affine, code=_SCANNER_CODE, strip_shears=True)
    image.header.set_xyzt_units(xyz="mm", t="sec")
    image.header["descrip"] = b"lvo: research use only"
    return image


def from_nibabel_ras(affine_ras: NDArray[np.float64], shape_ijk: tuple[int, ...]) -> Grid:
    """The grid of a nibabel image: the way back from `to_nibabel_ras`.

    Args:
        affine_ras: (4, 4) affine from (i, j, k, 1) to RAS mm.
        shape_ijk: sizes of the first three axes of its array, whose transpose is (k, j, i).

    Raises:
        ValueError: the affine cannot be inverted.
    """
    i, j, k = shape_ijk[:3]
    return Grid((k, j, i), _RAS_FROM_LPS @ affine_ras @ _KJI_FROM_IJK)


def nifti_bytes(volume: Volume) -> bytes:
    """The volume as a gzipped NIfTI file, the same bytes for the same volume."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=1) as packed:
        packed.write(to_nibabel_ras(volume).to_bytes())
    return buffer.getvalue()


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a .nii.gz file.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(nifti_bytes(volume))
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise OutputError(msg) from error


def _stored(volume: Volume) -> np.ndarray:
    """The values in the smallest type that holds them as they are."""
    if volume.quantity is Quantity.MASK:
        return np.asarray(volume.array != 0, dtype=np.uint8)
    if volume.quantity is Quantity.LABEL:
        return volume.array.astype(np.int16)
    if volume.quantity is Quantity.HU and np.issubdtype(volume.array.dtype, np.integer):
        return volume.array.astype(np.int16)
    return volume.array.astype(np.float32)
