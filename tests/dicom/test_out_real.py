"""Results on the headers of real scanners: tilted both ways, unevenly spaced, and with whatever else vendors write."""

import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - its customary name
from lvo_tests_dicom_writing import dcentvfy_errors, dciodvfy_errors, said_by, write

from lvo.core.outcome import Assessed
from lvo.core.study import Role
from lvo.core.volume import Quantity, Volume
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_volume
from lvo.dicom.write import SourceSeries
from lvo.dicom.write.place import source_point
from lvo.dicom.write.source_headers import read_headers

pytestmark = pytest.mark.real

SCANS = {
    "GE tilted, uneven": ("ncct_ge_tilt", 2),
    "Philips": ("philips_phantom/S21570", 201),
    "Philips tilted back": ("philips_phantom/S21610", 201),
    "Philips tilted forth": ("philips_phantom/S21610", 301),
}


@pytest.fixture(scope="module", params=SCANS.values(), ids=SCANS.keys())
def scan(request, real_data):
    folder, number = request.param
    with open_studies([real_data / folder]) as (study,):
        series = next(one for one in study.series if one.number == number)
        loaded = load_volume(series, allow_uneven=True)
        yield loaded, SourceSeries.of([series], loaded.sop_instance_uids)


@pytest.fixture(scope="module")
def written(scan, report_phantom, tmp_path_factory):
    """Bone on one side as arteries and lesion, HU as a map: nothing of it is true, all of it has the scan's geometry."""
    loaded, source = scan
    grid, hu = loaded.volume.grid, loaded.volume.array
    left = np.arange(grid.shape_kji[2]) > 0.6 * grid.shape_kji[2]
    bone = Volume((hu > 300) & left, grid, Quantity.MASK)
    maps = {"tmax": Volume(hu.clip(0, 80) / 10.0, grid, Quantity.TMAX), "core": bone, "hypoperfusion": bone}
    report = report_phantom.report()
    finding = replace(report.cta.value.finding, location_lps_mm=tuple(grid.center_lps_mm.tolist()))
    report = replace(
        report,
        cta=Assessed(replace(report.cta.value, finding=finding)),
        perfusion=Assessed(replace(report.perfusion.value, maps=maps)),
        volumes={"arteries": Volume(bone.array.astype(np.float32), grid, Quantity.PROBABILITY)},
    )
    folder = tmp_path_factory.mktemp("real")
    return bone, folder, write(report, {Role.CTA: source, Role.CTP: source}, folder)


def test_every_object_is_valid_and_agrees_with_its_source(scan, written):
    _, folder, results = written
    assert {"sr", "seg_cta", "seg_ctp", "pm_tmax", "sc_summary", "pr", "ko", "pdf"} <= set(results)
    objects = sorted((folder / "dicom").glob("*.dcm"))
    assert dciodvfy_errors(objects) == []
    ours = {path.name for path in objects}
    between = [line for line in dcentvfy_errors([*objects, *scan[1].paths]) if any(name in line for name in ours)]
    assert between == []


def test_dcmqi_reads_the_mask_voxel_for_voxel(written, tmp_path):
    bone, folder, _ = written
    status, text = said_by(
        "segimage2itkimage", "--inputDICOM", folder / "dicom" / "seg_cta.dcm", "--outputDirectory", tmp_path, "-t", "nrrd"
    )
    assert status == 0, text
    assert len(json.loads((tmp_path / "meta.json").read_text())["segmentAttributes"]) == 1
    image = sitk.ReadImage(str(tmp_path / "1.nrrd"))
    at_kji = bone.grid.to_kji(image.GetOrigin())
    np.testing.assert_allclose(at_kji, np.rint(at_kji), atol=0.01)
    first = int(np.rint(at_kji[0]))
    found = sitk.GetArrayFromImage(image) > 0
    np.testing.assert_array_equal(found, bone.array[first : first + len(found)])
    assert found.sum() == bone.array.sum()


def test_a_pixel_of_a_real_image_is_found_on_it(scan):
    """Position by PS3.3 C.7.6.2.1.1 from the bare header."""
    _, source = scan
    image = pydicom.dcmread(source.paths[len(source.paths) // 3], stop_before_pixels=True)
    row, column = 37, 201
    right, down = np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3))
    between_rows, between_columns = map(float, image.PixelSpacing)
    place = np.array(image.ImagePositionPatient, float) + column * between_columns * right + row * between_rows * down
    point = source_point(read_headers(source), tuple(place))
    assert point.image.SOPInstanceUID == image.SOPInstanceUID
    assert point.column_row == pytest.approx((column + 0.5, row + 0.5), abs=1e-3)
