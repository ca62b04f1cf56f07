"""After the network: classes per voxel, and the settings that reach it."""

import numpy as np
import pytest

from lvo.config import Config, CtaSettings
from lvo.core.anatomy import ARTERY_TREES, VESSEL_CLASSES
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CtaResult, Finding
from lvo.core.volume import Quantity, Volume
from lvo.pipeline import angiogram as room
from lvo.pipeline.angiogram import judge_crop, likeliest, never_negative_if_thick
from lvo.pipeline.records import Models, Progress

GRID = Grid.from_axes((1, 1, 9), (1.0, 2.0, 3.0), origin_lps_mm=(4.0, 5.0, 6.0))


def vessels(**rows):
    """Probabilities of nine voxels; "artery" is the sum over the trees."""
    given = {name: np.array(rows.get(name, [0.0] * 9), np.float32) for name in VESSEL_CLASSES[1:]}
    given["artery"] = sum(given[tree] for tree in ARTERY_TREES)
    return {name: Volume(values.reshape(GRID.shape_kji), GRID, Quantity.PROBABILITY) for name, values in given.items()}


def test_the_likeliest_class_of_every_voxel():
    """In turn: nothing, an artery for sure, one of two trees, too little of one, a vein for sure, a vein that is not."""
    found = likeliest(vessels(
        MCA=[0.0, 0.9, 0.3, 0.45, 0.0, 0.0, 0.6, 0.4, 0.0], ACA=[0.0, 0.0, 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        vein=[0.0, 0.0, 0.0, 0.0, 0.5, 0.49, 0.0, 0.0, 0.0], clot=[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.35, 0.3, 0.29],
    ))  # fmt: skip
    assert found.quantity is Quantity.LABEL
    assert found.array.dtype == np.uint8
    assert found.grid is GRID
    names = [VESSEL_CLASSES[code] for code in found.array.ravel()]
    assert names[:6] == ["background", "MCA", "ACA", "background", "vein", "background"]
    assert names[6:] == ["clot", "clot", "background"]  # clots are rare: a third is enough, even in an artery


@pytest.mark.parametrize("tree", ARTERY_TREES)
def test_every_tree_keeps_its_own_code(tree):
    found = likeliest(vessels(**{tree: [1.0] * 9}))
    assert (found.array == VESSEL_CLASSES.index(tree)).all()


@pytest.mark.parametrize("mirrored", [True, False])
def test_settings_and_pose_reach_the_network_and_the_call(monkeypatch, mirrored):
    given = {}
    hu, pose = Volume(np.zeros(GRID.shape_kji, np.float32), GRID, Quantity.HU), HeadPose(np.eye(4), 0.9)
    scanned, models = Grid.from_axes((2, 2, 2), (1, 1, 1), origin_lps_mm=(0, 0, 0)), Models("the network", "the call")
    refused = NotAssessable(("made up",))

    def predict(model, volume, where, **named):
        given.update(model=model, volume=volume, where=where, **named)
        return vessels()

    def decode(volume, found, where, **named):
        given.update(decoded=volume, found=found, decoded_at=where, **named)
        return refused

    monkeypatch.setattr(room, "predict", predict)
    monkeypatch.setattr(room, "decode", decode)
    config, progress = Config(cta=CtaSettings(mirrored=mirrored, min_arterial_hu=123.0)), Progress()
    judged = judge_crop(hu, pose, scanned, models, config, progress=progress)
    assert judged.outcome is refused
    assert judged.vessels is given["found"]
    assert (given["model"], given["head"]) == ("the network", "the call")
    assert given["volume"] is given["decoded"] is hu
    assert given["where"] is given["decoded_at"] is pose
    assert given["mirrored"] is mirrored
    assert given["scanned"] is scanned
    assert given["settings"].min_arterial_hu == 123.0
    assert {"cta.arteries", "cta.call"} <= progress.timings_s.keys()


def judged(call):
    return Assessed(CtaResult(Finding(call, 0.5, 0.7, None, None, None), (), None, 300.0, "arterial"))


@pytest.mark.parametrize("call", list(Call))
def test_thick_slices_leave_what_is_suspected_and_withhold_that_nothing_is(call):
    outcome = never_negative_if_thick(judged(call), 2.0, CtaSettings(max_negative_slice_mm=1.5))
    if call is Call.NOT_DETECTED:
        assert isinstance(outcome, NotAssessable)
        assert "slices are 2.00 mm apart or thick, 1.5 mm or less are needed" in outcome.reasons[0]
    else:
        assert outcome.value.finding.call is call
        assert [note.code for note in outcome.value.notes] == ["cta.thick_slices"]


@pytest.mark.parametrize("call", list(Call))
def test_thin_slices_leave_every_answer_as_it_is(call):
    thin = judged(call)
    assert never_negative_if_thick(thin, 1.5, CtaSettings(max_negative_slice_mm=1.5)) is thin


def test_a_refusal_of_thick_slices_keeps_its_own_reasons():
    refused = NotAssessable(("made up",))
    assert never_negative_if_thick(refused, 2.0, CtaSettings()) is refused
