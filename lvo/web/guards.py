"""What stands before every route: who asks, whether they may, and whether the request comes from our own page."""

import secrets
from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import Cookie, Depends, Header, HTTPException, Path, Request

from lvo.eventlog import EventKind
from lvo.web.context import Context
from lvo.web.sessions import COOKIE, Session
from lvo.web.settings import Role
from lvo.web.source import StudyEntry

__all__ = [
    "RANK", "REFUSALS", "ContextOf", "OpenStudy", "SessionOf", "StudyOf", "context_of", "may", "of_our_page", "session_of",
]  # fmt: skip

RANK: dict[Role, int] = {"viewer": 0, "reader": 1, "admin": 2}
"""Who may do what those below may."""


REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"description": "Nobody signed in"}, 403: {"description": "Not allowed, or no CSRF token"},
    429: {"description": "Too many requests"},
}  # fmt: skip
"""How routes say no, for the document of the interface."""


def context_of(request: Request) -> Context:
    """What the routes share."""
    return cast("Context", request.app.state.context)


ContextOf = Annotated[Context, Depends(context_of)]


def session_of(
    context: ContextOf,
    token: Annotated[str | None, Cookie(alias=COOKIE)] = None,
    background: Annotated[str | None, Header(alias="X-Background")] = None,
) -> Session:
    """The session of whoever asks.

    Raises:
        HTTPException: 401, nobody signed in.
    """
    session = context.anyone or context.sessions.find(token, active=background is None)
    if session is None:
        raise HTTPException(401, "sign in first")
    return session


SessionOf = Annotated[Session, Depends(session_of)]


def of_our_page(session: SessionOf, csrf: Annotated[str | None, Header(alias="X-CSRF-Token")] = None) -> None:
    """Refuse a request that another site made the browser send.

    Raises:
        HTTPException: 403, the token of the session is missing or wrong.
    """
    if csrf is None or not secrets.compare_digest(csrf.encode(), session.csrf.encode()):
        raise HTTPException(403, "the header X-CSRF-Token must hold the token of this session (GET /api/session)")


def may(role: Role) -> Callable[[Session], None]:
    """A guard that lets a role and those above it pass."""

    def guard(session: SessionOf) -> None:
        if RANK[session.role] < RANK[role]:
            raise HTTPException(403, f"the role {session.role!r} may not do this; it takes {role!r}")

    return guard


def study_of(context: ContextOf, _session: SessionOf, key: Annotated[str, Path(pattern="^[0-9a-f]{24}$")]) -> StudyEntry:
    """The study of a key.

    Raises:
        HTTPException: 404, there is none.
    """
    entry = context.studies().get(key)
    if entry is None:
        raise HTTPException(404, "there is no such study; it may have been removed")
    return entry


StudyOf = Annotated[StudyEntry, Depends(study_of)]


def opened_study(context: ContextOf, session: SessionOf, entry: StudyOf) -> StudyEntry:
    """The study of a key, its view on record: nothing of a study is shown before that was written."""
    with context.opening:  # a page asks for several things at once; they are one view
        if entry.study_instance_uid not in session.opened:
            context.journal.note(EventKind.VIEWED, session.name, case=entry.study_instance_uid)
            session.opened.add(entry.study_instance_uid)
    return entry


OpenStudy = Annotated[StudyEntry, Depends(opened_study)]
