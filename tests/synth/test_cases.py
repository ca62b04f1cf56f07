"""Cases are drawn by number, balanced, from the topology they may come from; the evaluation set is large enough and fixed."""

from collections import Counter
from itertools import pairwise

import pytest

from lvo.core.report import Side, Site
from lvo.synth import cases
from lvo.synth.cases import SEEDS, draw_case, evaluation_set, split_of, truth_of
from lvo.synth.families import Family


@pytest.fixture(scope="module")
def plan():
    return cases._evaluation_plan()


def test_no_seed_belongs_to_two_splits():
    ranges = sorted(SEEDS.values(), key=lambda seeds: seeds.start)
    for one, two in pairwise(ranges):
        assert one.stop <= two.start
    assert ranges[0].start >= 1000
    assert [split_of(seed) for seed in (5000, 6999, 10000)] == ["validation", "evaluation", "training"]
    with pytest.raises(ValueError, match="no split"):
        split_of(300)
    with pytest.raises(ValueError, match="not one of training"):
        draw_case(6000)
    with pytest.raises(ValueError, match="evaluation set has"):
        draw_case(6999, "evaluation")


def test_the_evaluation_set_is_as_large_as_promised(plan):
    """At least 150 occlusions, 150 healthy heads, 12 of every family among these, 20 of every judged site."""
    assert len(evaluation_set()) == len(plan) <= len(SEEDS["evaluation"])
    positive, negative = ([row for row in plan if bool(row[0]) is wanted] for wanted in (True, False))
    assert len(positive) >= 150
    assert len(negative) >= 150
    assert min(Counter(family for _, family, _ in negative)[family] for family in Family) >= 12
    sites = Counter(places[0][0] for places, _, _ in positive)
    assert min(sites[site] for site in (Site.ICA, Site.ICA_T, Site.M1, Site.M2, Site.BA)) >= 20
    grades = Counter(grade for _, _, grade in positive)
    assert set(grades) == {0, 1, 2, 3}
    assert min(grades.values()) > 0.8 * len(positive) / 4
    assert 0.4 < sum(family is Family.PLAIN for _, family, _ in positive) / len(positive) < 0.6


def test_a_case_follows_from_its_seed():
    assert draw_case(10_007) == draw_case(10_007)
    assert draw_case(10_007) != draw_case(10_008)


def test_training_and_evaluation_come_from_different_topologies():
    assert {draw_case(seed).head.topology for seed in range(10_000, 10_012)} == {"spline"}
    assert {draw_case(seed, "evaluation").head.topology for seed in (6000, 6225, 6300)} == {"grown"}
    both = {draw_case(seed, topologies=("spline", "grown")).head.topology for seed in range(10_000, 10_012)}
    assert both == {"spline", "grown"}


def test_training_is_balanced(monkeypatch):
    """Occlusions 60 %, no family rarer than 2 %, and every family is met with and without an occlusion."""
    monkeypatch.setattr(cases, "has_artery", lambda *_: True)  # what the head lacks moves the side, not the balance
    drawn = [draw_case(seed) for seed in range(10_000, 11_500)]
    assert sum(case.positive for case in drawn) / len(drawn) == pytest.approx(0.6, abs=0.04)
    both = Counter((case.family, case.positive) for case in drawn)
    for family in Family:
        assert both[family, True] > 0.01 * len(drawn)
        assert both[family, False] > 0.005 * len(drawn)
    positive = [case for case in drawn if case.positive]
    sides = Counter(case.head.occlusion.side for case in positive)
    assert sides[Side.LEFT] == pytest.approx(sides[Side.RIGHT], rel=0.2)
    sites = Counter(case.head.occlusion.site for case in positive)
    assert min(sites[site] for site in Site) > 0.01 * len(positive)
    assert 0.02 < sum(bool(case.head.further) for case in positive) / len(positive) < 0.12
    assert {case.head.collateral_grade for case in drawn} == {0, 1, 2, 3}


def test_a_third_of_the_clots_cannot_be_seen_but_in_the_evaluation_set(monkeypatch):
    """35 % are no denser than fluid or brain, so that a lumen which just ends is learnt; the fixed set has none of these."""
    monkeypatch.setattr(cases, "has_artery", lambda *_: True)
    drawn = [case.head.occlusion.clot_hu for seed in range(10_000, 10_600) if (case := draw_case(seed)).positive]
    assert sum(hu <= 35.0 for hu in drawn) / len(drawn) == pytest.approx(0.35, abs=0.07)
    assert 5.0 <= min(drawn) < 15.0
    assert 85.0 < max(drawn) <= 95.0
    fixed = [case.head.occlusion.clot_hu for seed in range(6000, 6150) if (case := draw_case(seed, "evaluation")).positive]
    assert len(fixed) > 100
    assert min(fixed) >= 35.0


def test_the_truth_names_every_stop():
    case = next(case for seed in range(10_000, 11_000) if (case := draw_case(seed)).head.further)
    truth = truth_of(case)
    assert len(truth.stops) == 2
    assert truth.stops[0].site is case.head.occlusion.site
    assert truth.stops[0].cutoff_lps_mm != truth.stops[1].cutoff_lps_mm
    healthy = next(case for seed in range(10_000, 10_100) if not (case := draw_case(seed)).positive)
    assert truth_of(healthy).stops == ()
