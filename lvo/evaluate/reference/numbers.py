"""One number of a report: what it is, of which cases, by which method. Tables, CSV, LaTeX and JSON are views of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan

from lvo.evaluate.metrics import Estimate

__all__ = ["CSV_COLUMNS", "Number", "as_csv_lines", "as_record", "find", "words"]

CSV_COLUMNS = ("chapter", "name", "group", "value", "low", "high", "hits", "n", "method")


@dataclass(frozen=True, slots=True)
class Number:
    """A figure with its interval.

    Args:
        chapter: of the report.
        name: what it is.
        estimate: value, 95 % interval (NaN where there is none), cases.
        method: of the interval, or of the test.
        group: cases it is of, as "scanner: A"; empty for all.
    """

    chapter: str
    name: str
    estimate: Estimate
    method: str = ""
    group: str = ""


def words(value: Estimate, *, digits: int = 3) -> str:
    """A number as readers want it: counts where it is a share, and the interval where it has one."""
    if isnan(value.value):
        return "-"
    share = f"{value.hits}/{value.n} = " if value.hits is not None else ""
    interval = "" if isnan(value.low) else f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return f"{share}{value.value:.{digits}f}{interval}"


def find(numbers: Iterable[Number], name: str, *, group: str = "", method: str | None = None) -> Number | None:
    """The first number of a name and a group, None when there is none."""
    return next(
        (one for one in numbers if one.name == name and one.group == group and method in {None, one.method}),
        None,
    )


def as_record(number: Number) -> dict[str, str | float | int | None]:
    """A number by the names of `CSV_COLUMNS`; what is not known is None."""
    value = number.estimate
    figures = {name: None if isnan(figure) else float(figure) for name, figure in (
        ("value", value.value), ("low", value.low), ("high", value.high),
    )}  # fmt: skip
    return {
        "chapter": number.chapter, "name": number.name, "group": number.group, **figures, "hits": value.hits, "n": value.n,
        "method": number.method,
    }  # fmt: skip


def as_csv_lines(numbers: Sequence[Number]) -> list[list[str]]:
    """Cells of a CSV file, header first; figures with all their digits."""
    lines = [list(CSV_COLUMNS)]
    for number in numbers:
        record = as_record(number)
        lines.append(["" if record[column] is None else str(record[column]) for column in CSV_COLUMNS])
    return lines
