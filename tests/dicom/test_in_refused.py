"""An angiogram that is there but cannot be used: not assessable with its numbers, never absent."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from lvo_tests_dicom_scene import Scene

from lvo.config import Config
from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import Call, CtaResult, Finding
from lvo.core.study import Study
from lvo.dicom.select import choose
from lvo.dicom.write.source_headers import SourceSeries, read_headers
from lvo.errors import InputError
from lvo.pipeline import angiogram
from lvo.pipeline.angiogram import analyze_angiogram
from lvo.pipeline.records import Progress

CTA = {"ContrastBolusAgent": "IOMERON 400", "SeriesDescription": "CTA"}


def _outcome(*series):
    """What becomes of the angiogram of a study; no model is reached."""
    return analyze_angiogram(choose(Study("1.2.3", series)), None, Config(), Progress(), wanted=True).outcome


@pytest.mark.parametrize(
    ("step_mm", "tags", "says"),
    [
        pytest.param(0.8, {"SliceThickness": 4.0}, "0.80 mm apart and 4.00 mm thick, 3.0 mm or less", id="thick, overlapping"),
        pytest.param(3.2, {"SliceThickness": 1.0}, "3.20 mm apart and 1.00 mm thick, 3.0 mm or less", id="far apart"),
        pytest.param(3.2, {"SliceThickness": None}, "3.20 mm apart, 3.0 mm or less", id="thickness unknown"),
        pytest.param(0.8, {"SliceThickness": 1.0, "ImagePositionPatient": None}, "have no Image Position", id="no positions"),
    ],
)
def test_an_unusable_angiogram_is_refused_with_its_numbers(writer, make_column, step_mm, tags, says):
    """Distance and thickness blur small vessels alike."""
    n = round(80 / step_mm)
    outcome = _outcome(writer.series(np.zeros((n, 8, 8)), make_column(n, step_mm), tags=CTA | tags))
    assert isinstance(outcome, NotAssessable)
    assert says in outcome.reasons[0]


@pytest.mark.parametrize(
    ("step_mm", "thick_mm", "withheld"),
    [
        pytest.param(0.8, 1.5, False, id="thin"),
        pytest.param(0.8, 3.0, True, id="thick, overlapping"),
        pytest.param(2.0, 1.0, True, id="far apart"),
        pytest.param(2.0, None, True, id="thickness unknown"),
    ],
)
def test_thick_slices_never_end_as_not_detected(monkeypatch, writer, make_column, step_mm, thick_mm, withheld):
    """Everything between loading and the answer is made up: no occlusion is found."""
    clear = Assessed(CtaResult(Finding(Call.NOT_DETECTED, 0.1, 0.7, None, None, None), (), None, 300.0, "arterial"))
    monkeypatch.setattr(angiogram, "_prepare", lambda _: Assessed(SimpleNamespace(brain=None, pose=None)))
    monkeypatch.setattr(angiogram, "check_scan", lambda *_: None)
    monkeypatch.setattr(angiogram, "quality_notes", lambda _: ())
    monkeypatch.setattr(angiogram, "_judge", lambda *_: clear)
    n = round(80 / step_mm)
    outcome = _outcome(writer.series(np.zeros((n, 8, 8)), make_column(n, step_mm), tags=CTA | {"SliceThickness": thick_mm}))
    assert isinstance(outcome, NotAssessable) == withheld
    assert not withheld or "to say that no occlusion was detected" in outcome.reasons[0]


def test_slices_of_the_limit_pass_and_none_at_all_is_absent(writer, make_column):
    """The rule says yes to slices of the limit itself: what is then refused is the empty head."""
    made = writer.series(np.full((27, 8, 8), -1000), make_column(27, 3.0), tags=CTA | {"SliceThickness": 3.0})
    outcome = _outcome(made)
    assert isinstance(outcome, NotAssessable)
    assert "mm apart" not in outcome.reasons[0]
    plain = writer.series(np.zeros((54, 8, 8)), make_column(54, 1.5), tags={"SeriesDescription": "plain"})
    assert isinstance(_outcome(plain), Absent)


@pytest.mark.parametrize(
    ("n", "step_mm", "tags", "says"),
    [
        pytest.param(1, 0.8, {"SliceThickness": 0.8}, "1 image position", id="one slice"),
        pytest.param(3, 0.8, {"SliceThickness": 1.0}, "only 3 slices that cover 2 mm", id="three slices"),
        pytest.param(5, 0.8, {"SliceThickness": 1.0}, "only 5 slices that cover 4 mm", id="five slices"),
        pytest.param(60, 0.8, {"SliceThickness": 1.0, "ContrastBolusAgent": ""}, "60 slices that cover 48 mm", id="a third"),
        pytest.param(4, 40.0, {"SliceThickness": 0.8}, "only 4 slices", id="a few from all over the head"),
    ],
)
def test_what_is_left_of_an_angiogram_is_refused_and_not_absent(writer, make_column, n, step_mm, tags, says):
    """A transfer that broke off must not look as if the patient had not been scanned."""
    outcome = _outcome(writer.series(np.zeros((n, 8, 8)), make_column(n, step_mm), tags=CTA | tags))
    assert isinstance(outcome, NotAssessable)
    assert says in outcome.reasons[0]


@pytest.mark.parametrize(
    ("n", "tags"),
    [
        pytest.param(1, {"SliceThickness": 10.0, "SeriesDescription": ""}, id="one thick slice"),
        pytest.param(1, {"SliceThickness": 1.0, "SeriesDescription": "PreMonitoring"}, id="before the bolus"),
        pytest.param(3, {"ContrastBolusAgent": "", "SeriesDescription": "head thin", "SliceThickness": 1.0}, id="plain"),
        pytest.param(3, {"SeriesDescription": "cor MIP", "SliceThickness": 1.0}, id="made from others"),
    ],
)
def test_a_few_slices_that_were_never_an_angiogram_leave_it_absent(writer, make_column, n, tags):
    """Bolus monitoring, single plain slices."""
    assert isinstance(_outcome(writer.series(np.zeros((n, 8, 8)), make_column(n, 1.0), tags=CTA | tags)), Absent)


def test_a_whole_angiogram_is_preferred_to_a_part_of_a_thinner_one(writer, make_column):
    """Refused only where there is nothing better."""
    part = writer.series(np.zeros((80, 8, 8)), make_column(80, 0.5), tags=CTA | {"SliceThickness": 0.5})
    whole = writer.series(np.zeros((100, 8, 8)), make_column(100, 1.5), tags=CTA | {"SliceThickness": 1.5})
    assert choose(Study("1.2.3", (part, whole))).cta is whole


def test_a_source_image_that_went_away_is_not_named(tmp_path):
    """File names often hold the patient's name."""
    source = SourceSeries((tmp_path / "SECRET_PERSON.dcm",), ("1.2.3",))
    with pytest.raises(InputError, match="cannot be read again") as caught:
        read_headers(source)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("element", "costs"), [(b"\x08\x00\x10\x10SH", False), (b"\x10\x00\x20\x00LO", True)], ids=["other", "Patient ID"]
)
def test_a_damaged_element_costs_the_objects_only_where_it_is_needed(tmp_path, element, costs):
    """A value representation that does not exist: pydicom notices when the value is asked for."""
    scene = Scene(tmp_path)
    (path,) = scene.series(scene.stack(1), tags={"StationName": "CT1"})
    content = path.read_bytes()
    path.write_bytes(content.replace(element, element[:4] + b"O2"))
    assert path.read_bytes() != content
    with pytest.raises(InputError, match="it is damaged") if costs else nullcontext():
        assert len(read_headers(SourceSeries((path,), ("1.2.3",))).images) == 1


def test_single_images_that_count_their_one_frame_stay_single(tmp_path):
    """Number of Frames is not forbidden there."""
    scene = Scene(tmp_path)
    paths = scene.series(scene.stack(3), tags={"NumberOfFrames": 1})
    assert len(read_headers(SourceSeries(tuple(paths), ("1.2.3", "1.2.4", "1.2.5"))).images) == 3
