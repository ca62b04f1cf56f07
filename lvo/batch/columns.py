"""The columns of the results table: those of result.json by their path, and what belongs to the batch around them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from lvo.batch.records import Cell, Item, Kind, Row

__all__ = ["COLUMNS", "exit_status_of", "failed_row", "result_row"]

_TEXT, _NUMBER, _INTEGER = "string", "double", "int64"

COLUMNS: Mapping[str, str] = {
    "study_instance_uid": _TEXT,
    "item": _TEXT,
    "status": _TEXT,
    "exit_status": _INTEGER,
    "error.kind": _TEXT,
    "error.reason": _TEXT,
    "cta.state": _TEXT,
    "cta.reasons": _TEXT,
    "cta.lvo.call": _TEXT,
    "cta.lvo.probability": _NUMBER,
    "cta.lvo.threshold": _NUMBER,
    "cta.lvo.side": _TEXT,
    "cta.lvo.site": _TEXT,
    "cta.lvo.location_lps_mm": _TEXT,
    "cta.lvo.sop_instance_uid": _TEXT,
    "cta.collateral.score": _INTEGER,
    "cta.collateral.ratio": _NUMBER,
    "cta.bolus.arterial_hu": _NUMBER,
    "cta.bolus.phase": _TEXT,
    "cta.not_covered": _TEXT,
    "perfusion.state": _TEXT,
    "perfusion.reasons": _TEXT,
    "perfusion.core_ml": _NUMBER,
    "perfusion.hypoperfusion_ml": _NUMBER,
    "perfusion.mismatch_ml": _NUMBER,
    "perfusion.mismatch_ratio": _NUMBER,
    "perfusion.hir": _NUMBER,
    "perfusion.cbv_index": _NUMBER,
    "perfusion.side": _TEXT,
    "criteria.met": _TEXT,
    "quality.warnings": _TEXT,
    "config_sha256": _TEXT,
    "models": _TEXT,
    "seconds": _NUMBER,
    "peak_mb": _NUMBER,
    "attempts": _INTEGER,
    "priority": _INTEGER,
    "due": _NUMBER,
    "ended_at": _NUMBER,
    "folder": _TEXT,
}
"""Name and Arrow type of every column. Lists are texts, parted by "; "."""

_FROM_RESULT = tuple(name for name in COLUMNS if name.startswith(("cta.", "perfusion.")))


def result_row(document: Mapping[str, Any], item: Item, *, exit_status: int, seconds: float, folder: Path) -> Row:
    """The row of a study that has a result.

    Args:
        document: its result.json.
        item: where it came from.
        exit_status: what its analysis alone would have ended with.
        seconds: from opening to written.
        folder: its folder, relative to the results table.
    """
    row: dict[str, Cell] = dict.fromkeys(COLUMNS)
    row |= {
        "study_instance_uid": document["study"]["study_instance_uid"],
        "item": item.id,
        "status": document["status"],
        "exit_status": exit_status,
        "criteria.met": _joined(rule["name"] for rule in document["criteria"] if rule["met"]),
        "quality.warnings": _joined(note["code"] for note in document["quality"] if note["severity"] == "warning"),
        "config_sha256": document["config_sha256"],
        "models": _joined(f"{model['name']} {model['version']} {model['sha256'][:12]}" for model in document["models"]),
        "seconds": round(seconds, 3),
        "priority": item.priority,
        "due": item.due,
        "folder": folder.as_posix(),
    }
    return row | {name: _at(document, name) for name in _FROM_RESULT}


def exit_status_of(document: Mapping[str, Any]) -> int:
    """What the analysis of a result ended with: 3 if nothing was judged, or an angiogram was not; else 0."""
    unjudged = document["status"] == "not_assessable" or document["cta"]["state"] == "not_assessable"
    return 3 if unjudged else 0


def failed_row(
    item: Item, kind: Kind, reason: str, *, study_instance_uid: str | None = None, seconds: float | None = None
) -> Row:
    """The row of a study without result, with the reason. No patient identity may be in the reason."""
    return dict.fromkeys(COLUMNS) | {
        "study_instance_uid": study_instance_uid,
        "item": item.id,
        "status": "failed",
        "exit_status": 1,
        "error.kind": kind.value,
        "error.reason": reason,
        "seconds": None if seconds is None else round(seconds, 3),
        "priority": item.priority,
        "due": item.due,
    }


def _at(document: Mapping[str, Any], path: str) -> Cell:
    """The value at a path of keys with dots between them; None where there is nothing."""
    value: Any = document
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    if isinstance(value, list):
        return json.dumps(value) if value and isinstance(value[0], int | float) else _joined(value)
    return cast("Cell", value)  # what is left in result.json at these paths is one


def _joined(values: Any) -> str | None:  # noqa: ANN401 - any texts
    return "; ".join(map(str, values)) or None
