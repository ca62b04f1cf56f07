"""The call on drawn artery maps: side, site and point wherever the head lies, and nothing is called without arteries."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.config import CtaSettings
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import Call, Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.cta.decode import decode

M2_BOTH = ("M2-superior", "M2-inferior")


def judge(artery, pose, head, arterial_hu=320.0, settings=None, scanned=None):
    hu = Volume(np.where(artery.array > 0.5, arterial_hu, 40.0).astype(np.float32), artery.grid, Quantity.HU)
    vein = Volume(np.zeros_like(artery.array), artery.grid, Quantity.PROBABILITY)
    return decode(hu, artery, vein, pose, scanned=scanned or artery.grid, head=head, settings=settings or CtaSettings())


def atlas_gap_start(pose, finding):
    return pose.to_atlas_mm(np.array(finding.location_lps_mm))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_open_arteries_are_not_called(draw, tilted_pose, plain_head, seed):
    result = judge(draw(tilted_pose, seed=seed), tilted_pose, plain_head)
    assert isinstance(result, Assessed)
    finding = result.value.finding
    assert finding.call is Call.NOT_DETECTED
    assert finding.side is finding.site is finding.location_lps_mm is None


@pytest.mark.parametrize("left", [True, False], ids=["left", "right"])
@pytest.mark.parametrize(
    ("closed", "site", "stop_x_mm"),
    [
        pytest.param({"ICA-T": (0, 2), "M1": (0, 0.7), "A1": (0, 0.6)}, Site.ICA_T, 14, id="carotid T"),
        pytest.param({"M1": (0.3, 1.1)}, Site.M1, 20, id="M1"),
        pytest.param(dict.fromkeys(M2_BOTH, (0.15, 0.8)), Site.M2, 34, id="both M2 trunks"),
    ],
)
def test_side_site_and_point(draw, tilted_pose, plain_head, left, closed, site, stop_x_mm):
    artery = draw(tilted_pose, closed={(name, left): span for name, span in closed.items()}, seed=4)
    result = judge(artery, tilted_pose, plain_head)
    assert isinstance(result, Assessed)
    finding = result.value.finding
    assert finding.call is Call.SUSPECTED
    assert finding.side is (Side.LEFT if left else Side.RIGHT)
    assert finding.site is site
    x_mm = atlas_gap_start(tilted_pose, finding)[0] * (1 if left else -1)
    assert x_mm == pytest.approx(stop_x_mm, abs=8)
    assert finding.evidence[0].startswith("left" if left else "right")


def test_a_basilar_occlusion_is_midline(draw, tilted_pose, plain_head):
    result = judge(draw(tilted_pose, closed={("BA", True): (0.1, 0.9)}), tilted_pose, plain_head)
    assert isinstance(result, Assessed)
    assert (result.value.finding.side, result.value.finding.site) == (Side.MIDLINE, Site.BA)


def test_both_sides_are_seen_although_neither_differs_from_the_other(draw, tilted_pose, plain_head):
    closed = {("M1", left): (0.2, 1.1) for left in (True, False)}
    result = judge(draw(tilted_pose, closed=closed), tilted_pose, plain_head)
    assert isinstance(result, Assessed)
    assert result.value.finding.side is Side.BOTH
    assert result.value.finding.call is Call.SUSPECTED


def test_between_the_thresholds_the_call_is_indeterminate(draw, tilted_pose, plain_head):
    artery = draw(tilted_pose, closed={("M1", True): (0.3, 1.1)}, seed=4)
    strict = CtaSettings(suspected_probability=1.0, indeterminate_probability=0.2)
    result = judge(artery, tilted_pose, plain_head, settings=strict)
    assert isinstance(result, Assessed)
    assert result.value.finding.call is Call.INDETERMINATE
    assert result.value.finding.side is Side.LEFT


def test_collateral_filling_is_graded_from_the_distal_branches(draw, tilted_pose, plain_head):
    lost = {("M1", True): (0.3, 1.1), ("M2-superior", True): (0, 0.9), ("M2-inferior", True): (0, 0.9)}
    kept = {("M1", True): (0.3, 1.1)}
    ratios = []
    for closed in (lost, kept):
        result = judge(draw(tilted_pose, closed=closed, seed=4), tilted_pose, plain_head)
        assert isinstance(result, Assessed)
        assert result.value.collateral is not None
        ratios.append(result.value.collateral.ratio)
    assert ratios[0] < 0.4
    assert ratios[1] > 0.8


def test_without_arteries_nothing_is_judged(draw, tilted_pose, plain_head):
    artery = draw(tilted_pose)
    empty = replace(artery, array=np.zeros_like(artery.array))
    result = judge(empty, tilted_pose, plain_head)
    assert isinstance(result, NotAssessable)
    assert "no arteries found" in result.reasons[0]


def test_without_contrast_nothing_is_judged(draw, tilted_pose, plain_head):
    result = judge(draw(tilted_pose), tilted_pose, plain_head, arterial_hu=90.0)
    assert isinstance(result, NotAssessable)
    assert "90 HU" in result.reasons[0]


def test_weak_contrast_is_said(draw, tilted_pose, plain_head):
    result = judge(draw(tilted_pose), tilted_pose, plain_head, arterial_hu=180.0)
    assert isinstance(result, Assessed)
    assert "cta.weak_contrast" in {note.code for note in result.value.notes}


def test_volumes_are_those_of_the_map_on_each_side(draw, tilted_pose, plain_head):
    artery = draw(tilted_pose, closed={("M1", False): (0.1, 1.1)}, seed=2)
    result = judge(artery, tilted_pose, plain_head)
    assert isinstance(result, Assessed)
    rows = {row.territory: row for row in result.value.vessels}
    assert rows["MCA"].right_ml < 0.8 * rows["MCA"].left_ml
    assert rows["MCA"].ratio == pytest.approx(rows["MCA"].right_ml / rows["MCA"].left_ml, abs=0.01)
    assert rows["PCA"].ratio > 0.7


def test_a_scan_that_starts_above_the_basilar_says_that_it_was_not_judged(draw, tilted_pose, plain_head):
    artery = draw(tilted_pose, closed={("BA", True): (0.1, 0.9)})
    n_low = int(artery.grid.to_kji(tilted_pose.to_lps_mm((0.0, -5.0, -34.0)))[0])
    affine = artery.grid.lps_from_kji.copy()
    affine[:3, 3] = artery.grid.to_lps_mm((n_low, 0, 0))
    scanned = Grid((artery.grid.shape_kji[0] - n_low, *artery.grid.shape_kji[1:]), affine)
    result = judge(artery, tilted_pose, plain_head, scanned=scanned)
    assert isinstance(result, Assessed)
    assert result.value.finding.call is Call.NOT_DETECTED
    assert "cta.basilar_not_covered" in {note.code for note in result.value.notes}
    said = " ".join(result.value.finding.evidence)
    assert "or the basilar artery" not in said
    assert "basilar artery is not covered by the scan and was not judged" in said


def test_a_scan_that_misses_the_carotids_is_refused_for_that_reason(draw, tilted_pose, plain_head):
    artery = draw(tilted_pose)
    scanned = Grid((artery.grid.shape_kji[0] // 4, *artery.grid.shape_kji[1:]), artery.grid.lps_from_kji)
    result = judge(artery, tilted_pose, plain_head, scanned=scanned)
    assert isinstance(result, NotAssessable)
    assert "does not cover" in result.reasons[0]


def test_every_suspected_place_is_named(draw, tilted_pose, plain_head):
    closed = {("M1", True): (0.2, 1.1), ("BA", True): (0.1, 0.9)}
    result = judge(draw(tilted_pose, closed=closed), tilted_pose, plain_head)
    assert isinstance(result, Assessed)
    finding = result.value.finding
    assert finding.side in (Side.LEFT, Side.MIDLINE)
    other = "basilar artery" if finding.side is Side.LEFT else "left hemisphere"
    assert any(text.startswith(f"also suspected: {other}") for text in finding.evidence)
