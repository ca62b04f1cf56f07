"""Choose the arterial input and the venous output among the vessels of the head.

Arteries are the vessels that fill first. Of those the best by arrival, height, width and smoothness is taken, wherever it
lies: beyond an occlusion arteries fill late and wide, so the healthy side wins by itself. The vein is the fullest vessel that
peaks later. An artery of the brain is thinner than a few voxels and its curve too low (partial volume), so it is scaled to
the area of the vein (`lvo.perfusion.venous`).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.core.outcome import NotAssessable
from lvo.core.report import Curve, CurveCandidate
from lvo.perfusion.sampling import VoxelCurves
from lvo.perfusion.venous import area_ratio
from lvo.perfusion.vessels import MAX_ROUGHNESS, MAX_WIDTH_S, Group, find_groups, shape_of

__all__ = ["Inputs", "curve_reasons", "select_inputs"]

EARLY_SHARE = 0.02
"""The earliest peak among the vessels is that of their 2 % quantile by voxels: arteries are few beside the sinuses, and what
is earlier than all of them is not a vessel."""
EARLY_S = 2.0
"""Arteries peak within this time of the earliest; veins follow at least 3 s later (62 stroke scans, ISLES 2018)."""
USUAL_SHARE = 0.25
"""Arteries arrive, and are as wide, as the best quarter of them, weighed by size and height. The very earliest and narrowest
are those with most noise, so nothing is gained by being earlier or narrower."""
ARRIVAL_SCALE_S = 2.0
"""An artery that arrives so much later, or earlier, scores e times less for it; veins come 3 s later and more."""
VENOUS_LAG_S = 1.0
"""A vein peaks at least this much after the artery; the shortest lag in 62 stroke scans (ISLES 2018) is 3 s."""
APART_MM = 12.0
"""Candidates lie at least this far apart: two groups in one piece of vessel would say the same twice."""
N_SHOWN = 5
"""Candidates of each role that are kept for the report."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The arterial and the venous curve.

    Args:
        aif: arterial curve as measured.
        vof: venous curve as measured.
        scale: factor that brings the arterial curve to the venous area, at least 1: an artery fuller than the vein stands
            beside a vein that suffers from partial volume itself (true of 49 of 52 patients for the internal carotid artery
            and the sagittal sinus, doi:10.1371/journal.pone.0097586).
        candidates: the best groups of voxels of both roles, the chosen ones among them.
    """

    aif: Curve
    vof: Curve
    scale: float
    candidates: tuple[CurveCandidate, ...] = ()


def select_inputs(curves: VoxelCurves) -> Inputs | NotAssessable:
    """Choose artery and vein among all voxels of (T, N) curves, or say which of them is missing."""
    groups = find_groups(curves)
    arteries = _arteries(groups)
    if not arteries:
        return NotAssessable((f"no artery found in the CT perfusion: {len(groups)} vessels, none with a bolus in time",))
    aif = arteries[0].curve
    veins = _veins(groups, arteries[0])
    if not veins:
        return NotAssessable(("no vein found in the CT perfusion: no vessel peaks after the artery",))
    vof = veins[0].curve
    ratio = area_ratio(aif.enhancement_hu, vof.enhancement_hu, curves.dt_s)
    return Inputs(aif, vof, max(1.0, ratio), (*arteries, *veins))


def _arteries(groups: tuple[Group, ...]) -> list[CurveCandidate]:
    """Arterial candidates, the best first."""
    fit = [group for group in groups if not group.at_edge]
    if not fit:
        return []
    peak_s, n_voxels = (np.array(values) for values in zip(*((g.shape.peak_s[0], g.curve.n_voxels) for g in fit), strict=True))
    earliest_s = _weighted_quantile(peak_s, n_voxels, EARLY_SHARE)
    early = [group for group in fit if abs(group.shape.peak_s[0] - earliest_s) <= EARLY_S]
    peak_hu, arrival_s, width_s, roughness = _measures(early)
    weight = peak_hu * np.array([group.curve.n_voxels for group in early])
    usual_arrival_s, usual_width_s = (_weighted_quantile(values, weight, USUAL_SHARE) for values in (arrival_s, width_s))
    score = (
        (peak_hu / peak_hu.max())
        * np.exp(-np.abs(arrival_s - usual_arrival_s) / ARRIVAL_SCALE_S)
        * np.minimum(1.0, usual_width_s / width_s)
        * (1.0 - roughness / MAX_ROUGHNESS)
    )
    return _ranked("aif", early, score)


def _weighted_quantile(values: NDArray[np.float64], weight: NDArray[np.float64], share: float) -> float:
    order = np.argsort(values, kind="stable")
    return float(values[order[np.searchsorted(np.cumsum(weight[order]), share * weight.sum())]])


def _veins(groups: tuple[Group, ...], artery: CurveCandidate) -> list[CurveCandidate]:
    """Venous candidates, the best first: full, high and smooth, all of them later than the artery."""
    peak_s = artery.measures["peak_s"]
    later = [group for group in groups if group.shape.peak_s[0] >= peak_s + VENOUS_LAG_S]
    if not later:
        return []
    peak_hu, _, _, roughness = _measures(later)
    area = np.array([group.shape.area[0] for group in later])
    smoothness = 1.0 - roughness / MAX_ROUGHNESS
    return _ranked("vof", later, ((area / area.max()) * (peak_hu / peak_hu.max()) * smoothness) ** (4.0 / 3.0))


def _measures(groups: list[Group]) -> tuple[NDArray[np.float64], ...]:
    shapes = [group.shape for group in groups]
    return tuple(
        np.array([getattr(shape, name)[0] for shape in shapes]) for name in ("peak_hu", "arrival_s", "width_s", "roughness")
    )


def _ranked(role: str, groups: list[Group], product: NDArray[np.float64]) -> list[CurveCandidate]:
    """Candidates in different places by falling score, the geometric mean of four measures; the first is chosen."""
    score = np.maximum(product, 0.0) ** 0.25
    found: list[CurveCandidate] = []
    for n in np.argsort(-score, kind="stable"):
        curve, shape = groups[n].curve, groups[n].shape
        if any(math.dist(curve.location_lps_mm, other.curve.location_lps_mm) < APART_MM for other in found):
            continue
        measures = {
            name: float(getattr(shape, name)[0]) for name in ("peak_hu", "peak_s", "arrival_s", "width_s", "roughness", "end")
        }
        found.append(CurveCandidate(role, curve, not found, float(score[n]), measures))
    return found[:N_SHOWN]


def curve_reasons(aif: Curve, vof: Curve, *, min_bolus_hu: float) -> tuple[str, ...]:
    """Why this pair of curves cannot carry a deconvolution; empty when it can.

    There is deliberately no least height of the artery: partial volume halves or quarters it (median peak 40 HU in 62
    stroke scans, 15 HU in the lowest) and the scaling to the vein undoes that.
    """
    artery, vein = shape_of(aif), shape_of(vof)
    reasons = []
    if vein.peak_hu[0] < min_bolus_hu:
        reasons.append(f"the venous curve rises by {vein.peak_hu[0]:.0f} HU, at least {min_bolus_hu:.0f} HU are needed")
    if artery.peak_s[0] >= aif.times_s[-2]:
        reasons.append(f"the arterial curve still rises at the end of the record, at {aif.times_s[-1]:.0f} s")
    if artery.width_s[0] > MAX_WIDTH_S:
        reasons.append(f"the arterial curve is {artery.width_s[0]:.0f} s wide, at most {MAX_WIDTH_S:.0f} s make a bolus")
    if artery.roughness[0] > MAX_ROUGHNESS:
        reasons.append(f"the arterial curve is too noisy: roughness {artery.roughness[0]:.2f}, at most {MAX_ROUGHNESS}")
    if vein.peak_s[0] <= artery.peak_s[0]:
        reasons.append(f"the vein peaks at {vein.peak_s[0]:.1f} s, not after the artery at {artery.peak_s[0]:.1f} s")
    return tuple(reasons)
