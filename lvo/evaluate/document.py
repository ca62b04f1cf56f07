"""A report as data: sections of words, tables and pictures, written as Markdown and as one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2

from lvo.evaluate.metrics import Estimate
from lvo.report.pages import page_environment

__all__ = ["Picture", "Section", "Table", "as_html", "as_markdown", "share_words"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column is text, the others are set to the right."""

    header: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture beside the report: its path relative to it, and what it shows."""

    path: str
    caption: str


@dataclass(frozen=True, slots=True)
class Section:
    """One section: words, then tables, then pictures."""

    title: str
    words: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def share_words(value: Estimate) -> str:
    """A proportion with its counts and its interval."""
    return "-" if value.n == 0 else f"{value.hits}/{value.n} = {value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """The report as Markdown."""
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}", *section.words]
        parts += [_markdown_table(table) for table in section.tables if table.lines]
        parts += [f"![{picture.caption}]({picture.path})" for picture in section.pictures]
    return "\n\n".join(parts) + "\n"


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The report as a page; pictures are linked, so it stays with its folder."""
    return _template().render(title=title, sections=sections)


def _markdown_table(table: Table) -> str:
    lines = [table.header, tuple("---" if n == 0 else "--:" for n in range(len(table.header))), *table.lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


@cache
def _template() -> jinja2.Template:
    """The page's template; everything put into it is escaped."""
    return page_environment("lvo.evaluate").get_template("report.html.j2")
