"""The durable store of a node: one SQLite file, WAL, synchronous=FULL: what was committed outlives a power cut.

Times are node time: seconds that never jump with the wall clock and go on after a restart of the machine from where they were.
People read the wall-clock times, which are kept beside them and decide nothing.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lvo.durable import open_database
from lvo.errors import OutputError

__all__ = ["Clock", "connect", "connect_read_only", "open_clock", "read_clock", "transaction", "wall"]

SCHEMA = 1
"""Number of the layout below; a store of another one is refused."""

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS studies (
  study_uid TEXT PRIMARY KEY, n_images INTEGER NOT NULL DEFAULT 0, n_conflicts INTEGER NOT NULL DEFAULT 0, expected INTEGER,
  door TEXT NOT NULL, peer TEXT NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL, first_wall TEXT NOT NULL,
  last_wall TEXT NOT NULL, alarmed INTEGER NOT NULL DEFAULT 0, suspected INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS series (
  study_uid TEXT NOT NULL, series_uid TEXT NOT NULL, modality TEXT NOT NULL, n_images INTEGER NOT NULL DEFAULT 0,
  expected INTEGER, last_at REAL NOT NULL, PRIMARY KEY (study_uid, series_uid));
CREATE TABLE IF NOT EXISTS images (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, study_uid TEXT NOT NULL, series_uid TEXT NOT NULL, sop_uid TEXT NOT NULL,
  sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, path TEXT NOT NULL, conflict INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL,
  UNIQUE (study_uid, sop_uid, sha256));
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, study_uid TEXT NOT NULL, version INTEGER NOT NULL, early INTEGER NOT NULL,
  series TEXT, upto INTEGER NOT NULL, n_images INTEGER NOT NULL, state TEXT NOT NULL, priority INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, not_before REAL NOT NULL DEFAULT 0, lease_until REAL NOT NULL DEFAULT 0,
  worker TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '', status TEXT NOT NULL DEFAULT '',
  call TEXT NOT NULL DEFAULT '', folder TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 0,
  queued_at REAL NOT NULL, started_at REAL, analysed_at REAL,
  ended_at REAL, queued_wall TEXT NOT NULL, started_wall TEXT, analysed_wall TEXT, ended_wall TEXT,
  UNIQUE (study_uid, version));
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, priority);
CREATE TABLE IF NOT EXISTS events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, study_uid TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (
  name TEXT NOT NULL, label TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name, label));
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """Node time: `offset` is added to the time since the machine was started."""

    offset: float
    boot: str

    def now(self) -> float:
        """Seconds of node time."""
        return self.offset + _uptime()


def connect(path: Path) -> sqlite3.Connection:
    """Open the store, made if it is not there, for one thread.

    Raises:
        OutputError: it cannot be opened, or another version of this software made it.
    """
    try:
        db = open_database(path, busy_s=30.0)
        db.row_factory = sqlite3.Row
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'counters'").fetchone() is None:
            db.executescript(f"BEGIN IMMEDIATE; {_TABLES} INSERT OR IGNORE INTO meta VALUES ('schema', '{SCHEMA}'); COMMIT;")  # noqa: S608 - a number of ours
    except sqlite3.Error as error:
        msg = f"the store {path} cannot be opened: {error}; it needs a local disk with room"
        raise OutputError(msg) from error
    found = db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()["value"]
    if found != str(SCHEMA):
        db.close()
        msg = f"the store {path} has layout {found}, this version needs {SCHEMA}; start with another folder"
        raise OutputError(msg)
    return db


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Open the store to look at it only.

    Raises:
        OutputError: there is none.
    """
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=30.0, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("SELECT 1 FROM meta").fetchone()
    except sqlite3.Error as error:
        msg = f"there is no store of a node at {path} ({error}); has the node been started?"
        raise OutputError(msg) from error
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Everything within, or nothing; one writer at a time."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def open_clock(db: sqlite3.Connection) -> Clock:
    """Node time; after a restart of the machine it goes on from the last time that was noted.

    Every caller notes the time, so that it never runs backwards.
    """
    boot = _boot_id()
    with transaction(db):
        known = {row["key"]: row["value"] for row in db.execute("SELECT key, value FROM meta")}
        if known.get("boot") == boot:
            clock = Clock(float(known["offset"]), boot)
        else:
            clock = Clock(float(known.get("tick", "0")) - _uptime(), boot)
            db.execute("REPLACE INTO meta VALUES ('boot', ?), ('offset', ?)", (boot, repr(clock.offset)))
        db.execute("REPLACE INTO meta VALUES ('tick', ?)", (repr(clock.now()),))
    return clock


def read_clock(db: sqlite3.Connection) -> Clock:
    """Node time for who only looks and notes nothing; right once a process of the node has started since the machine did."""
    known = {row["key"]: row["value"] for row in db.execute("SELECT key, value FROM meta")}
    return Clock(float(known.get("offset", "0")), known.get("boot", ""))


def wall() -> str:
    """The time that people read, with offset from UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _uptime() -> float:
    """Seconds since the machine was started, suspended times included where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _boot_id() -> str:
    """Different after every start of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return str(round(time.time() - _uptime(), -1))
