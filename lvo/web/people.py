"""Routes of signing in and out."""

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.eventlog import EventKind
from lvo.web.context import Context
from lvo.web.guards import REFUSALS, ContextOf, SessionOf, of_our_page
from lvo.web.rows import Record
from lvo.web.sessions import COOKIE, Session
from lvo.web.settings import Role

__all__ = ["begin_session", "router"]

router = APIRouter(prefix="/api", tags=["people"])

UNKNOWN = "unknown"
"""Stands in the audit log for a name that no account has: people type passwords into the wrong field."""


class Person(Record):
    """Who asks, what they may do, and what the page must know."""

    name: str
    role: Role
    csrf: str
    accounts: bool
    patient: str
    notice: str
    version: str


class Ways(Record):
    """How people sign in."""

    accounts: bool
    oidc: bool


class Credentials(BaseModel):
    """Name and password."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


@router.get("/ways")
def ways(context: ContextOf) -> Ways:
    """How people sign in here; the only route besides signing in that asks for no session."""
    return Ways(accounts=context.anyone is None, oidc=context.settings.oidc is not None)


@router.get("/session", responses={401: REFUSALS[401]})
def session(context: ContextOf, session: SessionOf) -> Person:
    """Who is signed in, and the CSRF token that every change needs."""
    return _person(context, session)


@router.post("/session", responses={401: {"description": "Wrong name or password"}, 429: {"description": "Too many tries"}})
def sign_in(context: ContextOf, request: Request, response: Response, given: Credentials) -> Person:
    """Sign in with an account of this program. JSON only, so that no form of another site can send it."""
    if context.anyone is not None:
        return _person(context, context.anyone)
    address = request.client.host if request.client else ""
    with context.signing:
        if not (context.limits.free("sign_in", address) and context.limits.free("account", given.name)):
            raise HTTPException(429, "too many refused tries; wait a minute", headers={"Retry-After": "60"})
        account = context.accounts.check(given.name, given.password)
        if account is None:
            context.limits.hit("sign_in", address)
            context.limits.hit("account", given.name)
    if account is None:
        known = given.name in {known.name for known in context.accounts.all()}
        context.journal.note(EventKind.SIGN_IN_REFUSED, given.name if known else UNKNOWN)
        raise HTTPException(401, "name or password is wrong")
    return _person(context, begin_session(context, request, response, account.name, account.role))


@router.delete("/session", responses={401: REFUSALS[401]}, dependencies=[Depends(of_our_page)])
def sign_out(
    context: ContextOf, session: SessionOf, response: Response, token: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> dict[str, str]:
    """Sign out."""
    context.sessions.end(token)
    context.journal.note(EventKind.SIGNED_OUT, session.name)
    response.delete_cookie(COOKIE)
    return {"state": "signed out"}


def begin_session(context: Context, request: Request, response: Response, name: str, role: Role) -> Session:
    """Begin a session, put its token into a cookie, and note it."""
    token, session = context.sessions.begin(name, role)
    context.journal.note(EventKind.SIGNED_IN, name)
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/")
    return session


def _person(context: Context, session: Session) -> Person:
    return Person(
        name=session.name, role=session.role, csrf=session.csrf, accounts=context.anyone is None,
        patient=context.settings.patient, notice=RESEARCH_USE_ONLY, version=__version__,
    )  # fmt: skip
