"""A case as the network sees it: scanned, and cropped along the atlas with the error that a registration leaves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM
from lvo.core.grid import Grid
from lvo.core.pose import HeadPose
from lvo.core.volume import AIR_HU, Quantity, Volume
from lvo.image.resample import resample
from lvo.synth.acquire import Acquisition, acquire, heads_by_slice, scan_grid
from lvo.synth.cases import Case, CaseTruth, truth_of
from lvo.synth.head import Head, make_head
from lvo.synth.render import class_labels

__all__ = ["RegistrationError", "ScannedCase", "scan_case"]

Rng = np.random.Generator
Corner = tuple[float, float, float]

_BORDER_MM = 8.0
"""The scan reaches so far beyond the box: the registration error needs the room."""


@dataclass(frozen=True, slots=True)
class RegistrationError:
    """Largest error of the registration, drawn per case: normal about 0, two standard deviations at these values, cut there."""

    rotation_deg: float = 8.0
    shift_mm: float = 6.0
    scale: float = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class ScannedCase:
    """One synthetic CT angiogram, cropped to a box of the atlas, with its truth.

    Args:
        hu: (K, J, I) int16 on the grid that the (wrong by the registration error) pose gives.
        classes: (K, J, I) uint8 on the same grid, as `lvo.synth.render.class_labels` codes them.
        pose: what a registration would have found.
        true_pose: what it should have found.
        truth: what a reader should find.
    """

    hu: Volume
    classes: Volume
    pose: HeadPose
    true_pose: HeadPose
    truth: CaseTruth


def scan_case(
    case: Case,
    *,
    spacing_mm: float,
    box_atlas_mm: tuple[Corner, Corner] = ARTERY_BOX_ATLAS_MM,
    error: RegistrationError | None = None,
) -> ScannedCase:
    """Scan a case on the scanner's own slices and crop it as the pipeline would; the same arguments give the same bits.

    Args:
        case: what to draw and how to scan it.
        spacing_mm: distance between the voxels of the crop.
        box_atlas_mm: lower and upper corner of the crop, atlas LPS mm.
        error: of the registration; the usual one when None.
    """
    head = make_head(case.head)
    low, high = box_atlas_mm
    pose = _misregistered(np.random.default_rng((case.seed, 4343)), head.pose, box_atlas_mm, error or RegistrationError())
    crop = pose.crop(low, high, spacing_mm=spacing_mm)
    grid = scan_grid(head.pose, (_widened(low, -_BORDER_MM), _widened(high, _BORDER_MM)), case.scan.spacing_kji_mm)
    hu = np.rint(resample(acquire(head, grid, case.scan), crop, fill=AIR_HU).array).astype(np.int16)
    classes = Volume(_classes(head, crop, grid, case.scan), crop, Quantity.LABEL)
    return ScannedCase(Volume(hu, crop, Quantity.HU), classes, pose, head.pose, truth_of(case, head))


def _classes(head: Head, crop: Grid, grid: Grid, scan: Acquisition) -> NDArray[np.uint8]:
    """Classes on the crop; after a movement they are where the slices show them."""
    parts = heads_by_slice(head, grid, scan)
    out = np.asarray(class_labels(parts[0][1], crop).array).copy()
    if len(parts) > 1:
        k = grid.to_kji(crop.to_lps_mm(np.moveaxis(np.indices(crop.shape_kji), 0, -1)))[..., 0]
        for slices, here in parts[1:]:
            later = k > slices.start - 0.5
            out[later] = class_labels(here, crop).array[later]
    return np.asarray(out, dtype=np.uint8)


def _widened(corner: Corner, by_mm: float) -> Corner:
    return corner[0] + by_mm, corner[1] + by_mm, corner[2] + by_mm


def _misregistered(rng: Rng, pose: HeadPose, box_atlas_mm: tuple[Corner, Corner], largest: RegistrationError) -> HeadPose:
    """The pose with a registration error about the middle of the box."""

    def draw(limit: float, n: int) -> NDArray[np.float64]:
        return np.clip(rng.normal(0.0, 0.5, n), -1.0, 1.0) * limit

    middle = (np.array(box_atlas_mm[0]) + np.array(box_atlas_mm[1])) / 2.0
    error = np.eye(3) * (1.0 + float(draw(largest.scale, 1)[0]))
    for (first, second), angle in zip(((0, 1), (0, 2), (1, 2)), np.deg2rad(draw(largest.rotation_deg, 3)), strict=True):
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        error = error @ turn
    affine = np.eye(4)
    affine[:3, :3] = error
    affine[:3, 3] = middle - error @ middle + draw(largest.shift_mm, 3)
    return HeadPose(affine @ pose.atlas_from_lps, 1.0)
