"""The artery segments of both sides as a table, once, for the page and for the PDF."""

from dataclasses import dataclass

from lvo.core.report import CtaResult, SegmentRow, SegmentSide, Site
from lvo.report.words import short_number

__all__ = ["SEGMENT_COLUMNS", "SegmentLine", "segment_lines"]

SEGMENT_COLUMNS = ("lumen, mL", "of the usual", "interrupted, mm", "density, HU")
"""What is said of a segment, in the order of the cells."""


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """One segment in words.

    Args:
        name: of the segment.
        cells: for each of `SEGMENT_COLUMNS` the patient's right and left, or one value for a midline artery.
        main: the segment that the finding names.
    """

    name: str
    cells: tuple[tuple[str, ...], ...]
    main: bool


def segment_lines(result: CtaResult) -> tuple[SegmentLine, ...]:
    """Every segment, in the order of the result."""
    return tuple(SegmentLine(row.segment, _cells(row), _is_site(row.segment, result.finding.site)) for row in result.segments)


def _is_site(name: str, site: Site | None) -> bool:
    """Tell whether a segment, or a branch like "M2-superior", is what a finding names; "ICA-T" is no branch of "ICA"."""
    return site is not None and (name == site or (name.startswith(f"{site}-") and name not in set(Site)))


def _cells(row: SegmentRow) -> tuple[tuple[str, ...], ...]:
    sides = [_words(side) for _, side in row.sides]
    return tuple(tuple(side[n] for side in sides) for n in range(len(SEGMENT_COLUMNS)))


def _words(side: SegmentSide) -> tuple[str, ...]:
    share = "—" if side.expected_share is None else f"{100 * side.expected_share:.0f} %"
    return (short_number(side.lumen_ml), share, short_number(side.gap_mm, 0), short_number(side.hu, 0))
