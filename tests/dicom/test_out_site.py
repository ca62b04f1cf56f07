"""The suspected site on its source image: found, marked, and the first image to open."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from lvo_tests_dicom_writing import STUDY_UID, find, write, write_multiframe, write_sources

from lvo.core.outcome import Assessed
from lvo.core.report import Call, Report
from lvo.core.study import Role
from lvo.dicom.write.place import source_point
from lvo.dicom.write.source_headers import read_headers


@pytest.fixture(scope="module")
def sources(report_phantom, tmp_path_factory):
    """The angiogram as one file per slice, and as one file."""
    folder, grid = tmp_path_factory.mktemp("sources"), report_phantom.grid(Role.CTA)
    return {"slices": write_sources(folder, grid, 2), "frames": write_multiframe(folder, grid, 4)}


@pytest.fixture(scope="module", params=["slices", "frames"])
def results(request, sources, report_phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return write(report_phantom.report(), {Role.CTA: sources[request.param]}, folder)


@pytest.fixture(scope="module")
def site_kji(report_phantom):
    """The site in voxels of the angiogram, from the grid it was made on."""
    return report_phantom.grid(Role.CTA).to_kji(report_phantom.cta_result().finding.location_lps_mm)


def with_place(report: Report, location_lps_mm) -> Report:
    """The same suspicion somewhere else, or nowhere."""
    result = report.cta.value
    return replace(report, cta=Assessed(replace(result, finding=replace(result.finding, location_lps_mm=location_lps_mm))))


def test_every_voxel_is_found_on_its_image(sources, report_phantom):
    """Column and row count from the corner of the image: the middle of the first pixel is (0.5, 0.5) (PS3.3 C.18.6.1.1)."""
    grid = report_phantom.grid(Role.CTA)
    for name, source in sources.items():
        headers = read_headers(source)
        for kji in ((0, 0, 0), (3, 25, 7), (29, 4, 22)):
            point = source_point(headers, tuple(grid.to_lps_mm(kji)))
            assert point.column_row == pytest.approx((kji[2] + 0.5, kji[1] + 0.5), abs=1e-4)
            assert point.spacing_mm == pytest.approx((7.1, 7.7))
            if name == "slices":
                assert point.frame is None
                assert point.image.SOPInstanceUID == f"{STUDY_UID}.2.{kji[0] + 1}"
            else:
                assert point.frame == kji[0] + 1


@pytest.mark.parametrize("kji", [(5, 5, 24), (5, 27, 5), (5, 5, -2), (5, -2, 5)], ids=["right", "below", "left", "above"])
def test_a_point_beside_the_image_is_not_on_it(sources, report_phantom, kji):
    point = tuple(report_phantom.grid(Role.CTA).to_lps_mm(kji))
    assert source_point(read_headers(sources["slices"]), point) is None


def test_images_that_do_not_say_where_they_lie_show_no_point(report_phantom, tmp_path):
    source = write_sources(tmp_path, report_phantom.grid(Role.CTA), 2, ImagePositionPatient=None)
    assert source_point(read_headers(source), report_phantom.cta_result().finding.location_lps_mm) is None


def test_the_report_points_at_the_site_on_its_image(results, site_kji):
    (point,) = [item for item in find(results["sr"], "111030") if item.ValueType == "SCOORD"]
    k, j, i = site_kji
    np.testing.assert_allclose(point.GraphicData, (i + 0.5, j + 0.5), atol=1e-3)
    image = point.ContentSequence[0].ReferencedSOPSequence[0]
    if "ReferencedFrameNumber" in image:
        assert (image.ReferencedSOPInstanceUID, image.ReferencedFrameNumber) == (f"{STUDY_UID}.4.1", round(k) + 1)
    else:
        assert image.ReferencedSOPInstanceUID == f"{STUDY_UID}.2.{round(k) + 1}"


def test_both_points_are_one_finding(results):
    groups = find(results["sr"], "125007")[:2]
    assert [find(group, "111030")[0].ValueType for group in groups] == ["SCOORD3D", "SCOORD"]
    assert len({find(group, "112040")[0].UID for group in groups}) == 1


def test_the_ring_is_round_the_site_and_round_in_millimetres(results, site_kji):
    annotation = results["pr"].GraphicAnnotationSequence[0]
    ring = np.reshape(annotation.GraphicObjectSequence[0].GraphicData, (-1, 2))
    np.testing.assert_array_equal(ring[0], ring[-1])
    away_mm = (ring - (site_kji[2] + 0.5, site_kji[1] + 0.5)) * (7.1, 7.7)
    np.testing.assert_allclose(np.linalg.norm(away_mm, axis=1), 9.0, atol=0.01)
    assert "suspected: Middle Cerebral Artery M1 Segment, left" in annotation.TextObjectSequence[0].UnformattedTextValue
    assert "RESEARCH USE ONLY" in annotation.TextObjectSequence[0].UnformattedTextValue


def test_the_state_shows_the_image_of_the_site_alone_and_in_hu(results, site_kji):
    state = results["pr"]
    images = [image for series in state.ReferencedSeriesSequence for image in series.ReferencedImageSequence]
    assert len(images) == 1
    multi_frame = "ReferencedFrameNumber" in images[0]
    k = round(site_kji[0])
    if multi_frame:
        assert images[0].ReferencedFrameNumber == k + 1
    assert state.RescaleIntercept == (-1024 - k if multi_frame else -1024), "of that frame"
    assert state.RescaleType == "HU"
    window = state.SoftcopyVOILUTSequence[0]
    assert (window.WindowCenter, window.WindowWidth) == (300, 800)


def test_the_site_and_then_the_summary_are_the_images_to_open(results, site_kji):
    first, second = [item.ReferencedSOPSequence[0] for item in find(results["ko"], "260753009")]
    k = round(site_kji[0])
    if "ReferencedFrameNumber" in first:
        assert first.ReferencedFrameNumber == k + 1
    else:
        assert first.ReferencedSOPInstanceUID == f"{STUDY_UID}.2.{k + 1}"
    assert first.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == results["pr"].SOPInstanceUID
    assert second.ReferencedSOPInstanceUID == results["sc_summary"].SOPInstanceUID
    evidence = {
        item.ReferencedSOPInstanceUID
        for study in results["ko"].CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    shown = {first.ReferencedSOPInstanceUID, second.ReferencedSOPInstanceUID, results["pr"].SOPInstanceUID}
    assert evidence == shown


@pytest.mark.parametrize("call", [Call.NOT_DETECTED, Call.INDETERMINATE])
def test_only_a_site_is_marked(report_phantom, sources, tmp_path, call):
    results = write(report_phantom.report(call=call), {Role.CTA: sources["slices"]}, tmp_path)
    if call is Call.NOT_DETECTED:
        assert "pr" not in results
        assert [item.ValueType for item in find(results["ko"], "260753009")] == ["IMAGE"]
    else:
        assert "indeterminate" in str(results["pr"].GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue)


def test_a_site_beside_the_images_is_told_and_not_marked(report_phantom, sources, tmp_path):
    report = with_place(report_phantom.report(), (400.0, 0.0, 640.0))
    results = write(report, {Role.CTA: sources["slices"]}, tmp_path)
    assert "pr" not in results
    assert [item.ValueType for item in find(results["sr"], "111030")] == ["SCOORD3D"]


def test_a_ring_at_the_edge_stays_on_the_image(report_phantom, sources, tmp_path):
    corner = tuple(report_phantom.grid(Role.CTA).to_lps_mm((12, 0, 22)))
    results = write(with_place(report_phantom.report(), corner), {Role.CTA: sources["slices"]}, tmp_path)
    ring = np.reshape(results["pr"].GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData, (-1, 2))
    assert ring.min() == 0.0
    assert ring[:, 0].max() == 23.0


def test_without_a_frame_of_reference_the_point_on_the_image_remains(report_phantom, tmp_path):
    source = write_sources(tmp_path, report_phantom.grid(Role.CTA), 2, FrameOfReferenceUID=None)
    results = write(report_phantom.report(), {Role.CTA: source}, tmp_path)
    assert [item.ValueType for item in find(results["sr"], "111030")] == ["SCOORD"]
    assert isinstance(results["pr"], pydicom.Dataset)
