"""The table of jobs: what there is to do and what became of it. It is the truth; engines only execute.

Two keepers with one interface: SQLite where the output folder belongs to one machine, one file per job where several machines
share it (decision 0017). Whoever works on an item holds a lease that must be renewed; a lease that ran out, or whose owner on
this machine is gone, is free again.
"""

import json
import os
import socket
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from lvo.batch.records import Item, Job, Row, State

__all__ = [
    "LEASE_S",
    "Keeper",
    "Table",
    "choose_keeper",
    "decode",
    "encode",
    "is_gone",
    "new_owner",
    "open_table",
    "order",
    "tally",
]

LEASE_S = 120.0
"""A lease that was not renewed for so long is free. Runners renew several times in that time."""

Keeper = Literal["auto", "sqlite", "files"]

_SHARED = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "orangefs", "9p", "afs",
    "virtiofs", "fuse",
}  # fmt: skip
"""File systems that several machines may write to; SQLite's WAL needs all its users on one (https://sqlite.org/wal.html).

So does every other of FUSE (`fuse.sshfs`, `fuse.s3fs`, ...): what it keeps in memory other mounts do not see.
"""


class Table(Protocol):
    """What both keepers do. Every method is safe against other runners."""

    def add(self, items: Iterable[Item]) -> int:
        """Add items; those that are there already are left alone unless their fingerprint changed: then they are to do again.

        An item that is being worked on is left alone in any case; whoever looks again later adds it then.

        Returns:
            How many are new or to do again.
        """
        ...

    def claim(self, owner: str) -> Job | None:
        """Take the next item: highest priority, then earliest due, then first come. None when nothing is free."""
        ...

    def renew(self, owner: str) -> None:
        """Keep what the owner holds."""
        ...

    def finish(self, owner: str, item_id: str, state: State, rows: Sequence[Row]) -> bool:
        """Write what became of an item the owner holds; False if it does not hold it any more, and nothing is written then."""
        ...

    def release(self, owner: str, item_id: str | None = None) -> None:
        """Give an item back, undone, its attempt counted; or all the owner holds, as if they had never been begun.

        The first follows the death of a worker; the second the orderly end of a runner, which is nobody's fault.
        """
        ...

    def retry(self) -> int:
        """Queue what failed again; returns how many."""
        ...

    def count(self) -> dict[State, int]:
        """Items by state."""
        ...

    def jobs(self) -> Iterator[Job]:
        """All items, in the order of their ids."""
        ...


def open_table(folder: Path, keeper: Keeper = "auto") -> AbstractContextManager[Table]:
    """Open the table of a results folder, made if it is not there. Whichever keeper began goes on.

    Raises:
        UsageError: the folder is kept by the other keeper.
        OutputError: it cannot be written.
    """
    from lvo.batch.file_table import FileTable
    from lvo.batch.sqlite_table import SqliteTable

    chosen = choose_keeper(folder, keeper)
    return SqliteTable.open(folder) if chosen == "sqlite" else FileTable.open(folder)


def choose_keeper(folder: Path, keeper: Keeper) -> Literal["sqlite", "files"]:
    """Which keeper a folder has or gets.

    Raises:
        UsageError: another one was asked for than it has.
    """
    from lvo.errors import UsageError

    begun: Literal["sqlite", "files"] | None = None
    if (folder / "jobs.sqlite").exists():
        begun = "sqlite"
    elif (folder / "jobs").is_dir():
        begun = "files"
    if begun is not None and keeper not in ("auto", begun):
        msg = f"this output folder was begun with --table {begun}; leave --table out, or give another --out"
        raise UsageError(msg)
    shared = _is_shared(folder)
    if begun == "sqlite" and shared and keeper == "auto":
        msg = (
            "this output folder was begun on the machine it belongs to, with --table sqlite, and is shared: go on there, "
            "give another --out, or say --table sqlite if no other runner is at work"
        )
        raise UsageError(msg)
    if begun is not None:
        return begun
    if keeper != "auto":
        return keeper
    return "files" if shared else "sqlite"


def _is_shared(folder: Path) -> bool:
    """Whether programs may see a folder that do not share memory with this one."""
    kind = _file_system(folder)
    return kind in _SHARED or kind.startswith("fuse.")


def _file_system(folder: Path) -> str:
    """Type of the file system a folder lies on; empty where the system does not say."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    place, best, kind = str(folder.resolve()), "", ""
    for line in lines:
        _, mount, found, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        if (place == mount or place.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def new_owner() -> str:
    """A name for a runner: machine, process and its start, and something that no other runner has."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}:{uuid.uuid4().hex[:8]}"


def is_gone(owner: str) -> bool:
    """Whether an owner ran on this machine and does not any more; False for owners elsewhere: their lease must run out."""
    host, pid, started, _ = owner.rsplit(":", 3)
    return host == socket.gethostname() and _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty for none. A number that was given away again begins later."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return "" if not _alive(pid) else "?"


def _alive(pid: int) -> bool:
    """Whether a process exists, where there is no /proc."""
    if Path("/proc/self").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def order(item: Item, added: int) -> tuple[int, float, int]:
    """What goes first: highest priority, then earliest due, then first come."""
    return -item.priority, float("inf") if item.due is None else item.due, added


def tally(states: Iterable[State]) -> dict[State, int]:
    """How many of each."""
    counted = dict.fromkeys(State, 0)
    for state in states:
        counted[state] += 1
    return counted


def encode(value: object) -> str:
    """Plain values as JSON in ASCII, names of files that are no UTF-8 included."""
    return json.dumps(msgspec.to_builtins(value))


T = TypeVar("T")


def decode(text: str | bytes, kind: type[T]) -> T:
    """What `encode` wrote.

    Raises:
        ValueError: it is something else.
    """
    return msgspec.convert(json.loads(text), kind)
