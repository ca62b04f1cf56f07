"""Signs of life of processes that nobody waits for: when each last came round, in node time, kept in the store."""

import logging
import sqlite3
import threading
from collections.abc import Mapping

from lvo.node.database import Clock, transaction
from lvo.node.settings import NodeSettings

__all__ = ["Heartbeat", "ages_s", "silent"]

LOG = logging.getLogger(__name__)

_EVERY_S = 5.0
_CLERK_S, _WORKER_S = 60.0, 60.0
"""A round of the clerk takes a second, with a watched folder full of files some more; a worker says so every second."""

_PREFIX = "beat:"


class Heartbeat:
    """Notes that somebody came round; safe to share among threads."""

    def __init__(self, db: sqlite3.Connection, clock: Clock) -> None:
        """Nobody has come round yet."""
        self._db, self._clock, self._lock = db, clock, threading.Lock()
        self._next: dict[str, float] = {}

    def __call__(self, name: str) -> None:
        """Note it, every few seconds at most: each note is a commit. A note that fails is no reason to end what goes on."""
        with self._lock:
            now = self._clock.now()
            if now < self._next.get(name, now):
                return
            try:
                with transaction(self._db):
                    self._db.execute("REPLACE INTO meta VALUES (?, ?)", (_PREFIX + name, repr(now)))
            except sqlite3.Error as error:
                LOG.warning("no sign of life could be noted: %s", error)
            else:
                self._next[name] = now + _EVERY_S


def ages_s(db: sqlite3.Connection, clock: Clock) -> dict[str, float]:
    """Seconds since each came round: "clerk", "worker-1", "deliver pacs"."""
    rows = db.execute("SELECT key, value FROM meta WHERE key LIKE ?", (f"{_PREFIX}%",)).fetchall()
    return {row["key"].removeprefix(_PREFIX): clock.now() - float(row["value"]) for row in rows}


def silent(ages: Mapping[str, float], settings: NodeSettings) -> dict[str, str]:
    """Who should come round, each with what is wrong with it by the seconds since it did (`ages_s`); empty where nothing is."""
    delivery_s = settings.delivery.retry.lease_s + 60.0  # within its lease a delivery may take as long as its target lets it
    limits = {"clerk": _CLERK_S} | {f"worker-{n}": _WORKER_S for n in range(1, settings.work.workers + 1)}
    limits |= {f"deliver {target.name}": delivery_s for target in settings.delivery.targets}
    return {name: _words(ages.get(name), limit) for name, limit in limits.items()}


def _words(age_s: float | None, limit_s: float) -> str:
    if age_s is None:
        return "has not begun its work yet"
    return f"silent for {age_s:.0f} s" if age_s > limit_s else ""
