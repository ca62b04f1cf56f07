"""Times of a NIfTI series: what a sidecar may say, what it may not, and a refusal when nobody says."""

import numpy as np
import pytest

from lvo.errors import InputError
from lvo.nifti.times import times_from_header, times_from_sidecar


@pytest.mark.parametrize(
    ("sidecar", "frames_s"),
    [
        pytest.param({"FrameTimesStart": [5, 6.5, 9]}, [0, 1.5, 4], id="start of frames, uneven"),
        pytest.param({"VolumeTiming": [0.0, 1.5, 4.0]}, [0, 1.5, 4], id="volume timing"),
        pytest.param({"AcquisitionTime": ["23:59:58.5", "00:00:00.000", "00:00:02.5"]}, [0, 1.5, 4], id="across midnight"),
        pytest.param({"AcquisitionTime": ["101112.5", "101114", "101116.50"]}, [0, 1.5, 4], id="as DICOM writes it"),
        pytest.param({"AcquisitionTime": [10.0, 11.5, 14.0]}, [0, 1.5, 4], id="acquisition in seconds"),
        pytest.param({"RepetitionTime": 1.5}, [0, 1.5, 3.0], id="equidistant"),
        pytest.param({"AcquisitionTime": "10:11:12", "RepetitionTime": 2}, [0, 2, 4], id="one time of day says nothing"),
    ],
)
def test_frames_have_the_times_of_the_sidecar(sidecar, frames_s):
    found = times_from_sidecar(sidecar, 3, 2)
    np.testing.assert_allclose(found.times_s, np.repeat(np.array(frames_s, float)[:, None], 2, axis=1), atol=1e-9)
    assert "sidecar" in found.notes[0].text


def test_slices_follow_their_frame():
    sidecar = {"RepetitionTime": 2.0, "SliceTiming": [0.5, 0.0, 1.0]}
    np.testing.assert_allclose(times_from_sidecar(sidecar, 2, 3).times_s, [[0.5, 0, 1], [2.5, 2, 3]])
    turned = times_from_sidecar({**sidecar, "SliceEncodingDirection": "k-"}, 2, 3)
    np.testing.assert_allclose(turned.times_s, [[1, 0, 0.5], [3, 2, 2.5]])


def test_every_slice_of_every_frame_may_have_its_own_time():
    """A table that goes to and fro has times that are no sum of frame and slice."""
    found = times_from_sidecar({"FrameTimesStart": [[1, 2, 3], [6, 5, 4]]}, 2, 3)
    np.testing.assert_allclose(found.times_s, [[0, 1, 2], [5, 4, 3]])


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        pytest.param({"FrameTimesStart": [0, 1]}, "has 2 times, the image has 3 frames", id="too few frames"),
        pytest.param({"FrameTimesStart": [0, 2, 1]}, "must grow", id="out of order"),
        pytest.param({"FrameTimesStart": [0, 1, 1]}, "must grow", id="repeated"),
        pytest.param({"FrameTimesStart": [0, 1, None]}, "number", id="a hole"),
        pytest.param({"FrameTimesStart": [0, 1, True]}, "number", id="a truth value"),
        pytest.param({"FrameTimesStart": [0, 1, float("nan")]}, "finite", id="not a number"),
        pytest.param({"FrameTimesStart": []}, "finite", id="empty"),
        pytest.param({"FrameTimesStart": [[0, 1], [2, 3], [4]]}, "as many times in every frame", id="ragged"),
        pytest.param({"FrameTimesStart": [[0], [1], [2]]}, "the image has 2 slices", id="too few slices"),
        pytest.param({"RepetitionTime": 0}, "positive", id="no interval"),
        pytest.param({"RepetitionTime": [1, 2, 3]}, "positive", id="several intervals"),
        pytest.param({"RepetitionTime": "2 s"}, "number", id="text"),
        pytest.param({"AcquisitionTime": ["noon", "1", "2"]}, "times of day", id="no time of day"),
        pytest.param({"RepetitionTime": 2, "SliceTiming": [0, 1, 2]}, "the image has 2 slices", id="slices of another image"),
        pytest.param({"RepetitionTime": 2, "SliceTiming": [0, 1], "SliceEncodingDirection": "j"}, "k or k-", id="another axis"),
        pytest.param(
            {"FrameTimesStart": [[0, 1], [2, 3], [4, 5]], "SliceTiming": [0, 1]}, "every slice already", id="slices twice"
        ),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused(sidecar, words):
    with pytest.raises(InputError, match=words):
        times_from_sidecar(sidecar, 3, 2)


def test_a_sidecar_without_times_gives_none():
    assert times_from_sidecar({"Modality": "CT", "AcquisitionTime": "10:00:00", "SliceTiming": [0, 1]}, 3, 2) is None


@pytest.mark.parametrize(("interval", "unit"), [(1.5, "sec"), (1500.0, "msec"), (1.5e6, "usec")])
def test_the_header_counts_with_its_unit_and_a_warning(interval, unit):
    found = times_from_header(interval, unit, 3, 2)
    np.testing.assert_allclose(found.times_s[:, 1], [0, 1.5, 3])
    assert found.notes[0].severity.value == "warning"


@pytest.mark.parametrize(("interval", "unit"), [(1.5, "unknown"), (0.0, "sec"), (-1.0, "sec"), (float("nan"), "sec")])
def test_times_that_nobody_says_are_refused(interval, unit):
    with pytest.raises(InputError, match=r"cannot be known.*--times"):
        times_from_header(interval, unit, 3, 2)
