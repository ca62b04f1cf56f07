"""The outbox: what is to be delivered and what became of it, on disk before anyone is told that it was taken.

One SQLite file (WAL, synchronous=FULL), used by any number of programs and threads at once. A delivery is claimed with a lease:
when the program that sends it dies, another one takes it over after the lease. So everything is delivered at least once; that
nothing is there twice follows from SOP Instance UIDs, ids and keys that are the same on every attempt.

Times are the wall clock's, which must survive a restart. A clock that is set back cannot hold anything up: what lies further in
the future than any wait or lease could put it is due.
"""

import json
import random
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Self

import msgspec

from lvo.delivery.records import Delivery, Notice, Parcel, State
from lvo.delivery.settings import RetrySettings
from lvo.durable import open_database
from lvo.errors import OutputError

__all__ = ["Outbox"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    key TEXT NOT NULL,
    study TEXT NOT NULL,
    version TEXT NOT NULL,
    folder TEXT,
    notice TEXT,
    digest TEXT,
    urgent INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    queued_s REAL NOT NULL,
    since_s REAL NOT NULL,
    due_s REAL NOT NULL,
    lease_s REAL NOT NULL DEFAULT 0,
    token TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    done TEXT NOT NULL DEFAULT '{}',
    ended_s REAL,
    UNIQUE (target, key)
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (target, state, due_s);
CREATE INDEX IF NOT EXISTS deliveries_study ON deliveries (study, target);
CREATE TABLE IF NOT EXISTS commitments (
    transaction_uid TEXT PRIMARY KEY,
    failed TEXT NOT NULL,
    at_s REAL NOT NULL
);
"""

_COLUMNS = (
    "id, target, key, study AS study_instance_uid, version, folder, notice, state, attempts, queued_s, due_s, reason,"
    " done, token"
)
_FREE = (
    "((d.state='pending' AND (d.due_s<=:now OR d.due_s>:latest))"
    " OR (d.state='sending' AND (d.lease_s<=:now OR d.lease_s>:held)))"
)
_SAME = "o.study=d.study AND o.target=d.target AND (o.notice IS NULL)=(d.notice IS NULL)"
_OVERTAKEN = (
    "UPDATE deliveries AS d SET state='superseded', reason='overtaken by a newer one', ended_s=:now"
    f" WHERE d.target=:target AND {_FREE} AND EXISTS (SELECT 1 FROM deliveries AS o WHERE {_SAME} AND o.turn>d.turn)"
)
"""What failed or was left lying while a newer result of its study came in."""

_NEXT = (
    f"SELECT d.id FROM deliveries AS d WHERE d.target=:target AND {_FREE}"
    f" AND NOT EXISTS (SELECT 1 FROM deliveries AS o WHERE {_SAME} AND o.turn<d.turn AND o.state='sending')"
    " ORDER BY d.urgent DESC, d.due_s, d.id LIMIT 1"
)
"""The next one, unless an older result of its study is on its way: it must not arrive last."""

_BUSY_S = 30.0
"""How long to wait for another program's transaction; each takes milliseconds."""


class Outbox:
    """Deliveries on disk; safe to share among threads.

    Args:
        path: of the file; made when it is not there.
        clock: seconds since 1970.
        chance: 0 to 1, for the jitter of waits.

    Raises:
        OutputError: the file cannot be opened or written.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.time, chance: Callable[[], float] = random.random
    ) -> None:
        """Open the file."""
        self.path = path
        self._clock, self._chance, self._lock = clock, chance, RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = open_database(path, busy_s=_BUSY_S)
            self._db.row_factory = sqlite3.Row
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            msg = f"the outbox {path} cannot be opened: {error}"
            raise OutputError(msg) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        """Itself; the file is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, parcel: Parcel, targets: Sequence[str], *, urgent: bool = False) -> int:
        """Take a parcel for some targets, all or none; what was taken before is left as it is, but for what is dead.

        An older version of the study's result that still waits is superseded: it must not arrive after this one.

        Args:
            parcel: the result.
            targets: names of destinations.
            urgent: goes before what is not.

        Returns:
            How many deliveries this made.
        """
        with self._transaction() as db:
            return sum(self._put_parcel(db, parcel, target, urgent=urgent) for target in targets)

    def put_notice(self, notice: Notice, target: str, *, wanted: bool) -> bool:
        """Take a notice for a target, unless it says the same as the last one there about this study.

        Args:
            notice: what is to be told.
            target: name of the notification.
            wanted: the target asked for such events. If it did not, it is told only when it was told something else about
                this study before, which this one corrects.

        Returns:
            Whether it was taken.
        """
        with self._transaction() as db:
            last = db.execute(
                "SELECT turn, digest FROM deliveries WHERE study=? AND target=? AND notice IS NOT NULL"
                " ORDER BY turn DESC LIMIT 1",
                (notice.study_instance_uid, target),
            ).fetchone()
            if (last is None and not wanted) or (last is not None and last["digest"] == notice.digest):
                return False
            turn = 0 if last is None else last["turn"] + 1
            self._overtake(db, target, notice.study_instance_uid, parcels=False)
            key = f"{notice.study_instance_uid}:notice:{turn}"
            text = msgspec.json.encode(notice).decode()
            row = {"key": key, "study": notice.study_instance_uid, "version": notice.version, "notice": text}
            self._insert(db, target, row | {"digest": notice.digest, "urgent": 1, "turn": turn})
            return True

    def claim(self, target: str, *, lease_s: float, longest_s: float) -> Delivery | None:
        """Take the next delivery that is due for a target, to send it; None when there is none.

        Args:
            target: its name.
            lease_s: nobody else claims it for so long.
            longest_s: longest wait between attempts; what seems due later than that shows a clock that was set back.
        """
        now, token = self._clock(), uuid.uuid4().hex
        values = {"target": target, "now": now, "latest": now + 2.0 * longest_s, "held": now + 2.0 * lease_s}
        with self._transaction() as db:
            db.execute(_OVERTAKEN, values)
            row = db.execute(_NEXT, values).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE deliveries SET state='sending', attempts=attempts+1, lease_s=?, token=? WHERE id=?",
                (now + lease_s, token, row["id"]),
            )
            return _delivery(db.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE id=?", (row["id"],)).fetchone())

    def renew(self, claim: Delivery, *, lease_s: float, done: Mapping[str, str] | None = None) -> bool:
        """Keep a claim for another lease and note what was done so far; False when it was lost to another program."""
        kept = "lease_s=?" if done is None else "lease_s=?, done=?"
        values: list[object] = [self._clock() + lease_s, *([] if done is None else [json.dumps(dict(done))])]
        return self._update(claim, kept, values)

    def delivered(self, claim: Delivery, remark: str = "") -> bool:
        """End a claim: the target has it, perhaps with a remark. False when the claim was lost, which changes nothing."""
        return self._update(claim, "state='delivered', reason=?, ended_s=?", [remark, self._clock()])

    def failed(self, claim: Delivery, reason: str, *, retry: RetrySettings) -> bool:
        """End a claim that failed: try again later, or, after `give_up_h`, let it be dead. False when the claim was lost."""
        now = self._clock()
        row = self._db.execute("SELECT since_s FROM deliveries WHERE id=?", (claim.id,)).fetchone()
        if row is None or now - row["since_s"] > retry.give_up_h * 3600.0:
            return self.dead(claim, f"given up after {retry.give_up_h:g} hours: {reason}")
        wait_s = min(retry.longest_s, retry.first_s * 2.0 ** min(claim.attempts - 1, 32))
        due_s = now + wait_s * (1.0 + retry.jitter * (2.0 * self._chance() - 1.0))
        return self._update(claim, "state='pending', reason=?, due_s=?", [reason, due_s])

    def dead(self, claim: Delivery, reason: str) -> bool:
        """End a claim that no retry can help; it waits for `replay`. False when the claim was lost."""
        return self._update(claim, "state='dead', reason=?, ended_s=?", [reason, self._clock()])

    def supersede(self, claim: Delivery, reason: str) -> bool:
        """End a claim whose result is no longer there because a newer one took its place. False when the claim was lost."""
        return self._update(claim, "state='superseded', reason=?, ended_s=?", [reason, self._clock()])

    def replay(self, *, ids: Sequence[int] | None = None, target: str | None = None, study: str | None = None) -> int:
        """Queue dead deliveries again: all, or those of the numbers, the target or the study; what was accepted is not resent.

        Returns:
            How many.
        """
        condition, values = "1", list[object]()
        for column, value in (("target", target), ("study", study)):
            if value is not None:
                condition += f" AND {column}=?"
                values.append(value)
        if ids is not None:
            condition += f" AND id IN ({','.join('?' * len(ids))})"
            values += ids
        with self._transaction() as db:
            return self._revive(db, condition, values)

    def wake(self, target: str) -> int:
        """Let everything that waits for a target be due now, because it answers again."""
        with self._transaction() as db:
            return db.execute(
                "UPDATE deliveries SET due_s=? WHERE target=? AND state='pending'", (self._clock(), target)
            ).rowcount

    def forget(self, *, older_than_s: float) -> int:
        """Remove what was delivered or superseded so long ago, and answers to commitments; what is dead stays. How many."""
        limit = self._clock() - older_than_s
        with self._transaction() as db:
            db.execute("DELETE FROM commitments WHERE at_s<?", (limit,))
            return db.execute(
                "DELETE FROM deliveries WHERE state IN ('delivered', 'superseded') AND ended_s<?", (limit,)
            ).rowcount

    def counts(self) -> dict[tuple[str, State], int]:
        """Number of deliveries by target and state."""
        rows = self._db.execute("SELECT target, state, COUNT(*) AS n FROM deliveries GROUP BY target, state").fetchall()
        return {(row["target"], State(row["state"])): row["n"] for row in rows}

    def list(self, *, state: State | None = None, study: str | None = None, key: str | None = None) -> tuple[Delivery, ...]:
        """Deliveries in the order in which they came, all or those of a state, a study, a parcel."""
        sql, values = f"SELECT {_COLUMNS} FROM deliveries WHERE 1", []
        for column, value in (("state", state), ("study", study), ("key", key)):
            if value is not None:
                sql += f" AND {column}=?"
                values.append(str(value))
        return tuple(_delivery(row) for row in self._db.execute(sql + " ORDER BY id", values))

    def commit(self, transaction_uid: str, failed: Mapping[str, str]) -> None:
        """Note a PACS's answer to a request for storage commitment.

        Args:
            transaction_uid: of the request.
            failed: reason for every object that the PACS does not keep, by SOP Instance UID.
        """
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO commitments VALUES (?, ?, ?)",
                (transaction_uid, json.dumps(dict(failed)), self._clock()),
            )

    def commitment(self, transaction_uid: str) -> dict[str, str] | None:
        """The answer to a request for storage commitment: what is not kept; None while there is no answer."""
        row = self._db.execute("SELECT failed FROM commitments WHERE transaction_uid=?", (transaction_uid,)).fetchone()
        return None if row is None else dict(json.loads(row["failed"]))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, on disk at the end."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                msg = f"the outbox {self.path} cannot be written: {error}"
                raise OutputError(msg) from error

    def _put_parcel(self, db: sqlite3.Connection, parcel: Parcel, target: str, *, urgent: bool) -> int:
        newest = db.execute(
            "SELECT id, key, turn, state FROM deliveries WHERE study=? AND target=? AND notice IS NULL"
            " ORDER BY turn DESC LIMIT 1",
            (parcel.study_instance_uid, target),
        ).fetchone()
        if newest is not None and newest["key"] == parcel.key:
            return self._revive(db, "id=?", [newest["id"]]) if newest["state"] == State.DEAD else 0
        turn = 0 if newest is None else newest["turn"] + 1
        self._overtake(db, target, parcel.study_instance_uid, parcels=True)
        db.execute("DELETE FROM deliveries WHERE target=? AND key=?", (target, parcel.key))  # an older turn of the same result
        row = {"key": parcel.key, "study": parcel.study_instance_uid, "version": parcel.version, "folder": str(parcel.folder)}
        self._insert(db, target, row | {"urgent": int(urgent), "turn": turn})
        return 1

    def _revive(self, db: sqlite3.Connection, condition: str, values: Sequence[object]) -> int:
        """Queue what is dead and fits a condition again, its time counted anew."""
        sql = "UPDATE deliveries SET state='pending', due_s=?, since_s=?, attempts=0, ended_s=NULL WHERE state='dead' AND "
        return db.execute(sql + condition, (self._clock(), self._clock(), *values)).rowcount

    def _overtake(self, db: sqlite3.Connection, target: str, study: str, *, parcels: bool) -> None:
        db.execute(
            "UPDATE deliveries SET state='superseded', reason='overtaken by a newer one', ended_s=? WHERE target=? AND study=?"
            f" AND state IN ('pending', 'dead') AND notice IS {'' if parcels else 'NOT'} NULL",
            (self._clock(), target, study),
        )

    def _insert(self, db: sqlite3.Connection, target: str, row: Mapping[str, object]) -> None:
        now = self._clock()
        full = {**row, "target": target, "state": "pending", "queued_s": now, "since_s": now, "due_s": now}
        names = ", ".join(full)
        db.execute(f"INSERT INTO deliveries ({names}) VALUES ({', '.join(f':{name}' for name in full)})", full)

    def _update(self, claim: Delivery, changes: str, values: Sequence[object]) -> bool:
        """Change a delivery that is still claimed by this token."""
        with self._transaction() as db:
            sql = f"UPDATE deliveries SET {changes} WHERE id=? AND token=? AND state='sending'"
            return db.execute(sql, (*values, claim.id, claim.token)).rowcount == 1


def _delivery(row: sqlite3.Row) -> Delivery:
    fields = dict(row)
    fields["folder"] = None if row["folder"] is None else Path(row["folder"])
    fields["notice"] = None if row["notice"] is None else msgspec.json.decode(row["notice"], type=Notice)
    fields["state"] = State(row["state"])
    fields["done"] = json.loads(row["done"])
    return Delivery(**fields)
