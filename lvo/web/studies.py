"""Routes of the worklist and of one study."""

from typing import Annotated, Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, model_validator

from lvo.eventlog import Reason
from lvo.web.guards import REFUSALS, ContextOf, OpenStudy, SessionOf, StudyOf, may, of_our_page
from lvo.web.journal import Opinion
from lvo.web.rows import Record, Row, State, matches, sorted_rows

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["studies"])

_OF_A_STUDY = REFUSALS | {404: {"description": "No such study or file"}}

_TYPES = {".png": "image/png", ".gz": "application/gzip"}

Show = Literal["all", "unseen", "suspected", "not_assessable", "rest"]
_SHOWN: dict[Show, frozenset[State]] = {
    "suspected": frozenset({"suspected"}),
    "not_assessable": frozenset({"not_assessable", "failed"}),
    "rest": frozenset({"indeterminate", "not_detected", "absent", "working"}),
}


class Worklist(Record):
    """The studies that were asked for, and how many there are in all."""

    studies: list[Row]
    total: int
    unseen: int


class StudyView(Record):
    """A study: its row, the files a browser may load, and result.json."""

    row: Row
    files: list[str]
    ohif: str | None
    document: dict[str, Any] | None


class OpinionGiven(BaseModel):
    """What a reader says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agree: bool
    reason: Reason | None = None
    side: Literal["left", "right", "both", "midline"] | None = None
    site: Literal["ICA", "ICA-T", "M1", "M2", "BA", "other", "none"] | None = None

    @model_validator(mode="after")
    def _reason_to_disagree(self) -> "OpinionGiven":
        """Who disagrees says why; who agrees has no reason."""
        if self.agree == (self.reason is not None):
            msg = "a reason belongs to those who disagree, and to them always"
            raise ValueError(msg)
        return self


@router.get("/studies", responses={n: REFUSALS[n] for n in (401, 429)})
def worklist(
    context: ContextOf,
    _session: SessionOf,
    search: Annotated[str, Header(alias="X-Search", max_length=900)] = "",
    show: Show = "all",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Worklist:
    """The worklist: suspected first, then what could not be analysed, then the rest; unseen before seen, newest first.

    What is searched for comes percent-encoded in a header: it may be a name, and addresses end in the logs of proxies.
    """
    rows = [context.row(entry) for entry in context.studies().values()]
    wanted = [row for row in rows if matches(row, unquote(search)) and (show not in _SHOWN or row.state in _SHOWN[show])]
    if show == "unseen":
        wanted = [row for row in wanted if row.acknowledged is None]
    unseen = sum(row.acknowledged is None for row in rows)
    return Worklist(studies=sorted_rows(wanted)[:limit], total=len(rows), unseen=unseen)


@router.get("/studies/{key}", responses=_OF_A_STUDY)
def study(context: ContextOf, entry: OpenStudy) -> StudyView:
    """One study; that it was opened goes into the audit log."""
    document = dict(entry.document) if entry.document is not None else None
    paths = [row["path"] for row in (document or {}).get("outputs", ())]
    uid, ohif = entry.study_instance_uid, context.settings.ohif_url
    return StudyView(
        row=context.row(entry),
        files=[path for path in paths if entry.file(path) is not None],
        ohif=f"{ohif}{uid}" if ohif else None,
        document=document,
    )


@router.get("/studies/{key}/files/{path:path}", responses=_OF_A_STUDY, response_class=FileResponse)
def study_file(entry: OpenStudy, path: Annotated[str, Path(max_length=200)]) -> FileResponse:
    """A picture, preview or map of a study."""
    found = entry.file(path)
    if found is None:
        raise HTTPException(404, "the study has no such file")
    return FileResponse(found, media_type=_TYPES.get(found.suffix, "application/octet-stream"))


_WRITES = [Depends(of_our_page), Depends(may("reader"))]


@router.post("/studies/{key}/acknowledge", responses=_OF_A_STUDY, dependencies=_WRITES)
def acknowledge(context: ContextOf, session: SessionOf, entry: StudyOf) -> Row:
    """Say that one has seen the result; the first one to do so stands in the worklist."""
    context.journal.acknowledge(entry.study_instance_uid, session.name)
    return context.row(entry)


@router.post("/studies/{key}/opinion", responses=_OF_A_STUDY, dependencies=_WRITES)
def give_opinion(context: ContextOf, session: SessionOf, entry: StudyOf, given: OpinionGiven) -> Row:
    """Agree or disagree with the result; goes into the audit log and the validation set."""
    context.journal.judge(entry, Opinion(given.agree, given.reason, given.side, given.site), session.name)
    return context.row(entry)
