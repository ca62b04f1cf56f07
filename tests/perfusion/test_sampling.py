"""Curves stay as scanned and know when that was; a few come to one time base; the baseline ends before the bolus."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.core.volume import TimeSeries
from lvo.perfusion.sampling import find_bolus, frames_before, remove_baseline, sample, uniform_times_s

SHAPE = (3, 4, 5)


def series_of(function, times_s, baseline=40.0):
    """Every voxel follows function(t) above the baseline; slices at their own times."""
    grid = Grid.from_axes(SHAPE, (5.0, 2.0, 1.5), origin_lps_mm=(3.0, 4.0, 5.0))
    array = baseline + np.broadcast_to(function(times_s)[:, :, None, None], (times_s.shape[0], *SHAPE))
    return TimeSeries(array.astype(np.float32), grid, times_s)


def test_equal_times_are_copied_untouched(forms):
    """A few milliseconds of jitter count as equal."""
    times_s = 1.5 * np.arange(30)[:, None] + np.array([0.0, 0.004, 0.01])
    series = series_of(forms.artery, times_s)
    sampled = sample(series, np.ones(SHAPE, bool))
    assert sampled.frames is None
    np.testing.assert_array_equal(sampled.hu, series.array.reshape(30, -1))
    np.testing.assert_array_equal(remove_baseline(sampled, 3).at_base(np.array([0, 59])), sampled.hu[:, [0, 59]] - 40.0)


def test_curves_stay_as_scanned_and_know_their_times(forms):
    """Slices up to a frame apart keep their own values and times; two slices scanned together share them."""
    times_s = 1.5 * np.arange(40)[:, None] + np.array([0.0, 0.7, 0.0])
    series = series_of(forms.artery, times_s)
    sampled = sample(series, np.ones(SHAPE, bool))
    np.testing.assert_array_equal(sampled.hu, series.array.reshape(40, -1))
    assert sampled.frames.times_s.shape == (2, 40)
    own_s = sampled.frames.times_s[sampled.frames.row].T
    np.testing.assert_allclose(own_s, np.repeat(times_s, 20, axis=1))
    few = sampled.frames.of(np.array([0, 20, 59]))
    assert few.row[0] == few.row[2] != few.row[1]
    assert [(row, here.start, here.stop) for row, here in sampled.frames.runs()] == [(0, 0, 20), (1, 20, 40), (0, 40, 60)]


def test_curves_at_the_base(forms):
    """Brought to the base, slices up to a frame apart show the same curve: as scanned they differ by tens of HU."""
    times_s = 1.5 * np.arange(40)[:, None] + np.array([0.0, 0.7, 1.3])
    sampled = sample(series_of(forms.artery, times_s), np.ones(SHAPE, bool))
    curves = remove_baseline(sampled, 3)
    truth = forms.artery(sampled.times_s)[:, None]
    assert np.abs(curves.at_base(np.array([59, 0, 30])) - truth).max() < 0.05 * 400.0
    assert np.abs(curves.enhancement_hu[:, 0] - curves.enhancement_hu[:, 59]).max() > 60.0


def test_baseline_of_slices_scanned_at_other_times(forms):
    """Frames before the given time of the base, in each slice by its own times; a frame into the bolus would add 10 HU."""
    times_s = 1.5 * np.arange(40)[:, None] + np.array([0.0, 0.7, 1.4])
    sampled = sample(series_of(forms.artery, times_s), np.ones(SHAPE, bool))
    n_before = int(np.searchsorted(sampled.times_s, 8.0))
    curves = remove_baseline(sampled, n_before)
    np.testing.assert_allclose(curves.baseline_hu, 40.0, atol=1e-3)
    assert remove_baseline(sampled, n_before + 2).baseline_hu.min() > 42.0


def test_base_lies_inside_every_slice():
    times_s = 2.0 * np.arange(20)[:, None] + np.array([0.0, 0.5, 1.5])
    base_s = uniform_times_s(times_s)
    assert base_s[0] == pytest.approx(1.5)
    assert base_s[-1] <= 38.0
    np.testing.assert_allclose(np.diff(base_s), 2.0)


def test_dense_then_sparse_frames(forms):
    """The base keeps the dense interval; curves brought to it bridge the gap."""
    times_s = np.concatenate([np.arange(0, 40, 2.0), np.arange(40, 70, 5.0)])
    sampled = sample(series_of(forms.artery, np.repeat(times_s[:, None], 3, axis=1)), np.ones(SHAPE, bool))
    np.testing.assert_allclose(np.diff(sampled.times_s), 2.0)
    at_base = remove_baseline(sampled, 3).at_base(np.array([0]))[:, 0]
    assert np.abs(at_base - forms.artery(sampled.times_s)).max() < 0.05 * 400.0


def test_only_masked_voxels_and_in_order(forms):
    mask = np.zeros(SHAPE, bool)
    mask[0, 1, 2] = mask[2, 3, 0] = mask[2, 0, 4] = True
    sampled = sample(series_of(forms.artery, np.repeat(1.5 * np.arange(30)[:, None], 3, axis=1)), mask)
    assert sampled.hu.shape == (30, 3)
    assert list(zip(*sampled.voxel_kji, strict=True)) == [(0, 1, 2), (2, 0, 4), (2, 3, 0)]
    curves = remove_baseline(sampled, 4)
    volume = curves.volume(np.array([1.0, 2.0, 3.0]))
    assert volume[2, 3, 0] == 3.0
    assert volume.sum() == 6.0


def test_baseline_ends_before_the_bolus(forms):
    """The artery starts at 8 s: frames up to 7.5 s are free of it, one is left out for safety."""
    times_s = 1.5 * np.arange(40)
    assert frames_before(forms.artery(times_s)) == 5
    assert frames_before(forms.artery(times_s, start_s=20.0)) == 13
    assert frames_before(forms.artery(times_s, start_s=-2.0)) == 1


def sampled_of(forms, **bolus):
    return sample(
        series_of(lambda t: forms.vein(t, **bolus), np.repeat(1.5 * np.arange(40)[:, None], 3, axis=1)), np.ones(SHAPE, bool)
    )


def test_first_guess_of_the_baseline_is_early(forms):
    """Never a frame in which an artery may already have risen (8 s), even when only veins are seen."""
    assert 1 <= find_bolus(sampled_of(forms), min_bolus_hu=20.0) * 1.5 <= 8.0


@pytest.mark.parametrize(
    ("bolus", "words"),
    [
        pytest.param({"peak_hu": 10.0}, "no contrast bolus", id="no bolus"),
        pytest.param({"start_s": 200.0}, "no contrast bolus", id="bolus after the scan"),
        pytest.param({"start_s": -60.0}, "no contrast bolus", id="bolus before the scan"),
        pytest.param({"start_s": 53.0}, "still rising", id="cut off in the rise"),
    ],
)
def test_no_usable_bolus(forms, bolus, words):
    found = find_bolus(sampled_of(forms, **bolus), min_bolus_hu=20.0)
    assert isinstance(found, NotAssessable)
    assert words in found.reasons[0]
    assert any(character.isdigit() for character in found.reasons[0])
