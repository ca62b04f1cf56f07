"""Live updates: a stream of server-sent events that says when the worklist changed, never what."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Cookie, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from lvo.web.context import Context
from lvo.web.guards import ContextOf, SessionOf
from lvo.web.sessions import COOKIE

__all__ = ["changes", "router"]

router = APIRouter(prefix="/api", tags=["live"])

LOOK_S = 1.0
"""Pause between two looks at the source."""


@router.get("/events", response_class=EventSourceResponse, responses={401: {"description": "Nobody signed in"}})
async def events(
    request: Request, context: ContextOf, _session: SessionOf, token: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> AsyncIterator[ServerSentEvent]:
    """One event at once, then one whenever a study came or changed or somebody acknowledged one."""
    async for number in changes(context, token):
        if await request.is_disconnected():
            return
        yield ServerSentEvent(event="changed", data=number)


async def changes(context: Context, token: str | None) -> AsyncIterator[int]:
    """Count changes as they happen, until the session is over or the server stops.

    Args:
        context: whose source and journal are watched.
        token: of the session; listening does not keep it alive.
    """
    number, last = 0, ""
    while not context.closing and (context.anyone or context.sessions.find(token, active=False)):
        version = await asyncio.to_thread(_version, context)
        if version != last:
            number, last = number + 1, version
            yield number
        await asyncio.sleep(LOOK_S)


def _version(context: Context) -> str:
    log = context.journal.log
    return f"{context.source.version()} {log.stat().st_size if log.exists() else 0}"
