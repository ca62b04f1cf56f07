"""Motion and noise are noticed, stillness is not; tissue smoothing keeps to its mask."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.volume import TimeSeries
from lvo.perfusion.quality import motion_notes, noise_notes, timing_notes
from lvo.perfusion.sampling import VoxelCurves
from lvo.perfusion.tissue import smooth_in_plane


def skull_series(shift_mm_of_frame, noise_hu=5.0):
    """A 7 mm thick elliptic skull that is shifted in some frames; 1.2 mm voxels, bone partial volume at the edges."""
    y, x = (np.arange(-80, 80)[:, None] * 1.2, np.arange(-70, 70)[None] * 1.2)
    frames = []
    for shift_mm in shift_mm_of_frame:
        radius = np.hypot((x - shift_mm) / 70.0, y / 85.0)
        wall = np.clip(3.5 - np.abs(radius - 1.0) * 75.0 + 0.5, 0.0, 1.0)
        frames.append(np.repeat((40.0 + 1100.0 * wall)[None], 3, axis=0))
    array = np.array(frames) + np.random.default_rng(0).normal(0.0, noise_hu, (len(frames), 3, 160, 140))
    grid = Grid.from_axes((3, 160, 140), (5.0, 1.2, 1.2), origin_lps_mm=(0.0, 0.0, 0.0))
    return TimeSeries(array.astype(np.float32), grid, np.repeat(1.5 * np.arange(len(frames))[:, None], 3, axis=1))


@pytest.mark.parametrize("shift_mm", [1.5, 3.0, 8.0])
def test_motion_is_noted_with_its_frames(shift_mm):
    shifts = np.zeros(15)
    shifts[[4, 5, 11]] = shift_mm
    (note,) = motion_notes(skull_series(shifts))
    assert note.code == "perfusion.motion"
    assert "3 of 15 frames" in note.text


def test_a_still_head_has_no_note():
    assert motion_notes(skull_series(np.zeros(15), noise_hu=20.0)) == ()


def test_without_a_skull_nothing_is_claimed():
    series = skull_series(np.zeros(10))
    soft = TimeSeries(np.minimum(series.array, 60.0), series.grid, series.times_s)
    assert motion_notes(soft) == ()


def test_noise_is_told_from_signal():
    times_s = 1.5 * np.arange(45)
    bolus = 10.0 * np.exp(-(((times_s - 20.0) / 6.0) ** 2))[:, None]
    noise = np.random.default_rng(1).normal(0.0, 1.0, (45, 500))
    assert noise_notes((bolus + 0.3 * noise).astype(np.float32)) == ()
    (note,) = noise_notes((bolus + 3.0 * noise).astype(np.float32))
    assert "2.9 HU" in note.text


def test_a_gap_between_frames_is_noted():
    series = skull_series(np.zeros(30))
    times_s = series.times_s + np.where(np.arange(30) > 12, 4.0, 0.0)[:, None]
    moved = TimeSeries(series.array, series.grid, times_s)
    assert "perfusion.gap" in {note.code for note in timing_notes(moved, interpolated=True, n_baseline=5)}
    assert "perfusion.gap" not in {note.code for note in timing_notes(series, interpolated=False, n_baseline=5)}


def test_smoothing_keeps_to_its_mask_and_slice():
    """A constant stays constant up to the edge, voxels outside do not leak in, slices do not mix, noise falls."""
    shape = (2, 30, 26)
    grid = Grid.from_axes(shape, (5.0, 1.0, 1.5), origin_lps_mm=(0.0, 0.0, 0.0))
    kji = np.nonzero(np.ones(shape, bool))
    values = np.where(kji[0] == 0, 10.0, 50.0)[None].astype(np.float32)
    vessel = (kji[1] == 15) & (kji[2] == 13)
    values[0, vessel] = 999.0
    curves = VoxelCurves(np.array([0.0]), values, values[0], kji, grid, 1)
    smooth = smooth_in_plane(curves, values, ~vessel, sigma_mm=2.0)
    np.testing.assert_allclose(smooth[0], values[0, ~vessel], rtol=1e-5)
    noise = np.random.default_rng(0).normal(0.0, 1.0, values.shape).astype(np.float32)
    fallen = smooth_in_plane(curves, noise, ~vessel, sigma_mm=2.0).std()
    assert fallen == pytest.approx(1.0 / np.sqrt(4 * np.pi * 4.0 / 1.5), rel=0.25)  # sigma^2 over the voxel area
    np.testing.assert_array_equal(smooth_in_plane(curves, noise, ~vessel, sigma_mm=0.0), noise[:, ~vessel])
