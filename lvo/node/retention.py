"""What may go, and when: images and results of studies that were delivered long enough ago. Nothing else is ever removed."""

import shutil
import sqlite3
import uuid
from pathlib import Path

from lvo.delivery import Outbox, State
from lvo.eventlog import EventKind, Facts
from lvo.node.database import Clock, transaction
from lvo.node.jobs import NO_RESULT
from lvo.node.records import note_event
from lvo.node.settings import NodeSettings

__all__ = ["purge"]

_DAY_S = 86_400.0
_DONE = (
    "SELECT study_uid FROM jobs JOIN studies USING (study_uid) WHERE last_at < :until GROUP BY study_uid"  # noqa: S608 - a constant
    " HAVING max(coalesce(ended_at, analysed_at, 1e18)) < :until"
    f" AND sum(state NOT IN {('delivered', *NO_RESULT)}) = 0"
)
"""Studies whose last image came, and whose every version ended well, before a time; one that is quarantined, or still on its
way, keeps the study."""


def purge(db: sqlite3.Connection, clock: Clock, outbox: Outbox, settings: NodeSettings) -> int:
    """Remove what was kept long enough; returns how many studies lost something."""
    trash = settings.root / "trash"
    shutil.rmtree(trash, ignore_errors=True)
    keep, now, touched = settings.retention, clock.now(), 0
    if keep.images_days:
        for row in db.execute(_DONE, {"until": now - keep.images_days * _DAY_S}).fetchall():
            touched += _purge_images(db, settings.root, row["study_uid"])
    if keep.results_days:
        for row in db.execute(_DONE, {"until": now - keep.results_days * _DAY_S}).fetchall():
            touched += _purge_study(db, outbox, settings.root, row["study_uid"])
        outbox.forget(older_than_s=keep.results_days * _DAY_S)
    shutil.rmtree(trash, ignore_errors=True)
    return touched


def _purge_images(db: sqlite3.Connection, root: Path, study_uid: str) -> int:
    """The files of images; that they were here stays known (their path is empty), so that none counts twice if sent again."""
    with transaction(db):
        waiting = db.execute(
            "SELECT 1 FROM studies WHERE study_uid = ? AND n_images != coalesce((SELECT n_images FROM jobs WHERE study_uid = ?"
            " AND state = 'delivered' ORDER BY version DESC LIMIT 1), 0)",
            (study_uid, study_uid),
        ).fetchone()
        here = db.execute("SELECT 1 FROM images WHERE study_uid = ? AND path != ''", (study_uid,)).fetchone()
        if waiting is not None or here is None:  # whether the folder is there says nothing: a purge may have died after it
            return 0
        _discard(root, root / "images" / study_uid)
        db.execute("UPDATE images SET path = '' WHERE study_uid = ?", (study_uid,))
        note_event(db, EventKind.PURGED, study_uid, Facts())
    return 1


def _purge_study(db: sqlite3.Connection, outbox: Outbox, root: Path, study_uid: str) -> int:
    parcels = (delivery for delivery in outbox.list(study=study_uid) if delivery.notice is None)
    if any(delivery.state in (State.PENDING, State.SENDING) for delivery in parcels):
        return 0
    _purge_images(db, root, study_uid)
    with transaction(db):
        if db.execute("SELECT 1 FROM images WHERE study_uid = ? AND path != ''", (study_uid,)).fetchone() is not None:
            return 0
        _discard(root, root / "results" / study_uid)
        for table in ("studies", "series", "images", "jobs"):
            db.execute(f"DELETE FROM {table} WHERE study_uid = ?", (study_uid,))  # noqa: S608 - names of our own
    return 1


def _discard(root: Path, folder: Path) -> None:
    """Move a folder out of the way at once; it is emptied at leisure."""
    if folder.is_dir():
        (root / "trash").mkdir(exist_ok=True)
        folder.rename(root / "trash" / uuid.uuid4().hex)
