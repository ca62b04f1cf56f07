"""What of a CT angiogram cannot be trusted: slices between which the head moved, metal, bone that was taken out.

Everything is measured on an image of 2 mm pixels around the brain, at the levels where the large arteries run.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM
from lvo.core.pose import HeadPose
from lvo.core.report import QualityNote, Severity
from lvo.core.volume import Quantity, Volume
from lvo.image.slice_motion import Jolt, Thin, find_jolts, thin_scan

__all__ = ["ScanQuality", "check_scan", "quality_notes"]

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Box = tuple[tuple[float, float, float], tuple[float, float, float]]

ARTERY_LEVELS_ATLAS_MM = (-35.0, 15.0)
"""From the carotid siphon to M2 on the insula (`lvo.core.anatomy.ARTERIES`): where a jolt can look like an occlusion."""
MOVED_MM = 1.5
"""Worth a warning: half the lumen of M1 (3.1 mm, Rai 2013)."""
TORN_MM = 5.0
"""No call from here on, ours: both ends of a torn artery then lie further apart than the widest lumen (carotid end, 3.6 mm,
Rai 2013) and look like those of an occlusion. The generator draws movements of 2 mm (standard deviation) along each axis."""
METAL_HU = 2800.0
"""Above all bone and teeth: enamel has up to 2500 HU; scanners that store 12 bits end at 3071."""
MIN_METAL_ML = 0.003
"""A clip of 1.8 mm; fewer voxels are noise or the densest spot of a tooth."""
METAL_REACH_MM, METAL_SLICES_MM = 40.0, 2.0
"""How far around metal, in its slices and beside them, streaks are looked for."""
STREAK_HU = -40.0
"""A mean over 2 mm inside the dura is not as dark without an artefact: fluid has 0 to 15 HU, and 2 mm average noise to 8 HU."""
STREAKED, MIN_NEAR_PIXELS = 0.01, 100
"""Share of the brain around the metal that is as dark, from which a slice counts as streaked; of less brain, one pixel."""
CORE_ATLAS_MM = ((-45.0, -25.0, -28.0), (45.0, 22.0, 8.0))
"""Box around the carotid termini, M1, A1 and the tip of the basilar artery."""
SPOILED = 0.2
"""No call from here on, ours: dark streaks, with a pixel on either side, cross so much of the brain in that box, bright ones
as much again."""
VOXEL_MM = 4.0
"""Spacing on which the cover of the brain is looked at: the least opening of interest is eight voxels wide."""
BONE_HU = 250.0
"""A mean over 2 mm above is bone: the thinnest vault, blurred, still is."""
VAULT_ATLAS_MM = -5.0
"""Above this level the brain is under the vault, which has no holes: orbits, ears and the foramen magnum lie lower."""
COVER_MM = 12.0
"""The skull is no further from the brain than this: dura, fluid and a bone of 7 mm, with room for the voxels."""
RIM_MM = 10.0
"""So far into an opening the brain still has bone at the rim within that distance; the opening is measured up to there."""
OPEN_CM2 = 10.0
"""Openings of less than 36 mm across are burr holes, sutures and errors of the brain mask; flaps are taken out larger."""


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """What was found about a scan.

    Args:
        jolts: movements of the head between slices, in the order of the slices; None when slices are too far apart to tell.
        largest_jolt_mm: the largest shift at the levels of the large arteries, 0 without one.
        metal_ml: metal in the region of the arteries.
        metal_slices: index k of the slices there that metal streaks.
        spoiled: share of the brain around the circle of Willis that streaks cross, 0 to 1.
        open_skull_cm2: surface of the brain below the vault that no bone covers, in one piece.
    """

    jolts: tuple[Jolt, ...] | None
    largest_jolt_mm: float
    metal_ml: float
    metal_slices: tuple[int, ...]
    spoiled: float
    open_skull_cm2: float

    @property
    def missing_skull(self) -> bool:
        """Whether a part of the vault was taken out (craniectomy); a flap that was put back does not show."""
        return self.open_skull_cm2 >= OPEN_CM2


def check_scan(cta: Volume, brain: Volume, pose: HeadPose) -> ScanQuality:
    """Look for movement between slices, metal and missing bone.

    Args:
        cta: HU, slices along k, in any orientation.
        brain: mask on the same grid, as `lvo.image.brain.find_brain` gives it.
        pose: how the head lies.

    Raises:
        ValueError: not HU, grids that differ, or an empty mask.
    """
    if cta.quantity is not Quantity.HU:
        msg = f"check_scan needs HU, got {cta.quantity.name}"
        raise ValueError(msg)
    if not cta.grid.same_as(brain.grid):
        msg = f"the brain mask must lie on the grid of the scan, got {brain.grid.shape_kji} for {cta.grid.shape_kji}"
        raise ValueError(msg)
    thin = thin_scan(cta, brain)
    jolts = find_jolts(thin)
    near = [jolt.shift_mm for jolt in jolts or () if _at_arteries(jolt, pose)]
    metal = _metal(cta, pose)
    metal_ml = len(metal) * cta.grid.voxel_ml
    streaked = _streaked(thin, metal) if metal_ml >= MIN_METAL_ML else {}
    return ScanQuality(
        jolts=jolts,
        largest_jolt_mm=max(near, default=0.0),
        metal_ml=metal_ml,
        metal_slices=tuple(streaked),
        spoiled=_spoiled(thin, streaked, pose),
        open_skull_cm2=_open_skull_cm2(thin, pose),
    )


def quality_notes(quality: ScanQuality) -> tuple[QualityNote, ...]:
    """What a reader should know; a refusal where the arteries cannot be judged."""
    notes = []
    if quality.jolts is None:
        text = "the slices are too far apart to see whether the head moved between them: an artery may seem to stop there"
        notes.append(QualityNote("cta.motion_unchecked", Severity.WARNING, text))
    if quality.largest_jolt_mm >= MOVED_MM:
        torn = quality.largest_jolt_mm >= TORN_MM
        text = f"the head moved by {quality.largest_jolt_mm:.1f} mm between slices at the level of the large arteries: "
        text += "their course is torn; repeat the scan" if torn else "an artery may seem to stop there"
        notes.append(QualityNote("cta.motion", Severity.REFUSAL if torn else Severity.WARNING, text))
    if quality.metal_slices:
        spoiled = quality.spoiled >= SPOILED
        text = f"metal ({quality.metal_ml:.2f} mL) streaks {len(quality.metal_slices)} slices in the region of the arteries"
        text += (
            f" and {quality.spoiled:.0%} of the surroundings of the circle of Willis: it cannot be judged" if spoiled else ""
        )
        notes.append(QualityNote("cta.metal", Severity.REFUSAL if spoiled else Severity.WARNING, text))
    if quality.missing_skull:
        text = f"{quality.open_skull_cm2:.0f} cm2 of the vault are missing: an operated head, on which nothing was trained"
        notes.append(QualityNote("cta.operated", Severity.WARNING, text))
    return tuple(notes)


def _at_arteries(jolt: Jolt, pose: HeadPose) -> bool:
    low, high = ARTERY_LEVELS_ATLAS_MM
    return bool(low <= float(pose.to_atlas_mm(jolt.position_lps_mm)[2]) <= high)


def _inside(points_lps_mm: Points, pose: HeadPose, box_atlas_mm: Box) -> Mask:
    """Which (..., 3) positions lie in a box of the atlas."""
    atlas_mm = pose.to_atlas_mm(points_lps_mm)
    return np.asarray(((atlas_mm >= box_atlas_mm[0]) & (atlas_mm <= box_atlas_mm[1])).all(axis=-1))


def _metal(cta: Volume, pose: HeadPose) -> Points:
    """(N, 3) LPS mm of the metal in the region of the arteries."""
    points = cta.grid.to_lps_mm(np.argwhere(cta.array >= METAL_HU))
    return points[_inside(points, pose, ARTERY_BOX_ATLAS_MM)]


def _streaked(thin: Thin, metal: Points) -> dict[int, Mask]:
    """By index k of the scan, the (J, I) brain that dark streaks cross, in the slices that have them."""
    index = thin.grid.to_kji(metal)
    pixel_mm, apart_mm = float(thin.grid.spacing_kji_mm[1:].mean()), float(thin.grid.spacing_kji_mm[0])
    first = max(0, int(np.floor(index[:, 0].min() - METAL_SLICES_MM / apart_mm)))
    last = min(len(thin.hu) - 1, int(np.ceil(index[:, 0].max() + METAL_SLICES_MM / apart_mm)))
    found = {}
    for k in range(first, last + 1):
        here = index[np.abs(index[:, 0] - k) * apart_mm <= METAL_SLICES_MM]
        if not len(here):
            continue
        j, i = np.indices(thin.hu.shape[1:])
        middle = here[:, 1:].mean(axis=0)
        near = thin.brain[k] & (np.hypot(j - middle[0], i - middle[1]) * pixel_mm <= METAL_REACH_MM)
        dark = near & (thin.hu[k] < STREAK_HU)
        if dark.sum() >= STREAKED * max(int(near.sum()), MIN_NEAR_PIXELS):
            found[k + thin.first_slice] = dark
    return found


def _spoiled(thin: Thin, streaked: dict[int, Mask], pose: HeadPose) -> float:
    """Share of the brain in the core box that dark streaks cross, with a pixel on either side."""
    if not streaked:
        return 0.0
    crossed = whole = 0
    plane = np.moveaxis(np.indices((1, *thin.hu.shape[1:])), 0, -1)[0]
    for k, brain in enumerate(thin.brain):
        core = brain & _inside(thin.grid.to_lps_mm(plane + (k, 0, 0)), pose, CORE_ATLAS_MM)
        whole += int(core.sum())
        dark = streaked.get(k + thin.first_slice)
        crossed += 0 if dark is None else int((ndimage.binary_dilation(dark) & core).sum())
    return crossed / max(whole, 1)


def _open_skull_cm2(thin: Thin, pose: HeadPose) -> float:
    """The largest piece of the surface of the brain below the vault without bone in front of it, on voxels of about 4 mm."""
    step = np.maximum(np.rint(VOXEL_MM / thin.grid.spacing_kji_mm), 1).astype(int)
    fewer = tuple(slice(n // 2, None, n) for n in step)
    bone = ndimage.maximum_filter(thin.hu, size=tuple(step))[fewer] > BONE_HU
    brain = thin.brain[fewer]
    spacing_mm = thin.grid.spacing_kji_mm * step
    surface = brain & ~ndimage.binary_erosion(brain, border_value=1)
    away_mm = np.asarray(ndimage.distance_transform_edt(~bone, sampling=spacing_mm))
    bare = surface & (away_mm > COVER_MM)
    at = np.argwhere(bare) * step + step // 2
    vault = pose.to_atlas_mm(thin.grid.to_lps_mm(at))[:, 2] > VAULT_ATLAS_MM
    bare[tuple(np.argwhere(bare)[~vault].T)] = False
    pieces, n_pieces = ndimage.label(bare, structure=np.ones((3, 3, 3)))
    if n_pieces == 0:
        return 0.0
    largest = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    opening = surface & (ndimage.distance_transform_edt(~largest, sampling=spacing_mm) <= RIM_MM)
    return float(opening.sum()) * float(np.prod(spacing_mm) ** (2.0 / 3.0)) / 100.0
