"""Real scans: the tilted GE head against dcm2niix, the Philips head phantom against SimpleITK, roles of every series."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - its own short name
from scipy.ndimage import map_coordinates

from lvo.core.study import Role
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_volume
from lvo.dicom.select import choose
from lvo.errors import GeometryError

pytestmark = pytest.mark.real


def test_the_tilted_uneven_head_agrees_with_dcm2niix(real_data):
    """Gantry 18.5 degrees, slices 4 and 7 mm apart: r >= 0.98 on what both show, position by position in the patient."""
    folder = real_data / "ncct_ge_tilt"
    with open_studies([folder]) as (study,):
        loaded = load_volume(study.series[0], allow_uneven=True)
        with pytest.raises(GeometryError, match=r"13 x 4\.00 mm, 1 x 1\.08 mm, 13 x 7\.00 mm apart"):
            load_volume(study.series[0])
    assert {note.code for note in loaded.notes} == {"geometry.tilt_corrected", "geometry.resampled"}
    image = nib.load(folder / "ge_dcm2niix_Tilt_Eq.nii.gz")
    grid, array = loaded.volume.grid, loaded.volume.array
    index = np.stack(
        np.meshgrid(*[np.arange(0, n, step) for n, step in zip(array.shape, (1, 2, 2), strict=True)], indexing="ij"), -1
    )
    ras = grid.to_lps_mm(index) * (-1, -1, 1)
    theirs = np.linalg.inv(image.affine)
    ijk = ras @ theirs[:3, :3].T + theirs[:3, 3]
    oracle = map_coordinates(np.asarray(image.dataobj, dtype=float), np.moveaxis(ijk, -1, 0), order=1, cval=-2000)
    ours = array[tuple(np.moveaxis(index, -1, 0))]
    common = (ours > -1000) & (oracle > -1000)
    assert common.mean() > 0.5
    assert np.corrcoef(ours[common], oracle[common])[0, 1] >= 0.995


def test_untilted_slices_equal_simpleitk(real_data):
    """Same values, same places."""
    with open_studies([real_data / "philips_phantom" / "S21570"]) as (study,):
        series = next(one for one in study.series if one.number == 201)
        loaded = load_volume(series)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series.instances[0].path.parent), series.series_instance_uid)
    image = sitk.ReadImage(names, sitk.sitkFloat32)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), loaded.volume.array)
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((511, 0, 27)), loaded.volume.grid.to_lps_mm([27, 0, 511]))


@pytest.mark.parametrize(("number", "tilt_deg", "head_z_mm"), [(201, 18.5, 874.8), (301, 16.5, 800.5)])
def test_both_tilts_are_straightened_in_opposite_directions(real_data, number, tilt_deg, head_z_mm):
    """The last slice keeps its first pixel where the header has it; the head stays upright from slice to slice."""
    with open_studies([real_data / "philips_phantom" / "S21610"]) as (study,):
        series = next(one for one in study.series if one.number == number)
        loaded = load_volume(series)
    assert f"{tilt_deg} degrees" in loaded.notes[0].text
    grid = loaded.volume.grid
    np.testing.assert_allclose(grid.axes_lps @ grid.axes_lps.T, np.eye(3), atol=1e-6)
    last = loaded.volume.array[-1]
    row = np.nonzero((last > -1024).any(axis=1))[0][0]
    assert grid.to_lps_mm([grid.shape_kji[0] - 1, row, 0])[2] == pytest.approx(head_z_mm, abs=0.5)


@pytest.mark.parametrize("number", [201, 301])
def test_tilted_slices_lie_right_to_a_millimetre(real_data, number):
    """Raw pixels, placed by hand with the headers (PS3.3 C.7.6.2.1.1), agree best where ours lie, not 1 mm beside."""
    with open_studies([real_data / "philips_phantom" / "S21610"]) as (study,):
        series = next(one for one in study.series if one.number == number)
        loaded = load_volume(series)
    paths = {one.sop_instance_uid: one.path for one in series.instances}
    grid = loaded.volume.grid
    off = {shift: [] for shift in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))}
    for k in (8, 25, 40):
        image = pydicom.dcmread(paths[loaded.sop_instance_uids[k]])
        raw = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        row, column = np.reshape([float(x) for x in image.ImageOrientationPatient], (2, 3))
        j, i = np.meshgrid(np.arange(60, grid.shape_kji[1] - 60, 3), np.arange(60, grid.shape_kji[2] - 60, 3), indexing="ij")
        away = grid.to_lps_mm(np.stack([np.full_like(j, k), j, i], -1)) - [float(x) for x in image.ImagePositionPatient]
        assert np.abs(away @ np.cross(row, column)).max() < 0.01, "in the plane of its slice"
        for (down_mm, right_mm), found_hu in off.items():
            at = [
                (away @ column + down_mm) / float(image.PixelSpacing[0]),
                (away @ row + right_mm) / float(image.PixelSpacing[1]),
            ]
            theirs = map_coordinates(raw, at, order=1, mode="nearest")
            found_hu.append(np.abs(np.clip(theirs, -1024, None) - loaded.volume.array[k, j, i]).mean())
    mean_hu = {shift: float(np.mean(values)) for shift, values in off.items()}
    assert all(mean_hu[0, 0] < 0.5 * mean_hu[shift] for shift in off if shift != (0, 0)), mean_hu


def test_every_series_of_the_real_studies_gets_its_role(real_data):
    """Looked at by hand: localizers, plain CT of a phantom, and pages and screens in an exam summary."""
    with open_studies([real_data / "ncct_ge_tilt", real_data / "philips_phantom"]) as studies:
        selections = [choose(study) for study in studies]
        tables = {
            tuple((one.number, row.role, row.used) for one, row in zip(study.series, selection.rows, strict=True))
            for study, selection in zip(studies, selections, strict=True)
        }
    assert tables == {
        ((2, Role.NCCT, True),),
        ((100, Role.LOCALIZER, False), (201, Role.NCCT, True), (401, Role.DERIVED, False)),
        ((100, Role.LOCALIZER, False), (201, Role.NCCT, True), (301, Role.NCCT, False), (401, Role.DERIVED, False)),
    }
    assert all(
        one.cta is None and one.ctp == () and one.missing_cta.startswith("no CT angiogram in the study:") for one in selections
    )


def test_a_dicomdir_on_the_real_medium_is_followed(real_data):
    """It was copied below the folder it describes."""
    with open_studies([real_data / "philips_phantom" / "S21610" / "S3010" / "DIRFILE"]) as (study,):
        assert [(one.number, len(one.instances)) for one in study.series] == [(301, 58)]
        assert study.notes == ()
