"""Vessels without anatomy: random curved tubes over random textures, bone-like slabs, plates and calcifications.

A network that has seen these cannot know a vessel by its place, only by its form and brightness; that is what carries over
to heads it never saw (domain randomisation: Billot et al., Med Image Anal 2023, doi:10.1016/j.media.2023.102789).
Ranges of HU, radii, noise and blur are those of routine head CT angiography, widened.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS

__all__ = ["ANY_ARTERY", "tube_patch"]

ANY_ARTERY = len(VESSEL_CLASSES)
"""An artery of no tree in particular: without anatomy nothing tells which."""

Rng = np.random.Generator
Image = NDArray[np.float32]

ARTERY_HU = (150.0, 550.0)  # routine CTA, 80 to 120 kVp
THROMBUS_HU = (15.0, 90.0)  # 45 to 80, widened: a clot may be no denser than what lies around
RADIUS_MM = (0.55, 2.4)  # M4 to the cavernous carotid: Rai et al., J NeuroIntervent Surg 2013
BONE_HU = (250.0, 1900.0)
NOISE_HU = (3.0, 25.0)
PSF_SIGMA_MM = (0.25, 0.75)
_BLOCKED = 0.3
_CLOT_MM = (4.0, 20.0)
_RIM = 0.25
"""Voxels whose middle lies this part of a voxel outside the wall are filled by a quarter to a half: unsure."""


def tube_patch(rng: Rng, shape_kji: tuple[int, int, int], spacing_mm: float) -> tuple[Image, NDArray[np.uint8]]:
    """Draw one image and its labels.

    Returns:
        (K, J, I) HU and (K, J, I) classes: background, `ANY_ARTERY`, clot or unsure. There are no veins, since without
        anatomy nothing tells them.
    """
    hu = _tissue(rng, shape_kji)
    if rng.random() < 0.6:
        _paint_bone(rng, hu, spacing_mm)
    if rng.random() < 0.4:
        _paint_plate(rng, hu, spacing_mm)
    for _ in range(rng.integers(0, 5)):
        _paint_ball(rng, hu, spacing_mm)
    label = np.zeros(shape_kji, dtype=np.uint8)
    arterial_hu = rng.uniform(*ARTERY_HU)
    volume_ml = np.prod(shape_kji) * spacing_mm**3 / 1000.0
    for _ in range(rng.poisson(1.0 + volume_ml / 10.0)):
        _paint_tube(rng, hu, label, arterial_hu=arterial_hu * rng.uniform(0.75, 1.05), spacing_mm=spacing_mm)
    hu = ndimage.gaussian_filter(hu, rng.uniform(*PSF_SIGMA_MM) / spacing_mm)
    return hu + _noise(rng, shape_kji), label


def _field(rng: Rng, shape_kji: tuple[int, int, int], period: float) -> Image:
    """Smooth random field of unit deviation, its features about `period` voxels wide."""
    coarse = rng.standard_normal([max(4, int(np.ceil(n / period)) + 3) for n in shape_kji]).astype(np.float32)
    offsets = rng.uniform(0.0, 1.0, 3)
    axes = [np.arange(n, dtype=np.float32) / period + off for n, off in zip(shape_kji, offsets, strict=True)]
    for axis, positions in enumerate(axes):  # separable linear interpolation
        low = np.minimum(positions.astype(np.intp), coarse.shape[axis] - 2)
        weight = (positions - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        coarse = np.take(coarse, low, axis) * (1 - weight) + np.take(coarse, low + 1, axis) * weight
    return np.asarray(coarse / max(float(coarse.std()), 1e-3), dtype=np.float32)


def _tissue(rng: Rng, shape_kji: tuple[int, int, int]) -> Image:
    """Soft tissue with texture, and pockets of another density: fluid, fat or air."""
    hu = rng.uniform(20.0, 70.0) + rng.uniform(0.0, 12.0) * _field(rng, shape_kji, rng.uniform(3.0, 12.0))
    if rng.random() < 0.6:
        pockets = _field(rng, shape_kji, rng.uniform(6.0, 25.0)) > rng.uniform(0.3, 1.8)
        hu[pockets] = rng.choice([rng.uniform(0.0, 15.0), rng.uniform(80.0, 130.0), -90.0, -1000.0], p=[0.55, 0.2, 0.1, 0.15])
    return np.asarray(hu, dtype=np.float32)


def _distance_to_sheet(rng: Rng, shape_kji: tuple[int, int, int], spacing_mm: float) -> Image:
    """Signed distance in mm, roughly, from a random wavy sheet through the patch."""
    normal = rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    centre = np.array(shape_kji) * rng.uniform(0.1, 0.9, 3)
    axes = [(np.arange(n) - c) * a for n, c, a in zip(shape_kji, centre, normal, strict=True)]
    plane = axes[0][:, None, None] + axes[1][:, None] + axes[2]
    waves = _field(rng, shape_kji, rng.uniform(10.0, 30.0)) * rng.uniform(0.0, 6.0)
    return np.asarray((plane + waves) * spacing_mm, dtype=np.float32)


def _blend(hu: Image, value: NDArray[Any] | float, outside_mm: NDArray[Any], spacing_mm: float) -> None:
    """Paint where a signed distance is negative; voxels on the border get their share."""
    share = np.clip(0.5 - outside_mm / spacing_mm, 0.0, 1.0)
    hu += share * (value - hu)


def _paint_bone(rng: Rng, hu: Image, spacing_mm: float) -> None:
    """One to three slabs with rough texture; behind one of them there may be air or scalp."""
    for _ in range(rng.integers(1, 4)):
        distance = _distance_to_sheet(rng, hu.shape, spacing_mm)
        half_mm = rng.uniform(0.5, 6.0)
        if rng.random() < 0.25:
            hu[distance > half_mm] = rng.choice([-1000.0, -90.0, 60.0])
        texture = _field(rng, hu.shape, rng.uniform(1.5, 6.0)) * rng.uniform(20.0, 350.0)
        _blend(hu, np.maximum(rng.uniform(*BONE_HU) + texture, 100.0), np.abs(distance) - half_mm, spacing_mm)


def _paint_plate(rng: Rng, hu: Image, spacing_mm: float) -> None:
    """A thin enhancing plate, as the dura."""
    distance = _distance_to_sheet(rng, hu.shape, spacing_mm)
    _blend(hu, rng.uniform(60.0, 250.0), np.abs(distance) - rng.uniform(0.2, 0.9), spacing_mm)


def _paint_ball(rng: Rng, hu: Image, spacing_mm: float) -> None:
    """A calcification or an enhancing lump: as bright as a vessel, not as long."""
    centre = rng.uniform(0.0, hu.shape)
    axes = [(np.arange(n) - c) * rng.uniform(0.7, 1.4) for n, c in zip(hu.shape, centre, strict=True)]
    radius_mm = np.exp(rng.uniform(np.log(0.6), np.log(6.0)))
    distance = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2) * spacing_mm
    _blend(hu, rng.uniform(80.0, 1200.0), np.asarray(distance - radius_mm, dtype=np.float32), spacing_mm)


def _course(rng: Rng, shape_kji: tuple[int, int, int], spacing_mm: float) -> NDArray[np.float64]:
    """(N, 3) points of a smooth random walk through the patch, voxels, half a voxel apart."""
    n_points = int(rng.uniform(15.0, 90.0) / (0.5 * spacing_mm))
    bend = rng.uniform(0.0, 0.12)
    turns = ndimage.gaussian_filter1d(rng.standard_normal((n_points, 3)), 6.0, axis=0) * bend * 4.0
    directions = rng.standard_normal(3) + np.cumsum(turns, axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    course = np.cumsum(directions, axis=0) * 0.5
    return np.asarray(course - course[n_points // 2] + rng.uniform(0.0, shape_kji))


def _outside_mm(
    course_kji: NDArray[np.float64], radius_mm: NDArray[np.float64], shape: tuple[int, ...], spacing_mm: float
) -> Image:
    """Signed distance in mm from a tube's wall, exact within a voxel of it and large elsewhere."""
    reach = int(np.ceil(radius_mm.max() / spacing_mm)) + 1
    cube = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = np.round(course_kji).astype(np.intp)
    voxels = nearest[:, None, :] + cube
    distance = np.linalg.norm(voxels - course_kji[:, None, :], axis=-1) * spacing_mm - radius_mm[:, None]
    inside = ((voxels >= 0) & (voxels < shape)).all(axis=-1) & (distance < spacing_mm)
    outside = np.full(shape, 1e3, dtype=np.float32)
    np.minimum.at(outside, tuple(voxels[inside].T), distance[inside].astype(np.float32))
    return outside


def _paint_tube(rng: Rng, hu: Image, label: NDArray[np.uint8], *, arterial_hu: float, spacing_mm: float) -> None:
    """One artery, perhaps tapering, perhaps blocked on a stretch and empty beyond it."""
    course = _course(rng, hu.shape, spacing_mm)
    start_mm = np.exp(rng.uniform(*np.log(RADIUS_MM)))
    radius_mm = np.linspace(start_mm, max(start_mm * rng.uniform(0.5, 1.0), RADIUS_MM[0]), len(course))
    clot = None
    if rng.random() < _BLOCKED:
        end = int(rng.integers(len(course) // 4, len(course)))
        clot = slice(max(0, end - int(rng.uniform(*_CLOT_MM) / (0.5 * spacing_mm))), end + 1)
        if rng.random() < 0.5:  # nothing fills it from beyond
            course, radius_mm = course[: clot.stop], radius_mm[: clot.stop]
    outside = _outside_mm(course, radius_mm, hu.shape, spacing_mm)
    _blend(hu, arterial_hu, outside, spacing_mm)
    label[(outside < _RIM * spacing_mm) & (label == 0)] = UNSURE_CLASS
    label[outside < 0.0] = ANY_ARTERY
    if clot is not None:
        blocked = _outside_mm(course[clot], radius_mm[clot] + 0.3, hu.shape, spacing_mm)
        _blend(hu, rng.uniform(*THROMBUS_HU), blocked, spacing_mm)
        label[blocked < 0.0] = CLOT_CLASS


def _noise(rng: Rng, shape_kji: tuple[int, int, int]) -> Image:
    """Correlated noise of the reconstruction."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape_kji).astype(np.float32), rng.uniform(0.0, 0.9))
    return np.asarray(noise / max(float(noise.std()), 1e-6) * rng.uniform(*NOISE_HU), dtype=np.float32)
