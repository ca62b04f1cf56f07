"""A worker process and its guard: one item at a time, stopped when it takes too much memory or time, replaced when it dies."""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from lvo.batch.columns import failed_row
from lvo.batch.memory import resident_mb
from lvo.batch.messages import Begun, Broken, End, Finished, Opened, Ready
from lvo.batch.owners import clear
from lvo.batch.records import Done, Kind, Row, Setup, Task
from lvo.errors import ModelError

__all__ = ["Serve", "Supervised"]

Serve = Callable[[Connection, Setup], None]

_START_S = 300.0
"""A worker that has not loaded its models by then never will."""


def _serve(pipe: Connection, setup: Setup) -> None:
    """What the process runs; the weight of the analysis is loaded there and not here."""
    from lvo.batch.worker import serve

    serve(pipe, setup)


def _with_scratch(serve: Serve, scratch: str, pipe: Connection, setup: Setup) -> None:
    """Serve, with unpacked and fetched images in a folder that the guard knows, since who is killed removes nothing.

    If the guard is killed, its worker ends by itself and removes the folder.
    """
    tempfile.tempdir = scratch
    try:
        serve(pipe, setup)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass(slots=True)
class _Under:
    """The item in progress."""

    task: Task
    start_s: float
    rows: list[Row] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    uid: str | None = None
    peak_mb: float = 0.0


class Supervised:
    """A worker process that is there when it is needed.

    `start` gives it an item, `look` must then be called often until it returns what came of it.
    """

    def __init__(self, setup: Setup, *, serve: Serve | None = None) -> None:
        """Nothing starts yet.

        Args:
            setup: what the worker needs.
            serve: what the process runs; `lvo.batch.worker.serve` if omitted.
        """
        self._setup = setup
        self._serve = serve or _serve
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._under: _Under | None = None
        self._ready = False
        self._scratch = ""

    @property
    def busy(self) -> bool:
        """Whether an item is in progress."""
        return self._under is not None

    @property
    def pipe(self) -> Connection | None:
        """What has something to read when there is news."""
        return self._pipe

    @property
    def pid(self) -> int | None:
        """Of the process, None without one."""
        return None if self._process is None else self._process.pid

    def resident_mb(self) -> float:
        """Memory of the process now; 0 without one, or where the system does not say."""
        return 0.0 if self.pid is None else resident_mb(self.pid) or 0.0

    def begin(self) -> None:
        """Start the process ahead of its first item, so that several load their models at once."""
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")  # fork would copy locks that other threads hold
        self._pipe, theirs = context.Pipe()
        self._scratch = tempfile.mkdtemp(prefix="lvo-batch-")
        arguments = (self._serve, self._scratch, theirs, self._setup)
        self._process = context.Process(target=_with_scratch, args=arguments, daemon=True, name="lvo-batch")
        self._process.start()
        theirs.close()
        self._ready = False

    def start(self, task: Task) -> None:
        """Give it an item; `busy` from then on."""
        self._under = _Under(task, time.monotonic())
        self.begin()
        self._hand(task)

    def _hand(self, task: Task) -> None:
        if self._pipe is not None:
            try:
                self._pipe.send(task)
            except OSError:  # it died just now; `look` will see
                return

    def look(self) -> Done | None:
        """Read what the worker says and hold it to its limits; what came of the item once that is known.

        Raises:
            ModelError: the models cannot be loaded.
        """
        under, process, pipe = self._under, self._process, self._pipe
        if under is None or process is None or pipe is None:
            return None
        under.peak_mb = max(under.peak_mb, self.resident_mb())
        alive = process.is_alive()  # before reading: what it said before it died still counts
        done = self._read(under, pipe)
        if done is not None:
            return done
        broken = self._broken(under, alive=alive)
        return None if broken is None else self._stop(under, *broken)

    def _read(self, under: _Under, pipe: Connection) -> Done | None:
        try:
            while pipe.poll():
                match pipe.recv():
                    case Ready():
                        self._ready = True
                        under.start_s = time.monotonic()
                    case Broken(reason=reason):
                        raise ModelError(reason)
                    case Opened(study_instance_uids=uids):
                        under.waiting = list(uids)
                    case Begun(study_instance_uid=uid):
                        under.uid = uid
                        under.waiting = [other for other in under.waiting if other != uid]
                    case Finished(row=row):
                        under.rows.append(self._measured(row, under))
                        under.uid = None
                    case End():
                        self._under = None
                        return Done(under.task.item.id, tuple(under.rows))
        except (EOFError, OSError):  # dead; what follows from that is not decided here
            return None
        return None

    def _broken(self, under: _Under, *, alive: bool) -> tuple[Kind, str] | None:
        """Why the worker must be stopped, or has stopped; None while all is well."""
        limits, code = self._setup.limits, None if self._process is None else self._process.exitcode
        if not alive:
            how = f"by signal {-code}" if code is not None and code < 0 else f"with status {code}"
            return Kind.DIED, f"its worker died {how}, {under.task.attempt} times of {limits.attempts} it may be tried"
        if under.peak_mb > limits.memory_mb:
            return (
                Kind.MEMORY,
                f"stopped at {under.peak_mb:.0f} MB, it may take {limits.memory_mb}; raise --memory-mb, or look at the images",
            )
        seconds = time.monotonic() - under.start_s
        if seconds > (limits.time_s if self._ready else _START_S):
            return (
                Kind.TIME,
                f"stopped after {seconds:.0f} s, it may take {limits.time_s:g}; raise --time-limit, or look at the images",
            )
        return None

    def _stop(self, under: _Under, kind: Kind, reason: str) -> Done:
        """End the process for good and say what came of the item."""
        self.close()
        self._under = None
        if kind is Kind.DIED and under.task.attempt < self._setup.limits.attempts:
            return Done(under.task.item.id, (), again=True)
        seconds = time.monotonic() - under.start_s
        row = failed_row(under.task.item, kind, reason, study_instance_uid=under.uid, seconds=seconds)
        why = "not begun, since another study of the same archive or folder ended its worker; give it a place of its own"
        others = [failed_row(under.task.item, kind, why, study_instance_uid=uid) for uid in under.waiting]
        return Done(under.task.item.id, (*under.rows, *(self._measured(one, under) for one in (row, *others))))

    def _measured(self, row: Row, under: _Under) -> Row:
        return {**row, "peak_mb": round(under.peak_mb, 1) or None, "attempts": under.task.attempt}

    def close(self) -> None:
        """End the process at once, and remove what it leaves; results are only ever complete or absent."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = ""
        if self._under is not None and self._under.uid is not None:
            clear(self._setup.studies_dir, self._under.uid)
