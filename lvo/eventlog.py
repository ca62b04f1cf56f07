"""The service's own clock: an append-only record of what happened when, each line chained to the one before by its hash.

One format for commands, node, web page and audit: a line of JSON per event. A line that was changed, removed or put in is
found by `read_events`; lines cut off at the end are not, unless the last hash was noted elsewhere (`Event.sha256`). There is
no patient identity: a case is a pseudonym, and facts have names and types of their own, so free text cannot get in.

What was entered wrongly is entered again: of several events of one kind for one case the last one counts.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from lvo.errors import InputError, OutputError, UsageError

__all__ = ["AiCall", "Event", "EventKind", "Facts", "Mtici", "append_events", "parse_time", "read_events"]

FIRST = "0" * 64
"""What the first line is chained to."""

_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASHED = ("n", "at", "kind", "case", "site", "facts", "written", "previous")

AiCall = Literal["suspected", "indeterminate", "not_detected", "not_assessable", "absent"]
Mtici = Literal["0", "1", "2a", "2b", "2c", "3"]


class EventKind(StrEnum):
    """The times that matter, in the order of the pathway."""

    ONSET = "onset"
    ARRIVAL = "arrival"
    NCCT = "ncct"
    CTA = "cta"
    FIRST_IMAGE_IN = "first_image_in"
    RESULT_OUT = "result_out"
    READ = "read"
    REFERRED = "referred"
    ACCEPTED = "accepted"
    DOOR_OUT = "door_out"
    HUB_ARRIVAL = "hub_arrival"
    PUNCTURE = "puncture"
    REPERFUSION = "reperfusion"
    FINAL_DIAGNOSIS = "final_diagnosis"


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What belongs to an event beside its time; every fact may be unknown.

    Args:
        onset_seen: the time of `onset` is that of the first symptom; False when the patient was only last known well then.
        deprivation_decile: of the patient's area, 1 (most deprived) to 10; with `arrival`.
        scanner: label of the CT scanner; with `ncct` or `cta`.
        call: what `lvo` said; with `result_out`.
        mtici: modified Thrombolysis in Cerebral Infarction grade; with `reperfusion`.
        lvo: whether there was a large-vessel occlusion after all; with `final_diagnosis`.
    """

    onset_seen: bool | None = None
    deprivation_decile: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    scanner: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")] | None = None
    call: AiCall | None = None
    mtici: Mtici | None = None
    lvo: bool | None = None


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the log.

    Args:
        at: when it happened, with its offset from UTC.
        kind: what happened.
        case: pseudonym of the patient's episode, never a name or a number of the patient.
        site: code of the hospital where it happened, as in the list of units.
        facts: what belongs to it.
        n: number of the line, from 0; set when it is written.
        written: when it was written; set then.
        previous: hash of the line before; set then.
        sha256: hash of this line; set then.
    """

    at: datetime
    kind: EventKind
    case: str
    site: str
    facts: Facts = Facts()
    n: int = 0
    written: datetime | None = None
    previous: str = FIRST
    sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse a time without offset, and labels that could hold a name or a patient's number."""
        if self.at.tzinfo is None:
            msg = f"the time of {self.kind} has no offset from UTC; write it as 2026-03-01T14:05+00:00"
            raise ValueError(msg)
        if not _PSEUDONYM.fullmatch(self.case) or _is_nhs_number(self.case):
            msg = "`case` must be a pseudonym of at most 64 letters, digits, dots, dashes, underscores, and no patient number"
            raise ValueError(msg)
        if not _PSEUDONYM.fullmatch(self.site):
            msg = "`site` must be a code of at most 64 letters, digits, dots, dashes and underscores"
            raise ValueError(msg)


def append_events(path: Path, events: Iterable[Event], *, now: datetime | None = None) -> tuple[Event, ...]:
    """Append events to a log, made if it is not there, all or none; safe against other writers on this machine.

    Args:
        path: the log.
        events: what happened; number, hashes and time of writing are set here.
        now: time of writing; the clock's if omitted.

    Returns:
        The events as written.

    Raises:
        InputError: the log ends in half a line or in something that is no event.
        OutputError: it cannot be written.
    """
    import fcntl  # not on Windows, where everything but the log still works

    written = now or datetime.now(UTC)
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            chained = _chain(_last(file.fileno(), path), events, written)
            file.write(b"".join(msgspec.json.encode(event) + b"\n" for event in chained))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"the event log {path} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    return chained


def read_events(path: Path) -> tuple[Event, ...]:
    """All events of a log in the order in which they were written, the chain checked.

    Raises:
        InputError: it cannot be read, a line is no event, or the chain is broken; the message names the line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        msg = f"the event log {path} cannot be read: {error.strerror}"
        raise InputError(msg) from error
    if lines.pop():
        raise InputError(_half_line(path))
    events: list[Event] = []
    previous = FIRST
    for n, line in enumerate(lines):
        event = _decode(line, path, n + 1)
        if event.n != n or event.previous != previous or event.sha256 != _hash(event):
            msg = f"{path}, line {n + 1}: the chain is broken here; a line was changed, removed or put in: restore a copy"
            raise InputError(msg)
        previous = event.sha256
        events.append(event)
    return tuple(events)


def parse_time(text: str) -> datetime:
    """A time with its offset from UTC.

    Raises:
        UsageError: it is not one.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        msg = f"{text!r} is no time with an offset from UTC; write it as 2026-03-01T14:05+00:00 or ...Z"
        raise UsageError(msg)
    return at


def _chain(last: Event | None, events: Iterable[Event], written: datetime) -> tuple[Event, ...]:
    chained: list[Event] = []
    n, previous = (0, FIRST) if last is None else (last.n + 1, last.sha256)
    for event in events:
        linked = msgspec.structs.replace(event, n=n, written=written, previous=previous)
        linked = msgspec.structs.replace(linked, sha256=_hash(linked))
        chained.append(linked)
        n, previous = n + 1, linked.sha256
    return tuple(chained)


def _hash(event: Event) -> str:
    """SHA-256 over everything but itself, in canonical JSON."""
    content = {name: getattr(event, name) for name in _HASHED}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


_LINE_BYTES = 4096
"""No line is longer: every field of an event is bounded."""


def _last(descriptor: int, path: Path) -> Event | None:
    """The last event of an open log, read from its end; None when it is empty."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, _LINE_BYTES, max(0, size - _LINE_BYTES))
    if not tail:
        return None
    if not tail.endswith(b"\n"):
        raise InputError(_half_line(path))
    event = _decode(tail[:-1].rsplit(b"\n", maxsplit=1)[-1], path, None)
    if event.sha256 != _hash(event):
        msg = f"{path}: the last line was changed; nothing is appended to it: restore a copy"
        raise InputError(msg)
    return event


def _decode(line: bytes, path: Path, number: int | None) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.DecodeError, ValueError) as error:
        where = "the last line" if number is None else f"line {number}"
        msg = f"{path}, {where} is no event of this format ({type(error).__name__}); restore a copy, or give another file"
        raise InputError(msg) from error


def _half_line(path: Path) -> str:
    return f"the event log {path} ends in half a line, as after a power cut; keep a copy, remove that half line, and go on"


def _is_nhs_number(text: str) -> bool:
    """Whether the text is ten digits with a valid check digit of the British patient number (modulus 11)."""
    if not re.fullmatch(r"\d{3}-?\d{3}-?\d{4}", text, re.ASCII):
        return False
    digits = [int(c) for c in text if c.isdigit()]
    return (11 - sum((10 - i) * d for i, d in enumerate(digits[:9])) % 11) % 11 == digits[9]
