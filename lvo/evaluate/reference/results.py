"""Results: a folder of result folders as `lvo run` leaves them, or the table of `lvo batch`."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

import msgspec

from lvo.core.report import Call, Side, Site
from lvo.errors import InputError
from lvo.evaluate.records import Found, Position
from lvo.evaluate.reference.records import VOLUMES, StudyResult

__all__ = ["Results", "read_results"]

_TABLES = (".parquet", ".csv")
_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class Results:
    """Results by StudyInstanceUID, and what was odd about them."""

    by_study: Mapping[str, StudyResult]
    notes: tuple[str, ...]


class _Call(msgspec.Struct, frozen=True):
    """`cta.lvo` of result.json, as far as it is used."""

    call: Call
    probability: float
    threshold: float | None = None
    side: Side | None = None
    site: Site | None = None
    location_lps_mm: Position | None = None


class _Cta(msgspec.Struct, frozen=True):
    state: str
    reasons: tuple[str, ...] = ()
    lvo: _Call | None = None


class _Perfusion(msgspec.Struct, frozen=True):
    core_ml: float | None = None
    hypoperfusion_ml: float | None = None


class _Study(msgspec.Struct, frozen=True):
    study_instance_uid: str


class _Model(msgspec.Struct, frozen=True):
    name: str
    version: str


class _Result(msgspec.Struct, frozen=True):
    """A result.json, as far as it is used; what else is in it is not looked at."""

    study: _Study
    cta: _Cta
    perfusion: _Perfusion = _Perfusion()
    models: tuple[_Model, ...] = ()
    config_sha256: str = ""


def read_results(path: Path) -> Results:
    """Read results.

    Args:
        path: folder with a result.json at any depth, or results.parquet or results.csv.

    Raises:
        InputError: there are none, one cannot be read, or a study has two results that differ.
    """
    notes: list[str] = []
    if path.is_dir():
        found = [_from_json(file) for file in sorted(path.rglob(_FILE))]
    elif path.suffix.lower() in _TABLES:
        found = _from_table(path, notes)
    else:
        msg = f"{path.name} holds no results: give a folder of result folders, or a table ({', '.join(_TABLES)})"
        raise InputError(msg)
    if not found:
        msg = f"there is no {_FILE} in {path.name}, at any depth"
        raise InputError(msg)
    by_study: dict[str, StudyResult] = {}
    for result in found:
        earlier = by_study.setdefault(result.study, result)
        if earlier is result:
            continue
        if replace(result, folder=earlier.folder) != earlier:
            msg = f"study {result.study} has two results that differ; keep one of them"
            raise InputError(msg)
        notes.append(f"study {result.study} has two equal results and counts once")
    return Results(by_study, tuple(notes))


def _from_json(path: Path) -> StudyResult:
    try:
        result = msgspec.json.decode(path.read_bytes(), type=_Result)
    except (OSError, msgspec.DecodeError) as error:
        msg = f"{path.parent.name}/{path.name} is not a readable result of `lvo run` ({error})"
        raise InputError(msg) from error
    return _as_result(result, path.parent)


def _as_result(result: _Result, folder: Path | None) -> StudyResult:
    call = result.cta.lvo if result.cta.state == "assessed" else None
    found = None if call is None else Found(
        call=call.call, probability=call.probability, side=call.side, site=call.site, location_lps_mm=call.location_lps_mm
    )  # fmt: skip
    reasons = result.cta.reasons or (() if found else (f"CT angiogram {result.cta.state.replace('_', ' ')}",))
    volumes = {name: value for name in VOLUMES if (value := getattr(result.perfusion, name)) is not None}
    models = ", ".join(f"{model.name} {model.version}".strip() for model in result.models)
    settings = f"settings {result.config_sha256[:12]}" if result.config_sha256 else ""
    return StudyResult(
        study=result.study.study_instance_uid, found=found, reasons=() if found else reasons,
        threshold=None if call is None else call.threshold, volumes_ml=volumes,
        made_by=", ".join(filter(None, (models, settings))), folder=folder,
    )  # fmt: skip


def _from_table(path: Path, notes: list[str]) -> list[StudyResult]:
    """A row per study, columns named like the keys of result.json, joined by points or underscores.

    Rows of what could not even be opened have no StudyInstanceUID: how many there are is added to the notes.
    """
    import pandas as pd

    try:
        table = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path, dtype=str)
    except (OSError, ValueError, ImportError) as error:  # errors of pandas and pyarrow are ValueErrors
        msg = f"{path.name} cannot be read as a table of results ({type(error).__name__})"
        raise InputError(msg) from error
    table.columns = [_key(str(name)) for name in table.columns]
    missing = sorted({"study_instance_uid", "cta_state", "cta_lvo_call", "cta_lvo_probability"} - set(table.columns))
    if missing:
        msg = f"{path.name} lacks {', '.join(missing)}: columns must be named like the keys of result.json, as cta.lvo.call"
        raise InputError(msg)
    rows: list[StudyResult] = []
    repeats: list[StudyResult] = []
    for number, record in enumerate(table.to_dict("records"), start=1):
        values = {str(name): value for name, value in record.items() if not _is_missing(value)}
        if "study_instance_uid" not in values:
            continue
        folder = path.parent / str(values["folder"]) if "folder" in values else None
        try:
            kept = repeats if values.get("error_kind") == "duplicate" else rows
            kept.append(_as_result(_from_row(values), folder))
        except (msgspec.ValidationError, ValueError) as error:
            msg = f"{path.name}, row {number}: {error}"
            raise InputError(msg) from error
    nameless = len(table) - len(rows) - len(repeats)
    if nameless:
        notes.append(f"{nameless} rows of the results have no study: they failed before it was known")
    known = {row.study for row in rows}
    again = [row for row in repeats if row.study in known]
    if again:
        notes.append(f"{len(again)} rows of the results say that a study came from a second place; the first place counts")
    return rows + [row for row in repeats if row.study not in known]


def _key(column: str) -> str:
    name = column.replace(".", "_")
    return "study_instance_uid" if name in {"study_study_instance_uid", "study"} else name


def _is_missing(value: object) -> bool:
    if isinstance(value, str):
        return not value
    return value is None or (isinstance(value, float) and isnan(value))


def _from_row(values: Mapping[str, object]) -> _Result:
    """The result of one row; a study without a state failed, and so was not judged."""
    point = _point(values)
    call = {
        "call": values.get("cta_lvo_call"), "probability": values.get("cta_lvo_probability"),
        "threshold": values.get("cta_lvo_threshold"), "side": values.get("cta_lvo_side"),
        "site": values.get("cta_lvo_site"), "location_lps_mm": point,
    }  # fmt: skip
    reasons = next((values[name] for name in ("cta_reasons", "error_reason", "error") if name in values), ())
    content = {
        "study": {"study_instance_uid": values.get("study_instance_uid")},
        "cta": {
            "state": values.get("cta_state", values.get("status", "failed")),
            "reasons": _words(reasons),
            "lvo": call if "cta_lvo_call" in values else None,
        },
        "perfusion": {name: values.get(f"perfusion_{name}") for name in VOLUMES},
        "models": [{"name": one, "version": ""} for one in _words(values.get("models", ()))],
        "config_sha256": values.get("config_sha256", ""),
    }
    return msgspec.convert(content, _Result, strict=False)


def _words(reasons: object) -> list[str]:
    """Words as a list: a list of parquet, a JSON list, or a text in which they are parted by "; "."""
    if isinstance(reasons, str):
        if reasons.startswith("["):
            return [str(one) for one in json.loads(reasons)]
        return reasons.split("; ")
    return [str(one) for one in reasons]  # type: ignore[attr-defined]  # a list or an array of parquet


def _point(values: Mapping[str, object]) -> list[float] | None:
    """The place as three columns (_x, _y, _z), a list, or a JSON list."""
    name = "cta_lvo_location_lps_mm"
    parts = [values.get(f"{name}_{axis}") for axis in "xyz"]
    if all(part is not None for part in parts):
        return [float(str(part)) for part in parts]
    whole = values.get(name)
    if whole is None:
        return None
    numbers: Iterable[float] = json.loads(whole) if isinstance(whole, str) else whole  # type: ignore[assignment]
    return [float(part) for part in numbers]
