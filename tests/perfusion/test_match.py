"""Delay and blood volume from the dictionary."""

import numpy as np
import pytest

from lvo.perfusion.match import DELAYS_S, build, match

TIMES_S = 1.5 * np.arange(45)


@pytest.fixture(scope="module")
def dictionary(forms):
    return build(forms.artery(TIMES_S), 1.5)


def test_a_wrong_baseline_changes_nothing(forms, dictionary):
    """A constant of 3 HU, three times what few baseline frames leave, moves neither delay nor volume; plain area doubles."""
    tissue = forms.tissue(TIMES_S, cbf=30.0, mtt_s=5.0, delay_s=2.0)[:, None].astype(np.float32)
    true, shifted = match(tissue, dictionary), match(tissue + np.float32(3.0), dictionary)
    assert shifted.atom == true.atom
    assert shifted.blood_ml_ml == pytest.approx(true.blood_ml_ml, rel=1e-3)
    assert (tissue + 3.0).sum() > 1.9 * tissue.sum()


def test_a_negative_offset_likewise(forms, dictionary):
    tissue = forms.tissue(TIMES_S, cbf=30.0, mtt_s=5.0, delay_s=2.0)[:, None].astype(np.float32)
    assert match(tissue - np.float32(3.0), dictionary).blood_ml_ml == pytest.approx(
        match(tissue, dictionary).blood_ml_ml, rel=1e-3
    )


@pytest.mark.parametrize("residue", ["box", "exp", "linear"])
@pytest.mark.parametrize("delay_s", [-2.0, 0.0, 4.3, 11.0])
def test_delay(forms, dictionary, residue, delay_s):
    """Within 0.5 s whatever the residue, from tissue that leads the artery to late collaterals."""
    tissue = forms.tissue(TIMES_S, cbf=30.0, mtt_s=7.0, delay_s=delay_s, residue=residue)
    found = match(tissue[:, None].astype(np.float32), dictionary)
    assert dictionary.delay_s[found.atom[0]] == pytest.approx(delay_s, abs=0.51)


def test_dispersed_tissue_costs_less_than_two_seconds(forms, dictionary):
    """A residue outside the family (three exponentials in series) still gives a delay near its start."""
    step = np.exp(-np.arange(0, 30, 0.1) / 1.5) * 0.1 / 1.5
    fine_s = np.arange(0, 66.0, 0.1)
    curve = forms.artery(fine_s, start_s=11.0)
    for _ in range(3):
        curve = np.convolve(curve, step)[: fine_s.size]
    found = match(np.interp(TIMES_S, fine_s, curve)[:, None].astype(np.float32), dictionary)
    assert 3.0 <= dictionary.delay_s[found.atom[0]] <= 5.0


def test_noise_alone_has_almost_no_volume(dictionary):
    """1 HU of noise, more than smoothing leaves, reads as less than 0.7 mL per 100 g."""
    noise = np.random.default_rng(2).normal(0.0, 1.0, (45, 2000)).astype(np.float32)
    assert float(np.median(match(noise, dictionary).blood_ml_ml)) * 70 < 0.7
    assert match(np.zeros((45, 1), np.float32), dictionary).blood_ml_ml[0] == 0.0


def test_atoms_are_fair(dictionary):
    """Every atom has mean 0 and length 1, so that none wins by size; weights read a curve of pure blood as 1."""
    np.testing.assert_allclose(dictionary.atoms.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(dictionary.atoms, axis=1), 1.0, atol=1e-5)
    assert set(dictionary.delay_s) == set(DELAYS_S.astype(np.float32))
