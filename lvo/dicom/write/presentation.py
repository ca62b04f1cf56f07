"""A presentation state that rings the suspected site on its source image, which itself stays as it is (PS3.3 A.33.1)."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from lvo.core.report import Finding
from lvo.dicom.frames import floats, nested
from lvo.dicom.write import codes
from lvo.dicom.write.place import SourcePoint
from lvo.dicom.write.source_headers import EQUIPMENT, Headers, duplicate
from lvo.dicom.write.sr_cta import TRACKED
from lvo.dicom.write.stamp import Stamp

__all__ = ["presentation_state"]

RING_MM = 9.0
"""Radius of the ring: clear of the artery, which is 2 to 4 mm wide, and small enough to leave out the other side's."""

WINDOW_HU = (300.0, 800.0)
"""Centre and width at which the image opens: opacified lumen (250 to 450 HU) grey and not white, bone above it."""


def presentation_state(headers: Headers, finding: Finding, point: SourcePoint, stamp: Stamp, *, series_number: int) -> Dataset:
    """The image that shows the suspected site, with a ring around it and a word beside it.

    Args:
        headers: images of the angiogram.
        finding: what is suspected there.
        point: where it is on them.
        stamp: time and UIDs.
        series_number: for the new series.
    """
    image = duplicate(point.image, SamplesPerPixel=1)  # true of every CT image; some headers have lost it
    tracked = {"tracking_id": TRACKED, "tracking_uid": stamp.uid("tracking", TRACKED)}
    ring = _ring(point)
    layer = hd.pr.GraphicLayer("LVO", order=1, description="Suspected site, research use only")
    pixels = hd.pr.AnnotationUnitsValues.PIXEL
    annotation = hd.pr.GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        referenced_frame_number=point.frame,
        graphic_objects=[hd.pr.GraphicObject(hd.pr.GraphicTypeValues.POLYLINE, ring, pixels, **tracked)],
        text_objects=[hd.pr.TextObject(_words(finding), pixels, anchor_point=tuple(ring[0]), **tracked)],
    )
    center_hu, width_hu = WINDOW_HU
    result: Dataset = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=stamp.uid("series", "pr"),
        series_number=series_number,
        sop_instance_uid=stamp.uid("object", "pr"),
        instance_number=1,
        content_label="LVO",
        content_description="Suspected site, research use only",
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        modality_lut_transformation=_rescale(point),
        voi_lut_transformations=[hd.pr.SoftcopyVOILUTTransformation(window_center=center_hu, window_width=width_hu)],
        **EQUIPMENT,
    )
    if point.frame is not None:  # or it would be taken for a state of every frame
        result.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedFrameNumber = point.frame
    result.BodyPartExamined = "HEAD"
    headers.finish(result, stamp, series_description="LVO site")
    return result


def _words(finding: Finding) -> str:
    """What the ring means."""
    where = codes.SITES[finding.site].meaning if finding.site else codes.CEREBRAL_ARTERY.meaning
    side = f", {codes.LATERALITY[finding.side].meaning.lower()}" if finding.side else ""
    return f"Occlusion, {codes.CALLS[finding.call].meaning.lower()}: {where}{side}\r\nRESEARCH USE ONLY"


def _ring(point: SourcePoint) -> NDArray[np.float64]:
    """(N, 2) column and row of a closed circle in mm, which on oblong pixels is none in pixels; kept on the image."""
    angle = np.append(np.linspace(0.0, 2.0 * np.pi, 36, endpoint=False), 0.0)
    offset_mm = RING_MM * np.column_stack([np.cos(angle), np.sin(angle)])
    ring = np.array(point.column_row) + offset_mm / np.array(point.spacing_mm)
    return np.asarray(np.clip(ring, 0.0, (point.image.Columns, point.image.Rows)))


def _rescale(point: SourcePoint) -> hd.ModalityLUTTransformation | None:
    """How stored values become HU: from the frame's own group, the shared one, or the top of the file."""
    image = point.image
    per_frame = image.get("PerFrameFunctionalGroupsSequence") or []
    own = per_frame[point.frame - 1] if point.frame and point.frame <= len(per_frame) else Dataset()
    shared = nested(image, "SharedFunctionalGroupsSequence")
    for place in (*(nested(group, "PixelValueTransformationSequence") for group in (own, shared)), image):
        slope, intercept = floats(place, "RescaleSlope", 1), floats(place, "RescaleIntercept", 1)
        if slope and intercept:
            return hd.ModalityLUTTransformation(
                rescale_intercept=intercept[0],
                rescale_slope=slope[0],
                rescale_type=hd.RescaleTypeValues.HU,
            )
    return None
