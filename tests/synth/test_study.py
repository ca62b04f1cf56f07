"""A synthetic study is planned on the head, wherever it lies, and says what it is."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.errors import UsageError
from lvo.synth.head import Occlusion
from lvo.synth.study import SIZES, StudySpec, SyntheticStudy, format_occlusion, localizer, parse_occlusion

SPEC = StudySpec(seed=3, occlusion=Occlusion(Side.RIGHT, Site.ICA_T), size="small")


@pytest.mark.parametrize("name", ["none", "BA", "left-M1", "right-ICA-T", "left-P1", "right-VA"])
def test_names_of_occlusions_are_read_back(name):
    assert format_occlusion(parse_occlusion(name)) == name


@pytest.mark.parametrize("name", ["", "M1", "left", "left-BA", "both-M1", "left-M9"])
def test_unknown_occlusion_is_refused_with_what_is_allowed(name):
    with pytest.raises(UsageError, match=r"left- or right- with ICA, ICA-T, M1"):
        parse_occlusion(name)


def test_full_size_is_what_scanners_deliver():
    full = SIZES["full"]
    assert (full.cta.shape_kji, full.cta.spacing_kji_mm[0]) == ((300, 512, 512), 0.625)
    assert (full.ctp.shape_kji, full.n_frames, full.frame_s) == ((16, 256, 256), 45, 1.5)
    assert full.ctp.shape_kji[0] * full.ctp.spacing_kji_mm[0] == 80.0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="straight"),
        pytest.param({"rotation_deg": (20.0, -15.0, 25.0), "shift_mm": (60.0, -40.0, 300.0)}, id="turned and shifted"),
    ],
)
def test_every_scan_holds_what_it_is_for(change):
    """The clot lies in all scans; the slab holds basal ganglia and upper cortex of both sides."""
    study = SyntheticStudy(replace(SPEC, **change))
    clot = study.head.truth.clot_center_lps_mm
    assert study.cta_grid.contains(clot)
    assert study.ncct_grid.contains(clot)
    targets = [(x, y, z) for x in (-35.0, 35.0) for y, z in ((0.0, 0.0), (30.0, 30.0), (-20.0, 20.0))]
    assert study.ctp_grid.contains(study.head.pose.to_lps_mm(targets)).all()


def test_truth_tells_side_site_and_the_place_of_the_clot():
    truth = SyntheticStudy(SPEC).truth()
    assert (truth.occlusion, truth.side, truth.site) == ("right-ICA-T", Side.RIGHT, Site.ICA_T)
    assert truth.clot_center_lps_mm[0] < 0, "the patient's right is negative x"
    assert 0.0 < truth.core_ml < truth.hypoperfusion_ml


def test_healthy_truth_has_no_clot():
    truth = SyntheticStudy(replace(SPEC, occlusion=None)).truth()
    assert (truth.side, truth.site, truth.clot_center_lps_mm, truth.cutoff_lps_mm) == (None, None, None, None)
    assert (truth.occlusion, truth.core_ml, truth.hypoperfusion_ml) == ("none", 0.0, 0.0)


def test_impossible_head_is_wrong_usage():
    with pytest.raises(UsageError, match="rotation_deg"):
        SyntheticStudy(replace(SPEC, rotation_deg=(float("nan"), 0.0, 0.0)))


def test_localizer_is_a_coronal_picture_with_the_head_up():
    """A bright voxel at the top left of the patient is at the top right of the picture, at its own x and z."""
    grid = Grid.from_axes((9, 8, 7), (2.0, 1.5, 1.0), origin_lps_mm=(-3.0, 10.0, 50.0))
    values = np.full(grid.shape_kji, -1000.0)
    values[8, 3, 6] = 2000.0
    image = localizer(Volume(values, grid, Quantity.HU))
    k, j, i = np.unravel_index(image.array.argmax(), image.array.shape)
    assert (k, j, i) == (0, 0, 6)
    found, expected = image.grid.to_lps_mm((k, j, i)), grid.to_lps_mm((8, 3, 6))
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]])
