"""What others may see of a node: read-only, for the web page, the metrics and `lvo node status`.

    with open_view(settings) as view:
        for study in view.studies(limit=50): ...

A `StudyView` holds no identity but the Study Instance UID; `folder` is that of the newest result, as the contract promises it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lvo.node.database import connect_read_only
from lvo.node.jobs import NO_RESULT
from lvo.node.settings import NodeSettings

__all__ = ["StudyView", "VersionView", "View", "open_view"]


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of the result of a study.

    Args:
        version: from 1.
        early: made from the angiogram before the study was complete.
        state: of `lvo.node.jobs`.
        status: of result.json; empty while there is none.
        call: on the angiogram; empty while there is none.
        reason: why it is where it is: of a retry, a quarantine.
        attempts: how often it was tried.
        n_images: it was made from.
        folder: with the result; None while there is none.
        queued, started, analysed, ended: wall-clock times, ISO 8601; None while not reached.
    """

    version: int
    early: bool
    state: str
    status: str
    call: str
    reason: str
    attempts: int
    n_images: int
    folder: Path | None
    queued: str
    started: str | None
    analysed: str | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class StudyView:
    """One study.

    Args:
        study_uid: Study Instance UID.
        state: "receiving", "queued", "running", "analysed", "delivering", "delivered" or "quarantined".
        peer: who sent the newest image: AE title or address.
        door: how the first image came: "dicom", "stow" or "watch".
        n_images: that count.
        n_conflicts: images whose SOP Instance UID was there with another content.
        n_series: series.
        first_image, last_image: wall-clock times, ISO 8601.
        versions: of the result, oldest first.
    """

    study_uid: str
    state: str
    peer: str
    door: str
    n_images: int
    n_conflicts: int
    n_series: int
    first_image: str
    last_image: str
    versions: tuple[VersionView, ...]

    @property
    def newest(self) -> VersionView | None:
        """The newest version that has a result."""
        return next((version for version in reversed(self.versions) if version.folder is not None), None)

    @property
    def reason(self) -> str:
        """Why the study is where it is."""
        return self.versions[-1].reason if self.versions else ""


class View:
    """Looks at a store that others write."""

    def __init__(self, db: sqlite3.Connection, root: Path) -> None:
        """Look through an open connection."""
        self._db, self._root = db, root

    def studies(self, *, limit: int = 200, offset: int = 0) -> tuple[StudyView, ...]:
        """Studies, those with the newest images first."""
        rows = self._db.execute("SELECT * FROM studies ORDER BY last_at DESC LIMIT ? OFFSET ?", (limit, offset)).fetchall()
        return tuple(self._study(row) for row in rows)

    def study(self, study_uid: str) -> StudyView | None:
        """One study, None when it is not here."""
        row = self._db.execute("SELECT * FROM studies WHERE study_uid = ?", (study_uid,)).fetchone()
        return None if row is None else self._study(row)

    def counts(self) -> dict[str, int]:
        """How many studies are in each state."""
        counted: dict[str, int] = {}
        for study in self.studies(limit=-1):
            counted[study.state] = counted.get(study.state, 0) + 1
        return counted

    def _study(self, row: sqlite3.Row) -> StudyView:
        jobs = self._db.execute("SELECT * FROM jobs WHERE study_uid = ? ORDER BY version", (row["study_uid"],)).fetchall()
        n_series = self._db.execute("SELECT count(*) FROM series WHERE study_uid = ?", (row["study_uid"],)).fetchone()[0]
        return StudyView(
            row["study_uid"], _state(row, jobs), row["peer"], row["door"], row["n_images"], row["n_conflicts"], n_series,
            row["first_wall"], row["last_wall"], tuple(self._version(job) for job in jobs),
        )  # fmt: skip

    def _version(self, job: sqlite3.Row) -> VersionView:
        folder = self._root / job["folder"] if job["folder"] else None
        return VersionView(
            job["version"], bool(job["early"]), job["state"], job["status"], job["call"], job["reason"], job["attempts"],
            job["n_images"], folder, job["queued_wall"], job["started_wall"], job["analysed_wall"], job["ended_wall"],
        )  # fmt: skip


@contextmanager
def open_view(settings: NodeSettings) -> Iterator[View]:
    """Look at the store of a node, whether it runs or not.

    Raises:
        OutputError: there is none.
    """
    db = connect_read_only(settings.database_path)
    try:
        yield View(db, settings.root)
    finally:
        db.close()


def _state(study: sqlite3.Row, jobs: list[sqlite3.Row]) -> str:
    """State of the last version that counts; "receiving" while images are in no version."""
    last = next((job for job in reversed(jobs) if job["state"] not in NO_RESULT), None)
    if last is None or (last["n_images"] != study["n_images"] and last["state"] not in ("queued", "running")):
        return "receiving"
    return str(last["state"])
