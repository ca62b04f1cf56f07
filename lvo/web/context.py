"""What the routes share: one object per application."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from lvo.web.accounts import Accounts
from lvo.web.journal import Journal
from lvo.web.rows import Row, row_of
from lvo.web.sessions import Session, Sessions
from lvo.web.settings import WebSettings
from lvo.web.source import Source, StudyEntry

__all__ = ["Context", "Limits"]

REQUESTS_PER_MIN = 1200
"""Of one address: a viewer asks some 30 times per study, and a hospital may hide behind one address."""

SIGN_INS_PER_MIN = 20
"""Refused ones of one address."""

SIGN_INS_PER_ACCOUNT_PER_MIN = 5
"""Refused ones of one account: guessing 12 characters at this pace is hopeless, and people mistype."""

STUDIES_AGE_S = 1.0
"""A list of studies is used again for so long."""


class Limits:
    """How often somebody may ask, in a moving window of a minute."""

    def __init__(self) -> None:
        """Start with nothing asked."""
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._items: Mapping[str, RateLimitItem] = {
            "request": RateLimitItemPerMinute(REQUESTS_PER_MIN),
            "sign_in": RateLimitItemPerMinute(SIGN_INS_PER_MIN),
            "account": RateLimitItemPerMinute(SIGN_INS_PER_ACCOUNT_PER_MIN),
        }

    def hit(self, what: str, who: str) -> bool:
        """Count one; False when it is one too many."""
        return self._limiter.hit(self._items[what], what, who)

    def free(self, what: str, who: str) -> bool:
        """Whether one more would be allowed; counts nothing."""
        return self._limiter.test(self._items[what], what, who)


@dataclass(slots=True)
class Context:
    """Studies, people and records.

    Args:
        source: of the studies.
        settings: of the pages.
        journal: of what people do.
        accounts: who may sign in.
        sessions: who has.
        anyone: session of everybody where no accounts are needed, None where they are.
        limits: of requests.
        closing: the server is about to stop: streams end.
        listing: held while the list of studies is read.
        opening: held while it is seen to that a view is on record.
        signing: held while a password is checked, so that tries are counted one by one and the memory of one hash is enough.
    """

    source: Source
    settings: WebSettings
    journal: Journal
    accounts: Accounts
    sessions: Sessions
    anyone: Session | None
    limits: Limits = field(default_factory=Limits)
    closing: bool = False
    listing: threading.Lock = field(default_factory=threading.Lock)
    opening: threading.Lock = field(default_factory=threading.Lock)
    signing: threading.Lock = field(default_factory=threading.Lock)
    _studies: tuple[float, dict[str, StudyEntry]] = (float("-inf"), {})

    def studies(self) -> Mapping[str, StudyEntry]:
        """All studies by key."""
        with self.listing:  # a page asks for several things at once; one list serves them all
            read_at, found = self._studies
            if time.monotonic() - read_at > STUDIES_AGE_S:
                found = {entry.key: entry for entry in self.source.studies()}
                self._studies = (time.monotonic(), found)
        return found

    def row(self, entry: StudyEntry) -> Row:
        """A study as people see it."""
        uid = entry.study_instance_uid
        return row_of(entry, patient=self.settings.patient, seen=self.journal.seen(uid), opinion=self.journal.opinion(uid))
