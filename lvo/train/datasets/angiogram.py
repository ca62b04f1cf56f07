"""An angiogram from a CT perfusion: the frame of the arterial peak, or the highest value of every voxel over time.

For data sets that have no CT angiogram (ISLES 2018, UniToBrain), or whose labels are worth more images (ISLES 2024). It has the
slices, the noise and the coverage of the perfusion scan; nothing here makes a slab cover a head. Frames are taken as they are:
heads that move blur the highest values.
"""

from typing import Literal

import numpy as np

from lvo.config import PerfusionSettings
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.volume import TimeSeries, Volume
from lvo.image.brain import find_brain
from lvo.perfusion.arterial import select_inputs
from lvo.perfusion.sampling import find_bolus, remove_baseline, sample
from lvo.perfusion.tissue import intracranial

__all__ = ["Angiogram", "pseudo_angiogram"]

Angiogram = Literal["peak", "mip", ""]
"""How it is made; empty for an angiogram that was scanned as one."""

_UNENHANCED_FRAMES = 2


def pseudo_angiogram(series: TimeSeries, how: Angiogram) -> Assessed[Volume] | NotAssessable:
    """Make an angiogram.

    Args:
        series: (T, K, J, I) HU; the order of the frames counts, their times need not be right.
        how: "peak": every slice at the time when the artery that perfusion analysis would choose is brightest, so that veins
            are still dark. "mip": the maximum over time, which shows late collaterals, and veins as bright as arteries, and
            lifts the noise.

    Returns:
        The angiogram on the grid of the series; or why there is none: no head, no bolus, no artery.
    """
    unenhanced = series.array[:_UNENHANCED_FRAMES].mean(axis=0, dtype=np.float32)
    brain = find_brain(Volume(unenhanced, series.grid, series.quantity))
    if isinstance(brain, NotAssessable):
        return brain
    sampled = sample(series, intracranial(series, brain.value))
    n_baseline = find_bolus(sampled, min_bolus_hu=PerfusionSettings().min_bolus_hu)
    if isinstance(n_baseline, NotAssessable):
        return n_baseline
    if how == "mip":
        return Assessed(Volume(series.array.max(axis=0), series.grid, series.quantity))
    inputs = select_inputs(remove_baseline(sampled, n_baseline))
    if isinstance(inputs, NotAssessable):
        return inputs
    peak_s = float(inputs.aif.times_s[int(inputs.aif.enhancement_hu.argmax())])
    frame_of_slice = np.abs(series.times_s - peak_s).argmin(axis=0)
    values = series.array[frame_of_slice, np.arange(series.grid.shape_kji[0])]
    return Assessed(Volume(values, series.grid, series.quantity))
