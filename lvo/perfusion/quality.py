"""What can be said against a CT perfusion before and after it is analysed: refusals and notes."""

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.report import QualityNote, Severity
from lvo.core.volume import TimeSeries, Volume
from lvo.perfusion.sampling import frame_interval_s

__all__ = ["motion_notes", "noise_notes", "timing_notes", "timing_reasons"]

MIN_BRAIN_ML = 50.0
"""Less brain than this in the slab cannot hold a lesion and its opposite side."""
MAX_INTERVAL_S = 5.0
"""Longer frame intervals miss the arterial peak: first passes are 8 to 12 s wide in half of 62 stroke scans (ISLES 2018)."""
WIDE_INTERVAL_S = 3.0
"""Sampling beyond 3 s biases CBF and MTT (Wintermark 2004, doi:10.1148/radiol.2313030544 recommend at most 3 s)."""
FEW_FRAMES = 20
SHORT_RECORD_S = 50.0
"""Two thirds of 48 s records were truncated in tissue (doi:10.1371/journal.pone.0119409)."""
SHORT_BASELINE = 3
"""Fewer frames before the bolus leave the noise of the baseline in every value."""
NOISY = 0.15
"""Noise of the smoothed tissue curves over their median peak, from which the core is uncertain: on the digital head of the
tests its overlap with the truth is 0.86 at 0.1 and 0.46 at 0.2."""
BONE_HU = 400.0
"""Well above enhanced vessels at usual tube voltages, well below the skull table."""
MIN_BONE_VOXELS = 200
STILL_DICE = 0.90
"""Overlap of the skull with its median over time below which a frame has moved: 1 mm of shift of a 6 mm thick skull gives
about 0.85; noise and partial volume alone leave 0.97."""


def timing_reasons(series: TimeSeries, brain: Volume, settings: PerfusionSettings) -> tuple[str, ...]:
    """Why the record cannot be analysed at all; empty when it can."""
    n_frames = series.array.shape[0]
    reasons = []
    if n_frames < settings.min_frames:
        reasons.append(f"the CT perfusion has {n_frames} time points, at least {settings.min_frames} are needed")
    else:
        duration_s = float((series.times_s[-1] - series.times_s[0]).min())
        interval_s = frame_interval_s(series.times_s)
        if duration_s < settings.min_duration_s:
            reasons.append(f"the CT perfusion lasts {duration_s:.0f} s, at least {settings.min_duration_s:.0f} s are needed")
        if interval_s > MAX_INTERVAL_S:
            reasons.append(
                f"the CT perfusion has one frame every {interval_s:.1f} s, at most {MAX_INTERVAL_S:.0f} s are usable"
            )
    brain_ml = float((brain.array > 0).sum() * brain.grid.voxel_ml)
    if brain_ml < MIN_BRAIN_ML:
        reasons.append(f"the CT perfusion covers {brain_ml:.0f} mL of brain, at least {MIN_BRAIN_ML:.0f} mL are needed")
    return tuple(reasons)


def timing_notes(series: TimeSeries, *, interpolated: bool, n_baseline: int) -> tuple[QualityNote, ...]:
    """What weakens the record without making it useless."""
    n_frames = series.array.shape[0]
    duration_s = float((series.times_s[-1] - series.times_s[0]).min())
    intervals_s = np.diff(series.times_s, axis=0)
    notes = []
    if n_frames < FEW_FRAMES:
        notes.append(_warning("perfusion.few_frames", f"{n_frames} time points; {FEW_FRAMES} or more are usual"))
    if float(np.median(intervals_s)) > WIDE_INTERVAL_S:
        notes.append(_warning(
            "perfusion.sampling",
            f"one frame every {np.median(intervals_s):.1f} s; beyond {WIDE_INTERVAL_S:.0f} s flow and transit time are biased",
        ))  # fmt: skip
    elif float(intervals_s.max()) > 2.0 * float(np.median(intervals_s)):
        notes.append(
            _warning("perfusion.gap", f"a gap of {intervals_s.max():.1f} s between frames was bridged by interpolation")
        )
    if duration_s < SHORT_RECORD_S:
        notes.append(_warning("perfusion.short", f"{duration_s:.0f} s recorded; {SHORT_RECORD_S:.0f} s or more are advised"))
    if n_baseline < SHORT_BASELINE:
        notes.append(
            _warning("perfusion.baseline", f"{n_baseline} frame(s) before the bolus; {SHORT_BASELINE} or more are advised")
        )
    if interpolated:
        notes.append(QualityNote(
            "perfusion.slice_times", Severity.INFO,
            "slices were scanned at different times; each was interpolated to a common time base",
        ))  # fmt: skip
    return tuple(notes)


def noise_notes(tissue_hu: NDArray[np.float32]) -> tuple[QualityNote, ...]:
    """Warn when the noise of (T, N) tissue curves, read from their second differences, is large against their peaks."""
    jitter_hu = float(np.median(np.abs(np.diff(tissue_hu, n=2, axis=0)))) / (0.6745 * np.sqrt(6.0))
    peak_hu = float(np.median(tissue_hu.max(axis=0)))
    if jitter_hu <= NOISY * peak_hu:
        return ()
    return (_warning(
        "perfusion.noise",
        f"noise of {jitter_hu:.1f} HU on tissue curves of {peak_hu:.1f} HU after smoothing: low flow is uncertain, "
        "and with it size and place of the core",
    ),)  # fmt: skip


def motion_notes(series: TimeSeries) -> tuple[QualityNote, ...]:
    """Warn when the skull of some frames does not lie on the skull of most frames. Nothing is corrected."""
    overlap = _skull_overlap(series.array[:, :, ::2, ::2] > BONE_HU)
    if overlap is None:
        return ()
    moved = np.flatnonzero(overlap < STILL_DICE)
    if not moved.size:
        return ()
    return (_warning(
        "perfusion.motion",
        f"the head moved in {moved.size} of {overlap.size} frames (skull overlap down to {overlap.min():.2f}, at least "
        f"{STILL_DICE:.2f} expected); motion was not corrected",
    ),)  # fmt: skip


def _skull_overlap(bone: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Dice of each of (T, K, J, I) bone masks with the voxels that are bone in most frames; None without a skull."""
    usual = bone.sum(axis=0) * 2 > bone.shape[0]
    if int(usual.sum()) < MIN_BONE_VOXELS:
        return None
    both = (bone & usual).sum(axis=(1, 2, 3))
    return np.asarray(2.0 * both / (bone.sum(axis=(1, 2, 3)) + usual.sum()))


def _warning(code: str, text: str) -> QualityNote:
    return QualityNote(code, Severity.WARNING, text)
