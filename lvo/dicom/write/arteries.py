"""What segments of the arteries are called in a segmentation, when a result names the segment of each voxel.

`Report.volumes` may hold "artery_segments" (labels on the grid of the CT angiogram, as ARTERY_LABELS counts them) and "clot" (a
mask on the same grid). Where they are absent, all arteries are one segment.
"""

import numpy as np
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from lvo.core.anatomy import ARTERIES, ARTERY_PROBABILITY, ArterySegment
from lvo.core.report import Report, Side, Site
from lvo.core.volume import Volume
from lvo.dicom.write import codes, seg
from lvo.errors import OutputError

__all__ = ["ARTERY_LABELS", "CLOT", "artery_masks"]

ARTERY_LABELS: dict[int, tuple[str, Side]] = {
    2 * n + 1 + right: (artery.name, (Side.RIGHT if right else Side.LEFT) if artery.paired else Side.MIDLINE)
    for n, artery in enumerate(ARTERIES)
    for right in ((False, True) if artery.paired else (False,))
}
"""Labels of "artery_segments": in the order of `lvo.core.anatomy.ARTERIES`, left (or midline) odd, right even."""

CLOT = seg.SegmentKind(
    "Suspected clot",
    seg.ABNORMAL,
    Code("396339007", "SCT", "Thrombus"),
    seg.NETWORK,
    (40.0, 0.0, 0.0),
    tracked="Suspected clot",
)

_COLORS_LAB = {
    "ICA": (60.0, 60.0, 50.0), "MCA": (75.0, 20.0, 75.0), "ACA": (85.0, -60.0, 60.0), "PCA": (60.0, 10.0, -60.0),
    "VB": (55.0, 75.0, -50.0),
}  # fmt: skip
"""One colour per territory; the sides differ in lightness."""

_DARKER = 15.0


def artery_masks(report: Report) -> dict[seg.SegmentKind, NDArray[np.bool_]]:
    """Every segment that the result has on the grid of the angiogram, the clot last.

    Raises:
        OutputError: a map lies on another grid than the arteries, or has a label that means nothing.
    """
    arteries = report.volumes.get("arteries")
    if arteries is None:
        return {}
    found = np.asarray(arteries.array >= ARTERY_PROBABILITY)
    labels, clot = report.volumes.get("artery_segments"), report.volumes.get("clot")
    for name, volume in (("artery_segments", labels), ("clot", clot)):
        if volume is not None and not volume.grid.same_as(arteries.grid):
            msg = f"the map {name!r} lies on another grid than the arteries; it cannot be written into one segmentation"
            raise OutputError(msg)
    masks = {seg.ARTERIES: found} if labels is None else _by_segment(labels, found)
    return masks if clot is None else {**masks, CLOT: np.asarray(clot.array > 0)}


def _by_segment(labels: Volume, found: NDArray[np.bool_]) -> dict[seg.SegmentKind, NDArray[np.bool_]]:
    """A mask per label, and what is artery without one."""
    present = sorted({int(label) for label in np.unique(labels.array)} - {0})
    unknown = [label for label in present if label not in ARTERY_LABELS]
    if unknown:
        msg = f"artery_segments has the labels {unknown}, 1 to {max(ARTERY_LABELS)} have a meaning"
        raise OutputError(msg)
    masks = {_kind(*ARTERY_LABELS[label]): np.asarray(labels.array == label) for label in present}
    return {**masks, seg.OTHER_ARTERIES: found & (labels.array == 0)}


def _kind(name: str, side: Side) -> seg.SegmentKind:
    """What a segment of one side is."""
    artery: ArterySegment = next(each for each in ARTERIES if each.name == name)
    lightness, a, b = _COLORS_LAB[artery.territory]
    words = name if side is Side.MIDLINE else f"{name}, {side}"
    return seg.SegmentKind(
        f"Artery {words}", seg.TISSUE, _code(name), seg.NETWORK, (lightness - _DARKER * (side is Side.RIGHT), a, b), side, words
    )


def _code(name: str) -> Code | CodedConcept:
    """The code of a segment: the standard's where `codes` has one."""
    site = name.partition("-superior")[0].partition("-inferior")[0]
    if site in {one.value for one in Site}:
        return codes.SITES[Site(site)]
    return codes.own(f"artery-{name.lower()}", f"Artery segment {name}")
