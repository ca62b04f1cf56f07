"""CT perfusion: files to maps and volumes."""

import numpy as np

from lvo import perfusion
from lvo.config import Config
from lvo.core.grid import Grid, Plane
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.report import PerfusionResult, QualityNote, Severity
from lvo.core.volume import Volume
from lvo.dicom.load import LoadedTimeSeries, load_time_series
from lvo.dicom.select import Selection
from lvo.errors import InputError
from lvo.image.brain import find_brain
from lvo.image.midplane import find_midplane
from lvo.pipeline.angiogram import Angiogram
from lvo.pipeline.records import Progress

__all__ = ["analyze_perfusion"]

BASELINE_FRAMES = 3
"""Frames before the bolus that are averaged to find head and mid-plane: protocols scan at least three before it comes."""

_BORROWED = QualityNote(
    "ctp.midplane_from_cta",
    Severity.WARNING,
    "the mid-plane of the head was not found in the CT perfusion; that of the CT angiogram is used, which is wrong if the head "
    "moved between the scans",
)


def analyze_perfusion(
    selection: Selection, config: Config, progress: Progress, angiogram: Angiogram, *, wanted: bool
) -> tuple[LoadedTimeSeries | None, Outcome[PerfusionResult]]:
    """Load, prepare and judge the CT perfusion of a study.

    Args:
        selection: which series.
        config: settings.
        progress: gathers times and notes.
        angiogram: how the head lay there, for a mid-plane where the perfusion scan shows none.
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
        found = find_midplane(baseline, brain.value)
        midplane = found.value if isinstance(found, Assessed) else _midplane_of(angiogram, series.grid)
    if midplane is None:
        return loaded, NotAssessable(("CT perfusion: the mid-plane of the head was not found, so sides cannot be compared",))
    if not isinstance(found, Assessed):
        progress.notes.append(_BORROWED)
    with progress.stage("ctp.perfusion"):
        outcome = perfusion.analyze(series, brain.value, midplane, config.perfusion)
    return loaded, outcome


def _midplane_of(angiogram: Angiogram, grid: Grid) -> Plane | None:
    """The angiogram's mid-plane, where its positions mean the same as those of the grid.

    Equal numbers are equal places only within one frame of reference (PS3.3 C.7.4.1.1.1); between two, the patient may have
    been laid anew.
    """
    if angiogram.pose is None or angiogram.loaded is None:
        return None
    uid = angiogram.loaded.volume.grid.frame_of_reference_uid
    return angiogram.pose.midplane if uid and uid == grid.frame_of_reference_uid else None
