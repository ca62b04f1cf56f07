"""A key object selection: of the hundreds of images of the study, those to open first (PS3.3 A.35.4, TID 2010)."""

from collections.abc import Sequence

import highdicom as hd
from pydicom import Dataset

from lvo.dicom.write import codes
from lvo.dicom.write.capture import reference
from lvo.dicom.write.place import SourcePoint
from lvo.dicom.write.source_headers import EQUIPMENT, Headers, bare
from lvo.dicom.write.sr_items import observer
from lvo.dicom.write.stamp import Stamp

__all__ = ["key_object_selection"]


def key_object_selection(
    headers: Headers,
    point: SourcePoint | None,
    made: Sequence[Dataset],
    stamp: Stamp,
    *,
    presentation: Dataset | None,
    series_number: int,
) -> Dataset | None:
    """The selection: the image of the suspected site, as its presentation state shows it, then what we made.

    Args:
        headers: for patient and study.
        point: the suspected site on its image.
        made: our own pictures that say the result.
        stamp: time and UIDs.
        presentation: our presentation state of that image.
        series_number: for the new series.

    Returns:
        The finished object; None when there is nothing to select.
    """
    site = [] if point is None else [point.image]
    selected = [*site, *(bare(one) for one in made)]
    if not selected:
        return None
    shown = [] if presentation is None else [bare(presentation)]
    result: Dataset = hd.ko.KeyObjectSelectionDocument(
        evidence=[*selected, *shown],
        content=_content(selected, point, presentation),
        series_instance_uid=stamp.uid("series", "ko"),
        series_number=series_number,
        sop_instance_uid=stamp.uid("object", "ko"),
        instance_number=1,
        manufacturer=EQUIPMENT["manufacturer"],
    )
    result.ManufacturerModelName = EQUIPMENT["manufacturer_model_name"]
    result.SoftwareVersions = EQUIPMENT["software_versions"]
    headers.finish(result, stamp, series_description="LVO key images")
    return result


def _content(selected: Sequence[Dataset], point: SourcePoint | None, presentation: Dataset | None) -> hd.ko.KeyObjectSelection:
    """The images with the frame and the presentation state of the first (PS3.3 C.18.4: an image reference may name both)."""
    content = hd.ko.KeyObjectSelection(
        document_title=codes.KEY_OBJECTS_TITLE,
        referenced_objects=selected,
        observer_device_context=observer(),
        description="Chosen by software, research use only",
    )
    if point is not None:
        first = next(item for item in content[0].ContentSequence if item.ValueType == "IMAGE").ReferencedSOPSequence[0]
        if point.frame is not None:
            first.ReferencedFrameNumber = point.frame
        if presentation is not None:
            first.ReferencedSOPSequence = [reference(presentation)]
    return content
