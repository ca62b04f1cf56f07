"""Calibration against a closed form, scikit-learn, and documented values of other libraries."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lvo.evaluate.reference.calibration import at_prevalence, calibration, recalibrate
from lvo.evaluate.reference.curves import Scores
from lvo.evaluate.reference.numbers import find


def logit(p):
    return np.log(p / (1 - p))


def groups(given, observed, n):
    """N cases at each given probability, of which the observed share has it."""
    probability = np.repeat(given, n)
    positive = np.concatenate([np.arange(n) < round(share * n) for share in observed])
    return probability, positive


def test_two_groups_have_a_slope_in_closed_form():
    """Two groups fit a line exactly: its slope is the ratio of differences of logits, its error that of four counts."""
    probability, positive = groups((0.2, 0.8), (0.3, 0.6), 100)
    slope, _ = recalibrate(probability, positive)
    run = logit(0.8) - logit(0.2)
    assert slope.value == pytest.approx((logit(0.6) - logit(0.3)) / run, rel=1e-6)
    error = np.sqrt(1 / 30 + 1 / 70 + 1 / 60 + 1 / 40) / run  # Woolf's error of a log odds ratio
    assert (slope.high - slope.value) / 1.959964 == pytest.approx(error, rel=1e-4)


def test_slope_agrees_with_scikit_learn():
    rng = np.random.default_rng(8)
    x = rng.normal(0.0, 1.5, 400)
    positive = rng.random(400) < 1 / (1 + np.exp(-(0.4 + 0.7 * x)))
    probability = 1 / (1 + np.exp(-x))
    slope, intercept = recalibrate(probability, positive)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, None], positive)
    assert slope.value == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
    assert slope.low < 0.7 < slope.high < 1.0  # too extreme by construction
    assert intercept.low > 0.0


def test_right_probabilities_have_slope_1_and_intercept_0():
    slope, intercept = recalibrate(*groups((0.1, 0.5, 0.9), (0.1, 0.5, 0.9), 200))
    assert slope.value == pytest.approx(1.0, abs=1e-6)
    assert intercept.value == pytest.approx(0.0, abs=1e-6)


def test_intercept_of_one_group_is_the_difference_of_logits():
    probability, positive = groups((0.2,), (0.5,), 50)
    slope, intercept = recalibrate(probability, positive)
    assert intercept.value == pytest.approx(logit(0.5) - logit(0.2))
    assert np.isnan(slope.value)  # one probability has no slope


@pytest.mark.parametrize(
    "positive", [pytest.param([0, 0, 1, 1], id="separated"), pytest.param([1, 1, 0, 0], id="the wrong way round")]
)
def test_full_separation_has_no_slope(positive):
    slope, _ = recalibrate(np.array([0.1, 0.2, 0.8, 0.9]), np.array(positive, dtype=bool))
    assert np.isnan(slope.value)


@pytest.mark.parametrize("positive", [[True] * 4, [False] * 4, []])
def test_one_class_alone_cannot_be_calibrated(positive):
    slope, intercept = recalibrate(np.linspace(0.1, 0.9, len(positive)), np.array(positive, dtype=bool))
    assert np.isnan(slope.value)
    assert np.isnan(intercept.value)


def test_documented_values_of_scikit_learn_and_torchmetrics():
    """brier_score_loss: .1 .9 .8 .3 for 0 1 1 0: 0.0375. BinaryCalibrationError: .25 .25 .55 .75 .75 for 0 0 1 1 1: 0.29."""
    brier = calibration(Scores(np.array([0.1, 0.9, 0.8, 0.3]), np.array([False, True, True, False])))
    assert find(brier, "Brier score").estimate.value == pytest.approx(0.0375)
    error = calibration(Scores(np.array([0.25, 0.25, 0.55, 0.75, 0.75]), np.array([0, 0, 1, 1, 1], dtype=bool)))
    assert find(error, "expected calibration error").estimate.value == pytest.approx(0.29)


def test_prior_shift_is_bayes():
    """P(lvo | x) at 4 % from that at 50 %: odds times (0.04 / 0.96)."""
    positive = np.array([True, False])
    moved = at_prevalence(np.array([0.5, 0.9]), positive, 0.04)
    np.testing.assert_allclose(moved, [0.04, 9 * 0.04 / (9 * 0.04 + 0.96)])
    np.testing.assert_allclose(at_prevalence(np.array([0.5, 0.9]), positive, 0.5), [0.5, 0.9])
