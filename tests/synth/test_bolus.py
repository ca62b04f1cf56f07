"""The bolus follows the equations it cites, checked against closed forms and quadrature."""

import numpy as np
import pytest

from lvo.synth.bolus import BRAIN_DENSITY_G_ML, HAEMATOCRIT_FACTOR, Bolus, arterial_hu, residue, tissue_hu, venous_hu

TIMES_S = np.arange(0.0, 140.0, 0.1)


def first_pass_only() -> Bolus:
    return Bolus(recirculation=0.0)


def test_first_pass_peaks_where_and_as_high_as_asked():
    bolus = Bolus(arrival_s=5.0, peak_hu=200.0, alpha=2.5, beta_s=1.6, recirculation=0.0)
    curve = arterial_hu(bolus, TIMES_S)
    assert curve.max() == pytest.approx(200.0, rel=1e-3)
    assert TIMES_S[curve.argmax()] == pytest.approx(5.0 + 2.5 * 1.6, abs=0.1)
    assert (curve[TIMES_S <= 5.0] == 0.0).all()


def test_recirculation_leaves_its_plateau():
    curve = arterial_hu(Bolus(), TIMES_S)
    assert curve[-1] / curve.max() == pytest.approx(Bolus().recirculation, rel=0.05)


def test_width_and_venous_lag_are_those_of_real_scans():
    """Quartiles in ISLES 2018: arterial width 11 to 15 s with partial volume, vein 4 to 9 s after artery."""
    artery, vein = arterial_hu(Bolus(), TIMES_S), venous_hu(Bolus(), TIMES_S)
    assert 7.0 < (artery > artery.max() / 2).sum() * 0.1 < 15.0
    assert 4.0 <= TIMES_S[vein.argmax()] - TIMES_S[artery.argmax()] <= 9.0


def test_vein_carries_as_much_agent_as_artery():
    bolus = first_pass_only()
    assert venous_hu(bolus, TIMES_S).sum() == pytest.approx(arterial_hu(bolus, TIMES_S).sum(), rel=0.01)


@pytest.mark.parametrize(("cbf", "mtt_s", "shape"), [(60.0, 4.0, 3.0), (25.0, 4.8, 1.0), (9.0, 12.0, 1.5)])
def test_area_of_tissue_is_volume_times_area_of_artery(cbf, mtt_s, shape):
    """Central volume theorem: area(tissue) / area(artery) = density / haematocrit factor * CBV."""
    bolus = first_pass_only()
    tissue = tissue_hu(bolus, TIMES_S, cbf_ml_100g_min=cbf, mtt_s=mtt_s, delay_s=3.0, shape=shape)[0]
    cbv_ml_g = cbf * mtt_s / 6000.0
    expected = BRAIN_DENSITY_G_ML / HAEMATOCRIT_FACTOR * cbv_ml_g
    assert tissue.sum() / arterial_hu(bolus, TIMES_S).sum() == pytest.approx(expected, rel=0.01)


def test_tissue_curve_agrees_with_quadrature_of_the_convolution():
    bolus, delay_s, mtt_s = Bolus(), 2.0, 5.0
    when_s = np.array([9.0, 14.0, 20.0, 33.0])
    curve = tissue_hu(bolus, when_s, cbf_ml_100g_min=50.0, mtt_s=mtt_s, delay_s=delay_s, shape=1.0)[0]

    integral = []
    for t in when_s:
        u = np.linspace(0.0, t - delay_s, 20001)
        integral.append(np.trapezoid(arterial_hu(bolus, u) * np.exp(-(t - delay_s - u) / mtt_s), u))
    expected = BRAIN_DENSITY_G_ML / HAEMATOCRIT_FACTOR * 50.0 / 6000.0 * np.array(integral)
    np.testing.assert_allclose(curve, expected, atol=0.05)


def test_delay_moves_the_curve_and_changes_nothing_else():
    early, late = tissue_hu(Bolus(), TIMES_S, cbf_ml_100g_min=[40.0, 40.0], mtt_s=[6.0, 6.0], delay_s=[0.0, 7.0])
    np.testing.assert_allclose(late[70:], early[:-70], atol=1e-6)


def test_residue_starts_at_one_and_its_integral_is_the_transit_time():
    curve = residue(TIMES_S, 8.0)
    assert curve[0] == 1.0
    assert (np.diff(curve) <= 0.0).all()
    assert np.trapezoid(curve, TIMES_S) == pytest.approx(8.0, rel=1e-3)


@pytest.mark.parametrize("change", [{"peak_hu": 0.0}, {"beta_s": -1.0}, {"arrival_s": -0.1}, {"recirculation": -0.2}])
def test_impossible_bolus_is_refused(change):
    with pytest.raises(ValueError, match="positive"):
        Bolus(**change)
