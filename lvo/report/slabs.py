"""What the figures show: thick slabs of the CT angiogram, and perfusion slices turned the way radiologists look at them.

Radiological convention: the patient's right is at the image's left, as if seen from the feet. Letters at the edges are the
patient's: R, L, A (front), P (back), S (head), I (feet). Slabs lie as the head does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_PROBABILITY, ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.report import Finding, Side
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.image.resample import resample
from lvo.image.turn import upright
from lvo.report.head import MARGIN_MM, SIDE_CENTER_MM, HeadBox

__all__ = [
    "AXIAL", "CLOSE_FIELD_MM", "CLOSE_SLAB_MM", "CORONAL", "SAGITTAL", "SHOWN_VESSELS", "SLAB_MM", "Slab", "View",
    "as_radiologist", "bone_of", "close_mip", "dim_bone", "mirrored", "slab_center", "slab_mip",
]  # fmt: skip

SLAB_MM = 25.0
"""Thickness of a slab: 20 to 30 mm is what readers use for the circle of Willis."""

PIXEL_MM = 0.6
"""Pixel of the figures: near that of a head CTA."""

CLOSE_FIELD_MM = 70.0
"""Side of a close-up: it holds the carotid terminus and all of M1."""

CLOSE_SLAB_MM = 20.0
"""Its thickness: M1 bends by less, and less of the skull base lies over it."""

CLOSE_PIXEL_MM = 0.4
"""Its pixel: a little finer than a thin CTA."""

BONE_HU = 600.0
"""Denser than contrast in an artery, so bone; figures dim it outside the brain because it would hide the vessels."""

SPONGY_BONE_HU = 200.0
"""Marrow and blurred edges of bone: above this and joined to bone, a voxel is taken as bone."""

DIMMED_HU = 80.0
"""What dimmed bone is drawn as: a dull grey behind the arteries."""

SHOWN_VESSELS = (*ARTERY_TREES, "clot")
"""Classes of a vessel map that pictures outline; veins would hide the arteries."""


@dataclass(frozen=True, slots=True)
class View:
    """How a picture lies in the head: unit directions in its axes (left, back, head), and the letters at the picture's edges.

    The letters are at its left, right, top and bottom; `mirrored` is the view of a mirror image.
    """

    name: str
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    depth: tuple[float, float, float]
    edges: tuple[str, str, str, str]
    mirrored: bool = False


AXIAL = View("axial", (1, 0, 0), (0, 1, 0), (0, 0, 1), ("R", "L", "A", "P"))
CORONAL = View("coronal", (1, 0, 0), (0, 0, -1), (0, 1, 0), ("R", "L", "S", "I"))
SAGITTAL = View("sagittal", (0, 1, 0), (0, 0, -1), (1, 0, 0), ("A", "P", "S", "I"))


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """A maximum-intensity projection.

    Args:
        hu: (rows, columns) largest HU along the depth.
        vessels: (rows, columns) by name, the largest along the depth: "artery" is a probability; where trees are told apart,
            each of `SHOWN_VESSELS` that is in the slab is 0 or 1 instead.
        grid: the sampled slab; index k is depth, j down, i right.
        view: how it lies in the head.
    """

    hu: NDArray[np.float32]
    vessels: Mapping[str, NDArray[np.float32]]
    grid: Grid
    view: View

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel."""
        return float(self.grid.spacing_kji_mm[2])

    def to_column_row(self, point_lps_mm: tuple[float, float, float]) -> tuple[float, float]:
        """Where a patient position falls in the picture, in pixels from its upper left."""
        _, row, column = self.grid.to_kji(point_lps_mm)
        return float(column), float(row)

    def holds(self, point_lps_mm: tuple[float, float, float]) -> bool:
        """Tell whether a patient position lies within the slab's depth."""
        depth = float(self.grid.to_kji(point_lps_mm)[0])
        return -0.5 <= depth <= self.grid.shape_kji[0] - 0.5


def slab_center(finding: Finding, arteries: Volume | None, box: HeadBox) -> NDArray[np.float64]:
    """(3,) LPS mm the slabs run through: the suspected site, else where a slab holds most artery (circle of Willis)."""
    if finding.location_lps_mm is not None:
        return np.array(finding.location_lps_mm, dtype=np.float64)
    center = box.along(box.middle_lps_mm)
    if finding.side in {Side.LEFT, Side.RIGHT}:
        center[0] += SIDE_CENTER_MM if finding.side is Side.LEFT else -SIDE_CENTER_MM
    if arteries is None:
        return box.to_lps_mm(center)
    points = box.along(arteries.grid.to_lps_mm(np.argwhere(arteries.array >= ARTERY_PROBABILITY)))
    points = points[((points >= box.low_mm) & (points <= box.high_mm)).all(axis=1)]
    for axis in (2, 1):  # the fullest axial slab first, then the fullest coronal slab within it
        if len(points) == 0:
            break
        center[axis] = _fullest_slab(points[:, axis])
        points = points[np.abs(points[:, axis] - center[axis]) <= SLAB_MM / 2.0]
    return box.to_lps_mm(center)


def slab_mip(volumes: Mapping[str, Volume], view: View, center_lps_mm: NDArray[np.float64], box: HeadBox) -> Slab:
    """Project a slab of the whole head.

    Args:
        volumes: "cta" in HU; "arteries" (probability), "vessels" (codes) and "brain" (mask) where known.
        view: from where to look.
        center_lps_mm: (3,) a point in the middle of the slab's depth.
        box: the head; it frames and turns the picture.
    """
    axes = _axes(view)
    low, high = np.sort([axes @ box.low_mm, axes @ box.high_mm], axis=0)
    low, high = low - MARGIN_MM, high + MARGIN_MM
    depth = float(axes[0] @ box.along(center_lps_mm))
    low[0], high[0] = depth - SLAB_MM / 2.0, depth + SLAB_MM / 2.0
    return _project(volumes, view, _grid(low, high, axes @ box.axes_lps, PIXEL_MM))


def mirrored(slab: Slab, box: HeadBox) -> Slab:
    """A slab with left and right exchanged at the mid-plane: at every place it shows what lies on the other side.

    Args:
        slab: of the whole head, `AXIAL` or `CORONAL`.
        box: the head.

    Returns:
        The slab on the same grid, so that a position still leads to the same place in the picture; the letters are exchanged.
    """
    middle = float(slab.grid.to_kji(box.midplane.point_lps_mm)[2])
    n_columns = slab.hu.shape[1]
    source = np.rint(2.0 * middle - np.arange(n_columns)).astype(int)
    outside = (source < 0) | (source >= n_columns)
    source = np.clip(source, 0, n_columns - 1)
    left, right, top, bottom = slab.view.edges
    view = replace(slab.view, edges=(right, left, top, bottom), mirrored=not slab.view.mirrored)
    vessels = {name: np.where(outside, np.float32(0.0), values[:, source]) for name, values in slab.vessels.items()}
    return Slab(np.where(outside, np.float32(AIR_HU), slab.hu[:, source]), vessels, slab.grid, view)


def close_mip(volumes: Mapping[str, Volume], view: View, center_lps_mm: NDArray[np.float64], box: HeadBox) -> Slab:
    """Project a thinner slab of a small field around a point, which falls in the middle of the picture.

    Args:
        volumes: as for `slab_mip`.
        view: from where to look.
        center_lps_mm: (3,) the middle of the field.
        box: the head; it turns the picture.
    """
    axes = _axes(view) @ box.axes_lps
    half = np.array([CLOSE_SLAB_MM, CLOSE_FIELD_MM, CLOSE_FIELD_MM]) / 2.0
    middle = axes @ center_lps_mm
    return _project(volumes, view, _grid(middle - half, middle + half, axes, CLOSE_PIXEL_MM))


def dim_bone(hu: NDArray[np.float32], keep: NDArray[np.bool_]) -> None:
    """Draw bone dull, in place: bone, its marrow and its blurred edge, outside what is kept.

    Args:
        hu: (K, J, I) values of a region.
        keep: (K, J, I) brain and arteries.
    """
    dim = bone_of(hu, keep)
    hu[dim] = np.minimum(hu[dim], DIMMED_HU)


def bone_of(hu: NDArray[np.float32], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bone, its marrow and its blurred edge, outside what is kept.

    Args:
        hu: (K, J, I) values of a region.
        keep: (K, J, I) brain and arteries.
    """
    parts, count = ndimage.label((hu > SPONGY_BONE_HU) & ~keep)
    is_bone = np.zeros(count + 1, dtype=bool)
    is_bone[parts[(hu > BONE_HU) & ~keep]] = True
    is_bone[0] = False
    return np.asarray(ndimage.binary_dilation(is_bone[parts]) & ~keep)


def as_radiologist(volume: Volume) -> Volume:
    """Turn a volume so that k runs to the head, j to the back and i to the left as nearly as whole-axis flips allow.

    Values are not interpolated; the grid is turned with them.
    """
    turn = upright(volume.grid)
    return Volume(turn.apply(volume.array), turn.turned, volume.quantity)


def _fullest_slab(positions_mm: NDArray[np.float64]) -> float:
    """Middle of the stretch of one slab's thickness that holds the most positions."""
    ordered = np.sort(positions_mm)
    held = np.searchsorted(ordered, ordered + SLAB_MM, side="right") - np.arange(len(ordered))
    return float(ordered[held.argmax()] + SLAB_MM / 2.0)


def _axes(view: View) -> NDArray[np.float64]:
    """(3, 3) directions of depth, down and right in the head's axes."""
    return np.array([view.depth, view.down, view.right], dtype=np.float64)


def _grid(low_mm: NDArray[np.float64], high_mm: NDArray[np.float64], axes_lps: NDArray[np.float64], pixel_mm: float) -> Grid:
    """Sampling grid between two corners along unit directions k, j, i; its middle is theirs."""
    k, j, i = (int(n) for n in np.ceil((high_mm - low_mm) / pixel_mm) + 1)
    first_mm = (low_mm + high_mm) / 2.0 - (np.array([k, j, i]) - 1) / 2.0 * pixel_mm
    return Grid.from_axes((k, j, i), (pixel_mm,) * 3, origin_lps_mm=first_mm @ axes_lps, axes_lps=axes_lps)


def _project(volumes: Mapping[str, Volume], view: View, grid: Grid) -> Slab:
    """Read a slab, dim the bone, and take the largest values along its depth."""
    hu = np.array(_read(volumes["cta"], grid, fill=AIR_HU))
    vessels, vessel = _read_vessels(volumes, grid)
    if "brain" in volumes:
        dim_bone(hu, vessel | (_read_coarsely(volumes["brain"], grid) > 0))
    return Slab(hu.max(axis=0), vessels, grid, view)


def _read_vessels(volumes: Mapping[str, Volume], grid: Grid) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """What to outline, by name, and the (K, J, I) mask of everything that is a vessel."""
    if "vessels" in volumes:
        codes = _read(volumes["vessels"], grid, fill=0.0)
        masks = {name: (codes == VESSEL_CLASSES.index(name)).any(axis=0) for name in SHOWN_VESSELS}
        return {name: mask.astype(np.float32) for name, mask in masks.items() if mask.any()}, codes > 0
    if "arteries" in volumes:
        artery = _read(volumes["arteries"], grid, fill=0.0)
        return {"artery": artery.max(axis=0)}, artery >= ARTERY_PROBABILITY
    return {}, np.zeros(grid.shape_kji, dtype=bool)


def _read_coarsely(mask: Volume, grid: Grid) -> NDArray[np.float32]:
    """Read a large, smooth mask at every other voxel: an eighth of the work."""
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.to_lps_mm((0.5, 0.5, 0.5))
    affine[:3, :3] *= 2.0
    k, j, i = ((n + 1) // 2 for n in grid.shape_kji)
    coarse = _read(mask, Grid((k, j, i), affine), fill=0.0)
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    return np.asarray(fine[: grid.shape_kji[0], : grid.shape_kji[1], : grid.shape_kji[2]])


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
