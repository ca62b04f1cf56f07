"""How the skull of one frame lies against that of another: six degrees of freedom, from coarse pixels on thick slices.

The skull is the one part of the head that contrast agent does not change. HU are cut to the range of bone, so that only it
is compared (Gauss-Newton in its inverse compositional form, which prepares everything on the reference once; Baker and
Matthews, doi:10.1023/B:VISI.0000011205.11775.fd). `lvo.image.register` solves another problem, a head against an atlas that
looks different, by correlation and with sizes to be found.

Both frames are read half a move away from where they were scanned: what is interpolated between thick slices is smoother than
the slices themselves, and when that happens to one image only the move found is too small, by a tenth on a real head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid, transform

__all__ = ["Fit", "Reference", "align", "coarse", "coarse_grid", "find_skull", "prepare"]

Array = NDArray[np.float64]
Frame = NDArray[np.float32]
Mask = NDArray[np.bool_]

PIXEL_MM = 3.0
"""In-plane size to which pixels are averaged: 5 HU of noise fall below 2 HU, the skull is still two pixels wide."""
BONE_HU = (150.0, 1000.0)
"""Range compared: brain, most blood with iodine, skin and air are its bottom; dense bone and metal its top."""
SKULL_HU = 300.0
"""After averaging over 3 mm, more is skull."""
NEAR_SKULL = 2
"""Positions up to so many pixels from bone are compared, so that bone that moves away is missed."""
BLURS = ((0.8, 2.5, 2.5), (0.8, 0.8, 0.8))
"""Gaussian in voxels of the two levels of the search: in plane 8 mm reaches far and 2 mm is exact; across slices the most
that thick slices bear, so that linear interpolation between them is true."""
MAX_STEPS = 25
SETTLED_MM = 0.02
"""A step that moves no part of the skull by more ends a level."""
OUTLIER = 1.5
"""Differences beyond so many root mean squares lose weight (Huber): bright veins, streaks, a headrest that stayed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """The reference with one blur, and (N, 6): how it changes by a turn (rad) about the centre and a shift (mm)."""

    blur: tuple[float, float, float]
    image: Frame
    jacobian: Array


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A skull to align others with.

    Args:
        grid: of the coarse frames.
        points_lps_mm: (N, 3) positions that are compared.
        centre_lps_mm: (3,) about which the head turns.
        levels: coarse to fine.
    """

    grid: Grid
    points_lps_mm: Array
    centre_lps_mm: Array
    levels: tuple[_Level, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Where a head lies.

    Args:
        move_lps: (4, 4) from a position in the reference to that of the same point in the frame, LPS mm.
        likeness: correlation of the aligned skulls.
        shift_mm: longest way of any point of the skull, hence of anything within it.
        turn_deg: angle of rotation.
    """

    move_lps: Array
    likeness: float
    shift_mm: float
    turn_deg: float


def coarse_grid(grid: Grid) -> tuple[Grid, int]:
    """The grid of a coarse frame, and how many pixels make one of its own along rows and columns."""
    n_binned = max(1, round(PIXEL_MM / float(grid.spacing_kji_mm[1:].mean())))
    n_k, n_j, n_i = grid.shape_kji
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.to_lps_mm((0.0, (n_binned - 1) / 2.0, (n_binned - 1) / 2.0))
    affine[:3, 1:3] *= n_binned
    return Grid((n_k, max(1, n_j // n_binned), max(1, n_i // n_binned)), affine, grid.frame_of_reference_uid), n_binned


def coarse(frame: NDArray[Any], n_binned: int) -> Frame:
    """Average a (K, J, I) frame over squares of pixels; rows and columns that fill no square are left out."""
    _, n_j, n_i = frame.shape
    stop_j, stop_i = n_j // n_binned * n_binned, n_i // n_binned * n_binned
    total = np.zeros((frame.shape[0], n_j // n_binned, n_i // n_binned), dtype=np.float32)
    for j in range(n_binned):
        for i in range(n_binned):
            total += frame[:, j:stop_j:n_binned, i:stop_i:n_binned]
    return np.asarray(total / n_binned**2, dtype=np.float32)


def find_skull(frame: Frame) -> Mask:
    """The largest piece of bone in a coarse frame; empty when there is none."""
    pieces, n_pieces = ndimage.label(frame > SKULL_HU)
    if n_pieces == 0:
        return np.zeros(frame.shape, dtype=bool)
    return np.asarray(pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))


def prepare(frame: Frame, grid: Grid, skull: Mask) -> Reference:
    """Make a coarse frame the reference; `skull` must not be empty."""
    near = ndimage.binary_dilation(skull, ndimage.generate_binary_structure(2, 1)[None], iterations=NEAR_SKULL)
    points, centre = grid.to_lps_mm(np.argwhere(near)), grid.to_lps_mm(np.argwhere(skull)).mean(axis=0)
    levels = []
    for blur in BLURS:
        image = _bone(frame, blur)
        slopes_kji = np.stack([_slope(image, axis)[near] for axis in range(3)], axis=1)
        slopes_lps = slopes_kji @ grid.kji_from_lps[:3, :3]
        jacobian = np.concatenate([np.cross(points - centre, slopes_lps), slopes_lps], axis=1)
        levels.append(_Level(blur, image, jacobian))
    return Reference(grid, points, centre, tuple(levels))


def align(frame: Frame, reference: Reference, start_lps: Array) -> Fit:
    """Find how the skull of a coarse frame lies against the reference, beginning at a (4, 4) move."""
    move, likeness = start_lps, -1.0
    for level in reference.levels:
        image = _bone(frame, level.blur)
        for _ in range(MAX_STEPS):
            found, expected, seen = _read(image, level, reference, move)
            step = _step(found - expected, seen, level, reference.centre_lps_mm)
            move = move @ np.linalg.inv(step)
            if _longest_way_mm(step, reference) < SETTLED_MM:
                break
        found, expected, seen = _read(image, level, reference, move)
        likeness = _correlation(found[seen], expected[seen])
    turn_deg = float(np.rad2deg(Rotation.from_matrix(move[:3, :3]).magnitude()))
    return Fit(move, likeness, _longest_way_mm(move, reference), turn_deg)


def _bone(frame: Frame, blur: tuple[float, float, float]) -> Frame:
    return np.asarray(ndimage.gaussian_filter(np.clip(frame, *BONE_HU), blur, mode="nearest"))


def _slope(image: Frame, axis: int) -> Frame:
    """Change per voxel along an axis; 0 along an axis of one voxel."""
    return np.asarray(np.gradient(image, axis=axis)) if image.shape[axis] > 1 else np.zeros_like(image)


def _read(image: Frame, level: _Level, reference: Reference, move: Array) -> tuple[Array, Array, Mask]:
    """Frame and reference half a move ahead of and behind the positions compared, and which of them both have scanned."""
    half = _half(move)
    last = np.array(image.shape) - 1
    # of two slices nothing would be left after the first step otherwise; half a voxel is still in the outermost slice
    slack = np.array([0.5, 0.0, 0.0]) if image.shape[0] < 3 else np.zeros(3)
    values, seen = [], np.ones(len(reference.points_lps_mm), dtype=bool)
    for part, way in ((image, half), (level.image, np.asarray(np.linalg.inv(half)))):
        index = reference.grid.to_kji(transform(way, reference.points_lps_mm))
        seen &= ((index >= -slack) & (index <= last + slack)).all(axis=1)
        values.append(ndimage.map_coordinates(part, index.T, order=1, mode="nearest").astype(np.float64))
    return values[0], values[1], seen


def _half(move: Array) -> Array:
    """The move that, done twice, is this one."""
    half = np.eye(4)
    half[:3, :3] = Rotation.from_rotvec(0.5 * Rotation.from_matrix(move[:3, :3]).as_rotvec()).as_matrix()
    half[:3, 3] = np.linalg.solve(half[:3, :3] + np.eye(3), move[:3, 3])
    return half


def _step(difference: Array, seen: Mask, level: _Level, centre_lps_mm: Array) -> Array:
    """The (4, 4) move that best explains a difference; none when too little is seen."""
    if seen.sum() < 100:
        return np.eye(4)
    spread = max(float(np.sqrt((difference[seen] ** 2).mean())), 1e-6)
    weights = seen / np.maximum(1.0, np.abs(difference) / (OUTLIER * spread))
    weighted = level.jacobian * weights[:, None]
    normal = weighted.T @ level.jacobian
    turn_and_shift = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(6), weighted.T @ difference)
    step = np.eye(4)
    step[:3, :3] = Rotation.from_rotvec(turn_and_shift[:3]).as_matrix()
    step[:3, 3] = centre_lps_mm + turn_and_shift[3:] - step[:3, :3] @ centre_lps_mm
    return step


def _longest_way_mm(move: Array, reference: Reference) -> float:
    points = reference.points_lps_mm
    return float(np.linalg.norm(transform(move, points) - points, axis=1).max())


def _correlation(found: Array, expected: Array) -> float:
    """Pearson correlation; 0 when one of them is flat or too little is seen."""
    if found.size < 100 or found.std() == 0.0 or expected.std() == 0.0:
        return 0.0
    return float(np.corrcoef(found, expected)[0, 1])
