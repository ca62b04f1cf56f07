"""CT perfusion: files to maps and volumes."""

import numpy as np

from lvo import perfusion
from lvo.config import Config
from lvo.core.grid import Plane
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.pose import HeadPose
from lvo.core.report import PerfusionResult
from lvo.core.volume import Volume
from lvo.dicom.load import LoadedTimeSeries, load_time_series
from lvo.dicom.select import Selection
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.image.midplane import find_midplane
from lvo.pipeline.records import Progress

__all__ = ["analyze_perfusion"]

BASELINE_FRAMES = 3
"""Frames before the bolus that are averaged to find head and mid-plane: protocols scan at least three before it comes."""


def analyze_perfusion(
    selection: Selection, config: Config, progress: Progress, pose: HeadPose | None, *, wanted: bool
) -> tuple[LoadedTimeSeries | None, Outcome[PerfusionResult]]:
    """Load, prepare and judge the CT perfusion of a study.

    Args:
        selection: which series.
        config: settings.
        progress: gathers times and notes.
        pose: how the head lay in the angiogram, for a mid-plane where the perfusion scan shows none.
        wanted: False leaves the part out.
    """
    if not wanted or not selection.ctp:
        return None, Absent(selection.missing_ctp if wanted else "CT perfusion was not asked for")
    try:
        with progress.stage("ctp.load"):
            loaded = load_time_series(selection.ctp)
    except InputError as error:
        return None, NotAssessable((f"CT perfusion: {error}",))
    progress.notes += loaded.notes
    series = loaded.series
    with progress.stage("ctp.prepare"):
        baseline = Volume(series.array[:BASELINE_FRAMES].mean(axis=0, dtype=np.float32), series.grid, series.quantity)
        brain = find_brain(baseline)
        if isinstance(brain, NotAssessable):
            return loaded, NotAssessable(tuple(f"CT perfusion: {reason}" for reason in brain.reasons))
        midplane = _midplane(find_midplane(baseline, brain.value), pose)
    if midplane is None:
        return loaded, NotAssessable(("CT perfusion: the mid-plane of the head was not found, so sides cannot be compared",))
    with progress.stage("ctp.perfusion"):
        outcome = perfusion.analyze(series, brain.value, midplane, config.perfusion)
    if isinstance(outcome, Assessed):
        progress.notes += outcome.value.notes
    return loaded, outcome


def _midplane(found: Assessed[Plane] | NotAssessable, pose: HeadPose | None) -> Plane | None:
    """The perfusion scan's own mid-plane, or else that of the angiogram: both lie in one scanner space."""
    if isinstance(found, Assessed):
        return found.value
    return pose.midplane if pose is not None else None
