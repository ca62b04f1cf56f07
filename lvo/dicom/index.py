"""Find the studies in whatever was given: folders, a DICOMDIR, archives, single files. Headers only.

What is not DICOM is skipped and counted by kind; what claims to be DICOM and cannot be read ends in the notes of the study.
File names are never repeated in messages, since they often hold the patient's name.
"""

import filecmp
import os
import stat
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom

from lvo.core.study import InstanceRef, SeriesRef, Study, StudyNote
from lvo.dicom.archive import is_archive, unpack
from lvo.dicom.headers import UNREADABLE, Header, looks_like_dicom, quiet, read_header
from lvo.errors import InputError

__all__ = ["open_studies"]

_EMPTY, _ZIP = "empty file", "zip archive"
_DICOMDIR = "1.2.840.10008.1.3.10"
_HEAD_BYTES = 512
_KINDS = (
    (b"PK\x03\x04", _ZIP), (b"\x1f\x8b", "compressed file"), (b"%PDF", "PDF"), (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"), (b"GIF8", "picture"), (b"BM", "picture"), (b"\x7fELF", "program"), (b"MZ", "program"),
)  # fmt: skip


@dataclass(slots=True)
class _Found:
    """What a walk over the files has found so far."""

    headers: list[Header] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


@contextmanager
def open_studies(paths: Sequence[Path]) -> Iterator[tuple[Study, ...]]:
    """Find every study in folders (any depth, any file names), DICOMDIR files, .zip / .tar / .tar.gz archives and single files.

    Archives are unpacked to a temporary folder that is deleted at the end of the `with` block; load within it.

    Args:
        paths: what to look through, together.

    Yields:
        The studies, ordered by Study Instance UID; their series by number, then UID; their images by UID.

    Raises:
        InputError: a path is absent, an archive is damaged or too large, or nothing can be read as DICOM.
    """
    with ExitStack() as cleanup:
        found = _Found()
        for path in paths:
            _look(path, found, cleanup)
        if not found.headers:
            raise InputError(_nothing(found, len(paths)))
        yield _studies(found)


def _look(path: Path, found: _Found, cleanup: ExitStack) -> None:
    """Index one thing that was given."""
    try:
        there = path.exists()
    except OSError as error:  # it lies in a folder that is closed to us
        msg = f"{path} cannot be read: {error.strerror}"
        raise InputError(msg) from error
    if not there:
        msg = f"{path}: no such file or folder"
        raise InputError(msg)
    if path.is_dir():
        _read_all(_files_below(path), found)
    elif not path.is_file():
        _read_all([path], found)
    elif is_archive(path):
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="lvo-", ignore_cleanup_errors=True)))
        unpack(path, folder)
        _read_all(_files_below(folder), found)
    elif _is_dicomdir(path):
        _read_all(_listed(path, found), found)
    else:
        _read_all([path], found)


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in order; links to folders are not followed, so there is no endless loop."""
    try:
        for root, folders, files in os.walk(folder, onerror=_raise):
            folders.sort()
            for name in sorted(files):
                yield Path(root) / name
    except OSError as error:
        msg = f"a folder cannot be read: {error.strerror}"
        raise InputError(msg) from error


def _raise(error: OSError) -> None:
    """`os.walk` hides errors unless told otherwise."""
    raise error


def _read_all(files: Iterable[Path], found: _Found) -> None:
    """Read the headers of files, count what is not DICOM."""
    for path in files:
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
                found.other["pipe, socket or device"] += 1
                continue
            with path.open("rb") as file:
                start = file.read(_HEAD_BYTES)
        except OSError as error:
            found.unreadable[error.strerror or "cannot be opened"] += 1
            continue
        if not looks_like_dicom(start):
            found.other[_kind(start)] += 1
            continue
        try:
            found.headers.append(read_header(path))
        except InputError as error:
            if _is_dicomdir(path):
                found.other["DICOMDIR"] += 1
            else:
                found.unreadable[str(error)] += 1


def _kind(start: bytes) -> str:
    """What a file that is not DICOM looks like."""
    if not start:
        return _EMPTY
    for magic, kind in _KINDS:
        if start.startswith(magic):
            return kind
    text = all(byte >= 32 or byte in b"\t\n\r\f\x1b" for byte in start)
    return "text" if text else "unknown"


def _is_dicomdir(path: Path) -> bool:
    """Tell whether a file is the directory of a DICOM medium (PS3.10 section 8.6), whatever its name."""
    try:
        with path.open("rb") as file:
            if not looks_like_dicom(file.read(_HEAD_BYTES)):
                return False
        with quiet():
            meta = pydicom.filereader.read_file_meta_info(path)
            return str(meta.get("MediaStorageSOPClassUID", "")) == _DICOMDIR
    except UNREADABLE:
        return False


def _listed(dicomdir: Path, found: _Found) -> list[Path]:
    """Files that a DICOMDIR lists and that are there; those that are not go to the notes."""
    with quiet():
        try:
            records = list(pydicom.dcmread(dicomdir).DirectoryRecordSequence)
            names = [record.get("ReferencedFileID") for record in records]
        except UNREADABLE as error:
            msg = f"the DICOMDIR cannot be read ({type(error).__name__}): give the folder instead"
            raise InputError(msg) from error
    parts = [[name] if isinstance(name, str) else list(name) for name in names if name]
    files = [_resolve(dicomdir.resolve().parent, item) for item in parts]
    missing = sum(file is None for file in files)
    if missing:
        found.notes.append(f"{missing} of {len(files)} files listed in the DICOMDIR are not on the medium")
    return [file for file in files if file is not None]


def _resolve(folder: Path, parts: Sequence[str]) -> Path | None:
    """A listed file, below the folder of the DICOMDIR or one of its parents (a DICOMDIR may have been copied down)."""
    if not parts or any(part in ("", ".", "..") or "/" in part or "\\" in part for part in parts):
        return None
    for base in (folder, *folder.parents[: len(parts) - 1]):
        for names in (parts, [part.lower() for part in parts]):
            candidate = base.joinpath(*names)
            if candidate.is_file():
                return candidate
    return None


def _nothing(found: _Found, n_paths: int) -> str:
    """Say what was found instead of DICOM."""
    kinds = [f"{count} x {kind}" for kind, count in sorted((found.other + found.unreadable).items())]
    total = sum(found.other.values()) + sum(found.unreadable.values())
    where = "what was given" if n_paths == 1 else f"the {n_paths} paths given"
    files = "no files" if total == 0 else f"{total} file{'s' * (total > 1)} ({', '.join(kinds)})"
    notes = "".join(f"; {note}" for note in found.notes)
    needed = "a folder, DICOMDIR, .zip or .tar.gz with DICOM images is needed"
    if found.other[_ZIP]:
        needed += "; an archive in a folder or in another archive is not opened: give it by itself"
    return f"nothing readable as DICOM in {where}: found {files}{notes}; {needed}"


def _studies(found: _Found) -> tuple[Study, ...]:
    """Group headers into studies and series."""
    by_study: dict[str, dict[str, list[Header]]] = defaultdict(lambda: defaultdict(list))
    copies = 0
    seen: dict[tuple[str, str, str], Header] = {}
    for header in found.headers:
        key = (header.study_uid, header.series_uid, header.sop_instance_uid)
        if key in seen and filecmp.cmp(seen[key].path, header.path, shallow=False):
            copies += 1
            continue
        seen.setdefault(key, header)
        by_study[header.study_uid][header.series_uid].append(header)
    notes = _notes(found, copies)
    return tuple(
        Study(uid, tuple(sorted((_series(headers) for headers in series.values()), key=_series_order)), notes)
        for uid, series in sorted(by_study.items())
    )


def _notes(found: _Found, copies: int) -> tuple[StudyNote, ...]:
    """Say what could not be read or was left out; an empty file is what an interrupted transfer leaves of an image."""
    notes = [StudyNote("study.incomplete", text) for text in found.notes]
    for why, count in sorted(found.unreadable.items()):
        notes.append(StudyNote("study.unreadable", f"{count} DICOM file{'s' * (count > 1)} could not be read: {why}"))
    empty = found.other[_EMPTY]
    if empty:
        text = f"{empty} file{'s are' if empty > 1 else ' is'} empty; if images were meant, send them again"
        notes.append(StudyNote("study.empty_file", text))
    if copies:
        what = (
            "1 file is an exact copy of another and was"
            if copies == 1
            else f"{copies} files are exact copies of others and were"
        )
        notes.append(StudyNote("study.copies", f"{what} left out", warning=False))
    return tuple(notes)


def _series(headers: Sequence[Header]) -> SeriesRef:
    """One series from the headers of its objects."""
    ordered = sorted(headers, key=lambda header: header.sop_instance_uid)
    usual = Counter(header.sop_class_uid for header in ordered).most_common(1)[0][0]  # a stray object does not name the series
    first = next(header for header in ordered if header.sop_class_uid == usual)
    instances = [
        InstanceRef(header.path, header.sop_instance_uid, header.sop_class_uid, max(1, len(header.frames)))
        for header in headers
    ]
    return SeriesRef(
        first.series_uid,
        first.modality,
        first.description,
        first.series_number,
        tuple(sorted(instances, key=lambda instance: (instance.sop_instance_uid, str(instance.path)))),
    )


def _series_order(series: SeriesRef) -> tuple[float, str]:
    """Series number, then UID; series without a number last."""
    return (float("inf") if series.number is None else series.number, series.series_instance_uid)
