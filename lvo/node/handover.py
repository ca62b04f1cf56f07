"""From a result to its destinations: every analysed version is handed to the outbox once, and its end is written down."""

import logging
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from lvo.delivery import Notice, Outbox, State, hand_over, notice_of, read_parcel, tell
from lvo.delivery.settings import Told
from lvo.errors import InputError
from lvo.eventlog import EventKind, Facts
from lvo.node.database import Clock, transaction, wall
from lvo.node.jobs import ENDED, quarantine
from lvo.node.records import count, note_event
from lvo.node.settings import NodeSettings

__all__ = ["Handover"]

LOG = logging.getLogger(__name__)

_ARRIVED = frozenset({State.DELIVERED, State.SUPERSEDED})

_OVERDUE = (
    "SELECT s.study_uid, s.peer, s.first_at AS since, 1 AS version FROM studies AS s"  # noqa: S608 - constants
    " WHERE s.alarmed = 0 AND s.first_at < :until"
    f" AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.study_uid = s.study_uid AND j.state IN {ENDED})"
    " UNION ALL SELECT s.study_uid, s.peer, min(j.queued_at), max(j.version) FROM studies AS s JOIN jobs AS j USING (study_uid)"
    " WHERE j.state IN ('queued', 'running') AND j.version > s.alarmed"
    f" AND EXISTS (SELECT 1 FROM jobs AS o WHERE o.study_uid = s.study_uid AND o.state IN {ENDED})"
    " GROUP BY s.study_uid HAVING min(j.queued_at) < :until"
)
"""Studies without any result, and those of which a later version is late; told once each, which `alarmed` remembers."""


@dataclass(frozen=True, slots=True, eq=False)
class Handover:
    """Moves results from the store to the outbox; each step may be repeated without harm."""

    db: sqlite3.Connection
    clock: Clock
    outbox: Outbox
    settings: NodeSettings

    def step(self) -> None:
        """Hand over what was analysed, note what was delivered, tell of what failed or is late.

        Raises:
            OutputError: the outbox cannot be written.
        """
        self._hand_over()
        self._follow()
        self._tell_failed()
        self._tell_overdue()

    def _hand_over(self) -> None:
        for job in self._jobs("analysed"):
            newer = self.db.execute(
                "SELECT 1 FROM jobs WHERE study_uid = ? AND version > ? AND state IN ('delivering', 'delivered')",
                (job["study_uid"], job["version"]),
            ).fetchone()
            if newer is not None:
                self._move(job, "superseded", "a newer version went out first")
                continue
            try:
                parcel = read_parcel(self.settings.root / job["folder"])
                hand_over(self.outbox, self.settings.delivery, parcel, at=datetime.fromisoformat(job["analysed_wall"]))
            except InputError as error:
                with transaction(self.db):
                    quarantine(self.db, self.clock, job["id"], f"its result cannot be delivered: {error}")
                continue
            self._move(job, "delivering", "")

    def _follow(self) -> None:
        for job in self._jobs("delivering"):
            try:
                key = read_parcel(self.settings.root / job["folder"]).key
            except InputError as error:  # somebody removed the result
                with transaction(self.db):
                    quarantine(self.db, self.clock, job["id"], str(error))
                continue
            deliveries = [d for d in self.outbox.list(key=key) if d.notice is None]
            if deliveries and all(delivery.state is State.SUPERSEDED for delivery in deliveries):
                self._move(job, "superseded", "a newer version went out first")
            elif all(delivery.state in _ARRIVED for delivery in deliveries):
                self._delivered(job, tuple(sorted(d.target for d in deliveries if d.state is State.DELIVERED)))
            elif all(delivery.state in (*_ARRIVED, State.DEAD) for delivery in deliveries):
                dead = [delivery for delivery in deliveries if delivery.state is State.DEAD]
                reason = "; ".join(f"not delivered to {delivery.target}: {delivery.reason}" for delivery in dead)
                with transaction(self.db):
                    quarantine(self.db, self.clock, job["id"], reason)

    def _delivered(self, job: sqlite3.Row, targets: tuple[str, ...]) -> None:
        with transaction(self.db):
            self._end(job, "delivered", "")
            note_event(self.db, EventKind.DELIVERED, job["study_uid"], Facts(version=job["version"], targets=targets))
            count(self.db, "outcomes", "delivered")

    def _tell_failed(self) -> None:
        rows = self.db.execute("SELECT * FROM jobs WHERE state = 'quarantined' AND told = 0 ORDER BY id").fetchall()
        for job in rows:
            tell(self.outbox, self.settings.delivery, self._failure(job), asked="failed")
            with transaction(self.db):
                self.db.execute("UPDATE jobs SET told = 1 WHERE id = ?", (job["id"],))

    def _failure(self, job: sqlite3.Row) -> Notice:
        """That a version failed; a finding that it has, or a suspicion that an earlier one raised, is what is said first."""
        at, reason = datetime.fromisoformat(job["ended_wall"]), job["reason"]
        standing: sqlite3.Row | None = job
        if not job["folder"]:
            standing = self._standing(job["study_uid"], job["version"])
            reason = f"version {job['version']} of the result could not be made, the one before it stands: {reason}"
        if standing is not None:
            with suppress(InputError):  # somebody removed the result
                found = notice_of(read_parcel(self.settings.root / standing["folder"]), at=at)
                found = msgspec.structs.replace(found, reasons=(*found.reasons, reason))
                return found if standing is job else _beside("failed", found)
        return Notice(
            event="failed", study_instance_uid=job["study_uid"], at=at, version=str(job["version"]), reasons=(job["reason"],),
            source=self._source(job["study_uid"]),
        )  # fmt: skip

    def _tell_overdue(self) -> None:
        limit_min = self.settings.alarm.no_result_min
        if not limit_min:
            return
        for study in self.db.execute(_OVERDUE, {"until": self.clock.now() - 60.0 * limit_min}).fetchall():
            peer = self.settings.dicom.peer(study["peer"])
            if peer is None or peer.analyse:
                waited_min = round((self.clock.now() - study["since"]) / 60.0, 1)
                LOG.error("a study has had no result for %.0f minutes", waited_min)
                tell(self.outbox, self.settings.delivery, self._overdue(study, waited_min), asked="overdue")
            with transaction(self.db):
                self.db.execute("UPDATE studies SET alarmed = ? WHERE study_uid = ?", (study["version"], study["study_uid"]))
                if peer is None or peer.analyse:
                    count(self.db, "alarms", "overdue")

    def _overdue(self, study: sqlite3.Row, waited_min: float) -> Notice:
        """That there is no result yet, or no later version of it; a suspicion that stands is what is said first."""
        uid, now = study["study_uid"], datetime.now(UTC)
        standing = self._standing(uid, study["version"])
        late = f"version {study['version']} of the result is late, the one before it stands"
        if standing is not None:
            with suppress(InputError):  # somebody removed the result
                found = notice_of(read_parcel(self.settings.root / standing["folder"]), at=now)
                found = msgspec.structs.replace(found, reasons=(*found.reasons, late), waited_min=waited_min)
                return _beside("overdue", found)
        return Notice(
            event="overdue", study_instance_uid=uid, at=now, waited_min=waited_min,
            reasons=() if standing is None else (late,), source=self._source(uid),
        )  # fmt: skip

    def _standing(self, study_uid: str, before: int) -> sqlite3.Row | None:
        """The newest version before another one that has a result."""
        found: sqlite3.Row | None = self.db.execute(
            "SELECT * FROM jobs WHERE study_uid = ? AND version < ? AND folder != '' ORDER BY version DESC LIMIT 1",
            (study_uid, before),
        ).fetchone()
        return found

    def _jobs(self, state: str) -> list[sqlite3.Row]:
        return self.db.execute("SELECT * FROM jobs WHERE state = ? ORDER BY study_uid, version", (state,)).fetchall()

    def _move(self, job: sqlite3.Row, state: str, reason: str) -> None:
        with transaction(self.db):
            if state == "superseded":
                self._end(job, state, reason)
            else:
                self.db.execute("UPDATE jobs SET state = ?, reason = ? WHERE id = ?", (state, reason, job["id"]))

    def _end(self, job: sqlite3.Row, state: str, reason: str) -> None:
        self.db.execute(
            "UPDATE jobs SET state = ?, reason = ?, ended_at = ?, ended_wall = ? WHERE id = ?",
            (state, reason, self.clock.now(), wall(), job["id"]),
        )

    def _source(self, study_uid: str) -> str:
        """Where a target that may be told finds out who the patient is."""
        folder = self.settings.root / "images" / study_uid
        return str(folder) if folder.is_dir() else ""


def _beside(event: Told, found: Notice) -> Notice:
    """What happened to a later version, with the finding that stands; a suspicion goes before, an all-clear has no number."""
    if found.event == "suspected":
        return found
    probability = None if found.event == "not_detected" else found.probability
    return msgspec.structs.replace(found, event=event, standing=found.event, probability=probability)
