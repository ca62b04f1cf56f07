"""Sessions of people who signed in: a random token in a cookie, everything else here; a restart ends them all."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lvo.web.settings import Role

__all__ = ["COOKIE", "Session", "Sessions"]

COOKIE = "lvo_session"


@dataclass(slots=True)
class Session:
    """A person who signed in.

    Args:
        name: of the account.
        role: of the account.
        started_s: on the clock of `Sessions`.
        used_s: last request of the person, likewise.
        csrf: must come with every request that changes something.
        opened: UIDs of studies whose view is on record for this session.
    """

    name: str
    role: Role
    started_s: float = 0.0
    used_s: float = 0.0
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    opened: set[str] = field(default_factory=set)


class Sessions:
    """All sessions of this process; tokens are kept as hashes."""

    def __init__(self, *, idle_min: float, session_min: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Set when sessions end.

        Args:
            idle_min: after so long without a request of the person.
            session_min: in any case.
            clock: seconds.
        """
        self._idle_s, self._longest_s, self._clock = 60.0 * idle_min, 60.0 * session_min, clock
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def begin(self, name: str, role: Role) -> tuple[str, Session]:
        """A new session and its token."""
        token, now = secrets.token_urlsafe(32), self._clock()
        session = Session(name, role, started_s=now, used_s=now)
        with self._lock:
            self._sessions = {key: known for key, known in self._sessions.items() if not self._over(known, now)}
            self._sessions[_hash(token)] = session
        return token, session

    def find(self, token: str | None, *, active: bool = True) -> Session | None:
        """The session of a token, None when there is none or it is over.

        Args:
            token: from the cookie.
            active: the person did something; False for what the page asks by itself.
        """
        now = self._clock()
        with self._lock:
            session = self._sessions.get(_hash(token)) if token else None
            if session is None or self._over(session, now):
                return None
            if active:
                session.used_s = now
            return session

    def end(self, token: str | None) -> None:
        """End a session; nothing happens when there is none."""
        with self._lock:
            self._sessions.pop(_hash(token), None) if token else None

    def _over(self, session: Session, now: float) -> bool:
        return now - session.used_s > self._idle_s or now - session.started_s > self._longest_s


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
