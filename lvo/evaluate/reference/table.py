"""The reference table: a CSV file with a row per study. Everything in it is checked before anything is counted."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import TypeVar

from lvo.core.report import Side, Site
from lvo.errors import InputError
from lvo.evaluate.records import Position
from lvo.evaluate.reference.records import MASKS, VOLUMES, Reading, Truth

__all__ = ["GROUP", "READER", "Reference", "read_reference"]

READER, GROUP = "reader:", "group:"
"""Beginnings of the names of columns with readings, and with further things to sort by."""

_POINT = ("x_lps_mm", "y_lps_mm", "z_lps_mm")
_WORDS, _NUMBERS = ("scanner", "sex", "centre", "split"), ("kv", "slice_mm", "age")
_KNOWN = frozenset({"study", "lvo", "side", "site", "part", *_POINT, *_WORDS, *_NUMBERS, *VOLUMES, *MASKS})
_YES, _NO, _UNKNOWN = frozenset({"1", "yes", "true", "y"}), frozenset({"0", "no", "false", "n"}), frozenset({"", "unknown"})
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_CALLED_FROM = 0.5
"""A reader's score is a call from here; yes and no are 1 and 0."""
_SHOWN = 10
"""Mistakes that a message names one by one."""

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Reference:
    """The rows of a reference table, the names of its readers, and what was odd about it."""

    rows: tuple[Truth, ...]
    readers: tuple[str, ...]
    notes: tuple[str, ...]


def read_reference(path: Path) -> Reference:
    """Read a reference table (docs/reference/evaluation.md).

    Args:
        path: CSV with a header, separated by commas or semicolons, UTF-8.

    Raises:
        InputError: it cannot be read, lacks a column, has a value that is not allowed, or two rows that contradict each other.
            Values are never quoted, since a shifted column might hold a name; lines and columns are.
    """
    columns, lines = _load(path)
    mistakes = [
        f"line {line} has {len(cells)} cells, the header has {len(columns)}"
        for line, cells in lines
        if len(cells) != len(columns)
    ]
    rows = [
        _row(_Cells(path.parent, line, dict(zip(columns, cells, strict=True)), mistakes))
        for line, cells in lines
        if len(cells) == len(columns)
    ]
    rows, repeated = _once(rows, mistakes)
    if mistakes:
        more = f"; and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        msg = f"{path.name}: {'; '.join(mistakes[:_SHOWN])}{more}"
        raise InputError(msg)
    unknown = [name for name in columns if name not in _KNOWN and not name.startswith((READER, GROUP))]
    notes = [f"column {name!r} of the reference table is not known and was not used" for name in unknown]
    notes += [f"line {row.line} of the reference table repeats an earlier one and counts once" for row in repeated]
    readers = tuple(name.removeprefix(READER) for name in columns if name.startswith(READER))
    return Reference(tuple(rows), readers, tuple(notes))


def _load(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, and line and cells of every row; spaces at the ends of cells are gone, empty lines too."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.split("\n", maxsplit=1)[0]
        reader = csv.reader(io.StringIO(text), delimiter=";" if header.count(";") > header.count(",") else ",", strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path.name} cannot be read as CSV in UTF-8 ({type(error).__name__})"
        raise InputError(msg) from error
    if not rows:
        msg = f"{path.name} is empty; a header and a row per study are needed"
        raise InputError(msg)
    columns = rows[0][1]
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    missing = sorted({"study", "lvo"} - set(columns))
    if repeated or missing:
        wrong = f"has the column {repeated[0]} twice" if repeated else f"lacks the column {' and '.join(missing)}"
        msg = f"{path.name} {wrong}; needed: study (StudyInstanceUID) and lvo (1 or 0), every column once"
        raise InputError(msg)
    return columns, [(line, cells) for line, cells in rows[1:] if any(cells)]


@dataclass(frozen=True, slots=True)
class _Cells:
    """One row while it is read; what is wrong with it is added to `mistakes`."""

    folder: Path
    line: int
    record: Mapping[str, str]
    mistakes: list[str]

    def wrong(self, column: str, needed: str) -> None:
        self.mistakes.append(f"line {self.line}, column {column}: needs {needed}")

    def text(self, column: str) -> str:
        return self.record.get(column, "")

    def parsed(self, column: str, parse: Callable[[str], T], needed: str) -> T | None:
        """The value of a cell, None when it is empty or wrong."""
        if not self.text(column):
            return None
        try:
            return parse(self.text(column))
        except ValueError:
            self.wrong(column, needed)
            return None

    def number(self, column: str) -> float | None:
        return self.parsed(column, _number, "a number or nothing")

    def one_of(self, column: str, kind: type[E]) -> E | None:
        return self.parsed(column, kind, f"one of {', '.join(kind)} or nothing")


def _row(cells: _Cells) -> Truth:
    """One row; a wrong cell counts as empty, and the mistake is on the list."""
    study = cells.text("study")
    if not _UID.fullmatch(study):
        cells.wrong("study", "a StudyInstanceUID (digits and points)")
    lvo = _truth_value(cells)
    side, site = cells.one_of("side", Side), cells.one_of("site", Site)
    place = [cells.number(column) for column in _POINT]
    known = [value for value in place if value is not None]
    if known and len(known) < len(place):
        cells.wrong("x_lps_mm", "all of x, y and z or none")
    if lvo is False and (side or site or known or cells.text("part")):
        cells.wrong("lvo", "1 where a side, site or place of an occlusion is given")
    location: Position | None = (known[0], known[1], known[2]) if len(known) == 3 else None
    numbers = {column: cells.number(column) for column in (*_NUMBERS, *VOLUMES)}
    facts: dict[str, float | str] = {name: numbers[name] for name in _NUMBERS if numbers[name] is not None}  # type: ignore[misc]
    groups = (name for name in cells.record if name.startswith(GROUP))
    facts |= {name.removeprefix(GROUP): cells.text(name) for name in (*_WORDS, *groups) if cells.text(name)}
    readings = {name: cells.parsed(name, _reading, "a score from 0 to 1, yes, no or nothing") for name in _readers(cells)}
    return Truth(
        study, cells.line, lvo, side, site, cells.text("part").lower(), location, facts,
        readings={name.removeprefix(READER): value for name, value in readings.items() if value is not None},
        volumes_ml={name: value for name in VOLUMES if (value := numbers[name]) is not None},
        masks={name: cells.folder / cells.text(name) for name in MASKS if cells.text(name)},
    )  # fmt: skip


def _readers(cells: _Cells) -> list[str]:
    return [name for name in cells.record if name.startswith(READER)]


def _truth_value(cells: _Cells) -> bool | None:
    text = cells.text("lvo").lower()
    if text not in _YES | _NO | _UNKNOWN:
        cells.wrong("lvo", "1, 0, or nothing where the reference standard could not tell")
    return True if text in _YES else False if text in _NO else None


def _number(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


def _reading(text: str) -> Reading:
    if text.lower() in _YES | _NO:
        return Reading(float(text.lower() in _YES), text.lower() in _YES)
    score = _number(text)
    if not 0.0 <= score <= 1.0:
        raise ValueError(text)
    return Reading(score, score >= _CALLED_FROM)


def _once(rows: Sequence[Truth], mistakes: list[str]) -> tuple[list[Truth], list[Truth]]:
    """Every study once, and the rows that repeat one; two rows that say different things are a mistake."""
    first: dict[str, Truth] = {}
    repeated = []
    for row in rows:
        earlier = first.setdefault(row.study, row)
        if earlier is row:
            continue
        if replace(row, line=earlier.line) == earlier:
            repeated.append(row)
        else:
            mistakes.append(f"lines {earlier.line} and {row.line} say different things about one study")
    return list(first.values()), repeated
