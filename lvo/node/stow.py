"""The DICOMweb door: STOW-RS (PS3.18 10.5) for images in multipart/related; each part goes to the disk as it comes."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser
from starlette.concurrency import run_in_threadpool

from lvo.errors import InputError, OutputError
from lvo.node.inbox import FullError, Inbox

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["StowAnswer", "boundary_of", "receive"]

_PROCESSING_FAILURE, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0110, 0xA700, 0xC000
"""Failure Reason (PS3.18 table 10.5.3-1)."""


@dataclass(slots=True)
class StowAnswer:
    """What became of the parts: the answer to the sender."""

    stored: list[dict[str, object]] = field(default_factory=list)
    failed: list[dict[str, object]] = field(default_factory=list)
    full: bool = False

    @property
    def status(self) -> int:
        """HTTP status (PS3.18 table 10.5.3-2)."""
        if self.full and not self.stored:
            return 503
        return 200 if not self.failed else 202 if self.stored else 409

    @property
    def document(self) -> dict[str, object]:
        """DICOM JSON."""
        found = {"00081199": self.stored, "00081198": self.failed}
        return {tag: {"vr": "SQ", "Value": items} for tag, items in found.items() if items}


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of multipart/related with DICOM objects, None where a request is something else."""
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    kind = message.get_param("type", "application/dicom")
    if message.get_content_type() != "multipart/related" or kind != "application/dicom" or not isinstance(boundary, str):
        return None
    return boundary.encode("latin-1", "ignore")


async def receive(
    body: AsyncIterator[bytes], boundary: bytes, inbox: Inbox, *, study_uid: str | None, limit: int, peer: str
) -> StowAnswer:
    """Take in every part of a request.

    Args:
        body: of the request.
        boundary: between the parts.
        inbox: that takes the images.
        study_uid: that all images must belong to; any if None.
        limit: bytes of one image.
        peer: address of the sender.

    Raises:
        InputError: the body is no multipart message, or a part is too large.
    """
    answer, parts = StowAnswer(), _Parts(inbox.incoming, limit)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        async for chunk in body:
            await run_in_threadpool(parser.write, chunk)
            for path in parts.take():
                await run_in_threadpool(_accept, path, inbox, answer, study_uid, peer)
        parser.finalize()
    except MultipartParseError as error:
        msg = "the body is not multipart/related with the boundary that its header names"
        raise InputError(msg) from error
    finally:
        parts.close()
    return answer


def _accept(path: Path, inbox: Inbox, answer: StowAnswer, study_uid: str | None, peer: str) -> None:
    try:
        accepted = inbox.accept(path, door="stow", peer=peer, study_uid=study_uid)
    except FullError:
        answer.full = True
        answer.failed.append(_reason(_OUT_OF_RESOURCES))
    except OutputError:
        answer.failed.append(_reason(_PROCESSING_FAILURE))
    except InputError:
        answer.failed.append(_reason(_CANNOT_UNDERSTAND))
    else:
        who = accepted.identity
        uids = {"00081150": who.sop_class_uid, "00081155": who.sop_uid}
        answer.stored.append({tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()})


def _reason(code: int) -> dict[str, object]:
    return {"00081197": {"vr": "US", "Value": [code]}}


class _Parts:
    """Writes parts to files while the parser walks over them."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._file: IO[bytes] | None = None
        self._done: list[Path] = []
        self._size = 0

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {"on_part_begin": self._begin, "on_part_data": self._data, "on_part_end": self._end}

    def take(self) -> list[Path]:
        """Files that are complete."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Remove what is not."""
        paths = self.take()
        if self._file is not None:
            paths.append(Path(self._file.name))
            self._file.close()
        for path in paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._file = tempfile.NamedTemporaryFile(dir=self._folder, prefix="stow-", delete=False)  # noqa: SIM115 - closed at the end of the part
        self._size = 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            return
        self._size += end - start
        if self._size > self._limit:
            msg = f"a part has more than {self._limit} bytes"
            raise InputError(msg)
        self._file.write(data[start:end])

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._done.append(Path(self._file.name))
            self._file = None
