"""What the figures show: thick slabs of the CT angiogram, and perfusion slices turned the way radiologists look at them.

Radiological convention: the patient's right is at the image's left, as if seen from the feet. Letters at the edges are the
patient's: R, L, A (front), P (back), S (head), I (feet).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_PROBABILITY
from lvo.core.grid import Grid
from lvo.core.report import Finding, Side
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.image.resample import resample
from lvo.image.turn import upright

__all__ = [
    "AXIAL",
    "CORONAL",
    "SAGITTAL",
    "SLAB_MM",
    "HeadBox",
    "Slab",
    "View",
    "as_radiologist",
    "head_box",
    "slab_center",
    "slab_mip",
]

SLAB_MM = 25.0
"""Thickness of a slab: 20 to 30 mm is what readers use for the circle of Willis."""

PIXEL_MM = 0.6
"""Pixel of the figures: near that of a head CTA."""

BONE_HU = 600.0
"""Denser than contrast in an artery, so bone; figures dim it outside the brain because it would hide the vessels."""

SPONGY_BONE_HU = 200.0
"""Marrow and blurred edges of bone: above this and joined to bone, a voxel is taken as bone."""

DIMMED_HU = 80.0
"""What dimmed bone is drawn as: a dull grey behind the arteries."""

SKIN_HU = -200.0
"""Denser than air and foam: the head."""

MARGIN_MM = 8.0
"""Space left around the head in a figure."""

SIDE_CENTER_MM = 24.0
"""Distance of a sagittal slab from the mid-plane when no site is known: it holds the M1 segment (14 to 34 mm)."""


@dataclass(frozen=True, slots=True)
class View:
    """How a picture lies in the patient: unit LPS directions, and the letters at its left, right, top and bottom."""

    name: str
    right_lps: tuple[float, float, float]
    down_lps: tuple[float, float, float]
    depth_lps: tuple[float, float, float]
    edges: tuple[str, str, str, str]


AXIAL = View("axial", (1, 0, 0), (0, 1, 0), (0, 0, 1), ("R", "L", "A", "P"))
CORONAL = View("coronal", (1, 0, 0), (0, 0, -1), (0, 1, 0), ("R", "L", "S", "I"))
SAGITTAL = View("sagittal", (0, 1, 0), (0, 0, -1), (1, 0, 0), ("A", "P", "S", "I"))


@dataclass(frozen=True, slots=True, eq=False)
class HeadBox:
    """Where the head is: two corners and the middle of the brain, each (3,) LPS mm."""

    low_lps_mm: NDArray[np.float64]
    high_lps_mm: NDArray[np.float64]
    middle_lps_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """A maximum-intensity projection.

    Args:
        hu: (rows, columns) largest HU along the depth.
        arteries: (rows, columns) largest artery probability along the depth, None without an artery map.
        grid: the sampled slab; index k is depth, j down, i right.
        view: how it lies in the patient.
    """

    hu: NDArray[np.float32]
    arteries: NDArray[np.float32] | None
    grid: Grid
    view: View

    def to_column_row(self, point_lps_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Where a patient position falls in the picture, in pixels from its upper left."""
        _, row, column = self.grid.to_kji(point_lps_mm)
        return float(column), float(row)


def head_box(cta: Volume, brain: Volume | None) -> HeadBox:
    """The head's extent, from the brain mask where there is one, else from everything denser than air.

    The neck is left out: the box ends shortly below the brain.
    """
    mask, grid = (brain.array > 0, brain.grid) if brain is not None else (cta.array > SKIN_HU, cta.grid)
    step = np.maximum(1, np.round(2.0 / grid.spacing_kji_mm)).astype(int)
    index = np.argwhere(mask[:: step[0], :: step[1], :: step[2]]) * step
    if len(index) == 0:
        index = np.argwhere(np.ones((2, 2, 2))) * (np.array(grid.shape_kji) - 1)
    points = grid.to_lps_mm(index)
    low, high = points.min(axis=0), points.max(axis=0)
    if brain is not None:
        low, high = low - 2.0 * MARGIN_MM, high + 2.0 * MARGIN_MM  # skull and scalp
    return HeadBox(low, high, points.mean(axis=0))


def slab_center(finding: Finding, arteries: Volume | None, box: HeadBox) -> NDArray[np.float64]:
    """(3,) LPS mm the slabs run through: the suspected site, else where a slab holds most artery (circle of Willis)."""
    if finding.location_lps_mm is not None:
        return np.array(finding.location_lps_mm, dtype=np.float64)
    center = box.middle_lps_mm.copy()
    if finding.side in {Side.LEFT, Side.RIGHT}:
        center[0] += SIDE_CENTER_MM if finding.side is Side.LEFT else -SIDE_CENTER_MM
    if arteries is None:
        return center
    points = arteries.grid.to_lps_mm(np.argwhere(arteries.array >= ARTERY_PROBABILITY))
    points = points[((points >= box.low_lps_mm) & (points <= box.high_lps_mm)).all(axis=1)]
    for axis in (2, 1):  # the fullest axial slab first, then the fullest coronal slab within it
        if len(points) == 0:
            break
        center[axis] = _fullest_slab(points[:, axis])
        points = points[np.abs(points[:, axis] - center[axis]) <= SLAB_MM / 2.0]
    return center


def slab_mip(volumes: dict[str, Volume], view: View, center_lps_mm: NDArray[np.float64], box: HeadBox) -> Slab:
    """Project a slab of the CT angiogram.

    Args:
        volumes: "cta" in HU; "arteries" (probability) and "brain" (mask) where known.
        view: from where to look.
        center_lps_mm: (3,) a point in the middle of the slab's depth.
        box: the head; it frames the picture.
    """
    grid = _slab_grid(view, center_lps_mm, box)
    hu = np.array(_read(volumes["cta"], grid, fill=AIR_HU))
    arteries = _read(volumes["arteries"], grid, fill=0.0) if "arteries" in volumes else None
    if "brain" in volumes:
        brain = _read(volumes["brain"], grid, fill=0.0) > 0
        keep = brain if arteries is None else brain | (arteries >= ARTERY_PROBABILITY)
        dim = _bone(hu, ~keep)
        hu[dim] = np.minimum(hu[dim], DIMMED_HU)
    return Slab(hu.max(axis=0), None if arteries is None else arteries.max(axis=0), grid, view)


def as_radiologist(volume: Volume) -> Volume:
    """Turn a volume so that k runs to the head, j to the back and i to the left as nearly as whole-axis flips allow.

    Values are not interpolated; the grid is turned with them.
    """
    turn = upright(volume.grid)
    return Volume(turn.apply(volume.array), turn.turned, volume.quantity)


def _bone(hu: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bone, its marrow and its blurred edge in a part of the slab."""
    parts, count = ndimage.label((hu > SPONGY_BONE_HU) & where)
    is_bone = np.zeros(count + 1, dtype=bool)
    is_bone[parts[(hu > BONE_HU) & where]] = True
    is_bone[0] = False
    return np.asarray(ndimage.binary_dilation(is_bone[parts]) & where)


def _fullest_slab(positions_mm: NDArray[np.float64]) -> float:
    """Middle of the stretch of one slab's thickness that holds the most positions."""
    ordered = np.sort(positions_mm)
    held = np.searchsorted(ordered, ordered + SLAB_MM, side="right") - np.arange(len(ordered))
    return float(ordered[held.argmax()] + SLAB_MM / 2.0)


def _slab_grid(view: View, center_lps_mm: NDArray[np.float64], box: HeadBox) -> Grid:
    """Sampling grid of a slab: index k along the depth, j down the picture, i to its right."""
    axes = np.array([view.depth_lps, view.down_lps, view.right_lps], dtype=np.float64)
    low, high = np.sort([axes @ box.low_lps_mm, axes @ box.high_lps_mm], axis=0)
    low, high = low - MARGIN_MM, high + MARGIN_MM
    depth = float(axes[0] @ center_lps_mm)
    low[0], high[0] = depth - SLAB_MM / 2.0, depth + SLAB_MM / 2.0
    k, j, i = (int(n) for n in np.ceil((high - low) / PIXEL_MM) + 1)
    return Grid.from_axes((k, j, i), (PIXEL_MM,) * 3, origin_lps_mm=low @ axes, axes_lps=axes)


def _read(volume: Volume, grid: Grid, *, fill: float) -> NDArray[np.float32]:
    """Read a volume on the slab; only the part that is needed is touched, since a CTA has 80 million voxels."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape_kji])).reshape(3, -1).T
    index = volume.grid.to_kji(grid.to_lps_mm(corners))
    low = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, np.array(volume.array.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, low + 1, volume.array.shape)
    cut = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    affine = volume.grid.lps_from_kji.copy()
    affine[:3, 3] = volume.grid.to_lps_mm(low)
    k, j, i = cut.shape
    part = replace(volume, array=cut, grid=Grid((k, j, i), affine))
    order: Literal[0, 1] = 0 if volume.quantity in {Quantity.MASK, Quantity.LABEL} else 1
    # read upright and turn afterwards: resampling between parallel axes is several times faster
    turn = upright(grid)
    return np.asarray(turn.undo(resample(part, turn.turned, order=order, fill=fill).array), dtype=np.float32)
