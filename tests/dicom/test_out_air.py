"""The structured report keeps the rules of the IHE profile AI Results, whatever there is to report and from whatever images."""

import copy
from dataclasses import replace

import pytest
from lvo_tests_dicom_ai_results import everything, faults, groups, named
from lvo_tests_dicom_writing import write, write_multiframe, write_sources
from pydicom import Dataset

from lvo.core.outcome import Absent, NotAssessable
from lvo.core.report import Call, Report
from lvo.core.study import Role

UNJUDGED = NotAssessable(("The bolus never came.",))


@pytest.fixture(scope="module")
def sources(report_phantom, tmp_path_factory):
    """Both scans as one file per slice, and as one file each."""
    folder = tmp_path_factory.mktemp("sources")
    return {
        "slices": {role: write_sources(folder, report_phantom.grid(role), n) for role, n in ((Role.CTA, 2), (Role.CTP, 3))},
        "frames": {role: write_multiframe(folder, report_phantom.grid(role), n) for role, n in ((Role.CTA, 4), (Role.CTP, 5))},
    }


def reports(phantom) -> dict[str, Report]:
    """One of each kind."""
    whole = phantom.report()
    return {
        "suspected": whole,
        "in detail": phantom.detailed(),
        "indeterminate": phantom.report(call=Call.INDETERMINATE),
        "not detected": phantom.report(call=Call.NOT_DETECTED),
        "perfusion alone": replace(whole, cta=Absent("no CT angiogram in the study"), volumes={}),
        "angiogram alone": replace(whole, perfusion=Absent("no CT perfusion in the study")),
        "nothing judged": replace(whole, cta=UNJUDGED, perfusion=UNJUDGED, volumes={}),
        "late tissue only": replace(whole, perfusion=UNJUDGED, fallback=phantom.fallback()),
    }


KINDS = ("suspected", "in detail", "indeterminate", "not detected", "perfusion alone", "angiogram alone", "nothing judged",
         "late tissue only")  # fmt: skip


def images_of(results: dict[str, Dataset], sources) -> list[str]:
    """What a report may refer to: the source images and our own objects."""
    return [*(uid for source in sources.values() for uid in source.sop_instance_uids),
            *(str(result.SOPInstanceUID) for result in results.values())]  # fmt: skip


@pytest.fixture(scope="module")
def whole(report_phantom, sources, tmp_path_factory):
    """A report with everything, and what it may refer to."""
    results = write(report_phantom.detailed(), sources["slices"], tmp_path_factory.mktemp("whole"))
    return results, images_of(results, sources["slices"])


@pytest.mark.parametrize("images", ["slices", "frames"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_report_keeps_the_rules(report_phantom, sources, tmp_path, kind, images):
    results = write(reports(report_phantom)[kind], sources[images], tmp_path, captures=False, parametric_maps=False)
    assert faults(results["sr"], images_of(results, sources[images])) == []


def test_every_kind_is_tried(report_phantom):
    assert set(KINDS) == set(reports(report_phantom))


def test_the_call_points_at_its_source_image(whole):
    """Finding, site and side in codes; a point on an image of the angiogram and one in space, under one tracking UID."""
    results, images = whole
    on_image = [item for item in everything(results["sr"]) if item.ValueType == "SCOORD"]
    (reference,) = on_image[0].ContentSequence[0].ReferencedSOPSequence
    assert len(on_image) == 1
    assert reference.ReferencedSOPInstanceUID in images
    marked = [group for group in groups(results["sr"]) if named(group, "111030")]
    assert [named(group, "111030")[0].ValueType for group in marked] == ["SCOORD3D", "SCOORD"]
    assert len({named(group, "112040")[0].UID for group in marked}) == 1
    for group in marked:
        (site,) = named(group, "363698007")
        assert [item.ConceptCodeSequence[0].CodeValue for item in named(site, "272741003")] == ["7771000"]


def test_lesions_are_the_segments_that_are_tracked(whole):
    """A volume refers to a segment of ours, which carries the tracking UID of the report."""
    results, _ = whole
    tied = [group for group in groups(results["sr"]) if named(group, "121191")]
    assert len(tied) == 2
    for group in tied:
        (reference,) = named(group, "121191")[0].ReferencedSOPSequence
        assert reference.ReferencedSOPInstanceUID == results["seg_ctp"].SOPInstanceUID
        segment = results["seg_ctp"].SegmentSequence[int(reference.ReferencedSegmentNumber) - 1]
        assert segment.TrackingUID == named(group, "112040")[0].UID
        (finding,) = named(group, "121071")
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == finding.ConceptCodeSequence[0].CodeValue
        assert len(named(group, "118565006")) == 1


def test_the_algorithm_names_settings_and_models(whole, report_phantom):
    parameters = [item.TextValue for item in named(groups(whole[0]["sr"])[0], "111002")]
    report = report_phantom.detailed()
    assert any(report.config_sha256 in text for text in parameters)
    assert all(any(model.sha256 in text for text in parameters) for model in report.models)


def test_what_was_not_judged_is_a_finding_without_a_number(report_phantom, sources, tmp_path):
    results = write(reports(report_phantom)["nothing judged"], sources["slices"], tmp_path)
    assert len(groups(results["sr"])) == 2
    assert not [item for item in everything(results["sr"]) if item.ValueType in {"NUM", "SCOORD", "SCOORD3D"}]
    said = [item.ConceptCodeSequence[0].CodeValue for item in everything(results["sr"]) if item.ValueType == "CODE"]
    assert said.count("not-assessable") == 2


def test_key_objects_point_at_evidence(whole):
    results, images = whole
    shown = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in results["ko"].ContentSequence if
             item.ValueType == "IMAGE"]  # fmt: skip
    assert shown
    assert set(shown) <= set(images)


def _without(value: str):
    def change(report: Dataset) -> None:
        group = groups(report)[0]
        group.ContentSequence = [item for item in group.ContentSequence if item not in named(group, value)]

    return change


def _title(report: Dataset) -> None:
    report.ConceptNameCodeSequence[0].CodeValue = "126001"


def _verified(report: Dataset) -> None:
    report.VerificationFlag = "VERIFIED"


def _unit(report: Dataset) -> None:
    number = next(item for item in everything(report) if item.ValueType == "NUM")
    number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodingSchemeDesignator = "99X"


def _elsewhere(report: Dataset) -> None:
    point = next(item for item in everything(report) if item.ValueType == "SCOORD")
    point.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _no_image(report: Dataset) -> None:
    del next(item for item in everything(report) if item.ValueType == "SCOORD").ContentSequence


def _template(report: Dataset) -> None:
    groups(report)[-1].ContentTemplateSequence[0].TemplateIdentifier = "1410"


def _one_uid(report: Dataset) -> None:
    named(groups(report)[-1], "112040")[0].UID = named(groups(report)[0], "112040")[0].UID


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(_title, "the title is not Imaging Measurement Report", id="another title"),
        pytest.param(_verified, "unverified and preliminary", id="verified by software"),
        pytest.param(_without("112039"), "0 x tracking identifier", id="no tracking identifier"),
        pytest.param(_without("112040"), "0 x tracking UID", id="no tracking UID"),
        pytest.param(_without("121071"), "0 x finding", id="no finding"),
        pytest.param(_without("111001"), "0 x algorithm name", id="no algorithm"),
        pytest.param(_without("111003"), "0 x algorithm version", id="no version"),
        pytest.param(_unit, "without a unit of UCUM", id="another unit"),
        pytest.param(_elsewhere, "a reference to what is no evidence", id="an image that is no evidence"),
        pytest.param(_no_image, "a point on no image", id="a point on nothing"),
        pytest.param(_template, "TID 1410 with", id="another template"),
        pytest.param(_one_uid, "one tracking UID for two things", id="one UID twice"),
    ],
)
def test_a_breach_is_found(whole, change, says):
    results, images = whole
    broken = copy.deepcopy(results["sr"])
    change(broken)
    assert any(says in fault for fault in faults(broken, images))
