"""The clerk: decides what is ready, hands results over, keeps the log, takes in watched files, tidies up. One per node."""

import logging
import sqlite3
import threading
import traceback
from collections.abc import Callable

import msgspec

from lvo.delivery import Outbox
from lvo.errors import LvoError
from lvo.eventlog import Event, EventKind, Facts, append_events, mend_log, parse_time
from lvo.node.assembly import plan
from lvo.node.database import connect, open_clock, transaction
from lvo.node.handover import Handover
from lvo.node.heartbeat import Heartbeat
from lvo.node.inbox import Inbox
from lvo.node.retention import purge
from lvo.node.settings import NodeSettings
from lvo.node.watch import Watch

__all__ = ["keep_books", "write_events"]

LOG = logging.getLogger(__name__)

_POLL_S = 0.3
_PURGE_S = 60.0
_EVENTS = 500


def keep_books(settings: NodeSettings, stop: threading.Event) -> None:
    """Do all of it, again and again, until stopped. A step that fails is said and tried again; the others go on.

    Raises:
        OutputError: the store or the outbox cannot be opened.
    """
    db = connect(settings.database_path)
    clock = open_clock(db)
    with Outbox(settings.outbox_path) as outbox:
        steps: list[Callable[[], object]] = [
            lambda: plan(db, clock, settings),
            Handover(db, clock, outbox, settings).step,
            lambda: write_events(db, settings),
        ]
        inbox = Inbox(settings) if settings.watch.folder else None
        if inbox is not None:
            steps.append(Watch(settings, inbox).step)
        beat, next_purge = Heartbeat(db, clock), 0.0
        while not stop.wait(_POLL_S):
            for step in steps:
                _guarded(step)
            if clock.now() >= next_purge:
                _guarded(lambda: purge(db, clock, outbox, settings))
                _guarded(lambda: open_clock(db))  # notes the time, so that it goes on from here after a power cut
                next_purge = clock.now() + _PURGE_S
            _guarded(lambda: beat("clerk"))
        if inbox is not None:
            inbox.close()
    db.close()


def _guarded(step: Callable[[], object]) -> None:
    try:
        step()
    except LvoError as error:
        LOG.error("%s; trying again", error)  # noqa: TRY400 - it was raised on purpose
    except Exception as error:  # noqa: BLE001 - one study with something unforeseen must not stop the clerk for all others
        place = traceback.extract_tb(error.__traceback__)[-1]
        LOG.error("%s in the clerk (%s, line %d); trying again", type(error).__name__, place.name, place.lineno)  # noqa: TRY400 - a traceback may quote the patient


def write_events(db: sqlite3.Connection, settings: NodeSettings) -> int:
    """Bring noted events to the hash-chained log; returns how many.

    A process that dies between the log and the store writes its last events twice: of several events of one kind the last
    counts.

    Half a line, which a power cut left at the end of the log, is put aside; an event says so.

    Raises:
        InputError: the log ends in something that is no event.
        OutputError: it cannot be written.
    """
    rows = db.execute("SELECT * FROM events ORDER BY id LIMIT ?", (_EVENTS,)).fetchall()
    if not rows:
        return 0
    torn = mend_log(settings.log_path, site=settings.site)
    if torn is not None:
        LOG.error("the event log ended in half a line, which is in %s now; its events are written again", torn.name)
    append_events(settings.log_path, [_event(row, settings.site) for row in rows])
    with transaction(db):
        db.execute("DELETE FROM events WHERE id <= ?", (rows[-1]["id"],))
    return len(rows)


def _event(row: sqlite3.Row, site: str) -> Event:
    try:
        facts = msgspec.json.decode(row["facts"], type=Facts)
    except msgspec.ValidationError:  # an event without its facts is better than none, and than a clerk that stops here
        LOG.error("the facts of an event (%s) do not fit the log and were left out", row["kind"])  # noqa: TRY400
        facts = Facts()
    return Event(at=parse_time(row["at"]), kind=EventKind(row["kind"]), case=row["study_uid"], site=site, facts=facts)
