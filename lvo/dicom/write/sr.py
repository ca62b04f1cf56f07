"""The result as a structured report: TID 1500 in a Comprehensive 3D SR, with codes, units, location and evidence.

It follows the IHE profile AI Results: every finding is a measurement group with a tracking identifier, a coded finding, its
site and the algorithm; a part that was not judged is a qualitative finding that says so.
"""

from collections.abc import Mapping, Sequence

import highdicom as hd
from pydicom import Dataset

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Assessed
from lvo.core.report import QualityNote, Report, Severity
from lvo.core.study import Role
from lvo.dicom.write import codes
from lvo.dicom.write.place import SourcePoint
from lvo.dicom.write.source_headers import Headers, bare
from lvo.dicom.write.sr_cta import cta_groups
from lvo.dicom.write.sr_ctp import perfusion_groups
from lvo.dicom.write.sr_items import Context, comment, document, observer
from lvo.dicom.write.stamp import Stamp

__all__ = ["structured_report"]


def structured_report(
    report: Report,
    sources: Mapping[Role, Headers],
    segmentations: Sequence[Dataset],
    stamp: Stamp,
    *,
    point: SourcePoint | None,
    series_number: int,
) -> Dataset:
    """The whole result. A part that was not judged is there with its reasons and no finding.

    Args:
        report: everything known about the study.
        sources: headers of the images of each role; not empty.
        segmentations: our own segmentations; volumes refer to their segments.
        stamp: time and UIDs.
        point: the suspected site on the images of the angiogram.
        series_number: for the new series.
    """
    context = Context(report, stamp, segmentations)
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer()),
        procedure_reported=[codes.PROCEDURES[role] for role in sources if role in codes.PROCEDURES]
        or [codes.PROCEDURES[Role.CTA]],
        imaging_measurements=[*cta_groups(context, sources.get(Role.CTA), point), *perfusion_groups(context)],
        title=codes.REPORT_TITLE,
    )
    limits = [RESEARCH_USE_ONLY, *(f"Image quality: {note.text}" for note in _notes(report))]
    content[0].ContentSequence.extend(comment(text) for text in limits)
    evidence = [image for headers in sources.values() for image in headers.images]
    evidence += [bare(segmentation) for segmentation in segmentations]
    result = document(hd.sr.Comprehensive3DSR, content, evidence, stamp, name="sr", series_number=series_number)
    next(iter(sources.values())).finish(result, stamp, series_description="LVO result")
    return result


def _notes(report: Report) -> list[QualityNote]:
    """What a reader must know before trusting the numbers: warnings and refusals of every part."""
    notes = list(report.quality)
    for outcome in (report.cta, report.perfusion):
        if isinstance(outcome, Assessed):
            notes += outcome.value.notes
    return [note for note in notes if note.severity is not Severity.INFO]
