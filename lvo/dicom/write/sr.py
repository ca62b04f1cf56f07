"""The result as a structured report: TID 1500 in a Comprehensive 3D SR, with codes, units, location and evidence."""

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
from highdicom.sr import templates
from pydicom import Dataset
from pydicom.sr.coding import Code

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.core.outcome import Assessed
from lvo.core.report import CtaResult, PerfusionResult, Report
from lvo.core.study import Role
from lvo.dicom.write import codes
from lvo.dicom.write.source_headers import EQUIPMENT, Headers, Stamp

__all__ = ["structured_report"]

_IMAGING_PROCEDURE = {
    Role.CTA: Code("77477000", "SCT", "Computed tomography"),
    Role.CTP: codes.CT_PERFUSION,
}
_BRAIN = Code("12738006", "SCT", "Brain")


def structured_report(
    report: Report,
    sources: Mapping[Role, Headers],
    segmentations: Sequence[Dataset],
    stamp: Stamp,
    *,
    location_sop_instance_uid: str | None,
    series_number: int,
) -> Dataset:
    """The whole result. A part that was not judged is there with its reasons and no finding.

    Args:
        report: everything known about the study.
        sources: headers of the images of each role; not empty.
        segmentations: our own segmentations; volumes refer to their segments.
        stamp: time and UIDs.
        location_sop_instance_uid: source image nearest to the suspected site.
        series_number: for the new series.
    """
    groups = [*_cta_groups(report, sources, stamp, location_sop_instance_uid)]
    groups += _perfusion_groups(report, segmentations, stamp)
    content = hd.sr.MeasurementReport(
        observation_context=_observer(stamp),
        procedure_reported=[_IMAGING_PROCEDURE[r] for r in sources if r in _IMAGING_PROCEDURE]
        or [_IMAGING_PROCEDURE[Role.CTA]],
        imaging_measurements=groups,
        title=Code("126000", "DCM", "Imaging Measurement Report"),
    )
    content[0].ContentSequence.append(_comment(RESEARCH_USE_ONLY))
    evidence = [image for headers in sources.values() for image in headers.images]
    first = next(iter(sources.values()))
    result: Dataset = hd.sr.Comprehensive3DSR(
        evidence=[*evidence, *(_bare(s) for s in segmentations)],
        content=content,
        series_instance_uid=stamp.new_uid(),
        series_number=series_number,
        sop_instance_uid=stamp.new_uid(),
        instance_number=1,
        manufacturer=EQUIPMENT["manufacturer"],
        is_complete=True,
        is_final=False,
        is_verified=False,
        manufacturer_model_name=EQUIPMENT["manufacturer_model_name"],
        software_versions=EQUIPMENT["software_versions"],
        device_serial_number=EQUIPMENT["device_serial_number"],
    )
    first.finish(result, stamp, series_description="LVO result")
    return result


def _observer(stamp: Stamp) -> templates.ObservationContext:
    """The software as the observer."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=hd.UID(stamp.new_uid()), name="lvo", manufacturer_name="lvo", model_name="lvo", serial_number=__version__
    )
    context = hd.sr.ObserverContext(observer_type=Code("121007", "DCM", "Device"), observer_identifying_attributes=device)
    return hd.sr.ObservationContext(observer_device_context=context)


def _algorithm(report: Report) -> templates.AlgorithmIdentification:
    """Name, version, settings and models (TID 4019)."""
    parameters = [f"configuration sha256 {report.config_sha256}"]
    parameters += [f"model {m.name} {m.version} sha256 {m.sha256}" for m in report.models]
    return hd.sr.AlgorithmIdentification(name="lvo", version=__version__, parameters=parameters)


def _comment(text: str) -> hd.sr.TextContentItem:
    """Free text; TID 1500 and its groups are extensible."""
    return hd.sr.TextContentItem(name=codes.COMMENT, value=text, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS)


def _tracking(name: str, stamp: Stamp) -> templates.TrackingIdentifier:
    return hd.sr.TrackingIdentifier(uid=hd.UID(stamp.new_uid()), identifier=name)


def _number(name: Code | hd.sr.CodedConcept, value: float, unit: str = "1") -> templates.Measurement:
    """A measurement; six significant digits are more than any of them carries."""
    return hd.sr.Measurement(name=name, value=float(f"{value:.6g}"), unit=codes.UNITS[unit])


def _cta_groups(
    report: Report, sources: Mapping[Role, Headers], stamp: Stamp, nearest_uid: str | None
) -> list[hd.sr.MeasurementsAndQualitativeEvaluations]:
    """The call on a large-vessel occlusion, or why there is none."""
    if isinstance(report.cta, Assessed):
        return [_call_group(report, report.cta.value, sources, stamp, nearest_uid)]
    return [_unjudged_group(report, codes.CALL, codes.OCCLUSION, stamp)]


def _call_group(
    report: Report, result: CtaResult, sources: Mapping[Role, Headers], stamp: Stamp, nearest_uid: str | None
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """Call, probability, side, site, place and evidence (TID 1501; TID 1410 when there is a point in space)."""
    finding = result.finding
    common = {
        "tracking_identifier": _tracking("large-vessel occlusion", stamp),
        "finding_type": codes.OCCLUSION,
        "algorithm_id": _algorithm(report),
        "qualitative_evaluations": [hd.sr.QualitativeEvaluation(codes.CALL, codes.CALLS[finding.call])],
        "measurements": [_number(codes.PROBABILITY, finding.probability), _number(codes.THRESHOLD, finding.threshold)],
    }
    if result.collateral is not None:
        common["measurements"].append(_number(codes.COLLATERAL_SCORE, result.collateral.score))
    if finding.site is not None or finding.side is not None:
        place = codes.SITES[finding.site] if finding.site else codes.CEREBRAL_ARTERY
        side = codes.LATERALITY[finding.side] if finding.side else None
        common["finding_sites"] = [hd.sr.FindingSite(anatomic_location=place, laterality=side)]
    images = sources[Role.CTA].main if Role.CTA in sources else ()
    frame_uid = next((image.FrameOfReferenceUID for image in images if image.get("FrameOfReferenceUID")), None)
    if finding.location_lps_mm is not None and frame_uid:
        point = np.array([finding.location_lps_mm])
        region = hd.sr.ImageRegion3D(hd.sr.GraphicTypeValues3D.POINT, point, frame_uid)
        group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **common)
    else:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(**common)
    group[0].ContentSequence.extend(_comment(sentence) for sentence in finding.evidence)
    for image in images:
        if image.SOPInstanceUID == nearest_uid:
            group[0].ContentSequence.append(hd.sr.SourceImageForMeasurementGroup.from_source_image(image))
    return group


def _unjudged_group(
    report: Report, name: hd.sr.CodedConcept, finding: Code | hd.sr.CodedConcept, stamp: Stamp
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """A part without a result: its state in code, the reasons as text, no number at all."""
    state = codes.unjudged(report.cta if name is codes.CALL else report.perfusion)
    assert state is not None  # noqa: S101 - callers have checked
    value, reasons = state
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(name.meaning, stamp),
        finding_type=finding,
        algorithm_id=_algorithm(report),
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(name, value)],
    )
    group[0].ContentSequence.extend(_comment(reason) for reason in reasons)
    return group


def _perfusion_groups(
    report: Report, segmentations: Sequence[Dataset], stamp: Stamp
) -> list[hd.sr.MeasurementsAndQualitativeEvaluations]:
    """Volumes of core and hypoperfusion, tied to their segments where there are any, and what follows from them."""
    if not isinstance(report.perfusion, Assessed):
        return [_unjudged_group(report, codes.PERFUSION_STATE, codes.HYPOPERFUSION, stamp)]
    value = report.perfusion.value
    summary = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("CT perfusion", stamp),
        finding_type=codes.HYPOPERFUSION,
        algorithm_id=_algorithm(report),
        finding_sites=[_brain_site(value)],
        measurements=[
            _number(codes.MISMATCH_VOLUME, value.mismatch_ml, "mL"),
            *(
                _number(name, number)
                for name, number in ((codes.MISMATCH_RATIO, value.mismatch_ratio), (codes.HIR, value.hir))
                if number is not None
            ),
        ],
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(codes.PERFUSION_STATE, codes.own("assessed", "Assessed"))],
    )
    settings = ", ".join(f"{key} = {number:g}" for key, number in value.thresholds.items())
    summary[0].ContentSequence.append(_comment(f"Settings: {settings}"))
    return [
        summary,
        _volume_group(report, codes.CORE, value.core_ml, value, segmentations, stamp),
        _volume_group(report, codes.HYPOPERFUSION, value.hypoperfusion_ml, value, segmentations, stamp),
    ]


def _volume_group(
    report: Report,
    tissue: hd.sr.CodedConcept,
    volume_ml: float,
    value: PerfusionResult,
    segmentations: Sequence[Dataset],
    stamp: Stamp,
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """One volume: TID 1411 with its segment, TID 1501 where it is empty and so has none."""
    common = {
        "tracking_identifier": _tracking(tissue.meaning, stamp),
        "finding_type": tissue,
        "algorithm_id": _algorithm(report),
        "finding_sites": [_brain_site(value)],
        "measurements": [_number(codes.VOLUME, volume_ml, "mL")],
    }
    for segmentation in segmentations:
        for segment in segmentation.SegmentSequence:
            if segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == tissue.value:
                reference = hd.sr.ReferencedSegment(
                    sop_class_uid=segmentation.SOPClassUID,
                    sop_instance_uid=segmentation.SOPInstanceUID,
                    segment_number=int(segment.SegmentNumber),
                    source_series=hd.sr.SourceSeriesForSegmentation(
                        hd.UID(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)
                    ),
                )
                return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=reference, **common)
    return hd.sr.MeasurementsAndQualitativeEvaluations(**common)


def _brain_site(value: PerfusionResult) -> hd.sr.FindingSite:
    """The brain, with the lesion's side where there is one."""
    return hd.sr.FindingSite(anatomic_location=_BRAIN, laterality=codes.LATERALITY[value.side] if value.side else None)


def _bare(result: Dataset) -> Dataset:
    """What evidence needs of one of our own objects, without the identity it already carries."""
    bare = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"):
        setattr(bare, keyword, result[keyword].value)
    return bare
