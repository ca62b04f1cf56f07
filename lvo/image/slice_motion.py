"""Whether the head moved while its slices were scanned one after the other.

Between two slices the image of a head changes by what its shape changes, and so it does between the slices before and after.
Where the head jolts in between, there is more to explain, and a rigid motion explains it: three shifts and three turns, fitted
to all edges of the slice at once (Lucas and Kanade; `lvo.image.rigid` aligns whole frames that way). Motion across the slices
shows where the skull is oblique, as at its base and its vertex, and hardly in between.

What is not found: a slow drift, which looks like another shape of the head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.volume import Volume

__all__ = ["Jolt", "Thin", "find_jolts", "thin_scan"]

Array = NDArray[np.float64]
Frame = NDArray[np.float32]
Mask = NDArray[np.bool_]

PIXEL_MM = 2.0
"""In-plane size to which pixels are averaged: the skull is three pixels wide, and 12 HU of noise become 4."""
GAP_MM = 1.45
"""Slices up to so far apart are compared, the next one at least: slices that overlap share a jolt with their neighbours. Over
2 mm the skull base changes by itself as much as if the head had moved."""
MAX_APART_MM = 2.0
"""Slices further apart differ by too much of their own: whether the head moved between them is not known, and is said so."""
NEAR_MM = 14.0
"""The skull lies so close to the brain; the lower jaw and the headrest, which move by themselves, do not."""
RANGE_HU = (-200.0, 1000.0)
"""Range compared: from air, which sinuses hold, to dense bone; metal is its top."""
BLUR_MM = 1.6
"""Gaussian in plane: shifts up to twice as large still give the right slope."""
PADDING_HU = -1000.0
"""Such pixels may be padding, whose edge does not move with the head."""
EDGE_HU_PER_MM = 25.0
"""Edges steeper than this are compared: bone and air, arteries; not the noise of the brain."""
MIN_EDGES = 150
"""Fewer such pixels, 6 cm of skull, do not fix six degrees of freedom."""
PRIOR_MM, PRIOR_DEG = 3.0, 3.0
"""Expected size of a movement (standard deviation): what a slice does not show is taken as small."""
CORRELATED = 12.0
"""So many pixels of the misfit go together; they count as one."""
OUTLIER = 1.5
"""Misfits beyond so many root mean squares lose weight (Huber)."""
MIN_MISFIT_HU = 3.0
"""The noise is taken as no less: one slice may repeat another."""
AROUND_MM = 15.0
"""A jolt is told from the natural change of the slices within this distance."""
MIN_SHIFT_MM = 1.0
"""Less is not told from the skull base, where up to 0.9 mm were read off 25 drawn heads that lay still."""
MIN_TIMES = 4.0
"""A jolt is so many times what the median slice around it seems to move."""
MIN_EXPLAINED = 0.35
"""Share of what is new between two slices that a rigid motion explains, where there was one: half or more for 2 mm in a real
head, mostly below a fifth where nothing moved."""


@dataclass(frozen=True, slots=True)
class Jolt:
    """One sudden movement.

    Args:
        slice_index: k of the first slice after it.
        position_lps_mm: middle of the brain between both slices.
        shift_mm: root mean square way of the brain in the slice.
        turn_deg: angle.
    """

    slice_index: int
    position_lps_mm: tuple[float, float, float]
    shift_mm: float
    turn_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class Thin:
    """The surroundings of the brain in all their slices, with 2 mm pixels.

    Args:
        hu: (K, J, I) means.
        brain: the mask at the middle of each pixel.
        grid: of both.
        first_slice: index in the scan of slice 0.
    """

    hu: Frame
    brain: Mask
    grid: Grid
    first_slice: int


def thin_scan(scan: Volume, brain: Volume) -> Thin:
    """Average the pixels of a scan around the brain.

    Args:
        scan: HU.
        brain: mask on the same grid.

    Raises:
        ValueError: the mask is empty.
    """
    spacing = scan.grid.spacing_kji_mm
    n = max(1, round(PIXEL_MM / float(spacing[1:].mean())))
    box = []
    for axis in range(3):
        found = np.flatnonzero(brain.array.any(axis=tuple(other for other in range(3) if other != axis)))
        if not found.size:
            msg = "the brain mask is empty"
            raise ValueError(msg)
        margin = int(np.ceil(1.5 * NEAR_MM / spacing[axis])) + n
        box.append(slice(max(0, int(found[0]) - margin), min(scan.grid.shape_kji[axis], int(found[-1]) + 1 + margin)))
    array, mask = scan.array[tuple(box)], brain.array[tuple(box)]
    n_k, n_j, n_i = array.shape[0], array.shape[1] // n, array.shape[2] // n
    total = np.zeros((n_k, n_j, n_i), dtype=np.float32)
    for j in range(n):
        for i in range(n):
            total += array[:, j : n_j * n : n, i : n_i * n : n]
    affine = scan.grid.lps_from_kji.copy()
    affine[:3, 3] = scan.grid.to_lps_mm([side.start + (0.0 if axis == 0 else (n - 1) / 2.0) for axis, side in enumerate(box)])
    affine[:3, 1:3] *= n
    grid = Grid((n_k, n_j, n_i), affine, scan.grid.frame_of_reference_uid)
    mean = np.asarray(total / np.float32(n * n), dtype=np.float32)
    return Thin(mean, mask[:, n // 2 : n_j * n : n, n // 2 : n_i * n : n] > 0, grid, box[0].start)


def find_jolts(thin: Thin) -> tuple[Jolt, ...] | None:
    """Find the slices between which the head moved.

    Returns:
        The movements, feet to head or as the slices go; None when the slices are too far apart to tell.
    """
    apart_mm = float(thin.grid.spacing_kji_mm[0])
    if apart_mm > MAX_APART_MM:
        return None
    gap = max(1, int(GAP_MM / apart_mm))
    seams = _seams(thin, gap)
    half = round(AROUND_MM / apart_mm)
    moves = _moves(seams, gap, half)
    shift_mm = np.array([seam.shift_mm(move) for seam, move in zip(seams, moves, strict=True)])
    explained = ndimage.uniform_filter1d(np.array([seam.explained for seam in seams]), gap)
    jolts: list[Jolt] = []
    for k in np.argsort(-shift_mm, kind="stable"):
        around = shift_mm[max(0, k - half) : k + half + 1]
        usual_mm = float(np.median(around[around > 0.0])) if shift_mm[k] > 0.0 else 0.0
        slice_index = int(k) + (gap + 1) // 2 + thin.first_slice
        if shift_mm[k] < max(MIN_SHIFT_MM, MIN_TIMES * usual_mm) or explained[k] < MIN_EXPLAINED:
            continue
        if all(abs(slice_index - jolt.slice_index) > gap + 1 for jolt in jolts):  # the strongest comes first
            x, y, z = (float(value) for value in seams[k].centre_lps_mm)
            turn_deg = float(np.rad2deg(np.linalg.norm(moves[k][3:])))
            jolts.append(Jolt(slice_index, (x, y, z), float(shift_mm[k]), turn_deg))
    return tuple(sorted(jolts, key=lambda jolt: jolt.slice_index))


@dataclass(frozen=True, slots=True, eq=False)
class _Seam:
    """What changes between two slices, beyond what changes around them.

    Args:
        move: (6,) shift in mm and turn in rad about the centre.
        explained: share of it that the move explains.
        centre_lps_mm: middle of the brain there.
        spread_mm2: (3, 3) second moments of the brain in the slice about the centre.
    """

    move: Array
    explained: float
    centre_lps_mm: Array
    spread_mm2: Array

    def shift_mm(self, move: Array) -> float:
        """Root mean square way of the brain in the slice under a move."""
        turn = move[3:]
        turned = float(turn @ turn * np.trace(self.spread_mm2) - turn @ self.spread_mm2 @ turn)
        return float(np.sqrt(max(float(move[:3] @ move[:3]) + turned, 0.0)))


_NOTHING = _Seam(np.zeros(6), 0.0, np.zeros(3), np.zeros((3, 3)))


def _seams(thin: Thin, gap: int) -> list[_Seam]:
    """Every slice k against slice k + gap; nothing at both ends."""
    unsure = ndimage.binary_dilation(thin.hu <= PADDING_HU, np.ones((1, 5, 5), dtype=bool))
    image = np.clip(thin.hu, *RANGE_HU)
    image = np.asarray(ndimage.gaussian_filter(image, (0.0, *(BLUR_MM / thin.grid.spacing_kji_mm[1:]))))
    seams = [_NOTHING] * image.shape[0]
    for k in range(1, image.shape[0] - gap - 1):
        inner = np.asarray(thin.brain[k] | thin.brain[k + gap])
        if inner.any():
            seams[k] = _seam(
                image[k - 1 : k + gap + 2], inner, np.asarray(unsure[k - 1 : k + gap + 2].any(axis=0)), thin.grid, k + gap / 2.0
            )
    return seams


def _seam(near: Frame, inner: Mask, unsure: Mask, grid: Grid, k: float) -> _Seam:
    """Compare the last but one of (4 or more, J, I) slices with the second; `k` is half-way between them.

    What changes usually is what changes in the outermost pairs: a jolt in between is not in it.
    """
    gap = len(near) - 3
    usual = 0.5 * (near[1] - near[0] + near[-1] - near[-2])
    slopes_kji = np.stack([usual, *np.gradient(0.5 * (near[1] + near[-2]))], axis=-1)
    slopes_lps = slopes_kji @ grid.kji_from_lps[:3, :3]
    reach = 2 * round(NEAR_MM / float(grid.spacing_kji_mm[1:].mean())) + 1
    around = ndimage.maximum_filter(inner.astype(np.uint8), size=reach) > 0
    edges = around & ~unsure & (np.linalg.norm(slopes_lps, axis=-1) > EDGE_HU_PER_MM)
    if edges.sum() < MIN_EDGES:
        return _NOTHING
    brain, points = (grid.to_lps_mm(np.insert(np.argwhere(mask).astype(np.float64), 0, k, axis=1)) for mask in (inner, edges))
    centre = brain.mean(axis=0)
    slopes = slopes_lps[edges]
    jacobian = -np.concatenate([slopes, np.cross(points - centre, slopes)], axis=1)
    move, explained = _fitted(jacobian, (near[-2] - near[1] - gap * usual)[edges].astype(np.float64))
    return _Seam(move, explained, centre, (brain - centre).T @ (brain - centre) / len(brain))


def _fitted(jacobian: Array, change: Array) -> tuple[Array, float]:
    """The (6,) move that best explains (N,) changes, and the share it explains."""
    prior = np.diag(np.repeat([PRIOR_MM, np.deg2rad(PRIOR_DEG)], 3) ** -2.0)
    weights, misfit, move = np.ones_like(change), change, np.zeros(6)
    for _ in range(3):
        variance = max(float((weights * misfit**2).sum() / weights.sum()), MIN_MISFIT_HU**2)
        weighted = jacobian * (weights / (CORRELATED * variance))[:, None]
        move = np.asarray(np.linalg.solve(weighted.T @ jacobian + prior, weighted.T @ change), dtype=np.float64)
        misfit = change - jacobian @ move
        weights = 1.0 / np.maximum(1.0, np.abs(misfit) / (OUTLIER * np.sqrt(variance)))
    before = float((weights * change**2).sum())
    return move, 1.0 - float((weights * misfit**2).sum()) / before if before > 0.0 else 0.0


def _moves(seams: list[_Seam], gap: int, half: int) -> Array:
    """(K, 6) move at every seam, less the median of those around it.

    A jolt is in `gap` comparisons, and turned round in the usual change of the one before and the one after them: their mean
    shows it once, where it was.
    """
    moves = np.array([seam.move for seam in seams])
    moves = moves - ndimage.median_filter(moves, size=(2 * half + 1, 1), mode="nearest")
    return np.asarray(ndimage.uniform_filter1d(moves, gap, axis=0))
