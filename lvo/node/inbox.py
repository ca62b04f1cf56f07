"""Where images of every door end: on disk and recorded before anybody is told that they arrived.

Content and name go to the disk in the thread of the sender; at the same time the writer commits the record. All three are
waiting, not work. A power cut between them can leave a record whose file is not whole, but never one that was acknowledged;
`lvo.node.recovery` removes it. Records of several associations share a commit.
"""

import queue
import sqlite3
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lvo.durable import free_of, make_folder, sha256_of, sync_file, sync_folder
from lvo.errors import InputError, LvoError, OutputError
from lvo.node.database import Clock, connect, open_clock, transaction
from lvo.node.identity import Identity, identify
from lvo.node.records import Arrival, put_image
from lvo.node.settings import NodeSettings

__all__ = ["Accepted", "FullError", "Inbox", "MismatchError", "Receipt"]

_BATCH = 256
_HASH_DIGITS = 16


class Receipt(StrEnum):
    """What an accepted image was."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An image that is on disk and recorded."""

    receipt: Receipt
    identity: Identity


class MismatchError(InputError):
    """An image is another one than its sender announced."""


class FullError(OutputError):
    """The disk is too full; the sender should try again later."""


@dataclass(frozen=True, slots=True)
class _Task:
    arrival: Arrival
    done: "Future[str]"


class Inbox:
    """Accepts images; one per process, used by many threads."""

    def __init__(self, settings: NodeSettings) -> None:
        """Open the store.

        Raises:
            OutputError: the folder cannot be written.
        """
        self._settings = settings
        self._images = settings.root / "images"
        self.incoming = settings.root / "incoming"
        try:
            for folder in (self._images, self.incoming):
                make_folder(folder)
        except OSError as error:
            msg = f"the folder {settings.root} cannot be written: {error.strerror}"
            raise OutputError(msg) from error
        self._db = connect(settings.database_path)
        self.clock: Clock = open_clock(self._db)
        self._tasks: queue.Queue[_Task | None] = queue.Queue()
        self._writer = threading.Thread(target=self._write, name="writer", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Finish what was begun."""
        self._tasks.put(None)
        self._writer.join()
        self._db.close()

    def check_room(self) -> None:
        """See whether the disk has room for more.

        Raises:
            FullError: it has not.
        """
        limits = self._settings.store
        used_percent, left_mb = free_of(self._settings.root)
        if used_percent > limits.refuse_above_percent or left_mb < limits.refuse_below_mb:
            msg = f"the disk is {used_percent:.0f} % full, {left_mb:.0f} MB are left; images are refused until there is room"
            raise FullError(msg)

    def accept(
        self, file: Path, *, door: str, peer: str, announced: tuple[str, str] | None = None, study_uid: str | None = None
    ) -> Accepted:
        """Take a file in, durably; it is moved away from where it was, or removed.

        Args:
            file: on the same disk as the folder of the node.
            door: how it came: "dicom", "stow", "watch" or "fetch".
            peer: AE title or address of the sender.
            announced: SOP Class and SOP Instance UID that the sender gave beside the file.
            study_uid: of the study that the sender named.

        Returns:
            What it was; only then may the sender be told.

        Raises:
            FullError: the disk is too full.
            MismatchError: the file is another one than was announced.
            InputError: it is no DICOM object that can be placed in a study.
            OutputError: it could not be written.
        """
        try:
            self.check_room()
            identity = identify(file)
            found = (identity.sop_class_uid, identity.sop_uid)
            if announced not in (None, found) or study_uid not in (None, identity.study_uid):
                msg = "the study, SOP Class or SOP Instance UID in the image is another one than its sender announced"
                raise MismatchError(msg)
            digest = sha256_of(file)
            return Accepted(Receipt(self._keep(file, identity, digest, door=door, peer=peer)), identity)
        except OSError as error:
            if isinstance(error, LvoError):
                raise
            msg = f"an image cannot be written: {error.strerror}"
            raise OutputError(msg) from error
        except sqlite3.Error as error:
            msg = f"an image cannot be recorded: {error}"
            raise OutputError(msg) from error
        finally:
            file.unlink(missing_ok=True)

    def _keep(self, file: Path, identity: Identity, digest: str, *, door: str, peer: str) -> str:
        folder = self._images / identity.study_uid
        make_folder(folder)
        final = folder / f"{identity.sop_uid}-{digest[:_HASH_DIGITS]}.dcm"
        size = file.stat().st_size
        file.replace(final)
        path = str(final.relative_to(self._settings.root))
        task = _Task(Arrival(identity, digest, size, path, door, peer), Future())
        self._tasks.put(task)  # the writer waits for the disk at the same time as this thread
        sync_file(final)
        sync_folder(folder)
        kind = task.done.result()
        if not final.exists():  # a purge took the folder away in this moment
            msg = "the study was being removed while an image of it arrived; send it again"
            raise OutputError(msg)
        return kind

    def _write(self) -> None:
        """Record arrivals, as many in one commit as have come."""
        while (task := self._tasks.get()) is not None:
            batch: list[_Task] = [task]
            while len(batch) < _BATCH and not self._tasks.empty():
                more = self._tasks.get()
                if more is None:
                    self._tasks.put(None)
                    break
                batch.append(more)
            try:
                with transaction(self._db):
                    kinds = [put_image(self._db, self.clock, item.arrival) for item in batch]
            except (sqlite3.Error, OSError) as error:
                for item in batch:
                    item.done.set_exception(error)
            else:
                for item, kind in zip(batch, kinds, strict=True):
                    item.done.set_result(kind)
