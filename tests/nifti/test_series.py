"""A 4D NIfTI file becomes the time series that it is, however its axes run; what is not one is refused."""

import gzip
import json

import nibabel
import numpy as np
import pytest
import SimpleITK

from lvo.errors import InputError, UsageError
from lvo.nifti.series import is_nifti, load_nifti_series

SHAPE_IJKT = (7, 6, 5, 4)  # every axis another length
SPACING = (1.1, 1.7, 5.0)


def oblique_ras():
    """Rotated about every axis, non-square pixels, far from the origin."""
    a, b, c = np.deg2rad((11.0, -7.0, 14.0))
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = z @ y @ x @ np.diag(SPACING)
    affine[:3, 3] = (31.0, -47.0, 655.0)
    return affine


def write(path, values, affine, **header):
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, code=header.pop("code", 1))
    image.set_qform(affine, code=header.pop("qcode", 0))
    image.header.set_xyzt_units(xyz=header.pop("xyz", "mm"), t=header.pop("t", None))
    image.header["pixdim"][4] = header.pop("interval", 0.0)
    nibabel.save(image, path)
    return path


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(30.0, 300.0, SHAPE_IJKT).astype(np.float32)


@pytest.fixture
def times(tmp_path):
    path = tmp_path / "times.json"
    path.write_text(json.dumps({"FrameTimesStart": [0, 1, 3, 4]}))
    return path


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)], ids=str)
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)], ids=str)
def test_every_voxel_is_where_another_library_says(tmp_path, values, times, order, flips):
    """The place of each value by SimpleITK, which reads NIfTI into LPS on its own, whatever the axes of the file."""
    affine = oblique_ras()
    stored = affine.copy()
    stored[:3, :3] = affine[:3, :3][:, order] * flips
    path = write(tmp_path / "a.nii.gz", np.ascontiguousarray(values.transpose(*order, 3)), stored)
    series = load_nifti_series(path, times).series
    itk = SimpleITK.ReadImage(str(path))
    first = SimpleITK.Extract(itk, [*itk.GetSize()[:3], 0], [0, 0, 0, 2])
    array = SimpleITK.GetArrayFromImage(first)
    for index in ((0, 0, 0), (1, 2, 3), tuple(n - 1 for n in array.shape)):
        place = first.TransformIndexToPhysicalPoint(tuple(int(n) for n in reversed(index)))
        k, j, i = np.round(series.grid.to_kji(place)).astype(int)
        assert series.array[2, k, j, i] == array[index]
        np.testing.assert_allclose(series.grid.to_lps_mm((k, j, i)), place, atol=0.01)


def test_the_series_lies_as_from_dicom(tmp_path, values, times):
    """The head is up k, the back down j, the left along i."""
    stored = oblique_ras() @ np.diag((-1, 1, -1, 1))
    series = load_nifti_series(write(tmp_path / "a.nii", values, stored), times).series
    assert (np.diag(series.grid.axes_lps[:, ::-1]) > 0.8).all()
    assert series.array.dtype == np.float32


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=str)
def test_maps_go_back_onto_the_voxels_of_the_file(tmp_path, values, times, order):
    stored = oblique_ras()
    stored[:3, :3] = stored[:3, :3][:, order] * (-1, 1, -1)
    array = np.ascontiguousarray(values.transpose(*order, 3))
    loaded = load_nifti_series(write(tmp_path / "a.nii", array, stored), times)
    np.testing.assert_array_equal(loaded.turn.undo(loaded.series.array[1]).transpose(2, 1, 0), array[..., 1])


def test_slice_times_follow_their_slices(tmp_path, values):
    """The image is stored from the head to the feet: the slice that is scanned first is the last after turning."""
    (tmp_path / "a.json").write_text(json.dumps({"RepetitionTime": 5, "SliceTiming": [0.0, 0.1, 0.2, 0.3, 0.4]}))
    stored = oblique_ras() @ np.diag((1, 1, -1, 1))
    series = load_nifti_series(write(tmp_path / "a.nii.gz", values, stored)).series
    np.testing.assert_allclose(series.times_s[0], [0.4, 0.3, 0.2, 0.1, 0.0])


def test_slice_times_along_another_axis_than_the_body_are_refused(tmp_path, values, times):
    stored = oblique_ras()
    stored[:3, :3] = stored[:3, :3][:, (2, 1, 0)]
    path = write(tmp_path / "a.nii", np.ascontiguousarray(values.transpose(2, 1, 0, 3)), stored)
    assert load_nifti_series(path, times).series.grid.shape_kji == (5, 6, 7)
    times.write_text(json.dumps({"RepetitionTime": 9, "SliceTiming": list(range(7))}))
    with pytest.raises(InputError, match="not stacked from the feet to the head"):
        load_nifti_series(path, times)


def test_values_are_scaled_as_the_header_says(tmp_path, times):
    """Slope and intercept are written into the bytes of the header (NIfTI-1: offsets 112 and 116), past any library."""
    path = write(tmp_path / "a.nii", np.full(SHAPE_IJKT, 532, np.int16), oblique_ras())
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([2.0, -1024.0], "<f4").tobytes()
    path.write_bytes(raw)
    np.testing.assert_array_equal(load_nifti_series(path, times).series.array, 40.0)


def test_the_sidecar_beside_the_image_is_found_and_one_that_is_given_goes_first(tmp_path, values, times):
    path = write(tmp_path / "scan.nii.gz", values, oblique_ras(), t="sec", interval=7.0)
    assert load_nifti_series(path).series.times_s[1, 0] == 7.0
    (tmp_path / "scan.json").write_text('{"RepetitionTime": 2}')
    assert load_nifti_series(path).series.times_s[1, 0] == 2.0
    assert load_nifti_series(path, times).series.times_s[1, 0] == 1.0


def test_a_scan_whose_times_nobody_knows_is_refused(tmp_path, values):
    with pytest.raises(InputError, match="cannot be known"):
        load_nifti_series(write(tmp_path / "a.nii", values, oblique_ras(), interval=1.5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"code": 0, "qcode": 0}, "left and right cannot be known", id="no orientation"),
        pytest.param({"xyz": "micron"}, "millimetres", id="another unit"),
    ],
)
def test_a_header_that_leaves_the_place_open_is_refused(tmp_path, values, times, change, words):
    with pytest.raises(InputError, match=words):
        load_nifti_series(write(tmp_path / "a.nii", values, oblique_ras(), **change), times)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 1), (4, 5, 6, 3, 2)], ids=str)
def test_what_is_no_time_series_is_refused(tmp_path, times, shape):
    with pytest.raises(InputError, match="four axes"):
        load_nifti_series(write(tmp_path / "a.nii", np.zeros(shape, np.float32), oblique_ras()), times)


def test_values_that_are_no_numbers_are_refused(tmp_path, values, times):
    values[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="no numbers"):
        load_nifti_series(write(tmp_path / "a.nii", values, oblique_ras()), times)


def test_a_file_that_is_cut_short_or_none_is_refused(tmp_path, values, times):
    path = write(tmp_path / "a.nii.gz", values, oblique_ras())
    path.write_bytes(path.read_bytes()[:900])
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(b"hello"))
    for broken in (path, tmp_path / "b.nii.gz", tmp_path / "absent.nii"):
        with pytest.raises(InputError, match="read"):
            load_nifti_series(broken, times)


@pytest.mark.parametrize("text", ["{", "[1, 2]", None], ids=["not JSON", "no object", "absent"])
def test_a_sidecar_that_is_none_is_wrong_usage(tmp_path, values, text):
    path = tmp_path / "t.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match="times"):
        load_nifti_series(write(tmp_path / "a.nii", values, oblique_ras()), path)


def test_a_sidecar_that_was_given_must_hold_times(tmp_path, values):
    (tmp_path / "t.json").write_text('{"Modality": "CT"}')
    with pytest.raises(InputError, match="has none of FrameTimesStart"):
        load_nifti_series(write(tmp_path / "a.nii", values, oblique_ras(), t="sec", interval=1.0), tmp_path / "t.json")


@pytest.mark.parametrize(("name", "yes"), [("a.nii", True), ("a.NII.GZ", True), ("a.dcm", False), ("nii", False)])
def test_nifti_is_known_by_its_name(tmp_path, name, yes):
    assert is_nifti(tmp_path / name) is yes
