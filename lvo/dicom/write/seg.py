"""Segmentations: the arteries on the CT angiogram, core and hypoperfusion on the CT perfusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from lvo import __version__
from lvo.core.grid import Grid
from lvo.core.report import Side
from lvo.dicom.write import codes
from lvo.dicom.write.source_headers import EQUIPMENT, Headers
from lvo.dicom.write.stamp import Stamp

__all__ = ["ARTERIES", "CORE", "HYPOPERFUSION", "LATE_TISSUE", "SegmentKind", "grid_planes", "segmentation"]

TISSUE = Code("85756007", "SCT", "Tissue")
NETWORK = Code("123110", "DCM", "Artificial Intelligence")
_THRESHOLD = codes.own("map-threshold", "Threshold on perfusion maps")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")


@dataclass(frozen=True, slots=True, eq=False)
class SegmentKind:
    """What a segment is: its label, coded category and type, the kind of algorithm that made it, and its colour (CIELab).

    `tracked` names the thing in every object of the result, the meaning of its code unless said; `side` modifies the type.
    """

    label: str
    category: Code
    kind: Code | hd.sr.CodedConcept
    family: Code
    color_lab: tuple[float, float, float]
    side: Side | None = None
    tracked: str = ""


ARTERIES = SegmentKind("Arteries (probability >= 0.5)", TISSUE, codes.ARTERY, NETWORK, (60.0, 60.0, 50.0))
OTHER_ARTERIES = SegmentKind("Other arteries", TISSUE, codes.ARTERY, NETWORK, (60.0, 60.0, 50.0), tracked="Other arteries")
CORE = SegmentKind("Estimated ischaemic core", ABNORMAL, codes.CORE, _THRESHOLD, (60.0, 90.0, -45.0))
HYPOPERFUSION = SegmentKind("Hypoperfused tissue", ABNORMAL, codes.HYPOPERFUSION, _THRESHOLD, (80.0, -75.0, 65.0))
LATE_TISSUE = SegmentKind("Late tissue (time to peak)", ABNORMAL, codes.LATE_TISSUE, _THRESHOLD, (75.0, 20.0, 75.0))


def segmentation(
    headers: Headers,
    masks: Mapping[SegmentKind, NDArray[np.bool_]],
    grid: Grid,
    stamp: Stamp,
    *,
    name: str,
    series_number: int,
    title: str,
) -> Dataset | None:
    """A binary segmentation on the grid of the masks, which need not be that of the source images.

    Binary, because few systems read label maps yet. Empty segments and empty slices are left out.

    Args:
        headers: source images.
        masks: (K, J, I) mask per segment; segments may overlap.
        grid: where the masks are.
        stamp: time and UIDs.
        name: of the object; its UIDs follow from it.
        series_number: for the new series.
        title: start of the series description.

    Returns:
        The finished object; None when every mask is empty.
    """
    filled = {kind: mask for kind, mask in masks.items() if mask.any()}
    if not filled:
        return None
    headers = headers.with_frame_of(grid, stamp)
    result: Dataset = hd.seg.Segmentation(
        source_images=headers.main,
        further_source_images=headers.others or None,
        pixel_array=np.stack(list(filled.values()), axis=-1),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(list(filled), stamp),
        series_instance_uid=stamp.uid("series", name),
        series_number=series_number,
        sop_instance_uid=stamp.uid("object", name),
        instance_number=1,
        content_label="LVO",
        content_description="Research use only",
        **grid_planes(grid),
        **EQUIPMENT,
    )
    result.BodyPartExamined = "HEAD"
    result.ContentCreatorName = ""  # type 2
    headers.finish(result, stamp, series_description=title)
    return result


def grid_planes(grid: Grid) -> dict[str, Any]:
    """Where the slices of a grid are, as highdicom's geometry arguments: each slice has its own position, so shear is kept."""
    spacing_k_mm, spacing_j_mm, spacing_i_mm = (float(s) for s in grid.spacing_kji_mm)
    _, axis_j, axis_i = grid.axes_lps
    patient = hd.CoordinateSystemNames.PATIENT
    return {
        "pixel_measures": hd.PixelMeasuresSequence(pixel_spacing=(spacing_j_mm, spacing_i_mm), slice_thickness=spacing_k_mm),
        "plane_orientation": hd.PlaneOrientationSequence(patient, (*axis_i, *axis_j)),
        "plane_positions": [
            hd.PlanePositionSequence(patient, tuple(grid.to_lps_mm((k, 0, 0)).tolist())) for k in range(grid.shape_kji[0])
        ],
    }


def _descriptions(kinds: Sequence[SegmentKind], stamp: Stamp) -> list[hd.seg.SegmentDescription]:
    """Segments numbered from 1."""
    return [_description(number, kind, stamp) for number, kind in enumerate(kinds, start=1)]


def _description(number: int, kind: SegmentKind, stamp: Stamp) -> hd.seg.SegmentDescription:
    """One segment."""
    tracked = kind.tracked or kind.kind.meaning
    made = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=kind.label,
        segmented_property_category=kind.category,
        segmented_property_type=kind.kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(name="lvo", family=kind.family, version=__version__),
        tracking_uid=stamp.uid("tracking", tracked),
        tracking_id=tracked,
        anatomic_regions=[codes.BRAIN],
        display_color=CIELabColor(*kind.color_lab),
    )
    if kind.side is not None:
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            codes.item(codes.LATERALITY[kind.side])
        ]
    return made
