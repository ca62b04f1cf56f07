"""The files of a data set, walked once, found by pattern and never by a fixed folder name; and its tables, read as text."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lvo.errors import InputError

__all__ = ["NIFTI", "Row", "Tree", "read_table", "walk"]

NIFTI = r"\.nii(?:\.gz)?$"
"""Ending of an image; data sets mix both."""

_JUNK = re.compile(r"(^|/)(\._[^/]*|\.DS_Store|Thumbs\.db|__MACOSX(/.*)?|\.git(/.*)?)$")
_NOTHING = {"", "nan", "na", "n/a", "none", "null", "nat"}
"""How tables write that they do not know."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Tree:
    """Every file below a folder, relative to it, sorted."""

    root: Path
    files: tuple[PurePosixPath, ...]

    def matching(self, pattern: str) -> Iterator[tuple[PurePosixPath, re.Match[str]]]:
        """Files whose relative path holds the pattern; case does not matter."""
        compiled = re.compile(pattern, re.IGNORECASE)
        for path in self.files:
            match = compiled.search(str(path))
            if match:
                yield path, match

    def path(self, relative: PurePosixPath) -> Path:
        """Where a file lies."""
        return self.root / relative


def walk(root: Path) -> Tree:
    """List a data set.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """
    if not root.is_dir():
        msg = f"{root}: no such folder"
        raise InputError(msg)
    files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    kept = tuple(PurePosixPath(name) for name in sorted(files) if not _JUNK.search(name))
    if not kept:
        msg = f"{root} holds no files; unpack the data set there"
        raise InputError(msg)
    return Tree(root, kept)


def read_table(path: Path) -> list[Row]:
    """Rows of a .csv, .tsv or .xlsx file as text by column; what is not known is empty, whatever the file calls it.

    Raises:
        InputError: the file cannot be read as a table.
    """
    try:
        lines = _sheet(path) if path.suffix.lower() == ".xlsx" else _text(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"table {path.name} cannot be read ({type(error).__name__})"
        raise InputError(msg) from error
    if not lines:
        return []
    names = [name.strip() for name in lines[0]]
    return [dict(zip(names, (_known(value) for value in line), strict=False)) for line in lines[1:] if any(map(_known, line))]


def _known(value: str) -> str:
    text = value.strip()
    return "" if text.lower() in _NOTHING else text


def _text(path: Path) -> list[list[str]]:
    """Cells of a text file; the separator is a tab, semicolon or comma, whichever the first line has most of."""
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    separator = max("\t;,", key=first.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _sheet(path: Path) -> list[list[str]]:
    """Cells of the first sheet of a workbook."""
    from zipfile import BadZipFile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        msg = f"table {path.name} cannot be read as a workbook ({type(error).__name__})"
        raise InputError(msg) from error
    rows = [["" if cell is None else str(cell) for cell in row] for row in book.worksheets[0].iter_rows(values_only=True)]
    book.close()
    return rows
