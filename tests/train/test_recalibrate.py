"""Two numbers are refitted, no more than the cases bear, and what that brought is judged on cases left out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from lvo.cta.call import CallHead, Logistic
from lvo.errors import InputError
from lvo.train.recalibrate import RecalibrationCase, Shift, compare, fit_shift, recalibrated


def drawn(n, *, slope, intercept, seed=0):
    """Cases whose true log odds are slope * logit + intercept."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0.0, 2.5, n)
    return logit, rng.random(n) < 1.0 / (1.0 + np.exp(-(slope * logit + intercept)))


def cases(logit, truth):
    return [RecalibrationCase(f"s{n}", float(x), bool(y)) for n, (x, y) in enumerate(zip(logit, truth, strict=True))]


def test_with_many_cases_it_is_platt_scaling_as_sklearn_has_it():
    """Overconfident by a factor of two and at another prevalence: both are found, and agree with an independent fit."""
    logit, truth = drawn(20_000, slope=0.5, intercept=-1.0)
    found = fit_shift(logit, truth)
    other = LogisticRegression(C=np.inf).fit(logit[:, None], truth)
    assert found.slope == pytest.approx(float(other.coef_[0, 0]), abs=2e-3)
    assert found.intercept == pytest.approx(float(other.intercept_[0]), abs=2e-3)
    assert found.slope == pytest.approx(0.5, abs=0.02)


def test_with_few_cases_it_changes_little_and_never_turns_the_order_round():
    """Labels that contradict the call in all of 12 cases do not make a negative slope."""
    logit = np.linspace(-3, 3, 12)
    found = fit_shift(logit, logit < 0)
    assert 0.0 <= found.slope < 0.6
    right = fit_shift(logit, logit > 0)
    assert 1.0 <= right.slope < 1.8  # separable cases would send an unpenalised slope to infinity


@given(st.integers(0, 10_000), st.integers(6, 40))
def test_what_holds_already_is_left_nearly_alone(seed, n):
    logit, truth = drawn(n, slope=1.0, intercept=0.0, seed=seed)
    found = fit_shift(logit, truth)
    assert 0.0 <= found.slope < 2.0
    assert abs(found.intercept) < 3.0


def test_before_and_after_are_the_figures_of_other_code():
    logit, truth = drawn(60, slope=0.4, intercept=-1.5, seed=3)
    found = compare(cases(logit, truth))
    before = 1.0 / (1.0 + np.exp(-logit))
    assert found.before.brier.value == pytest.approx(brier_score_loss(truth, before))
    left_out = []
    for n in range(60):
        keep = np.arange(60) != n
        left_out.append(float(fit_shift(logit[keep], truth[keep]).probability(logit[n : n + 1])[0]))
    assert found.after.brier.value == pytest.approx(brier_score_loss(truth, left_out))
    assert found.after.brier.low < found.after.brier.value < found.after.brier.high
    assert found.after.ece.value < found.before.ece.value
    assert found.brier_gain.value == pytest.approx(found.before.brier.value - found.after.brier.value)
    assert found.brier_gain.low > 0.0
    assert sum(n for *_, n in found.before.bins) == 60


def test_calibration_error_by_hand():
    """Ten cases, five bins of two: gaps 0.1, 0.4, 0, 0.3 and 0.1, by arithmetic on paper."""
    probability = np.array([0.1, 0.1, 0.4, 0.4, 0.5, 0.5, 0.7, 0.7, 0.9, 0.9])
    truth = np.array([0, 0, 0, 0, 1, 0, 1, 1, 1, 1], bool)
    found = compare(cases(np.log(probability / (1 - probability)), truth))
    assert found.before.ece.value == pytest.approx((0.1 + 0.4 + 0.0 + 0.3 + 0.1) / 5)


@pytest.mark.parametrize("n_occluded", [0, 4, 27, 30])
def test_one_sided_cases_are_refused(n_occluded):
    """A set of occlusions alone, such as ISLES 2024, says nothing about false alarms."""
    truth = np.arange(30) < n_occluded
    with pytest.raises(InputError, match=rf"got {n_occluded} with and {30 - n_occluded} without"):
        compare(cases(np.linspace(-1, 1, 30), truth))


def test_the_call_gives_the_shifted_probability():
    one = Logistic(("a",), (0.0,), (1.0,), (1.0,), 0.0)
    head = CallHead("ab" * 32, "synthetic", one, one, one, one, 0.8, -0.4)
    logit, truth = drawn(40, slope=0.5, intercept=-1.0)
    found = compare(cases(logit, truth))
    new = recalibrated(head, found, "Hospital A")
    for detector_logit in (-2.0, 0.3, 4.0):
        old = head.probability(detector_logit)
        expected = Shift(found.shift.slope, found.shift.intercept).probability(np.array([math.log(old / (1 - old))]))[0]
        assert new.probability(detector_logit) == pytest.approx(expected, abs=1e-4)
    assert "recalibrated on 40 cases of Hospital A" in new.fitted_on
    assert new.network_sha256 == head.network_sha256
