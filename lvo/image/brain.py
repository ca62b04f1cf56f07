"""Find the brain on head CT from what encloses it: the skull.

Works on plain CT, CT angiography and the mean of CT perfusion frames, whatever the head's pose. The skull has holes
(foramen magnum, orbits, sutures, thin plates that partial volume hides), so the search starts deep inside: positions
further from any wall than half of the widest hole are connected only with positions on the same side of the skull.
From there the region grows back to the wall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import Quantity, Volume
from lvo.image.balls import capped_distance, dilated, eroded
from lvo.image.resample import box_grid, coarsen, is_orthogonal, resample

__all__ = ["find_brain", "known_space"]

Mask = NDArray[np.bool_]

_MARGIN = 22
"""Working voxels around the deep inside that reach beyond the skull: its 16 mm, 12 mm for vessels, 8 mm for corners."""

WORKING_MM = 2.0
"""Spacing of the search: the narrowest structure that matters, the wall of the orbit, still shows after averaging."""

BONE_HU = (300.0, 200.0, 130.0)
"""What counts as skull, tried in turn: first above contrast-filled veins, then for thin bone blurred by thick slices."""

AIR_HU = -200.0
"""Below: air, also when mixed with tissue; fat is above -150 HU."""

BRAIN_HU = (-20.0, 80.0)
"""Cerebrospinal fluid (0 to 15), white and grey matter (20 to 45, some 10 more with contrast), fresh blood (60 to 80)."""

PADDING_HU = -1000.0
"""The lowest value of a scan, when it is this low, marks what was never imaged (and saturated air, which is as unknown)."""

FORAMEN_RADIUS_MM = 16.0
"""Half the length of the foramen magnum, the widest hole: 35 x 30 mm (Gruber et al., Anthropol Anz 2009, means)."""

CALCIFICATION_ML = 5.0
"""Bone pieces smaller than this are calcifications, clips, or pieces of the headrest, not skull."""

MAX_VESSEL_SHARE = 0.2
"""Of a cube of 14 mm, the part that a vessel through it fills: 0.16 when it is 6 mm wide; a bony plate of 3 mm fills 0.21."""

DURA_MM = 2.0
"""Between brain and the half-height of the inner table's edge: dura, a film of fluid, and the blur of the bone."""

MIN_DEPTH_MM = 30.0
"""The deepest point of the brain is at least this far from the skull: half of a slim head's inner width is 60 mm."""

MIN_ENCLOSED = 0.85
"""Of the lines from the deepest point that end on bone or in air, the part that ends on bone; 1 - this is a 45 degree gap."""

MIN_BONE_LINES = 0.08
"""Of all lines, those that must meet bone; the others leave the scan. A slab 20 mm thick and 130 mm wide has 0.15."""

MIN_WHOLE_ML, MAX_ML = 800.0, 2500.0
"""Volume inside an adult's skull: 1000 to 1900 mL over 4 SD (Buckner et al., doi:10.1016/j.neuroimage.2004.06.018); more
room above, since heads as large as the atlas (1.9 L) and larger are not a reason to refuse."""

MIN_SLAB_ML = 60.0
"""Less brain than this is not worth judging: one slice of 5 mm through the middle of the head."""

MAX_CUT_MM2 = 1500.0
"""Brain may meet the edge of the scan on this area: the foramen magnum has 800 mm2, and its funnel is wider."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tissue:
    """The scan at working resolution, and what of it was never imaged."""

    hu: NDArray[np.float32]
    unknown: Mask
    grid: Grid

    def cut(self, box: tuple[slice, ...]) -> "_Tissue":
        """The part in a box of indices."""
        hu, affine = self.hu[box], self.grid.lps_from_kji.copy()
        affine[:3, 3] = self.grid.to_lps_mm([side.start for side in box])
        n_k, n_j, n_i = hu.shape
        return _Tissue(hu, self.unknown[box], Grid((n_k, n_j, n_i), affine, self.grid.frame_of_reference_uid))


@dataclass(frozen=True, slots=True, eq=False)
class _Inside:
    """What the skull encloses, by which threshold it was found, and the tissue around it."""

    mask: Mask
    bone_hu: float
    tissue: _Tissue


def find_brain(volume: Volume) -> Assessed[Volume] | NotAssessable:
    """Find the brain with its ventricles, sulci, cisterns and vessels, inside the dura.

    A slab that cuts through the head (CT perfusion) gives the brain inside the slab. A scan that misses the top of the
    head although it reaches the skull base, or that cuts off a side, is refused.

    Args:
        volume: HU, any grid; slices up to about 10 mm.

    Returns:
        A mask (bool) on the grid of the scan, or why there is none.

    Raises:
        ValueError: the volume is not in HU.
    """
    if volume.quantity is not Quantity.HU:
        msg = f"find_brain needs HU, got {volume.quantity.name}"
        raise ValueError(msg)
    tissue = _prepare(volume)
    refusal: NotAssessable | None = None
    for bone_hu in BONE_HU:
        inside = _inside_skull(tissue, bone_hu)
        if isinstance(inside, NotAssessable):
            refusal = refusal or inside
            continue
        mask = _brain_inside(inside)
        fault = _implausible(inside.tissue, mask)
        if fault is None:
            return Assessed(_on_scan_grid(mask, inside.tissue.grid, volume.grid))
        refusal = NotAssessable((fault,))
    return refusal or NotAssessable(("no head was found",))


def _prepare(volume: Volume) -> _Tissue:
    """Bring the scan to isotropic voxels on perpendicular axes, and mark what was never imaged."""
    work = coarsen(volume, WORKING_MM)
    lowest = float(volume.array.min())
    if not is_orthogonal(work.grid):
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in work.grid.shape_kji])).reshape(3, -1).T
        work = resample(work, box_grid(work.grid.to_lps_mm(corners), WORKING_MM), fill=min(lowest, PADDING_HU))
    return _Tissue(work.array, ~known_space(work, lowest), work.grid)


def known_space(work: Volume, lowest_hu: float) -> Mask:
    """Tell where a scan was imaged: not in the padding that tilt correction, resampling and round fields of view leave.

    Args:
        work: the scan, possibly averaged to larger voxels.
        lowest_hu: the lowest value of the scan itself; padding when it is -1000 or less.
    """
    if lowest_hu > PADDING_HU:
        return np.ones(work.array.shape, dtype=bool)
    return ~ndimage.binary_dilation(work.array <= lowest_hu + 0.5, iterations=2)  # 2: voxels that mix padding and tissue


def _inside_skull(tissue: _Tissue, bone_hu: float) -> _Inside | NotAssessable:
    """Find the space enclosed by bone: everything a ball as wide as the foramen magnum reaches inside."""
    pieces, _ = ndimage.label(tissue.hu > bone_hu)
    large = np.flatnonzero(np.bincount(pieces.ravel()) * tissue.grid.voxel_ml >= CALCIFICATION_ML)
    bone: Mask = np.isin(pieces, large[large > 0])
    if not bone.any():
        return NotAssessable((f"no skull: nothing larger than {CALCIFICATION_ML:.0f} mL is above {bone_hu:.0f} HU",))
    air = (tissue.hu < AIR_HU) & ~tissue.unknown
    depth_mm = np.asarray(ndimage.distance_transform_edt(~(bone | air))) * WORKING_MM
    pieces, n_pieces = ndimage.label((depth_mm > FORAMEN_RADIUS_MM) & (tissue.hu > AIR_HU))
    best, best_share, most_lines = 0, 0.0, MIN_BONE_LINES
    deepest_mm = np.asarray(ndimage.maximum(depth_mm, pieces, np.arange(1, n_pieces + 1)))
    for piece in 1 + np.flatnonzero(deepest_mm >= MIN_DEPTH_MM):
        share, lines = _enclosed(bone, air, np.array(ndimage.maximum_position(depth_mm, pieces, piece)))
        if lines >= most_lines and share >= min(best_share, MIN_ENCLOSED):
            best, best_share, most_lines = int(piece), share, lines
    if best_share < MIN_ENCLOSED:
        found = f"no closed skull: at most {best_share:.0%} of the surroundings of soft tissue deeper than"
        return NotAssessable((f"{found} {MIN_DEPTH_MM:.0f} mm are bone, at least {MIN_ENCLOSED:.0%} are needed",))
    core = np.asarray(pieces == best)
    box = ndimage.find_objects(core.astype(np.uint8))[0]
    cut = tuple(slice(max(0, side.start - _MARGIN), side.stop + _MARGIN) for side in box)
    core, bone, air, tissue = core[cut], bone[cut], air[cut], tissue.cut(cut)
    bone &= ~_vessels(bone, _dilated(core, FORAMEN_RADIUS_MM))
    pieces, _ = ndimage.label(_eroded(~(bone | air), FORAMEN_RADIUS_MM) & (tissue.hu > AIR_HU))
    core = np.asarray(pieces == int(np.bincount(np.asarray(pieces)[core]).argmax()))
    return _Inside(_dilated(core, FORAMEN_RADIUS_MM), bone_hu, tissue)


def _vessels(bone: Mask, inside: Mask) -> Mask:
    """Tell contrast-filled vessels, which reach in from the skull base, from bone: thin, and surrounded by the inside."""
    surrounded = _eroded(_dilated(inside, 12.0), 12.0)
    share = ndimage.uniform_filter(bone.astype(np.float32), size=7)
    return bone & surrounded & (share < MAX_VESSEL_SHARE)


def _enclosed(bone: Mask, air: Mask, start_kji: NDArray[np.intp]) -> tuple[float, float]:
    """Look into 600 directions: the part that meets bone, of those that meet bone or air and of all."""
    n_lines, step = 600, np.arange(1, int(np.linalg.norm(bone.shape)) + 1)
    turn = np.arange(n_lines) * np.pi * (3.0 - np.sqrt(5.0))  # a golden-angle spiral spreads them evenly
    height = 1.0 - (2.0 * np.arange(n_lines) + 1.0) / n_lines
    radius = np.sqrt(1.0 - height**2)
    directions = np.stack([height, radius * np.sin(turn), radius * np.cos(turn)], axis=1)
    index = np.rint(start_kji + directions[:, None] * step[None, :, None]).astype(np.intp)
    inside = np.asarray(((index >= 0) & (index < bone.shape)).all(axis=-1))
    k, j, i = np.moveaxis(np.where(inside[..., None], index, 0), -1, 0)
    meets_bone, meets_air = bone[k, j, i] & inside, air[k, j, i] & inside
    first_bone = np.where(meets_bone.any(axis=1), meets_bone.argmax(axis=1), step.size)
    first_air = np.where(meets_air.any(axis=1), meets_air.argmax(axis=1), step.size)
    on_bone, on_air = int((first_bone < first_air).sum()), int((first_air < first_bone).sum())
    return on_bone / max(on_bone + on_air, 1), on_bone / n_lines


def _brain_inside(inside: _Inside) -> Mask:
    """Cut the enclosed space down to soft tissue, free of leaks, with the vessels filled in, up to the bone."""
    hu = inside.tissue.hu
    soft = (hu > BRAIN_HU[0]) & (hu < BRAIN_HU[1]) & _dilated(inside.mask, 8.0)  # 8: corners of the skull
    soft = _dilated(_eroded(soft, 4.0), 4.0)  # cuts what is joined by less than 8 mm: orbits, nerve canals
    pieces, n_pieces = ndimage.label(soft)
    if n_pieces == 0:
        return soft
    largest = 1 + int(np.argmax(np.bincount(np.asarray(pieces)[inside.mask & soft], minlength=n_pieces + 1)[1:]))
    brain = np.asarray(pieces == largest)
    closed = _eroded(_dilated(brain, 5.0), 5.0)  # vessels and calcifications up to 10 mm
    rim = _dilated(brain, 3.0) & (hu > BRAIN_HU[0]) & (hu < inside.bone_hu)  # mixed with bone, more so in thick slices
    return np.asarray(ndimage.binary_fill_holes(((closed | rim) & inside.mask) | brain))


def _implausible(tissue: _Tissue, brain: Mask) -> str | None:
    """Say what is wrong with a brain mask, None when nothing is."""
    volume_ml = float((_inward_mm(brain) > DURA_MM).sum()) * tissue.grid.voxel_ml
    top_mm2, bottom_mm2, side_mm2 = _cut_mm2(tissue, brain)
    slab = max(top_mm2, bottom_mm2) > MAX_CUT_MM2
    low_ml = MIN_SLAB_ML if slab else MIN_WHOLE_ML
    if not low_ml <= volume_ml <= MAX_ML:
        return f"the space inside the skull measures {volume_ml:.0f} mL, expected {low_ml:.0f} to {MAX_ML:.0f} mL"
    if side_mm2 > MAX_CUT_MM2:
        return f"the field of view cuts through the side of the brain on {side_mm2 / 100:.0f} cm2; the whole width is needed"
    if top_mm2 > MAX_CUT_MM2 and bottom_mm2 <= MAX_CUT_MM2:
        return f"the top of the head is missing: the scan ends in the brain on {top_mm2 / 100:.0f} cm2; scan up to the vertex"
    return None


def _cut_mm2(tissue: _Tissue, brain: Mask) -> tuple[float, float, float]:
    """Area on which the brain meets the edge of what was imaged: above, below, at the sides (mm2)."""
    known = np.pad(~tissue.unknown, 2)
    edge = brain & ~ndimage.binary_erosion(known)[2:-2, 2:-2, 2:-2]
    smooth = ndimage.gaussian_filter(known.astype(np.float32), 2.0, mode="constant")
    slope_kji = np.stack([slope[2:-2, 2:-2, 2:-2][edge] for slope in _gradient(smooth)], axis=-1)
    outward = -slope_kji @ tissue.grid.axes_lps
    length = np.linalg.norm(outward, axis=1)
    upward = outward[:, 2] / np.maximum(length, 1e-6)
    face_mm2 = WORKING_MM**2
    top, bottom = float((upward > 0.7).sum() * face_mm2), float((upward < -0.7).sum() * face_mm2)
    return top, bottom, float(edge.sum() * face_mm2) - top - bottom


def _gradient(array: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Slope along k, j, i per voxel."""
    return [np.asarray(np.gradient(array, axis=axis)) for axis in range(3)]


def _on_scan_grid(brain: Mask, work: Grid, scan: Grid) -> Volume:
    """Draw the working mask, without the dura, at the scan's resolution with a smooth surface."""
    inward_mm = _inward_mm(brain)
    out = np.zeros(scan.shape_kji, dtype=bool)
    corners = np.array([[s.start, s.stop] for s in ndimage.find_objects(brain.astype(np.uint8))[0]])
    box = np.array(np.meshgrid(*corners)).reshape(3, -1).T
    index = scan.to_kji(work.to_lps_mm(box))
    low = np.clip(np.floor(index.min(axis=0)), 0, None).astype(int)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, scan.shape_kji)
    affine = scan.lps_from_kji.copy()
    affine[:3, 3] = scan.to_lps_mm(low)
    n_k, n_j, n_i = (int(n) for n in high - low)
    distance = resample(Volume(inward_mm, work, Quantity.HU), Grid((n_k, n_j, n_i), affine), fill=-1.0)
    out[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = distance.array > DURA_MM
    return Volume(out, scan, Quantity.MASK)


def _inward_mm(mask: Mask) -> NDArray[np.float32]:
    """Depth below the surface of the mask, which runs half-way between voxels; negative outside; flat beyond 6 mm."""
    inner, outer = (capped_distance(side, 6.0 / WORKING_MM) * WORKING_MM for side in (mask, ~mask))
    return np.where(mask, inner - WORKING_MM / 2.0, WORKING_MM / 2.0 - outer).astype(np.float32)


def _eroded(mask: Mask, radius_mm: float) -> Mask:
    """Erode by a ball."""
    return eroded(mask, radius_mm / WORKING_MM)


def _dilated(mask: Mask, radius_mm: float) -> Mask:
    """Dilate by a ball."""
    return dilated(mask, radius_mm / WORKING_MM)
