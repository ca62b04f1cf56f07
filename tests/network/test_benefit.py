"""The model of average outcomes reproduces its anchors, and says nothing where it must not."""

import json
import math
import sys

import numpy as np
import pytest

from lvo.core.report import Site
from lvo.network.benefit import LVO_UNTREATED, outcomes_lvo_thrombectomy, outcomes_thrombolysis, price, why_no_price


@pytest.mark.parametrize(
    ("minutes", "mrs1", "mrs2", "alive", "utility_gain"),
    [
        (120, 0.331, 0.469, 0.891, 0.192), (180, 0.287, 0.430, 0.876, 0.156), (238, 0.247, 0.393, 0.861, 0.122),
        (300, 0.209, 0.355, 0.843, 0.086), (360, 0.177, 0.320, 0.823, 0.052), (420, 0.148, 0.286, 0.802, 0.019),
    ],
)  # fmt: skip
def test_the_table_of_the_package_is_reproduced(minutes, mrs1, mrs2, alive, utility_gain):
    """Shares with mRS 0-1, 0-2 and alive, and the gain in utility, by onset to puncture."""
    found = outcomes_lvo_thrombectomy([minutes]).cumulative[0]
    assert found[[1, 2, 5]] == pytest.approx([mrs1, mrs2, alive], abs=6e-4)
    assert price(minutes).utility_gain == pytest.approx(utility_gain, abs=6e-4)


def test_the_anchor_at_onset_is_exact():
    """The distribution at time 0 that the authors published; toward 480 minutes it runs into theirs of no effect."""
    found = outcomes_lvo_thrombectomy([0.0, 480.0 - 1e-9]).cumulative
    assert found[0] == pytest.approx([0.306, 0.429, 0.548, 0.707, 0.851, 0.915, 1.0], abs=1e-10)
    assert found[1] == pytest.approx([0.048, 0.124, 0.255, 0.412, 0.649, 0.779, 1.0], abs=1e-10)


@pytest.mark.parametrize("minutes", [-5.0, -1e-9, 480.0, 720.0, math.nan, math.inf])
def test_times_the_model_does_not_know_are_refused(minutes):
    with pytest.raises(ValueError, match="nothing is said"):
        outcomes_lvo_thrombectomy([200.0, minutes])


@pytest.mark.parametrize("minutes", [-5.0, 378.0, math.nan])
def test_thrombolysis_likewise(minutes):
    with pytest.raises(ValueError, match="nothing is said"):
        outcomes_thrombolysis([minutes], large_vessel=False)


def test_where_the_model_sees_no_gain_there_is_no_price():
    """At 450 minutes there is a little gain; from 460 on the model would call thrombectomy harmful, and is not asked."""
    assert 0 < price(450.0).utility_gain < 0.005
    assert price(450.0).independent_with > LVO_UNTREATED
    for minutes in (460.0, 470.0, 479.9, 480.0, 12 * 60.0):
        assert price(minutes) is None
    with pytest.raises(ValueError, match="at least 0"):
        price(-1.0)


def test_the_range_goes_up_to_the_pooled_trials():
    """At the median time of the trials the upper end is what they found: 46.0 % against 26.5 % without."""
    found = price(238.0)
    assert found.independent_with_hermes == pytest.approx(0.460, abs=1e-9)
    assert found.independent_with == pytest.approx(0.393, abs=5e-4)
    assert found.independent_without == LVO_UNTREATED == 0.265


def test_ten_minutes_cost_what_the_trials_found():
    """0.60 of 100 patients per 10 minutes between 3 and 8 hours in the pooled trials; 0.63 by the model."""
    lost = np.mean([price(float(t)).independent_lost_per_10_min for t in range(180, 460, 10)])
    assert 100 * lost == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        pytest.param({"suspected": False}, "no large-vessel occlusion", id="nothing suspected"),
        pytest.param({"site": None}, "artery is unknown", id="artery unknown"),
        pytest.param({"site": Site.BA}, "anterior circulation only", id="basilar"),
        pytest.param({"site": Site.P1}, "anterior circulation only", id="posterior"),
        pytest.param({"onset_seen": False}, "was not seen", id="wake-up"),
        pytest.param({"onset_seen": None}, "onset is unknown", id="onset unknown"),
    ],
)
def test_there_is_a_reason_for_every_silence(known, words):
    fitting = {"suspected": True, "site": Site.M1, "onset_seen": True}
    assert why_no_price(**fitting) == ""
    assert words in why_no_price(**{**fitting, **known})


def test_nothing_reaches_standard_output(capsys):
    """The package prints; JSON on standard output must survive it."""
    sys.stdout.write(json.dumps({"gain": price(238.0).utility_gain}))
    assert "gain" in json.loads(capsys.readouterr().out)
