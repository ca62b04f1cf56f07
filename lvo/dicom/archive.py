"""Unpack .zip, .tar and .tar.gz archives of DICOM files without trusting them.

Members are written under numbers of our own, so no name in an archive can reach outside the folder (zip-slip), overwrite a
file or carry a patient's name into a message. Links, devices and archives inside archives are left alone. Bytes are counted
as they are written, so a bomb stops at the limit whatever its headers promise.
"""

import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lvo.errors import InputError

__all__ = ["Limits", "is_archive", "unpack"]

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold.

    Args:
        members: number of files; a stroke study has a few thousand.
        total_bytes: unpacked size; the largest whole-brain perfusion study stays well below.
        ratio: unpacked / packed size, looked at beyond `ratio_from_bytes`; CT compresses 2 to 10 times, empty images 100 times.
        ratio_from_bytes: unpacked size below which the ratio does not matter.
    """

    members: int = 100_000
    total_bytes: int = 40 * 2**30
    ratio: float = 200.0
    ratio_from_bytes: int = 2 * 2**30


def is_archive(path: Path) -> bool:
    """Tell by its content whether a file is an archive that `unpack` opens."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    if start[:4] == b"PK\x03\x04" or start[:4] == b"PK\x05\x06" or start[257:262] == b"ustar":
        return True
    return start[:2] == b"\x1f\x8b" and tarfile.is_tarfile(path)


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> int:
    """Write every regular member into a folder, named 000000, 000001 ...

    Args:
        archive: .zip, .tar or .tar.gz file.
        folder: existing, empty folder.
        limits: how much it may hold; defaults suit a hospital study.

    Returns:
        Number of files written.

    Raises:
        InputError: it is damaged or encrypted, holds more than the limits, or the disk is full.
    """
    limits = limits or Limits()
    budget = _Budget(limits, archive.stat().st_size, shutil.disk_usage(folder).free)
    count = 0
    try:
        for source in _members(archive):
            count += 1
            budget.open_one()
            with closing(source), (folder / f"{count - 1:06d}").open("xb") as target:
                while chunk := source.read(_CHUNK):
                    budget.take(len(chunk))
                    target.write(chunk)
    except InputError:
        raise
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        msg = f"the archive cannot be unpacked ({type(error).__name__}): it is damaged, cut short or encrypted; send it again"
        raise InputError(msg) from error
    except OSError as error:
        msg = f"the archive cannot be unpacked: {error.strerror or type(error).__name__}"
        raise InputError(msg) from error
    return count


class _Budget:
    """Counts unpacked bytes and stops at the limit."""

    def __init__(self, limits: Limits, packed_bytes: int, free_bytes: int) -> None:
        self._limits = limits
        self._packed = max(packed_bytes, 1)
        self._most = min(limits.total_bytes, int(0.9 * free_bytes))
        self._taken = 0
        self._files = 0

    def open_one(self) -> None:
        """Count a file.

        Raises:
            InputError: there are too many.
        """
        self._files += 1
        if self._files > self._limits.members:
            msg = f"the archive holds more than {self._limits.members} files: unpack it and give the folder of one study"
            raise InputError(msg)

    def take(self, n_bytes: int) -> None:
        """Count bytes.

        Raises:
            InputError: it is too much.
        """
        self._taken += n_bytes
        if self._taken > self._most:
            limit_gib = self._most / 2**30
            msg = f"the archive unpacks to more than {limit_gib:.1f} GiB, the limit: unpack it and give the folder of one study"
            raise InputError(msg)
        if self._taken > self._limits.ratio_from_bytes and self._taken / self._packed > self._limits.ratio:
            ratio = self._limits.ratio
            msg = f"the archive unpacks to more than {ratio:.0f} times its size, no image data does: it was not opened"
            raise InputError(msg)


def _members(archive: Path) -> Iterator[IO[bytes]]:
    """Every regular file of an archive, opened."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as pack:
            for info in pack.infolist():
                kind = info.external_attr >> 28  # the Unix file type: 8 is a regular file, 10 a link, 0 unknown
                if not info.is_dir() and kind in (0, 8):
                    yield pack.open(info)
        return
    with tarfile.open(archive, "r:*") as pack:
        for member in pack:
            source = pack.extractfile(member) if member.isreg() else None
            if source is not None:
                yield source
