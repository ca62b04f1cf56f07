"""Volumes, time series, outcomes, poses and the artery table keep their promises."""

import numpy as np
import pytest

from lvo.core.anatomy import ARTERIES, segment
from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, TimeSeries, Volume

GRID = Grid.from_axes((3, 4, 5), (2.0, 0.8, 0.5), origin_lps_mm=(1, 2, 3))


def test_a_volume_needs_the_shape_of_its_grid():
    with pytest.raises(ValueError, match="shape of its grid"):
        Volume(np.zeros((3, 5, 4)), GRID, Quantity.HU)


def test_a_volume_cannot_be_written_through_but_its_source_stays_writable():
    source = np.zeros(GRID.shape_kji)
    volume = Volume(source, GRID, Quantity.HU)
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    source[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("shape", "times_s", "match"),
    [
        pytest.param((2, 3, 5, 4), np.arange(6).reshape(2, 3), "array must be", id="a shape that is not the grid's"),
        pytest.param((2, 3, 4, 5), np.arange(2), "times_s must be", id="one time per frame"),
        pytest.param((2, 3, 4, 5), np.array([[1, 1, 1], [2, 1, 2]]), "grow", id="a slice whose time stands still"),
        pytest.param((2, 3, 4, 5), np.array([[1, 1, 1], [2, np.nan, 2]]), "finite", id="a missing time"),
    ],
)
def test_a_time_series_is_refused(shape, times_s, match):
    with pytest.raises(ValueError, match=match):
        TimeSeries(np.zeros(shape), GRID, times_s.astype(float))


def test_a_refusal_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        NotAssessable(())
    with pytest.raises(ValueError, match="reason"):
        NotAssessable(("",))


def test_units_lose_their_annotation_for_dicom():
    assert Quantity.TMAX.ucum == "s"
    assert Quantity.HU.ucum == "[hnsf'U]"
    assert Quantity.MASK.ucum == "1"


def pose(scale: float = 1.1) -> HeadPose:
    angle = np.radians(20)
    affine = np.eye(4)
    affine[:3, :3] = scale * np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, 3] = (5, -7, 40)
    return HeadPose(affine, 0.9)


def test_a_crop_covers_its_atlas_box_in_patient_space_with_the_asked_spacing():
    head = pose()
    crop = head.crop((-30, -20, -10), (30, 25, 15), spacing_mm=0.7)
    np.testing.assert_allclose(crop.spacing_kji_mm, 0.7)
    np.testing.assert_allclose(head.to_atlas_mm(crop.to_lps_mm((0, 0, 0))), (-30, -20, -10), atol=1e-9)
    far = head.to_atlas_mm(crop.to_lps_mm(np.array(crop.shape_kji) - 1))
    assert (far >= (30, 25, 15)).all()
    assert (far < np.array((30, 25, 15)) + 2 * 0.7 * 1.1).all()
    one_step_i = head.to_atlas_mm(crop.to_lps_mm((0, 0, 1))) - (-30, -20, -10)
    np.testing.assert_allclose(one_step_i, (0.77, 0, 0), atol=1e-9)


def test_the_mid_plane_of_a_pose_is_atlas_zero_with_left_positive():
    head = pose()
    on_plane = head.to_lps_mm((0.0, 33.0, -12.0))
    assert head.midplane.signed_distance_mm(on_plane) == pytest.approx(0, abs=1e-9)
    assert head.midplane.signed_distance_mm(head.to_lps_mm((11.0, 0, 0))) == pytest.approx(10.0)


def test_every_artery_starts_where_its_parent_passes_and_stays_on_its_side():
    for artery in ARTERIES:
        course = artery.course_atlas_mm(left=True)
        assert (course[:, 0] >= 0).all(), artery.name
        np.testing.assert_allclose(artery.course_atlas_mm(left=False)[:, 0], -course[:, 0])
        if artery.parent is not None:
            parent = segment(artery.parent).course_atlas_mm(left=True)
            assert np.linalg.norm(parent - course[0], axis=1).min() < 6.0, artery.name


def test_an_unknown_segment_is_refused():
    with pytest.raises(KeyError):
        segment("M9")
