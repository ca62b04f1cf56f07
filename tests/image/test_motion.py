"""Heads that move during a CT perfusion are followed and brought back; frames beyond help are left out and named."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid, transform
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import Severity
from lvo.core.volume import AIR_HU, Quantity, TimeSeries, Volume
from lvo.image.motion import STILL_MM, correct_motion
from lvo.image.rigid import align, coarse, coarse_grid, find_skull, prepare

CENTRE = np.array([3.0, -5.0, 12.0])
TIMES_S = 1.5 * np.arange(14)


def slab_grid(shape_kji=(16, 120, 112), spacing_kji_mm=(5.0, 1.9, 1.9), centre=(0.0, 0.0, 14.0)) -> Grid:
    """Thick slices, a little oblique."""
    axes = Rotation.from_euler("xyz", [4.0, -3.0, 6.0], degrees=True).apply(np.eye(3)[::-1])
    origin = np.asarray(centre) - axes.T @ ((np.array(shape_kji) - 1) / 2 * spacing_kji_mm)
    return Grid.from_axes(shape_kji, spacing_kji_mm, origin_lps_mm=origin, axes_lps=axes)


def pose(turn_deg=(0.0, 0.0, 0.0), shift_mm=(0.0, 0.0, 0.0)) -> np.ndarray:
    """(4, 4): where a point of the head at rest goes."""
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(turn_deg, degrees=True).as_matrix()
    move[:3, 3] = CENTRE + shift_mm - move[:3, :3] @ CENTRE
    return move


def scan(hu_at, grid: Grid, move=None, n_within=5) -> np.ndarray:
    """Thick slices of a head, given as HU at (..., 3) LPS points, in a pose; each slice the mean over its thickness."""
    back = np.eye(4) if move is None else np.linalg.inv(move)
    index = np.moveaxis(np.indices(grid.shape_kji), 0, -1).astype(float)
    steps = (np.arange(n_within) - (n_within - 1) / 2) / n_within
    return np.mean([hu_at(transform(back, grid.to_lps_mm(index + (step, 0, 0)))) for step in steps], axis=0)


def made_up(points: np.ndarray, bolus: float = 0.0) -> np.ndarray:
    """Closed form: an egg of bone with a thick base, sinuses in it, brain, and vessels and tissue that take up iodine."""
    x, y, z = np.moveaxis(points, -1, 0)
    depth = 1.0 - np.sqrt((x / (68 + 0.1 * y)) ** 2 + (y / 86) ** 2 + (z / 74) ** 2)
    hu = np.where(depth > 0.0, 35.0, -1000.0)
    ventricle = np.hypot(np.hypot((np.abs(x) - 10) / 7, (y + 5) / 28), (z - 15) / 12) < 1
    hu = np.where(ventricle, 6.0, hu + np.where(depth > 0.12, 12.0 * bolus, 0.0))
    hu = np.where((np.hypot(np.abs(x) - 25, y + 18) < 2.5) & (depth > 0.12), 40.0 + 300.0 * bolus, hu)
    hu = np.where((depth > 0.12) & (depth < 0.19) & (np.abs(x) < 5) & (y > 0), 45.0 + 250.0 * bolus, hu)
    hu = np.where((depth > 0.03) & (depth < 0.12), 1000.0, hu)
    hu = np.where((depth > 0.05) & (np.hypot(x, y + 70) < 14) & (z < 30), -900.0, hu)  # frontal sinus
    return np.where((depth > 0.03) & (z < -18 + 0.3 * y) & (np.abs(x) > 12) & (np.hypot(x, y) > 40), 700.0, hu)


BOLUS = np.exp(-(((TIMES_S - 10.0) / 3.5) ** 2))


def series_of(frames, grid, noise_hu=5.0, dtype=np.int16) -> TimeSeries:
    """Frames with the grain of perfusion dose; slices 0.05 s apart."""
    rng = np.random.default_rng(7)
    grain = ndimage.gaussian_filter(rng.normal(size=(len(frames), *grid.shape_kji)), (0, 0, 0.5, 0.5))
    hu = np.stack(frames) + noise_hu * grain / grain.std()
    times_s = 1.5 * np.arange(len(frames))[:, None] + 0.05 * np.arange(grid.shape_kji[0])
    return TimeSeries(np.clip(np.rint(hu), -1024, 3071).astype(dtype), grid, times_s)


@pytest.fixture(scope="module")
def grid():
    return slab_grid()


@pytest.fixture(scope="module")
def at_rest(grid):
    """The head while the bolus passes, without motion."""
    return [scan(lambda p, b=b: made_up(p, b), grid, n_within=3) for b in BOLUS]


def errors(found: np.ndarray, true: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """Mean distance over the head (mm) and angle (degrees) between two moves."""
    off = np.linalg.inv(true) @ found
    way = np.linalg.norm(transform(off, points) - points, axis=1)
    return float(way.mean()), float(np.rad2deg(Rotation.from_matrix(off[:3, :3]).magnitude()))


MOVES = (
    pose(shift_mm=(0.6, -0.4, 0.3)),
    pose((1.5, 0, 0), (0, 1, 1)),
    pose((0, 0, 3), (2, -1, 0)),
    pose((2.5, 1, -1), (1, 2, -2)),
    pose((0, 3, 0), (0, 0, 3)),
    pose((-2, 1, 4), (3, 3, -2)),
)


def test_poses_are_recovered_while_contrast_passes(grid):
    """A closed form in known poses, in 16 slices of 5 mm: 0.3 mm over the head and 0.3 degrees."""
    frames = [scan(made_up, grid, n_within=3), *(scan(lambda p: made_up(p, 0.8), grid, move, 3) for move in MOVES)]
    series = series_of(frames, grid)
    found = _followed(series)
    points = grid.to_lps_mm(np.argwhere(frames[0] > -200)[::31])
    off = np.array([errors(move, true, points) for move, true in zip(found, MOVES, strict=True)])
    assert (np.median(off, axis=0) < 0.3).all(), off
    assert (off.max(axis=0) < 0.6).all(), off


def _followed(series) -> list[np.ndarray]:
    """Moves of all frames after the first against the first."""
    grid, n_binned = coarse_grid(series.grid)
    frames = [coarse(frame, n_binned) for frame in series.array]
    reference = prepare(frames[0], grid, find_skull(frames[0]))
    return [align(frame, reference, np.eye(4)).move_lps for frame in frames[1:]]


@pytest.mark.real
@pytest.mark.parametrize("n_slices", [16, 8])
@pytest.mark.parametrize(("name", "centre"), [("cranium", None), ("ge", (0.0, 0.0, 70.0))])
def test_real_heads_are_followed(real_heads, name, centre, n_slices):
    """Two real heads, resampled with an interpolator of scipy, in 16 and in 8 slices of 5 mm with 5 HU of noise."""
    head = real_heads[name]
    centre = head.grid.center_lps_mm + (0, 0, 25) if centre is None else np.asarray(centre)
    half_mm = np.array([149 * 0.8, 149 * 0.8, (n_slices - 1) * 2.5])
    grid = Grid.from_axes((n_slices, 150, 150), (5.0, 1.6, 1.6), origin_lps_mm=centre - half_mm)
    array = head.array.astype(np.float32)

    def hu_at(points):
        index = np.moveaxis(head.grid.to_kji(points), -1, 0)
        return ndimage.map_coordinates(array, index, order=1, mode="constant", cval=-1000.0)

    about = pose_about(centre)
    moves = [about(turn, shift) for turn, shift in (((1, 0, 0), (0, 1, 1)), ((0, 0, 3), (2, -1, 0)), ((3, 1, 0), (1, 2, -2)))]
    frames = [scan(hu_at, grid, n_within=4), *(scan(hu_at, grid, move, 4) for move in moves)]
    found = _followed(series_of(frames, grid))
    points = grid.to_lps_mm(np.argwhere(frames[0] > -200)[::97])
    off = np.array([errors(move, true, points) for move, true in zip(found, moves, strict=True)])
    assert (off < 0.3).all(), off


def pose_about(centre):
    def make(turn_deg, shift_mm):
        move = np.eye(4)
        move[:3, :3] = Rotation.from_rotvec(np.asarray(turn_deg, float), degrees=True).as_matrix()
        move[:3, 3] = centre + np.asarray(shift_mm) - move[:3, :3] @ centre
        return move

    return make


def test_a_still_head_is_left_alone(grid, at_rest):
    """Contrast passes and noise differs, but nothing moved: the very same series comes back, without a note."""
    series = series_of(at_rest, grid)
    found = correct_motion(series)
    assert isinstance(found, Assessed)
    assert found.value.series is series
    assert found.value.notes == ()
    assert found.value.motion.shift_mm.max() < STILL_MM
    assert found.value.motion.used.all()


@pytest.fixture(scope="module")
def nodded(grid, at_rest):
    """Frame 5 is turned by 2 degrees and shifted by 2 mm."""
    move = pose((1.5, 1.0, 1.0), (1.0, 1.5, 1.0))
    frames = list(at_rest)
    frames[5] = scan(lambda p: made_up(p, BOLUS[5]), grid, move, 3)
    series = series_of(frames, grid)
    return series, move, correct_motion(series)


def test_moved_frames_are_brought_back(at_rest, nodded):
    """What moved lies where it was, edges twice as well as before; what did not is the same to the bit; int16 stays."""
    series, move, found = nodded
    still = found.value
    assert still.series.array.dtype == np.int16
    assert still.series.grid is series.grid
    np.testing.assert_array_equal(still.series.times_s, series.times_s)
    for t in range(len(series.array)):
        if t != 5:
            np.testing.assert_array_equal(still.series.array[t], series.array[t])
    edges = ndimage.binary_dilation(np.abs(at_rest[0] - ndimage.uniform_filter(at_rest[0], (1, 3, 3))) > 100)
    edges[[0, -1]] = False
    before, after = (np.abs(array[5] - at_rest[5])[edges].mean() for array in (series.array, still.series.array))
    assert after < before / 2.0
    assert still.motion.turn_deg[5] == pytest.approx(np.rad2deg(Rotation.from_matrix(move[:3, :3]).magnitude()), abs=0.3)
    assert still.motion.shift_mm[5] > 3.0
    assert [note.code for note in still.notes] == ["ctp.motion"]
    assert "1 of 14 frames" in still.notes[0].text


def test_the_original_is_not_written_to(nodded):
    series, _, found = nodded
    assert not np.shares_memory(series.array, found.value.series.array)


def test_the_longest_held_position_is_the_reference(grid):
    """The head moves after the fourth frame and stays: the later frames are left alone, the first four brought to them."""
    move = pose((1.0, 0.0, 2.0), (1.0, -1.0, 0.5))
    first, later = scan(made_up, grid, n_within=3), scan(made_up, grid, move, 3)
    series = series_of([first] * 4 + [later] * 8, grid)
    found = correct_motion(series).value
    np.testing.assert_array_equal(found.series.array[4:, 4:-4], series.array[4:, 4:-4])
    assert (found.motion.shift_mm[:4] > 2.0).all()
    assert (found.motion.shift_mm[4:] < STILL_MM).all()


def broken(grid, frames, kind):
    """One frame that nobody can use."""
    frames = list(frames)
    j = np.arange(grid.shape_kji[1])[:, None]
    if kind == "half moved":  # the upper slices are scanned after a jerk
        moved = scan(made_up, grid, pose((0, 0, 2), (4.0, 3.0, 0.0)), 3)
        frames[9] = np.concatenate([frames[9][:8], moved[8:]])
    elif kind == "brighter":
        frames[9] = frames[9] + 15.0
    elif kind == "streaks":
        frames[9] = frames[9] + 60.0 * np.sin(j * 0.7)
    elif kind == "gone":
        frames[9] = scan(made_up, grid, pose(shift_mm=(0.0, 0.0, 60.0)), 3)
    elif kind == "out of the slab":
        frames[9] = scan(made_up, grid, pose(shift_mm=(0.0, 0.0, 7.0)), 3)
    elif kind == "empty":
        frames[9] = np.full_like(frames[9], -1000.0)
    return frames


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("half moved", "moved while it was scanned"),
        ("brighter", "brighter or darker"),
        ("streaks", "streaks"),
        ("gone", "moved"),
        ("out of the slab", "outside the slab"),
        ("empty", "moved while it was scanned"),
    ],
)
def test_a_bad_frame_is_left_out_and_named(grid, at_rest, kind, words):
    """One bad frame goes, with time and reason; its neighbours stay; the times keep a gap there."""
    series = series_of(broken(grid, at_rest, kind), grid)
    found = correct_motion(series).value
    assert np.flatnonzero(~found.motion.used).tolist() == [9]
    np.testing.assert_array_equal(found.series.times_s, np.delete(series.times_s, 9, axis=0))
    np.testing.assert_array_equal(found.series.array, np.delete(series.array, 9, axis=0))
    (note,) = [note for note in found.notes if note.code == "ctp.frames_dropped"]
    assert note.severity is Severity.WARNING
    assert words in note.text
    assert "1 of 14 frames" in note.text


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ((1, 4, 7, 10), "4 of 14 frames cannot be used, at most 20%"),
        ((), None),
        ((3,), None),
    ],
)
def test_too_many_bad_frames_are_a_refusal(grid, at_rest, bad, words):
    """Beyond a fifth of the frames there is no series any more but a reason with numbers."""
    frames = [frame + 15.0 if t in bad else frame for t, frame in enumerate(at_rest)]
    found = correct_motion(series_of(frames, grid))
    if words is None:
        assert isinstance(found, Assessed)
        return
    assert isinstance(found, NotAssessable)
    assert words in found.reasons[0]
    assert "brighter or darker" in found.reasons[0]


def test_a_long_gap_is_a_refusal(grid):
    """Four unusable frames in a row among thirty are few, but the bolus may pass unseen meanwhile."""
    frame = scan(made_up, grid, n_within=2)
    moved = scan(made_up, grid, pose((0, 0, 2), (4.0, 3.0, 0.0)), 2)
    half = np.concatenate([frame[:8], moved[8:]])
    found = correct_motion(series_of([half if 10 <= t < 14 else frame for t in range(30)], grid))
    assert isinstance(found, NotAssessable)
    assert "no frame can be used from 14 to 21 s" in found.reasons[0]


def test_what_left_the_slab_is_given_up_in_all_frames(grid):
    """The head sinks by 6 mm for half of the scan: the slice that was not seen then is air throughout, and it is said."""
    low = pose(shift_mm=(0.0, 0.0, -6.0))
    frames = [scan(made_up, grid, n_within=3)] * 8 + [scan(made_up, grid, low, 3)] * 6
    found = correct_motion(series_of(frames, grid)).value
    gone = (found.series.array == AIR_HU).all(axis=0)
    head = frames[0] > 0
    assert found.motion.used.all()
    assert (gone & head)[0].sum() > 0.8 * head[0].sum()
    assert not (gone & head)[2:].any()
    (note,) = [note for note in found.notes if note.code == "ctp.slab_edge"]
    given_up_ml = float((gone & head).sum()) * grid.voxel_ml
    assert float(note.text.split(" mL")[0]) == pytest.approx(given_up_ml, rel=0.35)


def test_floating_series_stay_floating(grid):
    frames = [scan(made_up, grid, n_within=2)] * 5 + [scan(made_up, grid, pose(shift_mm=(2.0, 0.0, 0.0)), 2)]
    found = correct_motion(series_of(frames, grid, dtype=np.float32)).value
    assert found.series.array.dtype == np.float32
    assert np.isfinite(found.series.array).all()


def test_no_skull_is_a_refusal(grid):
    soft = [np.where(scan(made_up, grid, n_within=1) > 200, 40.0, 30.0)] * 4
    found = correct_motion(series_of(soft, grid))
    assert isinstance(found, NotAssessable)
    assert "no skull" in found.reasons[0]


def test_other_quantities_are_a_mistake(grid, at_rest):
    series = series_of(at_rest[:3], grid)
    with pytest.raises(ValueError, match="HU"):
        correct_motion(replace(series, quantity=Quantity.CBF))
    assert Volume(series.array[0], grid, Quantity.HU).quantity is Quantity.HU
