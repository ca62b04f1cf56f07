"""What the phantom writes is valid DICOM with the geometry, times and values it was given."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from lvo_tests_dicom_writing import said_by
from scipy.spatial.transform import Rotation

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series, write_ctp_series, write_screen_page
from lvo.errors import GeometryError, OutputError

HEADER = SeriesHeader(StudyHeader("test 1"), 3, "CTA", start_s=90.0, scan_s=4.0, contrast_agent="IOHEXOL", kernel="SMOOTH")


def oblique_grid(**changes) -> Grid:
    axes = Rotation.from_euler("xyz", [10.0, -7.0, 20.0], degrees=True).apply(np.eye(3)[::-1])
    settings = {"origin_lps_mm": (-31.2, 44.1, -200.7), "axes_lps": axes, **changes}
    return Grid.from_axes((5, 6, 7), (2.5, 0.7, 0.45), **settings)


@pytest.fixture
def volume() -> Volume:
    values = np.random.default_rng(0).normal(40.0, 300.0, (5, 6, 7))
    return Volume(values, oblique_grid(), Quantity.HU)


def verify(path: Path) -> list[str]:
    """Error lines of dciodvfy."""
    _, said = said_by("dciodvfy", path)
    assert "CTImage" in said or "SCImage" in said, "dciodvfy must recognise the object"
    return [line for line in said.splitlines() if line.startswith("Error")]


def read_with_simpleitk(paths) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    return reader.Execute()


def test_values_and_positions_survive_a_second_reader(tmp_path, volume):
    """SimpleITK finds the same HU at the same LPS position in every corner."""
    image = read_with_simpleitk(write_ct_series(volume, tmp_path, HEADER))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(image), volume.array, atol=0.5)
    for k, j, i in [(0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (4, 5, 6)]:
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((i, j, k)), volume.grid.to_lps_mm((k, j, i)), atol=1e-6)


def test_pixel_spacing_is_rows_then_columns(tmp_path, volume):
    image = pydicom.dcmread(write_ct_series(volume, tmp_path, HEADER)[0])
    assert [float(x) for x in image.PixelSpacing] == [0.7, 0.45]
    assert float(image.SliceThickness) == pytest.approx(2.5)


def test_tilted_gantry_keeps_its_positions_and_its_thickness_across_planes(tmp_path, volume):
    affine = np.array(volume.grid.lps_from_kji)
    affine[:3, 0] += 0.8 * volume.grid.axes_lps[1]
    tilted = replace(volume, grid=Grid((5, 6, 7), affine))
    images = [pydicom.dcmread(path) for path in write_ct_series(tilted, tmp_path, HEADER)]
    np.testing.assert_allclose(images[4].ImagePositionPatient, tilted.grid.to_lps_mm((4, 0, 0)), atol=1e-6)
    assert float(images[0].SliceThickness) == pytest.approx(2.5)


def test_every_object_passes_dciodvfy(tmp_path, volume):
    frames = TimeSeries(np.stack([volume.array] * 2), volume.grid, np.array([[0.0] * 5, [1.5] * 5]))
    paths = [
        write_ct_series(volume, tmp_path, HEADER)[2],
        write_ct_series(volume, tmp_path, replace(HEADER, number=4, contrast_agent=""))[0],
        write_ctp_series(frames, tmp_path, replace(HEADER, number=5))[7],
        write_screen_page(["DOSE REPORT"], tmp_path, replace(HEADER, number=99))[0],
    ]
    assert {path.name: verify(path) for path in paths} == {path.name: [] for path in paths}


def test_dciodvfy_does_find_errors(tmp_path, volume):
    """The check above can fail: a slice without its position is called an error."""
    path = write_ct_series(volume, tmp_path, HEADER)[0]
    image = pydicom.dcmread(path)
    del image.ImagePositionPatient
    image.save_as(path)
    assert verify(path)


def test_each_ctp_image_carries_its_own_time(tmp_path, volume):
    times_s = np.array([0.0, 1.5, 4.0])[:, None] + 0.25 * np.arange(5)
    frames = TimeSeries(np.stack([volume.array] * 3), volume.grid, times_s)
    start = datetime(2026, 1, 5, 23, 59, 58)  # noqa: DTZ001 - DICOM local time
    header = replace(HEADER, study=StudyHeader("night", start=start), start_s=0.0)
    images = [pydicom.dcmread(path) for path in write_ctp_series(frames, tmp_path, header)]
    found = [datetime.strptime(image.AcquisitionDateTime, "%Y%m%d%H%M%S.%f") - start for image in images]  # noqa: DTZ007
    np.testing.assert_allclose([each.total_seconds() for each in found], times_s.ravel())
    assert images[-1].AcquisitionDate == "20260106", "the date follows over midnight"
    assert {int(image.AcquisitionNumber) for image in images} == {1, 2, 3}
    assert len({image.SOPInstanceUID for image in images}) == 15
    assert len({image.SeriesInstanceUID for image in images}) == 1


def test_helical_slices_are_stamped_in_scan_order(tmp_path, volume):
    images = [pydicom.dcmread(path) for path in write_ct_series(volume, tmp_path, HEADER)]
    assert [image.AcquisitionTime for image in images[::4]] == ["100130.000000", "100134.000000"]
    assert images[0].ContrastBolusAgent == "IOHEXOL"


def test_series_of_one_study_share_study_patient_and_frame(tmp_path, volume):
    first = pydicom.dcmread(write_ct_series(volume, tmp_path, HEADER)[0])
    second = pydicom.dcmread(write_ct_series(volume, tmp_path, replace(HEADER, number=4))[0])
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert first[name].value == second[name].value
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    other = pydicom.dcmread(write_ct_series(volume, tmp_path, replace(HEADER, study=StudyHeader("test 2")))[0])
    assert other.StudyInstanceUID != first.StudyInstanceUID


def test_frame_of_reference_of_the_grid_wins(tmp_path, volume):
    known = replace(volume, grid=oblique_grid(frame_of_reference_uid="1.2.3"))
    assert pydicom.dcmread(write_ct_series(known, tmp_path, HEADER)[0]).FrameOfReferenceUID == "1.2.3"


def test_same_input_same_bytes_and_names_tell_nothing(tmp_path, volume):
    runs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        runs.append([(path.name, path.read_bytes()) for path in write_ct_series(volume, tmp_path / name, HEADER)])
    assert runs[0] == runs[1]
    names = [name for name, _ in runs[0]]
    assert names != sorted(names)
    assert all("." not in name for name in names)


def test_nothing_pretends_to_be_a_patient(tmp_path, volume):
    image = pydicom.dcmread(write_ct_series(volume, tmp_path, HEADER)[0])
    assert (image.PatientName, image.Manufacturer, image.PatientBirthDate) == ("PHANTOM^LVO", "lvo phantom", "")


def test_screen_page_says_what_it_is(tmp_path):
    image = pydicom.dcmread(write_screen_page(["DOSE REPORT", "CTDIvol 30 mGy"], tmp_path, HEADER)[0])
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    assert image.pixel_array.max() > 128
    assert "ImagePositionPatient" not in image


def test_hu_beyond_twelve_bits_are_clipped(tmp_path, volume):
    values = np.full((5, 6, 7), 5000.0)
    values[0] = -3000.0
    images = [pydicom.dcmread(path) for path in write_ct_series(replace(volume, array=values), tmp_path, HEADER)]
    assert [int(image.pixel_array.max()) + int(image.RescaleIntercept) for image in images[:2]] == [-1024, 3071]


def test_sheared_rows_and_columns_are_refused(tmp_path, volume):
    affine = np.array(volume.grid.lps_from_kji)
    affine[:3, 1] += 0.3 * affine[:3, 2]
    with pytest.raises(GeometryError, match="perpendicular"):
        write_ct_series(replace(volume, grid=Grid((5, 6, 7), affine)), tmp_path, HEADER)


def test_a_map_is_not_written_as_hu(tmp_path, volume):
    with pytest.raises(ValueError, match="HU"):
        write_ct_series(replace(volume, quantity=Quantity.CBF), tmp_path, HEADER)


def test_missing_folder_is_one_clear_error(tmp_path, volume):
    with pytest.raises(OutputError, match="cannot be written"):
        write_ct_series(volume, tmp_path / "absent", HEADER)
