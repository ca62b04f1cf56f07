"""The worklist: one row per study, what needs eyes first on top."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lvo.dicom.identity import Identity
from lvo.eventlog import Reason
from lvo.web.source import StageState, StudyEntry

__all__ = ["GROUPS", "OpinionView", "Record", "Row", "Seen", "StageView", "matches", "row_of", "sorted_rows"]

State = Literal["suspected", "not_assessable", "failed", "indeterminate", "not_detected", "absent", "working"]

GROUPS: dict[State, int] = {
    "suspected": 0, "not_assessable": 1, "failed": 1, "indeterminate": 2, "working": 3, "not_detected": 3, "absent": 3,
}  # fmt: skip
"""Suspected first, then what could not be analysed, then the rest, of which indeterminate ones need a look first."""

_LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)


class Record(BaseModel):
    """Base of everything the server says: frozen."""

    model_config = ConfigDict(frozen=True)


class StageView(Record):
    """A step, its state, and how long it took."""

    name: str
    state: StageState
    seconds: float | None


class Seen(Record):
    """Who did something, and when."""

    by: str
    at: datetime


class OpinionView(Seen):
    """The last opinion of a reader on the result."""

    agree: bool
    reason: Reason | None


class Row(Record):
    """A study in the worklist; times as ISO 8601 with offset, null where they are not known."""

    key: str
    state: State
    site: str | None
    side: str | None
    probability: float | None
    threshold: float | None
    core_ml: float | None
    hypoperfusion_ml: float | None
    mismatch_ml: float | None
    mismatch_ratio: float | None
    patient: str | None
    scanned_at: datetime | None
    arrived_at: datetime | None
    result_at: datetime | None
    reasons: list[str]
    stages: list[StageView]
    acknowledged: Seen | None
    opinion: OpinionView | None


def row_of(entry: StudyEntry, *, patient: str, seen: Seen | None, opinion: OpinionView | None) -> Row:
    """A study as a row.

    Args:
        entry: the study.
        patient: what is shown of the patient: "hidden", "initials" or "full".
        seen: who acknowledged it first.
        opinion: the last one.
    """
    document = entry.document or {}
    cta: dict[str, Any] = document.get("cta") or {}
    lvo: dict[str, Any] = cta.get("lvo") or {}
    perfusion: dict[str, Any] = document.get("perfusion") or {}
    volumes = {name: perfusion.get(name) for name in ("core_ml", "hypoperfusion_ml", "mismatch_ml", "mismatch_ratio")}
    return Row(
        key=entry.key,
        state=_state(entry),
        site=lvo.get("site"),
        side=lvo.get("side"),
        probability=lvo.get("probability"),
        threshold=lvo.get("threshold"),
        **volumes,
        patient=_shown(entry.identity, patient),
        scanned_at=entry.identity.scanned_at,
        arrived_at=entry.arrived_at,
        result_at=entry.result_at,
        reasons=[*([entry.problem] if entry.problem else ()), *cta.get("reasons", ())],
        stages=[StageView(name=stage.name, state=stage.state, seconds=stage.seconds) for stage in entry.stages],
        acknowledged=seen,
        opinion=opinion,
    )


def sorted_rows(rows: Iterable[Row]) -> list[Row]:
    """By group; within it what nobody has seen first, then the newest."""
    newest = sorted(rows, key=_time, reverse=True)
    return sorted(newest, key=lambda row: (GROUPS[row.state], row.acknowledged is not None))


def matches(row: Row, words: str) -> bool:
    """Whether every word is found in what the row shows."""
    shown = [row.state.replace("_", " "), row.site, row.side, row.patient, row.key, row.acknowledged and row.acknowledged.by]
    text = " ".join(str(part) for part in shown if part).casefold()
    return all(word in text for word in words.casefold().split())


def _time(row: Row) -> datetime:
    return row.scanned_at or row.arrived_at or row.result_at or _LONG_AGO


def _state(entry: StudyEntry) -> State:
    if entry.document is None:
        return "failed" if entry.problem else "working"
    cta = entry.document["cta"]
    if cta["state"] == "not_assessable" or entry.document["status"] in {"not_assessable", "failed"}:
        return "not_assessable"
    call: State = cta["lvo"]["call"] if cta["state"] == "assessed" else "absent"
    return "failed" if entry.problem and call != "suspected" else call


def _shown(identity: Identity, patient: str) -> str | None:
    if patient == "full":
        return " · ".join(part for part in (identity.name, identity.patient_id) if part) or None
    if patient == "initials" and identity.name:
        return " ".join(f"{part.strip()[:1]}." for part in identity.name.split(",") if part.strip())
    return None
