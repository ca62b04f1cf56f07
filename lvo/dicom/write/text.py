"""The structured report once more as plain text: a Basic Text SR, which viewers show that know no measurements.

OHIF draws a report of measurements as marks on images and shows nothing of its words; many PACS show text only.
"""

from collections.abc import Iterator, Sequence

import highdicom as hd
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage

from lvo import RESEARCH_USE_ONLY
from lvo.dicom.write import codes
from lvo.dicom.write.source_headers import Headers
from lvo.dicom.write.sr_items import document
from lvo.dicom.write.stamp import Stamp

__all__ = ["text_report"]

_GROUPS, _GROUP, _TRACKED, _FINDING = "126010", "125007", "112039", "121071"
_ALGORITHM = frozenset({"111001", "111002", "111003"})
"""Codes of PS3.16: measurements, a group of them, tracking identifier, finding; an algorithm's name, settings, version."""


def text_report(report: Dataset, headers: Headers, stamp: Stamp, *, series_number: int) -> Dataset:
    """What a measurement report says, in words: a heading per finding, a line per value, comments as they are.

    Args:
        report: the structured report (TID 1500); nothing is said here that is not said there.
        headers: the images it was made from; they are referenced.
        stamp: time and UIDs.
        series_number: for the new series.
    """
    root = _container("", codes.item(codes.TEXT_TITLE))
    root.ContentSequence += [item for item in report.ContentSequence if item.RelationshipType == "HAS CONCEPT MOD"][:1]
    root.ContentSequence += [item for item in report.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT"]
    comments = [item.TextValue for item in _named(report, codes.COMMENT.value)]
    root.ContentSequence += [_line(codes.item(codes.COMMENT), text) for text in dict.fromkeys([RESEARCH_USE_ONLY, *comments])]
    groups = [group for part in _named(report, _GROUPS) for group in _named(part, _GROUP)]
    root.ContentSequence += [_finding(group) for group in groups if not _is_mark(group)]
    root.ContentSequence += [
        _line(item.ConceptNameCodeSequence[0], item.TextValue)
        for item in groups[0].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue in _ALGORITHM
    ]
    result = document(hd.sr.EnhancedSR, root, headers.images, stamp, name="text", series_number=series_number)
    result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage  # which highdicom does not write
    headers.finish(result, stamp, series_description="LVO text")
    return result


def _finding(group: Dataset) -> Dataset:
    """A group as a heading with a line per value."""
    (finding,) = [item.ConceptCodeSequence[0] for item in _named(group, _FINDING)]
    made = _container("CONTAINS", finding)
    heading = [_line(item.ConceptNameCodeSequence[0], item.TextValue) for item in _named(group, _TRACKED)]
    made.ContentSequence = [*heading, *_lines(group)]
    return made


def _lines(group: Dataset) -> Iterator[Dataset]:
    """Codes, numbers and comments of a group; references and identifiers mean nothing to a reader."""
    for item in group.ContentSequence:
        name = item.ConceptNameCodeSequence[0]
        if name.CodeValue in _ALGORITHM | {_TRACKED, _FINDING}:  # the heading has the two, and the algorithm is named once
            continue
        if item.ValueType == "CODE":
            coded = [
                item,
                *(below for below in item.get("ContentSequence", []) if below.ValueType == "CODE"),
            ]  # a place, its side
            yield _line(name, ", ".join(one.ConceptCodeSequence[0].CodeMeaning for one in coded))
        elif item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            unit = measured.MeasurementUnitsCodeSequence[0]
            yield _line(name, f"{measured.NumericValue:g}" + (f" {unit.CodeMeaning}" if unit.CodeValue != "1" else ""))
        elif item.ValueType == "TEXT":
            yield _line(name, item.TextValue)


def _is_mark(group: Dataset) -> bool:
    """Whether a group only repeats a finding as a point on its image."""
    return any(item.ValueType == "SCOORD" for item in group.ContentSequence)


def _named(node: Dataset, value: str) -> Sequence[Dataset]:
    return [item for item in node.get("ContentSequence", []) if item.ConceptNameCodeSequence[0].CodeValue == value]


def _container(relationship: str, name: Dataset) -> Dataset:
    made = Dataset()
    if relationship:
        made.RelationshipType = relationship
    made.ValueType, made.ConceptNameCodeSequence = "CONTAINER", [name]
    made.ContinuityOfContent, made.ContentSequence = "SEPARATE", []
    return made


def _line(name: Dataset, text: str) -> Dataset:
    made = Dataset()
    made.RelationshipType, made.ValueType = "CONTAINS", "TEXT"
    made.ConceptNameCodeSequence, made.TextValue = [name], text
    return made
