"""Studies below a folder: one header per folder tells which folders belong together; archives stand for themselves."""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from lvo.batch.records import Item
from lvo.dicom.archive import is_archive
from lvo.dicom.headers import looks_like_dicom, read_header
from lvo.errors import InputError

__all__ = ["ARCHIVE_NAME", "DIRECTLY", "files_below", "files_of", "find_items", "fingerprint"]

DIRECTLY = "/*"
"""Ends a location that means the files right in a folder and not what lies in folders below."""

ARCHIVE_NAME = re.compile(r"\.(zip|tar|tar\.gz|tgz)$", re.IGNORECASE)
"""What archives are called; whether they are is told by their content, where that can be looked at."""

_START_BYTES = 132


def find_items(root: Path) -> Iterator[Item]:
    """Everything at or below a path that is to be opened together.

    Folders whose first DICOM file has the same Study Instance UID are one item. So is an archive, and a lowest folder without
    any DICOM file: that one will fail and say so, since a study that arrived broken must not vanish. Hidden files and folders
    are left out, links to folders not followed.

    Raises:
        InputError: the path is absent or a folder cannot be read.
    """
    if not root.exists():
        msg = f"{root}: no such file or folder"
        raise InputError(msg)
    if not root.is_dir():
        yield Item(str(root.resolve()), (str(root.resolve()),), fingerprint([root]))
        return
    together: dict[str, list[Path]] = defaultdict(list)
    alone: list[Path] = []
    for folder, lowest, files in _walk(root.resolve()):
        archives = [path for path in files if ARCHIVE_NAME.search(path.name) and is_archive(path)]
        alone += archives
        uid = _study_of(path for path in files if path not in archives)
        if uid:
            together[uid].append(folder)
        elif lowest and len(files) > len(archives):
            alone.append(folder)
    for uid, folders in sorted(together.items()):
        files = [path for folder in folders for path in files_of(folder)]
        yield Item(f"{root.resolve()} {uid}", tuple(f"{folder}{DIRECTLY}" for folder in folders), fingerprint(files))
    for path in sorted(alone):
        yield Item(str(path), (str(path),), fingerprint(files_of(path) if path.is_dir() else [path]))


def files_of(folder: Path) -> list[Path]:
    """The files right in a folder that can be images: no archives, no hidden files, no DICOMDIR, which only repeats them.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        msg = f"a folder cannot be read: {error.strerror}"
        raise InputError(msg) from error
    paths = [folder / name for name in entries if name.upper() != "DICOMDIR"]
    return [path for path in paths if not (ARCHIVE_NAME.search(path.name) and is_archive(path))]


def files_below(path: Path) -> Iterator[Path]:
    """A file itself, or every file at or below a folder that is not hidden.

    Raises:
        InputError: a folder cannot be read.
    """
    if not path.is_dir():
        yield path
        return
    for _, _, files in _walk(path):
        yield from files


def fingerprint(files: Iterable[Path]) -> str:
    """Changes when a file comes, goes or is written: number, bytes and newest time, without opening any."""
    n, n_bytes, newest_ns = 0, 0, 0
    for path in files:
        try:
            found = path.stat()
        except OSError:
            continue  # it went in this moment; the next look will tell
        n, n_bytes, newest_ns = n + 1, n_bytes + found.st_size, max(newest_ns, found.st_mtime_ns)
    return hashlib.sha256(f"{n} {n_bytes} {newest_ns}".encode()).hexdigest()[:16]


def _walk(root: Path) -> Iterator[tuple[Path, bool, list[Path]]]:
    """Every folder, whether it is a lowest one, and its files."""

    def fail(error: OSError) -> None:
        msg = f"a folder cannot be read: {error.strerror}"
        raise InputError(msg) from error

    for place, folders, names in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(place) / name for name in sorted(names) if not name.startswith(".")]
        yield Path(place), not folders, files


def _study_of(files: Iterable[Path]) -> str:
    """Study Instance UID of the first file that is DICOM; empty if none is."""
    for path in files:
        try:
            with path.open("rb") as file:
                start = file.read(_START_BYTES)
            if looks_like_dicom(start):
                return read_header(path).study_uid
        except (OSError, InputError):
            continue
    return ""
