"""Open a NIfTI file with its geometry checked, and read a three-dimensional one as a volume."""

import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.errors import InputError
from lvo.nifti.volumes import from_nibabel_ras

__all__ = ["load_nifti_volume", "open_nifti", "read_nifti_grid", "read_values"]


def open_nifti(path: Path) -> nibabel.Nifti1Image:
    """The image with its geometry checked; its values stay on disk.

    Raises:
        InputError: it cannot be read, is not NIfTI, or does not say where in the patient its voxels lie.
    """
    try:
        image = nibabel.load(path)
    except (OSError, EOFError, zlib.error, ValueError, ImageFileError) as error:
        msg = f"{path.name} cannot be read as NIfTI ({type(error).__name__})"
        raise InputError(msg) from error
    if not isinstance(image, nibabel.Nifti1Image):
        msg = f"{path.name} is not NIfTI"
        raise InputError(msg)
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        msg = f"{path.name} has no orientation (sform and qform code are 0), so left and right cannot be known"
        raise InputError(msg)
    if image.header.get_xyzt_units()[0] not in {"mm", "unknown"}:
        msg = f"{path.name} is measured in {image.header.get_xyzt_units()[0]}, millimetres are needed"
        raise InputError(msg)
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12:
        msg = f"{path.name} has an affine that places all voxels in one plane"
        raise InputError(msg)
    return image


def read_values(image: nibabel.Nifti1Image) -> NDArray[np.float32]:
    """(I, J, K, ...) float32 values.

    Raises:
        InputError: the file is cut short or damaged, or holds values that are no numbers.
    """
    try:
        values = np.asarray(image.get_fdata(caching="unchanged", dtype=np.float32))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        msg = f"the values of the NIfTI file cannot be read ({type(error).__name__}): it is cut short or damaged"
        raise InputError(msg) from error
    if not np.isfinite(values).all():
        msg = "the NIfTI file holds values that are no numbers (NaN or infinite); HU are needed everywhere, air included"
        raise InputError(msg)
    return values


def read_nifti_grid(path: Path) -> Grid:
    """Where the voxels of a three-dimensional file lie; its values are not read.

    Raises:
        InputError: as `open_nifti`, or the file has another number of axes.
    """
    image = open_nifti(path)
    if len(image.shape) < 3 or any(n != 1 for n in image.shape[3:]):
        msg = f"{path.name} has shape {image.shape}; one volume has three axes"
        raise InputError(msg)
    return from_nibabel_ras(image.affine, image.shape)


def load_nifti_volume(path: Path, quantity: Quantity) -> Volume:
    """Read one volume.

    Args:
        path: .nii or .nii.gz with three axes.
        quantity: what its values are. HU become float32; labels and masks must be whole numbers from 0 to 65535 and become
            uint16 and bool.

    Raises:
        InputError: as `read_nifti_grid`; values that cannot be read, or labels that are no whole numbers.
    """
    grid = read_nifti_grid(path)
    values: NDArray[Any] = read_values(open_nifti(path)).reshape(grid.shape_kji[::-1]).transpose(2, 1, 0)
    if quantity in {Quantity.LABEL, Quantity.MASK}:
        if (values != np.rint(values)).any() or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            msg = f"{path.name} holds values that are no labels: whole numbers from 0 on are needed"
            raise InputError(msg)
        values = values.astype(np.uint16) if quantity is Quantity.LABEL else values != 0
    return Volume(np.ascontiguousarray(values), grid, quantity)
