"""One image plane of a DICOM file: where it lies and when it was taken, the same for classic and multi-frame objects.

Classic CT keeps these attributes at the top of the file; Enhanced CT keeps them in functional groups, one set per frame and
one shared (DICOM PS3.3 C.7.6.16). Values that are absent or malformed become None here; who needs them refuses.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from lvo.errors import InputError

__all__ = ["CLOCKS", "MAX_FRAMES", "Attributes", "Frame", "floats", "frames_of", "integer", "nested", "text"]

CLOCKS = (
    "FrameReferenceDateTime",
    "FrameAcquisitionDateTime",
    "AcquisitionDateTime",
    "AcquisitionDate and AcquisitionTime",
    "AcquisitionTime",
    "ContentTime",
    "TemporalPosition x TemporalResolution",
    "TriggerTime",
)
"""Where the time of an image can come from, most trusted first: acquisition before creation before counting."""

MAX_FRAMES = 20_000
"""More frames than any CT acquisition has; a larger Number of Frames is a damaged header."""

_MS_PER_S = 1000.0


class Attributes(Protocol):
    """What a header is asked for: a pydicom data set and the values of a scan are both one."""

    def get(self, key: str, /) -> object | None:
        """The value of an attribute by its keyword, None when absent."""

    def __contains__(self, name: str, /) -> bool:
        """Whether the header has it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image plane.

    Args:
        path: file that holds it.
        sop_instance_uid: DICOM object that holds it.
        index: number of the frame in its file, from 0.
        shape_ji: Rows, Columns.
        position_lps_mm: Image Position (Patient), the centre of the first pixel.
        orientation_lps: Image Orientation (Patient): direction of growing column, then of growing row.
        pixel_spacing_ji_mm: Pixel Spacing as DICOM stores it: between rows (goes with j), between columns (goes with i).
        thickness_mm: Slice Thickness.
        instance_number, slice_location_mm: how the scanner counted it and where it says it lies, None where not recorded; used
            only to notice positions out of order.
        clocks_s: seconds for each of CLOCKS, None where the header does not say; only differences mean anything.
    """

    path: Path
    sop_instance_uid: str
    index: int
    shape_ji: tuple[int, int]
    position_lps_mm: tuple[float, ...] | None
    orientation_lps: tuple[float, ...] | None
    pixel_spacing_ji_mm: tuple[float, ...] | None
    thickness_mm: float | None
    instance_number: float | None
    slice_location_mm: float | None
    clocks_s: tuple[float | None, ...]


def text(dataset: Attributes, keyword: str) -> str:
    """An attribute as text, empty when absent; several values with a backslash between them, as they are stored."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    if not isinstance(value, str | bytes) and isinstance(value, Sequence):
        return "\\".join(map(str, value)).strip()
    return str(value).strip()


def floats(dataset: Attributes, keyword: str, count: int) -> tuple[float, ...] | None:
    """An attribute as `count` finite numbers, None when it is not that."""
    try:
        value = dataset.get(keyword)
        several = not isinstance(value, str) and isinstance(value, Sequence)
        values = tuple(float(item) for item in (cast("Sequence[float]", value) if several else [cast("float", value)]))
    except (ValueError, TypeError, OverflowError, AttributeError):
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def integer(dataset: Attributes, keyword: str, default: int = 0) -> int:
    """An attribute as an integer, `default` when it is not that."""
    found = floats(dataset, keyword, 1)
    return default if found is None else int(found[0])


_EMPTY: Attributes = {}


def nested(dataset: Attributes, *sequences: str) -> Attributes:
    """First item of a sequence in a sequence ..., an empty data set where there is none."""
    for keyword in sequences:
        items = cast("Sequence[Attributes] | None", dataset.get(keyword))
        dataset = items[0] if items else _EMPTY
    return dataset


def frames_of(dataset: Attributes, path: Path) -> tuple[Frame, ...]:
    """Every image plane of an object; none when it has no pixels.

    Args:
        dataset: header of the object.
        path: its file.

    Raises:
        InputError: Number of Frames is beyond reason.

    References:
        DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups).
    """
    shape_ji = (integer(dataset, "Rows"), integer(dataset, "Columns"))
    if min(shape_ji) < 1:
        return ()
    n_frames = integer(dataset, "NumberOfFrames", 1)
    if not 1 <= n_frames <= MAX_FRAMES:
        msg = f"damaged DICOM header: Number of Frames is {n_frames}, between 1 and {MAX_FRAMES} are possible"
        raise InputError(msg)
    shared = nested(dataset, "SharedFunctionalGroupsSequence")
    per_frame = cast("Sequence[Attributes]", dataset.get("PerFrameFunctionalGroupsSequence") or [])
    return tuple(
        _frame(dataset, shared, per_frame[index] if index < len(per_frame) else _EMPTY, _Place(path, index, shape_ji))
        for index in range(n_frames)
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a frame is stored."""

    path: Path
    index: int
    shape_ji: tuple[int, int]


def _frame(dataset: Attributes, shared: Attributes, own: Attributes, place: _Place) -> Frame:
    """One frame from its own functional groups, the shared ones and the top of the file, in this order."""

    def look(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        for source in (nested(own, sequence), nested(shared, sequence), dataset):
            if keyword in source:
                return floats(source, keyword, count)
        return None

    thickness = look("PixelMeasuresSequence", "SliceThickness", 1)
    number, location = floats(dataset, "InstanceNumber", 1), floats(dataset, "SliceLocation", 1)
    return Frame(
        path=place.path,
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        index=place.index,
        shape_ji=place.shape_ji,
        position_lps_mm=look("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation_lps=look("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        pixel_spacing_ji_mm=look("PixelMeasuresSequence", "PixelSpacing", 2),
        thickness_mm=thickness[0] if thickness else None,
        instance_number=number[0] if number else None,
        slice_location_mm=location[0] if location else None,
        clocks_s=_clocks_s(dataset, nested(own, "FrameContentSequence")),
    )


def _clocks_s(dataset: Attributes, content: Attributes) -> tuple[float | None, ...]:
    """Seconds for each of CLOCKS."""
    ordinal = floats(content, "TemporalPositionIndex", 1) or floats(dataset, "TemporalPositionIdentifier", 1)
    resolution_ms = floats(dataset, "TemporalResolution", 1)
    trigger_ms = floats(dataset, "TriggerTime", 1)
    return (
        _moment_s(text(content, "FrameReferenceDateTime")),
        _moment_s(text(content, "FrameAcquisitionDateTime")),
        _moment_s(text(dataset, "AcquisitionDateTime")),
        _moment_s(text(dataset, "AcquisitionDate") + text(dataset, "AcquisitionTime")),
        _time_of_day_s(text(dataset, "AcquisitionTime")),
        _time_of_day_s(text(dataset, "ContentTime")),
        ordinal[0] * resolution_ms[0] / _MS_PER_S if ordinal and resolution_ms and resolution_ms[0] > 0 else None,
        trigger_ms[0] / _MS_PER_S if trigger_ms else None,
    )


def _time_of_day_s(value: str) -> float | None:
    """Seconds after midnight of a DICOM time HHMMSS.FFFFFF (also HH:MM:SS of ACR-NEMA)."""
    digits, _, fraction = value.replace(":", "").partition(".")
    if len(digits) != 6 or not digits.isdecimal() or (fraction and not fraction.isdecimal()):
        return None
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return hours * 3600.0 + minutes * 60.0 + seconds + (float(f"0.{fraction}") if fraction else 0.0)


def _moment_s(value: str) -> float | None:
    """Seconds since a fixed day of a DICOM date-time YYYYMMDDHHMMSS.FFFFFF&ZZXX; the zone is the same in one study."""
    stamp = value.replace("-", "+").partition("+")[0]
    seconds = _time_of_day_s(stamp[8:])
    try:
        day = dt.date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))
    except ValueError:
        return None
    return None if seconds is None else day.toordinal() * 86_400.0 + seconds
