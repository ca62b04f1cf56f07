"""When the frames and slices of a NIfTI time series were scanned: from a sidecar as BIDS has it, or from the header.

NIfTI has room for one frame interval and no more, so uneven times and the times of single slices must come beside it
(dcm2niix issues 184 and 407).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvo.core.report import QualityNote, Severity
from lvo.errors import InputError

__all__ = ["TIME_KEYS", "SeriesTimes", "times_from_header", "times_from_sidecar"]

_DAY_S = 86_400.0
_CLOCK = re.compile(r"(\d{1,2}):?(\d{2}):?(\d{2}(?:\.\d*)?)")
"""A time of day as DICOM (HHMMSS.FFFFFF) or as dcm2niix (HH:MM:SS.FFFFFF) writes it."""
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


@dataclass(frozen=True, slots=True, eq=False)
class SeriesTimes:
    """Times of the slices of a series: (T, K) seconds after the first, K along the third axis of the file; and notes."""

    times_s: NDArray[np.float64]
    notes: tuple[QualityNote, ...]


def times_from_sidecar(sidecar: Mapping[str, object], n_frames: int, n_slices: int) -> SeriesTimes | None:
    """Times that a sidecar gives, None where it gives none.

    Args:
        sidecar: parsed JSON. `FrameTimesStart` (s; T numbers, or T lists of K) and `VolumeTiming` (s), `AcquisitionTime` (a
            list of T seconds or times of day) or `RepetitionTime` (s) say when the frames start, the first of them counts;
            `SliceTiming` (s, K numbers) adds when each slice follows.
        n_frames: T.
        n_slices: K.

    Raises:
        InputError: a key has another kind of value, another number of them, or times that do not grow.

    References:
        Brain Imaging Data Structure 1.10, MRI (RepetitionTime, VolumeTiming, SliceTiming) and PET (FrameTimesStart).
    """
    for key, read in _FRAME_TIMES.items():
        if key in sidecar and not (key == "AcquisitionTime" and isinstance(sidecar[key], str)):
            frames_s = read(key, sidecar[key], n_frames)
            break
    else:
        return None
    if frames_s.ndim == 2 and frames_s.shape[1] != n_slices:
        _refuse(key, f"has {frames_s.shape[1]} times a frame, the image has {n_slices} slices")
    offsets_s = _slice_offsets(sidecar, n_slices)
    if frames_s.ndim == 2 and offsets_s.any():
        _refuse("SliceTiming", f"cannot be added to {key}, which gives the time of every slice already")
    times_s = (frames_s if frames_s.ndim == 2 else frames_s[:, None]) + offsets_s
    times_s = times_s - times_s.min()
    if (np.diff(times_s, axis=0) <= 0).any():
        _refuse(key, "must grow from frame to frame")
    text = f"times come from {key} of the sidecar" + (", those of slices from SliceTiming" if offsets_s.any() else "")
    return SeriesTimes(times_s, (QualityNote("time.sidecar", Severity.INFO, text),))


def times_from_header(interval: float, unit: str, n_frames: int, n_slices: int) -> SeriesTimes:
    """Equidistant times from the fourth pixel dimension of a NIfTI header, with a warning.

    Raises:
        InputError: the unit is unknown or the interval is not positive: the times cannot be known.
    """
    if unit not in _SECONDS or not (np.isfinite(interval) and interval > 0.0):
        stated = f"{interval:g} of unknown unit" if unit not in _SECONDS else f"{interval:g} {unit}"
        msg = (
            f"the times of the {n_frames} frames cannot be known: there is no sidecar with {', '.join(_FRAME_TIMES)}, and the "
            f"header gives a frame interval of {stated}; give the times with --times FILE.json"
        )
        raise InputError(msg)
    interval_s = interval * _SECONDS[unit]
    text = (
        f"times come from the header of the NIfTI file: one frame every {interval_s:g} s, all slices at once. If the scan was "
        "uneven or a table moved, give the true times with --times"
    )
    frames_s = np.repeat(interval_s * np.arange(n_frames)[:, None], n_slices, axis=1)
    return SeriesTimes(frames_s, (QualityNote("time.header", Severity.WARNING, text),))


def _slice_offsets(sidecar: Mapping[str, object], n_slices: int) -> NDArray[np.float64]:
    """(K,) seconds by which each slice follows the start of its frame; zeros when the sidecar does not say."""
    if "SliceTiming" not in sidecar:
        return np.zeros(n_slices)
    offsets_s = _numbers("SliceTiming", sidecar["SliceTiming"])
    if offsets_s.shape != (n_slices,):
        _refuse("SliceTiming", f"has {offsets_s.size} times, the image has {n_slices} slices along its third axis")
    direction = sidecar.get("SliceEncodingDirection", "k")
    if direction not in {"k", "k-"}:
        _refuse("SliceEncodingDirection", f"must be k or k-, the third axis of the image, not {direction!r}")
    return offsets_s[::-1] if direction == "k-" else offsets_s


def _seconds(key: str, value: object, n_frames: int) -> NDArray[np.float64]:
    """T numbers, or T lists of K."""
    frames_s = _numbers(key, value)
    if frames_s.ndim not in (1, 2) or frames_s.shape[0] != n_frames:
        _refuse(key, f"has {len(frames_s) if frames_s.ndim else 1} times, the image has {n_frames} frames")
    return frames_s


def _clocks(key: str, value: object, n_frames: int) -> NDArray[np.float64]:
    """T seconds or times of day; a scan that ran past midnight goes on after it."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return _seconds(key, value, n_frames)
    found = [_CLOCK.fullmatch(one.strip()) for one in value]
    clocks = [one for one in found if one]
    if len(clocks) != len(found):
        _refuse(key, "must hold seconds or times of day like 23:59:58.5")
    frames_s = _seconds(key, [3600.0 * float(c[1]) + 60.0 * float(c[2]) + float(c[3]) for c in clocks], n_frames)
    midnights = np.cumsum(np.diff(frames_s, prepend=frames_s[:1]) < -_DAY_S / 2)
    return np.asarray(frames_s + _DAY_S * midnights, dtype=np.float64)


def _equidistant(key: str, value: object, n_frames: int) -> NDArray[np.float64]:
    """Frames at one interval."""
    interval_s = _numbers(key, value)
    if interval_s.ndim or interval_s <= 0.0:
        _refuse(key, "must be one positive number of seconds")
    return float(interval_s) * np.arange(n_frames, dtype=np.float64)


def _numbers(key: str, value: object) -> NDArray[np.float64]:
    """Finite numbers of one shape; text and truth values are none."""
    flat = [one for row in value for one in (row if isinstance(row, list) else [row])] if isinstance(value, list) else [value]
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in flat):
        _refuse(key, "must be a number or a list of numbers")
    try:
        numbers = np.asarray(_plain(value), dtype=np.float64)
    except (ValueError, OverflowError):
        _refuse(key, "must have as many times in every frame, none beyond any clock")
    if not np.isfinite(numbers).all() or numbers.size == 0:
        _refuse(key, "must hold finite numbers")
    return numbers


def _plain(value: object) -> ArrayLike:
    """What `_numbers` has checked."""
    return value  # type: ignore[return-value]


def _refuse(key: str, why: str) -> NoReturn:
    msg = f"sidecar: {key} {why}"
    raise InputError(msg)


_FRAME_TIMES: Mapping[str, Callable[[str, object, int], NDArray[np.float64]]] = {
    "FrameTimesStart": _seconds,
    "VolumeTiming": _seconds,
    "AcquisitionTime": _clocks,
    "RepetitionTime": _equidistant,
}
TIME_KEYS = tuple(_FRAME_TIMES)
"""Keys of a sidecar that give the times of frames, the most trusted first."""
