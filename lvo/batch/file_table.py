"""The table of jobs as files: for output folders that several machines share, where SQLite's log must not be used.

Per item, in one of 256 folders: `<id>.item` (what to open), `<id>.claim` (who works on it; a complete file that is linked to
its name, which NFS keeps atomic; its time of change is the lease), `<id>.end` (what became of it; written beside and renamed).
Without hard links a claim is made under its name, which one only can too; while it is empty it is held, at most a lease long.
Times are those of the file server, so the clocks of the machines do not matter.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from lvo.batch.records import Cell, Item, Job, Row, State
from lvo.batch.table import LEASE_S, decode, encode, is_gone, order, tally
from lvo.durable import create_file, replace_file
from lvo.errors import OutputError

__all__ = ["FileTable"]


class _Added(msgspec.Struct, frozen=True):
    """`<id>.item`."""

    item: Item
    added: int


class _End(msgspec.Struct, frozen=True):
    """`<id>.end`."""

    state: State
    attempts: int
    rows: tuple[dict[str, Cell], ...]
    ended_at: float


class _Claim(msgspec.Struct, frozen=True):
    """`<id>.claim`."""

    owner: str
    attempts: int


@dataclass(slots=True)
class FileTable:
    """See `lvo.batch.table.Table`.

    Args:
        folder: `jobs/` in the results folder.
        known: items that were read, by id.
        ended: ids that are done or failed, as far as this runner knows.
        held: claims of this runner, by id.
    """

    folder: Path
    known: dict[str, _Added] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    held: dict[str, int] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator["FileTable"]:
        """Open `folder/jobs/`.

        Raises:
            OutputError: it cannot be made, read or written.
        """
        try:
            jobs = folder / "jobs"
            jobs.mkdir(parents=True, exist_ok=True)
            jobs.chmod(0o700)  # locations may hold names of patients
            for number in range(256):
                (jobs / f"{number:02x}").mkdir(exist_ok=True)
            table = cls(jobs)
            table._read()
            yield table
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            msg = f"the table of jobs in {folder} cannot be used: {error.strerror or error}"
            raise OutputError(msg) from error

    def add(self, items: Iterable[Item]) -> int:
        """See `Table.add`."""
        changed = 0
        for item in items:
            path, old = self._path(item.id, "item"), self.known.get(item.id)
            if old is None and path.exists():
                old = self.known[item.id] = decode(path.read_bytes(), _Added)
            claim = None if old is None else _claim(self._path(item.id, "claim"))
            if old is not None and (old.item == item or (claim is not None and claim.owner)):
                continue
            added = _Added(item, time.time_ns() if old is None else old.added)
            replace_file(path, encode(added).encode())
            self.known[item.id] = added
            if old is None or old.item.fingerprint != item.fingerprint:
                self._path(item.id, "end").unlink(missing_ok=True)
                self.ended.discard(item.id)
                changed += 1
        return changed

    def claim(self, owner: str) -> Job | None:
        """See `Table.claim`."""
        waiting = [
            (order(a.item, a.added), id_) for id_, a in self.known.items() if id_ not in self.ended and id_ not in self.held
        ]
        now_s: float | None = None
        for _, id_ in sorted(waiting):
            if self._path(id_, "end").exists():
                self.ended.add(id_)
                continue
            path, seen, there = self._path(id_, "claim"), None, False
            with suppress(FileNotFoundError):
                now_s = self._server_time_s() if now_s is None else now_s
                seen = _claim(path)
                if not _free(path, seen, now_s):
                    continue
                there = True  # only what was seen may be moved away: by now another runner may have come first
            attempts = _take(path, owner, seen, there=there)
            if attempts is None:
                continue
            if self._path(id_, "end").exists():  # another runner ended it between our two looks
                path.unlink(missing_ok=True)
                self.ended.add(id_)
                continue
            self.held[id_] = attempts
            return Job(self.known[id_].item, State.LEASED, attempts)
        return None

    def renew(self, owner: str) -> None:
        """See `Table.renew`."""
        for id_ in list(self.held):
            path = self._path(id_, "claim")
            with suppress(FileNotFoundError):
                claim = _claim(path)
                if claim is not None and claim.owner == owner:
                    path.touch()
                    continue
            del self.held[id_]  # another runner has it by now

    def finish(self, owner: str, item_id: str, state: State, rows: Sequence[Row]) -> bool:
        """See `Table.finish`."""
        path = self._path(item_id, "claim")
        claim, attempts = _claim(path), self.held.get(item_id)
        if attempts is None or claim is None or claim.owner != owner:
            return False
        end = _End(state, attempts, tuple(dict(row) for row in rows), time.time())
        replace_file(self._path(item_id, "end"), encode(end).encode())
        self.ended.add(item_id)
        del self.held[item_id]
        path.unlink(missing_ok=True)
        return True

    def release(self, owner: str, item_id: str | None = None) -> None:
        """See `Table.release`."""
        for id_ in [item_id] if item_id is not None else list(self.held):
            attempts = self.held.pop(id_, None)
            claim = _claim(self._path(id_, "claim"))
            if attempts is not None and claim is not None and claim.owner == owner:
                free = _Claim("", attempts - (item_id is None))
                replace_file(self._path(id_, "claim"), encode(free).encode())

    def retry(self) -> int:
        """See `Table.retry`."""
        failed = [job.item.id for job in self.jobs() if job.state is State.FAILED]
        for id_ in failed:
            self._path(id_, "claim").unlink(missing_ok=True)
            self._path(id_, "end").unlink(missing_ok=True)
            self.ended.discard(id_)
        return len(failed)

    def count(self) -> dict[State, int]:
        """See `Table.count`."""
        return tally(job.state for job in self.jobs())

    def jobs(self) -> Iterator[Job]:
        """See `Table.jobs`."""
        self._read()
        for id_ in sorted(self.known):
            item = self.known[id_].item
            try:
                end = decode(self._path(id_, "end").read_bytes(), _End)
            except FileNotFoundError:
                claim = _claim(self._path(id_, "claim"))
                leased = claim is not None and claim.owner != ""
                yield Job(item, State.LEASED if leased else State.QUEUED, 0 if claim is None else claim.attempts)
            else:
                self.ended.add(id_)
                yield Job(item, end.state, end.attempts, end.rows, end.ended_at)

    def _read(self) -> None:
        """Learn of items that other runners added."""
        for path in self.folder.glob("*/*.item"):
            if path.stem not in self.known:
                self.known[path.stem] = decode(path.read_bytes(), _Added)

    def _path(self, id_: str, kind: str) -> Path:
        return self.folder / id_[:2] / f"{id_}.{kind}"

    def _server_time_s(self) -> float:
        """Now, by the clock of the file server."""
        probe = self.folder / f".now.{uuid.uuid4().hex}"
        probe.touch()
        now_s = probe.stat().st_mtime
        probe.unlink()
        return now_s


def _claim(path: Path) -> _Claim | None:
    """Who claims; None for nobody, or for a claim that is damaged."""
    try:
        return decode(path.read_bytes(), _Claim)
    except (FileNotFoundError, ValueError):
        return None


def _free(path: Path, claim: _Claim | None, now_s: float) -> bool:
    """Whether nobody holds a claim, as read before, any more. FileNotFoundError: there is none.

    Read before its age is looked at: one that is made in between is young, and so is never taken for the old one.
    """
    age_s = now_s - path.stat().st_mtime
    return age_s > LEASE_S or (claim is not None and (claim.owner == "" or is_gone(claim.owner)))


def _take(path: Path, owner: str, seen: _Claim | None, *, there: bool) -> int | None:
    """Claim; returns the number of the attempt, or None if another runner was faster.

    A claim that is free is moved away first, which only one runner can. Whoever finds that it moved another claim than the
    one it had seen puts it back; should the item have been taken in between, its first holder notices when it finishes.
    """
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    if there:
        with suppress(FileNotFoundError):
            path.rename(aside)
            moved = _claim(aside)
            if moved != seen:
                with suppress(FileExistsError):
                    create_file(path, aside.read_bytes())
                aside.unlink()
                return None
            aside.unlink()
    attempts = 1 if seen is None else seen.attempts + 1
    try:
        create_file(path, encode(_Claim(owner, attempts)).encode())
    except FileExistsError:
        return None
    return attempts
