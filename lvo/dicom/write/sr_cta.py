"""What the CT angiogram shows, as measurement groups: the call, where on the images it points, territories and segments."""

from typing import Any

import highdicom as hd
import numpy as np

from lvo.core.outcome import Assessed
from lvo.core.report import CtaResult, Finding, SegmentRow, SegmentSide, Side, TerritoryVolume
from lvo.dicom.write import codes
from lvo.dicom.write.place import SourcePoint
from lvo.dicom.write.source_headers import Headers
from lvo.dicom.write.sr_items import Context, Group, group, number, site

__all__ = ["TRACKED", "cta_groups"]

TRACKED = "Large-vessel occlusion"
"""Tracking identifier of the finding, in the report and in the presentation state."""


def cta_groups(context: Context, headers: Headers | None, point: SourcePoint | None) -> list[Group]:
    """The call on a large-vessel occlusion with all that belongs to it, or why there is none.

    Args:
        context: see there.
        headers: images of the angiogram, None when it was not loaded.
        point: the suspected site on them.
    """
    outcome = context.report.cta
    if not isinstance(outcome, Assessed):
        value, reasons = codes.unjudged(outcome)
        state = [hd.sr.QualitativeEvaluation(codes.CALL, value)]
        return [group(context, TRACKED, codes.OCCLUSION, qualitative_evaluations=state, comments=reasons)]
    made = [_call(context, outcome.value, headers, point)]
    if point is not None:
        made.append(_mark(context, outcome.value.finding, point))
    made += [arteries for row in outcome.value.vessels for arteries in _territory(context, row)]
    return [*made, *(_segment(context, row, side, found) for row in outcome.value.segments for side, found in row.sides)]


def _call(context: Context, result: CtaResult, headers: Headers | None, point: SourcePoint | None) -> Group:
    """Call, probability, side, site and evidence; the place as a point in space (TID 1410) where the images share one."""
    finding = result.finding
    measurements = [number(codes.PROBABILITY, finding.probability), number(codes.THRESHOLD, finding.threshold)]
    if result.collateral is not None:
        measurements.append(number(codes.COLLATERAL_SCORE, result.collateral.score))
    made = group(
        context,
        TRACKED,
        codes.OCCLUSION,
        region=_in_space(finding, headers),
        comments=[*finding.evidence, *([result.coverage] if result.coverage else [])],
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(codes.CALL, codes.CALLS[finding.call])],
        measurements=measurements,
        **_sites(finding),
    )
    if point is not None:
        frames = None if point.frame is None else [point.frame]
        source = hd.sr.SourceImageForMeasurementGroup.from_source_image(point.image, referenced_frame_numbers=frames)
        made[0].ContentSequence.append(source)
    return made


def _in_space(finding: Finding, headers: Headers | None) -> hd.sr.ImageRegion3D | None:
    """The place in the frame of reference of the images, None where either is unknown."""
    images = headers.main if headers is not None else ()
    frame_uid = next((image.FrameOfReferenceUID for image in images if image.get("FrameOfReferenceUID")), None)
    if finding.location_lps_mm is None or frame_uid is None:
        return None
    return hd.sr.ImageRegion3D(hd.sr.GraphicTypeValues3D.POINT, np.array([finding.location_lps_mm]), frame_uid)


def _sites(finding: Finding) -> dict[str, Any]:
    """Artery and side as far as they are known."""
    if finding.site is None and finding.side is None:
        return {}
    return {"finding_sites": [site(codes.SITES[finding.site] if finding.site else codes.CEREBRAL_ARTERY, finding.side)]}


def _mark(context: Context, finding: Finding, point: SourcePoint) -> Group:
    """The same finding as a point on the source image, for viewers that know images and not space."""
    frames = None if point.frame is None else [point.frame]
    source = hd.sr.SourceImageForRegion.from_source_image(point.image, referenced_frame_numbers=frames)
    region = hd.sr.ImageRegion(hd.sr.GraphicTypeValues.POINT, np.array([point.column_row]), source)
    return group(context, TRACKED, codes.OCCLUSION, region=region, **_sites(finding))


def _territory(context: Context, row: TerritoryVolume) -> list[Group]:
    """Opacified artery of a territory, a group per side: some readers know a side of groups and not of measurements."""
    return [
        group(
            context,
            f"Opacified arteries, {row.territory}, {side}",
            codes.ARTERY,
            finding_sites=[site(codes.TERRITORIES[row.territory], side)],
            measurements=[number(codes.VOLUME, volume_ml, "mL")],
        )
        for side, volume_ml in ((Side.LEFT, row.left_ml), (Side.RIGHT, row.right_ml))
    ]


def _segment(context: Context, row: SegmentRow, side: Side, found: SegmentSide) -> Group:
    """One segment on one side: lumen, its share of the usual, the interruption and the density, as far as they are known."""
    measured = (
        (codes.VOLUME, found.lumen_ml, "mL"),
        (codes.EXPECTED_SHARE, found.expected_share, "1"),
        (codes.GAP, found.gap_mm, "mm"),
        (codes.DENSITY, found.hu, "[hnsf'U]"),
    )
    return group(
        context,
        f"Artery segment, {row.segment}, {side}",
        codes.ARTERY,
        finding_sites=[site(codes.artery_segment(row.segment), side)],
        measurements=[number(name, value, unit) for name, value, unit in measured if value is not None],
    )
