"""Core, hypoperfusion and what they are measured against.

Hypoperfusion is tissue with Tmax above a threshold; core is the part of it whose CBF falls below a share of normal tissue.
Normal tissue is the hemisphere opposite the lesion (DEFUSE 3 / RAPID definition).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.grid import transform
from lvo.core.outcome import NotAssessable
from lvo.core.report import Side
from lvo.perfusion.artefact import VoxelSpace, majority, solid, steadied_flow
from lvo.perfusion.maps import Maps

__all__ = ["Lesion", "VoxelSpace", "delineate"]

Mask = NDArray[np.bool_]

TMAX_BANDS_S = (4, 6, 8, 10)
RCBF_BANDS_PERCENT = (20, 30, 34, 38)
BILATERAL_SHARE = 1.0 / 3.0
"""Late tissue counts on both sides when the smaller side has this share of the larger one."""
ISLANDS_ML = 20.0
"""Smaller clusters on the side without the lesion are left out: false Tmax > 6 s is common beside a large-vessel occlusion, but
small (26 of 60 patients, median 12 mL; PMC6731139)."""
FOSSA_SHARE = 0.5
"""Clusters that lie below the tentorium by more than this share are left out; one that reaches down there is not divided."""
FLUID_HU = 18.0
"""A cluster darker than this before contrast, in the mean, is fluid or an old infarct: a fresh one keeps 20 HU or more for a
day, fluid has 0 to 15."""
MIN_COMPARED_ML = 1.0
"""Less core than this has no attenuation worth comparing with the other side."""
MIN_NORMAL_ML = 20.0
"""Less normal tissue than this, opposite the lesion or in the whole brain, is no reference: one slice of one hemisphere 5 mm
thick holds about 25 mL."""
TRIMMED = 0.05
"""Share of the lowest and of the highest flows that the mean of normal tissue leaves out: what is left of fluid and vessels.
A mean and no median: normal flow has two heights, grey and white, and between them a median jumps with the slab's mix."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """Masks over the (N,) voxels and the numbers read from them; see `lvo.core.report.PerfusionResult`.

    Args:
        measures: numbers that the quality rules judge.
    """

    hypoperfusion: Mask
    core: Mask
    side: Side | None
    volumes_ml: dict[str, float]
    hypoperfusion_ml: float
    core_ml: float
    hir: float | None
    cbv_index: float | None
    measures: dict[str, float]


def delineate(maps: Maps, space: VoxelSpace, settings: PerfusionSettings) -> Lesion | NotAssessable:
    """Outline hypoperfusion and core, find the side, and measure.

    Args:
        maps: (N,) values.
        space: where they are.
        settings: thresholds, and the smallest lesion.

    Returns:
        The lesion, or why it cannot be measured: without normal tissue every flow would pass for normal, and the core for 0 mL.
    """
    everything = solid(space, maps.tmax > settings.tmax_hypoperfusion_s, min_ml=settings.min_cluster_ml)
    late = _in_arterial_territory(space, everything)
    side = _side(space, late)
    hypoperfusion = _on_side(space, late, side)
    in_time = space.tissue & (maps.tmax <= settings.tmax_hypoperfusion_s) & ~everything
    normal = _normal(space, in_time, side)
    if space.ml(normal) < MIN_NORMAL_ML:
        found = (
            f"{space.ml(normal):.0f} mL have a Tmax up to {settings.tmax_hypoperfusion_s:g} s and {space.ml(late):.0f} mL are"
        )
        return NotAssessable((f"no normal tissue to compare CBF with: {found} slower, {MIN_NORMAL_ML:.0f} mL are needed",))
    normal_cbf, normal_cbv = _trimmed_mean(maps.cbf[normal]), _trimmed_mean(maps.cbv[normal])
    if normal_cbf <= 0.0:
        return NotAssessable((f"no flow to compare CBF with: its mean in {space.ml(normal):.0f} mL of normal tissue is 0",))

    flow = steadied_flow(space, maps.cbf, maps.cbv, hypoperfusion)

    def low(share: float) -> Mask:
        below = hypoperfusion & (flow < share * normal_cbf)
        return hypoperfusion & solid(space, below, min_ml=settings.min_cluster_ml)

    core = low(settings.core_rcbf)
    volumes_ml = _tmax_bands_ml(maps, space, hypoperfusion, side, settings)
    volumes_ml |= {f"rcbf<{percent}": space.ml(low(percent / 100.0)) for percent in RCBF_BANDS_PERCENT}
    over_6_ml = volumes_ml["tmax>6"]
    speckle = majority(space, maps.tmax > settings.tmax_hypoperfusion_s) & ~everything
    return Lesion(
        hypoperfusion=hypoperfusion,
        core=core,
        side=side,
        volumes_ml=volumes_ml,
        hypoperfusion_ml=space.ml(hypoperfusion),
        core_ml=space.ml(core),
        hir=volumes_ml["tmax>10"] / over_6_ml if over_6_ml > 0 else None,
        cbv_index=float(maps.cbv[hypoperfusion].mean()) / normal_cbv if hypoperfusion.any() and normal_cbv > 0 else None,
        measures={
            **_side_measures(space, late, hypoperfusion, side),
            **_darker(space, core, in_time),
            "artefact_ml": space.ml(speckle),
            "below_tentorium_ml": space.ml(everything & ~late & space.below_tentorium),
            "fluid_ml": space.ml(everything & ~late & ~space.below_tentorium),
            "opposite_ml": space.ml(_opposite(space, in_time, side)),
            "normal_ml": space.ml(normal),
            "normal_cbf": normal_cbf,
            "normal_cbv": normal_cbv,
            "normal_tmax_s": float(np.median(maps.tmax[normal])),
        },
    )


def _side_measures(space: VoxelSpace, late: Mask, hypoperfusion: Mask, side: Side | None) -> dict[str, float]:
    """How much is late on either side, what of it is not counted, and how much of a hemisphere it fills."""
    on_either = [space.ml(hypoperfusion & half) for half in (space.left, ~space.left)]
    islands_ml = space.ml(late & ~hypoperfusion)
    both = side is Side.BOTH or min(on_either) >= ISLANDS_ML
    hemispheres = [half & space.tissue for half in (space.left, ~space.left)]
    return {
        "left_ml": on_either[0],
        "right_ml": on_either[1],
        "both_sides_ml": min(on_either) if both else 0.0,
        "other_side_ml": islands_ml,
        "late_share": max(float(hypoperfusion[half].mean()) if half.any() else 0.0 for half in hemispheres),
    }


def _darker(space: VoxelSpace, core: Mask, in_time: Mask) -> dict[str, float]:
    """How much darker the core is before contrast than tissue in time at the mirrored place; nothing where none is there."""
    here = np.flatnonzero(core)
    mirrored = space.grid.to_kji(transform(space.midplane.mirror(), space.points_lps_mm(here)))
    index = np.rint(mirrored).astype(np.intp)
    inside = ((index >= 0) & (index < space.grid.shape_kji)).all(axis=1)
    level_hu = np.full(space.grid.shape_kji, np.nan, dtype=np.float32)
    level_hu[space.voxel_kji] = np.where(in_time, space.baseline_hu, np.nan)
    there_hu = level_hu[tuple(index[inside].T)]
    seen = np.isfinite(there_hu)
    if seen.sum() * space.grid.voxel_ml < MIN_COMPARED_ML:
        return {}
    return {"core_below_hu": float(there_hu[seen].mean() - space.baseline_hu[here[inside][seen]].mean())}


def _in_arterial_territory(space: VoxelSpace, late: Mask) -> Mask:
    """Leave out clusters of fluid or old infarct, and those below the tentorium, where bone streaks."""
    label, n_clusters = space.clusters(late)
    size = np.maximum(np.bincount(label, minlength=n_clusters + 1), 1)
    below = np.bincount(label, space.below_tentorium, minlength=n_clusters + 1) / size
    level_hu = np.bincount(label, space.baseline_hu, minlength=n_clusters + 1) / size
    return np.asarray(late & ((below <= FOSSA_SHARE) & (level_hu >= FLUID_HU))[label])


def _side(space: VoxelSpace, late: Mask) -> Side | None:
    """Side of the larger part, both when the smaller is not much smaller, None without a lesion."""
    left_ml, right_ml = space.ml(late & space.left), space.ml(late & ~space.left)
    if left_ml + right_ml == 0.0:
        return None
    if min(left_ml, right_ml) >= BILATERAL_SHARE * max(left_ml, right_ml):
        return Side.BOTH
    return Side.LEFT if left_ml > right_ml else Side.RIGHT


def _on_side(space: VoxelSpace, late: Mask, side: Side | None) -> Mask:
    """Leave out small clusters on the other side; a cluster is never divided, as the mid-plane is known to a few mm only."""
    if side in (None, Side.BOTH):
        return late
    label, n_clusters = space.clusters(late)
    size = np.bincount(label, minlength=n_clusters + 1)
    on_left = np.bincount(label, space.left, minlength=n_clusters + 1) > 0.5 * size
    counted = (on_left if side is Side.LEFT else ~on_left) | (size * space.grid.voxel_ml >= ISLANDS_ML)
    return np.asarray(late & counted[label])


def _tmax_bands_ml(
    maps: Maps, space: VoxelSpace, hypoperfusion: Mask, side: Side | None, settings: PerfusionSettings
) -> dict[str, float]:
    """Volume of every Tmax band on the side of the lesion; stricter bands lie inside wider ones."""
    volumes_ml = {}
    for band_s in TMAX_BANDS_S:
        mask = _in_arterial_territory(space, solid(space, maps.tmax > band_s, min_ml=settings.min_cluster_ml))
        mask = _on_side(space, mask, side)
        mask = mask & hypoperfusion if band_s >= settings.tmax_hypoperfusion_s else mask | hypoperfusion
        volumes_ml[f"tmax>{band_s}"] = space.ml(mask)
    return volumes_ml


def _opposite(space: VoxelSpace, in_time: Mask, side: Side | None) -> Mask:
    """Tissue in time on the side without the lesion; all of it where there is no such side."""
    if side in (None, Side.BOTH):
        return in_time
    return in_time & (~space.left if side is Side.LEFT else space.left)


def _normal(space: VoxelSpace, in_time: Mask, side: Side | None) -> Mask:
    """Tissue that stands for normal: opposite the lesion where that holds enough."""
    opposite = _opposite(space, in_time, side)
    return opposite if space.ml(opposite) >= MIN_NORMAL_ML else in_time


def _trimmed_mean(values: NDArray[np.float32]) -> float:
    """Mean without the lowest and the highest few."""
    low, high = np.quantile(values, (TRIMMED, 1.0 - TRIMMED))
    return float(values[(values >= low) & (values <= high)].mean(dtype=np.float64))
