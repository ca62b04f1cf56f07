"""Limits and rules of the chart agree with spc-plotly, and each rule says no."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from lvo.audit.xmr import LONG_RUN, chart_of

OUTSIDE, LONG, SHORT, JUMP = (
    "outside the limits", "8 in a row on one side of the mean", "3 of 4 nearer to a limit than to the mean",
    "a jump beyond everyday jumps",
)  # fmt: skip

ORACLE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from spc_plotly.xmr import XmR

def judged(values):
    days = pd.date_range("2026-01-01", periods=len(values))
    chart = XmR(pd.DataFrame({"day": days, "value": values}), "value", "day", date_part_resolution="day")
    place = {f"{day:%Y-%m-%d}": n for n, day in enumerate(days)}
    points = {"outside": [place[str(p[0])[:10]] for p in chart.signals["anomalies"]]}
    for name in ("long_runs", "short_runs"):
        points[name] = sorted({place[str(p[0])[:10]] for run in chart.signals[name] for p in run})
    limits = {**chart.npl_limit_values, **chart.mR_limit_values}
    return {"points": points, "limits": {k: float(v) for k, v in limits.items() if k != "xmr_func"}}

print(json.dumps([judged(values) for values in json.load(sys.stdin)]))
"""
"""Runs apart from the tests: the package brings a top-level `tests` package of its own."""

SEEDS = range(6)


def series(seed: int) -> list[float]:
    """Everyday variation with a shift, an outlier or a drift."""
    rng = np.random.default_rng(seed)
    values = rng.normal(120.0, 12.0, 36)
    values[24:] += (0.0, 25.0, -20.0)[seed % 3]
    values[7] += (0.0, 0.0, 70.0)[seed % 3]
    return np.abs(values).tolist()


@pytest.fixture(scope="module")
def theirs() -> list[dict]:
    """What spc-plotly finds in every series."""
    if find_spec("spc_plotly") is None:
        pytest.skip("SPC-PLOTLY MISSING, the control charts are not compared with it: pip install spc-plotly")
    given = json.dumps([series(seed) for seed in SEEDS])
    done = subprocess.run([sys.executable, "-I", "-c", ORACLE], input=given, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("seed", SEEDS)
def test_limits_and_signals_are_those_of_spc_plotly(theirs, seed):
    ours = chart_of(series(seed))
    limits, points = theirs[seed]["limits"], theirs[seed]["points"]
    assert ours.center == pytest.approx(limits["y_xmr_func"])
    assert ours.high == pytest.approx(limits["npl_upper_limit"])
    assert ours.low == pytest.approx(limits["npl_lower_limit"])
    assert ours.range_mean == pytest.approx(limits["mR_xmr_func"])
    assert ours.range_high == pytest.approx(limits["mR_upper_limit"])
    found = {signal.rule: list(signal.points) for signal in ours.signals}
    assert found.get(OUTSIDE, []) == points["outside"]
    assert found.get(LONG, []) == points["long_runs"]
    assert found.get(SHORT, []) == points["short_runs"]


def test_the_comparison_sees_signals_of_every_kind(theirs):
    """Six quiet series would prove nothing."""
    for name in ("outside", "long_runs", "short_runs"):
        assert any(found["points"][name] for found in theirs), name
        assert any(not found["points"][name] for found in theirs), name


def test_limits_by_hand():
    """Ranges 10, 20, 10, 20: mean 15; limits 112 -+ 2.66 * 15; upper limit of ranges 3.268 * 15."""
    chart = chart_of([110.0, 120.0, 100.0, 110.0, 130.0 - 10.0])
    assert chart.center == 112.0
    assert chart.ranges.tolist() == [10.0, 20.0, 10.0, 10.0]
    assert (chart.low, chart.high) == pytest.approx((112 - 2.66 * 12.5, 112 + 2.66 * 12.5))
    assert chart.range_high == pytest.approx(3.268 * 12.5)
    assert chart.signals == ()
    assert not chart.firm


@pytest.mark.parametrize(
    ("values", "rule", "points"),
    [
        pytest.param([100, 101, 99, 100, 101, 99, 100, 140, 100, 101, 99, 100], OUTSIDE, {7}, id="an outlier"),
        pytest.param([0, 1] * 4 + [5.0, 6.0] * 4, LONG, set(range(16)), id="two levels"),
        pytest.param([100, 101, 99, 100, 101, 99, 100, 140, 100, 101, 99, 100], JUMP, {7, 8}, id="a jump there and back"),
    ],
)
def test_each_rule_says_yes(values, rule, points):
    found = {signal.rule: set(signal.points) for signal in chart_of(values).signals}
    assert found[rule] == points


def test_seven_in_a_row_are_not_eight():
    alternating = [10.0, 12.0] * 6
    run = alternating + [12.5] * (LONG_RUN - 2)  # 12.0 and six more: seven
    assert LONG not in {signal.rule for signal in chart_of(run).signals}
    assert LONG in {signal.rule for signal in chart_of([*run, 12.5]).signals}


def test_a_share_has_no_limits_beyond_0_and_1():
    chart = chart_of([0.0, 0.9, 0.1, 1.0, 0.2], ceiling=1.0)
    assert (chart.low, chart.high) == (0.0, 1.0)


def test_everyday_zeros_of_a_rare_share_are_no_signal():
    """2 % that cannot be judged, 30 results a point: most points are 0, and half-way to a limit cut at 0 lies above them."""
    rng = np.random.default_rng(3)
    shown = [{signal.rule for signal in chart_of(rng.binomial(30, 0.02, 24) / 30, ceiling=1.0).signals} for _ in range(100)]
    assert sum(SHORT in rules for rules in shown) <= 15
    assert SHORT in {signal.rule for signal in chart_of([0.0, 0.02] * 10 + [0.2, 0.2, 0.2, 0.2], ceiling=1.0).signals}


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")]])
def test_a_series_that_is_none_is_refused(values):
    with pytest.raises(ValueError, match="at least two finite values"):
        chart_of(values)
