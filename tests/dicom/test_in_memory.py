"""Loading takes little more memory than the volume it answers, whatever has to be done to the slices on the way."""

import tracemalloc

import numpy as np
import pytest

from lvo.dicom.load import load_time_series, load_volume
from lvo.errors import GeometryError

SHAPE = (160, 128, 112)
MOST = 1.3
"""Of the volume."""


def _peak_bytes(load):
    """What a second call takes at most, and its answer: the first one fills the caches."""
    load()
    tracemalloc.start()
    try:
        answer = load()
        return tracemalloc.get_traced_memory()[1], answer
    finally:
        tracemalloc.stop()


def _positions(tilt_deg):
    """Slices 1 mm apart along the table, and the orientation they have under that tilt."""
    t = np.radians(tilt_deg)
    return np.arange(SHAPE[0])[:, None] * np.array([0.0, 0.0, 1.0]), (1, 0, 0, 0, np.cos(t), -np.sin(t))


@pytest.mark.parametrize("whole_hu", [True, False], ids=["int16", "float32"])
@pytest.mark.parametrize(
    ("tilt_deg", "each"),
    [
        pytest.param(0.0, None, id="plain"),
        pytest.param(0.0, lambda n: {"RescaleSlope": 1 + n / 1000, "RescaleIntercept": -1024 - n}, id="rescale per slice"),
        pytest.param(0.0, lambda _: {"PixelRepresentation": 1, "PixelPaddingValue": -1500}, id="padding"),
        pytest.param(14.0, None, id="tilted"),
    ],
)
def test_a_volume_takes_little_beside_itself(writer, whole_hu, tilt_deg, each):
    """Every slice is read, rescaled and shifted in the memory of the volume."""
    positions, orientation = _positions(tilt_deg)
    series = writer.series(np.full(SHAPE, 40), positions, orientation, {"SliceThickness": 1.0}, each)
    peak, loaded = _peak_bytes(lambda: load_volume(series, whole_hu=whole_hu))
    assert loaded.volume.array.dtype == (np.int16 if whole_hu else np.float32)
    assert peak <= MOST * loaded.volume.array.nbytes


@pytest.mark.parametrize("tilt_deg", [0.0, 14.0], ids=["plain", "tilted"])
def test_a_time_series_takes_little_beside_itself(writer, tilt_deg):
    """Every volume of it is shifted in its own memory, too."""
    positions, orientation = _positions(tilt_deg)
    times = 5
    series = writer.series(
        np.full((times * 32, *SHAPE[1:]), 40),
        np.repeat(positions[:32], times, axis=0),
        orientation,
        each=lambda n: {"AcquisitionTime": f"1000{n % times:02d}"},
    )
    peak, loaded = _peak_bytes(lambda: load_time_series((series,)))
    assert loaded.series.array.shape[:2] == (times, 32)
    assert peak <= MOST * loaded.series.array.nbytes


def test_resampling_takes_a_second_volume_at_most(writer):
    """A plain CT with two distances has more slices afterwards."""
    z = np.cumsum([0.0, *[2.0] * 39, *[4.0] * 40])
    series = writer.series(np.full((80, *SHAPE[1:]), 40), z[:, None] * np.array([0.0, 0.0, 1.0]), tags={"SliceThickness": 4.0})
    peak, loaded = _peak_bytes(lambda: load_volume(series, allow_uneven=True))
    assert loaded.volume.grid.shape_kji[0] == 120
    assert peak <= 2 * loaded.volume.array.nbytes


def test_a_grid_without_bounds_is_never_made(writer):
    """Positions a kilometre apart that drift as under a gantry of 40 degrees: 1.7 million pixels a side would hold them."""
    positions = np.arange(6)[:, None] * np.array([839.0, 0.0, 1000.0]) * 1000
    series = writer.series(np.zeros((6, 12, 12)), positions)
    tracemalloc.start()
    with pytest.raises(GeometryError, match="beyond any CT"):
        load_volume(series)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
