"""Workers on a Ray cluster. The only place that imports Ray.

An actor does no work itself: it guards one worker process on its node exactly as the local engine does, so that a study which
eats memory or hangs inside a library is stopped there and then, and the limits mean the same everywhere.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lvo.batch.columns import failed_row
from lvo.batch.records import Done, Kind, Setup, Task
from lvo.batch.supervised import Serve, Supervised
from lvo.errors import UsageError

__all__ = ["RayEngine", "RayPlan"]

_GROW_S = 10.0
"""How often the cluster is asked whether it has grown or shrunk."""
_APPEAR_S = 60.0
"""So long a cluster that has just begun may take to say what it has; a busy machine is slow."""
_GROWN_S = 900.0
"""So long the first node of a cluster that grows may take: virtual machine, packages, file system."""
_STORE_BYTES = 200 * 2**20
"""Shared memory of a cluster of our own: only tasks and rows pass through it. Ray would take a third of the machine."""


@dataclass(frozen=True, slots=True)
class RayPlan:
    """What is asked of the cluster.

    Args:
        address: of the cluster, "auto" for the one this machine belongs to; None starts one on this machine.
        workers: how many actors at most; None for as many as the cluster has room for.
        threads: processor cores of one.
        gpus: GPUs of one; 0.25 lets four share one.
    """

    address: str | None = None
    workers: int | None = None
    threads: int = 2
    gpus: float = 0.0


class _Guard:
    """What runs as an actor."""

    def __init__(self, setup: Setup, serve: Serve | None) -> None:
        self._worker = Supervised(setup, serve=serve)

    def work(self, task: Task) -> Done:
        """Execute a task."""
        self._worker.start(task)
        while True:
            done = self._worker.look()
            if done is not None:
                return done
            if self._worker.pipe is not None:
                self._worker.pipe.poll(0.1)

    def pid(self) -> int:
        """Of this actor."""
        return os.getpid()


class RayEngine:
    """See `lvo.batch.engines.Engine`."""

    def __init__(self, setup: Setup, plan: RayPlan, *, serve: Serve | None = None) -> None:
        """Connect, or start a cluster on this machine.

        Raises:
            UsageError: Ray is not installed, or the cluster cannot be reached or has no room for one worker.
        """
        self._ray = _import_ray()
        self._setup, self._plan, self._serve = setup, plan, serve
        self._own = plan.address is None
        self._connect()
        options: dict[str, Any] = {"num_cpus": plan.threads, "num_gpus": plan.gpus, "max_restarts": 0}
        if not self._own:
            options["memory"] = setup.limits.memory_mb * 2**20
        self._actor = self._ray.remote(**options)(_Guard)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Task]] = {}
        self._asked_s = 0.0
        self._room = 0
        self._grown = not self._own and plan.workers is not None
        if self._grown:
            self._request(plan.workers or 0)
        try:
            self._wait_for_room(_GROWN_S if self._grown else _APPEAR_S if self._own else 0.0)
        except (KeyboardInterrupt, UsageError):
            if self._grown:
                self._request(0)  # nobody else would, and the nodes would stay
            raise

    def _wait_for_room(self, longest_s: float) -> None:
        until_s = time.monotonic() + longest_s
        while self.workers < 1:
            if time.monotonic() > until_s:
                wanted = f"{self._plan.threads} cores, {self._plan.gpus:g} GPU and {self._setup.limits.memory_mb} MB"
                msg = f"the cluster has no room for a worker with {wanted}; one that grows by itself must be told --workers"
                raise UsageError(msg)
            time.sleep(0.2)

    def _request(self, workers: int) -> None:
        """Tell the cluster what is wanted, so that an autoscaler begins nodes; a cluster without one takes no notice."""
        from ray.autoscaler.sdk import request_resources

        each = {"CPU": self._plan.threads, "GPU": self._plan.gpus, "memory": self._setup.limits.memory_mb * 2**20}
        request_resources(bundles=[{name: amount for name, amount in each.items() if amount}] * workers)

    def _connect(self) -> None:
        try:
            if self._own:
                extra = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "num_cpus": self._local_cores()}
                self._ray.init(log_to_driver=False, logging_level="ERROR", object_store_memory=_STORE_BYTES, **extra)
            else:
                self._ray.init(address=self._plan.address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            msg = (
                f"the Ray cluster cannot be reached: {type(error).__name__}; check --address, or leave it out for this machine"
            )
            raise UsageError(msg) from error

    def _local_cores(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(cores, (self._plan.workers or 1) * self._plan.threads)

    @property
    def workers(self) -> int:
        """See `Engine`: asked again now and then, since an autoscaler adds nodes and spot instances go."""
        if time.monotonic() - self._asked_s > _GROW_S or self._room == 0:
            self._asked_s = time.monotonic()
            has = self._ray.cluster_resources()
            room = [int(has.get("CPU", 0.0) // self._plan.threads)]
            if self._plan.gpus:
                room.append(int(has.get("GPU", 0.0) / self._plan.gpus))
            if not self._own:
                room.append(int(has.get("memory", 0.0) // (self._setup.limits.memory_mb * 2**20)))
            self._room = min(room)
        return self._room if self._plan.workers is None else min(self._room, self._plan.workers)

    def has_room(self) -> bool:
        """See `Engine`."""
        return len(self._busy) < self.workers

    def submit(self, task: Task) -> None:
        """See `Engine`."""
        actor = self._idle.pop() if self._idle else self._actor.remote(self._setup, self._serve)
        self._busy[actor.work.remote(task)] = (actor, task)

    def wait(self, timeout_s: float) -> Sequence[Done]:
        """See `Engine`."""
        if not self._busy:
            time.sleep(min(timeout_s, 0.1))
            return []
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=timeout_s)
        return [self._result(reference) for reference in ready]

    def _result(self, reference: Any) -> Done:  # noqa: ANN401 - Ray has no types of use
        actor, task = self._busy.pop(reference)
        try:
            done: Done = self._ray.get(reference)
        except self._ray.exceptions.RayActorError:  # the actor or its node is gone, the next task gets a new one
            return _lost(task, self._setup)
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error
        self._idle.append(actor)
        return done

    def close(self) -> None:
        """See `Engine`."""
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            self._ray.kill(actor)
        if self._grown:
            self._request(0)
        self._ray.shutdown()


def _lost(task: Task, setup: Setup) -> Done:
    if task.attempt < setup.limits.attempts:
        return Done(task.item.id, (), again=True)
    reason = f"its worker or its node was lost, {task.attempt} times of {setup.limits.attempts} it may be tried"
    return Done(task.item.id, ({**failed_row(task.item, Kind.DIED, reason), "attempts": task.attempt},))


def _import_ray() -> Any:  # noqa: ANN401 - Ray has no types of use
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to its maker
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: on a busy machine its workers would hardly run
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        msg = "--engine ray needs Ray: pip install 'lvo[batch]'"
        raise UsageError(msg) from error
    return ray
