"""One scan of a head as it reaches the pipeline: slices of the scanner's own, artefacts included.

`lvo.synth.render` draws a head at rest through a perfect gantry on any grid. This module chooses the grid a scanner would,
lets the head move between slices, and adds what reconstruction adds: dark bands between dense bones, streaks from metal, a
round field of view with padding around it.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.synth.head import Head
from lvo.synth.render import render_cta
from lvo.synth.scanner import Scanner
from lvo.synth.tubes import Tube

__all__ = ["Acquisition", "Jolt", "Metal", "acquire", "heads_by_slice", "scan_grid"]

Floats = NDArray[np.float32]
Triple = tuple[float, float, float]

_BONE_HU = 300.0
_SPARED_MM = 10.0
"""So much bone on either side of a point (the vault) leaves no band."""
_FULL_MM = 14.0
"""So much more gives the whole band; both petrous bones together reach it."""
_METAL_HU = 3071.0
_REACH_MM = 12.0
"""Distance over which streaks halve."""
_STREAKS = 9
_MARGIN_MM = 4.0


@dataclass(frozen=True, slots=True)
class Jolt:
    """A sudden movement: slices from `at` (fraction of the scan, feet to head) on show the head turned and shifted."""

    at: float
    rotation_deg: Triple = (0.0, 0.0, 0.0)
    shift_mm: Triple = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Metal:
    """A clip, coil or screw, and its streaks.

    Args:
        center_atlas_mm: where.
        radius_mm: its size.
        strength_hu: amplitude of the streaks next to it.
    """

    center_atlas_mm: Triple
    radius_mm: float = 2.5
    strength_hu: float = 350.0


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a head is scanned.

    Args:
        spacing_kji_mm: distance between slices and pixels.
        thickness_mm: of a slice; overlapping slices are thicker than they are apart. 0 for as thick as apart.
        scanner: blur, kernel, noise.
        jolts: movements, in the order of the slices.
        metal: foreign bodies.
        bands_hu: depth of the dark bands between dense bones.
        fov_mm: diameter of the round field of view about the head's pivot, None for no limit.
        padding_hu: value outside the field of view.
    """

    spacing_kji_mm: Triple = (0.7, 0.6, 0.6)
    thickness_mm: float = 0.0
    scanner: Scanner = field(default_factory=Scanner)
    jolts: tuple[Jolt, ...] = ()
    metal: tuple[Metal, ...] = ()
    bands_hu: float = 0.0
    fov_mm: float | None = None
    padding_hu: int = -1024


def scan_grid(pose: HeadPose, box_atlas_mm: tuple[Triple, Triple], spacing_kji_mm: Triple) -> Grid:
    """Axial slices that cover a box of the atlas."""
    corners = np.array(np.meshgrid(*zip(*box_atlas_mm, strict=True), indexing="ij")).reshape(3, -1).T
    inside = pose.to_lps_mm(corners)
    low, high = inside.min(axis=0) - _MARGIN_MM, inside.max(axis=0) + _MARGIN_MM
    k, j, i = (int(n) for n in np.ceil((high - low)[::-1] / spacing_kji_mm) + 1)
    return Grid.from_axes((k, j, i), spacing_kji_mm, origin_lps_mm=low)


def acquire(head: Head, grid: Grid, acquisition: Acquisition) -> Volume:
    """Scan a head on axial slices; (K, J, I) int16 HU.

    Args:
        head: at the start of the scan.
        grid: slices along the patient's z, from `scan_grid` or any scanner; its spacing is that of the acquisition.
        acquisition: how.
    """
    parts = []
    for number, (slices, here) in enumerate(heads_by_slice(head, grid, acquisition)):
        scanner = replace(acquisition.scanner, seed=acquisition.scanner.seed + 1000 * number)
        parts.append(render_cta(here, _slices(grid, slices), scanner).array)
    hu = np.concatenate(parts).astype(np.float32)
    if acquisition.thickness_mm > 0.0:
        hu = _averaged(hu, acquisition.thickness_mm / float(grid.spacing_kji_mm[0]), acquisition.scanner, grid)
    if acquisition.bands_hu > 0.0:
        hu -= acquisition.bands_hu * _between_bones(hu, float(grid.spacing_kji_mm[2]))
    for number, metal in enumerate(acquisition.metal):
        _add_streaks(hu, head, grid, metal, np.random.default_rng((acquisition.scanner.seed, 31, number)))
    hu = np.clip(np.rint(hu), -1024, 3071)
    if acquisition.fov_mm is not None:
        hu[:, _outside(head, grid, acquisition.fov_mm)] = acquisition.padding_hu
    return Volume(hu.astype(np.int16), grid, Quantity.HU)


def heads_by_slice(head: Head, grid: Grid, acquisition: Acquisition) -> list[tuple[range, Head]]:
    """Which slices show the head where: one range without movement, one more after every jolt."""
    n_k = grid.shape_kji[0]
    edges = [0, *(round(float(np.clip(jolt.at, 0.0, 1.0)) * n_k) for jolt in acquisition.jolts), n_k]
    heads = [head, *(_moved(head, jolt) for jolt in acquisition.jolts)]
    return [(range(*edge), here) for edge, here in zip(pairwise(edges), heads, strict=True) if edge[0] < edge[1]]


def _slices(grid: Grid, slices: range) -> Grid:
    """Some slices of a grid."""
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.to_lps_mm((slices.start, 0, 0))
    return Grid((len(slices), *grid.shape_kji[1:]), affine)


def _moved(head: Head, jolt: Jolt) -> Head:
    """The head after a movement about the middle between the ears."""
    pivot = head.pose.to_lps_mm((0.0, 18.0, -20.0))
    turn = Rotation.from_euler("xyz", jolt.rotation_deg, degrees=True).as_matrix()
    motion = np.eye(4)
    motion[:3, :3] = turn
    motion[:3, 3] = pivot - turn @ pivot + np.asarray(jolt.shift_mm)

    def moved(tubes: tuple[Tube, ...]) -> tuple[Tube, ...]:
        return tuple(replace(tube, points_lps_mm=tube.points_lps_mm @ turn.T + motion[:3, 3]) for tube in tubes)

    pose = HeadPose(head.pose.atlas_from_lps @ np.linalg.inv(motion), head.pose.quality)
    return replace(
        head,
        pose=pose,
        arteries=moved(head.arteries),
        veins=moved(head.veins),
        clots=moved(head.clots),
        plaques=moved(head.plaques),
    )


def _averaged(hu: Floats, width: float, scanner: Scanner, grid: Grid) -> Floats:
    """Make slices thicker than they are apart; noise is brought back to what the scanner is said to have."""
    if width <= 1.0:
        return hu
    out = ndimage.uniform_filter1d(hu, size=max(round(width), 1), axis=0, mode="nearest")
    lost = 1.0 - 1.0 / max(round(width), 1)
    again = replace(scanner, seed=scanner.seed + 7, noise_sd_hu=scanner.noise_sd_hu * float(np.sqrt(lost)))
    out += again.noise((grid.shape_kji[1], grid.shape_kji[2]), range(grid.shape_kji[0]), grid.spacing_kji_mm)
    return np.asarray(out, dtype=np.float32)


def _between_bones(hu: Floats, pixel_mm: float) -> Floats:
    """0 to 1: how much bone a point has on its left and on its right, whichever is less (Hounsfield's bar)."""
    bone = np.clip((hu - _BONE_HU) / 900.0, 0.0, 1.0) * np.float32(pixel_mm)
    left = np.cumsum(bone, axis=2)
    right = left[..., -1:] - left
    band = np.clip((np.minimum(left, right) - _SPARED_MM) / _FULL_MM, 0.0, 1.0) * (hu < _BONE_HU)
    return np.asarray(ndimage.uniform_filter1d(band, size=5, axis=1, mode="nearest"), dtype=np.float32)


def _add_streaks(hu: Floats, head: Head, grid: Grid, metal: Metal, rng: np.random.Generator) -> None:
    """Draw a foreign body with light and dark rays in its slices, in place."""
    center = head.pose.to_lps_mm(np.asarray(metal.center_atlas_mm))
    middle = grid.to_kji(center)
    spacing = grid.spacing_kji_mm
    reach = int(np.ceil((metal.radius_mm + 1.0) / spacing[0]))
    phase, number = rng.uniform(0.0, 2.0 * np.pi, _STREAKS), rng.integers(2, 14, _STREAKS)
    weight = rng.standard_normal(_STREAKS) / np.sqrt(_STREAKS)
    for k in range(max(round(middle[0]) - reach, 0), min(round(middle[0]) + reach + 1, grid.shape_kji[0])):
        y = (np.arange(grid.shape_kji[1]) - middle[1])[:, None] * spacing[1]
        x = (np.arange(grid.shape_kji[2]) - middle[2])[None, :] * spacing[2]
        away, angle = np.hypot(x, y), np.arctan2(y, x)
        rays = sum(w * np.cos(n * angle + p + 0.4 * k) for w, n, p in zip(weight, number, phase, strict=True))
        dark = -1.2 * np.exp(-((np.sin(angle - phase[0]) / 0.12) ** 2))
        height = (k - middle[0]) * spacing[0]
        strength = metal.strength_hu * np.exp(-((height / (metal.radius_mm + 0.5)) ** 2))
        hu[k] += (strength * (1.6 * rays + dark) * 2.0 ** (-away / _REACH_MM)).astype(np.float32)
        hu[k][np.hypot(away, height) < metal.radius_mm] = _METAL_HU


def _outside(head: Head, grid: Grid, fov_mm: float) -> NDArray[np.bool_]:
    """(J, I) pixels beyond the round field of view."""
    center = head.pose.to_lps_mm((0.0, 18.0, 0.0))
    j, i = np.meshgrid(np.arange(grid.shape_kji[1]), np.arange(grid.shape_kji[2]), indexing="ij")
    points = grid.to_lps_mm(np.stack([np.zeros_like(j), j, i], axis=-1))
    return np.asarray(np.hypot(points[..., 0] - center[0], points[..., 1] - center[1]) > fov_mm / 2.0)
