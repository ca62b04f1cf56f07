"""The loop of a batch: what is to do goes from the table to the engine, what came of it back. The table is the truth."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lvo.batch.columns import failed_row
from lvo.batch.engines import Engine
from lvo.batch.records import Done, Job, Kind, Limits, Row, State, Task
from lvo.batch.table import LEASE_S, Table, new_owner
from lvo.batch.watch import Watch

__all__ = ["Listener", "Plan", "run_jobs"]

_WAIT_S = 0.5
_COUNT_S = 10.0
"""How often the table is asked how much there is to do."""
_COUNT_SHARE = 50.0
"""Of a large table on a slow file system less often, so that counting takes a fiftieth of the time."""


class Listener(Protocol):
    """Who is told how it goes."""

    def counted(self, counts: dict[State, int]) -> None:
        """How many items stand where."""
        ...

    def ended(self, row: Row) -> None:
        """A study has its row."""
        ...

    def say(self, text: str) -> None:
        """Something a person should know."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to go on, and what must not happen.

    Args:
        out_dir: whose disk must not fill.
        limits: what one item may take.
        deadline: nothing begins that will not be done by then; seconds since 1970.
        min_free_mb: space below which nothing begins.
        disk_wait_s: how long to wait for space before giving up.
        row_ready: called with every row before the table has it; may be called twice for one row, if this program dies between.
    """

    out_dir: Path
    limits: Limits
    deadline: float | None = None
    min_free_mb: int = 512
    disk_wait_s: float = 60.0
    row_ready: Callable[[Row], None] | None = None


def run_jobs(table: Table, engine: Engine, plan: Plan, watch: Watch, listener: Listener) -> str:
    """Work until nothing is left to do, by this runner or another; returns why it ended before that, else nothing.

    Raises:
        InputError, UsageError: as `Watch.look`.
        ModelError: the models cannot be loaded.
        OutputError, sqlite3.Error: the table cannot be written.
    """
    loop = _Loop(table, engine, plan, watch, listener, owner=new_owner())
    try:
        return loop.go()
    finally:
        engine.close()
        table.release(loop.owner)


@dataclass(slots=True)
class _Loop:
    table: Table
    engine: Engine
    plan: Plan
    watch: Watch
    listener: Listener
    owner: str
    running: dict[str, Job] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    renewed_s: float = 0.0
    count_at_s: float = float("-inf")
    full_since_s: float | None = None

    def go(self) -> str:
        while True:
            self.watch.look(self.table, self.listener.say)
            self._beat()
            held_up = self._held_up()
            idle = not held_up and not self._begin()
            if not self.running:
                if held_up and (self.full_since_s is None or time.monotonic() - self.full_since_s > self.plan.disk_wait_s):
                    return held_up
                if idle and self._over():
                    return ""
                time.sleep(_WAIT_S)
            for done in self.engine.wait(_WAIT_S):
                self._record(done)

    def _begin(self) -> bool:
        """Give the engine what it has room for; whether there was anything, or no room to ask."""
        while self.engine.has_room():
            job = self.table.claim(self.owner)
            if job is None:
                return False
            if job.attempts > self.plan.limits.attempts:  # it took runners with it
                self._give_up(job)
                continue
            self.running[job.item.id] = job
            self.engine.submit(Task(job.item, job.attempts))
        return True

    def _give_up(self, job: Job) -> None:
        most = self.plan.limits.attempts
        reason = f"begun {most} times and never ended: runner or machine died under it each time"
        self.running[job.item.id] = job
        self._record(Done(job.item.id, ({**failed_row(job.item, Kind.DIED, reason), "attempts": most},)))

    def _record(self, done: Done) -> None:
        self.running.pop(done.item_id)
        if done.again:
            self.listener.say(f"item {done.item_id}: its worker died; it is tried again")
            self.table.release(self.owner, done.item_id)
            return
        rows = [{**row, "ended_at": round(time.time(), 3)} for row in done.rows]
        for row in rows:
            if self.plan.row_ready is not None and row["folder"] is not None:
                self.plan.row_ready(row)
        failed = not rows or any(row["status"] == "failed" for row in rows)
        if not self.table.finish(self.owner, done.item_id, State.FAILED if failed else State.DONE, rows):
            self.listener.say(f"item {done.item_id}: another runner took it over; its result stands")
            return
        for row in rows:
            if isinstance(row["seconds"], float):
                self.seconds.append(row["seconds"])
            self.listener.ended(row)

    def _held_up(self) -> str:
        """Why nothing may begin now; empty when it may."""
        if self.plan.deadline is not None and time.time() + self._expected_s() > self.plan.deadline:
            self.full_since_s = None
            return "the deadline"
        free_mb = shutil.disk_usage(self.plan.out_dir).free / 2**20
        if free_mb >= self.plan.min_free_mb:
            self.full_since_s = None
            return ""
        if self.full_since_s is None:
            self.full_since_s = time.monotonic()
            self.listener.say(
                f"the disk is nearly full, {free_mb:.0f} MB free: nothing begins below {self.plan.min_free_mb} MB"
            )
        return "a full disk"

    def _expected_s(self) -> float:
        """How long a study takes, as nineteen of twenty did; nothing is expected before there are any."""
        recent = sorted(self.seconds[-200:])
        return recent[int(0.95 * (len(recent) - 1))] if recent else 0.0

    def _over(self) -> bool:
        """Whether all is done, by this runner and the others, and nothing is watched."""
        if self.watch.idle is not None:
            self.watch.idle()
        if self.watch.every_s is not None:
            return False
        counts = self.table.count()
        self.listener.counted(counts)
        return counts[State.QUEUED] == counts[State.LEASED] == 0

    def _beat(self) -> None:
        """Keep the leases, and tell how it goes."""
        now_s = time.monotonic()
        if now_s - self.renewed_s > LEASE_S / 6.0:
            self.renewed_s = now_s
            self.table.renew(self.owner)
        if now_s > self.count_at_s:
            self.listener.counted(self.table.count())
            took_s = time.monotonic() - now_s
            self.count_at_s = time.monotonic() + max(_COUNT_S, _COUNT_SHARE * took_s)
