"""A perfusion scan without a mid-plane of its own borrows the angiogram's only where both count positions alike."""

import numpy as np
import pytest

from lvo.config import Config
from lvo.core.grid import Grid, Plane
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import HeadMotion, Severity
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.load import LoadedTimeSeries, LoadedVolume
from lvo.image.motion import Stilled
from lvo.pipeline import perfusion as room
from lvo.pipeline.angiogram import Angiogram
from lvo.pipeline.records import Progress

POSE = HeadPose(np.array([[1.0, 0, 0, -7.0], [0, 1, 0, 3], [0, 0, 1, 0], [0, 0, 0, 1]]), 0.9)  # mid-plane at x = 7 mm
OWN = Plane(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 0.0]))
REFUSED = NotAssessable(("not found here",))


class Choice:
    """A selection that holds a CT perfusion."""

    ctp = ("some series",)
    missing_ctp = ""


def grid(uid):
    return Grid.from_axes((3, 5, 4), (5.0, 1.0, 2.0), origin_lps_mm=(9.0, -8.0, 7.0), frame_of_reference_uid=uid)


def angiogram(uid, pose=POSE):
    hu = Volume(np.zeros((3, 5, 4), np.float32), grid(uid), Quantity.HU)
    return Angiogram(REFUSED, LoadedVolume(hu, ("1.2.3",) * 3, (), slice_thickness_mm=5.0), pose)


@pytest.fixture
def analysed(monkeypatch):
    """Run the room on a made-up scan; returns the mid-planes it was judged with, its outcome and its notes."""

    def run(uid, angiogram, own=REFUSED):
        series = TimeSeries(np.zeros((4, 3, 5, 4), np.float32), grid(uid), np.repeat(np.arange(4.0)[:, None], 3, axis=1))
        used = []

        def judge(*arguments, **_):
            used.append(arguments[2])
            return NotAssessable(("judged by a fake",))

        monkeypatch.setattr(room, "load_time_series", lambda _: LoadedTimeSeries(series, ("1.2.4",) * 3, ()))
        motion = HeadMotion(np.arange(4.0), np.zeros(4), np.zeros(4), np.ones(4, bool), corrected=True)
        monkeypatch.setattr(room, "correct_motion", lambda _: Assessed(Stilled(series, motion, ())))
        monkeypatch.setattr(room, "find_brain", Assessed)
        monkeypatch.setattr(room, "find_midplane", lambda *_: own)
        monkeypatch.setattr(room.perfusion, "analyze", judge)
        progress = Progress()
        judged = room.analyze_perfusion(Choice(), Config(), progress, angiogram, wanted=True)
        return used, judged.outcome, progress.notes

    return run


def test_one_frame_of_reference_lends_with_a_warning(analysed):
    used, _, notes = analysed("1.2.840.1", angiogram("1.2.840.1"))
    assert [tuple(plane.point_lps_mm) for plane in used] == [(7.0, -3.0, 0.0)]
    assert [(note.code, note.severity) for note in notes] == [("ctp.midplane_from_cta", Severity.WARNING)]


@pytest.mark.parametrize(
    ("uid", "lender"),
    [
        pytest.param("1.2.840.1", angiogram("1.2.840.2"), id="another frame of reference"),
        pytest.param("", angiogram(""), id="both unknown"),
        pytest.param("1.2.840.1", angiogram(""), id="the angiogram's unknown"),
        pytest.param("1.2.840.1", angiogram("1.2.840.1", pose=None), id="no pose"),
        pytest.param("1.2.840.1", Angiogram(REFUSED), id="no angiogram"),
    ],
)
def test_nothing_else_lends(analysed, uid, lender):
    """Sides told by a plane from elsewhere would be wrong without a sign of it."""
    used, outcome, notes = analysed(uid, lender)
    assert (used, notes) == ([], [])
    assert isinstance(outcome, NotAssessable)
    assert "mid-plane" in outcome.reasons[0]


def test_its_own_midplane_comes_first(analysed):
    used, _, notes = analysed("1.2.840.1", angiogram("1.2.840.1"), own=Assessed(OWN))
    assert used == [OWN]
    assert notes == []
