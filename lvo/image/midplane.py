"""Find the mid-sagittal plane of a slab of the head by its symmetry, where too little of it is seen to use the atlas."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from lvo.core.grid import Grid, Plane
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import Quantity, Volume
from lvo.image.brain import known_space
from lvo.image.resample import coarsen
from lvo.image.windows import compressed, cropped, extent

__all__ = ["find_midplane"]

Array = NDArray[np.float64]

WORKING_MM, SMOOTH_MM = 3.0, 3.0
"""Spacing and smoothing (sigma) of the comparison: gyri are not symmetric, ventricles, brain edge and skull are."""

MARGIN_MM = 10.0
"""How far beyond the brain the comparison reaches: the inner shape of the skull counts."""

TURNS_DEG = tuple(range(-32, 33, 8))
"""Turns of the plane about the patient's z and y axes that are tried first."""

SHIFTS_MM = (-8.0, 0.0, 8.0)
"""Shifts of the plane from the centre of the brain that are tried first."""

N_REFINED = 8
"""How many of the tried planes are followed downhill."""

N_POINTS = 16000
"""How many positions are compared at most."""

MIN_MIRRORED = 0.6
"""Part of the points that must keep a mirror image inside the slab, else the score falls."""

MIN_SYMMETRY = 0.6
"""Correlation of the two sides below which no plane is trusted; real heads reach 0.9."""

MIN_DISTINCT = 0.02
"""The best plane must beat planes turned by 40 degrees by this much correlation: a cylinder is symmetric in all of them."""


def find_midplane(volume: Volume, brain: Volume) -> Assessed[Plane] | NotAssessable:
    """Find the plane in which the head's left mirrors its right best.

    Thick slices pull the plane upright: a slice is its own best mirror image. At 5 mm the tilt of a plane that leans by
    20 degrees is still found to 3 degrees, at 10 mm it may be missed by 7; the turn within the slices is right throughout.

    Args:
        volume: HU, a slab or a whole head, on any grid, turned by up to about 35 degrees.
        brain: its brain mask, on any grid.

    Returns:
        The plane, its normal to the patient's left, or why there is none.

    Raises:
        ValueError: the volume is not in HU, the mask is no mask, or empty.
    """
    if volume.quantity is not Quantity.HU or brain.quantity is not Quantity.MASK:
        msg = f"find_midplane needs HU and a mask, got {volume.quantity.name} and {brain.quantity.name}"
        raise ValueError(msg)
    center_lps_mm, low_lps_mm, high_lps_mm, _ = extent(brain)
    near = cropped(coarsen(volume, WORKING_MM), low_lps_mm - 30.0, high_lps_mm + 30.0)
    image = ndimage.gaussian_filter(compressed(near.array), SMOOTH_MM / WORKING_MM)
    known = known_space(near, float(volume.array.min()))
    points_lps_mm = _points(brain, near.grid, known)
    points_lps_mm = points_lps_mm[:: 1 + len(points_lps_mm) // N_POINTS]

    def asymmetry(parameters: Array, every: int = 1) -> float:
        plane = _plane(parameters, center_lps_mm)
        return -_symmetry(plane, points_lps_mm[::every], image, known, near.grid)

    tried = np.array(list(itertools.product(np.deg2rad(TURNS_DEG), np.deg2rad(TURNS_DEG), SHIFTS_MM)))
    order = np.argsort([asymmetry(parameters, 7) for parameters in tried], kind="stable")
    rough = [_descend(lambda parameters: asymmetry(parameters, 4), tried[n], 40) for n in order[:N_REFINED]]
    found = _descend(asymmetry, min(rough, key=lambda result: result[1])[0], 150)
    best = -found[1]
    turned = max(-asymmetry(found[0] + (angle, 0.0, shift)) for angle in np.deg2rad((-40, 40)) for shift in SHIFTS_MM)
    if best < MIN_SYMMETRY:
        return NotAssessable((f"left and right match with a correlation of {best:.2f}, at least {MIN_SYMMETRY} is needed",))
    if best - turned < MIN_DISTINCT:
        return NotAssessable((f"no plane stands out: {best:.3f} against {turned:.3f} for one turned by 40 degrees",))
    return Assessed(_plane(found[0], center_lps_mm))


def _descend(function: Callable[[Array], float], start: Array, max_steps: int) -> tuple[Array, float]:
    """Follow a function of two turns and a shift downhill (Nelder-Mead: it has steps where points leave the slab)."""
    simplex = start + np.vstack([np.zeros(3), np.diag([0.1, 0.1, 4.0])])
    options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-5, "maxiter": max_steps}
    result: Any = optimize.minimize(function, start, method="Nelder-Mead", options=options)  # type: ignore[call-overload]
    return np.asarray(result.x), float(result.fun)


def _points(brain: Volume, grid: Grid, known: NDArray[np.bool_]) -> Array:
    """(N, 3) LPS positions in and closely around the brain."""
    part = coarsen(brain, WORKING_MM)
    index = part.grid.to_kji(grid.to_lps_mm(np.indices(grid.shape_kji).reshape(3, -1).T)).T
    inside = ndimage.map_coordinates(part.array, index, order=1, cval=0.0).reshape(grid.shape_kji) > 0.5
    near = ndimage.distance_transform_edt(~inside, sampling=WORKING_MM) <= MARGIN_MM
    return np.asarray(grid.to_lps_mm(np.argwhere(near & known)))


def _plane(parameters: Array, center_lps_mm: Array) -> Plane:
    """Plane from its turns about z and y (radians) and its shift to the left of the brain's centre (mm)."""
    about_z, about_y, shift_mm = parameters
    normal = np.array([np.cos(about_z) * np.cos(about_y), np.sin(about_z) * np.cos(about_y), np.sin(about_y)])
    return Plane(center_lps_mm + shift_mm * normal, normal)


def _symmetry(plane: Plane, points_lps_mm: Array, image: NDArray[np.float32], known: NDArray[np.bool_], grid: Grid) -> float:
    """Correlation of the image with its mirror image, lowered where too few points have one."""
    mirror = plane.mirror()
    mirrored = points_lps_mm @ mirror[:3, :3].T + mirror[:3, 3]
    here, there = grid.to_kji(points_lps_mm).T, grid.to_kji(mirrored).T
    nearest = np.rint(there).astype(np.intp)
    seen = np.all((nearest >= 0) & (nearest < np.array(grid.shape_kji)[:, None]), axis=0)
    seen &= known[tuple(np.clip(nearest, 0, np.array(grid.shape_kji)[:, None] - 1))]
    if seen.mean() < MIN_MIRRORED / 2.0:
        return -1.0
    ours = ndimage.map_coordinates(image, here[:, seen], order=1, mode="nearest")
    theirs = ndimage.map_coordinates(image, there[:, seen], order=1, mode="nearest")
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = float(np.sqrt((ours @ ours) * (theirs @ theirs)))
    return float(ours @ theirs) / max(scale, 1e-9) * float(np.sqrt(min(1.0, seen.mean() / MIN_MIRRORED)))
