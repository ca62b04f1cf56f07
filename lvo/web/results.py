"""A folder of results, as `lvo run` and `lvo batch` leave it, as a source of studies."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from lvo.dicom.identity import read_identity
from lvo.errors import InputError
from lvo.report.result import SCHEMA
from lvo.web.source import Stage, StageState, StudyEntry

__all__ = ["KnownResults", "ResultsFolder", "entry_of"]

_STATES: Mapping[str, StageState] = {"assessed": "done", "not_assessable": "refused", "absent": "absent"}
_PARTS = (("CT angiogram", "cta", "cta."), ("CT perfusion", "perfusion", "ctp."))


Stamp: TypeAlias = tuple[int, int]
"""When a result.json was written, in ns, and its bytes."""


class KnownResults:
    """Results that were read already: one that has not changed is not read again."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[Path, tuple[Stamp, StudyEntry]] = {}

    def entry(self, folder: Path, stamp: Stamp | None = None) -> StudyEntry:
        """A result folder as a study.

        Args:
            folder: of the result.
            stamp: of its result.json, looked up if left out.
        """
        stamp = stamp or _stamp(folder)
        known = self._known.get(folder)
        if stamp is not None and known is not None and known[0] == stamp:
            return known[1]
        entry = entry_of(folder)
        if stamp is not None:
            self._known[folder] = (stamp, entry)
        return entry

    def keep(self, folders: Collection[Path]) -> None:
        """Forget all others."""
        self._known = {folder: known for folder, known in self._known.items() if folder in folders}


class ResultsFolder:
    """Studies below a folder, one folder each; what has not changed is read once."""

    def __init__(self, folder: Path) -> None:
        """Watch a folder.

        Raises:
            InputError: it is no folder.
        """
        if not folder.is_dir():
            msg = f"{folder} is no folder; give the one that `lvo run --out` wrote to"
            raise InputError(msg)
        self._folder = folder
        self._known = KnownResults()

    def version(self) -> str:
        """Names and times of all result files."""
        return repr(self._stamps())

    def studies(self) -> list[StudyEntry]:
        """All results, damaged ones included: they say what is wrong with them."""
        stamps = {self._folder / name: stamp for name, stamp in self._stamps().items()}
        self._known.keep(stamps)
        return [self._known.entry(folder, stamp) for folder, stamp in stamps.items()]

    def _stamps(self) -> dict[str, Stamp]:
        folders = sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))  # half-written, or our own
        return {path.name: stamp for path in folders if (stamp := _stamp(path)) is not None}


def _stamp(folder: Path) -> Stamp | None:
    """None where there is no result."""
    try:
        state = (folder / "result.json").stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def entry_of(folder: Path) -> StudyEntry:
    """A result folder as a study; a damaged one says what is wrong with it."""
    path = folder / "result.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        at = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except (OSError, ValueError) as error:
        return StudyEntry(
            folder.name, (), problem=f"result.json cannot be read ({type(error).__name__}); analyse the study again"
        )
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return StudyEntry(folder.name, (), problem=f"result.json is not of schema {SCHEMA}; analyse the study again")
    try:
        uid, stages = _uid_of(document), stages_of(document)
    except (LookupError, TypeError, AttributeError):  # one such result must not take the others out of the list
        return StudyEntry(folder.name, (), problem="result.json lacks what its schema promises; analyse the study again")
    return StudyEntry(uid, stages, document=document, folder=folder, identity=read_identity(folder / "dicom"), result_at=at)


def _uid_of(document: Mapping[str, Any]) -> str:
    """Study Instance UID, seen that the worklist finds the rest of what it needs."""
    status, cta = document["status"], document["cta"]
    if status is None or (cta["state"] == "assessed" and cta["lvo"]["call"] is None):
        raise LookupError
    return str(document["study"]["study_instance_uid"])


def stages_of(document: Mapping[str, Any]) -> tuple[Stage, ...]:
    """What became of each part, with the time that it took."""
    timings_s: Mapping[str, float] = document.get("timings_s", {})
    stages = []
    for words, part, prefix in _PARTS:
        seconds = [value for name, value in timings_s.items() if name.startswith(prefix)]
        state = _STATES[document[part]["state"]]
        stages.append(Stage(words, state, round(sum(seconds), 1) if seconds else None))
    return (*stages, Stage("Report", "done", None))
