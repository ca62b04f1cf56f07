"""Any folder with one table: how a hospital or a study brings its own scans."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import cast, get_args

from lvo.core.report import Site
from lvo.errors import InputError
from lvo.train.datasets.labels import TOPCOW_NAMES
from lvo.train.datasets.record import DataSet, Found, Issue, Kind, Level, Place, Scan
from lvo.train.datasets.tree import Row, Tree, read_table

__all__ = ["PLAIN"]

_TABLE = "cases.csv"
_NAMES = "labels.csv"
_COLUMNS = frozenset(
    {"image", "subject", "kind", "centre", "arteries", "clot", "occluded", "side", "site", "split", "age", "sex", "scanner"}
)
_YES, _NO = {"yes", "1", "true", "y"}, {"no", "0", "false", "n"}
_SPLITS = {"", "training", "validation", "test"}


def _find(tree: Tree) -> Found:
    if PurePosixPath(_TABLE) not in tree.files:
        names = ", ".join(sorted(_COLUMNS))
        msg = f"a plain folder needs {_TABLE} with a column image, and any of: {names}"
        raise InputError(msg)
    rows = read_table(tree.root / _TABLE)
    unknown = sorted({name for row in rows for name in row} - _COLUMNS)
    if unknown or not all("image" in row for row in rows):
        has = f"has unknown columns {', '.join(unknown)}" if unknown else "has no column image"
        msg = f"{_TABLE} {has}; it takes {', '.join(sorted(_COLUMNS))}"
        raise InputError(msg)
    scans: list[Scan] = []
    issues: list[Issue] = []
    for number, row in enumerate(rows, start=2):
        subject = row.get("subject") or f"line {number}"
        wrong = _wrong(tree, row)
        if wrong:
            issues.append(Issue(Level.ERROR, "table", subject, f"line {number} of {_TABLE}: {wrong}"))
        else:
            scans.append(_scan(subject, row))
    return Found(tuple(scans), tuple(issues))


def _wrong(tree: Tree, row: Row) -> str:
    """What is wrong with a line, empty for nothing."""
    for column in ("image", "arteries", "clot"):
        value = row.get(column, "")
        if (column == "image" or value) and not (value and tree.path(PurePosixPath(value)).exists()):
            return f"{column} {value!r} is not there"
    allowed: Mapping[str, frozenset[str]] = {
        "occluded": frozenset({"", *_YES, *_NO}), "side": frozenset(get_args(Place)), "split": frozenset(_SPLITS),
        "site": frozenset({"", *(site.value for site in Site)}), "kind": frozenset({"", *get_args(Kind)}),
    }  # fmt: skip
    for column, values in allowed.items():
        value = row.get(column, "") if column == "site" else row.get(column, "").lower()
        if value not in values:
            return f"{column} is {value!r}, one of {', '.join(sorted(filter(None, values)))} is needed"
    if row.get("occluded", "").lower() in _NO and (row.get("side") or row.get("site")):
        return "is not occluded and yet has a side or a site"
    return ""


def _scan(subject: str, row: Row) -> Scan:
    said = row.get("occluded", "").lower()
    files = {name: PurePosixPath(row[name]) if row.get(name) else None for name in ("arteries", "clot")}
    return Scan(
        subject, PurePosixPath(row["image"]), cast("Kind", row.get("kind", "").lower() or "cta"), f"plain-{subject}",
        centre=row.get("centre", ""), arteries=files["arteries"], clot=files["clot"],
        occluded=None if not said else said in _YES, side=cast("Place", row.get("side", "").lower()), site=row.get("site", ""),
        split=row.get("split", "").lower(), facts={name: row[name] for name in ("age", "sex", "scanner") if row.get(name)},
    )  # fmt: skip


def _names(tree: Tree) -> Mapping[int, str]:
    """Names of the codes from labels.csv (code, name); those of TopCoW without it.

    Raises:
        InputError: a code is no number.
    """
    if PurePosixPath(_NAMES) not in tree.files:
        return TOPCOW_NAMES
    rows = read_table(tree.root / _NAMES)
    try:
        return {int(row["code"]): row["name"] for row in rows}
    except (KeyError, ValueError) as error:
        msg = f"{_NAMES} needs the columns code (a whole number) and name (such as R-M1)"
        raise InputError(msg) from error


PLAIN = DataSet(
    name="folder",
    title="a folder with cases.csv",
    licence="as you say",
    source="yours",
    find=_find,
    label_names=_names,
)
"""The adapter."""
