"""CT perfusion: files to maps and volumes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo import perfusion
from lvo.config import Config
from lvo.core.anatomy import is_below_tentorium
from lvo.core.grid import Grid
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.pose import HeadPose
from lvo.core.report import PerfusionResult, QualityNote, Severity, TimeToPeakFallback
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.load import LoadedTimeSeries, load_time_series
from lvo.dicom.select import Selection
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.image.midplane import find_midplane
from lvo.image.motion import correct_motion
from lvo.pipeline.angiogram import Angiogram
from lvo.pipeline.records import Progress

__all__ = ["Judged", "Perfusion", "analyze_perfusion", "judge_series"]

MAX_BASELINE_FRAMES = 5
"""Frames before the bolus that are averaged to find head and mid-plane: noise is halved, and a slow drift does not blur."""
EVERY = 4
"""Every fourth row and column shows when the bolus comes."""
SOFT_HU = (0.0, 120.0)
"""Brain and blood without contrast agent, with the noise of single frames."""
BOLUS_SHARE = 0.01
"""Share of the soft voxels, by how much they change, that shows the bolus: vessels fill a few per cent of the head."""
ARRIVED = 0.15
"""The bolus is there once the curve of these voxels has risen by this share of its rise."""

TENTORIUM_MM = 5.0
"""How well the tentorium is known: 3 mm in the atlas, a few more between heads and scans."""

_BORROWED = QualityNote(
    "ctp.midplane_from_cta",
    Severity.WARNING,
    "the mid-plane of the head was not found in the CT perfusion; that of the CT angiogram is used, which is wrong if the head "
    "moved between the scans",
)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The outcome of one time series, and late tissue by time to peak where it could not be judged for want of an artery."""

    outcome: Assessed[PerfusionResult] | NotAssessable
    fallback: TimeToPeakFallback | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Perfusion:
    """What became of the CT perfusion of a study; `loaded` is None when it did not come that far."""

    outcome: Outcome[PerfusionResult]
    loaded: LoadedTimeSeries | None = None
    fallback: TimeToPeakFallback | None = None


def analyze_perfusion(
    selection: Selection, config: Config, progress: Progress, angiogram: Angiogram, *, wanted: bool
) -> Perfusion:
    """Load, prepare and judge the CT perfusion of a study.

    Args:
        selection: which series.
        config: settings.
        progress: gathers times and notes.
        angiogram: how the head lay there, for a mid-plane where the perfusion scan shows none.
        wanted: False leaves the part out.
    """
    if not wanted or not selection.ctp:
        return Perfusion(Absent(selection.missing_ctp if wanted else "CT perfusion was not asked for"))
    try:
        with progress.stage("ctp.load"):
            loaded = load_time_series(selection.ctp)
    except InputError as error:
        return Perfusion(NotAssessable((f"CT perfusion: {error}",)))
    progress.notes += loaded.notes
    judged = judge_series(loaded.series, config, progress, pose=_pose_of(angiogram, loaded.series.grid))
    return Perfusion(judged.outcome, loaded, judged.fallback)


def judge_series(series: TimeSeries, config: Config, progress: Progress, *, pose: HeadPose | None = None) -> Judged:
    """Bring the frames onto each other, find the head in them and judge its perfusion: everything after loading.

    Args:
        series: (T, K, J, I) HU with the time of every slice.
        config: settings.
        progress: gathers times, notes, and the unenhanced head as volume "ctp".
        pose: how the head lies, when another scan in the same frame of reference has shown it. It tells where the posterior
            fossa is, and lends its mid-plane, with a warning, where this scan shows none.
    """
    with progress.stage("ctp.motion"):
        stilled = correct_motion(series)
    if isinstance(stilled, NotAssessable):
        return Judged(_named(stilled))
    series, motion = stilled.value.series, stilled.value.motion
    progress.notes += stilled.value.notes
    with progress.stage("ctp.prepare"):
        n_before = min(MAX_BASELINE_FRAMES, _frames_before_bolus(series.array))
        baseline = Volume(series.array[:n_before].mean(axis=0, dtype=np.float32), series.grid, series.quantity)
        progress.volumes["ctp"] = baseline
        brain = find_brain(baseline)
        if isinstance(brain, NotAssessable):
            return Judged(_named(brain))
        found = find_midplane(baseline, brain.value)
    if isinstance(found, Assessed):
        midplane = found.value
    elif pose is not None:
        midplane = pose.midplane
        progress.notes.append(_BORROWED)
    else:
        return Judged(_named(NotAssessable(("the mid-plane of the head was not found, so sides cannot be compared",))))
    with progress.stage("ctp.perfusion"):
        below = None if pose is None else _below_tentorium(series.grid, pose)
        outcome = perfusion.analyze(series, brain.value, midplane, config.perfusion, motion=motion, below_tentorium=below)
        if not isinstance(outcome, perfusion.NoInputCurve):
            return Judged(outcome)
        return Judged(outcome, perfusion.late_by_time_to_peak(series, brain.value, midplane, config.perfusion))


def _named(refusal: NotAssessable) -> NotAssessable:
    return NotAssessable(tuple(f"CT perfusion: {reason}" for reason in refusal.reasons))


def _below_tentorium(grid: Grid, pose: HeadPose) -> Volume:
    """Mask of what lies in the posterior fossa even if the tentorium is `TENTORIUM_MM` lower than expected."""
    points_lps_mm = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    raised_mm = pose.to_atlas_mm(points_lps_mm) + (0.0, 0.0, TENTORIUM_MM)
    return Volume(is_below_tentorium(raised_mm), grid, Quantity.MASK)


def _frames_before_bolus(array: NDArray[np.generic]) -> int:
    """Number of (T, K, J, I) frames before contrast agent shows anywhere, at least 1."""
    few = array[:, :, ::EVERY, ::EVERY].reshape(array.shape[0], -1).astype(np.float32)
    level = np.median(few, axis=0)
    soft = few[:, (level > SOFT_HU[0]) & (level < SOFT_HU[1])]
    if soft.shape[1] == 0:
        return 1
    smooth = np.median(np.stack([soft[:-2], soft[1:-1], soft[2:]]), axis=0) if len(soft) > 2 else soft
    change = smooth.max(axis=0) - smooth[0]
    n_vessel = max(1, round(BOLUS_SHARE * soft.shape[1]))
    curve = soft[:, np.argpartition(change, -n_vessel)[-n_vessel:]].mean(axis=1)
    peak = int(curve.argmax())
    low = float(curve[: peak + 1].min())
    risen = np.flatnonzero(curve[: peak + 1] > low + ARRIVED * (float(curve[peak]) - low))
    after_low = risen[risen > int(curve[: peak + 1].argmin())]
    return max(1, int(after_low[0]) if after_low.size else 1)


def _pose_of(angiogram: Angiogram, grid: Grid) -> HeadPose | None:
    """The pose of the head in the angiogram, where its positions mean the same as those of the grid.

    Equal numbers are equal places only within one frame of reference (PS3.3 C.7.4.1.1.1); between two, the patient may have
    been laid anew.
    """
    if angiogram.pose is None or angiogram.loaded is None:
        return None
    uid = angiogram.loaded.volume.grid.frame_of_reference_uid
    return angiogram.pose if uid and uid == grid.frame_of_reference_uid else None
