"""DICOM results: valid, in the patient's study, at the right place, on the patient's left, the same twice."""

import copy
import logging
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from lvo_tests_dicom_writing import (
    NAME,
    STUDY_UID,
    dciodvfy_errors,
    find,
    stamp,
    write,
    write_sources,
)
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from lvo.core.grid import Grid
from lvo.core.outcome import Absent, NotAssessable
from lvo.core.report import Call
from lvo.core.study import InstanceRef, Role, SeriesRef
from lvo.core.volume import Volume
from lvo.dicom.write import SourceSeries, seg, write_results
from lvo.dicom.write.source_headers import read_headers
from lvo.errors import InputError, OutputError


@pytest.fixture(scope="module")
def sources(report_phantom, tmp_path_factory) -> dict[Role, SourceSeries]:
    folder = tmp_path_factory.mktemp("sources")
    return {
        Role.CTA: write_sources(folder, report_phantom.grid(Role.CTA), 2),
        Role.CTP: write_sources(folder, report_phantom.grid(Role.CTP), 3),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("result")


@pytest.fixture(scope="module")
def results(report_phantom, sources, folder) -> dict[str, Dataset]:
    return write(report_phantom.report(), sources, folder)


def test_everything_the_contract_promises_is_written(results):
    assert list(results) == [
        "sr", "text", "seg_cta", "seg_ctp", "pm_cbf", "pm_cbv", "pm_mtt", "pm_tmax", "pm_delay",
        "sc_summary", "sc_perfusion", "sc_tmax", "pr", "ko", "pdf",
    ]  # fmt: skip


def test_dciodvfy_finds_no_error_in_any_object(results, folder):
    errors = dciodvfy_errors(sorted((folder / "dicom").glob("*.dcm")))
    assert len(results) == len(list((folder / "dicom").glob("*.dcm")))
    assert errors == []


def test_dciodvfy_would_find_one(results, tmp_path):
    broken = copy.deepcopy(results["pm_cbf"])
    del broken.ContentLabel
    broken.save_as(tmp_path / "broken.dcm")
    assert dciodvfy_errors([tmp_path / "broken.dcm"])


def test_identity_is_the_source_images(results):
    for result in results.values():
        assert str(result.PatientName) == NAME
        assert (result.PatientID, result.PatientBirthDate, result.PatientSex) == ("P-77", "19480203", "F")
        assert (result.StudyInstanceUID, result.AccessionNumber, result.StudyID) == (STUDY_UID, "A-123", "S7")
        assert str(result.ReferringPhysicianName) == "Groß"
        assert result.SpecificCharacterSet == "ISO_IR 100", "names are spelled as in the images"


def test_every_object_says_research_use_only(results):
    for result in results.values():
        assert result.SeriesDescription.endswith("RESEARCH USE ONLY")
        assert len(result.SeriesDescription) <= 64


def test_images_say_head(results):
    assert all(result.BodyPartExamined == "HEAD" for name, result in results.items() if name not in {"sr", "text", "ko", "pdf"})


def test_no_identity_reaches_warnings_or_logs(report_phantom, sources, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        write(report_phantom.report(), sources, tmp_path)
    assert NAME not in caplog.text
    assert "P-77" not in caplog.text


def test_the_same_input_gives_the_same_bytes(report_phantom, sources, results, folder, tmp_path):
    write(report_phantom.report(), sources, tmp_path)
    for name in results:
        assert (tmp_path / "dicom" / f"{name}.dcm").read_bytes() == (folder / "dicom" / f"{name}.dcm").read_bytes(), name


def test_series_and_instances_are_all_different(results):
    assert len({r.SOPInstanceUID for r in results.values()}) == len(results)
    pictures = [r for name, r in results.items() if name.startswith("sc_")]
    assert len({r.SeriesInstanceUID for r in pictures}) == 1
    assert [r.InstanceNumber for r in pictures] == list(range(1, len(pictures) + 1))
    others = [r.SeriesInstanceUID for name, r in results.items() if not name.startswith("sc_")]
    assert len(set(others)) == len(others)


def test_the_report_says_the_call_in_codes(results):
    sr = results["sr"]
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (call,) = find(sr, "lvo-call")
    assert call.ConceptCodeSequence[0].CodeMeaning == "Suspected"
    (probability,) = find(sr, "lvo-probability")
    assert probability.MeasuredValueSequence[0].NumericValue == pytest.approx(0.93)
    (point,) = [item for item in find(sr, "111030") if item.ValueType == "SCOORD3D"]
    assert point.GraphicType == "POINT"


def test_the_report_says_side_and_site(results):
    site = find(results["sr"], "363698007")[0]
    assert site.ConceptCodeSequence[0].CodeValue == "414722000"
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning == "Left"


def test_the_point_is_the_finding_and_lies_on_the_left(results, report_phantom):
    (point,) = [item for item in find(results["sr"], "111030") if item.ValueType == "SCOORD3D"]
    expected = report_phantom.cta_result().finding.location_lps_mm
    np.testing.assert_allclose(point.GraphicData, expected, atol=1e-3)
    assert point.ReferencedFrameOfReferenceUID == report_phantom.grid(Role.CTA).frame_of_reference_uid
    assert point.GraphicData[0] > report_phantom.grid(Role.CTA).center_lps_mm[0]


def groups_of(sr: Dataset, findings: tuple[str, ...]) -> list[Dataset]:
    """Measurement groups whose finding has one of these codes."""
    groups = find(sr, "125007")
    return [g for g in groups if find(g, "121071")[0].ConceptCodeSequence[0].CodeValue in findings]


def volumes_of(sr: Dataset, findings: tuple[str, ...]) -> list[Dataset]:
    """Volumes in those groups."""
    return [volume for group in groups_of(sr, findings) for volume in find(group, "118565006")]


def test_volumes_have_unit_and_segment(results, report_phantom):
    perfusion = report_phantom.perfusion_result()
    volumes = volumes_of(results["sr"], ("core", "hypoperfusion"))
    assert [v.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue for v in volumes] == ["mL", "mL"]
    values = [float(v.MeasuredValueSequence[0].NumericValue) for v in volumes]
    assert values == pytest.approx([perfusion.core_ml, perfusion.hypoperfusion_ml], rel=1e-5)
    segments = [item for item in find(results["sr"], "121191") if item.ValueType == "IMAGE"]
    assert {s.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for s in segments} == {results["seg_ctp"].SOPInstanceUID}
    assert {item.UID for item in find(results["sr"], "121232")} == {f"{STUDY_UID}.3"}


def test_the_report_names_algorithm_limits_and_evidence(results, report_phantom):
    sr = results["sr"]
    assert {item.TextValue for item in find(sr, "111001")} == {"lvo"}
    assert any("cannot rule out" in item.TextValue for item in find(sr, "121106"))
    assert any("ab" * 32 in item.TextValue for item in find(sr, "111002"))
    (nearest,) = [item for item in find(sr, "121112") if item.ValueType == "IMAGE"]
    nearest_k = round(report_phantom.grid(Role.CTA).to_kji(report_phantom.cta_result().finding.location_lps_mm)[0])
    assert nearest.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == f"{STUDY_UID}.2.{nearest_k + 1}"
    sequences = [*sr.get("CurrentRequestedProcedureEvidenceSequence", []), *sr.get("PertinentOtherEvidenceSequence", [])]
    evidence = {
        (series.SeriesInstanceUID, item.ReferencedSOPInstanceUID)
        for study in sequences
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    ours = {(results[name].SeriesInstanceUID, results[name].SOPInstanceUID) for name in ("seg_cta", "seg_ctp")}
    slices = {2: report_phantom.grid(Role.CTA).shape_kji[0], 3: report_phantom.grid(Role.CTP).shape_kji[0]}
    images = {(f"{STUDY_UID}.{n}", f"{STUDY_UID}.{n}.{k + 1}") for n, count in slices.items() for k in range(count)}
    assert evidence == ours | images


def test_highdicom_reads_the_report_again(folder):
    again = hd.sr.srread(folder / "dicom" / "sr.dcm")
    assert len(again.content.get_planar_roi_measurement_groups()) == 2
    assert len(again.content.get_volumetric_roi_measurement_groups()) == 2


@pytest.mark.parametrize(
    ("call", "meaning"),
    [(Call.INDETERMINATE, "Indeterminate"), (Call.NOT_DETECTED, "Not detected; does not rule out an occlusion")],
)
def test_the_other_calls_have_their_own_codes(report_phantom, sources, tmp_path, call, meaning):
    results = write(report_phantom.report(call=call), sources, tmp_path)
    (item,) = find(results["sr"], "lvo-call")
    assert item.ConceptCodeSequence[0].CodeMeaning == meaning


def positions_of_segment(result: Dataset, number: int) -> np.ndarray:
    """(N, 3) LPS mm of a segment's voxels, from the bare attributes (PS3.3 C.7.6.2.1.1)."""
    frames = result.pixel_array.reshape(-1, result.Rows, result.Columns)
    shared = result.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    points = []
    for pixels, group in zip(frames, result.PerFrameFunctionalGroupsSequence, strict=True):
        identification = group.get("SegmentIdentificationSequence") or shared.SegmentIdentificationSequence
        if identification[0].ReferencedSegmentNumber != number:
            continue
        row, column = np.nonzero(pixels)
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        points.append(origin + np.outer(column * spacing[1], orientation[:3]) + np.outer(row * spacing[0], orientation[3:]))
    return np.concatenate(points)


def same_points(a: np.ndarray, b: np.ndarray) -> None:
    """The same set of positions to a hundredth of a millimetre."""
    assert a.shape == b.shape
    order_a, order_b = (np.lexsort(np.round(x, 1).T) for x in (a, b))
    np.testing.assert_allclose(a[order_a].sum(axis=0), b[order_b].sum(axis=0), rtol=1e-6)
    distance = np.abs(a[:, None] - b[None]).max(axis=-1).min(axis=1)
    assert distance.max() < 0.01


def test_the_lesion_is_where_it_was_and_on_the_left(results, report_phantom):
    maps = report_phantom.maps()
    grid = maps["core"].grid
    for number, name in ((1, "core"), (2, "hypoperfusion")):
        found = positions_of_segment(results["seg_ctp"], number)
        same_points(found, grid.to_lps_mm(np.argwhere(maps[name].array)))
        assert found[:, 0].min() > grid.center_lps_mm[0] - 10.0


def test_the_arteries_are_where_they_were(results, report_phantom):
    arteries = report_phantom.volumes()["arteries"]
    same_points(positions_of_segment(results["seg_cta"], 1), arteries.grid.to_lps_mm(np.argwhere(arteries.array >= 0.5)))


def test_segments_refer_to_their_source_slices(results):
    groups = results["seg_cta"].PerFrameFunctionalGroupsSequence
    uids = [g.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for g in groups]
    assert all(uid.startswith(f"{STUDY_UID}.2.") for uid in uids)
    assert len(groups) < 30, "empty slices are left out"


def test_a_map_is_where_it_was(results, report_phantom):
    """Frame by frame from the bare attributes: GDCM, and with it SimpleITK, cannot read floating-point pixels."""
    tmax = report_phantom.maps()["tmax"]
    result = results["pm_tmax"]
    shared = result.SharedFunctionalGroupsSequence[0]
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    frame, row, column = np.unravel_index(result.pixel_array.argmax(), result.pixel_array.shape)
    group = result.PerFrameFunctionalGroupsSequence[frame]
    origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
    place = origin + column * spacing[1] * orientation[:3] + row * spacing[0] * orientation[3:]
    np.testing.assert_allclose(place, tmax.grid.to_lps_mm(np.unravel_index(tmax.array.argmax(), tmax.array.shape)), atol=0.01)


def test_maps_have_units_and_values(results, report_phantom):
    maps = report_phantom.maps()
    for name, unit in (("cbf", "ml/(100.g)/min"), ("cbv", "ml/(100.g)"), ("mtt", "s"), ("tmax", "s"), ("delay", "s")):
        result = results[f"pm_{name}"]
        mapping = result.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == unit
        np.testing.assert_array_equal(np.sort(result.pixel_array.ravel()), np.sort(maps[name].array.ravel()))
        assert f"[{unit}]" in result.SeriesDescription
    assert results["pm_tmax"].SeriesDescription == "LVO Tmax [s] - RESEARCH USE ONLY"


def test_a_map_without_a_value_is_written_as_zero(report_phantom, sources, tmp_path):
    result = report_phantom.perfusion_result()
    tmax = result.maps["tmax"]
    holes = tmax.array.copy()
    holes[0, 0, 0] = np.nan
    maps = {**result.maps, "tmax": Volume(holes, tmax.grid, tmax.quantity)}
    report = report_phantom.report()
    report = replace(report, perfusion=type(report.perfusion)(replace(result, maps=maps)))
    assert np.isfinite(write(report, sources, tmp_path)["pm_tmax"].pixel_array).all()


def test_resampled_slices_keep_their_own_geometry(sources, tmp_path):
    """After tilt correction the artery map is on a grid of its own: other shape, spacing and axes than the images."""
    grid = Grid.from_axes((7, 9, 11), (4.0, 5.0, 6.0), origin_lps_mm=(-20.0, -70.0, 610.0), frame_of_reference_uid="1.2.3.4.5")
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[2, 3, 8] = mask[5, 1, 4] = True
    headers = read_headers(sources[Role.CTA])
    result = seg.segmentation(
        headers, {seg.ARTERIES: mask}, grid, stamp(), name="seg_cta", series_number=9, title="LVO arteries"
    )
    result.save_as(tmp_path / "seg.dcm")
    again = pydicom.dcmread(tmp_path / "seg.dcm")
    same_points(positions_of_segment(again, 1), grid.to_lps_mm(np.argwhere(mask)))
    assert {str(i.ReferencedSOPInstanceUID) for i in again.SourceImageSequence} == {
        str(i.SOPInstanceUID) for i in headers.images
    }


@pytest.mark.parametrize("keyword", ["SliceThickness", "FrameOfReferenceUID", "PositionReferenceIndicator", "ImageType"])
@pytest.mark.parametrize("emptied", [True, False], ids=["empty", "absent"])
def test_headers_that_an_anonymiser_stripped_do_not_cost_the_result(report_phantom, tmp_path, keyword, emptied):
    sources = {}
    for role, number in ((Role.CTA, 2), (Role.CTP, 3)):
        sources[role] = write_sources(tmp_path, report_phantom.grid(role), number, **{keyword: None})
        for path in sources[role].paths:
            image = pydicom.dcmread(path)
            if not emptied:
                del image[keyword]
            image.save_as(path)
    results = write(report_phantom.report(), sources, tmp_path / "out")
    assert {"sr", "seg_cta", "seg_ctp", "pm_tmax"} <= set(results)
    shared = results["seg_ctp"].SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(shared.SliceThickness) == pytest.approx(report_phantom.grid(Role.CTP).spacing_kji_mm[0], rel=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"PatientIdentityRemoved": "YES"}, id="removed, nobody says how"),
        pytest.param({"PatientIdentityRemoved": "YES", "DeidentificationMethod": ""}, id="removed, method empty"),
        pytest.param({"DeidentificationMethod": "", "PatientComments": "", "PatientAge": ""}, id="empty where that is illegal"),
    ],
)
def test_what_is_illegal_in_the_source_is_not_handed_on(report_phantom, tmp_path, change):
    source = write_sources(tmp_path, report_phantom.grid(Role.CTA), 2, **change)
    write(report_phantom.report(), {Role.CTA: source}, tmp_path)
    assert dciodvfy_errors(sorted((tmp_path / "dicom").glob("*.dcm"))) == []


@pytest.mark.parametrize(
    ("character_set", "name", "expected"),
    [
        ("", "Plain^Name", ""),
        ("ISO_IR 100", "M\xf6ller^A", "ISO_IR 100"),
        ("ISO_IR 144", "\u0418\u0432\u0430\u043d\u043e\u0432^A", "ISO_IR 144"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce", "ISO_IR 192"),
    ],
    ids=["ASCII", "Latin 1", "Cyrillic", "Japanese"],
)
def test_names_keep_their_spelling(report_phantom, tmp_path, character_set, name, expected):
    spelled = {"SpecificCharacterSet": character_set, "PatientName": name, "ReferringPhysicianName": "", "StudyDescription": ""}
    source = write_sources(tmp_path, report_phantom.grid(Role.CTA), 2, **spelled)
    for result in write(report_phantom.report(), {Role.CTA: source}, tmp_path).values():
        assert str(result.PatientName) == name
        assert result.get("SpecificCharacterSet", "") == expected


def test_an_empty_lesion_has_no_segment_and_a_volume_of_zero(report_phantom, sources, tmp_path):
    report = report_phantom.report()
    result = report.perfusion.value
    empty = {
        name: replace(result.maps[name], array=np.zeros_like(result.maps[name].array)) for name in ("core", "hypoperfusion")
    }
    result = replace(
        result,
        maps={**result.maps, **empty},
        core_ml=0.0,
        hypoperfusion_ml=0.0,
        mismatch_ml=0.0,
        mismatch_ratio=None,
        hir=None,
        side=None,
    )
    results = write(replace(report, perfusion=type(report.perfusion)(result)), sources, tmp_path)
    assert "seg_ctp" not in results
    assert [float(v.MeasuredValueSequence[0].NumericValue) for v in volumes_of(results["sr"], ("core", "hypoperfusion"))] == [
        0.0,
        0.0,
    ]
    assert find(results["sr"], "mismatch-ratio") == []


def test_what_could_not_be_judged_is_said_with_reasons_and_without_numbers(report_phantom, sources, tmp_path):
    report = replace(
        report_phantom.report(),
        cta=NotAssessable(("The bolus was missed.",)),
        perfusion=Absent("no CT perfusion in the study"),
        volumes={},
    )
    results = write(report, {Role.NCCT: sources[Role.CTA]}, tmp_path)
    assert list(results) == ["sr", "text", "sc_summary", "sc_perfusion", "sc_tmax", "ko", "pdf"]
    (call,) = find(results["sr"], "lvo-call")
    assert call.ConceptCodeSequence[0].CodeMeaning == "Could not be judged"
    texts = [item.TextValue for item in find(results["sr"], "121106")]
    assert "The bolus was missed." in texts
    assert "no CT perfusion in the study" in texts
    assert find(results["sr"], "lvo-probability") == []
    assert dciodvfy_errors(sorted((tmp_path / "dicom").glob("*.dcm"))) == []


def test_pictures_are_the_figures_in_colour_and_claim_no_orientation(results, report_phantom):
    pixels = results["sc_summary"].pixel_array
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert results["sc_summary"].PatientOrientation == ""
    assert len(results["sc_summary"].SourceImageSequence) == sum(
        report_phantom.grid(r).shape_kji[0] for r in (Role.CTA, Role.CTP)
    )
    assert Image.fromarray(pixels).getpixel((5, 5)) == (0xB3, 0x47, 0x00)


def test_the_pdf_is_whole(results):
    document = results["pdf"].EncapsulatedDocument[: results["pdf"].EncapsulatedDocumentLength]
    assert document.startswith(b"%PDF-")
    assert document.rstrip().endswith(b"%%EOF")


def test_a_study_of_two_series_at_one_time_keeps_both(report_phantom, tmp_path):
    """Some scanners split a CTP: highdicom wants one series, the rest are referenced as further images."""
    grid = report_phantom.grid(Role.CTP)
    first, second = write_sources(tmp_path, grid, 5), write_sources(tmp_path, grid, 6)
    both = SourceSeries(first.paths + second.paths[:2], first.sop_instance_uids + second.sop_instance_uids[:2])
    result = write(report_phantom.report(), {Role.CTP: both}, tmp_path / "out")["seg_ctp"]
    assert len(result.SourceImageSequence) == grid.shape_kji[0] + 2


def test_bare_anonymous_headers_are_enough(report_phantom, tmp_path):
    grid = report_phantom.grid(Role.CTP)
    source = write_sources(
        tmp_path,
        grid,
        8,
        PatientName="",
        PatientID="",
        PatientBirthDate="",
        PatientSex="",
        StudyID="",
        AccessionNumber="",
        StudyDate="",
    )
    results = write(report_phantom.report(), {Role.CTP: source}, tmp_path / "out")
    assert results["pm_cbf"].PatientName == ""
    assert results["pm_cbf"].StudyInstanceUID == STUDY_UID


def test_a_source_that_is_no_ct_still_carries_the_refusal(report_phantom, tmp_path):
    """A study may hold nothing but a scanned page: no position, no frame of reference, no pixel spacing."""
    page = Dataset()
    page.file_meta = FileMetaDataset()
    page.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    page.SOPClassUID, page.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3.1"
    page.StudyInstanceUID, page.SeriesInstanceUID, page.Modality = STUDY_UID, "1.2.3", "OT"
    page.save_as(tmp_path / "page", enforce_file_format=True)
    why = "CT angiography was not asked for"
    report = replace(report_phantom.report(), cta=Absent(why), perfusion=Absent("no CT perfusion"), volumes={})
    results = write(report, {Role.OTHER: SourceSeries((tmp_path / "page",), ("1.2.3.1",))}, tmp_path / "out")
    (call,) = find(results["sr"], "lvo-call")
    assert call.ConceptCodeSequence[0].CodeMeaning == "Not analysed"
    assert any(why in item.TextValue for item in find(results["sr"], "121106")), "the reason says whether there are images"
    assert dciodvfy_errors(sorted((tmp_path / "out" / "dicom").glob("*.dcm"))) == []


def test_no_source_is_refused(report_phantom, tmp_path):
    with pytest.raises(ValueError, match="at least one image"):
        write_results(report_phantom.report(), {}, figures={}, pdf=None, folder=tmp_path, stamp=stamp())


def test_an_unknown_source_image_is_refused():
    known = SeriesRef("1.2", "CT", "", 1, (InstanceRef(Path("a"), "1.2.3", CTImageStorage),))
    with pytest.raises(InputError, match="1 of 2 source images"):
        SourceSeries.of([known], ["1.2.3", "1.2.4"])


def test_a_source_that_vanished_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read again"):
        read_headers(SourceSeries((tmp_path / "gone",), ("1.2",)))


def test_a_document_that_is_no_pdf_is_refused(report_phantom, sources, tmp_path):
    with pytest.raises(ValueError, match="PDF"):
        write_results(report_phantom.report(), sources, figures={}, pdf=b"<html>", folder=tmp_path, stamp=stamp())


def test_an_unwritable_folder_is_one_clear_error(report_phantom, sources, tmp_path):
    (tmp_path / "dicom").write_text("a file in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_results(report_phantom.report(), sources, figures={}, pdf=None, folder=tmp_path, stamp=stamp())
