"""Read what a DICOM file says about itself, without its pixels and without who the patient is."""

import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lvo.dicom.frames import Attributes, Frame, frames_of, integer, nested, text
from lvo.dicom.scan import Wanted, is_deflated, scan_file
from lvo.errors import InputError

__all__ = ["UNREADABLE", "Header", "looks_like_dicom", "quiet", "read_dataset", "read_header"]

UNREADABLE = (
    InvalidDicomError, BytesLengthException, ValueError, TypeError, EOFError, KeyError, AttributeError, IndexError,
    NotImplementedError, OverflowError, RecursionError, MemoryError, OSError, struct.error,
)  # fmt: skip
"""What parsing a damaged DICOM file can raise."""

_PREAMBLE = 128
_META_BYTES = 1 << 20
_CACHED_HEADERS = 20_000
_ELEMENT_HEADER_BYTES: dict[str, int] = {ImplicitVRLittleEndian: 8, ExplicitVRLittleEndian: 12, ExplicitVRBigEndian: 12}

_KEYWORDS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "SeriesNumber",
    "SeriesDescription", "ProtocolName", "BodyPartExamined", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "FrameOfReferenceUID",
    "ContrastBolusAgent", "ContrastBolusVolume", "ContrastBolusStartTime", "ContrastBolusAgentSequence",
    "ConvolutionKernel", "RescaleType", "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentTime",
    "TemporalPositionIdentifier", "TemporalResolution", "TriggerTime", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "InstanceNumber", "SliceLocation", "BitsAllocated",
]  # fmt: skip
_TAGS = [Tag(keyword) for keyword in _KEYWORDS]
_WANTED = Wanted.of(*_KEYWORDS)


@dataclass(frozen=True, slots=True)
class Header:
    """What one DICOM object says that decides its role and its place.

    Args:
        path: its file.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        sop_instance_uid: SOP Instance UID.
        sop_class_uid: SOP Class UID.
        modality: Modality.
        series_number: Series Number, None when absent.
        description: Series Description.
        protocol: Protocol Name.
        body_part: Body Part Examined.
        image_type: Image Type, upper case; with the Frame Type of a multi-frame object.
        contrast: Contrast/Bolus Agent, "yes" when only a dose or a start time is recorded, empty without any.
        kernel: Convolution Kernel.
        rescale_type: Rescale Type.
        samples_per_pixel: 1 for grey, 3 for colour.
        frame_of_reference_uid: Frame of Reference UID.
        cut_short: whether the file ends before its pixels do; always False for compressed pixels, whose size no header tells.
        frames: its image planes; none for reports and other objects without pixels.
    """

    path: Path
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    series_number: int | None
    description: str
    protocol: str
    body_part: str
    image_type: tuple[str, ...]
    contrast: str
    kernel: str
    rescale_type: str
    samples_per_pixel: int
    frame_of_reference_uid: str
    cut_short: bool
    frames: tuple[Frame, ...]


def looks_like_dicom(start: bytes) -> bool:
    """Tell from its first 132 bytes whether a file claims to be DICOM: the DICM mark, or a bare data set of group 2 or 8."""
    if start[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return True
    return len(start) >= 8 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3] == 0 and start[2] in (0, 1, 5, 8, 0x16)


def read_header(path: Path) -> Header:
    """Read the header of a DICOM file; a second call for an unchanged file is free.

    Raises:
        InputError: the file is damaged, or lacks one of the identifiers that place it in a study.
    """
    try:
        status = path.stat()
    except OSError as error:
        msg = f"a DICOM file cannot be read: {error.strerror}"
        raise InputError(msg) from error
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=_CACHED_HEADERS)
def _read(path: Path, _mtime_ns: int, size: int) -> Header:
    """Read once per state of the file."""
    try:
        scan = scan_file(path, _WANTED)
        header = _by_pydicom(path, size) if scan is None else _header(scan.values, path, scan.syntax, size - scan.pixels_at)
    except InputError:
        raise
    except UNREADABLE as error:
        msg = f"damaged DICOM header ({type(error).__name__})"
        raise InputError(msg) from error
    missing = [
        name
        for name, value in (
            ("SOP Class UID", header.sop_class_uid),
            ("SOP Instance UID", header.sop_instance_uid),
            ("Study Instance UID", header.study_uid),
            ("Series Instance UID", header.series_uid),
        )
        if not value
    ]
    if missing:
        msg = f"no {', '.join(missing)}"
        raise InputError(msg)
    return header


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning and logging of values that break the letter of the standard: it quotes them, names among them.

    What matters is checked where it is used. Not to be entered by several threads at once.
    """
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def read_dataset(path: Path, *, pixels: bool = True, tags: Sequence[BaseTag] | None = None) -> tuple[FileDataset, int]:
    """Read a file with pydicom, within `quiet`; the data set, and where it stopped reading.

    Raises:
        InputError: the file is packed as a whole: pydicom would unfold it in memory, whatever its size (900 MB were seen for a
            file of 300 kB).
    """
    with path.open("rb") as file:
        if is_deflated(file.read(_META_BYTES)):
            msg = "stored as Deflated Explicit VR Little Endian, which is not opened: it may unfold to any size: send it plain"
            raise InputError(msg)
        file.seek(0)
        tags = None if tags is None else list(tags)
        dataset = pydicom.dcmread(file, stop_before_pixels=not pixels, force=True, specific_tags=tags)
        return dataset, file.tell()


def _by_pydicom(path: Path, size: int) -> Header:
    """The header of a file that is unusual in some way."""
    with quiet():
        dataset, at = read_dataset(path, pixels=False, tags=_TAGS)
        syntax = text(getattr(dataset, "file_meta", {}), "TransferSyntaxUID")
        return _header(dataset, path, syntax, size - at)


def _header(dataset: Attributes, path: Path, syntax: str, left: int) -> Header:
    """Turn attributes into a record; `left` bytes follow them in the file."""
    shared = nested(dataset, "SharedFunctionalGroupsSequence")
    frame_type = nested(shared, "CTImageFrameTypeSequence")
    reconstruction = nested(shared, "CTReconstructionSequence")
    number = integer(dataset, "SeriesNumber", -1)
    return Header(
        path=path,
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        sop_class_uid=text(dataset, "SOPClassUID"),
        modality=text(dataset, "Modality").upper(),
        series_number=None if number < 0 else number,
        description=text(dataset, "SeriesDescription"),
        protocol=text(dataset, "ProtocolName"),
        body_part=text(dataset, "BodyPartExamined").upper(),
        image_type=(*_words(dataset, "ImageType"), *_words(frame_type, "FrameType")),
        contrast=_contrast(dataset),
        kernel="\\".join(_words(dataset, "ConvolutionKernel") or _words(reconstruction, "ConvolutionKernel")),
        rescale_type=text(dataset, "RescaleType").upper(),
        samples_per_pixel=integer(dataset, "SamplesPerPixel", 1),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        cut_short=_cut_short(dataset, syntax, left),
        frames=frames_of(dataset, path),
    )


def _cut_short(dataset: Attributes, syntax: str, left: int) -> bool:
    """Whether fewer bytes are left than the pixel element needs: its header (PS3.5 7.1.2 and 7.1.3) and its value."""
    if syntax not in _ELEMENT_HEADER_BYTES:
        return False
    sizes = [integer(dataset, name) for name in ("Rows", "Columns", "BitsAllocated")]
    needed_bits = math.prod(sizes) * integer(dataset, "SamplesPerPixel", 1) * integer(dataset, "NumberOfFrames", 1)
    return needed_bits > 0 and left < _ELEMENT_HEADER_BYTES[syntax] + needed_bits // 8


def _words(dataset: Attributes, keyword: str) -> tuple[str, ...]:
    """A multi-valued code string in upper case."""
    value = text(dataset, keyword)
    return tuple(item.strip().upper() for item in value.split("\\")) if value else ()


def _contrast(dataset: Attributes) -> str:
    """The contrast agent recorded, "yes" when only its dose or start is."""
    agent = text(dataset, "ContrastBolusAgent")
    if agent:
        return agent
    dose = text(dataset, "ContrastBolusVolume")
    given = bool(dataset.get("ContrastBolusAgentSequence")) or text(dataset, "ContrastBolusStartTime") or dose.strip("0. ")
    return "yes" if given else ""
