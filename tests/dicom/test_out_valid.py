"""Every object from every kind of source passes the validators, and other libraries read back what was written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - its customary name
from lvo_tests_dicom_writing import (
    dcentvfy_errors,
    dciodvfy_errors,
    program,
    said_by,
    write,
    write_multiframe,
    write_sources,
)

from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.core.report import Report, TimeToPeakFallback
from lvo.core.study import Role
from lvo.core.volume import Quantity, Volume

needs_dcmtk = pytest.mark.skipif(program("dsrdump") is None, reason="dsrdump and dcmpschk (Debian package dcmtk) are missing")


def oblique(folder, phantom):
    return {
        Role.CTA: write_sources(folder, phantom.grid(Role.CTA), 2),
        Role.CTP: write_sources(folder, phantom.grid(Role.CTP), 3),
    }


def tilted(folder, phantom):
    return {
        Role.CTA: write_sources(folder, phantom.grid(Role.CTA), 2, shear_mm=1.9),
        Role.CTP: write_sources(folder, phantom.grid(Role.CTP), 3, shear_mm=-2.6),
    }


def multi_frame(folder, phantom):
    return {role: write_multiframe(folder, phantom.grid(role), n) for role, n in ((Role.CTA, 2), (Role.CTP, 3))}


def late_only(report: Report) -> Report:
    """No arterial curve: time to peak is all there is."""
    maps = report.perfusion.value.maps
    rttp = Volume(maps["delay"].array, maps["delay"].grid, Quantity.DELAY)
    fallback = TimeToPeakFallback(4.5, 31.0, 2.0, rttp, maps["hypoperfusion"])
    return replace(report, perfusion=NotAssessable(("No arterial curve was found.",)), fallback=fallback)


@pytest.fixture(scope="module", params=[oblique, tilted, multi_frame], ids=lambda make: make.__name__)
def written(request, report_phantom, tmp_path_factory) -> Path:
    """A folder with sources/ and dicom/."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    (folder / "sources").mkdir()
    write(report_phantom.report(), request.param(folder / "sources", report_phantom), folder)
    return folder


def objects(folder: Path) -> list[Path]:
    """What was written."""
    return sorted((folder / "dicom").glob("*.dcm"))


def test_no_object_breaks_its_definition(written):
    assert len(objects(written)) == 15
    assert dciodvfy_errors(objects(written)) == []


def test_the_objects_agree_with_each_other_and_with_the_source(written):
    assert dcentvfy_errors([*objects(written), *(written / "sources").iterdir()]) == []


def test_a_wrong_patient_would_be_found(written, tmp_path):
    other = pydicom.dcmread(written / "dicom" / "sr.dcm")
    other.PatientBirthDate = "19480204"
    other.save_as(tmp_path / "other.dcm")
    assert dcentvfy_errors([tmp_path / "other.dcm", *(written / "sources").iterdir()])


def test_the_objects_of_a_fallback_are_valid_too(report_phantom, tmp_path):
    results = write(late_only(report_phantom.report()), oblique(tmp_path, report_phantom), tmp_path)
    assert {"seg_ctp", "pm_rttp"} <= set(results)
    assert dciodvfy_errors(objects(tmp_path)) == []


def voxels(file: Path, grid: Grid) -> np.ndarray:
    """An image file as SimpleITK reads it, as (K, J, I) values on `grid`; every voxel must fall on one of the grid."""
    image = sitk.ReadImage(str(file))
    found = sitk.GetArrayFromImage(image)
    index_xyz = np.argwhere(np.ones(found.shape, dtype=bool))[:, ::-1]
    matrix = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    at_kji = grid.to_kji(index_xyz @ matrix.T + np.array(image.GetOrigin()))
    nearest = np.rint(at_kji).astype(int)
    np.testing.assert_allclose(at_kji, nearest, atol=0.002)
    values = np.zeros(grid.shape_kji, dtype=found.dtype)
    values[tuple(nearest.T)] = found.ravel()
    return values


def segments(file: Path, folder: Path, grid: Grid) -> dict[str, np.ndarray]:
    """Masks by label, as dcmqi (on dcmtk and ITK) reads a segmentation."""
    status, text = said_by("segimage2itkimage", "--inputDICOM", file, "--outputDirectory", folder, "--outputType", "nrrd")
    assert status == 0, text
    meta = json.loads((folder / "meta.json").read_text())
    labels = [item["SegmentLabel"] for group in meta["segmentAttributes"] for item in group]
    return {label: voxels(folder / f"{number}.nrrd", grid) > 0 for number, label in enumerate(labels, start=1)}


def test_dcmqi_reads_the_lesion_voxel_for_voxel(written, report_phantom, tmp_path):
    maps = report_phantom.maps()
    found = segments(written / "dicom" / "seg_ctp.dcm", tmp_path, report_phantom.grid(Role.CTP))
    np.testing.assert_array_equal(found["Estimated ischaemic core"], maps["core"].array)
    np.testing.assert_array_equal(found["Hypoperfused tissue"], maps["hypoperfusion"].array)


def test_dcmqi_reads_the_arteries_voxel_for_voxel(written, report_phantom, tmp_path):
    (found,) = segments(written / "dicom" / "seg_cta.dcm", tmp_path, report_phantom.grid(Role.CTA)).values()
    truth = report_phantom.volumes()["arteries"].array >= 0.5
    np.testing.assert_array_equal(found, truth)
    assert not np.array_equal(found[:, :, ::-1], truth), "a mirrored mask would be seen"


def test_dcmqi_reads_a_map_voxel_for_voxel(written, report_phantom, tmp_path):
    pm = written / "dicom" / "pm_tmax.dcm"
    status, text = said_by("paramap2itkimage", "--inputDICOM", pm, "--outputDirectory", tmp_path, "--outputType", "nrrd")
    assert status == 0, text
    (file,) = tmp_path.glob("*.nrrd")
    tmax = report_phantom.maps()["tmax"]
    np.testing.assert_allclose(voxels(file, tmax.grid), tmax.array, rtol=1e-6)


def test_simpleitk_reads_the_frames_of_a_segmentation(written, report_phantom):
    """GDCM, and with it SimpleITK, knows frames, the place of the first and the directions, but no spacing between frames."""
    image = sitk.ReadImage(str(written / "dicom" / "seg_ctp.dcm"))
    frames = list(sitk.GetArrayFromImage(image) > 0)
    core, lesion = (report_phantom.maps()[name] for name in ("core", "hypoperfusion"))
    for volume in (core, lesion):
        truth = [plane for plane in volume.array if plane.any()]
        found, frames = frames[: len(truth)], frames[len(truth) :]
        assert sorted(plane.tobytes() for plane in found) == sorted(plane.tobytes() for plane in truth)
    assert not frames
    at = np.array(image.GetOrigin())
    first = core.array[round(float(core.grid.to_kji(at)[0]))]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image)[0] > 0, first)
    np.testing.assert_allclose(core.grid.to_kji(at)[1:], 0.0, atol=1e-3)
    np.testing.assert_allclose(np.reshape(image.GetDirection(), (3, 3)).T, core.grid.axes_lps[::-1], atol=1e-5)


def test_dcmqi_reads_the_measurements(written, report_phantom, tmp_path):
    status, text = said_by(
        "tid1500reader", "--inputDICOM", written / "dicom" / "sr.dcm", "--outputMetadata", tmp_path / "sr.json"
    )
    assert status == 0, text
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    volumes = {
        group["Finding"]["CodeValue"]: float(item["value"])
        for group in groups
        for item in group.get("measurementItems", [])
        if item["quantity"]["CodeValue"] == "118565006" and item["units"]["CodeValue"] == "mL"
    }
    perfusion = report_phantom.perfusion_result()
    assert volumes["core"] == pytest.approx(perfusion.core_ml, rel=1e-5)
    assert volumes["hypoperfusion"] == pytest.approx(perfusion.hypoperfusion_ml, rel=1e-5)


@needs_dcmtk
def test_dsrdump_reads_the_report(written):
    status, text = said_by("/usr/bin/dsrdump", "+Pl", written / "dicom" / "sr.dcm")
    assert status == 0
    assert not [line for line in text.splitlines() if line.startswith(("E:", "F:"))]
    for line in (
        '<contains CODE:(,,"Large-vessel occlusion, call of the software")=(415684004,SCT,"Suspected")>',
        '<has concept mod CODE:(,,"Finding Site")=(414722000,SCT,"Middle Cerebral Artery M1 Segment")>',
        '<has concept mod CODE:(,,"Laterality")=(7771000,SCT,"Left")>',
        '<contains NUM:(,,"LVO probability, calibrated on synthetic heads")="0.93" (1,UCUM,"no units")>',
        '<contains SCOORD:(,,"Image Region")=(POINT,',
    ):
        assert line in text


@needs_dcmtk
def test_dsrdump_reads_the_key_objects(written):
    status, text = said_by("/usr/bin/dsrdump", written / "dicom" / "ko.dcm")
    assert status == 0
    assert text.count("<contains IMAGE:") == 2
    assert "GSPS" in text


@needs_dcmtk
def test_dcmtk_accepts_the_presentation_state(written):
    status, text = said_by("dcmpschk", written / "dicom" / "pr.dcm")
    assert status == 0
    assert "Test passed" in text
