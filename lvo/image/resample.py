"""Carry an image from one grid to another; positions stay patient LPS mm throughout."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, sparse

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume

__all__ = ["box_grid", "coarsen", "is_orthogonal", "paste", "resample"]

Order: TypeAlias = Literal[0, 1, 2, 3, 4, 5]

_ALIGNED_VOXELS = 1e-4
"""Two grids are taken as parallel when no corner strays further than this part of a voxel from an axis-by-axis mapping."""

_ORTHOGONAL_COSINE = 1e-3
"""Axes count as perpendicular below this cosine: 0.06 degrees, 0.2 mm over a head."""


def resample(volume: Volume, grid: Grid, *, order: Order = 1, fill: float) -> Volume:
    """Read an image at the voxel centres of another grid, which may be oblique or sheared against the first.

    Every voxel is taken to reach half a voxel beyond its centre, so an image covers the same space as its grid
    (`Grid.contains`). Nothing is smoothed: `coarsen` first when the new grid is much coarser.

    Args:
        volume: the image; masks and labels need order 0.
        grid: where to read it.
        order: 0 nearest voxel, keeps the data type; 1 linear, 2 to 5 splines, give float32.
        fill: value outside the image.

    Raises:
        ValueError: the order would blend the values of a mask or of labels.
    """
    if order > 0 and volume.quantity in {Quantity.MASK, Quantity.LABEL}:
        msg = f"{volume.quantity.name} values must not be blended: resample with order=0"
        raise ValueError(msg)
    source = volume.array if order == 0 else volume.array.astype(np.float32, copy=False)
    mapping = volume.grid.kji_from_lps @ grid.lps_from_kji  # index in `grid` to index in `volume`
    if order <= 1 and _is_parallel(mapping, grid.shape_kji):
        out = _axis_by_axis(source, grid.shape_kji, np.diag(mapping)[:3], mapping[:3, 3], order=order)
    else:
        kind = np.uint8 if source.dtype == np.bool_ else source.dtype
        out = ndimage.affine_transform(
            source.astype(kind, copy=False), mapping[:3, :3], mapping[:3, 3], grid.shape_kji, order=order, mode="nearest"
        ).astype(source.dtype, copy=False)
    _fill_outside(out, mapping, volume.grid.shape_kji, fill)
    return Volume(out, grid, volume.quantity)


def paste(volume: Volume, grid: Grid, *, fill: float) -> Volume:
    """Read a small image on a large grid: the same as `resample`, but only where the image can reach is looked at.

    Linear, for labels and masks the nearest voxel.

    Args:
        volume: the small image.
        grid: the large grid.
        fill: value outside the image.
    """
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in volume.grid.shape_kji])).reshape(3, -1).T
    index = grid.to_kji(volume.grid.to_lps_mm(corners))
    low = np.clip(np.floor(index.min(axis=0)), 0, grid.shape_kji).astype(int)
    high = np.clip(np.ceil(index.max(axis=0)) + 1, low, grid.shape_kji).astype(int)
    whole = volume.quantity in {Quantity.MASK, Quantity.LABEL}
    out = np.full(grid.shape_kji, fill, dtype=volume.array.dtype if whole else np.float32)
    if (high > low).all():
        affine = grid.lps_from_kji.copy()
        affine[:3, 3] = grid.to_lps_mm(low)
        k, j, i = (int(n) for n in high - low)
        part = resample(volume, Grid((k, j, i), affine), order=0 if whole else 1, fill=fill)
        out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = part.array
    return Volume(out, grid, volume.quantity)


def coarsen(volume: Volume, spacing_mm: float) -> Volume:
    """Bring every axis to one spacing: averaged over cells where the scan is finer, linear where it is coarser.

    The new grid has the same axes and spans the same space, rounded up to whole cells.

    Args:
        volume: an image that can be averaged; masks become the fraction of each cell.
        spacing_mm: distance between the new voxels along each axis.
    """
    old = volume.grid
    step = spacing_mm / old.spacing_kji_mm
    shape_kji = tuple(max(1, int(np.ceil(n / s - 1e-6))) for n, s in zip(old.shape_kji, step, strict=True))
    extra = (np.array(shape_kji) * step - old.shape_kji) / 2.0  # what whole cells add at each end, in old voxels
    start = step / 2.0 - 0.5 - extra
    affine = old.lps_from_kji.copy()
    affine[:3, :3] *= step
    affine[:3, 3] = old.to_lps_mm(start)
    out = volume.array.astype(np.float32, copy=False)
    for axis, (n_new, s, first) in enumerate(zip(shape_kji, step, start, strict=True)):
        weights = (_cell_weights if s > 1.0 else _linear_weights)(n_new, old.shape_kji[axis], float(s), float(first))
        out = _along(out, weights, axis)
    return Volume(out, Grid((shape_kji[0], shape_kji[1], shape_kji[2]), affine, old.frame_of_reference_uid), volume.quantity)


def box_grid(corners_lps_mm: ArrayLike, spacing_mm: float, frame_of_reference_uid: str = "") -> Grid:
    """Upright grid (k to the head, j to the back, i to the left) that covers all the (N, 3) given positions."""
    corners = np.asarray(corners_lps_mm, dtype=np.float64).reshape(-1, 3)
    low = corners.min(axis=0)
    n_x, n_y, n_z = (int(n) for n in np.ceil((corners.max(axis=0) - low) / spacing_mm) + 1)
    return Grid.from_axes((n_z, n_y, n_x), (spacing_mm,) * 3, origin_lps_mm=low, frame_of_reference_uid=frame_of_reference_uid)


def is_orthogonal(grid: Grid) -> bool:
    """Tell whether the grid's axes are perpendicular, as they are in every scan that is not tilted."""
    return bool(np.abs(grid.axes_lps @ grid.axes_lps.T - np.eye(3)).max() < _ORTHOGONAL_COSINE)


def _is_parallel(mapping: NDArray[np.float64], shape_kji: tuple[int, int, int]) -> bool:
    """Tell whether each source index depends on the index of the same axis alone."""
    off_axis = mapping[:3, :3] - np.diag(np.diag(mapping[:3, :3]))
    return bool((np.abs(off_axis) @ np.array(shape_kji) <= _ALIGNED_VOXELS).all())


def _axis_by_axis(
    source: NDArray[Any],
    shape_kji: tuple[int, int, int],
    step: NDArray[np.float64],
    start: NDArray[np.float64],
    *,
    order: int,
) -> NDArray[Any]:
    """Resample between parallel grids, one axis after the other, the axis that shrinks most first."""
    out = source
    for axis in np.argsort([n / m for n, m in zip(shape_kji, source.shape, strict=True)]):
        n_old, first, s = source.shape[axis], float(start[axis]), float(step[axis])
        if order == 0:
            index = np.clip(np.floor(first + s * np.arange(shape_kji[axis]) + 0.5), 0, n_old - 1)
            out = out.take(index.astype(np.intp), axis=axis)
        else:
            out = _along(out.astype(np.float32, copy=False), _linear_weights(shape_kji[axis], n_old, s, first), int(axis))
    return np.array(out) if out is source else out


def _along(array: NDArray[np.float32], weights: sparse.csr_array, axis: int) -> NDArray[np.float32]:
    """Multiply (n_new, n_old) weights onto one axis of an array."""
    moved = np.moveaxis(array, axis, 0)
    out = np.asarray(weights @ moved.reshape(moved.shape[0], -1)).reshape(-1, *moved.shape[1:])
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))


def _linear_weights(n_new: int, n_old: int, step: float, start: float) -> sparse.csr_array:
    """(n_new, n_old) weights of linear interpolation at start + step * index; the outermost voxels reach on beyond."""
    position = np.clip(start + step * np.arange(n_new), 0, n_old - 1)
    below = np.minimum(np.floor(position).astype(np.intp), max(n_old - 2, 0))
    upper = (position - below).astype(np.float32)
    rows = np.tile(np.arange(n_new), 2)
    columns = np.concatenate([below, np.minimum(below + 1, n_old - 1)])
    return sparse.csr_array((np.concatenate([1 - upper, upper]), (rows, columns)), shape=(n_new, n_old))


def _cell_weights(n_new: int, n_old: int, step: float, start: float) -> sparse.csr_array:
    """(n_new, n_old) weights of the mean over each new cell, clipped to the old image."""
    low = start - step / 2.0 + step * np.arange(n_new)[:, None]  # faces of the new cells, in old voxels
    old = np.arange(n_old)[None]
    overlap = np.minimum(low + step, old + 0.5) - np.maximum(low, old - 0.5)
    overlap = np.clip(overlap, 0.0, None)
    return sparse.csr_array((overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32))


def _fill_outside(out: NDArray[Any], mapping: NDArray[np.float64], source_shape: tuple[int, int, int], fill: float) -> None:
    """Write the fill value, in place, wherever the mapped index leaves the source."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in out.shape])).reshape(3, -1)
    low, high = -0.5 - _ALIGNED_VOXELS, np.array(source_shape) - 0.5 + _ALIGNED_VOXELS
    mapped = mapping[:3, :3] @ corners + mapping[:3, 3:]
    axes = [n for n in range(3) if mapped[n].min() < low or mapped[n].max() > high[n]]
    if not axes:
        return
    j, i = np.arange(out.shape[1])[:, None], np.arange(out.shape[2])[None]
    for k in range(out.shape[0]):
        outside = np.zeros(out.shape[1:], dtype=bool)
        for n in axes:
            index = mapping[n, 1] * j + mapping[n, 2] * i + (mapping[n, 0] * k + mapping[n, 3])
            outside |= (index < low) | (index > high[n])
        out[k][outside] = fill
