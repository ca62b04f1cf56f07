"""Who looked at what and what they said: an audit log of its own in the format of `lvo.eventlog`, and the validation set."""

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lvo.errors import OutputError, UsageError
from lvo.eventlog import LOG_CASE, Event, EventKind, Facts, Reason, append_events, mend_log, read_events
from lvo.web.accounts import ACCOUNT_NAME
from lvo.web.rows import OpinionView, Seen
from lvo.web.source import StudyEntry

__all__ = ["Journal", "Opinion"]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reader says about a result.

    Args:
        agree: with it.
        reason: why not, None for those who agree.
        side: of the occlusion in the reader's eyes, None when not said.
        site: likewise.
    """

    agree: bool
    reason: Reason | None = None
    side: str | None = None
    site: str | None = None


class Journal:
    """The audit log `audit.jsonl` and the validation set `validation.jsonl` of a folder.

    The state of a study follows from the log alone: the first acknowledgement and the last opinion count.
    """

    def __init__(self, folder: Path, *, site: str, service_log: str = "") -> None:
        """Read the log, which may not be there yet; half a line that a power cut left at its end is put aside.

        Args:
            folder: made if it is not there; nobody else can read it.
            site: code of the hospital.
            service_log: event log of the service, which receives the first acknowledgement of a study as "read".

        Raises:
            InputError: the log was altered.
            OutputError: the folder cannot be made, or the log not mended.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            msg = f"{folder} cannot be made: {error.strerror}; choose another --state"
            raise OutputError(msg) from error
        self.log, self.validation = folder / "audit.jsonl", folder / "validation.jsonl"
        self._site, self._service_log = site, service_log
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._opinions: dict[str, OpinionView] = {}
        torn = mend_log(self.log, site=site)
        if torn is not None:
            LOG.error("the audit log ended in half a line, which is in %s now", torn.name)
        for event in read_events(self.log) if self.log.exists() else ():
            self._remember(event)

    def seen(self, study_instance_uid: str) -> Seen | None:
        """Who acknowledged a study first."""
        return self._seen.get(study_instance_uid)

    def opinion(self, study_instance_uid: str) -> OpinionView | None:
        """The last opinion on a study."""
        return self._opinions.get(study_instance_uid)

    def note(self, kind: EventKind, by: str, *, case: str = LOG_CASE, facts: Facts | None = None) -> None:
        """Write an event.

        Raises:
            UsageError: the name is none of an account.
            OutputError: it cannot be written; then nothing may be shown either.
        """
        if not ACCOUNT_NAME.fullmatch(by):
            msg = "the audit log takes names of accounts only"
            raise UsageError(msg)
        with_name = msgspec.structs.replace(facts or Facts(), by=by)
        event = Event(at=datetime.now(UTC), kind=kind, case=case, site=self._site, facts=with_name)
        with self._lock:
            append_events(self.log, [event])
            self._remember(event)

    def acknowledge(self, study_instance_uid: str, by: str) -> None:
        """Note that somebody has seen a result; only the first one counts as read."""
        first = study_instance_uid not in self._seen
        self.note(EventKind.ACKNOWLEDGED, by, case=study_instance_uid)
        if first and self._service_log:
            read = Event(at=datetime.now(UTC), kind=EventKind.READ, case=study_instance_uid, site=self._site)
            append_events(Path(self._service_log), [read])

    def judge(self, entry: StudyEntry, opinion: Opinion, by: str) -> None:
        """Note an opinion, and put study, result and opinion into the validation set.

        Raises:
            OutputError: one of the files cannot be written.
        """
        facts = Facts(agree=opinion.agree, reason=opinion.reason)
        self.note(EventKind.OPINION, by, case=entry.study_instance_uid, facts=facts)
        document = entry.document or {}
        row = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "study_instance_uid": entry.study_instance_uid,
            "by": by,
            "agree": opinion.agree,
            "reason": opinion.reason,
            "reader_side": opinion.side,
            "reader_site": opinion.site,
            "lvo": (document.get("cta") or {}).get("lvo"),
            "cta_state": (document.get("cta") or {}).get("state"),
            "models": document.get("models"),
            "config_sha256": document.get("config_sha256"),
        }
        try:
            with self._lock, self.validation.open("ab") as file:
                file.write(msgspec.json.encode(row) + b"\n")
        except OSError as error:
            msg = f"{self.validation} cannot be written: {error.strerror}"
            raise OutputError(msg) from error

    def _remember(self, event: Event) -> None:
        by = event.facts.by or ""
        if event.kind is EventKind.ACKNOWLEDGED:
            self._seen.setdefault(event.case, Seen(by=by, at=event.at))
        elif event.kind is EventKind.OPINION and event.facts.agree is not None:
            self._opinions[event.case] = OpinionView(by=by, at=event.at, agree=event.facts.agree, reason=event.facts.reason)
