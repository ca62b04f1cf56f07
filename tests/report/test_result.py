"""result.json: every key of the contract, no number that is not one, never negative where nothing was judged."""

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import (
    Call,
    CriterionCheck,
    CurveCandidate,
    HeadMotion,
    Output,
    QualityNote,
    SegmentRow,
    SegmentSide,
    Severity,
    TimeToPeakFallback,
)  # fmt: skip
from lvo.report.result import _schema, quality_notes, result_document, result_text, status_of

UNJUDGED = NotAssessable(("The bolus was missed.",))
ABSENT = Absent("no such images")


@pytest.fixture(scope="module")
def report(report_phantom):
    return report_phantom.report()


def document(report) -> dict:
    """The document after a round trip through JSON."""
    outputs = [Output("report", "report.html"), Output("dicom-sr", "dicom/sr.dcm", "1.2.3")]
    return json.loads(result_text(result_document(report, outputs=outputs, location_sop_instance_uid="1.2.9")))


def test_the_contract_keys_are_all_there_in_order(report):
    assert list(document(report)) == [
        "schema", "status", "research_use_only", "study", "series", "cta", "perfusion", "criteria", "transfer", "quality",
        "timings_s", "software", "models", "config_sha256", "outputs",
    ]  # fmt: skip


def test_the_call_comes_through(report):
    lvo = document(report)["cta"]["lvo"]
    assert (lvo["call"], lvo["side"], lvo["site"], lvo["sop_instance_uid"]) == ("suspected", "left", "M1", "1.2.9")
    assert lvo["location_lps_mm"] == pytest.approx(report.cta.value.finding.location_lps_mm)


def test_segments_come_through_a_row_per_side(report_phantom):
    """A midline artery is neither left nor right; what was not measured is null."""
    cta = document(report_phantom.detailed())["cta"]
    assert [(row["segment"], row["side"]) for row in cta["segments"]] == [
        ("ICA-T", "right"), ("ICA-T", "left"), ("M1", "right"), ("M1", "left"), ("A1", "right"), ("A1", "left"),
        ("BA", "midline"),
    ]  # fmt: skip
    m1 = {"segment": "M1", "side": "left", "lumen_ml": 0.05, "expected_share": 0.31, "gap_mm": 13.7, "hu": 214.0}
    assert cta["segments"][3] == m1
    assert cta["segments"][5] == {
        "segment": "A1", "side": "left", "lumen_ml": 0.04, "expected_share": None, "gap_mm": None, "hu": None,
    }  # fmt: skip


def test_what_was_judged_and_what_was_not_comes_through(report_phantom):
    cta = document(report_phantom.detailed())["cta"]
    assert cta["covered"] == ["carotid terminus", "M1", "M2", "basilar artery"]
    assert cta["not_covered"] == ["A1", "vertebral arteries", "M3 and beyond"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"segments": (SegmentRow("M1", SegmentSide(-0.1, None, None, None)),)}, id="a negative volume"),
        pytest.param({"segments": (SegmentRow("", SegmentSide(0.1, None, None, None)),)}, id="a segment without a name"),
        pytest.param({"covered": ("M1", "M1")}, id="a vessel named twice"),
    ],
)
def test_the_schema_says_no_to_segments_and_coverage(report_phantom, change):
    report = report_phantom.detailed()
    with pytest.raises(jsonschema.ValidationError):
        document(replace(report, cta=Assessed(replace(report.cta.value, **change))))


def test_perfusion_comes_through(report):
    perfusion = document(report)["perfusion"]
    assert perfusion["core_ml"] == pytest.approx(report.perfusion.value.core_ml)
    assert perfusion["volumes_ml"].keys() == report.perfusion.value.volumes_ml.keys()
    assert perfusion["aif"]["peak_hu"] == pytest.approx(62.0, rel=0.05)


MOTION = HeadMotion(
    times_s=1.5 * np.arange(4),
    shift_mm=np.array([0.0, 1.25, 9.0, 0.5]),
    turn_deg=np.array([0.0, 0.5, 8.0, 2.0]),
    used=np.array([True, True, False, True]),
    corrected=True,
)


def judged(report, **changes):
    return replace(report, perfusion=Assessed(replace(report.perfusion.value, **changes)))


def test_motion_methods_measures_and_candidates_come_through(report):
    """Frames that were dropped are named and do not count for the largest motion."""
    aif = report.perfusion.value.aif
    candidate = CurveCandidate("aif", aif, chosen=True, score=0.8, measures={"peak_hu": np.float32(62.0)})
    changes = {"motion": MOTION, "methods": {"cbf": "model matching"}, "measures": {"n_frames": 45.0}}
    got = document(judged(report, candidates=(candidate,), **changes))["perfusion"]
    assert got["motion"] == {
        "corrected": True, "max_shift_mm": 1.25, "max_turn_deg": 2.0, "frames_dropped": [2], "times_s": [0.0, 1.5, 3.0, 4.5],
        "shift_mm": [0.0, 1.25, 9.0, 0.5], "turn_deg": [0.0, 0.5, 8.0, 2.0],
    }  # fmt: skip
    assert got["methods"] == {"cbf": "model matching"}
    assert got["measures"] == {"n_frames": 45.0}
    (shown,) = got["candidates"]
    assert (shown["role"], shown["chosen"], shown["score"], shown["measures"]) == ("aif", True, 0.8, {"peak_hu": 62.0})
    assert shown["location_lps_mm"] == pytest.approx(aif.location_lps_mm)


def test_motion_that_was_not_measured_is_null(report):
    got = document(judged(report, motion=None, candidates=()))["perfusion"]
    assert got["motion"] is None
    assert got["candidates"] == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"measures": {"noise_hu": np.nan}}, id="a measure that is none"),
        pytest.param({"motion": replace(MOTION, shift_mm=np.array([0.0, np.inf, 0.0, 0.0]))}, id="an endless shift"),
    ],
)
def test_no_measure_is_nan(report, change):
    with pytest.raises(ValueError, match="finite"):
        document(judged(report, **change))


def fallback(report_phantom):
    mask = report_phantom.maps()["hypoperfusion"]
    return TimeToPeakFallback(4.5, 61.0, 2.0, mask, mask)


def test_the_fallback_stands_beside_a_refusal_and_changes_no_state(report, report_phantom):
    got = document(replace(report, perfusion=UNJUDGED, fallback=fallback(report_phantom)))
    assert got["status"] == "partial"
    part = got["perfusion"]
    assert part["state"] == "not_assessable"
    assert part["core_ml"] is None
    assert part["fallback"].pop("note").startswith("Not a perfusion result")
    assert part["fallback"] == {
        "method": "time to peak against normal tissue", "threshold_s": 4.5, "left_ml": 61.0, "right_ml": 2.0,
    }  # fmt: skip


def test_the_schema_keeps_the_fallback_from_a_result(report, report_phantom):
    """Neither a judged perfusion nor one without images can carry it."""
    assert document(replace(report, fallback=fallback(report_phantom)))["perfusion"]["fallback"] is None
    with pytest.raises(jsonschema.ValidationError):
        document(replace(report, perfusion=ABSENT, fallback=fallback(report_phantom)))


def test_a_result_of_the_first_version_still_fits(report):
    """The keys that were added later are not required: files written before stay valid."""
    old = document(report)
    for key in ("candidates", "motion", "methods", "measures", "fallback"):
        del old["perfusion"][key]
    for key in ("segments", "covered", "not_covered"):
        del old["cta"][key]
    jsonschema.validate(old, _schema())


def test_there_is_no_identity_and_no_description(report):
    text = json.dumps(document(report))
    assert "description" not in text
    assert document(report)["study"] == {"study_instance_uid": report.study_instance_uid}


@pytest.mark.parametrize(
    ("cta", "perfusion", "status"),
    [
        pytest.param(None, None, "complete", id="both judged"),
        pytest.param(None, ABSENT, "complete", id="no perfusion images"),
        pytest.param(None, UNJUDGED, "partial", id="perfusion not judged"),
        pytest.param(UNJUDGED, None, "partial", id="CTA not judged"),
        pytest.param(ABSENT, None, "partial", id="perfusion alone: nothing is said about an occlusion"),
        pytest.param(UNJUDGED, ABSENT, "not_assessable", id="CTA not judged, no perfusion images"),
        pytest.param(ABSENT, ABSENT, "not_assessable", id="no images of either kind"),
    ],
)
def test_status(report, cta, perfusion, status):
    assert status_of(replace(report, cta=cta or report.cta, perfusion=perfusion or report.perfusion)) == status


@pytest.mark.parametrize("outcome", [UNJUDGED, ABSENT])
def test_what_was_not_judged_is_null_with_reasons(report, outcome):
    got = document(replace(report, cta=outcome, perfusion=outcome, volumes={}))
    for part in ("cta", "perfusion"):
        assert got[part].pop("state") in {"not_assessable", "absent"}
        assert got[part].pop("reasons")
        assert set(got[part].values()) == {None}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, np.float32(np.nan)])
def test_a_number_that_is_none_is_refused_with_its_key(report, bad):
    finding = replace(report.cta.value.finding, probability=bad)
    broken = replace(report, cta=Assessed(replace(report.cta.value, finding=finding)))
    with pytest.raises(ValueError, match=r"cta\.lvo\.probability must be a finite number"):
        document(broken)


def test_a_nan_deep_in_a_curve_is_refused(report):
    aif = report.perfusion.value.aif
    curve = replace(aif, enhancement_hu=np.where(aif.times_s > 10, np.nan, aif.enhancement_hu))
    broken = replace(report, perfusion=Assessed(replace(report.perfusion.value, aif=curve)))
    with pytest.raises(ValueError, match=r"perfusion\.aif"):
        document(broken)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"config_sha256": "short"}, id="a hash that is none"),
        pytest.param({"study_instance_uid": "John^Doe"}, id="a UID that is none"),
        pytest.param({"timings_s": {"load": -1.0}}, id="a negative time"),
    ],
)
def test_the_schema_says_no(report, change):
    with pytest.raises(jsonschema.ValidationError):
        document(replace(report, **change))


def test_a_probability_above_one_is_refused(report):
    finding = replace(report.cta.value.finding, probability=1.2)
    with pytest.raises(jsonschema.ValidationError):
        document(replace(report, cta=Assessed(replace(report.cta.value, finding=finding))))


def test_an_absolute_output_path_is_refused(report):
    with pytest.raises(jsonschema.ValidationError):
        result_document(report, outputs=[Output("report", "/home/x/report.html")], location_sop_instance_uid=None)


def test_a_value_json_does_not_know_is_refused(report):
    checks = (CriterionCheck("age", {1, 2}, "any", None),)
    broken = replace(report, criteria=(replace(report.criteria[0], checks=(replace(checks[0], value=object()),)),))
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        document(broken)


def test_numpy_values_become_plain_ones(report):
    finding = replace(report.cta.value.finding, probability=np.float32(0.5), location_lps_mm=np.array([1.0, 2.0, 3.0]))
    got = document(replace(report, cta=Assessed(replace(report.cta.value, finding=finding))))
    assert got["cta"]["lvo"]["location_lps_mm"] == [1.0, 2.0, 3.0]


def test_without_a_place_no_slice_is_named(report_phantom):
    assert document(report_phantom.report(call=Call.NOT_DETECTED))["cta"]["lvo"]["sop_instance_uid"] is None


def test_notes_of_all_parts_come_once(report):
    twice = QualityNote("tilt", Severity.INFO, "The gantry was tilted; the images were resampled.")
    cta = Assessed(replace(report.cta.value, notes=(twice,)))
    codes = [note.code for note in quality_notes(replace(report, cta=cta))]
    assert sorted(codes) == ["aif-partial-volume", "synthetic", "tilt"]
