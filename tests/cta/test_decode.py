"""The call on drawn artery maps: side, site and point wherever the head lies, and nothing is called without arteries."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.config import CtaSettings
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import Call, Side, Site
from lvo.cta.decode import decode

M2_BOTH = ("M2-superior", "M2-inferior")


@pytest.fixture
def judge(drawing, tilted_pose, plain_head):
    """The outcome of a drawn map."""

    def of(vessels, *, arterial_hu=320.0, settings=None, scanned=None):
        hu, grid = drawing.angiogram(vessels, arterial_hu), vessels["artery"].grid
        settings = settings or CtaSettings()
        return decode(hu, vessels, tilted_pose, scanned=scanned or grid, head=plain_head, settings=settings)

    return of


def cut_below(grid, n_low):
    """The grid without its lowest slices."""
    affine = grid.lps_from_kji.copy()
    affine[:3, 3] = grid.to_lps_mm((n_low, 0, 0))
    return Grid((grid.shape_kji[0] - n_low, *grid.shape_kji[1:]), affine)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_open_arteries_are_not_called(draw, judge, tilted_pose, seed):
    result = judge(draw(tilted_pose, seed=seed))
    assert isinstance(result, Assessed)
    finding = result.value.finding
    assert finding.call is Call.NOT_DETECTED
    assert finding.side is finding.site is finding.location_lps_mm is None
    judged = "carotid terminus, M1, M2, intracranial carotid or basilar artery"
    assert finding.evidence == (f"no interruption of {judged} on the vessel map",)


@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
@pytest.mark.parametrize(
    ("closed", "site", "stop"),
    [
        pytest.param({"ICA-T": (0, 2), "M1": (0, 0.7), "A1": (0, 0.6)}, Site.ICA_T, ("ICA-T", 0.0), id="carotid T"),
        pytest.param({"M1": (0.3, 1.1)}, Site.M1, ("M1", 0.3), id="M1"),
        pytest.param({"M2-superior": (0.15, 1.1)}, Site.M2, ("M2-superior", 0.15), id="one M2 trunk"),
        pytest.param({"ICA": (0.72, 0.9)}, Site.ICA, ("ICA", 0.72), id="siphon"),
        pytest.param(dict.fromkeys(M2_BOTH, (0.15, 0.8)), Site.M2, ("M2-superior", 0.15), id="both M2 trunks"),
    ],
)
def test_side_site_and_point(drawing, draw, judge, tilted_pose, left, closed, site, stop):
    vessels = draw(tilted_pose, closed={(name, left): span for name, span in closed.items()}, seed=4)
    result = judge(vessels)
    assert isinstance(result, Assessed)
    finding = result.value.finding
    assert finding.call is Call.SUSPECTED
    assert finding.side is (Side.LEFT if left else Side.RIGHT)
    assert finding.site is site
    found = tilted_pose.to_atlas_mm(np.array(finding.location_lps_mm))
    assert np.linalg.norm(found - drawing.at(*stop, left=left)) < 8.0
    assert finding.evidence[0].startswith("left" if left else "right")


def test_a_basilar_occlusion_is_midline(draw, judge, tilted_pose):
    result = judge(draw(tilted_pose, closed={("BA", True): (0.1, 0.9)}))
    assert isinstance(result, Assessed)
    assert (result.value.finding.side, result.value.finding.site) == (Side.MIDLINE, Site.BA)


def test_both_sides_are_seen_although_neither_differs_from_the_other(draw, judge, tilted_pose):
    closed = {("M1", left): (0.2, 1.1) for left in (True, False)}
    result = judge(draw(tilted_pose, closed=closed))
    assert isinstance(result, Assessed)
    assert result.value.finding.side is Side.BOTH
    assert result.value.finding.call is Call.SUSPECTED


def test_between_the_thresholds_the_call_is_indeterminate(draw, judge, tilted_pose):
    vessels = draw(tilted_pose, closed={("M1", True): (0.3, 1.1)}, seed=4)
    strict = CtaSettings(suspected_probability=1.0, indeterminate_probability=0.2)
    result = judge(vessels, settings=strict)
    assert isinstance(result, Assessed)
    assert result.value.finding.call is Call.INDETERMINATE
    assert result.value.finding.side is Side.LEFT


def test_collateral_filling_is_graded_from_the_distal_branches(draw, judge, tilted_pose):
    lost = {("M1", True): (0.3, 1.1), ("M2-superior", True): (0, 0.9), ("M2-inferior", True): (0, 0.9)}
    kept = {("M1", True): (0.3, 1.1)}
    ratios = []
    for closed in (lost, kept):
        result = judge(draw(tilted_pose, closed=closed, seed=4))
        assert isinstance(result, Assessed)
        assert result.value.collateral is not None
        ratios.append(result.value.collateral.ratio)
    assert ratios[0] < 0.4
    assert ratios[1] > 0.8


def test_without_arteries_nothing_is_judged(draw, judge, tilted_pose):
    empty = {name: replace(one, array=np.zeros_like(one.array)) for name, one in draw(tilted_pose).items()}
    result = judge(empty)
    assert isinstance(result, NotAssessable)
    assert "no arteries found" in result.reasons[0]


def test_without_contrast_nothing_is_judged(draw, judge, tilted_pose):
    result = judge(draw(tilted_pose), arterial_hu=90.0)
    assert isinstance(result, NotAssessable)
    assert "90 HU" in result.reasons[0]


def test_weak_contrast_is_said(draw, judge, tilted_pose):
    result = judge(draw(tilted_pose), arterial_hu=180.0)
    assert isinstance(result, Assessed)
    assert "cta.weak_contrast" in {note.code for note in result.value.notes}


def test_volumes_are_those_of_the_map_on_each_side(draw, judge, tilted_pose):
    vessels = draw(tilted_pose, closed={("M1", False): (0.1, 1.1)}, seed=2)
    result = judge(vessels)
    assert isinstance(result, Assessed)
    rows = {row.territory: row for row in result.value.vessels}
    assert rows["MCA"].right_ml < 0.8 * rows["MCA"].left_ml
    assert rows["MCA"].ratio == pytest.approx(rows["MCA"].right_ml / rows["MCA"].left_ml, abs=0.01)
    assert rows["PCA"].ratio > 0.7


def test_a_scan_that_starts_above_the_basilar_says_that_it_was_not_judged(draw, judge, tilted_pose):
    vessels = draw(tilted_pose, closed={("BA", True): (0.1, 0.9)})
    n_low = int(vessels["artery"].grid.to_kji(tilted_pose.to_lps_mm((0.0, -5.0, -34.0)))[0])
    result = judge(vessels, scanned=cut_below(vessels["artery"].grid, n_low))
    assert isinstance(result, Assessed)
    assert result.value.finding.call is Call.NOT_DETECTED
    assert "cta.basilar_not_covered" in {note.code for note in result.value.notes}
    said = " ".join(result.value.finding.evidence)
    assert "basilar" not in result.value.finding.evidence[0]
    assert "basilar artery is not covered by the scan and was not judged" in said


def test_a_scan_that_starts_above_the_siphon_says_that_it_was_not_judged(draw, judge, tilted_pose):
    """A carotid that is closed below the scan is not called, and is not called open either."""
    vessels = draw(tilted_pose, closed={("ICA", True): (0.72, 0.9)}, seed=None)
    n_low = int(vessels["artery"].grid.to_kji(tilted_pose.to_lps_mm((0.0, 5.0, -33.0)))[0])
    result = judge(vessels, scanned=cut_below(vessels["artery"].grid, n_low))
    assert isinstance(result, Assessed)
    assert result.value.finding.call is Call.NOT_DETECTED
    assert "intracranial carotid" in result.value.not_covered
    assert "intracranial carotid" not in result.value.covered
    assert "intracranial carotid" not in result.value.finding.evidence[0]
    assert "the intracranial carotid is not covered by the scan and was not judged" in result.value.finding.evidence
    assert "cta.carotid_not_covered" in {note.code for note in result.value.notes}
    assert {"M1", "M2"} <= set(result.value.covered)


def test_a_scan_that_misses_the_carotids_is_refused_for_that_reason(draw, judge, tilted_pose):
    vessels = draw(tilted_pose)
    grid = vessels["artery"].grid
    result = judge(vessels, scanned=Grid((grid.shape_kji[0] // 4, *grid.shape_kji[1:]), grid.lps_from_kji))
    assert isinstance(result, NotAssessable)
    assert "does not cover" in result.reasons[0]


def test_the_way_of_the_blood_goes_with_the_finding(draw, judge, tilted_pose):
    """From the carotid through the stop to M2 on the side of the finding, and the same way on the other side."""
    result = judge(draw(tilted_pose, closed={("M1", False): (0.3, 0.9)}, seed=None))
    assert isinstance(result, Assessed)
    way, mirrored = (
        tilted_pose.to_atlas_mm(np.array(course)) for course in (result.value.course_lps_mm, result.value.mirror_course_lps_mm)
    )
    assert (way[:, 0] < 0).all()
    assert (mirrored[:, 0] > 0).all()
    for course in (way, mirrored):
        assert np.linalg.norm(np.abs(course[0]) - (14, 8, 20)) < 14.0  # above the bony canal
        assert np.abs(course[-1, 0]) > 27.0  # at the insula
    stop = tilted_pose.to_atlas_mm(np.array(result.value.finding.location_lps_mm))
    assert np.linalg.norm(way - stop, axis=1).min() < 5.0


def test_a_midline_finding_has_no_other_side(draw, judge, tilted_pose):
    result = judge(draw(tilted_pose, closed={("BA", True): (0.1, 0.9)}))
    assert isinstance(result, Assessed)
    assert len(result.value.course_lps_mm) > 5
    assert result.value.mirror_course_lps_mm == ()
    assert result.value.collateral is None


def test_nothing_suspected_has_no_way(draw, judge, tilted_pose):
    result = judge(draw(tilted_pose))
    assert isinstance(result, Assessed)
    assert result.value.course_lps_mm == result.value.mirror_course_lps_mm == ()


def test_every_suspected_place_is_named(draw, judge, tilted_pose):
    closed = {("M1", True): (0.2, 1.1), ("BA", True): (0.1, 0.9)}
    result = judge(draw(tilted_pose, closed=closed))
    assert isinstance(result, Assessed)
    finding = result.value.finding
    assert finding.side in (Side.LEFT, Side.MIDLINE)
    other = "basilar artery" if finding.side is Side.LEFT else "left hemisphere"
    assert any(text.startswith(f"also suspected: {other}") for text in finding.evidence)
