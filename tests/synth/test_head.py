"""A head is what its spec says, and the same every time."""

from dataclasses import replace

import numpy as np
import pytest

from lvo.core.anatomy import ARTERIES
from lvo.core.report import Side, Site
from lvo.synth.head import Head, HeadSpec, Occlusion, make_head
from lvo.synth.tissue import template

LEFT_M1 = HeadSpec(5, Occlusion(Side.LEFT, Site.M1), collateral_grade=1)


@pytest.fixture(scope="module")
def head() -> Head:
    return make_head(LEFT_M1)


def trunk(head: Head, name: str, side: Side):
    return next(tube for tube in head.arteries if tube.name == name and tube.side is side)


def test_the_same_spec_gives_the_same_head(head):
    again = make_head(LEFT_M1)
    assert again.truth == head.truth
    assert len(again.arteries) == len(head.arteries)
    for one, two in zip((*head.arteries, *head.veins), (*again.arteries, *again.veins), strict=True):
        np.testing.assert_array_equal(one.points_lps_mm, two.points_lps_mm)
        np.testing.assert_array_equal(one.radius_mm, two.radius_mm)
    assert (again.arterial_hu, again.venous_fraction, again.clot_hu) == (head.arterial_hu, head.venous_fraction, head.clot_hu)


def test_another_seed_gives_another_head(head):
    other = make_head(replace(LEFT_M1, seed=6))
    assert other.arterial_hu != head.arterial_hu
    one, two = trunk(head, "ICA", Side.RIGHT).points_lps_mm[-1], trunk(other, "ICA", Side.RIGHT).points_lps_mm[-1]
    assert np.linalg.norm(one - two) > 0.5


def test_an_occlusion_changes_the_blood_and_not_the_person(head):
    """One seed with and without occlusion has the same anatomy."""
    healthy = make_head(HeadSpec(5))
    for one, two in zip(head.arteries, healthy.arteries, strict=True):
        np.testing.assert_array_equal(one.points_lps_mm, two.points_lps_mm)
    assert healthy.clot is None
    assert healthy.truth.side is healthy.truth.site is healthy.truth.cutoff_lps_mm is None
    assert min(tube.filling.min() for tube in healthy.arteries) == 1.0
    assert not healthy.territories.at_risk.any()


def test_sides_are_not_mirror_images(head):
    left, right = trunk(head, "M1", Side.LEFT), trunk(head, "M1", Side.RIGHT)
    atlas_left = head.pose.to_atlas_mm(left.points_lps_mm[0])
    atlas_right = head.pose.to_atlas_mm(right.points_lps_mm[0]) * (-1, 1, 1)
    assert np.linalg.norm(atlas_left - atlas_right) > 0.3


def test_left_is_the_patients_left():
    """A left clot lies at positive x, which is the patient's left in LPS."""
    for seed in (5, 9):
        assert make_head(HeadSpec(seed, Occlusion(Side.LEFT, Site.M1))).truth.clot_center_lps_mm[0] > 8
        assert make_head(HeadSpec(seed, Occlusion(Side.RIGHT, Site.M1))).truth.clot_center_lps_mm[0] < -8


def test_the_pose_is_the_truth():
    """Named arteries of a turned and shifted head come back to their atlas course (individual shape stays: < 8 mm)."""
    spec = HeadSpec(21, rotation_deg=(12.0, -9.0, 17.0), shift_mm=(14.0, -22.0, 51.0))
    head = make_head(spec)
    for item in ARTERIES:
        for tube in head.arteries:
            if tube.name == item.name and item.name not in {"ICA", "VA", "M2-superior", "M2-inferior", "Pcom"}:
                course = head.pose.to_atlas_mm(tube.points_lps_mm)
                expected = item.course_atlas_mm(left=tube.side is not Side.RIGHT)
                gap = np.linalg.norm(course[:, None] - expected, axis=2).min(axis=0)
                assert np.median(gap) < 8.0, (tube.name, tube.side, gap)
    linear = head.pose.lps_from_atlas[:3, :3]
    scale = np.linalg.norm(linear[:, 0])
    assert 0.86 <= scale <= 1.04
    np.testing.assert_allclose(linear.T @ linear, scale**2 * np.eye(3), atol=1e-9)
    assert np.linalg.det(linear) > 0
    pivot = head.pose.to_lps_mm((0.0, 18.0, 0.0))
    np.testing.assert_allclose(pivot, np.add((0.0, 18.0, 0.0), spec.shift_mm), atol=1e-9)


def test_rotation_about_z_turns_left_to_the_back():
    """A positive angle about z (to the head) turns +x (left) towards +y (back), the right-hand rule in LPS."""
    head = make_head(HeadSpec(5, rotation_deg=(0.0, 0.0, 20.0)))
    direction = head.pose.lps_from_atlas[:3, 0]
    assert direction[1] / direction[0] == pytest.approx(np.tan(np.deg2rad(20.0)))


def test_template_and_patient_are_inverse(head):
    points = np.array([[20.0, -5.0, -15.0], [-60.0, 40.0, 30.0], [0.0, 90.0, 0.0]])
    np.testing.assert_allclose(head.template_mm(head.lps_mm(points)), points, atol=0.02)


def test_intradural_arteries_run_in_csf():
    """M1, M2, A2, BA and P2 lie beside the brain, not in it: the tissue fraction on their course is low."""
    inside = []
    for seed in range(6):
        head = make_head(HeadSpec(seed))
        for tube in head.arteries:
            if tube.name in {"M1", "M2-superior", "M2-inferior", "A2", "BA", "P2"}:
                inside += [template().brain.at(head.template_mm(tube.points_lps_mm)).mean()]
    assert np.mean(inside) < 0.72
    assert np.percentile(inside, 90) < 0.9
    tissue = template().brain.at(np.array([[30.0, 20.0, 30.0], [25.0, -20.0, 25.0]]))
    assert tissue.min() > 0.95  # the measure is 1 in white matter


def test_branches_stay_on_their_side_and_inside_the_skull():
    head = make_head(HeadSpec(3))
    for tube in head.arteries:
        if tube.name in {"M3", "A4", "P4"}:
            points = head.template_mm(tube.points_lps_mm)
            sign = 1 if tube.side is Side.LEFT else -1
            assert (sign * points[:, 0]).min() > -4.0
            assert template().inner_mm.at(points).max() < 2.0
            assert tube.radius_mm.max() <= 2.0
            assert tube.radius_mm.min() >= 0.15


def test_the_middle_cerebral_artery_has_the_largest_tree():
    """Total branch length PCA:ACA:MCA is about 1:2:4 (PMC3971907); the order and a factor of two must hold on average."""
    total = dict.fromkeys(("MCA", "ACA", "PCA"), 0.0)
    for seed in range(4):
        for tube in make_head(HeadSpec(seed)).arteries:
            if tube.territory in total:
                total[tube.territory] += np.linalg.norm(np.diff(tube.points_lps_mm, axis=0), axis=1).sum()
    assert 1.4 < total["MCA"] / total["ACA"] < 4.0
    assert 1.0 < total["ACA"] / total["PCA"] < 4.0


def test_radii_spread_like_people():
    """M1 starts 3.1 +- 0.4 mm wide (Rai 2013)."""
    diameters = [
        2 * tube.radius_mm[:8].mean() for seed in range(12) for tube in make_head(HeadSpec(seed)).arteries if tube.name == "M1"
    ]
    assert np.mean(diameters) == pytest.approx(3.1, abs=0.35)
    assert 0.15 < np.std(diameters) < 0.7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"collateral_grade": 4}, "collateral_grade"),
        ({"rotation_deg": (1.0, 2.0)}, "rotation_deg"),
        ({"shift_mm": (1.0, float("nan"), 0.0)}, "shift_mm"),
        ({"arterial_hu": 20.0}, "arterial_hu"),
    ],
)
def test_a_bad_spec_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(LEFT_M1, **change)
