# ruff: noqa: ARG005 - clocks are functions of time point and slice, also where they use one of them
"""Loading CT perfusion: which images make a time point, when each was taken, and when that cannot be known."""

import datetime as dt

import numpy as np
import pytest

from lvo.core.study import SeriesRef
from lvo.dicom.load import load_time_series
from lvo.errors import GeometryError

K, T, STEP_S, SLICE_S = 4, 6, 1.5, 0.25
START = dt.datetime(2026, 3, 1, 10, 20, 30, 125000)  # noqa: DTZ001 - DICOM local time


def _when(t, k, start=START):
    """Acquisition of slice k in time point t: slices of one time point are not simultaneous."""
    return start + dt.timedelta(seconds=STEP_S * t + SLICE_S * k)


def _moment(when):
    return when.strftime("%Y%m%d%H%M%S.%f")


def _series(writer, column, clock, keep=None, tags=None):
    """A 4D series, position by position; `clock(t, k)` gives the tags that say when."""
    pairs = [(t, k) for k in range(K) for t in range(T) if keep is None or keep(t, k)]
    values = np.array([np.arange(15).reshape(5, 3) + 1000 * t + 100 * k for t, k in pairs])
    positions = column(K, 5.0)[[k for _, k in pairs]]
    return writer.series(values, positions, each=lambda n: clock(*pairs[n]), tags=tags)


def _by_moment(t, k):
    return {"AcquisitionDateTime": _moment(_when(t, k))}


EXPECTED_S = STEP_S * np.arange(T)[:, None] + SLICE_S * np.arange(K)


def _midnight(t, k):
    return _when(t, k, dt.datetime(2026, 3, 1, 23, 59, 56))  # noqa: DTZ001


@pytest.mark.parametrize(
    "clock",
    [
        pytest.param(_by_moment, id="AcquisitionDateTime"),
        pytest.param(lambda t, k: {"AcquisitionDateTime": _moment(_when(t, k)) + "+0100"}, id="with a time zone"),
        pytest.param(
            lambda t, k: {"AcquisitionDate": "20260301", "AcquisitionTime": _moment(_when(t, k))[8:]}, id="date and time apart"
        ),
        pytest.param(lambda t, k: {"AcquisitionTime": _moment(_when(t, k))[8:]}, id="time without a date"),
        pytest.param(
            lambda t, k: {"AcquisitionDateTime": _moment(START), "AcquisitionTime": _moment(_when(t, k))[8:]},
            id="AcquisitionDateTime is only the start of the series",
        ),
        pytest.param(
            lambda t, k: {"AcquisitionTime": _moment(_when(t, k))[8:], "ContentTime": f"1100{59 - t:02}.{k}"},
            id="ContentTime runs backwards and is trusted less",
        ),
        pytest.param(lambda t, k: {"AcquisitionTime": _moment(_midnight(t, k))[8:]}, id="past midnight, no date"),
        pytest.param(
            lambda t, k: {"AcquisitionDate": "20260301", "AcquisitionTime": _moment(_midnight(t, k))[8:]},
            id="past midnight, the date of the study",
        ),
        pytest.param(lambda t, k: {"AcquisitionDateTime": _moment(_midnight(t, k))}, id="past midnight, with the date"),
    ],
)
def test_times_of_every_slice_come_from_the_most_trusted_clock(writer, make_column, clock):
    """(T, K) seconds after the first image, values ranked by them whatever the order of files and numbers."""
    loaded = load_time_series((_series(writer, make_column, clock),))
    np.testing.assert_allclose(loaded.series.times_s, EXPECTED_S, atol=1e-5)
    t, k, j, i = np.indices((T, K, 5, 3))
    np.testing.assert_array_equal(loaded.series.array, 1000 * t + 100 * k + 3 * j + i)
    np.testing.assert_allclose(loaded.series.grid.to_lps_mm([2, 3, 1]), make_column(K, 5.0)[2] + (0.4, 2.1, 0))
    assert loaded.notes == ()
    assert len(loaded.sop_instance_uids) == K


@pytest.mark.parametrize(
    ("clock", "source"),
    [
        pytest.param(lambda t, k: {"ContentTime": _moment(_when(t, k))[8:]}, "ContentTime", id="ContentTime"),
        pytest.param(
            lambda t, k: {"TemporalPositionIdentifier": t + 1, "TemporalResolution": 1500.0}, "TemporalPosition", id="counted"
        ),
        pytest.param(lambda t, k: {"TriggerTime": 1500.0 * t}, "TriggerTime", id="TriggerTime"),
    ],
)
def test_a_weaker_clock_is_used_and_named(writer, make_column, clock, source):
    """Without acquisition times the next best clock serves, with a note."""
    loaded = load_time_series((_series(writer, make_column, clock),))
    np.testing.assert_allclose(loaded.series.times_s[:, 0], STEP_S * np.arange(T), atol=1e-6)
    (note,) = loaded.notes
    assert note.code == "time.source"
    assert source in note.text


def test_one_series_per_time_point_is_the_same_as_one_series(writer, make_column):
    """Scanners store either; series may come in any order."""
    parts = [_series(writer, make_column, _by_moment, keep=lambda t, k, now=now: t == now) for now in range(T)]
    loaded = load_time_series(tuple(parts[n] for n in (3, 0, 5, 1, 4, 2)))
    np.testing.assert_allclose(loaded.series.times_s, EXPECTED_S, atol=1e-5)
    np.testing.assert_array_equal(loaded.series.array[:, 0, 0, 0], 1000 * np.arange(T))


def test_a_multiframe_perfusion_is_read_from_its_frames(writer, make_column):
    """Enhanced CT: FrameAcquisitionDateTime of each frame."""
    pairs = [(t, k) for t in range(T) for k in range(K)]
    values = np.array([np.full((5, 3), 1000 * t + 100 * k) for t, k in pairs])
    positions = make_column(K, 5.0)[[k for _, k in pairs]]
    series = writer.enhanced(values, positions, lambda n: {"FrameAcquisitionDateTime": _moment(_when(*pairs[n]))})
    loaded = load_time_series((series,))
    np.testing.assert_allclose(loaded.series.times_s, EXPECTED_S, atol=1e-5)
    np.testing.assert_array_equal(loaded.series.array[:, :, 0, 0], 1000 * np.arange(T)[:, None] + 100 * np.arange(K))


@pytest.mark.parametrize(
    ("keep", "which", "first"),
    [
        pytest.param(lambda t, k: t < T - 1 or k < 2, "last", 0, id="aborted at the end"),
        pytest.param(lambda t, k: t > 0 or k >= 1, "first", 1, id="started in the middle"),
    ],
)
def test_an_incomplete_time_point_at_an_end_is_left_out_with_a_note(writer, make_column, keep, which, first):
    """The rest keeps its values and times."""
    loaded = load_time_series((_series(writer, make_column, _by_moment, keep),))
    np.testing.assert_array_equal(loaded.series.array[:, 1, 0, 0], 1000 * np.arange(first, first + T - 1) + 100)
    np.testing.assert_allclose(loaded.series.times_s, EXPECTED_S[: T - 1], atol=1e-5)
    (note,) = loaded.notes
    assert note.code == "time.point_dropped"
    assert f"the {which} of 6 time points lacks" in note.text


def test_a_tilted_perfusion_is_straightened_at_every_time(writer, make_column):
    """The same shear as for a volume."""
    tilted = (1, 0, 0, 0, np.cos(0.3), -np.sin(0.3))
    series = _series(writer, make_column, _by_moment, tags={"ImageOrientationPatient": [f"{x:.9g}" for x in tilted]})
    loaded = load_time_series((series,))
    assert loaded.series.array.shape[:2] == (T, K)
    assert loaded.series.array.shape[2] > 5
    assert [note.code for note in loaded.notes] == ["geometry.tilt_corrected"]


def test_a_pause_is_noted(writer, make_column):
    """Half of the time points come 10 s later: usable, but said."""
    loaded = load_time_series(
        (_series(writer, make_column, lambda t, k: {"AcquisitionDateTime": _moment(_when(t + 7 * (t > 2), k))}),)
    )
    assert loaded.series.times_s[3, 0] == pytest.approx(15.0)
    assert "1 of 5 intervals between time points last up to 12.0 s, 1.5 s is typical" in loaded.notes[0].text


@pytest.mark.parametrize(
    ("clock", "says"),
    [
        pytest.param(lambda t, k: {}, "of 24 images cannot be known: no image has a time", id="no time at all"),
        pytest.param(
            lambda t, k: {"AcquisitionDateTime": _moment(START), "ContentTime": "102030"},
            "AcquisitionDateTime is the same for 20 images of one position; .*ContentTime is the same",
            id="every image has the start of the series",
        ),
        pytest.param(
            lambda t, k: _by_moment(t, k) if t else {}, "AcquisitionDateTime is in 20 of 24 images", id="some images without"
        ),
        pytest.param(lambda t, k: {"AcquisitionTime": f"10{t:02}"}, "no image has a time", id="minutes only"),
        pytest.param(lambda t, k: {"TemporalPositionIdentifier": t + 1}, "no image has a time", id="counted, no step"),
    ],
)
def test_an_unknown_time_is_refused(writer, make_column, clock, says):
    """Perfusion without times would be invented."""
    with pytest.raises(GeometryError, match=says):
        load_time_series((_series(writer, make_column, clock),))


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        pytest.param(lambda t, k: (t, k) != (3, 1), "scanned 5 times, others 6", id="a hole in the middle"),
        pytest.param(lambda t, k: (t, k) not in ((0, 1), (5, 2)), "scanned 5 times, others 6", id="holes at both ends"),
        pytest.param(lambda t, k: k != 1 or t > 2, "scanned 3 to 6 times", id="a position scanned half as often"),
        pytest.param(lambda t, k: k != 1, r"gap after slice 1 of 3 is 10\.000 mm", id="a position missing throughout"),
        pytest.param(lambda t, k: t == 0, "cannot be known|1 image per position", id="one time point"),
    ],
)
def test_missing_images_are_refused(writer, make_column, keep, says):
    """A time point in the middle must be complete."""
    with pytest.raises(GeometryError, match=says):
        load_time_series((_series(writer, make_column, _by_moment, keep),))


def test_a_table_that_moved_sideways_is_refused(writer, make_column):
    """Every time point must show the same positions."""
    first = _series(writer, make_column, _by_moment, keep=lambda t, k: t < 3)
    moved = _series(writer, lambda *a: make_column(*a) + (2.0, 0, 0), _by_moment, keep=lambda t, k: t >= 3)
    with pytest.raises(GeometryError, match=r"displaced by up to 2\.00 mm"):
        load_time_series((first, moved))


def test_an_empty_series_is_refused():
    """Nothing to load is not a time series."""
    with pytest.raises(GeometryError, match="no images"):
        load_time_series((SeriesRef("1.2", "CT", "", None, ()),))
