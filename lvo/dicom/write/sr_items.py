"""Building blocks of the structured report: observer, algorithm, tracking, numbers, comments, references to segments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import highdicom as hd
from highdicom.sr import templates
from pydicom import Dataset
from pydicom.sr.coding import Code

from lvo import __version__
from lvo.core.report import Report, Side
from lvo.dicom.write import codes
from lvo.dicom.write.source_headers import EQUIPMENT
from lvo.dicom.write.stamp import Stamp

__all__ = ["Context", "Group", "comment", "document", "group", "number", "observer", "segment_group", "site"]

Group: TypeAlias = hd.sr.MeasurementsAndQualitativeEvaluations
"""A measurement group of any of the three templates, TID 1501, 1410 and 1411."""

_DEVICE_UID = "2.25.289855644544569013703881643668069041590"
"""The software as a device, whatever its version; drawn once and never to be changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What every group of a report needs.

    Args:
        report: the result.
        stamp: time and UIDs.
        segmentations: our own segmentations.
    """

    report: Report
    stamp: Stamp
    segmentations: Sequence[Dataset]


def observer() -> templates.ObserverContext:
    """The software as the observer (TID 1002, 1004)."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(_DEVICE_UID), name="lvo", manufacturer_name="lvo", model_name="lvo", serial_number=__version__
    )
    return hd.sr.ObserverContext(observer_type=codes.DEVICE, observer_identifying_attributes=device)


def document(
    make: Callable[..., Dataset],
    content: Dataset | hd.sr.ContentSequence,
    evidence: Sequence[Dataset],
    stamp: Stamp,
    *,
    name: str,
    series_number: int,
) -> Dataset:
    """A report by this software: preliminary and unverified, alone in its series.

    Args:
        make: the kind of document, a class of highdicom.
        content: its tree, from the root.
        evidence: what it refers to.
        stamp: time and UIDs.
        name: of the object, which its UIDs follow from.
        series_number: for the new series.
    """
    return make(
        evidence=evidence,
        content=content,
        series_instance_uid=stamp.uid("series", name),
        series_number=series_number,
        sop_instance_uid=stamp.uid("object", name),
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        **EQUIPMENT,
    )


def _algorithm(report: Report) -> templates.AlgorithmIdentification:
    """Name, version, settings and models (TID 4019)."""
    parameters = [f"configuration sha256 {report.config_sha256}"]
    parameters += [f"model {m.name} {m.version} sha256 {m.sha256}" for m in report.models]
    return hd.sr.AlgorithmIdentification(name="lvo", version=__version__, parameters=parameters)


def comment(text: str) -> hd.sr.TextContentItem:
    """Free text; TID 1500 and its groups are extensible."""
    return hd.sr.TextContentItem(name=codes.COMMENT, value=text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS)


def site(place: Code | hd.sr.CodedConcept, side: Side | None = None) -> hd.sr.FindingSite:
    """A place in the body and its side."""
    return hd.sr.FindingSite(anatomic_location=place, laterality=codes.LATERALITY[side] if side else None)


def number(name: Code | hd.sr.CodedConcept, value: float, unit: str = "1") -> templates.Measurement:
    """A measurement; six significant digits are more than any of them carries."""
    return hd.sr.Measurement(name=name, value=float(f"{value:.6g}"), unit=codes.UNITS[unit])


def group(
    context: Context,
    tracked: str,
    finding: Code | hd.sr.CodedConcept,
    *,
    comments: Sequence[str] = (),
    region: hd.sr.ImageRegion | hd.sr.ImageRegion3D | None = None,
    segment: hd.sr.ReferencedSegment | None = None,
    **content: Any,  # noqa: ANN401 - highdicom's own arguments
) -> Group:
    """A measurement group: TID 1410 with a region, TID 1411 with a segment, TID 1501 with neither.

    Args:
        context: see there.
        tracked: what is found, in words; things of one name are one thing, wherever they are spoken of.
        finding: the same in code.
        comments: free text.
        region: where it is, as a point on an image or in space.
        segment: our own segment of it.
        content: finding_sites, measurements, qualitative_evaluations.
    """
    content |= {
        "tracking_identifier": hd.sr.TrackingIdentifier(uid=hd.UID(context.stamp.uid("tracking", tracked)), identifier=tracked),
        "finding_type": finding,
        "algorithm_id": _algorithm(context.report),
    }
    if region is not None:
        made = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **content)
    elif segment is not None:
        made = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **content)
    else:
        made = hd.sr.MeasurementsAndQualitativeEvaluations(**content)
    made[0].ContentSequence.extend(comment(text) for text in comments)
    return made


def segment_group(
    context: Context,
    finding: hd.sr.CodedConcept,
    **content: Any,  # noqa: ANN401 - see group
) -> Group:
    """A group with the segment of that type, TID 1501 where it is empty and so was not written."""
    return group(context, finding.meaning, finding, segment=_segment(context.segmentations, finding), **content)


def _segment(segmentations: Sequence[Dataset], kind: hd.sr.CodedConcept) -> hd.sr.ReferencedSegment | None:
    """The segment of that type."""
    for segmentation in segmentations:
        for segment in segmentation.SegmentSequence:
            if segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == kind.value:
                return hd.sr.ReferencedSegment(
                    sop_class_uid=segmentation.SOPClassUID,
                    sop_instance_uid=segmentation.SOPInstanceUID,
                    segment_number=int(segment.SegmentNumber),
                    source_series=hd.sr.SourceSeriesForSegmentation(
                        hd.UID(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)
                    ),
                )
    return None
