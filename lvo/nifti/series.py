"""Read a 4D NIfTI file in HU as a time series, turned upright, with the way back to the axes of the file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from lvo.core.report import QualityNote
from lvo.core.volume import TimeSeries
from lvo.errors import InputError, UsageError
from lvo.image.turn import Turn, upright
from lvo.nifti.files import open_nifti, read_values
from lvo.nifti.times import TIME_KEYS, SeriesTimes, times_from_header, times_from_sidecar
from lvo.nifti.volumes import from_nibabel_ras

__all__ = ["LoadedNifti", "is_nifti", "load_nifti_series"]

_SUFFIXES = (".nii", ".nii.gz")
_MIN_FRAMES = 2


@dataclass(frozen=True, slots=True, eq=False)
class LoadedNifti:
    """A time series and the way back to the axes of its file.

    Args:
        series: (T, K, J, I) float32 HU; k to the head, j to the back, i to the left, as the DICOM reader gives it.
        turn: its `undo` brings maps back to the axes of the file.
        notes: where the times come from.
    """

    series: TimeSeries
    turn: Turn
    notes: tuple[QualityNote, ...]


def is_nifti(path: Path) -> bool:
    """Tell by its name whether a file is NIfTI."""
    return path.name.lower().endswith(_SUFFIXES)


def load_nifti_series(path: Path, times_path: Path | None = None) -> LoadedNifti:
    """Read a time series.

    Args:
        path: .nii or .nii.gz, values in HU.
        times_path: sidecar with the times; the .json file of the same name beside the image when omitted, if there is one.

    Raises:
        InputError: the file cannot be read, is not 4D, has no orientation, holds values that are no numbers; or its times
            cannot be known.
        UsageError: the sidecar cannot be read, or is not a JSON object.
    """
    image = open_nifti(path)
    if len(image.shape) != 4 or image.shape[3] < _MIN_FRAMES:
        msg = f"{path.name} has shape {image.shape}; a time series has four axes (i, j, k, time), the last longer than one"
        raise InputError(msg)
    grid = from_nibabel_ras(image.affine, image.shape)
    n_frames, n_slices = image.shape[3], image.shape[2]
    times = _times(path, times_path, image, (n_frames, n_slices))
    array = read_values(image).transpose(3, 2, 1, 0)
    turn = upright(grid)
    slice_times_s = times.times_s
    if turn.order[0] != 0:
        if np.ptp(slice_times_s, axis=1).any():
            msg = (
                f"{path.name}: slices have times of their own but are not stacked from the feet to the head; reorient the "
                "image so that its third axis runs along the body"
            )
            raise InputError(msg)
        slice_times_s = np.repeat(slice_times_s[:, :1], turn.turned.shape_kji[0], axis=1)
    elif 0 in turn.flipped:
        slice_times_s = slice_times_s[:, ::-1]
    series = TimeSeries(np.ascontiguousarray(turn.apply(array)), turn.turned, slice_times_s)
    return LoadedNifti(series, turn, times.notes)


def _times(path: Path, times_path: Path | None, image: nibabel.Nifti1Image, shape_tk: tuple[int, int]) -> SeriesTimes:
    """From the sidecar that was given, from the one beside the image, or from the header."""
    beside = path.with_name(path.name[: -len(next(s for s in reversed(_SUFFIXES) if path.name.lower().endswith(s)))] + ".json")
    if times_path is not None:
        times = times_from_sidecar(_read_sidecar(times_path), *shape_tk)
        if times is None:
            msg = f"{times_path.name} has none of {', '.join(TIME_KEYS)} (AcquisitionTime as a list, one per frame)"
            raise InputError(msg)
        return times
    times = times_from_sidecar(_read_sidecar(beside), *shape_tk) if beside.is_file() else None
    unit = image.header.get_xyzt_units()[1]
    return times or times_from_header(float(image.header["pixdim"][4]), unit, *shape_tk)


def _read_sidecar(path: Path) -> Mapping[str, object]:
    """A JSON object.

    Raises:
        UsageError: it cannot be read or is none.
    """
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"times {path} cannot be read: {error.strerror}"
        raise UsageError(msg) from error
    except ValueError as error:
        msg = f"times {path} are not JSON: {error}"
        raise UsageError(msg) from error
    if not isinstance(parsed, dict):
        msg = f"times {path} must be a JSON object with one of {', '.join(TIME_KEYS)}"
        raise UsageError(msg)
    return parsed
