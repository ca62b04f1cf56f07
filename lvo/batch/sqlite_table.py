"""The table of jobs in SQLite: `jobs.sqlite` in the results folder, write-ahead log, for all runners of one machine."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lvo.batch.records import Cell, Item, Job, Row, State
from lvo.batch.table import LEASE_S, decode, encode, is_gone
from lvo.durable import open_database
from lvo.errors import OutputError

__all__ = ["SqliteTable"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    item         TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    locations    TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    due          REAL,
    added        INTEGER NOT NULL,
    state        TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    owner        TEXT,
    leased_until REAL,
    rows         TEXT NOT NULL DEFAULT '[]',
    ended_at     REAL
) STRICT;
CREATE INDEX IF NOT EXISTS waiting ON items (state, priority DESC, due, added);
"""

_NEXT = """
SELECT item FROM items WHERE state = 'queued' ORDER BY priority DESC, due IS NULL, due, added LIMIT 1
"""


class SqliteTable:
    """See `lvo.batch.table.Table`. Every change is one transaction that is on disk when the method returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._freed_at = 0.0

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator["SqliteTable"]:
        """Open `folder/jobs.sqlite`.

        Raises:
            OutputError: it cannot be made or is no such table.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "jobs.sqlite"
            path.touch(mode=0o600)  # locations may hold names of patients
            connection = open_database(path, busy_s=60.0)
            try:
                connection.executescript(_SCHEMA)
                yield cls(connection)
            finally:
                connection.close()
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, OutputError):
                raise
            msg = f"the table of jobs in {folder} cannot be used: {error}"
            raise OutputError(msg) from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction that has the table for itself."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def add(self, items: Iterable[Item]) -> int:
        """See `Table.add`."""
        changed = 0
        with self._change() as db:
            for item in items:
                added = time.time_ns()
                values = (item.id, encode(item.name), encode(item.locations), item.fingerprint, item.priority, item.due, added)
                changed += db.execute(
                    "INSERT INTO items (item, name, locations, fingerprint, priority, due, added, state) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, 'queued') ON CONFLICT (item) DO UPDATE SET "
                    "fingerprint = excluded.fingerprint, locations = excluded.locations, state = 'queued', attempts = 0, "
                    "rows = '[]', owner = NULL WHERE fingerprint <> excluded.fingerprint AND state <> 'leased'",
                    values,
                ).rowcount
                db.execute(
                    "UPDATE items SET priority = ?, due = ? WHERE item = ? AND state = 'queued'",
                    (item.priority, item.due, item.id),
                )
        return changed

    def claim(self, owner: str) -> Job | None:
        """See `Table.claim`."""
        self._free()
        with self._change() as db:
            found = db.execute(_NEXT).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE items SET state = 'leased', owner = ?, leased_until = ?, attempts = attempts + 1 WHERE item = ?",
                (owner, time.time() + LEASE_S, found[0]),
            )
            return _job(db.execute(f"{_SELECT} WHERE item = ?", found).fetchone())

    def _free(self) -> None:
        """Queue what is leased by nobody any more; looked at every second at most."""
        now = time.time()
        if now - self._freed_at < 1.0:
            return
        self._freed_at = now
        with self._change() as db:
            held = db.execute("SELECT DISTINCT owner FROM items WHERE state = 'leased'").fetchall()
            for (owner,) in held:
                expired = "" if is_gone(owner) else " AND leased_until < ?"
                values = (owner,) if is_gone(owner) else (owner, now)
                db.execute(
                    f"UPDATE items SET state = 'queued', owner = NULL WHERE state = 'leased' AND owner = ?{expired}",  # noqa: S608 - no value in it
                    values,
                )

    def renew(self, owner: str) -> None:
        """See `Table.renew`."""
        with self._change() as db:
            db.execute("UPDATE items SET leased_until = ? WHERE state = 'leased' AND owner = ?", (time.time() + LEASE_S, owner))

    def finish(self, owner: str, item_id: str, state: State, rows: Sequence[Row]) -> bool:
        """See `Table.finish`."""
        with self._change() as db:
            held = db.execute(
                "UPDATE items SET state = ?, rows = ?, ended_at = ?, owner = NULL "
                "WHERE item = ? AND owner = ? AND state = 'leased'",
                (state.value, encode(rows), time.time(), item_id, owner),
            )
            return held.rowcount == 1

    def release(self, owner: str, item_id: str | None = None) -> None:
        """See `Table.release`."""
        with self._change() as db:
            db.execute(
                "UPDATE items SET state = 'queued', owner = NULL, attempts = attempts - (? IS NULL) "
                "WHERE state = 'leased' AND owner = ? AND item = ifnull(?, item)",
                (item_id, owner, item_id),
            )

    def retry(self) -> int:
        """See `Table.retry`."""
        with self._change() as db:
            return db.execute("UPDATE items SET state = 'queued', attempts = 0, rows = '[]' WHERE state = 'failed'").rowcount

    def count(self) -> dict[State, int]:
        """See `Table.count`."""
        found = dict(self._connection.execute("SELECT state, count(*) FROM items GROUP BY state").fetchall())
        return {state: found.get(state.value, 0) for state in State}

    def jobs(self) -> Iterator[Job]:
        """See `Table.jobs`."""
        for row in self._connection.execute(f"{_SELECT} ORDER BY item"):
            yield _job(row)


_SELECT = "SELECT name, locations, fingerprint, priority, due, state, attempts, rows, ended_at FROM items"


def _job(row: tuple[str, str, str, int, float | None, str, int, str, float | None]) -> Job:
    name, locations, fingerprint, priority, due, state, attempts, rows, ended_at = row
    item = Item(decode(name, str), decode(locations, tuple[str, ...]), fingerprint, priority, due)
    return Job(item, State(state), attempts, decode(rows, tuple[dict[str, Cell], ...]), ended_at)
