"""CT perfusion in the layouts of four vendors: written valid, read with the right voxel at the right time."""

import datetime as dt

import numpy as np
import pydicom
import pytest
from lvo_tests_dicom_writing import dciodvfy_errors

from lvo.core.grid import Grid
from lvo.core.study import Role
from lvo.core.volume import TimeSeries
from lvo.dicom.index import open_studies
from lvo.dicom.layouts import LAYOUTS, Motion, write_ctp_layout
from lvo.dicom.load import load_time_series
from lvo.dicom.select import choose
from lvo.dicom.source import SeriesHeader, StudyHeader
from lvo.errors import GeometryError

GRID = Grid.from_axes(
    (6, 5, 4), (5.0, 2.0, 1.5), origin_lps_mm=(-10.0, -20.0, 30.0), axes_lps=((0, -0.6, 0.8), (0, 0.8, 0.6), (1, 0, 0))
)
N_TIMES, STEP_S = 12, 2.0
NIGHT = dt.datetime(2026, 3, 1, 23, 51, 55)  # noqa: DTZ001 - DICOM local time; the scan starts 8 minutes later, runs past midnight


def _phantom(layout):
    """Values that tell time, slice, row and column apart, at the times of the layout."""
    t, k, j, i = np.indices((N_TIMES, *GRID.shape_kji))
    times_s = layout.slice_times_s(STEP_S * np.arange(N_TIMES), GRID.shape_kji[0])
    return TimeSeries((100 * t + 13 * k + 3 * j + i).astype(np.float32), GRID, times_s)


def _write(name, folder):
    header = SeriesHeader(StudyHeader(name, NIGHT), 4, "CT perfusion", start_s=480.0, contrast_agent="IODINE")
    series = _phantom(LAYOUTS[name])
    return series, write_ctp_layout(series, folder, header, LAYOUTS[name])


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read_to_the_right_voxel_and_time(tmp_path, name):
    """Past midnight, on an oblique grid, each file under a name that tells nothing."""
    series, files = _write(name, tmp_path)
    with open_studies([tmp_path]) as (study,):
        found = choose(study)
        assert {row.role for row in found.rows} == {Role.CTP}
        loaded = load_time_series(found.ctp)
    np.testing.assert_array_equal(loaded.series.array, series.array)
    np.testing.assert_allclose(loaded.series.times_s, series.times_s - series.times_s.min(), atol=1e-5)
    np.testing.assert_allclose(loaded.series.grid.lps_from_kji, GRID.lps_from_kji, atol=1e-6)
    per_object = LAYOUTS[name].enhanced
    n_files = N_TIMES * 6 if per_object == 0 else 1 if per_object < 0 else N_TIMES
    assert (len(files), len(found.ctp)) == (n_files, N_TIMES if name == "siemens-series" else 1)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_valid_dicom(tmp_path, name):
    """No error by dciodvfy in the first and the last object."""
    _, files = _write(name, tmp_path)
    assert dciodvfy_errors([files[0], files[-1]]) == []


def test_layouts_differ_in_when_slices_are_scanned():
    """Together; to and fro; two slabs by turns; dense, then sparse."""
    times_s = {name: layout.slice_times_s(STEP_S * np.arange(N_TIMES), 6) for name, layout in LAYOUTS.items()}
    assert np.ptp(times_s["siemens"], axis=1).max() == 0
    there, back = times_s["siemens-shuttle"][:2]
    assert (np.diff(there) > 0).all()
    assert (np.diff(back) < 0).all()
    np.testing.assert_allclose(times_s["philips-jog"][0], [0, 0, 0, 1, 1, 1])
    steps_s = np.diff(times_s["canon"][:, 0])
    assert (steps_s[0], steps_s[-1]) == (STEP_S, 2 * STEP_S)
    assert {layout.motion for layout in LAYOUTS.values()} == set(Motion)


def test_names_and_numbers_do_not_help(tmp_path):
    """The counted layouts number images at random, as some archives do."""
    _, files = _write("philips", tmp_path)
    numbers = [int(pydicom.dcmread(file).InstanceNumber) for file in files]
    assert len(set(numbers)) == len(numbers)
    assert numbers != sorted(numbers)


def _blank(files, *keywords):
    for file in files:
        image = pydicom.dcmread(file)
        for element in [each for each in image.iterall() if each.keyword in keywords]:
            element.value = ""
        image.save_as(file)


@pytest.mark.parametrize("name", ["siemens", "siemens-series", "canon", "philips", "ge-shuttle"])
def test_anonymised_times_are_refused_and_not_guessed(tmp_path, name):
    """No clock is left: numbers of acquisitions and of temporal positions count, but not in seconds."""
    _, files = _write(name, tmp_path)
    _blank(files, "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentTime", "ContentDate", "SeriesTime")
    with open_studies([tmp_path]) as (study,):
        found = choose(study)
        assert found.ctp, found.missing_ctp
        with pytest.raises(GeometryError, match="the time of 72 images cannot be known"):
            load_time_series(found.ctp)


def test_a_time_of_reconstruction_that_contradicts_the_trigger_is_refused(tmp_path):
    """Content Time says when an image was made; where a counter of the scanner disagrees, nobody knows the time."""
    _, files = _write("ge-cine", tmp_path)
    _blank(files, "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime")
    for n, file in enumerate(files):
        image = pydicom.dcmread(file)
        image.ContentTime = f"12{n // 60:02d}{n % 60:02d}"
        image.save_as(file)
    with open_studies([tmp_path]) as (study,), pytest.raises(GeometryError, match=r"by ContentTime .* by TriggerTime"):
        load_time_series(choose(study).ctp)
