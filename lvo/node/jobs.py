"""The job table: one row per version of a study's result, from the queue to the end.

    queued -> running -> analysed -> delivering -> delivered
                 |-> queued (again, later)     |-> quarantined
                 |-> quarantined
                 |-> skipped (early, and no angiogram in it that can be judged; or what it lacked was fetched for the next one)
    superseded: a later version took its place before anybody was told of it

A worker holds a job by a lease that it renews; who finds an expired lease puts the job back. An attempt counts when it
begins, so that a study which kills its worker ends in quarantine like one that raises.
"""

import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lvo.errors import InputError
from lvo.eventlog import AiCall, EventKind, Facts
from lvo.node.database import Clock, transaction, wall
from lvo.node.records import count, note_event
from lvo.node.settings import WorkSettings

__all__ = [
    "ANNOUNCED",
    "ENDED",
    "NO_RESULT",
    "Analyse",
    "Job",
    "Outcome",
    "claim",
    "expire",
    "fail",
    "files_of",
    "finish",
    "give_back",
    "keep",
    "put_job",
    "quarantine",
    "release",
    "replay",
]


ENDED = ("analysed", "delivering", "delivered", "quarantined")
"""States in which an analysis has ended with something to say. As text, the two are lists of SQL."""

NO_RESULT = ("skipped", "superseded")
"""States of versions that nobody hears of."""

ANNOUNCED = (
    "coalesce(s.expected, (SELECT CASE WHEN count(expected) THEN sum(max(n_images, coalesce(expected, 0))) END"
    " FROM series WHERE study_uid = s.study_uid))"
)
"""How many images the study `s` should have, as they say of it or else of its series; NULL where none does."""


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job.

    Args:
        id: number in the table.
        study_uid: of the study.
        version: of the result that it makes, from 1.
        early: look only for an angiogram among the series that are complete.
        attempts: including this one.
        worker: who holds it.
        expected: how many images the study should have, None where nobody says.
        n_images: how many are in it.
        previous: version that this one replaces, 0 for none.
        fetched: the version before was skipped because images that it lacked were fetched for this one.
    """

    id: int
    study_uid: str
    version: int
    early: bool
    attempts: int
    worker: str
    expected: int | None
    n_images: int
    previous: int
    fetched: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an analysis came to.

    Args:
        folder: with the result, relative to that of the node; empty when it was skipped.
        status: of the result, as in result.json.
        call: on the angiogram.
        models: names and versions that decided.
    """

    folder: str
    status: str = ""
    call: AiCall = "absent"
    models: tuple[str, ...] = ()


Analyse = Callable[[Job, Sequence[Path], Path], Outcome]
"""Analyses the images of a job and leaves a result folder in the folder given; `Outcome.folder` is relative to that."""


def claim(db: sqlite3.Connection, clock: Clock, settings: WorkSettings, *, worker: str) -> Job | None:
    """Take the most urgent job that is due; None when there is none."""
    now = clock.now()
    with transaction(db):
        row = db.execute(
            "SELECT * FROM jobs WHERE state = 'queued' AND not_before <= ? ORDER BY priority DESC, queued_at LIMIT 1", (now,)
        ).fetchone()
        if row is None:
            return None
        db.execute(
            "UPDATE jobs SET state = 'running', worker = ?, attempts = attempts + 1, lease_until = ?, started_at = ?,"
            " started_wall = ? WHERE id = ?",
            (worker, now + settings.lease_s, now, wall(), row["id"]),
        )
        study = db.execute(f"SELECT {ANNOUNCED} AS n FROM studies AS s WHERE study_uid = ?", (row["study_uid"],)).fetchone()  # noqa: S608 - a constant
        previous = db.execute(
            "SELECT max(version) AS v FROM jobs WHERE study_uid = ? AND version < ? AND folder != ''"  # noqa: S608 - a constant
            f" AND state IN {ENDED}",
            (row["study_uid"], row["version"]),
        ).fetchone()["v"]
        before = db.execute(
            "SELECT state, early FROM jobs WHERE study_uid = ? AND version < ? AND (state != 'superseded' OR folder != '')"
            " ORDER BY version DESC LIMIT 1",  # of those that were begun
            (row["study_uid"], row["version"]),
        ).fetchone()
    return Job(
        row["id"], row["study_uid"], row["version"], bool(row["early"]), row["attempts"] + 1, worker,
        study["n"] if study else None, row["n_images"], previous or 0,
        before is not None and before["state"] == "skipped" and not before["early"],
    )  # fmt: skip


def files_of(db: sqlite3.Connection, job: Job, root: Path) -> list[Path]:
    """The images that belong to a job: those that were there when it was made and still are, without conflicting ones."""
    row = db.execute("SELECT series, upto FROM jobs WHERE id = ?", (job.id,)).fetchone()
    images = db.execute(
        "SELECT series_uid, path FROM images WHERE study_uid = ? AND seq <= ? AND conflict = 0 AND path != '' ORDER BY seq",
        (job.study_uid, row["upto"]),
    ).fetchall()
    wanted = None if row["series"] is None else set(msgspec.json.decode(row["series"], type=list[str]))
    return [root / image["path"] for image in images if wanted is None or image["series_uid"] in wanted]


def keep(db: sqlite3.Connection, clock: Clock, job: Job, *, lease_s: float) -> bool:
    """Renew the lease; False when it was lost, and then the work is worth nothing."""
    with transaction(db):
        done = db.execute(
            "UPDATE jobs SET lease_until = ? WHERE id = ? AND worker = ? AND state = 'running'",
            (clock.now() + lease_s, job.id, job.worker),
        )
    return done.rowcount == 1


def finish(db: sqlite3.Connection, clock: Clock, job: Job, outcome: Outcome) -> bool:
    """Record a result; False when the lease was lost: somebody else does the job, and this result counts for nothing."""
    state = "analysed" if outcome.folder else "skipped"
    now, today = clock.now(), wall()
    with transaction(db):
        done = db.execute(
            "UPDATE jobs SET state = ?, folder = ?, status = ?, call = ?, analysed_at = ?, analysed_wall = ?, reason = ''"
            " WHERE id = ? AND worker = ? AND state = 'running'",
            (state, outcome.folder, outcome.status, outcome.call, now, today, job.id, job.worker),
        )
        if done.rowcount != 1:
            return False
        if state == "analysed":
            _note_result(db, job, outcome)
        elif not job.early:
            _queue_again(db, clock, job)
    return True


def _queue_again(db: sqlite3.Connection, clock: Clock, job: Job) -> None:
    """The images that a job lacked are here now: nobody has to wait for more."""
    row = db.execute(
        "SELECT s.n_images, max(i.seq) AS upto, j.priority FROM studies AS s JOIN images AS i USING (study_uid), jobs AS j"
        " WHERE s.study_uid = ? AND j.id = ?",
        (job.study_uid, job.id),
    ).fetchone()
    put_job(db, clock, job.study_uid, upto=row["upto"], n_images=row["n_images"], priority=row["priority"])


def _note_result(db: sqlite3.Connection, job: Job, outcome: Outcome) -> None:
    """The time of the first result counts; an amended one is a new event only where the call is another."""
    before = db.execute(
        "SELECT call FROM jobs WHERE study_uid = ? AND version < ? AND folder != '' ORDER BY version DESC LIMIT 1",
        (job.study_uid, job.version),
    ).fetchone()
    if outcome.call == "suspected":
        db.execute("UPDATE studies SET suspected = 1 WHERE study_uid = ?", (job.study_uid,))
    if before is None or before["call"] != outcome.call:
        facts = Facts(call=outcome.call, version=job.version, models=outcome.models)
        note_event(db, EventKind.RESULT_OUT, job.study_uid, facts)
    count(db, "results", outcome.call)


def fail(db: sqlite3.Connection, clock: Clock, settings: WorkSettings, job: Job, reason: str, *, final: bool = False) -> None:
    """End an attempt that failed: again later, or quarantine when there were enough or `final` says that it is no use."""
    with transaction(db):
        row = db.execute(
            "SELECT * FROM jobs WHERE id = ? AND worker = ? AND state = 'running'", (job.id, job.worker)
        ).fetchone()
        if row is not None:
            _put_back(db, clock, settings, row, reason, final=final)


def release(db: sqlite3.Connection, clock: Clock, settings: WorkSettings, *, worker: str, reason: str) -> int:
    """Put back what a worker held that is known to be dead; returns how many jobs that were."""
    with transaction(db):
        rows = db.execute("SELECT * FROM jobs WHERE state = 'running' AND worker = ?", (worker,)).fetchall()
        for row in rows:
            _put_back(db, clock, settings, row, reason, final=False)
    return len(rows)


def give_back(db: sqlite3.Connection, job: Job) -> None:
    """Put a job back that was interrupted on purpose; the attempt does not count."""
    with transaction(db):
        db.execute(
            "UPDATE jobs SET state = 'queued', worker = '', attempts = attempts - 1"
            " WHERE id = ? AND worker = ? AND state = 'running'",
            (job.id, job.worker),
        )


def expire(db: sqlite3.Connection, clock: Clock, settings: WorkSettings) -> list[str]:
    """Put back the jobs of workers that fell silent; returns who they are."""
    with transaction(db):
        rows = db.execute("SELECT * FROM jobs WHERE state = 'running' AND lease_until < ?", (clock.now(),)).fetchall()
        for row in rows:
            _put_back(db, clock, settings, row, f"its worker was silent for {settings.lease_s:g} s", final=False)
    return [row["worker"] for row in rows]


def _put_back(
    db: sqlite3.Connection, clock: Clock, settings: WorkSettings, row: sqlite3.Row, reason: str, *, final: bool
) -> None:
    if final or row["attempts"] >= settings.max_attempts:
        quarantine(
            db, clock, row["id"], reason if final else f"{row['attempts']} attempts failed, the last one because {reason}"
        )
        return
    wait_s = min(settings.backoff_max_s, settings.backoff_s * 2.0 ** (row["attempts"] - 1)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
    db.execute(
        "UPDATE jobs SET state = 'queued', worker = '', not_before = ?, reason = ? WHERE id = ?",
        (clock.now() + wait_s, reason, row["id"]),
    )
    count(db, "retries", "analysis")


def quarantine(db: sqlite3.Connection, clock: Clock, job_id: int, reason: str) -> None:
    """End a job that cannot be done; within a transaction of the caller."""
    db.execute(
        "UPDATE jobs SET state = 'quarantined', worker = '', reason = ?, ended_at = ?, ended_wall = ?, told = 0 WHERE id = ?",
        (reason, clock.now(), wall(), job_id),
    )
    row = db.execute("SELECT study_uid, version FROM jobs WHERE id = ?", (job_id,)).fetchone()
    note_event(db, EventKind.QUARANTINED, row["study_uid"], Facts(version=row["version"]))
    count(db, "outcomes", "quarantined")


def replay(db: sqlite3.Connection, clock: Clock, study_uid: str) -> int:
    """Analyse a study once more from all its images, whatever became of it before.

    Returns:
        Version of the result to come.

    Raises:
        InputError: there is no such study, or its images are no longer here.
    """
    with transaction(db):
        row = db.execute(
            "SELECT count(*) AS n, sum(path != '') AS here, max(seq) AS upto FROM images WHERE study_uid = ? AND conflict = 0",
            (study_uid,),
        ).fetchone()
        if not row["here"]:
            msg = "there are no images of a study with that Study Instance UID here; `lvo node status` lists those there are"
            raise InputError(msg)
        version = put_job(db, clock, study_uid, upto=row["upto"], n_images=row["n"], priority=0)
        note_event(db, EventKind.REPLAYED, study_uid, Facts(version=version))
    return version


def put_job(
    db: sqlite3.Connection,
    clock: Clock,
    study_uid: str,
    *,
    upto: int,
    n_images: int,
    priority: int,
    series: list[str] | None = None,
) -> int:
    """Queue a job in place of those that wait; within a transaction of the caller. Returns its version."""
    db.execute(
        "UPDATE jobs SET state = 'superseded', reason = 'more images came' WHERE study_uid = ? AND state = 'queued'",
        (study_uid,),
    )
    last = db.execute("SELECT max(version) AS v FROM jobs WHERE study_uid = ?", (study_uid,)).fetchone()["v"]
    version = int(last or 0) + 1
    db.execute(
        "INSERT INTO jobs (study_uid, version, early, series, upto, n_images, state, priority, queued_at, queued_wall)"
        " VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?)",
        (study_uid, version, series is not None, None if series is None else msgspec.json.encode(series).decode(), upto,
         n_images, priority, clock.now(), wall()),
    )  # fmt: skip
    return version
