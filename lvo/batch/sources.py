"""Everything SOURCE can be, as items: folders, archives, lists, tables, URLs, DICOMweb queries."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from lvo.batch.dicomweb import WEB, query_studies
from lvo.batch.fetch import is_url
from lvo.batch.folders import files_below, find_items, fingerprint
from lvo.batch.objects import list_objects
from lvo.batch.records import Item
from lvo.errors import UsageError

__all__ = ["items_of"]

_COLUMNS = {"study", "priority", "due"}


def items_of(sources: Sequence[str]) -> Iterator[Item]:
    """The items of all sources, in their order.

    Args:
        sources: paths and URLs. A text file (.txt, .lst) has one per line, a .csv file a column `study` and, if wanted,
            `priority` (a number, larger goes first) and `due` (ISO 8601 with offset from UTC).

    Raises:
        InputError: a source cannot be read.
        UsageError: a list or table is not as above, or a URL needs a package that is not installed.
    """
    for source in sources:
        yield from _items(source)


def _items(source: str) -> Iterator[Item]:
    if source.startswith(WEB):
        yield from query_studies(source)
    elif is_url(source):
        yield from list_objects(source)
    elif source.lower().endswith((".txt", ".lst")):
        yield from _listed(Path(source))
    elif source.lower().endswith(".csv"):
        yield from _tabled(Path(source))
    else:
        yield from find_items(Path(source))


def _listed(path: Path) -> Iterator[Item]:
    """An item per line that is not empty and no comment."""
    for line in _text(path).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield _one(line.strip(), path)


def _tabled(path: Path) -> Iterator[Item]:
    """An item per row, with priority and time."""
    rows = csv.DictReader(_text(path).splitlines())
    unknown = set(rows.fieldnames or ()) - _COLUMNS
    if "study" not in (rows.fieldnames or ()) or unknown:
        found = ", ".join(rows.fieldnames or ())
        msg = f"{path}: the table needs a column `study` and may have `priority` and `due`; it has {found}"
        raise UsageError(msg)
    for row in rows:
        if not row["study"]:
            continue
        where = f"{path}, line {rows.line_num}"
        yield replace(_one(row["study"], path), priority=_priority(row.get("priority"), where), due=_due(row.get("due"), where))


def _one(location: str, table: Path) -> Item:
    """One line: a URL, or a path relative to the table, taken as it is and not looked into."""
    if is_url(location):
        return Item(location, (location,))
    path = (table.parent / location).resolve()
    return Item(str(path), (str(path),), fingerprint(files_below(path)))


def _priority(text: str | None, where: str) -> int:
    try:
        return int(text or 0)
    except ValueError as error:
        msg = f"{where}: priority must be a whole number, got {text!r}"
        raise UsageError(msg) from error


def _due(text: str | None, where: str) -> float | None:
    if not text:
        return None
    try:
        due = datetime.fromisoformat(text)
    except ValueError:
        due = None
    if due is None or due.tzinfo is None:
        msg = f"{where}: due must be a time with an offset from UTC like 2026-03-01T14:05+00:00, got {text!r}"
        raise UsageError(msg)
    return due.timestamp()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as text: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        raise UsageError(msg) from error
