"""Arteries by tree, suspected clot, segments and coverage as DICOM: valid, in the right place, with the right codes."""

from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from lvo_tests_dicom_writing import dcentvfy_errors, dciodvfy_errors, find, write, write_sources
from pydicom.sr.codedict import codes as standard

from lvo.core.anatomy import VESSEL_CLASSES
from lvo.core.outcome import Absent
from lvo.core.study import Role
from lvo.dicom.write import codes


@pytest.fixture(scope="module")
def report(report_phantom):
    return replace(report_phantom.detailed(), perfusion=Absent("no CT perfusion"))


@pytest.fixture(scope="module")
def written(report, report_phantom, tmp_path_factory):
    """Objects by name, and the folder with sources/ and dicom/."""
    folder = tmp_path_factory.mktemp("arteries")
    (folder / "sources").mkdir()
    sources = {Role.CTA: write_sources(folder / "sources", report_phantom.grid(Role.CTA), 2)}
    return write(report, sources, folder), folder


def test_no_object_breaks_its_definition(written):
    _, folder = written
    files = sorted((folder / "dicom").glob("*.dcm"))
    assert dciodvfy_errors(files) == []
    assert dcentvfy_errors([*files, *(folder / "sources").iterdir()]) == []


def test_every_tree_and_the_clot_are_a_segment_where_they_were(written, report):
    """Read back through highdicom's geometry, against the codes of the vessel map."""
    seg = hd.seg.segread(written[1] / "dicom" / "seg_cta.dcm")
    vessels = report.volumes["vessels"]
    expected = {
        "86117002": "ICA", "17232002": "MCA", "60176003": "ACA", "70382005": "PCA", "vertebrobasilar": "VB",
        "396339007": "clot",
    }  # fmt: skip
    found = {seg.get_segment_description(n).segmented_property_type.value: n for n in seg.segment_numbers}
    assert set(found) == set(expected)
    for value, name in expected.items():
        volume = seg.get_volume(segment_numbers=[found[value]], combine_segments=True)
        points = volume.map_indices_to_reference(np.argwhere(np.asarray(volume.array) > 0))
        truth = vessels.grid.to_lps_mm(np.argwhere(vessels.array == VESSEL_CLASSES.index(name)))
        assert len(points) == len(truth) > 0, name
        order_found, order_truth = (p[np.lexsort(p.round(1).T)] for p in (points, truth))
        np.testing.assert_allclose(order_found, order_truth, atol=0.01)


def test_codes_of_trees_are_those_of_the_standard(written):
    """By keyword in the dictionary that pydicom generates from PS3.16."""
    named = {
        "ICA": standard.SCT.InternalCarotidArtery, "MCA": standard.SCT.MiddleCerebralArtery,
        "ACA": standard.SCT.AnteriorCerebralArtery, "PCA": standard.SCT.PosteriorCerebralArtery,
    }  # fmt: skip
    for tree, code in named.items():
        assert (codes.TREES[tree].value, codes.TREES[tree].scheme_designator) == (code.value, code.scheme_designator)
    assert codes.THROMBUS.value == standard.SCT.Thrombus.value
    assert codes.TREES["VB"].scheme_designator == "99LVO"
    clot = written[0]["seg_cta"].SegmentSequence[-1]
    assert clot.SegmentLabel == "Suspected clot"
    assert clot.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"


def groups(sr):
    """Measurement groups by tracking identifier; of those with the same one the first."""
    return {find(group, "112039")[0].TextValue: group for group in reversed(find(sr, "125007"))}


def values(group):
    """Number and unit by code."""
    return {
        item.ConceptNameCodeSequence[0].CodeValue: (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def test_every_segment_is_a_group_with_numbers_and_units(written):
    found = groups(written[0]["sr"])
    assert values(found["Artery segment, M1, left"]) == {
        "118565006": (0.05, "mL"), "lumen-share": (0.31, "1"), "lumen-gap": (13.7, "mm"), "lumen-density": (214.0, "[hnsf'U]"),
    }  # fmt: skip
    assert values(found["Artery segment, A1, left"]) == {"118565006": (0.04, "mL")}, "what was not measured is left out"
    assert len([name for name in found if name.startswith("Artery segment")]) == 7


@pytest.mark.parametrize(
    ("name", "site", "side"),
    [("M1, left", "414722000", "Left"), ("ICA-T, right", "415646005", "Right"), ("BA, midline", "59011009", "Midline")],
)
def test_the_site_of_a_segment_is_coded_with_its_side(written, name, site, side):
    place = find(groups(written[0]["sr"])[f"Artery segment, {name}"], "363698007")[0]
    assert place.ConceptCodeSequence[0].CodeValue == site
    assert place.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == side


def test_a_branch_is_coded_as_its_segment_and_an_unknown_one_as_ours():
    assert codes.artery_segment("M2-superior").value == "414723005"
    assert codes.artery_segment("ICA-T").value == "415646005"
    assert (codes.artery_segment("P2").value, codes.artery_segment("P2").scheme_designator) == ("segment-p2", "99LVO")


def test_the_call_says_what_was_judged_and_what_was_not(written):
    comments = [item.TextValue for item in find(groups(written[0]["sr"])["Large-vessel occlusion"], "121106")]
    assert "judged: carotid terminus, M1, M2, basilar artery; not judged: A1, vertebral arteries, M3 and beyond" in comments


def test_without_trees_the_arteries_are_one_segment(report_phantom, tmp_path):
    report = replace(report_phantom.report(), perfusion=Absent("no CT perfusion"))
    sources = {Role.CTA: write_sources(tmp_path, report_phantom.grid(Role.CTA), 2)}
    (segment,) = write(report, sources, tmp_path)["seg_cta"].SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "51114001"
