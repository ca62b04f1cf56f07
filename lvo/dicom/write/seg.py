"""Segmentations: arteries and clot on the CT angiogram, core and hypoperfusion on the CT perfusion."""

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
from lvo.core.anatomy import ARTERY_PROBABILITY, ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.volume import Volume
from lvo.dicom.write import codes
from lvo.dicom.write.source_headers import EQUIPMENT, Headers
from lvo.dicom.write.stamp import Stamp

__all__ = [
    "ARTERIES", "CLOT", "CORE", "HYPOPERFUSION", "LATE_TISSUE", "TREES", "SegmentKind", "artery_masks", "grid_planes",
    "segmentation",
]  # fmt: skip

_TISSUE = Code("85756007", "SCT", "Tissue")
_ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
_NETWORK = Code("123110", "DCM", "Artificial Intelligence")
_THRESHOLD = codes.own("map-threshold", "Threshold on perfusion maps")
_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")


@dataclass(frozen=True, slots=True, eq=False)
class SegmentKind:
    """What a segment is: its label, coded category and type, the kind of algorithm that made it, and its colour (CIELab)."""

    label: str
    category: Code
    kind: Code
    family: Code
    color_lab: tuple[float, float, float]


ARTERIES = SegmentKind("Arteries (probability >= 0.5)", _TISSUE, codes.ARTERY, _NETWORK, (60.0, 60.0, 50.0))
TREES = {
    name: SegmentKind(f"Arteries: {label}", _ANATOMY, codes.TREES[name], _NETWORK, color_lab)
    for name, label, color_lab in (
        ("ICA", "internal carotid", (70.0, -12.0, -40.0)),
        ("MCA", "middle cerebral", (62.0, 58.0, 50.0)),
        ("ACA", "anterior cerebral", (78.0, -58.0, 18.0)),
        ("PCA", "posterior cerebral", (94.0, -14.0, 62.0)),
        ("VB", "vertebral and basilar", (70.0, 48.0, -48.0)),
    )
}
"""A segment per tree, in the colours of the pictures."""
CLOT = SegmentKind("Suspected clot", _ABNORMAL, codes.THROMBUS, _NETWORK, (100.0, 0.0, 0.0))
CORE = SegmentKind("Estimated ischaemic core", _ABNORMAL, codes.CORE, _THRESHOLD, (60.0, 90.0, -45.0))
HYPOPERFUSION = SegmentKind("Hypoperfused tissue", _ABNORMAL, codes.HYPOPERFUSION, _THRESHOLD, (80.0, -75.0, 65.0))
LATE_TISSUE = SegmentKind("Late tissue (time to peak)", _ABNORMAL, codes.LATE_TISSUE, _THRESHOLD, (75.0, 20.0, 75.0))


def artery_masks(arteries: Volume, vessels: Volume | None) -> dict[SegmentKind, NDArray[np.bool_]]:
    """The arteries, by tree and with the suspected clot where the model tells them apart, else as one.

    Args:
        arteries: probability of artery.
        vessels: codes of `VESSEL_CLASSES` on the same grid, None where trees are not told apart.
    """
    if vessels is None:
        return {ARTERIES: arteries.array >= ARTERY_PROBABILITY}
    kinds = {name: TREES[name] for name in ARTERY_TREES} | {"clot": CLOT}
    return {kind: vessels.array == VESSEL_CLASSES.index(name) for name, kind in kinds.items()}


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
        pixel_array=_pixels(list(filled.values())),
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


def _pixels(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.generic]:
    """(K, J, I) segment numbers from 1 where none overlap, which takes a fraction of the memory; else (K, J, I, segment)."""
    numbers = np.zeros(masks[0].shape, np.uint8)
    for number, mask in enumerate(masks, start=1):
        numbers[mask] = number
    apart = np.count_nonzero(numbers) == sum(np.count_nonzero(mask) for mask in masks)
    return numbers if apart else np.stack(masks, axis=-1)


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
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=kind.label,
            segmented_property_category=kind.category,
            segmented_property_type=kind.kind,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=hd.AlgorithmIdentificationSequence(name="lvo", family=kind.family, version=__version__),
            tracking_uid=stamp.uid("tracking", kind.kind.meaning),
            tracking_id=kind.kind.meaning,
            anatomic_regions=[codes.BRAIN],
            display_color=CIELabColor(*kind.color_lab),
        )
        for number, kind in enumerate(kinds, start=1)
    ]
