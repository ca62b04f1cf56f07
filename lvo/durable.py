"""Files and databases that outlive a power cut."""

import errno
import hashlib
import os
import shutil
import sqlite3
import time
import uuid
from pathlib import Path

__all__ = [
    "create_file",
    "free_of",
    "make_folder",
    "open_database",
    "replace_file",
    "sha256_of",
    "sync_file",
    "sync_folder",
    "sync_tree",
]

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}
"""How file systems say that they have no hard links: FAT, some SMB servers, FUSE without the call."""

_WAIT_S = 0.02
"""Between two tries at a file that another connection is just turning into a write-ahead log."""


def open_database(path: Path, *, busy_s: float) -> sqlite3.Connection:
    """Open an SQLite file, made if it is not there, whose commits are on the disk when they return.

    SQLite asks no busy handler while a file is turned into a write-ahead log (sqlite.org/wal.html, "Sometimes queries return
    SQLITE_BUSY"): of two programs that open a new file at once one would fail. Here it waits as for any other lock.

    Args:
        path: the file, on a local disk.
        busy_s: how long to wait for another program's transaction, in seconds.

    Raises:
        sqlite3.Error: it cannot be opened or written.
    """
    database = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        _use_log(database, until=time.monotonic() + busy_s)
        database.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _use_log(database: sqlite3.Connection, *, until: float) -> None:
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_WAIT_S)
        else:
            return


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a file so that its name always stands for the whole of the old or of the new content.

    Args:
        path: the file, in a folder that is there.
        content: of it.
        mode: who may read it, from the moment it is there; by the umask if None.

    Raises:
        OSError: it cannot be written; the old one stays then, and nothing lies beside it.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def create_file(path: Path, content: bytes) -> None:
    """Write a file that nobody else has: of several that try, one succeeds.

    It appears with its content. On a file system without hard links it appears empty and is filled at once, so whoever reads
    must be able to tell that it is not complete yet; who dies in between leaves it so. The disk is not waited for: a power cut
    may leave the file empty too.

    Raises:
        FileExistsError: it is there already.
        OSError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        beside.write_bytes(content)
        os.link(beside, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _create_in_place(path, content)
    finally:
        beside.unlink(missing_ok=True)


def _create_in_place(path: Path, content: bytes) -> None:
    try:
        file = path.open("xb")
    except PermissionError as error:
        if path.exists():  # SFTP has no word for it
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise
    try:
        with file:
            file.write(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def sync_file(path: Path) -> None:
    """Bring the content of a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: Path) -> None:
    """Bring a folder and everything below it to the disk."""
    for root, _, files in os.walk(path):
        for name in files:
            sync_file(Path(root) / name)
        sync_folder(Path(root))


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each on the disk before the next."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_of(path: Path) -> tuple[float, float]:
    """Percent in use, and megabytes left, of the disk a folder lies on."""
    usage = shutil.disk_usage(path)
    return 100.0 * (1.0 - usage.free / usage.total), usage.free / 1e6
