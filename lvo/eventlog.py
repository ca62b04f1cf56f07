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

from lvo.durable import replace_file, sync_folder
from lvo.errors import InputError, OutputError, UsageError

__all__ = [
    "ACCESS", "LOG_CASE", "AiCall", "Event", "EventKind", "Facts", "Mtici", "Reason", "append_events", "check_events",
    "mend_log", "parse_time", "read_events",
]  # fmt: skip

FIRST = "0" * 64
"""What the first line is chained to."""

LOG_CASE = "log"
"""Case of an event that is no patient's: about the log itself, or signing in and out."""

_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASHED = ("n", "at", "kind", "case", "site", "facts", "written", "previous")

AiCall = Literal["suspected", "indeterminate", "not_detected", "not_assessable", "absent"]
Label = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9:][A-Za-z0-9 .:_-]{0,63}$")]
ModelName = Annotated[str, msgspec.Meta(pattern="^[ -~]{1,80}$")]
Mtici = Literal["0", "1", "2a", "2b", "2c", "3"]
Reason = Literal["no_occlusion", "occlusion_missed", "other_side", "other_site", "old_occlusion", "artefact", "other"]
"""Why a reader disagrees; a choice and no free text, which could hold a name."""


class EventKind(StrEnum):
    """The times that matter, in the order of the pathway; then what a node did; then who looked at what (`ACCESS`)."""

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
    CONFLICT = "conflict"
    DELIVERED = "delivered"
    QUARANTINED = "quarantined"
    REPLAYED = "replayed"
    PURGED = "purged"
    MENDED = "mended"
    VIEWED = "viewed"
    ACKNOWLEDGED = "acknowledged"
    OPINION = "opinion"
    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGNED_OUT = "signed_out"


ACCESS = frozenset({
    EventKind.VIEWED, EventKind.ACKNOWLEDGED, EventKind.OPINION,
    EventKind.SIGNED_IN, EventKind.SIGN_IN_REFUSED, EventKind.SIGNED_OUT,
})  # fmt: skip
"""What people did in the viewer: these go into a log of their own, not into that of the service."""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What belongs to an event beside its time; every fact may be unknown.

    Args:
        onset_seen: the time of `onset` is that of the first symptom; False when the patient was only last known well then.
        deprivation_decile: of the patient's area, 1 (most deprived) to 10; with `arrival`.
        scanner: label of the CT scanner; with `ncct` or `cta`.
        call: what `lvo` said; with `result_out`.
        mtici: modified Thrombolysis in Cerebral Infarction grade; with `reperfusion`.
        lvo: whether there was a large-vessel occlusion after all; with `final_diagnosis`.
        peer: who sent the images: AE title or address; with `first_image_in` and `conflict`.
        version: number of the result of this study, from 1; with `result_out`, `delivered`, `quarantined` and `replayed`.
        models: names and versions that decided; with `result_out`.
        targets: where the result went; with `delivered`.
        by: account of the member of staff; with every kind of `ACCESS`.
        agree: whether the reader agrees with the result; with `opinion`.
        reason: why not.
    """

    onset_seen: bool | None = None
    deprivation_decile: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    scanner: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}$")] | None = None
    call: AiCall | None = None
    mtici: Mtici | None = None
    lvo: bool | None = None
    peer: Label | None = None
    version: Annotated[int, msgspec.Meta(ge=1)] | None = None
    models: Annotated[tuple[ModelName, ...], msgspec.Meta(max_length=8)] = ()
    targets: Annotated[tuple[Label, ...], msgspec.Meta(max_length=32)] = ()
    by: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    agree: bool | None = None
    reason: Reason | None = None


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
        InputError: the log ends in half a line (`mend_log`) or in something that is no event.
        OutputError: it cannot be written.
    """
    import fcntl  # not on Windows, where everything but the log still works

    written = now or datetime.now(UTC)
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            chained = _chain(_last(file.fileno(), path), events, written)
            _put(file.fileno(), b"".join(msgspec.json.encode(event) + b"\n" for event in chained))
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        msg = f"the event log {path} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    return chained


def _put(descriptor: int, content: bytes) -> None:
    """Append all of it or nothing: on a full disk half a line would make the log unusable."""
    size, rest = os.fstat(descriptor).st_size, memoryview(content)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def mend_log(path: Path, *, site: str, now: datetime | None = None) -> Path | None:
    """Put half a line aside that a power cut left at the end of a log, and say so in it; its writer writes those events again.

    Args:
        path: the log; nothing happens where there is none.
        site: code of the hospital, for the event.
        now: time of writing; the clock's if omitted.

    Returns:
        Where the half line is kept, beside the log; None where the log is whole.

    Raises:
        InputError: what comes before the half line is no event.
        OutputError: the log or its folder cannot be written.
    """
    import fcntl

    if not path.exists():
        return None
    at = now or datetime.now(UTC)
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # so that a line which somebody is writing is not taken for a half one
            torn = _torn(file.fileno())
            if not torn:
                return None
            whole = os.fstat(file.fileno()).st_size - len(torn)
            aside = path.with_name(f"{path.name}.torn-{whole}")
            replace_file(aside, torn)
            sync_folder(aside.parent)
            os.ftruncate(file.fileno(), whole)
            event = Event(at=at, kind=EventKind.MENDED, case=LOG_CASE, site=site)
            os.lseek(file.fileno(), 0, os.SEEK_END)
            chained = _chain(_last(file.fileno(), path), [event], at)
            _put(file.fileno(), b"".join(msgspec.json.encode(one) + b"\n" for one in chained))
    except OSError as error:
        msg = f"the event log {path} cannot be mended: {error.strerror}"
        raise OutputError(msg) from error
    return aside


def _torn(descriptor: int) -> bytes:
    """What follows the last whole line."""
    size = os.fstat(descriptor).st_size
    start, tail = size, b""
    while start > 0 and b"\n" not in tail:
        step = min(start, _LINE_BYTES)
        start -= step
        tail = os.pread(descriptor, step, start) + tail
    return tail[tail.rfind(b"\n") + 1 :]


def read_events(path: Path) -> tuple[Event, ...]:
    """All events of a log in the order in which they were written, the chain checked.

    Raises:
        InputError: it cannot be read, a line is no event, or the chain is broken; the message names the line.
    """
    events, problem = check_events(path)
    if problem:
        raise InputError(problem)
    return events


def check_events(path: Path) -> tuple[tuple[Event, ...], str]:
    """The events of a log up to the first one that the chain does not hold, and what is wrong there; empty where nothing is.

    Raises:
        InputError: it cannot be read.
    """
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # so that a line which somebody is writing is not taken for a half one
            lines = file.read().split(b"\n")
    except OSError as error:
        msg = f"the event log {path} cannot be read: {error.strerror}"
        raise InputError(msg) from error
    half = lines.pop()
    events: list[Event] = []
    previous = FIRST
    for n, line in enumerate(lines):
        try:
            event = _decode(line, path, n + 1)
        except InputError as error:
            return tuple(events), str(error)
        if event.n != n or event.previous != previous or event.sha256 != _hash(event):
            problem = f"{path}, line {n + 1}: the chain is broken here; a line was changed, removed or put in: restore a copy"
            return tuple(events), problem
        previous = event.sha256
        events.append(event)
    return tuple(events), _half_line(path) if half else ""


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


_LINE_BYTES = 8192
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
    return (
        f"the event log {path} ends in half a line, as after a power cut; a node mends its own when it next writes,"
        " the viewer when it starts; of any other keep a copy, remove that half line, and go on"
    )


def _is_nhs_number(text: str) -> bool:
    """Whether the text is ten digits with a valid check digit of the British patient number (modulus 11)."""
    if not re.fullmatch(r"\d{3}-?\d{3}-?\d{4}", text, re.ASCII):
        return False
    digits = [int(c) for c in text if c.isdigit()]
    return (11 - sum((10 - i) * d for i, d in enumerate(digits[:9])) % 11) % 11 == digits[9]
