"""Engines execute; they know nothing of tables. One small interface; processes of this machine here, Ray in `ray_engine`."""

from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Protocol

from lvo.batch.memory import available_mb, fits
from lvo.batch.records import Done, Setup, Task
from lvo.batch.supervised import Serve, Supervised

__all__ = ["Engine", "LocalEngine"]

_LOOK_S = 0.1
"""How often workers are held to their limits."""


class Engine(Protocol):
    """Executes tasks, several at once."""

    @property
    def workers(self) -> int:
        """How many tasks it can execute at once, as far as it knows now."""
        ...

    def has_room(self) -> bool:
        """Whether one more task may begin now."""
        ...

    def submit(self, task: Task) -> None:
        """Begin a task; only when there is room."""
        ...

    def wait(self, timeout_s: float) -> Sequence[Done]:
        """What ended; returns early when something has, and empty after the time.

        Raises:
            ModelError: workers cannot load their models.
        """
        ...

    def close(self) -> None:
        """Stop everything at once."""
        ...


class LocalEngine:
    """Processes of this machine that load the models once; see `Engine`."""

    def __init__(self, setup: Setup, *, workers: int, serve: Serve | None = None) -> None:
        self._setup = setup
        self._workers = [Supervised(setup, serve=serve) for _ in range(workers)]

    @property
    def workers(self) -> int:
        """See `Engine`."""
        return len(self._workers)

    @property
    def pids(self) -> list[int]:
        """Processes that are there now."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def has_room(self) -> bool:
        """See `Engine`; also no, while the memory that is free is promised to studies in progress. One may always run."""
        busy = [worker for worker in self._workers if worker.busy]
        if len(busy) == len(self._workers):
            return False
        limit = self._setup.limits.memory_mb
        promised = sum(max(0.0, limit - worker.resident_mb()) for worker in busy)
        return not busy or fits(available_mb(), memory_mb=limit, promised_mb=promised)

    def submit(self, task: Task) -> None:
        """See `Engine`."""
        next(worker for worker in self._workers if not worker.busy).start(task)

    def wait(self, timeout_s: float) -> Sequence[Done]:
        """See `Engine`."""
        pipes = [worker.pipe for worker in self._workers if worker.busy and worker.pipe is not None]
        wait(pipes, timeout=min(timeout_s, _LOOK_S))
        found = [worker.look() for worker in self._workers]
        return [done for done in found if done is not None]

    def close(self) -> None:
        """See `Engine`."""
        for worker in self._workers:
            worker.close()
