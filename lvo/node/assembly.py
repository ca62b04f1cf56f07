"""When a study is ready: nothing came for a while, or everything came that was announced. Late images make a new version.

A CT series that is complete is handed on early, before the rest of its study is here: if there is an angiogram in it, its
result goes out, and is amended when the study is complete.
"""

import sqlite3
from dataclasses import dataclass

import msgspec

from lvo.node.database import Clock, transaction
from lvo.node.jobs import ANNOUNCED, NO_RESULT, put_job
from lvo.node.settings import AssemblySettings, NodeSettings

__all__ = ["plan"]

EARLY_PRIORITY, SUSPECTED_PRIORITY = 1000, 500
"""An angiogram before everything else; a study in which an occlusion is suspected before the others."""

_WAITING = (
    "SELECT s.study_uid FROM studies AS s LEFT JOIN jobs AS j ON j.id = (SELECT id FROM jobs WHERE study_uid = s.study_uid"  # noqa: S608 - a constant
    f" AND state NOT IN {NO_RESULT} ORDER BY version DESC LIMIT 1)"
    f" WHERE s.n_images != coalesce(j.n_images, 0) OR (j.early AND s.n_images < {ANNOUNCED})"
)
"""Studies whose last version was not made from all their images, or was an early one and more were announced."""


@dataclass(frozen=True, slots=True)
class _Series:
    uid: str
    modality: str
    n_images: int
    expected: int | None
    silent_s: float

    def is_complete(self, settings: AssemblySettings) -> bool:
        """Whether this series alone will get no more images, as far as can be told."""
        if self.expected is not None and self.n_images < self.expected:
            return self.silent_s >= settings.expected_wait_s
        announced = self.expected is not None
        return self.silent_s >= (min(settings.settled_s, settings.early_quiet_s) if announced else settings.early_quiet_s)


def plan(db: sqlite3.Connection, clock: Clock, settings: NodeSettings) -> int:
    """Queue a job for every study that is ready; returns how many were queued.

    A study of which images are missing that were announced gets a last version which says so, even if an early one has seen
    all that came.
    """
    waiting = db.execute(_WAITING).fetchall()
    return sum(_plan_study(db, clock, settings, row["study_uid"]) for row in waiting)


def _plan_study(db: sqlite3.Connection, clock: Clock, settings: NodeSettings, study_uid: str) -> int:
    with transaction(db):
        study = db.execute("SELECT * FROM studies WHERE study_uid = ?", (study_uid,)).fetchone()
        peer = settings.dicom.peer(study["peer"])
        if peer is not None and not peer.analyse:
            return 0
        priority = (peer.priority if peer else 0) + SUSPECTED_PRIORITY * study["suspected"]
        now, rows = clock.now(), db.execute("SELECT * FROM series WHERE study_uid = ?", (study_uid,))
        series = [_Series(r["series_uid"], r["modality"], r["n_images"], r["expected"], now - r["last_at"]) for r in rows]
        upto = db.execute("SELECT max(seq) AS seq FROM images WHERE study_uid = ?", (study_uid,)).fetchone()["seq"]
        quiet_s = settings.assembly.quiet_s if peer is None or peer.quiet_s is None else peer.quiet_s
        if _is_ready(db, study, series, now, settings.assembly, quiet_s):
            put_job(db, clock, study_uid, upto=upto, n_images=study["n_images"], priority=priority)
            return 1
        early = _early(db, study_uid, series, settings.assembly)
        if not early:
            return 0
        n_images = sum(item.n_images for item in series if item.uid in early)
        put_job(db, clock, study_uid, upto=upto, n_images=n_images, priority=priority + EARLY_PRIORITY, series=early)
        return 1


def _is_ready(
    db: sqlite3.Connection,
    study: sqlite3.Row,
    series: list[_Series],
    now: float,
    settings: AssemblySettings,
    quiet_s: float,
) -> bool:
    """Whether the whole study is ready."""
    known = [item for item in series if item.expected is not None]
    announced = study["expected"] if study["expected"] is not None else sum(item.expected or 0 for item in known)
    if study["expected"] is None and (not known or len(known) < len(series)):
        wait_s = quiet_s if all(item.n_images >= (item.expected or 0) for item in known) else settings.expected_wait_s
    else:
        wait_s = min(settings.settled_s, quiet_s) if study["n_images"] >= announced else settings.expected_wait_s
        if study["expected"] is None:  # how many series there will be is not known
            wait_s = max(wait_s, quiet_s)
    last = db.execute(
        "SELECT max(queued_at) AS at FROM jobs WHERE study_uid = ? AND early = 0", (study["study_uid"],)
    ).fetchone()["at"]
    return bool(now - study["last_at"] >= wait_s or now - max(study["first_at"], last or 0.0) >= settings.max_wait_s)


def _early(db: sqlite3.Connection, study_uid: str, series: list[_Series], settings: AssemblySettings) -> list[str]:
    """Complete CT series of a study that have not been looked at, with those that have; empty when there is nothing new."""
    if not settings.early:
        return []
    jobs = db.execute("SELECT early, state, series FROM jobs WHERE study_uid = ?", (study_uid,)).fetchall()
    if any(not job["early"] or job["state"] not in NO_RESULT for job in jobs):
        return []  # there is a result, or one is on its way
    looked_at = {uid for job in jobs for uid in msgspec.json.decode(job["series"], type=list[str])}
    complete = [
        item.uid
        for item in series
        if item.modality == "CT" and item.n_images >= settings.early_min_images and item.is_complete(settings)
    ]
    return complete if set(complete) - looked_at else []
