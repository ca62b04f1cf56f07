"""Core, hypoperfusion and what they are measured against.

Hypoperfusion is tissue with Tmax above a threshold; core is the part of it whose CBF falls below a share of normal tissue.
Normal tissue is the hemisphere opposite the lesion (DEFUSE 3 / RAPID definition).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.grid import Grid, Plane
from lvo.core.outcome import NotAssessable
from lvo.core.report import QualityNote, Severity, Side
from lvo.perfusion.maps import Maps

__all__ = ["Lesion", "VoxelSpace", "delineate"]

TMAX_BANDS_S = (4, 6, 8, 10)
RCBF_BANDS_PERCENT = (20, 30, 34, 38)
BILATERAL_SHARE = 0.5
"""A lesion whose smaller side has at least half the volume of the larger one is not one-sided: a carotid occlusion spares the
other side, while low output, a wrong artery or motion slow both."""
MIN_NORMAL_ML = 20.0
"""Less normal tissue than this, opposite the lesion or in the whole brain, is no reference: one slice of one hemisphere 5 mm
thick holds about 25 mL."""
CONNECTED = ndimage.generate_binary_structure(3, 1)
"""Voxels of one cluster share a face: noise is broken up, lesions are not."""


@dataclass(frozen=True, slots=True, eq=False)
class VoxelSpace:
    """Where the (N,) voxels are: index arrays on a grid, and which of them are tissue."""

    voxel_kji: tuple[NDArray[np.intp], ...]
    grid: Grid
    tissue: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """Masks over the (N,) voxels and the numbers read from them; see `lvo.core.report.PerfusionResult`."""

    hypoperfusion: NDArray[np.bool_]
    core: NDArray[np.bool_]
    normal_cbf: float
    side: Side | None
    volumes_ml: dict[str, float]
    hypoperfusion_ml: float
    core_ml: float
    hir: float | None
    cbv_index: float | None
    notes: tuple[QualityNote, ...]


def delineate(
    maps: Maps, space: VoxelSpace, midplane: Plane, *, tmax_s: float, core_rcbf: float, min_cluster_ml: float
) -> Lesion | NotAssessable:
    """Outline hypoperfusion and core, find the side, and measure.

    Args:
        maps: (N,) values.
        space: where they are.
        midplane: tells left from right.
        tmax_s: hypoperfusion threshold.
        core_rcbf: core threshold, a share of the median CBF of normal tissue.
        min_cluster_ml: smaller islands above the Tmax threshold are noise (common practice, 3 mL).

    Returns:
        The lesion, or why it cannot be measured: without normal tissue every flow would pass for normal, and the core for 0 mL.
    """
    voxel_ml = space.grid.voxel_ml
    left = midplane.signed_distance_mm(space.grid.to_lps_mm(np.stack(space.voxel_kji, axis=-1))) > 0

    def slow(threshold_s: float) -> NDArray[np.bool_]:
        return _clusters(space, space.tissue & (maps.tmax > threshold_s), min_cluster_ml / voxel_ml)

    hypoperfusion = slow(tmax_s)
    left_ml = float((hypoperfusion & left).sum() * voxel_ml)
    right_ml = float((hypoperfusion & ~left).sum() * voxel_ml)
    side = _side(left_ml, right_ml)
    normal, notes = _normal(space, (maps.tmax <= tmax_s) & ~hypoperfusion, left, side)
    normal_ml = float(normal.sum() * voxel_ml)
    if normal_ml < MIN_NORMAL_ML:
        found = f"{normal_ml:.0f} mL have a Tmax up to {tmax_s:g} s and {left_ml + right_ml:.0f} mL are slower"
        return NotAssessable((f"no normal tissue to compare CBF with: {found}, {MIN_NORMAL_ML:.0f} mL are needed",))
    normal_cbf = float(np.median(maps.cbf[normal]))
    if normal_cbf <= 0.0:
        return NotAssessable((f"no flow to compare CBF with: its median in {normal_ml:.0f} mL of normal tissue is 0",))
    core = hypoperfusion & (maps.cbf < core_rcbf * normal_cbf)
    volumes_ml = {f"tmax>{band}": float(slow(band).sum() * voxel_ml) for band in TMAX_BANDS_S}
    for percent in RCBF_BANDS_PERCENT:
        below = hypoperfusion & (maps.cbf < percent / 100.0 * normal_cbf)
        volumes_ml[f"rcbf<{percent}"] = float(below.sum() * voxel_ml)
    over_6_ml = volumes_ml["tmax>6"]
    normal_cbv = float(maps.cbv[normal].mean())
    return Lesion(
        hypoperfusion=hypoperfusion,
        core=core,
        normal_cbf=normal_cbf,
        side=side,
        volumes_ml=volumes_ml,
        hypoperfusion_ml=left_ml + right_ml,
        core_ml=float(core.sum() * voxel_ml),
        hir=volumes_ml["tmax>10"] / over_6_ml if over_6_ml > 0 else None,
        cbv_index=float(maps.cbv[hypoperfusion].mean()) / normal_cbv if hypoperfusion.any() and normal_cbv > 0 else None,
        notes=(*_side_notes(left_ml, right_ml, side), *notes),
    )


def _clusters(space: VoxelSpace, chosen: NDArray[np.bool_], least_voxels: float) -> NDArray[np.bool_]:
    """The chosen voxels that belong to a face-connected cluster of at least that size, and tissue enclosed by them in a slice.

    Tissue with almost no flow has no sharp maximum in its residue: a core is speckled with short Tmax by noise.
    """
    image = np.zeros(space.grid.shape_kji, dtype=bool)
    image[space.voxel_kji] = chosen
    label, _ = ndimage.label(image, CONNECTED)
    size = np.bincount(label.ravel())
    size[0] = 0
    kept = (size >= least_voxels)[label]
    filled = np.stack([ndimage.binary_fill_holes(layer) for layer in kept])
    return np.asarray(filled[space.voxel_kji] & space.tissue)


def _side(left_ml: float, right_ml: float) -> Side | None:
    """Side of the larger part, both when the smaller is not much smaller, None without a lesion."""
    if left_ml + right_ml == 0.0:
        return None
    if min(left_ml, right_ml) >= BILATERAL_SHARE * max(left_ml, right_ml):
        return Side.BOTH
    return Side.LEFT if left_ml > right_ml else Side.RIGHT


def _normal(
    space: VoxelSpace, in_time: NDArray[np.bool_], left: NDArray[np.bool_], side: Side | None
) -> tuple[NDArray[np.bool_], tuple[QualityNote, ...]]:
    """Tissue that stands for normal: in time, and opposite the lesion where it has a side."""
    anywhere = space.tissue & in_time
    if side in (None, Side.BOTH):
        return anywhere, ()
    opposite = anywhere & (~left if side is Side.LEFT else left)
    found_ml = float(opposite.sum() * space.grid.voxel_ml)
    if found_ml >= MIN_NORMAL_ML:
        return opposite, ()
    return anywhere, (QualityNote(
        "perfusion.reference", Severity.WARNING,
        f"only {found_ml:.0f} mL of normal tissue opposite the lesion, {MIN_NORMAL_ML:.0f} mL needed: CBF is compared with all "
        "tissue that is not hypoperfused",
    ),)  # fmt: skip


def _side_notes(left_ml: float, right_ml: float, side: Side | None) -> tuple[QualityNote, ...]:
    """What to know when tissue is slow on both sides."""
    smaller_ml = min(left_ml, right_ml)
    if side is Side.BOTH:
        return (QualityNote(
            "perfusion.bilateral", Severity.WARNING,
            f"hypoperfusion on both sides (left {left_ml:.0f} mL, right {right_ml:.0f} mL): low cardiac output, carotid "
            "stenosis, motion or a late artery can cause this; there is no healthy hemisphere to compare with",
        ),)  # fmt: skip
    if side is not None and smaller_ml > 0.0:
        return (QualityNote(
            "perfusion.contralateral", Severity.INFO,
            f"{smaller_ml:.0f} mL of the hypoperfusion lie on the other side and are counted",
        ),)  # fmt: skip
    return ()
