"""Small copies of the scans for a viewer: display resolution first, straight as the head lies, the mid-plane in the middle.

A head CTA has 80 million voxels, too many for a phone. These have some ten million, in whole HU, and everything that a viewer
lays over the angiogram is on the same grid. The mid-plane runs through the middle of the grid, so a mirrored picture is the
array read from the other end. A second copy with the voxels of the scan lies the same way: a viewer loads it when the first
one can be looked at already.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed
from lvo.core.report import Report
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.image.resample import resample
from lvo.report.head import MARGIN_MM, HeadBox, head_box
from lvo.report.slabs import as_radiologist, bone_of

__all__ = ["PREVIEW_MM", "full_volume", "preview_volumes"]

PREVIEW_MM = 0.8
"""Voxel of the copies: an M2 branch has 2 mm, and 250 pixels fill a phone."""

LONGEST = 320
"""No axis has more voxels; larger scans get larger ones. WebGL on phones takes 512, and memory goes with the cube."""

LONGEST_FULL = 480
"""The same for the copy with the voxels of the scan: 0.45 mm over a head of 215 mm, 190 MB in a browser."""

_SLICES_AT_ONCE = 64
"""Of that copy: floating-point numbers of all of it would take twice the memory of the scan."""

SHOWN_HU = (-200, 1800)
"""Values are cut to this range: air is black and dense bone white in every window, and files become a third smaller."""


def preview_volumes(report: Report, cta: Volume | None) -> dict[str, Volume]:
    """Copies by name, as far as there are images: "cta", "vessels", "bone" on one grid, and "ctp".

    Args:
        report: with its volumes.
        cta: the angiogram, also where it was refused: a reader wants to see why.

    Returns:
        "cta" in HU; "vessels" in codes of `lvo.core.anatomy.VESSEL_CLASSES`; "bone", a mask of what hides vessels in a
        projection; "ctp", the perfusion scan before contrast on its own grid, turned upright.
    """
    found: dict[str, Volume] = {}
    if cta is not None:
        found |= _angiogram(cta, report.volumes, _box(report, cta))
    if "ctp" in report.volumes:
        baseline = as_radiologist(report.volumes["ctp"])
        found["ctp"] = Volume(_whole_hu(baseline.array), baseline.grid, Quantity.HU)
    return found


def full_volume(report: Report, cta: Volume) -> Volume | None:
    """The angiogram with the voxels of the scan, lying like the copies of `preview_volumes`.

    Args:
        report: with its volumes.
        cta: the angiogram.

    Returns:
        Whole HU; None where the scan has no smaller voxels than those copies.
    """
    spacing_mm = float(min(cta.grid.spacing_kji_mm))
    grid = preview_grid(_box(report, cta), cta.grid.frame_of_reference_uid, spacing_mm=spacing_mm, longest=LONGEST_FULL)
    if spacing_mm >= PREVIEW_MM or grid.spacing_kji_mm[0] >= PREVIEW_MM:
        return None
    array, scan = np.empty(grid.shape_kji, np.int16), Volume(cta.array.astype(np.float32, copy=False), cta.grid, Quantity.HU)
    for first in range(0, len(array), _SLICES_AT_ONCE):
        part = array[first : first + _SLICES_AT_ONCE]
        affine = grid.lps_from_kji.copy()
        affine[:3, 3] = grid.to_lps_mm([first, 0, 0])
        part[...] = _whole_hu(resample(scan, Grid((len(part), *grid.shape_kji[1:]), affine), fill=AIR_HU).array)
    return Volume(array, grid, Quantity.HU)


def _box(report: Report, cta: Volume) -> HeadBox:
    result = report.cta.value if isinstance(report.cta, Assessed) else None
    return head_box(cta, report.volumes.get("brain"), None if result is None else result.pose)


def _angiogram(cta: Volume, volumes: Mapping[str, Volume], box: HeadBox) -> dict[str, Volume]:
    grid = preview_grid(box, cta.grid.frame_of_reference_uid)
    hu = resample(cta, grid, fill=AIR_HU)
    found = {"cta": Volume(_whole_hu(hu.array), grid, Quantity.HU)}
    if "vessels" in volumes:
        found["vessels"] = resample(volumes["vessels"], grid, order=0, fill=0)
    if "brain" in volumes:
        brain = resample(volumes["brain"], grid, order=0, fill=0).array > 0
        keep = brain | (found["vessels"].array > 0) if "vessels" in found else brain
        found["bone"] = Volume(bone_of(hu.array, keep), grid, Quantity.MASK)
    return found


def preview_grid(
    box: HeadBox, frame_of_reference_uid: str = "", *, spacing_mm: float | None = None, longest: int | None = None
) -> Grid:
    """Grid that lies as the head does (i to the left, j to the back, k to the head), the mid-plane in the middle of i.

    Args:
        box: around the head.
        frame_of_reference_uid: of the scan.
        spacing_mm: of its voxels, `PREVIEW_MM` if left out; larger where an axis would have too many.
        longest: no axis has more voxels, `LONGEST` if left out.
    """
    low, high = box.low_mm - MARGIN_MM, box.high_mm + MARGIN_MM
    middle = float(box.along(box.midplane.point_lps_mm)[0])
    half = max(high[0] - middle, middle - low[0])
    low[0], high[0] = middle - half, middle + half
    spacing_mm = max(spacing_mm or PREVIEW_MM, float((high - low).max()) / ((longest or LONGEST) - 1))
    n_i, n_j, n_k = (int(n) for n in np.floor((high - low) / spacing_mm) + 1)
    first_mm = (low + high) / 2.0 - (np.array([n_i, n_j, n_k]) - 1) / 2.0 * spacing_mm
    axes = box.axes_lps[::-1]
    origin = box.to_lps_mm(first_mm)
    return Grid.from_axes(
        (n_k, n_j, n_i), (spacing_mm,) * 3, origin_lps_mm=origin, axes_lps=axes, frame_of_reference_uid=frame_of_reference_uid
    )


def _whole_hu(array: NDArray[np.float32]) -> NDArray[np.int16]:
    """Values as whole numbers within `SHOWN_HU`."""
    return np.clip(np.rint(array), *SHOWN_HU).astype(np.int16)
