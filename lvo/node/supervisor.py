"""Starts the processes of a node, starts them again when they die, ends them in order."""

import fcntl
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lvo.durable import make_folder
from lvo.errors import OutputError, UsageError
from lvo.node.database import connect, open_clock
from lvo.node.jobs import expire, release
from lvo.node.recovery import clear_incoming, verify_images
from lvo.node.settings import NodeSettings

__all__ = ["Command", "default_command", "supervise"]

LOG = logging.getLogger(__name__)

Command = Callable[[str, str], Sequence[str]]
"""Command line of a process: role and slot to words."""

_POLL_S = 0.2
_EXPIRE_S = 1.0
_GRACE_S = 20.0
_RESTART_S = (0.2, 15.0)
"""Pause before a process that died young is started again: doubled each time, from the first to the second."""
_STEADY_S = 20.0


@dataclass(slots=True)
class _Child:
    role: str
    slot: str
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    pause_s: float = 0.0
    start_at: float = 0.0
    restarts: int = field(default=-1)


def supervise(settings: NodeSettings, stop: threading.Event, command: Command) -> None:
    """Run a node until stopped.

    Args:
        settings: of the node.
        stop: ends it: first the doors, then the work, then the deliveries.
        command: how a process is started.

    Raises:
        UsageError: a node runs in this folder already.
        OutputError: the folder cannot be written.
    """
    with _only_one(settings.root):
        db = connect(settings.database_path)
        clock = open_clock(db)
        clear_incoming(settings.root)
        verify_images(db, clock, settings.root)
        children = _children(settings)
        next_expire = 0.0
        try:
            while not stop.wait(_POLL_S):
                for child in children:
                    worker = _tend(child, command)
                    if worker:
                        with _writing():
                            release(db, clock, settings.work, worker=worker, reason="its worker died")
                if time.monotonic() >= next_expire:
                    with _writing():
                        _kill_silent(expire(db, clock, settings.work), children)
                    next_expire = time.monotonic() + _EXPIRE_S
        finally:
            _end(children)
            db.close()


def _children(settings: NodeSettings) -> list[_Child]:
    """In the order in which they end: doors, workers, clerk, deliverer."""
    workers = [_Child("worker", f"worker-{n}") for n in range(1, settings.work.workers + 1)]
    deliverer = [_Child("deliverer", "deliverer")] if settings.delivery.targets else []
    return [_Child("listener", "listener"), _Child("http", "http"), *workers, _Child("clerk", "clerk"), *deliverer]


def _tend(child: _Child, command: Command) -> str:
    """Start a process that is not running; returns who died, empty if nobody did."""
    now = time.monotonic()
    if child.process is None:
        if now >= child.start_at:
            child.process = subprocess.Popen(command(child.role, child.slot), stdin=subprocess.DEVNULL)  # noqa: S603 - our own program
            child.started = now
            child.restarts += 1
        return ""
    status = child.process.poll()
    if status is None:
        return ""
    died = f"{child.slot}:{child.process.pid}"
    young = now - child.started < _STEADY_S
    child.pause_s = min(_RESTART_S[1], max(_RESTART_S[0], 2.0 * child.pause_s)) if young else _RESTART_S[0]
    child.process, child.start_at = None, now + child.pause_s
    LOG.warning("%s ended with status %d and is started again in %.1f s", died, status, child.pause_s)
    return died


@contextmanager
def _writing() -> Iterator[None]:
    """Jobs are put back; on a full disk the others must go on, and a job whose lease ran out is found again."""
    try:
        yield
    except sqlite3.Error as error:
        LOG.error("the store cannot be written: %s; trying again", error)  # noqa: TRY400 - no traceback: it adds nothing


def _kill_silent(silent: list[str], children: list[_Child]) -> None:
    """End workers whose leases ran out: they hang where no exception reaches them."""
    for child in children:
        if child.process is not None and f"{child.slot}:{child.process.pid}" in silent:
            LOG.error("%s was silent for too long and is ended", child.slot)
            child.process.kill()


def _end(children: list[_Child]) -> None:
    """Ask every process to end, one kind after the other; insist when it takes too long."""
    for role in ("listener", "http", "worker", "clerk", "deliverer"):
        running = [child.process for child in children if child.role == role and child.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Hold the lock of a folder."""
    try:
        make_folder(root)
        lock = (root / "node.lock").open("w")
    except OSError as error:
        msg = f"the folder {root} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            msg = f"a node runs in {root} already"
            raise UsageError(msg) from error
        yield


def default_command(config: Path) -> Command:
    """How the processes of an ordinary node are started."""
    base, parent = (sys.executable, "-m", "lvo.node.process"), str(os.getpid())
    return lambda role, slot: [*base, role, "--config", str(config), "--slot", slot, "--parent", parent]
