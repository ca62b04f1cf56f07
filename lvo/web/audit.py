"""Route of the audit log: who looked at what and decided what, the newest first, with the state of the chain. Read only."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from lvo.delivery.link import study_key
from lvo.eventlog import LOG_CASE, Event, EventKind, check_events
from lvo.web.accounts import ACCOUNT_NAME
from lvo.web.guards import REFUSALS, ContextOf, may
from lvo.web.rows import Record

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["audit"])

AuditShow = Literal["all", "views", "decisions", "people"]
_KINDS: dict[AuditShow, frozenset[EventKind]] = {
    "all": frozenset(EventKind),
    "views": frozenset({EventKind.VIEWED}),
    "decisions": frozenset({EventKind.ACKNOWLEDGED, EventKind.OPINION}),
    "people": frozenset({EventKind.SIGNED_IN, EventKind.SIGN_IN_REFUSED, EventKind.SIGNED_OUT}),
}


class AuditLine(Record):
    """A line of the audit log, `n` counted from 0."""

    n: int
    at: str
    kind: str
    by: str | None
    key: str | None
    agree: bool | None
    reason: str | None


class AuditPage(Record):
    """Some lines, the newest first.

    Args:
        lines: of this page.
        found: lines that were asked for, on all pages.
        total: lines of the log that the chain holds.
        problem: what is wrong with the chain; empty where it is whole.
        older: what to give as `before` for the next page, None on the last one.
    """

    lines: list[AuditLine]
    found: int
    total: int
    problem: str
    older: int | None


@router.get("/audit", responses=REFUSALS, dependencies=[Depends(may("admin"))])
def audit(
    context: ContextOf,
    *,
    show: AuditShow = "all",
    by: Annotated[str | None, Query(pattern=f"^{ACCOUNT_NAME.pattern}$")] = None,
    key: Annotated[str | None, Query(pattern="^[0-9a-f]{24}$")] = None,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> AuditPage:
    """The audit log, its chain checked from the first line on; of a broken one what stands before the break."""
    log = context.journal.log
    events, problem = check_events(log) if log.exists() else ((), "")
    found = [event for event in reversed(events) if _wanted(event, show, by, key)]
    page = [event for event in found if before is None or event.n < before]
    return AuditPage(
        lines=[_line(event) for event in page[:limit]], found=len(found), total=len(events),
        problem=problem.replace(str(log), log.name), older=page[limit - 1].n if len(page) > limit else None,
    )  # fmt: skip


def _wanted(event: Event, show: AuditShow, by: str | None, key: str | None) -> bool:
    return event.kind in _KINDS[show] and by in {None, event.facts.by} and key in {None, _key(event)}


def _key(event: Event) -> str | None:
    return None if event.case == LOG_CASE else study_key(event.case)


def _line(event: Event) -> AuditLine:
    return AuditLine(
        n=event.n, at=event.at.isoformat(timespec="seconds"), kind=EventKind(event.kind).value, by=event.facts.by,
        key=_key(event), agree=event.facts.agree, reason=event.facts.reason,
    )  # fmt: skip
