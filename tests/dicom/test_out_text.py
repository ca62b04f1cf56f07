"""The report as text: everything that the structured report says to a reader, in its words, and valid."""

from dataclasses import replace

import pytest
from lvo_tests_dicom_ai_results import everything, groups, named
from lvo_tests_dicom_writing import dciodvfy_errors, program, said_by, write, write_sources

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import NotAssessable
from lvo.core.study import Role

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.fixture(scope="module")
def sources(report_phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    return {role: write_sources(folder, report_phantom.grid(role), n) for role, n in ((Role.CTA, 2), (Role.CTP, 3))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("result")


@pytest.fixture(scope="module")
def results(report_phantom, sources, folder):
    return write(report_phantom.detailed(), sources, folder, captures=False, parametric_maps=False)


def lines(node) -> list[tuple[str, str]]:
    """Name and words of the lines of a heading."""
    return [(item.ConceptNameCodeSequence[0].CodeMeaning, item.TextValue) for item in node.ContentSequence if
            item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"]  # fmt: skip


def headings(text) -> list:
    return [item for item in text.ContentSequence if item.ValueType == "CONTAINER"]


def test_it_is_text_and_valid(results, folder):
    """OHIF shows the words of a report unless its title is 126000; a Basic Text SR holds nothing but words, codes and names."""
    assert results["text"].SOPClassUID == results["text"].file_meta.MediaStorageSOPClassUID == BASIC_TEXT
    assert results["text"].ConceptNameCodeSequence[0].CodeValue != "126000"
    assert {item.ValueType for item in everything(results["text"])} <= {"TEXT", "CODE", "UIDREF", "CONTAINER"}
    assert dciodvfy_errors([folder / "dicom" / "text.dcm"]) == []


def test_the_limits_come_first(results):
    assert lines(results["text"])[0] == ("Comment", RESEARCH_USE_ONLY)


def test_the_call_is_in_words(results, report_phantom):
    finding = report_phantom.detailed().cta.value.finding
    said = dict(lines(headings(results["text"])[0]))
    assert said["Tracking Identifier"] == "Large-vessel occlusion"
    assert said["Large-vessel occlusion, call of the software"] == "Suspected"
    assert said["Finding Site"] == "Middle Cerebral Artery M1 Segment, Left"
    assert said["LVO probability, calibrated on synthetic heads"] == f"{finding.probability:g}"
    comments = [words for name, words in lines(headings(results["text"])[0]) if name == "Comment"]
    assert set(finding.evidence) <= set(comments)


def test_volumes_have_their_unit(results, report_phantom):
    core = report_phantom.perfusion_result().core_ml
    said = [dict(lines(heading)) for heading in headings(results["text"])]
    (volume,) = [one["Volume"] for one in said if one["Tracking Identifier"] == "Estimated ischaemic core"]
    number, _, unit = volume.partition(" ")
    assert float(number) == pytest.approx(core, rel=1e-5)
    assert unit == "mL"


def test_no_finding_is_lost_and_none_is_told_twice(results):
    """A heading per group but for the one that repeats the call as a point on its image."""
    tracked = [named(group, "112039")[0].TextValue for group in groups(results["sr"])]
    assert tracked.count("Large-vessel occlusion") == 2
    assert [dict(lines(heading))["Tracking Identifier"] for heading in headings(results["text"])] == list(
        dict.fromkeys(tracked)
    )


def test_what_could_not_be_judged_says_why(report_phantom, sources, tmp_path):
    unjudged = NotAssessable(("The bolus never came.",))
    report = replace(report_phantom.report(), cta=unjudged, perfusion=unjudged, volumes={})
    for heading in headings(write(report, sources, tmp_path)["text"]):
        said = lines(heading)
        assert ("Comment", "The bolus never came.") in said
        assert "Could not be judged" in dict(said).values()


@pytest.mark.skipif(program("dsr2html") is None, reason="dsr2html (Debian package dcmtk) is missing")
def test_dcmtk_shows_the_words(results, folder, tmp_path):
    status, said = said_by("/usr/bin/dsr2html", folder / "dicom" / "text.dcm", tmp_path / "text.html")
    assert status == 0
    assert not [line for line in said.splitlines() if line.startswith(("E:", "F:"))]
    page = (tmp_path / "text.html").read_text(errors="replace")
    assert "Middle Cerebral Artery M1 Segment, Left" in page
    assert "Suspected" in page
    assert len(results["text"].ContentSequence) > 5
