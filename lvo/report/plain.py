"""A plain page of sections with words, tables and pictures: complete in itself, no script, no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2

from lvo import RESEARCH_USE_ONLY
from lvo.report.pages import page_environment

__all__ = ["Picture", "Section", "Table", "render_plain"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of words under column names; the first column is the name of the row, the others may be numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with its caption."""

    png: bytes
    caption: str

    @property
    def uri(self) -> str:
        """The picture as part of the page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: sentences, then tables, then pictures."""

    title: str
    words: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def render_plain(title: str, sections: Sequence[Section], *, lead: Sequence[str] = ()) -> str:
    """The page; everything put into it is escaped.

    Args:
        title: heading.
        sections: in order.
        lead: sentences above them.
    """
    return _template().render(title=title, sections=sections, lead=lead, limits=RESEARCH_USE_ONLY)


@cache
def _template() -> jinja2.Template:
    return page_environment("lvo.report").get_template("plain.html.j2")
