"""Late tissue by time to peak: found where it is, on its side, and nothing claimed where nothing can be seen."""

import importlib

import numpy as np
import pytest

from lvo.config import PerfusionSettings
from lvo.core.outcome import NotAssessable
from lvo.core.volume import TimeSeries
from lvo.perfusion import NoInputCurve, analyze, late_by_time_to_peak

NOISE_HU = 1.5


def late(forms, **changes):
    return late_by_time_to_peak(*forms.Head(**{"noise_hu": NOISE_HU, **changes}).series(), PerfusionSettings())


@pytest.mark.parametrize("lesion_left", [True, False])
def test_late_tissue_is_found_on_its_side(forms, lesion_left):
    """60 mL that fill 5.5 s late: within 15 %, overlap above 0.9, nothing on the other side."""
    found = late(forms, lesion_left=lesion_left)
    head = forms.Head(lesion_left=lesion_left)
    truth = head.place()["lesion"]
    here, there = (found.left_ml, found.right_ml) if lesion_left else (found.right_ml, found.left_ml)
    assert here == pytest.approx(truth.sum() * head.grid.voxel_ml, rel=0.15)
    assert there == 0.0
    drawn = found.late.array > 0
    assert 2.0 * (drawn & truth).sum() / (drawn.sum() + truth.sum()) > 0.9
    assert np.median(found.rttp.array[truth]) > found.threshold_s == 4.5


def test_a_healthy_head_has_none(forms):
    found = late(forms, lesion=False, noise_hu=3.0)
    assert (found.left_ml, found.right_ml) == (0.0, 0.0)


def test_no_artery_is_needed(forms):
    """With every artery cut out of the scan the full analysis refuses for want of one, and the fallback still answers."""
    series, brain, midplane = forms.Head(noise_hu=NOISE_HU).series()
    array = np.where(forms.Head().place()["artery"], 500.0, series.array).astype(np.float32)
    cut = TimeSeries(array, series.grid, series.times_s)
    found = late_by_time_to_peak(cut, brain, midplane, PerfusionSettings())
    assert found.left_ml > 45.0
    assert found.right_ml == 0.0


def test_only_a_missing_curve_is_called_one(forms, monkeypatch):
    """Refusals of the record itself are no `NoInputCurve`, so no fallback stands in for them."""
    short = analyze(*forms.Head(noise_hu=NOISE_HU, n_frames=18).series(), PerfusionSettings())
    assert isinstance(short, NotAssessable)
    assert not isinstance(short, NoInputCurve)
    room = importlib.import_module("lvo.perfusion.analyze")
    monkeypatch.setattr(room, "select_inputs", lambda _: NotAssessable(("no artery found",)))
    assert analyze(*forms.Head(noise_hu=NOISE_HU).series(), PerfusionSettings()) == NoInputCurve(("no artery found",))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"peak_hu": 0.0}, id="no bolus"),
        pytest.param({"start_s": 200.0}, id="bolus after the scan"),
        pytest.param({"start_s": 57.0}, id="still rising at the end"),
        pytest.param({"noise_hu": 60.0}, id="nothing but noise"),
    ],
)
def test_nothing_is_claimed_where_nothing_is_seen(forms, changes):
    assert late(forms, **changes) is None


def test_one_hemisphere_alone_is_not_enough(forms):
    series, brain, midplane = forms.Head(noise_hu=NOISE_HU).series()
    half = brain.array.copy()
    half[..., :45] = 0
    assert late_by_time_to_peak(series, type(brain)(half, brain.grid, brain.quantity), midplane, PerfusionSettings()) is None
