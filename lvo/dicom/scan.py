"""A quick look at the header of an ordinary DICOM file: few elements, no library, and no answer where anything is unusual.

pydicom reads everything and takes a millisecond per file; a perfusion scan has ten thousand. This reader walks the elements of
a file with preamble in little endian, keeps the few asked for, and notes where the pixels are. Whatever it does not know by
heart (big endian, sequences that are asked for, other alphabets, damaged lengths) it leaves to pydicom by answering None, so a
file is never read differently, only sooner: `tests/dicom/test_in_scan.py` compares the two on every file that pydicom ships.

References:
    DICOM PS3.5 chapter 7 (data elements), PS3.10 chapter 7 (file meta information). Decision 0012.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import AllTransferSyntaxes, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

__all__ = ["ABSENT_SYNTAX", "Scan", "Wanted", "is_deflated", "is_native", "scan_file", "transfer_syntax"]

ABSENT_SYNTAX = ""
"""What `transfer_syntax` answers for a file that names none."""

_PREAMBLE = 128
_HEAD_BYTES = (1 << 15, 1 << 20)
"""Most headers end within 32 KiB; private elements of some scanners fill hundreds. Beyond a megabyte pydicom may look."""

_PIXEL_DATA = 0x7FE00010
_END_OF_HEADER = frozenset({0x7FE00008, 0x7FE00009, _PIXEL_DATA})
"""Pixels; as floating-point numbers in the first two."""
_SYNTAX = 0x00020010
_CHARACTER_SET = 0x00080005
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
"""Value representations whose length takes four bytes (PS3.5 7.1.2)."""
_SHORT = frozenset({
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST",
    b"TM", b"UI", b"UL", b"US",
})  # fmt: skip
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f"}
_MAX_DEPTH = 16
_DEFLATED = frozenset(str(uid) for uid in AllTransferSyntaxes if "Deflate" in uid.name)
_NATIVE = frozenset({str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)})
_READABLE = frozenset(map(str, AllTransferSyntaxes)) - _DEFLATED - {str(ExplicitVRBigEndian)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The elements to keep: keyword and value representation by tag."""

    by_tag: Mapping[int, tuple[str, str]]

    @classmethod
    def of(cls, *keywords: str) -> "Wanted":
        """Look the keywords up in the standard."""
        tags = {keyword: tag_for_keyword(keyword) for keyword in keywords}
        return cls({tag: (keyword, dictionary_VR(tag)) for keyword, tag in tags.items() if tag is not None})


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found.

    Args:
        values: by keyword: text without padding, a list where there are several, a number for binary values.
        syntax: Transfer Syntax UID.
        pixels_at: where the element with the pixels starts in the file, or the file ends without any.
        value_at: where its value starts; `pixels_at` where there is none.
        value_bytes: length of the value, 0 without integers, -1 where it is in fragments (compressed).
    """

    values: Mapping[str, object]
    syntax: str
    pixels_at: int
    value_at: int
    value_bytes: int


def scan_file(path: Path, wanted: Wanted) -> Scan | None:
    """Look at one file; None where pydicom has to.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = b""
        for size in _HEAD_BYTES:
            head += file.read(size - len(head))
            try:
                return _scan(head, wanted, whole=len(head) < size)
            except _OutOfHeadError:
                continue
            except (_UnusualError, struct.error, ValueError, UnicodeDecodeError):
                return None
    return None


def transfer_syntax(head: bytes) -> str:
    """Transfer Syntax UID that the start of a file names, in or out of a preamble; `ABSENT_SYNTAX` where it names none."""
    at = _PREAMBLE + 4 if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
    try:
        return _meta(head, at)[0]
    except (_OutOfHeadError, _UnusualError, struct.error, ValueError):
        return ABSENT_SYNTAX


def is_native(syntax: str) -> bool:
    """Whether pixels lie in the file as they are, little endian."""
    return syntax in _NATIVE


def is_deflated(head: bytes) -> bool:
    """Whether a data set is packed as a whole, so that a few bytes may unfold to any number: by the start of its file.

    Where that names no transfer syntax in an orderly way, the mere mention of such a one counts.
    """
    syntax = transfer_syntax(head)
    return syntax in _DEFLATED if syntax else any(uid.encode() in head for uid in _DEFLATED)


class _UnusualError(Exception):
    """Something that is better left to pydicom."""


class _OutOfHeadError(Exception):
    """The header goes on beyond the bytes at hand."""


def _scan(head: bytes, wanted: Wanted, *, whole: bool) -> Scan:
    """Scan the start of a file; `whole` where it is all of it."""
    if head[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise _UnusualError
    syntax, at = _meta(head, _PREAMBLE + 4)
    if syntax not in _READABLE:
        raise _UnusualError
    explicit = syntax != ImplicitVRLittleEndian
    values: dict[str, object] = {}
    last = 0
    while at < len(head) or not whole:
        tag, vr, start, length = _element(head, at, explicit=explicit)
        if tag in _END_OF_HEADER:
            value_bytes = 0 if tag != _PIXEL_DATA else -1 if length == _UNDEFINED else length
            return Scan(values, syntax, at, start, value_bytes)
        if tag <= last:  # elements out of order: whoever wrote this did not know the standard
            raise _UnusualError
        last = tag
        known = wanted.by_tag.get(tag)
        if known is not None or tag == _CHARACTER_SET:
            if length == _UNDEFINED or start + length > len(head):
                raise _OutOfHeadError if length != _UNDEFINED and not whole else _UnusualError
            _keep(values, tag, known, vr, head[start : start + length])
        at = _skip_sequence(head, start, vr, explicit=explicit, depth=0) if length == _UNDEFINED else start + length
    if at != len(head):
        raise _UnusualError
    return Scan(values, syntax, at, at, 0)


def _meta(head: bytes, at: int) -> tuple[str, int]:
    """Transfer syntax, and where the data set starts: the file meta information is always explicit, little endian."""
    syntax = ABSENT_SYNTAX
    while head[at : at + 2] == b"\x02\x00":
        tag, _, start, length = _element(head, at, explicit=True)
        if length == _UNDEFINED or start + length > len(head):
            raise _UnusualError
        if tag == _SYNTAX:
            syntax = head[start : start + length].rstrip(b"\0 ").decode("ascii")
        at = start + length
    return syntax, at


def _element(head: bytes, at: int, *, explicit: bool) -> tuple[int, bytes, int, int]:
    """Tag, value representation (empty when implicit), start and length of the value."""
    if at + 12 > len(head):
        raise _OutOfHeadError
    group, number = struct.unpack_from("<HH", head, at)
    tag = group << 16 | number
    if not explicit or group == 0xFFFE:
        (length,) = struct.unpack_from("<I", head, at + 4)
        return tag, b"", at + 8, length
    vr = head[at + 4 : at + 6]
    if vr in _SHORT:
        (length,) = struct.unpack_from("<H", head, at + 6)
        return tag, vr, at + 8, length
    if vr in _LONG:
        (length,) = struct.unpack_from("<I", head, at + 8)
        return tag, vr, at + 12, length
    raise _UnusualError


def _skip_sequence(head: bytes, at: int, vr: bytes, *, explicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends."""
    if depth > _MAX_DEPTH or vr not in (b"", b"SQ"):  # UN of undefined length changes the encoding inside
        raise _UnusualError
    while True:
        tag, _, start, length = _element(head, at, explicit=explicit)
        if tag == _SEQUENCE_END:
            return start
        if tag != _ITEM:
            raise _UnusualError
        at = _skip_item(head, start, explicit=explicit, depth=depth) if length == _UNDEFINED else start + length


def _skip_item(head: bytes, at: int, *, explicit: bool, depth: int) -> int:
    """Where an item of undefined length ends."""
    while True:
        tag, vr, start, length = _element(head, at, explicit=explicit)
        if tag == _ITEM_END:
            return start
        at = _skip_sequence(head, start, vr, explicit=explicit, depth=depth + 1) if length == _UNDEFINED else start + length


def _keep(values: dict[str, object], tag: int, known: tuple[str, str] | None, vr: bytes, raw: bytes) -> None:
    """Decode one element, in place."""
    if tag == _CHARACTER_SET:
        if raw.strip(b" \0") not in (b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 192"):
            raise _UnusualError
        return
    keyword, expected = known or ("", "")
    if expected == "US or SS":  # PS3.6: the sign follows from Pixel Representation, which stands before
        expected = vr.decode("ascii") if vr in (b"US", b"SS") else "SS" if values.get("PixelRepresentation") == 1 else "US"
    if vr and vr.decode("ascii") != expected:  # "US or SS" and the like, and scanners with opinions
        raise _UnusualError
    if expected == "SQ":
        if raw:
            raise _UnusualError
        return
    if not raw:
        values[keyword] = None
        return
    if expected in _NUMBERS:
        numbers = struct.unpack(f"<{len(raw) // struct.calcsize(_NUMBERS[expected])}{_NUMBERS[expected]}", raw)
        values[keyword] = numbers[0] if len(numbers) == 1 else list(numbers)
        return
    text = raw.decode("ascii")  # what is not ASCII goes to pydicom with its character set
    if "\x1b" in text:
        raise _UnusualError
    parts = [part.strip(" \0") for part in text.split("\\")]
    values[keyword] = parts[0] if len(parts) == 1 else parts
