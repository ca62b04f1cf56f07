"""`lvo maps`: the same maps from DICOM and from NIfTI, on the voxels of the input, all or none, with the contract's status."""

import json
from collections import defaultdict
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from click.testing import CliRunner

from lvo import cli as command_line
from lvo.core.outcome import NotAssessable
from lvo.errors import InputError, UsageError
from lvo.maps import make_maps

MAPS = ("brain", "cbf", "cbv", "core", "delay", "hypoperfusion", "mtt", "tmax")
UNITS = {"cbf": "ml/(100.g)/min", "cbv": "ml/(100.g)", "mtt": "s", "tmax": "s", "delay": "s", "core": "mask", "brain": "mask"}


def lvo(*arguments):
    """Run the command in this process; its exit status and what it said."""
    done = CliRunner().invoke(command_line._lvo, [str(a) for a in arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.output


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small CT perfusion of a head whose left M1 is closed, as DICOM."""
    folder = tmp_path_factory.mktemp("study") / "s"
    lvo("phantom", "ctp", "--out", folder, "--occlusion", "left-M1", "--seed", 21, "--collateral", 1, "--size", "small")
    return folder


@pytest.fixture(scope="module")
def stack(study):
    """Values (I, J, K, T), RAS affine and times (T, K), straight from the headers (PS3.3 C.7.6.2.1.1), past our reader."""
    images = [pydicom.dcmread(path) for path in study.iterdir() if path.suffix != ".json"]
    at = defaultdict(dict)
    for image in images:
        at[float(image.ImagePositionPatient[2])][float(image.AcquisitionDateTime[8:14])] = image
    heights = sorted(at)
    pixels = [[at[z][t].pixel_array.astype(np.float32) - 1024.0 for t in sorted(at[z])] for z in heights]
    first = at[heights[0]][min(at[heights[0]])]
    row_mm, column_mm = (float(mm) for mm in first.PixelSpacing)
    orientation = np.array(first.ImageOrientationPatient, float)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = orientation[:3] * column_mm, orientation[3:] * row_mm
    affine[:3, 2] = (0, 0, heights[1] - heights[0])
    affine[:3, 3] = first.ImagePositionPatient
    seconds = [[_seconds(at[z][t].AcquisitionDateTime) for z in heights] for t in sorted(at[heights[0]])]
    return np.array(pixels).transpose(3, 2, 0, 1), np.diag((-1, -1, 1, 1)) @ affine, np.array(seconds)


def _seconds(moment: str) -> float:
    return 3600.0 * int(moment[8:10]) + 60.0 * int(moment[10:12]) + float(moment[12:])


@pytest.fixture(scope="module")
def from_dicom(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dicom") / "maps"
    status, _ = lvo("maps", study, "--out", folder)
    assert status == 0
    return folder


@pytest.fixture(scope="module")
def nifti(stack, tmp_path_factory):
    """The same scan as dcm2niix stores it: rows from the back to the front; with a sidecar beside it."""
    values, affine, times_s = stack
    path = tmp_path_factory.mktemp("nifti") / "scan.nii.gz"
    flipped = affine.copy()
    flipped[:3, 3] += flipped[:3, 1] * (values.shape[1] - 1)
    flipped[:3, 1] *= -1
    nibabel.save(nibabel.Nifti1Image(values[:, ::-1].astype(np.int16), flipped), path)
    path.with_name("scan.json").write_text(json.dumps({"FrameTimesStart": times_s.tolist()}))
    return path


@pytest.fixture(scope="module")
def from_nifti(nifti, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nifti_maps") / "maps"
    status, _ = lvo("maps", nifti, "--out", folder)
    assert status == 0
    return folder


def test_every_map_and_one_json_are_written(from_dicom):
    assert sorted(path.name for path in from_dicom.iterdir()) == sorted([*(f"{name}.nii.gz" for name in MAPS), "maps.json"])
    document = json.loads((from_dicom / "maps.json").read_text())
    assert document["schema"] == "lvo-maps/1"
    assert "not validated on patients" in document["research_use_only"]
    assert set(document["maps"]) == set(MAPS)
    assert {name: document["maps"][name]["unit"] for name in UNITS} == UNITS
    perfusion = document["perfusion"]
    assert perfusion["state"] == "assessed"
    assert {"thresholds", "aif", "vof", "volumes_ml", "core_ml"} <= set(perfusion)
    assert document["frame_times_s"][:3] == [0.0, 2.0, 4.0]
    assert document["quality"]


def test_volumes_are_those_of_the_masks(from_dicom):
    perfusion = json.loads((from_dicom / "maps.json").read_text())["perfusion"]
    for name in ("core", "hypoperfusion"):
        image = nibabel.load(from_dicom / f"{name}.nii.gz")
        ml = np.asarray(image.dataobj).sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000.0
        assert ml == pytest.approx(perfusion[f"{name}_ml"], rel=1e-3)


def test_nifti_gives_the_maps_of_dicom(from_dicom, from_nifti, nifti):
    """The same numbers at the same places, on the voxels of each input; NIfTI rounds the affine to 32 bits, maps follow."""
    source = nibabel.load(nifti)
    for name in MAPS:
        one, other = nibabel.load(from_dicom / f"{name}.nii.gz"), nibabel.load(from_nifti / f"{name}.nii.gz")
        assert other.shape == source.shape[:3]
        np.testing.assert_allclose(other.affine, source.affine, atol=1e-4)
        turned = np.linalg.inv(one.affine) @ other.affine
        np.testing.assert_allclose(np.abs(turned[:3, :3]), np.eye(3), atol=1e-5)
        differ = np.abs(np.asarray(other.dataobj, float)[:, ::-1] - np.asarray(one.dataobj, float))
        assert (differ > 1e-3).mean() < 1e-4, name
    ours, theirs = (json.loads((folder / "maps.json").read_text())["perfusion"] for folder in (from_dicom, from_nifti))
    for key in ("core_ml", "hypoperfusion_ml", "mismatch_ml", "hir", "cbv_index"):
        assert theirs[key] == pytest.approx(ours[key], rel=1e-3), key
    np.testing.assert_allclose(theirs["aif"]["enhancement_hu"], ours["aif"]["enhancement_hu"], atol=1e-2)
    np.testing.assert_allclose(theirs["aif"]["location_lps_mm"], ours["aif"]["location_lps_mm"], atol=0.01)
    assert theirs["side"] == ours["side"] == "left"


def test_columns_stored_from_left_to_right_keep_the_lesion_on_its_side(study, from_dicom, tmp_path):
    """DICOM may store a row from the patient's left to the right: the same patient, the same maps at the same places."""
    for path in study.iterdir():
        if path.suffix == ".json":
            continue
        image = pydicom.dcmread(path)
        row = np.array(image.ImageOrientationPatient[:3], float)
        last = np.array(image.ImagePositionPatient, float) + row * float(image.PixelSpacing[1]) * (image.Columns - 1)
        image.ImagePositionPatient = last.tolist()
        image.ImageOrientationPatient = [*(-row).tolist(), *image.ImageOrientationPatient[3:]]
        image.PixelData = np.ascontiguousarray(image.pixel_array[:, ::-1]).tobytes()
        (tmp_path / "study").mkdir(exist_ok=True)
        image.save_as(tmp_path / "study" / path.name)
    status, _ = lvo("maps", tmp_path / "study", "--out", tmp_path / "maps")
    assert status == 0
    for name in ("brain", "hypoperfusion", "tmax"):
        here, there = (
            np.asarray(nibabel.as_closest_canonical(nibabel.load(folder / f"{name}.nii.gz")).dataobj, float)
            for folder in (tmp_path / "maps", from_dicom)
        )
        assert (np.abs(here - there) > 0.1).mean() < 0.01, name
        assert name == "brain" or (np.abs(here[::-1] - there) > 0.1).mean() > 5 * (np.abs(here - there) > 0.1).mean(), name


@pytest.fixture(scope="module")
def oblique(stack, tmp_path_factory):
    """The head lies turned and far from the origin, pixels are not square, axes run S, R, P, and times are uneven."""
    values, affine, times_s = stack
    a, b = np.deg2rad((9.0, -8.0))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    world = np.eye(4)
    world[:3, :3] = about_z @ about_x
    world[:3, 3] = (-150.0, 90.0, 700.0)
    pairs = (values[:, 0::2] + values[:, 1::2]) / 2.0  # rows of double height
    moved = world @ affine @ np.diag((1.0, 2.0, 1.0, 1.0))
    moved[:3, 3] += world[:3, :3] @ affine[:3, 1] / 2.0
    order = (2, 0, 1)
    stored = moved.copy()
    stored[:3, :3] = moved[:3, :3][:, order]
    keep = np.delete(np.arange(values.shape[3]), 20)
    path = tmp_path_factory.mktemp("oblique") / "turned.nii"
    nibabel.save(nibabel.Nifti1Image(pairs.transpose(*order, 3)[..., keep], stored), path)
    sidecar = path.with_name("times.json")
    sidecar.write_text(json.dumps({"AcquisitionTime": times_s[keep, 0].tolist()}))
    return path, sidecar


def test_an_oblique_scan_keeps_its_voxels_its_side_and_its_lesion(oblique, from_dicom, tmp_path):
    path, sidecar = oblique
    status, said = lvo("maps", path, "--out", tmp_path / "maps", "--times", sidecar)
    assert status == 0
    assert "left side" in said
    perfusion = json.loads((tmp_path / "maps" / "maps.json").read_text())["perfusion"]
    straight = json.loads((from_dicom / "maps.json").read_text())["perfusion"]
    assert perfusion["side"] == "left"
    assert perfusion["hypoperfusion_ml"] == pytest.approx(straight["hypoperfusion_ml"], rel=0.15)
    for name in MAPS:
        image, source = nibabel.load(tmp_path / "maps" / f"{name}.nii.gz"), nibabel.load(path)
        assert image.shape == source.shape[:3]
        np.testing.assert_allclose(image.affine, source.affine, atol=1e-4)


def test_an_oblique_lesion_lies_on_the_patients_left_by_another_library(oblique, tmp_path):
    """SimpleITK's LPS, with the brain's middle as the measure: no conversion of ours is in between."""
    path, sidecar = oblique
    lvo("maps", path, "--out", tmp_path / "maps", "--times", sidecar)

    def middle(name):
        image = SimpleITK.ReadImage(str(tmp_path / "maps" / f"{name}.nii.gz"))
        index = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1]
        return np.mean([image.TransformIndexToPhysicalPoint(tuple(int(n) for n in one)) for one in index], axis=0)

    assert (middle("hypoperfusion") - middle("brain"))[0] > 15.0


def test_what_cannot_be_judged_leaves_the_reasons_and_status_3(stack, tmp_path):
    values, affine, _ = stack
    still = np.repeat(values[..., :1], values.shape[3], axis=3)  # no contrast ever arrives
    nibabel.save(nibabel.Nifti1Image(still, affine), tmp_path / "still.nii")
    (tmp_path / "still.json").write_text('{"RepetitionTime": 2.0}')
    status, said = lvo("maps", tmp_path / "still.nii", "--out", tmp_path / "maps")
    assert status == 3
    assert "COULD NOT BE JUDGED" in said
    document = json.loads((tmp_path / "maps" / "maps.json").read_text())
    assert document["perfusion"]["state"] == "not_assessable"
    assert document["perfusion"]["reasons"]
    assert document["perfusion"]["core_ml"] is None
    assert not (tmp_path / "maps" / "core.nii.gz").exists()


def test_times_that_nobody_says_leave_nothing(stack, tmp_path):
    values, affine, _ = stack
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii")
    with pytest.raises(InputError, match="cannot be known"):
        lvo("maps", tmp_path / "scan.nii", "--out", tmp_path / "maps")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]


def test_a_folder_with_something_in_it_is_left_alone(study, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not empty"):
        lvo("maps", study, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_times_are_for_nifti_only(study, tmp_path):
    (tmp_path / "t.json").write_text('{"RepetitionTime": 2.0}')
    with pytest.raises(UsageError, match="headers"):
        lvo("maps", study, "--out", tmp_path / "maps", "--times", tmp_path / "t.json")


def test_a_study_without_perfusion_cannot_be_judged(study, tmp_path):
    """One time point is no perfusion scan."""
    from lvo.config import Config

    images = sorted((path for path in study.iterdir() if path.suffix != ".json"), key=_when)[:16]
    (tmp_path / "one").mkdir()
    for path in images:
        (tmp_path / "one" / path.name).write_bytes(path.read_bytes())
    result = make_maps(tmp_path / "one", Config())
    assert isinstance(result.report.perfusion, NotAssessable)
    assert result.turn is None


def _when(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).AcquisitionDateTime)


def test_several_studies_are_refused(study, tmp_path):
    from lvo.config import Config

    image = pydicom.dcmread(next(path for path in study.iterdir() if path.suffix != ".json"))
    for number in ("1", "2"):
        image.StudyInstanceUID = f"1.2.3.{number}"
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
        image.save_as(tmp_path / number)
    with pytest.raises(UsageError, match="2 studies"):
        make_maps(tmp_path, Config())
