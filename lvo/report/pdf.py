"""A summary for systems that show nothing but PDF: a page with the call, its limits and key image, then evidence, perfusion."""

import io
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import matplotlib as mpl
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from PIL import Image

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.core.outcome import Assessed
from lvo.core.report import CtaResult, Report, Severity
from lvo.report.result import quality_notes
from lvo.report.segments import SEGMENT_COLUMNS, segment_lines
from lvo.report.words import CALL_LIMIT, UNJUDGED_LIMIT, Headline, cta_headline, perfusion_headline

__all__ = ["render_pdf"]

PAGE_MM = (210.0, 297.0)
MARGIN_MM = 14.0
WIDTH_MM = PAGE_MM[0] - 2 * MARGIN_MM
PERFUSION_PAGES = (
    ("perfusion", 200.0), ("fallback", 200.0), ("tmax", 120.0), ("cbf", 120.0), ("curves", 110.0), ("motion", 70.0),
    ("quality", 150.0),
)  # fmt: skip
"""Pictures of the CT perfusion in the order of the page, each with the largest height it may take, mm."""
CLOSE_MM = 150.0
CURVED_MM = 110.0
"""Largest height of the mirrored pair and of the curved MIP."""
SEGMENT_WIDTHS = (22, 18, 18, 18, 18)
"""Share of the width that each column of the segment table takes."""
MAX_SENTENCES = 6
"""Reasons and notes beyond this many are counted, not printed: the page refers to report.html for all of them."""


def render_pdf(report: Report, figures: Mapping[str, bytes], *, created: datetime) -> bytes:
    """The summary as PDF bytes, the same for the same arguments.

    Args:
        report: everything known about the study.
        figures: PNG bytes by name (`draw_figures`).
        created: time of creation, with a time zone.
    """
    pdf = _document(created)
    pdf.add_page()
    _text(pdf, RESEARCH_USE_ONLY, size=10, bold=True)
    pdf.ln(2)
    _card(pdf, cta_headline(report), limit=True)
    if isinstance(report.cta, Assessed) and report.cta.value.coverage:
        _text(pdf, report.cta.value.coverage, size=9)
        pdf.ln(2)
    _card(pdf, perfusion_headline(report), limit=False)
    room_mm = PAGE_MM[1] - MARGIN_MM - pdf.get_y() - 16.0
    if "site" in figures:
        _image(pdf, figures["site"], min(room_mm, 150.0))
    _notes(pdf, report)
    if isinstance(report.cta, Assessed):
        _evidence(pdf, report.cta.value, figures)
    for name, most_mm in PERFUSION_PAGES:
        if name in figures:
            _figure(pdf, figures[name], most_mm)
    return bytes(pdf.output())


class _Summary(FPDF):  # type: ignore[misc]  # fpdf2 ships no types
    """A page with version and limits at its foot."""

    def footer(self) -> None:
        """Written by the library at the end of each page."""
        self.set_y(-MARGIN_MM + 3)
        self.set_text_color(90)
        self.set_font("sans", size=7)
        self.cell(WIDTH_MM, 4, f"lvo {__version__} | research use only | page {self.page_no()} of {{nb}}", align="C")


def _document(created: datetime) -> _Summary:
    """An empty A4 document with a font that knows every letter a reason can hold."""
    pdf = _Summary(format="A4", unit="mm")
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pdf.add_font("sans", "", fonts / "DejaVuSans.ttf")
    pdf.add_font("sans", "B", fonts / "DejaVuSans-Bold.ttf")
    pdf.set_creation_date(created)
    pdf.set_title("LVO result, research use only")
    pdf.set_margins(MARGIN_MM, MARGIN_MM)
    pdf.set_auto_page_break(auto=True, margin=MARGIN_MM)
    return pdf


def _text(pdf: FPDF, words: str, *, size: float, bold: bool = False, fill: bool = False) -> None:
    """A paragraph over the page's width."""
    pdf.set_font("sans", style="B" if bold else "", size=size)
    pdf.multi_cell(
        WIDTH_MM, size * 0.5, words, fill=fill, padding=(0.8, 3, 0.8, 3) if fill else 0, new_x=XPos.LMARGIN, new_y=YPos.NEXT
    )


def _card(pdf: FPDF, headline: Headline, *, limit: bool) -> None:
    """A headline on its colour."""
    red, green, blue = (int(headline.color[n : n + 2], 16) for n in (1, 3, 5))
    pdf.set_fill_color(red, green, blue)
    pdf.set_text_color(255)
    _text(pdf, f"{headline.symbol} {headline.title}", size=18 if limit else 13, bold=True, fill=True)
    for words in (headline.where, headline.numbers, *headline.sentences[:MAX_SENTENCES]):
        if words:
            _text(pdf, words, size=14 if words == headline.where else 10.5, bold=words == headline.where, fill=True)
    if limit:
        if headline.state in {"not_assessable", "absent"}:
            _text(pdf, UNJUDGED_LIMIT, size=10.5, bold=True, fill=True)
        _text(pdf, CALL_LIMIT, size=10.5, bold=True, fill=True)
    pdf.set_text_color(0)
    pdf.ln(2)


def _evidence(pdf: FPDF, result: CtaResult, figures: Mapping[str, bytes]) -> None:
    """The mirrored pair, the course pulled straight, and the segments of both sides."""
    for name, most_mm in (("cutoff", CLOSE_MM), ("curved", CURVED_MM)):
        if name in figures:
            _figure(pdf, figures[name], most_mm)
    lines = segment_lines(result)
    if not lines:
        return
    filling = "not measured" if result.collateral is None else f"{result.collateral.score} of 3"
    words = f"Collateral filling {filling}; {result.phase} phase, {result.arterial_hu:.0f} HU in the arteries"
    _room(pdf, 6.0 * (len(lines) + 3))
    _text(pdf, words, size=9.5, bold=True)
    pdf.set_font("sans", size=8.5)
    pdf.set_fill_color(255)
    aligned = ("LEFT", *["CENTER"] * len(SEGMENT_COLUMNS))
    with pdf.table(col_widths=SEGMENT_WIDTHS, line_height=4.6, text_align=aligned, borders_layout="HORIZONTAL_LINES") as table:
        table.row(("Segment", *(f"{what}: right | left" for what in SEGMENT_COLUMNS)))
        for line in lines:
            name = f"{line.name} (site)" if line.main else line.name
            table.row((name, *(" | ".join(values) for values in line.cells)))
    pdf.ln(3)


def _image(pdf: FPDF, png: bytes, height_mm: float) -> None:
    """A picture as large as the height and the page's width allow, centred."""
    pdf.image(io.BytesIO(png), x=MARGIN_MM, y=pdf.get_y(), w=WIDTH_MM, h=height_mm, keep_aspect_ratio=True)
    pdf.set_y(pdf.get_y() + height_mm)


def _figure(pdf: FPDF, png: bytes, most_mm: float) -> None:
    """A picture over the page's width, on a new page where this one has too little room; limits stand on every page."""
    with Image.open(io.BytesIO(png)) as picture:
        height_mm = min(WIDTH_MM * picture.height / picture.width, most_mm)
    _room(pdf, height_mm)
    _image(pdf, png, height_mm)
    pdf.ln(3)


def _room(pdf: FPDF, height_mm: float) -> None:
    """A new page where this one has less room than that; limits stand on every page."""
    if pdf.get_y() + height_mm > PAGE_MM[1] - MARGIN_MM - 4.0:
        pdf.add_page()
        _text(pdf, RESEARCH_USE_ONLY, size=9, bold=True)
        pdf.ln(2)


def _notes(pdf: FPDF, report: Report) -> None:
    """Warnings, if there are any."""
    notes = [note for note in quality_notes(report) if note.severity is not Severity.INFO]
    for note in notes[:MAX_SENTENCES]:
        _text(pdf, f"{note.severity.value}: {note.text}", size=8.5)
    if len(notes) > MAX_SENTENCES:
        _text(pdf, f"and {len(notes) - MAX_SENTENCES} more: see report.html", size=8.5)
