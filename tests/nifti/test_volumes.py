"""NIfTI maps land where the scan was, whatever its pose, and another library agrees."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from lvo.core.grid import Grid
from lvo.core.study import Role
from lvo.core.volume import Quantity, Volume
from lvo.errors import OutputError
from lvo.nifti.volumes import from_nibabel_ras, nifti_bytes, to_nibabel_ras, write_nifti


@pytest.fixture
def oblique(report_phantom) -> Volume:
    """One bright voxel on the patient's left."""
    grid = report_phantom.grid(Role.CTP)
    array = np.zeros(grid.shape_kji, np.float32)
    array[1, 7, 19] = 5.5
    return Volume(array, grid, Quantity.TMAX)


def test_nibabel_finds_the_voxel_at_its_place(oblique):
    image = to_nibabel_ras(oblique)
    i, j, k = np.argwhere(image.get_fdata() > 5)[0]
    ras = nibabel.affines.apply_affine(image.affine, (i, j, k))
    np.testing.assert_allclose(ras * (-1, -1, 1), oblique.grid.to_lps_mm((1, 7, 19)), atol=1e-3)


def test_the_way_back_gives_the_same_grid(oblique):
    image = to_nibabel_ras(oblique)
    again = from_nibabel_ras(image.affine, image.shape)
    assert again.shape_kji == oblique.grid.shape_kji
    np.testing.assert_allclose(again.lps_from_kji, oblique.grid.lps_from_kji, atol=1e-4)


def test_simpleitk_finds_it_too(oblique, tmp_path):
    """SimpleITK reads into LPS on its own: no flip of ours is in between."""
    write_nifti(oblique, tmp_path / "maps" / "tmax.nii.gz")
    image = SimpleITK.ReadImage(str(tmp_path / "maps" / "tmax.nii.gz"))
    k, j, i = (int(n) for n in np.argwhere(SimpleITK.GetArrayFromImage(image) > 5)[0])
    place = image.TransformIndexToPhysicalPoint((i, j, k))
    np.testing.assert_allclose(place, oblique.grid.to_lps_mm((1, 7, 19)), atol=1e-2)
    np.testing.assert_allclose(image.GetSpacing()[::-1], oblique.grid.spacing_kji_mm, rtol=1e-4)


def test_both_forms_and_the_unit_are_set(oblique):
    header = to_nibabel_ras(oblique).header
    assert int(header["sform_code"]) == int(header["qform_code"]) == 1
    np.testing.assert_allclose(header.get_sform(), header.get_qform(), atol=1e-3)
    assert header.get_xyzt_units() == ("mm", "sec")


def test_a_sheared_grid_keeps_its_shear_in_the_sform():
    grid = Grid((3, 4, 5), np.array([[0.0, 0.0, 2.0, 1.0], [0.5, 3.0, 0.0, 2.0], [5.0, 0.9, 0.0, 3.0], [0, 0, 0, 1]]))
    image = to_nibabel_ras(Volume(np.zeros((3, 4, 5), np.float32), grid, Quantity.CBF))
    ras = nibabel.affines.apply_affine(image.get_sform(), (4, 3, 2))
    np.testing.assert_allclose(ras * (-1, -1, 1), grid.to_lps_mm((2, 3, 4)), atol=1e-4)


@pytest.mark.parametrize(
    ("values", "quantity", "stored"),
    [
        (np.array([0, 1], bool), Quantity.MASK, np.uint8),
        (np.array([0, 3], np.uint8), Quantity.LABEL, np.int16),
        (np.array([-1000, 300], np.int16), Quantity.HU, np.int16),
        (np.array([-1000.5, 300], np.float64), Quantity.HU, np.float32),
        (np.array([0.25, 0.5], np.float64), Quantity.PROBABILITY, np.float32),
    ],
)
def test_values_are_stored_as_they_are(values, quantity, stored):
    grid = Grid.from_axes((1, 1, 2), (1, 2, 3), origin_lps_mm=(5, 6, 7))
    image = to_nibabel_ras(Volume(values.reshape(1, 1, 2), grid, quantity))
    assert image.get_data_dtype() == stored
    np.testing.assert_array_equal(np.asarray(image.dataobj).ravel(), values)


def test_the_same_volume_gives_the_same_bytes(oblique):
    assert nifti_bytes(oblique) == nifti_bytes(oblique)


def test_an_unwritable_place_is_one_clear_error(oblique, tmp_path):
    (tmp_path / "maps").write_text("a file in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_nifti(oblique, tmp_path / "maps" / "tmax.nii.gz")
