"""Keys become words: no variable name, no unrounded number, and no rounding that contradicts the answer."""

import re

import pytest

from lvo.criteria import evaluate
from lvo.criteria.rules import KEYS
from lvo.report.labels import band_rows, candidate_rows, key_words, measure_rows, rule_words, value_words

KNOWN = {
    "onset_to_imaging_h": 9.5, "age": 71, "nihss": 14, "pre_mrs": 1, "aspects": 7, "site": "M1", "core_ml": 20.62344,
    "mismatch_ml": 81.03, "mismatch_ratio": 4.929, "hypoperfusion_ml": 101.65, "tmax10_ml": 33.3333,
}  # fmt: skip


@pytest.mark.parametrize("facts", [KNOWN, {}], ids=["all known", "nothing known"])
def test_no_rule_that_ships_shows_a_variable_or_an_unrounded_number(facts):
    shown = []
    for rule in evaluate(facts):
        for check in rule.checks:
            shown += [rule_words(check.rule), value_words(check.value, check.rule)]
    assert len(shown) > 60
    names = [key for key in KEYS if "_" in key] + ["nihss", "aspects"]
    assert not [text for text in shown if any(re.search(rf"\b{name}\b", text) for name in names)]
    assert not [text for text in shown if re.search(r"\d\.\d\d|<=|>=", text)]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("core_ml < 70", "< 70 mL"),
        ("onset_to_imaging_h >= 6 and onset_to_imaging_h <= 16", "6 to 16 h"),
        ("nihss >= 8 and nihss < 30", "≥ 8 and < 30"),
        ("site is ICA or M1", "ICA or M1"),
        ("(age >= 80 and core_ml < 21) or (age < 80 and core_ml < 31)",
         "(age ≥ 80 years and core < 21 mL) or (age < 80 years and core < 31 mL)"),
        ("a clinician judges", "a clinician judges"),
    ],
)  # fmt: skip
def test_rules_in_words(rule, words):
    assert rule_words(rule) == words


@pytest.mark.parametrize(
    ("value", "rule", "words"),
    [
        (20.62344, "core_ml < 70", "20.6 mL"),
        (69.96, "core_ml < 70", "69.96 mL"),
        (1.7999, "mismatch_ratio >= 1.8", "1.7999"),
        (70.0, "core_ml < 70", "70 mL"),
        ("M1", "site is ICA or M1", "M1"),
        ("age 71, nihss unknown, core_ml 20.6234", "", "age 71 years, NIHSS unknown, core 20.6 mL"),
        (None, "core_ml < 70", "—"),
    ],
)
def test_values_are_rounded_but_never_onto_a_limit(value, rule, words):
    """69.96 mL is below 70 mL: shown as 70 it would contradict "met"."""
    assert value_words(value, rule) == words


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("tmax_hypoperfusion_s", ("Tmax hypoperfusion", "s")),
        ("core_rcbf", ("core rCBF", "")),
        ("cbf_ml_100g_min", ("CBF", "mL/100 g/min")),
        ("turn_deg", ("turn", "degrees")),
    ],
)
def test_keys_in_words(key, words):
    assert key_words(key) == words


def test_measures_have_units_and_are_rounded():
    rows = measure_rows(
        {"noise_hu": 2.3456, "brain_ml": 1012.34, "width_s": 12.04, "vof_end_share": 0.163, "max_turn_deg": 0.001}
    )
    assert [value for _, value in rows] == ["2.35 HU", "1012 mL", "12 s", "16.3 %", "0 degrees"]
    assert [name for name, _ in rows][2:4] == ["width", "VOF at the end, of its peak"]


def test_candidates_stand_by_role_and_score_the_chosen_first(report_phantom):
    rows = candidate_rows(report_phantom.perfusion_result())
    assert [(row.name, row.candidate.chosen) for row in rows] == [("A1", True), ("A2", False), ("V1", True)]


def test_bands_name_the_one_the_result_rests_on(report_phantom):
    rows = band_rows(report_phantom.perfusion_result())
    assert [(row.threshold, row.main) for row in rows] == [("> 6 s", True), ("> 10 s", False), ("< 30 %", True)]
