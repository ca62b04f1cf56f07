"""Vessels as tubes, and their exact partial volume on any grid."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, ndimage, special

from lvo.core.grid import Grid
from lvo.core.report import Side

__all__ = ["Coverage", "Tube", "arc_length", "cover", "densify", "resample_course", "rounded"]

_TABLE_STEP = 0.1
_TABLE_RADIUS = 14.0
"""Radii beyond this many standard deviations look like a plane edge."""
_ENTRIES_PER_CHUNK = 1_500_000
_REACH_SD = 3.0
_FAINT = 0.004


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """One vessel.

    Args:
        name: segment, e.g. "M1"; branches grown over the brain surface are "M3", "A4", "P4", "SCA", "PICA".
        side: the patient's side.
        points_lps_mm: (N, 3) centre line in the direction of flow.
        radius_mm: (N,) lumen radius.
        filling: (N,) fraction of the arterial contrast: 1 upstream, 0 in the clot, collateral fraction downstream; for veins
            the venous fraction.
        intracranial: False for branches of the external carotid, which are drawn and not labelled.
        territory: fed territory, e.g. "MCA"; empty for veins.
    """

    name: str
    side: Side
    points_lps_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    filling: NDArray[np.float64]
    intracranial: bool = True
    territory: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Which part of which voxels tubes fill; every voxel once, won by the tube that fills most of it.

    Args:
        flat_index: (N,) index into the flattened grid, ascending.
        fraction: (N,) filled part of the voxel, 0 to 1.
        tube_index: (N,) index of the tube.
        filling: (N,) contrast fraction of the tube there.
    """

    flat_index: NDArray[np.int64]
    fraction: NDArray[np.float32]
    tube_index: NDArray[np.int32]
    filling: NDArray[np.float32]


def densify(waypoints_mm: ArrayLike, *, step_mm: float = 0.7) -> NDArray[np.float64]:
    """Put a smooth course through (N, 3) waypoints (centripetal cubic spline), sampled every `step_mm`."""
    points = np.asarray(waypoints_mm, dtype=np.float64)
    if len(points) < 3:
        return resample_course(points, step_mm=step_mm)
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(points, axis=0), axis=1)))])
    spline = interpolate.CubicSpline(knots, points)
    return resample_course(spline(np.linspace(0.0, knots[-1], 40 * len(points))), step_mm=step_mm)


def resample_course(points_mm: NDArray[np.float64], *, step_mm: float) -> NDArray[np.float64]:
    """Resample a polyline at even distances of about `step_mm`, ends kept."""
    arc = arc_length(points_mm)
    n = max(int(np.ceil(arc[-1] / step_mm)), 1) + 1
    even = np.linspace(0.0, arc[-1], n)
    return np.stack([np.interp(even, arc, points_mm[:, axis]) for axis in range(3)], axis=1)


def rounded(points_mm: NDArray[np.float64], *, sigma: float) -> NDArray[np.float64]:
    """Round off the corners of an evenly sampled course by a Gaussian of `sigma` samples; its ends stay."""
    n = len(points_mm)
    if n < 8:
        return points_mm
    smooth = ndimage.gaussian_filter1d(points_mm, sigma, axis=0, mode="nearest")
    fade = np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / (2.0 * sigma), 0.0, 1.0)[:, None]
    return np.asarray(points_mm + fade * (smooth - points_mm))


def arc_length(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance along a polyline from its first point."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_mm, axis=0), axis=1))])


@cache
def _disc_table() -> NDArray[np.float32]:
    """Disc convolved with a unit Gaussian: value at [radius, distance], both in standard deviations."""
    radius = np.arange(0.0, _TABLE_RADIUS + _TABLE_STEP, _TABLE_STEP / 4)
    distance = np.arange(0.0, _TABLE_RADIUS + 2 * _REACH_SD, _TABLE_STEP)
    integrand = radius[:, None] * np.exp(-0.5 * (radius[:, None] - distance) ** 2) * special.ive(0, np.outer(radius, distance))
    total = np.zeros_like(integrand)
    total[1:] = np.cumsum(0.5 * (integrand[1:] + integrand[:-1]), axis=0) * (_TABLE_STEP / 4)
    return np.clip(total[::4], 0.0, 1.0).astype(np.float32)


def disc_coverage(radius_mm: NDArray[np.floating], distance_mm: NDArray[np.floating], sigma_mm: float) -> NDArray[np.float32]:
    """Part of a Gaussian sampling spot that a straight tube fills: right for any radius, also far below the spot.

    The tube's cross-section is convolved with the spot in closed form (a Rice integral), so a lumen of 0.3 mm on 0.7 mm
    voxels keeps its contrast times area.
    """
    radius, distance = radius_mm / sigma_mm, distance_mm / sigma_mm
    wide = radius > _TABLE_RADIUS - _TABLE_STEP  # beyond the table only the distance to the wall matters
    distance = np.where(wide, np.maximum(distance - radius + _TABLE_RADIUS - _TABLE_STEP, 0.0), distance)
    radius = np.where(wide, _TABLE_RADIUS - _TABLE_STEP, radius)
    return np.asarray(
        ndimage.map_coordinates(
            _disc_table(),
            np.stack([radius, distance]) / _TABLE_STEP,
            output=np.float32,
            order=1,
            mode="nearest",
            prefilter=False,
        )
    )


def cover(tubes: tuple[Tube, ...], grid: Grid, *, sigma_mm: float, round_ends: bool = True) -> Coverage:
    """Rasterise tubes with partial volume.

    Args:
        tubes: what to draw.
        grid: where; may be oblique.
        sigma_mm: standard deviation of the spot a voxel samples.
        round_ends: close tubes with half spheres, so that joints have no gaps; otherwise they end flat.
    """
    step_mm = 0.5 * float(grid.spacing_kji_mm.min())
    samples = _samples(tubes, grid, step_mm, sigma_mm)
    if samples is None:
        return Coverage(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32))
    index_kji, tangent, radius, filling, tube, last = samples
    last = last & round_ends
    gathered: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.intp]]] = []
    reach_voxels = (radius + _REACH_SD * sigma_mm) / grid.spacing_kji_mm.min()
    sizes = np.ceil(reach_voxels * 2).astype(int)
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        offsets = _stencil(grid, size / 2 * float(grid.spacing_kji_mm.min()))
        chunk = max(_ENTRIES_PER_CHUNK // len(offsets), 1)
        for start in range(0, len(members), chunk):
            chosen = members[start : start + chunk]
            gathered.append(_entries(grid, offsets, chosen, (index_kji, tangent, radius, last), (step_mm, sigma_mm)))
    flat = np.concatenate([part[0] for part in gathered])
    fraction = np.concatenate([part[1] for part in gathered])
    sample = np.concatenate([part[2] for part in gathered])
    order = np.argsort(flat * 4096 + np.rint(fraction * 4095).astype(np.int64), kind="stable")
    flat, fraction, sample = flat[order], fraction[order], sample[order]
    winner = np.append(flat[1:] != flat[:-1], np.ones(min(len(flat), 1), dtype=bool))
    sample = sample[winner]
    return Coverage(flat[winner], fraction[winner], tube[sample].astype(np.int32), filling[sample].astype(np.float32))


def _samples(tubes: tuple[Tube, ...], grid: Grid, step_mm: float, sigma_mm: float) -> tuple[NDArray[Any], ...] | None:
    """Points every `step_mm` along the tubes near the grid: index, tangent, radius, filling, tube, whether it ends there."""
    rows = []
    shape = np.array(grid.shape_kji)
    for number, tube in enumerate(tubes):
        margin = (tube.radius_mm.max() + _REACH_SD * sigma_mm) / grid.spacing_kji_mm
        rough = grid.to_kji(tube.points_lps_mm)
        if ((rough.max(axis=0) < -margin - 1) | (rough.min(axis=0) > shape + margin)).any():
            continue
        arc = arc_length(tube.points_lps_mm)
        even = np.linspace(0.0, arc[-1], max(int(np.ceil(arc[-1] / step_mm)), 1) + 1)
        points = np.stack([np.interp(even, arc, tube.points_lps_mm[:, axis]) for axis in range(3)], axis=1)
        tangent = np.gradient(points, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        index = grid.to_kji(points)
        near = ((index > -margin - 1) & (index < shape + margin)).all(axis=1)
        end = np.isin(np.arange(len(even)), (0, len(even) - 1))
        radius, filling = np.interp(even, arc, tube.radius_mm), np.interp(even, arc, tube.filling)
        columns = [index, tangent, radius, filling, np.full(len(even), number), end]
        rows.append([column[near] for column in columns])
    if not rows or not sum(len(row[0]) for row in rows):
        return None
    return tuple(np.concatenate([row[n] for row in rows]) for n in range(6))


def _stencil(grid: Grid, reach_mm: float) -> NDArray[np.int64]:
    """(M, 3) voxel offsets (k, j, i) that lie within reach of a point in the central voxel."""
    linear = grid.lps_from_kji[:3, :3]
    half = np.ceil(reach_mm * np.linalg.norm(np.linalg.inv(linear), axis=1) + 0.5).astype(int)
    axes = [np.arange(-n, n + 1) for n in half]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    slack = 0.5 * np.linalg.norm(grid.spacing_kji_mm)
    return np.asarray(offsets[np.linalg.norm(offsets @ linear.T, axis=1) <= reach_mm + slack])


def _entries(
    grid: Grid,
    offsets: NDArray[np.int64],
    chosen: NDArray[np.intp],
    samples: tuple[NDArray[Any], ...],
    scale_mm: tuple[float, float],
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.intp]]:
    """Voxels that the chosen samples fill: flat index, fraction, sample."""
    step_mm, sigma_mm = scale_mm
    index_kji, tangent, radius, end = (values[chosen] for values in samples)
    linear = grid.lps_from_kji[:3, :3].astype(np.float32)
    base = np.rint(index_kji).astype(np.int64)
    residual_mm = ((base - index_kji) @ grid.lps_from_kji[:3, :3].T).astype(np.float32)
    direction = tangent.astype(np.float32)
    offset_mm = offsets.astype(np.float32) @ linear.T
    along = direction @ offset_mm.T + np.einsum("nc,nc->n", direction, residual_mm)[:, None]
    # each sample stands for half a step to either side; beyond, its end is round, which closes the outside of a bend
    row, column = np.nonzero((np.abs(along) <= 2.0 * step_mm) | end[:, None])
    vector = residual_mm[row] + offset_mm[column]
    axial = np.where(end[row], 0.0, np.minimum(np.abs(along[row, column]), 0.5 * step_mm))
    squared = np.einsum("nc,nc->n", vector, vector) - 2.0 * axial * np.abs(along[row, column]) + axial**2
    distance = np.sqrt(np.maximum(squared, 0.0))
    voxel = base[row] + offsets[column]
    near = (voxel >= 0).all(axis=1) & (voxel < np.array(grid.shape_kji)).all(axis=1)
    near &= distance < radius[row] + _REACH_SD * sigma_mm
    row, distance, voxel = row[near], distance[near], voxel[near]
    fraction = disc_coverage(radius[row], distance, sigma_mm)
    clear = fraction > _FAINT
    flat = np.ravel_multi_index(tuple(voxel[clear].T), grid.shape_kji).astype(np.int64)
    return flat, fraction[clear], chosen[row[clear]]
