"""Studies that are analysed in seconds."""

import numpy as np

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series


def grid(shape=(6, 40, 36), spacing=(8.0, 5.0, 5.2)):
    axes = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    return Grid.from_axes(shape, spacing, origin_lps_mm=(-90.0, -95.0, 10.0), axes_lps=axes)


def head_hu(on):
    """Brain in a skull in air."""
    _, j, i = np.indices(on.shape_kji)
    radius = np.hypot(
        (j - on.shape_kji[1] / 2) / (0.42 * on.shape_kji[1]), (i - on.shape_kji[2] / 2) / (0.42 * on.shape_kji[2])
    )
    return np.select([radius < 0.9, radius < 1.0, radius < 1.06], [35.0, 1100.0, 40.0], -1000.0).astype(np.float32)


def plain_study(folder, seed):
    """Thick plain CT only: a real study that is refused with a reason, at once."""
    folder.mkdir(parents=True)
    header = SeriesHeader(StudyHeader(seed=f"plain {seed}"), 2, "Head plain")
    write_ct_series(Volume(head_hu(grid()), grid(), Quantity.HU), folder, header)
    return str(header.study.uid("study"))
