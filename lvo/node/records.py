"""What is written down about images, studies and events; every function belongs within a transaction of its caller."""

import sqlite3
from dataclasses import dataclass

import msgspec

from lvo.eventlog import EventKind, Facts
from lvo.node.database import Clock, wall
from lvo.node.identity import Identity

__all__ = ["Arrival", "count", "note_event", "put_image"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """An image that arrived.

    Args:
        identity: what it is.
        sha256: of its file.
        size: bytes of its file.
        path: of its file, relative to the folder of the node.
        door, peer: how it came, and from whom.
    """

    identity: Identity
    sha256: str
    size: int
    path: str
    door: str
    peer: str


def put_image(db: sqlite3.Connection, clock: Clock, arrival: Arrival) -> str:
    """Record an image.

    Returns:
        "new"; "duplicate" if the same content was recorded before; "conflict" if another content was recorded under the same
        SOP Instance UID: then the first one stays in use, and this one is kept beside it. An image whose file retention removed
        is a duplicate too: its file is here again, and the study counts no image more.
    """
    who = arrival.identity
    key = (who.study_uid, who.sop_uid)
    others = db.execute(
        "SELECT seq, sha256, path FROM images WHERE study_uid = ? AND sop_uid = ? ORDER BY conflict", key
    ).fetchall()
    same = next((row for row in others if row["sha256"] == arrival.sha256), None)
    if same is None and others and not any(row["path"] for row in others):
        same = others[0]  # another way of writing it down, as a PACS does; there is nothing here to compare it with
    if same is not None:
        if not same["path"]:
            _put_again(db, clock, same["seq"], arrival)
        count(db, "images", "duplicate")
        return "duplicate"
    kind = "conflict" if others else "new"
    db.execute(
        "INSERT INTO images (study_uid, series_uid, sop_uid, sha256, bytes, path, conflict, boot)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (who.study_uid, who.series_uid, who.sop_uid, arrival.sha256, arrival.size, arrival.path, bool(others), clock.boot),
    )
    _put_study(db, clock, arrival, conflict=bool(others))
    if others:
        note_event(db, EventKind.CONFLICT, who.study_uid, Facts(peer=arrival.peer))
    count(db, "images", kind)
    return kind


def _put_again(db: sqlite3.Connection, clock: Clock, seq: int, arrival: Arrival) -> None:
    """The file of an image is here again after retention removed it; it stays as long as a new one would."""
    db.execute(
        "UPDATE images SET path = ?, sha256 = ?, bytes = ?, boot = ? WHERE seq = ?",
        (arrival.path, arrival.sha256, arrival.size, clock.boot, seq),
    )
    now, study_uid = clock.now(), arrival.identity.study_uid
    db.execute("UPDATE studies SET last_at = ?, last_wall = ? WHERE study_uid = ?", (now, wall(), study_uid))


def _put_study(db: sqlite3.Connection, clock: Clock, arrival: Arrival, *, conflict: bool) -> None:
    who, now, today = arrival.identity, clock.now(), wall()
    known = db.execute("SELECT 1 FROM studies WHERE study_uid = ?", (who.study_uid,)).fetchone()
    if known is None:
        db.execute(
            "INSERT INTO studies (study_uid, door, peer, first_at, last_at, first_wall, last_wall)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (who.study_uid, arrival.door, arrival.peer, now, now, today, today),
        )
        note_event(db, EventKind.FIRST_IMAGE_IN, who.study_uid, Facts(peer=arrival.peer))
    if conflict:
        db.execute("UPDATE studies SET n_conflicts = n_conflicts + 1 WHERE study_uid = ?", (who.study_uid,))
        return
    db.execute(
        "UPDATE studies SET n_images = n_images + 1, last_at = ?, last_wall = ?, peer = ?, expected = coalesce(?, expected)"
        " WHERE study_uid = ?",
        (now, today, arrival.peer, who.expected_in_study, who.study_uid),
    )
    db.execute(
        "INSERT INTO series (study_uid, series_uid, modality, n_images, expected, last_at) VALUES (?, ?, ?, 1, ?, ?)"
        " ON CONFLICT DO"
        " UPDATE SET n_images = n_images + 1, last_at = excluded.last_at, expected = coalesce(excluded.expected, expected)",
        (who.study_uid, who.series_uid, who.modality, who.expected_in_series, now),
    )


def note_event(db: sqlite3.Connection, kind: EventKind, study_uid: str, facts: Facts) -> None:
    """Remember an event for the hash-chained log, which the clerk writes."""
    row = (wall(), kind.value, study_uid, msgspec.json.encode(facts).decode())
    db.execute("INSERT INTO events (at, kind, study_uid, facts) VALUES (?, ?, ?, ?)", row)


def count(db: sqlite3.Connection, name: str, label: str) -> None:
    """Add one to a counter."""
    db.execute(
        "INSERT INTO counters VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET value = value + 1",
        (name, label),
    )
