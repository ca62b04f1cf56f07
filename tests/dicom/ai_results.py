"""The rules of the IHE profile AI Results (AIR) for a measurement report, read with plain pydicom: what breaks them, in words.

References:
    IHE Radiology, AI Results: results are TID 1500 in Comprehensive 3D SR; findings are coded, tracked, and name their
    algorithm; what is measured or located refers to its images. DICOM PS3.16 TID 1500, 1501, 1410, 1411, 1419, 4019, 300.
"""

import re
from collections.abc import Iterator, Sequence

from pydicom import Dataset

COMPREHENSIVE_3D = "1.2.840.10008.5.1.4.1.1.88.34"
ONE_EACH = {"112039": "tracking identifier", "112040": "tracking UID", "121071": "finding", "111001": "algorithm name",
            "111003": "algorithm version"}  # fmt: skip
UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def faults(report: Dataset, images: Sequence[str]) -> list[str]:
    """Everything in which a report breaks the rules; `images` are the SOP Instance UIDs that it may speak of."""
    return [*_root(report), *_groups(report), *_items(report), *_references(report, set(images))]


def named(node: Dataset, value: str) -> list[Dataset]:
    """Direct children whose concept has that code."""
    return [item for item in node.get("ContentSequence", []) if _concept(item) == value]


def groups(report: Dataset) -> list[Dataset]:
    """Every measurement group."""
    return [group for part in named(report, "126010") for group in named(part, "125007")]


def everything(node: Dataset) -> Iterator[Dataset]:
    """Every content item below a node."""
    for item in node.get("ContentSequence", []):
        yield item
        yield from everything(item)


def _concept(item: Dataset) -> str:
    return item.ConceptNameCodeSequence[0].CodeValue if item.get("ConceptNameCodeSequence") else ""


def _root(report: Dataset) -> Iterator[str]:
    """The document: class, title, template, who observed, what was done, and that nobody has verified it."""
    if report.SOPClassUID != COMPREHENSIVE_3D or report.Modality != "SR":
        yield "not a Comprehensive 3D SR"
    title = report.ConceptNameCodeSequence[0]
    if (title.CodeValue, title.CodingSchemeDesignator) != ("126000", "DCM"):
        yield "the title is not Imaging Measurement Report"
    if [(item.MappingResource, item.TemplateIdentifier) for item in report.get("ContentTemplateSequence", [])] != [
        ("DCMR", "1500")
    ]:
        yield "the template is not TID 1500"
    observers = named(report, "121005")
    if [item.ConceptCodeSequence[0].CodeValue for item in observers] != ["121007"] or not named(report, "121012"):
        yield "the observer is not one device with a UID"
    for value, what in (("121049", "language"), ("121058", "procedure reported"), ("126010", "imaging measurements")):
        if not named(report, value):
            yield f"no {what}"
    if (report.VerificationFlag, report.get("PreliminaryFlag")) != ("UNVERIFIED", "PRELIMINARY"):
        yield "a result of software must be unverified and preliminary"


def _groups(report: Dataset) -> Iterator[str]:
    """Every finding: coded, tracked, with its algorithm; and of the template that it claims."""
    if not groups(report):
        yield "no finding"
    for group in groups(report):
        for value, what in ONE_EACH.items():
            if len(named(group, value)) != 1:
                yield f"{len(named(group, value))} x {what}"
        (template,) = [item.TemplateIdentifier for item in group.get("ContentTemplateSequence", [])] or [""]
        regions, segments = named(group, "111030"), named(group, "121191")
        fitting = {"1410": len(regions) == 1 and not segments, "1411": len(segments) == 1 and not regions,
                   "1501": not regions and not segments}  # fmt: skip
        if not fitting.get(template, False):
            yield f"TID {template} with {len(regions)} regions and {len(segments)} segments"
    yield from _tracking(groups(report))


def _tracking(found: list[Dataset]) -> Iterator[str]:
    """Tracking UIDs are UIDs, and each belongs to one name."""
    names: dict[str, set[str]] = {}
    for group in found:
        for uid in named(group, "112040"):
            if not UID.fullmatch(uid.UID) or len(uid.UID) > 64:
                yield "the tracking UID is none"
            names.setdefault(uid.UID, set()).update(item.TextValue for item in named(group, "112039"))
    if any(len(one) > 1 for one in names.values()):
        yield "one tracking UID for two things"


def _items(report: Dataset) -> Iterator[str]:
    """Codes are whole, numbers have a unit of UCUM."""
    for item in everything(report):
        codes = [*item.get("ConceptNameCodeSequence", []), *item.get("ConceptCodeSequence", [])]
        if item.ValueType == "NUM":
            for measured in item.MeasuredValueSequence:
                units = measured.MeasurementUnitsCodeSequence
                if [unit.CodingSchemeDesignator for unit in units] != ["UCUM"]:
                    yield "a number without a unit of UCUM"
        if item.ValueType == "CODE" and not item.get("ConceptCodeSequence"):
            yield "a code without a value"
        if not all(code.get("CodeValue") and code.get("CodingSchemeDesignator") and code.get("CodeMeaning") for code in codes):
            yield "a code without value, scheme or meaning"


def _references(report: Dataset, images: set[str]) -> Iterator[str]:
    """What a finding refers to is evidence of the document, is there, and is an image or a segment of one."""
    evidence = {
        item.ReferencedSOPInstanceUID
        for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in report.get(name, [])
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    if not evidence:
        yield "no evidence"
    if not evidence <= images:
        yield "evidence that is not there"
    for item in everything(report):
        referenced = {one.ReferencedSOPInstanceUID for one in item.get("ReferencedSOPSequence", [])}
        if not referenced <= evidence:
            yield "a reference to what is no evidence"
        if item.ValueType == "SCOORD" and [child.ValueType for child in item.get("ContentSequence", [])] != ["IMAGE"]:
            yield "a point on no image"
        if item.ValueType == "SCOORD3D" and not item.get("ReferencedFrameOfReferenceUID"):
            yield "a point in no frame of reference"
