"""Decode image planes to Hounsfield units, each with its own rescale; refuse what is cut short or cannot be decoded."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

from lvo.dicom.frames import Attributes, Frame, floats, integer, nested, text
from lvo.dicom.headers import UNREADABLE, quiet, read_dataset
from lvo.dicom.scan import Wanted, is_native, scan_file
from lvo.errors import GeometryError, InputError

__all__ = ["AIR_HU", "Decoded", "decode_hu"]

AIR_HU = -1024.0
"""Lowest CT number of a 12-bit scanner; padding and anything below becomes this."""

_TISSUE_HU = (-1000.0, 3071.0)
"""CT numbers a scan really has (12 bit); a padding value in between would swallow tissue."""

_MAX_PIXELS = 8192 * 8192
"""Larger planes than any CT reconstruction; a damaged header must not ask for terabytes."""


_MAX_RATIO = 1000.0
"""No image packs its pixels this tightly: a file whose header asks for more is damaged, or made to exhaust the memory."""

_DECODERS = dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls") | dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg")
"""Which plugin of pydicom decodes what, where several can: GDCM, its first choice, ends the process on some damaged files."""

_MAX_RESCALE = 1e6
"""No scanner stretches or shifts its numbers by more; far beyond, sums are no numbers any more."""

_PLAIN = Wanted.of(
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "LossyImageCompression", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Planes in the order asked for, and what was odd about them.

    Args:
        slices_hu: (N, J, I), float32 or int16; (N, J', I') where room for more was asked for.
        lossy: number of planes that were compressed with loss.
        odd_padding_hu: padding values inside the range of tissue, which were not taken for padding.
    """

    slices_hu: NDArray[Any]
    lossy: int
    odd_padding_hu: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """What one file gives."""

    places: tuple[int, ...]
    lossy: int
    odd_padding_hu: float | None


def decode_hu(
    frames: Sequence[Frame], *, dtype: type[np.float32 | np.int16] = np.float32, room_ji: tuple[int, int] | None = None
) -> Decoded:
    """Decode planes, which must have one size, to Hounsfield units.

    Each plane is rescaled with its own slope and intercept, so no plane can overflow a type that another one chose. Padding
    and values below -1024 become -1024 HU.

    Args:
        frames: planes.
        dtype: of the result; int16 takes half the memory and rounds to whole HU.
        room_ji: rows and columns to make room for per plane, where planes will be moved; what lies beyond a plane is not set.

    Raises:
        GeometryError: a file is cut short, or is not one grey plane of the size its header says.
        InputError: a file cannot be read, its transfer syntax cannot be decoded, or it is not in Hounsfield units.

    References:
        DICOM PS3.3 C.7.6.3, C.8.2.1.1.4 (rescale), C.7.5.1.1.2 (padding).
    """
    rows, columns = frames[0].shape_ji
    room_ji = room_ji or (rows, columns)
    if room_ji[0] * room_ji[1] > _MAX_PIXELS:
        msg = f"images of {room_ji[0]} x {room_ji[1]} pixels are beyond any CT: the header is damaged"
        raise GeometryError(msg)
    by_file: dict[Path, list[int]] = {}
    for place, frame in enumerate(frames):
        by_file.setdefault(frame.path, []).append(place)
    for path, places in by_file.items():
        _check_ratio(path, len(places) * room_ji[0] * room_ji[1])
    room_hu = np.empty((len(frames), *room_ji), dtype=dtype)
    slices_hu = room_hu[:, :rows, :columns]

    def fill(places: Sequence[int]) -> _File:
        own = [frames[place] for place in places]
        return _read_plain(own[0], places[0], slices_hu) or _decode_file(own, places, slices_hu)

    workers = min(4, os.cpu_count() or 1)
    with quiet(), ThreadPoolExecutor(workers) as pool:
        files = list(pool.map(fill, by_file.values()))
    odd = {file.odd_padding_hu for file in files} - {None}
    return Decoded(room_hu, sum(file.lossy for file in files), tuple(sorted(value for value in odd if value is not None)))


def _check_ratio(path: Path, n_pixels: int) -> None:
    """Refuse headers that promise far more than the file can hold, before memory is asked for.

    Raises:
        GeometryError: they do.
        InputError: the file is gone.
    """
    try:
        n_bytes = path.stat().st_size
    except OSError as error:
        msg = f"an image file cannot be read ({error.strerror}): send the series again"
        raise InputError(msg) from error
    if 2 * n_pixels > _MAX_RATIO * n_bytes:
        found = f"the header of a file of {n_bytes / 1e3:.0f} kB promises {2 * n_pixels / 1e6:.0f} MB of pixels"
        msg = f"{found}: it is damaged, send the series again"
        raise GeometryError(msg)


def _read_plain(frame: Frame, place: int, slices_hu: NDArray[Any]) -> _File | None:
    """Read a file that holds one uncompressed 16-bit plane, without pydicom; None where it is anything else, or damaged."""
    try:
        scan = scan_file(frame.path, _PLAIN)
        if scan is None or not is_native(scan.syntax):
            return None
        values, count = scan.values, frame.shape_ji[0] * frame.shape_ji[1]
        usual = (
            (values.get("Rows"), values.get("Columns")) == frame.shape_ji
            and integer(values, "NumberOfFrames", 1) == 1
            and integer(values, "SamplesPerPixel", 1) == 1
            and values.get("PhotometricInterpretation") == "MONOCHROME2"
            and values.get("BitsAllocated") == 16
            and scan.value_bytes >= 2 * count
        )
        if not usual:
            return None
        kind = np.dtype("<i2" if values.get("PixelRepresentation") == 1 else "<u2")
        plane_hu = slices_hu[place]
        fits = plane_hu.dtype == np.int16 and plane_hu.flags.c_contiguous
        stored = plane_hu.view(kind) if fits else np.empty(frame.shape_ji, kind)
        with frame.path.open("rb", buffering=0) as file:
            file.seek(scan.value_at)
            if file.readinto(stored.reshape(-1).data) != 2 * count:
                return None
    except OSError:
        return None
    odd_padding_hu = _fill(values, stored, _rescale(values, 0), plane_hu)
    return _File((place,), int(values.get("LossyImageCompression") == "01"), odd_padding_hu)


def _decode_file(frames: Sequence[Frame], places: Sequence[int], slices_hu: NDArray[Any]) -> _File:
    """Decode the asked frames of one file into their places; pydicom finds some damage only when a value is asked for."""
    try:
        return _decode_frames(frames, places, slices_hu)
    except InputError:
        raise
    except UNREADABLE as error:
        msg = f"an image file cannot be read ({type(error).__name__}): send the series again"
        raise InputError(msg) from error


def _decode_frames(frames: Sequence[Frame], places: Sequence[int], slices_hu: NDArray[Any]) -> _File:
    """Decode without minding what damage raises."""
    dataset, _ = read_dataset(frames[0].path)
    _check(dataset, frames[0])
    odd_padding_hu = None
    for frame, place in zip(frames, places, strict=True):
        stored = _stored(dataset, frame)
        odd_padding_hu = _fill(dataset, stored, _rescale(dataset, frame.index), slices_hu[place])
    return _File(tuple(places), len(places) * (text(dataset, "LossyImageCompression") == "01"), odd_padding_hu)


def _fill(header: Attributes, stored: NDArray[Any], rescale: tuple[float, float], plane_hu: NDArray[Any]) -> float | None:
    """Rescale one plane into its place; answers a padding value that stands for tissue, and so was not taken for padding.

    `stored` may be the memory of the plane itself.
    """
    slope, intercept = rescale
    empty, odd_padding_hu = _empty(header, stored, rescale)
    if plane_hu.dtype != np.int16:
        plane_hu[...] = stored
        if slope != 1.0:
            plane_hu *= np.float32(slope)
        plane_hu += np.float32(intercept)
        np.maximum(plane_hu, np.float32(AIR_HU), out=plane_hu)
    elif not _fill_whole(stored, rescale, plane_hu):
        values = np.rint(stored.astype(np.float32) * np.float32(slope) + np.float32(intercept))
        np.clip(values, AIR_HU, np.iinfo(np.int16).max, out=plane_hu, casting="unsafe")
    if empty is not None:
        plane_hu[empty] = AIR_HU
    return odd_padding_hu


def _fill_whole(stored: NDArray[Any], rescale: tuple[float, float], plane_hu: NDArray[np.int16]) -> bool:
    """Rescale 16-bit numbers by a whole intercept alone, without a wider type; False where that cannot be done.

    Clipped to what 16 bits hold after the shift, they may be shifted modulo 2**16, with sign or without.
    """
    slope, intercept = rescale
    if stored.dtype.itemsize != 2 or slope != 1.0 or not intercept.is_integer() or abs(intercept) > np.iinfo(np.int16).max:
        return False
    shift, kind = int(intercept), np.iinfo(stored.dtype)
    low, high = max(int(AIR_HU) - shift, kind.min), min(np.iinfo(np.int16).max - shift, kind.max)
    if low > high:
        return False
    np.clip(stored, low, high, out=plane_hu.view(stored.dtype.newbyteorder("=")))
    plane_hu += np.int16(shift)
    return True


def _empty(
    header: Attributes, stored: NDArray[Any], rescale: tuple[float, float]
) -> tuple[NDArray[np.bool_] | None, float | None]:
    """Voxels that were not scanned, None where they become air like everything below; and a padding value that tissue has."""
    padding = _padding(header)
    if padding is None:
        return None, None
    slope, intercept = rescale
    low, high = sorted(value * slope + intercept for value in padding)
    if high <= AIR_HU:
        return None, None
    if high <= _TISSUE_HU[0] or low >= _TISSUE_HU[1]:
        return (stored >= min(padding)) & (stored <= max(padding)), None
    return None, low


def _check(dataset: Dataset, frame: Frame) -> None:
    """Refuse what is not a complete grey CT image before any memory is asked for."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if syntax is None:
        msg = "an image file has no transfer syntax, so its pixels cannot be decoded: export it as a DICOM file again"
        raise InputError(msg)
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known:
        msg = (
            f"pixels are stored as {UID(syntax).name}, which cannot be decoded here: "
            "send them uncompressed, as JPEG Lossless, JPEG-LS, JPEG 2000, HTJ2K or RLE"
        )
        raise InputError(msg)
    samples, bits = integer(dataset, "SamplesPerPixel", 1), integer(dataset, "BitsAllocated")
    if samples != 1 or text(dataset, "PhotometricInterpretation") != "MONOCHROME2" or bits not in (8, 16, 32):
        kind = text(dataset, "PhotometricInterpretation") or "no Photometric Interpretation"
        msg = f"an image has {samples} samples of {bits} bits, {kind}; 1 sample of 8, 16 or 32 bits, MONOCHROME2, is needed"
        raise GeometryError(msg)
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        msg = "an image holds floating-point numbers, integers with Rescale Slope and Intercept are needed: send the originals"
        raise GeometryError(msg)
    pixels = dataset.get("PixelData")
    found = 0 if pixels is None else len(pixels)
    rows, columns = frame.shape_ji
    needed = rows * columns * integer(dataset, "NumberOfFrames", 1) * bits // 8
    if found == 0 or (not UID(syntax).is_encapsulated and found < needed):
        msg = f"an image file is cut short: {found} bytes of pixels found, {needed} needed; send the series again"
        raise GeometryError(msg)


def _stored(dataset: Dataset, frame: Frame) -> NDArray[np.integer[Any]]:
    """Stored values of one frame: (J, I)."""
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    try:
        plugin = _DECODERS.get(dataset.file_meta.TransferSyntaxUID, "")
        array, _ = decoder.as_array(dataset, index=frame.index, raw=True, decoding_plugin=plugin)
    except (*UNREADABLE, RuntimeError) as error:
        why = type(error).__name__
        msg = f"the pixels of an image cannot be decoded ({why}): the file is damaged or cut short; send the series again"
        raise GeometryError(msg) from error
    if array.shape != frame.shape_ji:
        msg = f"an image decodes to {array.shape} pixels, its header says {frame.shape_ji}: send the series again"
        raise GeometryError(msg)
    return array


def _rescale(dataset: Attributes, index: int) -> tuple[float, float]:
    """Rescale Slope and Intercept of one frame."""
    per_frame = cast("Sequence[Attributes]", dataset.get("PerFrameFunctionalGroupsSequence") or [])
    own: Attributes = per_frame[index] if index < len(per_frame) else {}
    shared = nested(dataset, "SharedFunctionalGroupsSequence")
    for source in (
        nested(own, "PixelValueTransformationSequence"),
        nested(shared, "PixelValueTransformationSequence"),
        dataset,
    ):
        slope, intercept = floats(source, "RescaleSlope", 1), floats(source, "RescaleIntercept", 1)
        if slope and intercept and slope[0] != 0:
            if max(abs(slope[0]), abs(intercept[0])) > _MAX_RESCALE:
                found = f"Rescale Slope is {slope[0]:g}, Rescale Intercept {intercept[0]:g}"
                msg = f"{found}, which makes no Hounsfield units: the header is damaged, send the series again"
                raise InputError(msg)
            return slope[0], intercept[0]
    msg = "an image has no Rescale Slope and Intercept, so its values are not Hounsfield units: send the originals"
    raise InputError(msg)


def _padding(dataset: Attributes) -> tuple[float, float] | None:
    """Stored values that mean 'not scanned': first and last."""
    value = floats(dataset, "PixelPaddingValue", 1)
    if value is None:
        return None
    limit = floats(dataset, "PixelPaddingRangeLimit", 1)
    return value[0], limit[0] if limit else value[0]
