"""Figures against published examples, other libraries and hand calculation."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from lvo.evaluate import metrics


def test_wilson_reproduces_a_published_table():
    found = metrics.proportion(61, 75)  # Yahav-Dovrat et al., AJNR 2021: 61 of 75 occlusions
    assert (round(found.value, 3), round(found.low, 3), round(found.high, 3)) == (0.813, 0.711, 0.885)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        pytest.param(0, 10, 0.0, 0.3085, id="none: 1 - 0.025 ** (1 / 10)"),
        pytest.param(10, 10, 0.6915, 1.0, id="all: 0.025 ** (1 / 10)"),
        pytest.param(5, 10, 0.1871, 0.8129, id="half: Clopper and Pearson's chart"),
    ],
)
def test_exact_interval(hits, n, low, high):
    found = metrics.proportion(hits, n, method="exact")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_a_share_of_nothing_is_no_number_and_an_impossible_one_is_refused():
    assert np.isnan(metrics.proportion(0, 0).value)
    with pytest.raises(ValueError, match="got 3 of 2"):
        metrics.proportion(3, 2)


HANLEY_NORMAL = np.repeat(np.arange(1.0, 6.0), (33, 6, 6, 11, 2))
HANLEY_ABNORMAL = np.repeat(np.arange(1.0, 6.0), (3, 2, 2, 11, 33))
"""Ratings of 109 CT scans, Hanley and McNeil, Radiology 1982, doi:10.1148/radiology.143.1.7063747, table I."""


def test_delong_reproduces_a_published_example():
    area, error = metrics.delong(HANLEY_ABNORMAL, HANLEY_NORMAL)
    assert (round(area, 4), round(error, 4)) == (0.8932, 0.0307)  # as the manual of Stata's roctab has it
    assert (area - 1.959964 * error, area + 1.959964 * error) == pytest.approx((0.83295, 0.95339), abs=2e-5)
    found = metrics.auc(HANLEY_ABNORMAL, HANLEY_NORMAL)
    assert found.low < area < found.high < 1.0
    assert found.high - area < area - found.low  # on the logit scale the room above is smaller


def test_area_agrees_with_scikit_learn_and_an_unjudged_case_loses_every_pair():
    rng = np.random.default_rng(3)
    positive, negative = rng.normal(1.0, 1.0, 40).round(1), rng.normal(0.0, 1.0, 30).round(1)
    truth = np.repeat([1, 0], (40, 30))
    assert metrics.auc(positive, negative).value == pytest.approx(roc_auc_score(truth, [*positive, *negative]))
    with_unjudged = metrics.auc([*positive, -np.inf], negative).value
    assert with_unjudged == pytest.approx(metrics.auc(positive, negative).value * 40 / 41)


def test_a_perfect_curve_still_has_an_interval():
    found = metrics.auc(np.arange(11.0, 31.0), np.arange(10.0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 10), abs=1e-6)  # ten independent pairs
    worst = metrics.auc(np.arange(10.0), np.arange(11.0, 31.0))
    assert (worst.value, worst.low, worst.high) == (0.0, 0.0, pytest.approx(1.0 - found.low))


def test_sensitivity_at_a_specificity_by_hand():
    negative = np.arange(20) / 100.0  # 0.00 to 0.19; one of twenty may be called
    point = metrics.sensitivity_at([0.17, 0.18, 0.185, 0.5], negative, specificity=0.95)
    assert point.threshold == 0.185  # at 0.18 that negative and 0.19 would both be called
    assert (point.sensitivity.value, point.specificity.value) == (0.5, 0.95)
    strict = metrics.sensitivity_at([0.17, 0.18, 0.185, 0.5], negative, specificity=1.0)
    assert (strict.threshold, strict.sensitivity.value, strict.specificity.value) == (0.5, 0.25, 1.0)


def test_a_test_that_cannot_tell_has_no_sensitivity_at_a_high_specificity():
    point = metrics.sensitivity_at(np.full(10, 0.4), np.full(10, 0.4), specificity=0.95)
    assert (point.sensitivity.value, point.specificity.value) == (0.0, 1.0)


def test_calibration_by_hand():
    probability, positive = [0.15, 0.15, 0.15, 0.15, 0.95, 0.95], [0, 0, 0, 1, 1, 0]
    # 4 cases at 0.15 with a share of 0.25, 2 at 0.95 with a share of 0.5: (4 * 0.10 + 2 * 0.45) / 6
    found = metrics.expected_calibration_error(probability, positive)
    assert found.value == pytest.approx(1.3 / 6)
    first, last = metrics.reliability(probability, positive)
    assert (first.mean_probability, first.observed.hits, first.observed.n) == (pytest.approx(0.15), 1, 4)
    assert (last.mean_probability, last.observed.value) == (pytest.approx(0.95), 0.5)
    assert metrics.brier(probability, positive) == pytest.approx(brier_score_loss(positive, probability))


def test_calibration_tells_true_from_overconfident_probabilities():
    rng = np.random.default_rng(5)
    probability = rng.uniform(0.0, 1.0, 4000)
    positive = rng.random(4000) < probability
    assert metrics.expected_calibration_error(probability, positive).value < 0.03
    assert metrics.expected_calibration_error((probability > 0.5).astype(float), positive).low > 0.2


@pytest.mark.parametrize(("sensitivity", "specificity", "ppv"), [(0.90, 0.95, 0.43), (0.87, 0.85, 0.20)])
def test_predictive_value_at_the_prevalence_of_a_stroke_service(sensitivity, specificity, ppv):
    assert metrics.predictive_values(sensitivity, specificity, 0.041)[0] == pytest.approx(ppv, abs=0.005)


def test_mean_has_an_interval_that_narrows_with_cases():
    values = np.tile([0.7, 0.9], 8)
    few, many = metrics.mean(values[:4]), metrics.mean(np.tile(values, 20))
    assert (few.value, many.value) == pytest.approx((0.8, 0.8))
    assert many.high - many.low < (few.high - few.low) / 4.0
