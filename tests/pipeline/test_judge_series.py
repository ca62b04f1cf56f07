"""What happens between a loaded time series and its outcome: frames before the bolus, refusals, the fallback, the fossa."""

import numpy as np
import pytest

from lvo.config import Config
from lvo.core.grid import Grid, Plane
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import HeadMotion, QualityNote, Severity
from lvo.core.volume import TimeSeries
from lvo.image.motion import Stilled
from lvo.perfusion import NoInputCurve
from lvo.pipeline import perfusion as room
from lvo.pipeline.records import Progress

PLANE = Plane(np.zeros(3), np.array([1.0, 0.0, 0.0]))
POSE = HeadPose(np.eye(4), 0.9)
MOVED = QualityNote("ctp.motion", Severity.INFO, "it moved")


def series_of(arrival=8, n_frames=20, rise_hu=100.0, noise_hu=4.0):
    """Soft tissue with a vessel in 3 % of the voxels that fills from a frame on, between two plates of bone."""
    shape = (6, 60, 48)
    hu = np.full((n_frames, *shape), 35.0)
    hu[:, :, :6] = hu[:, :, -6:] = 900.0
    when = np.arange(n_frames)[:, None, None, None]
    hu[:, :, 28:36, 20:28] += rise_hu * np.clip((when - arrival) / 3.0, 0.0, 1.0)
    hu += np.random.default_rng(0).normal(0.0, noise_hu, hu.shape)
    grid = Grid.from_axes(shape, (8.0, 3.0, 3.0), origin_lps_mm=(-70.0, -80.0, -30.0))
    return TimeSeries(np.rint(hu).astype(np.int16), grid, np.repeat(1.5 * np.arange(n_frames)[:, None], 6, axis=1))


@pytest.mark.parametrize("arrival", [3, 5, 9, 14])
def test_frames_before_the_bolus_are_counted(arrival):
    """Never one with contrast agent, and at most two too few."""
    assert arrival - 2 <= room._frames_before_bolus(series_of(arrival).array) <= arrival + 1


@pytest.mark.parametrize("change", [{"arrival": 0}, {"rise_hu": 0.0}, {"n_frames": 2}])
def test_there_is_always_a_frame(change):
    assert room._frames_before_bolus(series_of(**change).array) >= 1


@pytest.fixture
def judged(monkeypatch):
    """Run the room with parts replaced by fakes; returns what came out, the progress, and what `analyze` was given."""

    def run(outcome, *, stilled=None, fallback="late tissue", pose=None):
        series = series_of()
        motion = HeadMotion(np.arange(20.0), np.zeros(20), np.zeros(20), np.ones(20, bool), corrected=True)
        given = {}

        def analyze(*_, **named):
            given.update(named)
            return outcome

        monkeypatch.setattr(room, "correct_motion", lambda _: stilled or Assessed(Stilled(series, motion, (MOVED,))))
        monkeypatch.setattr(room, "find_brain", Assessed)
        monkeypatch.setattr(room, "find_midplane", lambda *_: Assessed(PLANE))
        monkeypatch.setattr(room.perfusion, "analyze", analyze)
        monkeypatch.setattr(room.perfusion, "late_by_time_to_peak", lambda *_: fallback)
        progress = Progress()
        return room.judge_series(series, Config(), progress, pose=pose), progress, given

    return run


def test_only_a_missing_curve_brings_the_fallback(judged):
    """Any other refusal stands alone: late tissue would pass for an answer where the scan itself is unfit."""
    without, _, _ = judged(NoInputCurve(("no artery found",)))
    assert (without.fallback, without.outcome.reasons) == ("late tissue", ("no artery found",))
    assert judged(NotAssessable(("too short",)))[0].fallback is None
    assert judged(Assessed("a result"))[0].fallback is None


def test_motion_is_handed_on(judged):
    _, progress, given = judged(Assessed("a result"))
    assert given["motion"].corrected
    assert MOVED in progress.notes
    assert progress.volumes["ctp"].array.mean() < 400.0
    assert {"ctp.motion", "ctp.prepare", "ctp.perfusion"} <= progress.timings_s.keys()


def test_frames_that_cannot_be_aligned_are_a_refusal(judged):
    found, _, given = judged(Assessed("a result"), stilled=NotAssessable(("12 of 20 frames cannot be used",)))
    assert found.outcome == NotAssessable(("CT perfusion: 12 of 20 frames cannot be used",))
    assert given == {}


def test_the_posterior_fossa_is_known_with_a_pose_only(judged):
    """The atlas's cerebellum is inside, the middle cerebral territory and the occipital pole are not."""
    assert judged(Assessed("a result"))[2]["below_tentorium"] is None
    below = judged(Assessed("a result"), pose=POSE)[2]["below_tentorium"]
    for point, inside in (((20.0, 60.0, -28.0), True), ((-40.0, 0.0, 0.0), False), ((10.0, 85.0, 5.0), False)):
        k, j, i = np.rint(below.grid.to_kji(point)).astype(int)
        assert bool(below.array[k, j, i]) is inside, point
