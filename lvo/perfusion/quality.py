"""Measure what limits a CT perfusion, and judge the measures by the table of rules."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.report import Curve, HeadMotion, QualityNote, Severity
from lvo.core.volume import TimeSeries, Volume
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.rules import RULES, Rule
from lvo.perfusion.sampling import frame_interval_s
from lvo.perfusion.shape import Shape, measure, smoothed

__all__ = [
    "Measures",
    "curve_measures",
    "motion_measures",
    "noise_measures",
    "notes_of",
    "record_measures",
    "refusals_of",
]

Measures = Mapping[str, float]

VEIN_WIDTHS = 1.6
"""A record should last this many widths of the venous curve after the bolus came (PMC5134896)."""


def refusals_of(measures: Measures, settings: PerfusionSettings, *, rules: tuple[Rule, ...] = RULES) -> tuple[str, ...]:
    """Why there can be no volumes; empty when there can. Rules whose measure is not there yet are passed over."""
    return tuple(
        f"CT perfusion: {_text(rule, measures, settings)}"
        for rule in rules
        if rule.severity is Severity.REFUSAL and _fires(rule, measures, settings)
    )


def notes_of(measures: Measures, settings: PerfusionSettings, *, rules: tuple[Rule, ...] = RULES) -> tuple[QualityNote, ...]:
    """What a reader should know, one note per code: warnings first."""
    notes: dict[str, QualityNote] = {}
    for rule in rules:
        if rule.severity is not Severity.REFUSAL and rule.code not in notes and _fires(rule, measures, settings):
            notes[rule.code] = QualityNote(rule.code, rule.severity, _text(rule, measures, settings))
    return tuple(sorted(notes.values(), key=lambda note: note.severity is Severity.INFO))


def _limit(rule: Rule, settings: PerfusionSettings) -> float:
    return float(getattr(settings, rule.limit)) if isinstance(rule.limit, str) else rule.limit


def _fires(rule: Rule, measures: Measures, settings: PerfusionSettings) -> bool:
    if rule.measure not in measures:
        return False
    value, limit = measures[rule.measure], _limit(rule, settings)
    return value > limit if rule.sign == ">" else value < limit


def _text(rule: Rule, measures: Measures, settings: PerfusionSettings) -> str:
    return rule.text.format(**measures, limit=_limit(rule, settings))


def record_measures(series: TimeSeries, brain: Volume) -> dict[str, float]:
    """Frames, their times, and how much of the brain they show."""
    times_s, spacing_mm = series.times_s, series.grid.spacing_kji_mm[0]
    shown = np.flatnonzero((brain.array > 0).any(axis=(1, 2)))
    measures = {
        "n_frames": float(times_s.shape[0]),
        "duration_s": max(0.0, float(times_s[-1].min() - times_s[0].max())),  # seen by every slice
        "slice_times_s": float(np.ptp(times_s, axis=1).max()),
        "brain_ml": float((brain.array > 0).sum() * brain.grid.voxel_ml),
        "coverage_mm": float((shown[-1] - shown[0] + 1) * spacing_mm) if shown.size else 0.0,
    }
    return measures | ({"interval_s": frame_interval_s(times_s)} if times_s.shape[0] > 1 else {})


def motion_measures(motion: HeadMotion | None) -> dict[str, float]:
    """How far the head moved in the frames that are used, and how many are not."""
    if motion is None:
        return {}
    return {
        "max_shift_mm": float(motion.shift_mm[motion.used].max()),
        "max_turn_deg": float(motion.turn_deg[motion.used].max()),
        "dropped_share": float(1.0 - motion.used.mean()),
    }


def curve_measures(inputs: Inputs, series: TimeSeries, *, n_baseline: int) -> dict[str, float]:
    """Height, arrival, width and tail of the two input curves, and how densely the first pass was scanned."""
    artery, vein = _shape(inputs.aif), _shape(inputs.vof)
    times_s = inputs.vof.times_s
    arrival_s, vein_arrival_s, vein_width_s = (float(v[0]) for v in (artery.arrival_s, vein.arrival_s, vein.width_s))
    passed_s = float(vein.peak_s[0]) + vein_width_s
    frames_s = series.times_s.mean(axis=1)
    during = (frames_s[1:] > arrival_s) & (frames_s[:-1] < passed_s)
    measures = {
        "baseline_frames": float(n_baseline),
        "aif_peak_hu": float(artery.peak_hu[0]),
        "aif_arrival_s": arrival_s,
        "aif_width_s": float(artery.width_s[0]),
        "aif_end_share": float(artery.end[0]),
        "aif_scale": inputs.scale,
        "vof_peak_hu": float(vein.peak_hu[0]),
        "vof_arrival_s": vein_arrival_s,
        "vof_width_s": vein_width_s,
        "vof_end_share": float(vein.end[0]),
        "vof_lag_s": float(vein.peak_s[0] - artery.peak_s[0]),
        "after_vein_s": float(times_s[-1]) - vein_arrival_s - VEIN_WIDTHS * vein_width_s,
    }
    return measures | ({"first_pass_gap_s": float(np.diff(frames_s)[during].max())} if during.any() else {})


def _shape(curve: Curve) -> Shape:
    return measure(curve.times_s, smoothed(curve.enhancement_hu[:, None].astype(np.float32)))


def noise_measures(tissue_hu: NDArray[np.float32]) -> dict[str, float]:
    """Noise of (T, N) tissue curves, read from their second differences, against their peaks."""
    noise_hu = float(np.median(np.abs(np.diff(tissue_hu, n=2, axis=0)))) / (0.6745 * np.sqrt(6.0))
    peak_hu = float(np.median(tissue_hu.max(axis=0)))
    share = noise_hu / peak_hu if peak_hu > 0 else 1.0
    return {"noise_hu": float(noise_hu), "tissue_peak_hu": peak_hu, "noise_share": float(share)}
