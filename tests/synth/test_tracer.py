"""The closed forms of tracer kinetics against brute-force sums, and what physics says of every curve."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvo.synth.tracer import BRAIN_DENSITY_G_ML, HAEMATOCRIT_FACTOR, MAX_SPREAD, Artery, SampledArtery, Transit

TIMES_S = np.array([5.0, 9.5, 13.0, 17.7, 24.0, 33.3, 52.0, 66.0])
PLAIN, ROUND = Artery(), Artery(recirculation=0.15)
SPREAD = replace(ROUND, dispersion_s=1.3)
ARTERIES = [pytest.param(PLAIN, id="plain"), pytest.param(ROUND, id="recirculating"), pytest.param(SPREAD, id="dispersed")]
TRANSITS = [
    pytest.param(Transit(name, shape), id=f"{name}-{shape}")
    for name, shape in [
        ("exp", 1.0), ("linear", 1.0), ("box", 1.0), ("gamma", 0.8), ("gamma", 1.5), ("gamma", 6.0), ("lognormal", 0.3),
        ("lognormal", 0.8),
    ]
]  # fmt: skip
every_transit = pytest.mark.parametrize("transit", TRANSITS)
every_artery = pytest.mark.parametrize("artery", ARTERIES)


def brute_force(artery, transit, mtt_s, delay_s, step_s=0.002):
    """Artery convolved with residue / mtt as a plain sum in the middle of 2 ms steps, at `TIMES_S`."""
    out = []
    for t in TIMES_S - delay_s:
        u = np.arange(step_s / 2, max(t, step_s), step_s)
        out.append(step_s * (artery.hu(t - u) * transit.residue_at(u, mtt_s)).sum() / mtt_s)
    return np.array(out)


@every_artery
@every_transit
@pytest.mark.parametrize(("mtt_s", "delay_s"), [(1.5, 0.0), (4.0, 6.3), (24.0, -3.0)])  # 1.5 s equals beta: no pole there
def test_convolution_agrees_with_a_plain_sum(artery, transit, mtt_s, delay_s):
    """Within 0.1 % of the peak, the error that the module promises; the sum itself is good to 0.05 % (a box ends in a step)."""
    curve = artery.passed_hu(TIMES_S, transit, mtt_s=mtt_s, delay_s=delay_s)
    expected = brute_force(artery, transit, mtt_s, delay_s)
    np.testing.assert_allclose(curve, expected, atol=1e-3 * expected.max())


@every_transit
def test_sampled_artery_agrees_with_the_closed_form(transit):
    """Two derivations, one through partial moments and one through sums of gamma variables: 0.01 % apart at 50 ms samples."""
    fine_s = np.arange(0.0, 70.0, 0.05)
    sampled = SampledArtery(fine_s, SPREAD.hu(fine_s))
    for mtt_s in (0.8, 3.4, 24.0):
        exact = SPREAD.passed_hu(TIMES_S, transit, mtt_s=mtt_s, delay_s=1.7)
        np.testing.assert_allclose(
            sampled.passed_hu(TIMES_S, transit, mtt_s=mtt_s, delay_s=1.7), exact, atol=1e-4 * exact.max()
        )


def test_sampled_artery_is_exact_between_uneven_samples():
    """One triangle through an exponential residue, worked by hand: the integral of its two ramps."""
    triangle = SampledArtery(np.array([2.0, 3.0, 7.0, 9.0]), np.array([0.0, 10.0, 0.0, 0.0]))
    mtt_s = 3.0

    def ramp(t):  # response to a rise by 1 a second
        return mtt_s * t - mtt_s**2 * (1.0 - np.exp(-t / mtt_s)) if t > 0 else 0.0

    for t in (2.5, 5.0, 30.0):
        by_hand = (10.0 * ramp(t - 2.0) - 12.5 * ramp(t - 3.0) + 2.5 * ramp(t - 7.0)) / mtt_s
        assert triangle.passed_hu(t, Transit(), mtt_s=mtt_s) == pytest.approx(by_hand, rel=1e-12)


@every_transit
def test_area_of_tissue_is_volume_times_area_of_artery(transit):
    """Central volume theorem with density and haematocrit: 4 mL/100 g enhance 5.7 % as much as blood."""
    long_s = np.arange(0.0, 600.0, 1.0)
    tissue = SPREAD.tissue_hu(long_s, transit, cbf_ml_100g_min=48.0, mtt_s=5.0)
    expected = 0.04 * BRAIN_DENSITY_G_ML / HAEMATOCRIT_FACTOR
    assert tissue.sum() / SPREAD.hu(long_s).sum() == pytest.approx(expected, rel=1e-3)


@every_transit
def test_residue_starts_at_one_falls_and_has_the_transit_time_as_integral(transit):
    times_s = np.arange(0.0, 400.0, 0.01)
    residue = transit.residue_at(times_s, 7.0)
    assert residue[0] == 1.0
    assert (np.diff(residue) <= 0.0).all()
    assert np.trapezoid(residue, times_s) == pytest.approx(7.0, rel=2e-3)


def test_families_meet_where_they_must():
    """Gamma of shape 1 is the exponential; a very regular gamma or log-normal is the box; recirculation 0 is the first pass."""
    exp = PLAIN.passed_hu(TIMES_S, Transit("exp"), mtt_s=5.0)
    np.testing.assert_allclose(PLAIN.passed_hu(TIMES_S, Transit("gamma", 1.0), mtt_s=5.0), exp, rtol=1e-12)
    box = PLAIN.passed_hu(TIMES_S, Transit("box"), mtt_s=5.0)
    narrow = PLAIN.passed_hu(TIMES_S, Transit("lognormal", 0.02), mtt_s=5.0)
    np.testing.assert_allclose(narrow, box, atol=0.01 * box.max())
    assert not np.allclose(exp, box, atol=0.05 * box.max())


def test_recirculation_and_dispersion_do_what_they_say():
    """The second pass adds its share of the area, later; dispersion keeps the area, delays by its mean and flattens."""
    times_s = np.arange(0.0, 200.0, 0.1)
    plain, twice, spread = (artery.hu(times_s) for artery in (PLAIN, ROUND, replace(PLAIN, dispersion_s=2.0)))
    assert twice.sum() == pytest.approx(1.15 * plain.sum(), rel=1e-6)
    assert (twice - plain)[times_s <= 16.0].max() == 0.0
    assert spread.sum() == pytest.approx(plain.sum(), rel=1e-6)
    mean_s = [(times_s * curve).sum() / curve.sum() for curve in (plain, spread)]
    assert mean_s[1] - mean_s[0] == pytest.approx(2.0, abs=1e-3)
    assert spread.max() < 0.9 * plain.max()
    assert plain.max() == pytest.approx(400.0, rel=1e-3)


ROUNDING = 1e-5
"""Share of the peak: short transits are small differences of large incomplete gamma functions."""


@settings(max_examples=30, deadline=None)
@given(
    mtt_s=st.floats(0.5, 40.0), delay_s=st.floats(-3.0, 12.0), shape=st.floats(0.3, 20.0), alpha=st.floats(1.0, 8.0),
    beta_s=st.floats(0.4, 4.0),
)  # fmt: skip
def test_any_gamma_residue_keeps_its_bounds(mtt_s, delay_s, shape, alpha, beta_s):
    """Never negative, never above the artery, 0 before arrival, and moved by a delay: whatever the parameters."""
    artery = Artery(alpha=alpha, beta_s=beta_s)
    times_s = np.arange(0.0, 70.0, 0.5)
    if beta_s * shape > MAX_SPREAD * mtt_s:
        with pytest.raises(ValueError, match="MTT / shape must be at least"):
            artery.passed_hu(times_s, Transit("gamma", shape), mtt_s=mtt_s)
        return
    curve = artery.passed_hu(times_s, Transit("gamma", shape), mtt_s=mtt_s, delay_s=delay_s)
    assert np.isfinite(curve).all()
    assert curve.min() >= -ROUNDING * artery.peak_hu
    assert curve.max() <= (1.0 + ROUNDING) * artery.peak_hu
    assert abs(curve[times_s <= 8.0 + delay_s]).max(initial=0.0) <= 1e-9
    moved = artery.passed_hu(times_s + delay_s, Transit("gamma", shape), mtt_s=mtt_s, delay_s=2.0 * delay_s)
    np.testing.assert_allclose(moved, curve, atol=ROUNDING * artery.peak_hu)


def test_arguments_broadcast():
    """(T, 1) times with (N,) tissues give (T, N), each column as alone."""
    mtt_s, delay_s = np.array([3.0, 9.0]), np.array([0.0, 5.0])
    for transit in (Transit("gamma", 2.0), Transit("lognormal", 0.5), Transit("box")):
        both = SPREAD.tissue_hu(TIMES_S[:, None], transit, cbf_ml_100g_min=[50.0, 12.0], mtt_s=mtt_s, delay_s=delay_s)
        assert both.shape == (TIMES_S.size, 2)
        alone = SPREAD.tissue_hu(TIMES_S, transit, cbf_ml_100g_min=12.0, mtt_s=9.0, delay_s=5.0)
        np.testing.assert_allclose(both[:, 1], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Transit("gauss"), id="a residue nobody knows"),
        pytest.param(lambda: Transit("gamma", 0.0), id="a shape of 0"),
        pytest.param(lambda: SampledArtery(np.arange(3.0), np.arange(4.0)), id="lengths differ"),
        pytest.param(lambda: SampledArtery(np.array([0.0, 2.0, 1.0]), np.zeros(3)), id="times go back"),
        pytest.param(lambda: SampledArtery(np.arange(3.0), np.ones(3)), id="filled for ever"),
    ],
)
def test_what_has_no_meaning_is_refused(make):
    with pytest.raises(ValueError, match=r"must be|needs"):
        make()
