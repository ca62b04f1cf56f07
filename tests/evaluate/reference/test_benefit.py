"""Net benefit against the tutorial data of decision curve analysis, and alarms against published predictive values."""

import numpy as np
import pytest

from lvo.evaluate.metrics import Estimate, proportion
from lvo.evaluate.reference.benefit import Service, alarm_words, alarms, at_prevalence, budget, net_benefit, treat_all
from lvo.evaluate.reference.numbers import find


def from_counts(true, false, positives, negatives):
    called = np.concatenate([np.arange(positives) < true, np.arange(negatives) < false])
    return called, np.arange(positives + negatives) < positives


@pytest.mark.parametrize(
    ("true", "false", "threshold", "expected"),
    [
        pytest.param(24, 91, 0.05, 0.025614, id="family history at 5 %"),
        pytest.param(24, 91, 0.15, 0.010588, id="family history at 15 %"),
        pytest.param(87, 193, 0.10, 0.087407, id="model at 10 %"),
        pytest.param(75, 98, 0.20, 0.067333, id="model at 20 %"),
        pytest.param(105, 645, 0.05, 0.094737, id="all at 5 %"),
        pytest.param(105, 645, 0.20, -0.075000, id="all at 20 %"),
    ],
)
def test_net_benefit_of_the_tutorial_data(true, false, threshold, expected):
    """Counts of df_binary (750 patients, 105 cancers) of Vickers' tutorial, values of the authors' package dcurves 1.1.7."""
    called, positive = from_counts(true, false, 105, 645)
    assert net_benefit(called, positive, threshold) == pytest.approx(expected, abs=1e-6)
    at_sample = at_prevalence(true / 105, 1 - false / 645, 105 / 750, threshold)
    assert at_sample == pytest.approx(expected, abs=1e-6)
    if (true, false) == (105, 645):
        assert treat_all(105 / 750, threshold) == pytest.approx(expected, abs=1e-6)


def test_calling_none_is_worth_nothing():
    called, positive = from_counts(0, 0, 105, 645)
    assert net_benefit(called, positive, 0.2) == 0.0


def test_alarms_of_a_week_by_hand():
    """100 angiograms, 4 occlusions, sensitivity 0.75, specificity 0.9: 3 true, 9.6 false, 1 missed."""
    week = alarms(0.75, 0.9, Service(0.04, 100.0))
    assert (week.alerts, week.false, week.missed) == pytest.approx((12.6, 9.6, 1.0))
    assert week.positive_value == pytest.approx(3 / 12.6)
    assert week.negative_value == pytest.approx(86.4 / 87.4)
    words = alarm_words(proportion(75, 100), proportion(90, 100), Service(0.04, 100.0))
    assert words == (
        "At 4 % prevalence and 100 angiograms a week: "
        "12.6 alerts a week, 9.6 of them false, one occlusion missed every 1.0 weeks."
    )


@pytest.mark.parametrize(("sensitivity", "specificity", "ppv"), [(0.87, 0.96, 0.75), (0.87, 0.85, 0.46)])
def test_published_predictive_values_of_two_products(sensitivity, specificity, ppv):
    """Head-to-head of two products on 360 angiograms with 47 occlusions (13.1 %): .87/.96 gives PPV .75, .87/.85 gives .46."""
    week = alarms(sensitivity, specificity, Service(47 / 360, 10.0))
    assert week.positive_value == pytest.approx(ppv, abs=0.02)


def test_ranges_span_the_corners_of_the_intervals():
    service = Service(0.1, 50.0)
    sensitivity, specificity = proportion(40, 50), proportion(90, 100)
    numbers = budget(sensitivity, specificity, service)
    false = find(numbers, "false alerts a week", group="prevalence 10.0%, 50 a week").estimate
    assert false.low == pytest.approx((1 - specificity.high) * 45.0)
    assert false.high == pytest.approx((1 - specificity.low) * 45.0)
    value = find(numbers, "positive predictive value", group="prevalence 10.0%, 50 a week").estimate
    assert value.low < value.value < value.high


def test_without_cases_there_are_no_alarms_to_tell():
    nothing = Estimate(np.nan, np.nan, np.nan, 0)
    assert "cannot be told" in alarm_words(nothing, nothing, Service(0.04, 25.0))
    assert "none missed in this sample" in alarm_words(proportion(5, 5), proportion(5, 5), Service(0.04, 25.0))
