"""Read the image of a scan, NIfTI or DICOM, as one volume; hash what was read."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from nibabel import Nifti1Image

from lvo.core.outcome import NotAssessable
from lvo.core.study import SeriesRef, Study
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_time_series, load_volume
from lvo.dicom.select import choose
from lvo.durable import sha256_of
from lvo.errors import InputError
from lvo.nifti.files import load_nifti_volume, open_nifti, read_values
from lvo.nifti.series import is_nifti
from lvo.nifti.volumes import from_nibabel_ras
from lvo.train.datasets.angiogram import Angiogram, pseudo_angiogram
from lvo.train.datasets.record import Kind

__all__ = ["describe_series", "load_image", "sha256_of_path"]

_MIN_IMAGES = 5
"""A series with fewer images is a localizer or a page."""


def load_image(path: Path, kind: Kind, angiogram: Angiogram = "") -> Volume:
    """Read one three-dimensional scan in HU.

    Args:
        path: a NIfTI file or a folder of DICOM files.
        kind: "cta" or "ncct"; of a DICOM folder the series is taken that `lvo run` would take, or the only one there is.
        angiogram: how to make it of the perfusion scan that lies there; empty where an angiogram does.

    Raises:
        InputError: it cannot be read, there is no such series, or no angiogram can be made of it.
    """
    if angiogram:
        made = pseudo_angiogram(_frames(path), angiogram)
        if isinstance(made, NotAssessable):
            msg = f"no angiogram can be made of {path.name}: {'; '.join(made.reasons)}"
            raise InputError(msg)
        return made.value
    if is_nifti(path):
        return load_nifti_volume(path, Quantity.HU)
    with open_studies([path]) as studies:
        (series,) = _series(studies, kind, path)
        return load_volume(series, allow_uneven=kind == "ncct").volume


def _frames(path: Path) -> TimeSeries:
    """A perfusion scan on the axes of its file, as its labels are; of NIfTI the order of the frames, a second each."""
    if not is_nifti(path):
        with open_studies([path]) as studies:
            return load_time_series(_series(studies, "ctp", path)).series
    image = _open_series(path)
    array = read_values(image).transpose(3, 2, 1, 0)
    times_s = np.repeat(np.arange(array.shape[0], dtype=np.float64)[:, None], array.shape[1], axis=1)
    return TimeSeries(np.ascontiguousarray(array), from_nibabel_ras(image.affine, image.shape), times_s)


def describe_series(path: Path) -> str:
    """What a perfusion scan is, in words, without reading its pixels.

    Raises:
        InputError: it is none.
    """
    if not is_nifti(path):
        with open_studies([path]) as studies:
            series = _series(studies, "ctp", path)
            return f"{sum(len(one.instances) for one in series)} images"
    shape = _open_series(path).shape
    return f"{shape[3]} frames of {shape[2]} slices"


def _open_series(path: Path) -> Nifti1Image:
    image = open_nifti(path)
    if len(image.shape) != 4 or image.shape[3] < 2:
        msg = f"{path.name} has shape {image.shape}; a perfusion scan has a fourth axis, time"
        raise InputError(msg)
    return image


def _series(studies: Iterable[Study], kind: Kind, path: Path) -> tuple[SeriesRef, ...]:
    every = list(studies)
    if len(every) != 1:
        msg = f"{path.name} holds {len(every)} studies, one is needed; index its folders one by one"
        raise InputError(msg)
    selection = choose(every[0])
    chosen = {"cta": (selection.cta,), "ncct": (selection.ncct,), "ctp": selection.ctp}[kind]
    found = tuple(one for one in chosen if one is not None)
    if found:
        return found
    volumes = [one for one in every[0].series if len(one.instances) >= _MIN_IMAGES or one.instances[0].n_frames >= _MIN_IMAGES]
    if kind != "ctp" and len(volumes) == 1:
        return (volumes[0],)
    reason = {"cta": selection.missing_cta, "ctp": selection.missing_ctp}.get(kind, "no plain CT was found")
    msg = f"{path.name} has no series to use as {kind}: {reason or 'none fits'}"
    raise InputError(msg)


def sha256_of_path(path: Path) -> str:
    """Hash of a file; of a folder the hash of the hashes of its files, whatever their names and order."""
    if path.is_file():
        return sha256_of(path)
    parts = sorted(sha256_of_path(one) for one in path.rglob("*") if one.is_file())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
