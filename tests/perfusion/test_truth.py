"""CBF, CBV, MTT and delay against closed forms, in the table truth.csv: every row has its tolerance and the reason for it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvo.config import PerfusionSettings
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.maps import PER_100G, Maps, compute_maps

ROWS = list(csv.DictReader(Path(__file__).with_name("truth.csv").read_text(encoding="utf-8").splitlines()))
WRONG_BY = (0.7, 1.3)
WAYS = {"plain": PerfusionSettings(match_curves=False), "matched": PerfusionSettings()}
PLAIN, MATCHED = WAYS["plain"], WAYS["matched"]
every_row = pytest.mark.parametrize("row", ROWS, ids=[row["label"] for row in ROWS])


def measure(row, way, forms, true_inputs):
    """Mean CBF over truth, mean CBV over truth and mean delay minus truth."""
    dt_s, noise_hu = float(row["dt_s"]), float(row["noise_hu"])
    mtt_s, cbv, delay_s = float(row["mtt_s"]), float(row["cbv_ml_100g"]), float(row["delay_s"])
    times_s = np.arange(0.0, 66.1, dt_s)
    clean = forms.tissue(times_s, cbf=60 * cbv / mtt_s, mtt_s=mtt_s, delay_s=delay_s, residue=row["residue"])
    n_voxels = 400 if noise_hu else 1
    curves = clean[:, None] + np.random.default_rng(5).normal(0.0, noise_hu, (times_s.size, n_voxels))
    maps = compute_maps(curves.astype(np.float32), true_inputs(times_s), WAYS[way])
    return float(maps.cbf.mean()) * mtt_s / 60 / cbv, float(maps.cbv.mean()) / cbv, float(maps.delay.mean()) - delay_s


def verdict(row, way, cbf_ratio, cbv_ratio, delay_error_s):
    """What the row has against the three numbers."""
    wrong = []
    if not float(row[f"{way}_low"]) <= cbf_ratio <= float(row[f"{way}_high"]):
        wrong.append(f"CBF {cbf_ratio:.2f} of truth")
    if abs(cbv_ratio - 1.0) > float(row["cbv_tol"]):
        wrong.append(f"CBV {cbv_ratio:.3f} of truth")
    if abs(delay_error_s) > float(row["delay_tol_s"]):
        wrong.append(f"delay off by {delay_error_s:.2f} s")
    return wrong


@every_row
@pytest.mark.parametrize("way", WAYS)
def test_truth(row, way, forms, true_inputs):
    """Every row of the table holds, for the plain deconvolution and for that of matched curves."""
    assert verdict(row, way, *measure(row, way, forms, true_inputs)) == [], row["why"]


@every_row
@pytest.mark.parametrize("way", WAYS)
def test_the_table_can_fail(row, way, forms, true_inputs):
    """Flow, volume or arrival that are 30 % or 3 s wrong fail in every row."""
    cbf, cbv, delay_s = measure(row, way, forms, true_inputs)
    for factor in WRONG_BY:
        assert verdict(row, way, cbf * factor, cbv, delay_s)
        assert verdict(row, way, cbf, cbv * factor, delay_s)
    assert verdict(row, way, cbf, cbv, delay_s + 3.0)


@pytest.fixture(scope="module")
def tiles(forms, true_inputs):
    """The Kudo tiles without noise: 7 transit times, 7 delays, 3 residues, 5 volumes; maps both ways, and truth."""
    times_s = 1.5 * np.arange(45)
    grid = np.meshgrid([24, 12, 8, 6, 4.8, 4, 3.43], np.arange(0, 3.01, 0.5), [1.0, 2.0, 3.0, 4.0, 5.0])
    mtt_s, delay_s, cbv = (np.tile(axis.ravel(), 3) for axis in grid)
    parts = [
        forms.tissue(times_s[:, None], cbf=60 * c / m, mtt_s=m, delay_s=d, residue=residue)
        for residue, m, d, c in zip(
            ("exp", "box", "linear"), np.split(mtt_s, 3), np.split(delay_s, 3), np.split(cbv, 3), strict=True
        )
    ]
    curves = np.concatenate(parts, axis=1).astype(np.float32)
    maps = {way: compute_maps(curves, true_inputs(times_s), settings) for way, settings in WAYS.items()}
    return curves, maps, {"cbf": 60 * cbv / mtt_s, "cbv": cbv, "mtt": mtt_s, "delay": delay_s}


def mape(found, truth):
    return float(np.mean(np.abs(found - truth) / truth))


@pytest.mark.parametrize(("way", "cbf_error", "mtt_error"), [("plain", (0.14, 0.18), 0.22), ("matched", (0.10, 0.13), 0.15)])
def test_kudo_tiles_reach_the_published_level(tiles, way, cbf_error, mtt_error):
    """Correlation above 0.9 for flow, volume and transit time (Kudo 2013: 7, 12 and 4 of 13 programs) and the known error.

    A plain truncation at 0.1 has a mean error of 16 % of the flow in every program: less would be as suspect as more.
    """
    _, both, truth = tiles
    maps = both[way]
    for name in ("cbf", "cbv", "mtt", "delay"):
        assert np.corrcoef(getattr(maps, name), truth[name])[0, 1] > 0.9, name
    assert cbf_error[0] < mape(maps.cbf, truth["cbf"]) < cbf_error[1]
    assert mape(maps.cbv, truth["cbv"]) < 0.015
    assert mape(maps.mtt, truth["mtt"]) < mtt_error
    assert np.abs(maps.delay - truth["delay"]).mean() < 0.2


def test_matching_changes_little_without_noise(tiles, true_inputs):
    """At the same threshold the flow of the closest curve is the flow of the curve: mean difference below 3 %."""
    curves, both, _ = tiles
    same = compute_maps(curves, true_inputs(1.5 * np.arange(45)), PerfusionSettings(flow_svd_threshold=0.1))
    assert mape(same.cbf, both["plain"].cbf) < 0.03
    np.testing.assert_array_equal(same.tmax, both["plain"].tmax)


def test_matching_does_not_take_noise_for_flow(forms, true_inputs):
    """Core (box of 15 s, 1 mL per 100 g) under 1 HU of noise: nearly three times its flow plain, 26 % more matched."""
    times_s = 1.5 * np.arange(45)
    clean = forms.tissue(times_s, cbf=4.0, mtt_s=15.0, delay_s=7.0, residue="box")
    curves = (clean[:, None] + np.random.default_rng(7).normal(0.0, 1.0, (45, 1000))).astype(np.float32)
    plain, matched = (float(np.median(compute_maps(curves, true_inputs(times_s), way).cbf)) for way in (PLAIN, MATCHED))
    assert plain > 2.3 * 4.0
    assert matched == pytest.approx(4.0, rel=0.4)


def test_flow_has_no_delay_gradient(tiles):
    """Within one transit time, residue and volume the flow does not depend on the delay (seven programs of Kudo 2013 fail)."""
    _, both, truth = tiles
    early, late = truth["delay"] == 0.0, truth["delay"] == 3.0
    for maps in both.values():
        assert maps.cbf[late] == pytest.approx(maps.cbf[early], rel=0.03)


def test_tmax_is_not_the_delay(tiles):
    """Tmax grows with the transit time, about delay + MTT / 2 for plug flow, and the delay map does not."""
    _, both, truth = tiles
    tmax = both["matched"].tmax
    box = slice(tmax.size // 3, 2 * tmax.size // 3)
    short = truth["mtt"][box] < 9  # a longer plateau has no single maximum
    expected = (truth["delay"] + truth["mtt"] / 2)[box][short]
    assert np.abs(tmax[box][short] - expected).mean() < 0.6
    assert np.abs(tmax[box][short] - truth["delay"][box][short]).mean() > 2.0


def curves_of(forms, times_s, rng, **bolus):
    mtt_s, cbv = rng.uniform(3.0, 15.0, 20), rng.uniform(1.0, 5.0, 20)
    delay_s = rng.uniform(-1.0, 8.0, 20)
    return forms.tissue(times_s[:, None], cbf=60 * cbv / mtt_s, mtt_s=mtt_s, delay_s=delay_s, residue="linear", **bolus)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.2, 5.0))
def test_scaling_artery_and_tissue_changes_nothing(forms, true_inputs, seed, factor):
    """More iodine, or another tube voltage, gives the same maps."""
    times_s = 1.5 * np.arange(45)
    curves = curves_of(forms, times_s, np.random.default_rng(seed))
    once = compute_maps(curves.astype(np.float32), true_inputs(times_s), MATCHED)
    stronger = true_inputs(times_s, peak_hu=400.0 * factor)
    again = compute_maps((factor * curves).astype(np.float32), stronger, MATCHED)
    same_maps(once, again)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), frames=st.integers(1, 8))
def test_shifting_both_in_time_changes_nothing(forms, true_inputs, seed, frames):
    """A later injection gives the same maps: only the time between artery and tissue counts."""
    times_s = 1.5 * np.arange(60)
    later = {"start_s": 8.0 + 1.5 * frames}
    once = compute_maps(
        curves_of(forms, times_s, np.random.default_rng(seed)).astype(np.float32), true_inputs(times_s), MATCHED
    )
    again = compute_maps(
        curves_of(forms, times_s, np.random.default_rng(seed), **later).astype(np.float32),
        true_inputs(times_s, **later),
        MATCHED,
    )
    same_maps(once, again)


def same_maps(once: Maps, again: Maps):
    np.testing.assert_allclose(again.cbf, once.cbf, rtol=5e-3)
    np.testing.assert_allclose(again.cbv, once.cbv, rtol=2e-2)
    np.testing.assert_allclose(again.delay, once.delay, atol=0.51)  # neighbouring atoms may tie
    np.testing.assert_allclose(again.tmax, once.tmax, atol=0.76)  # and so may neighbouring times on a flat top


@pytest.mark.real
def test_osipi_reference_object(real_data, curve):
    """The 14 noisy curves of the OSIPI digital reference object (their curves are per voxel volume: constants are 1)."""
    found, truth = [], []
    with (real_data / "dsc_reference" / "dsc_data.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            tissue, artery = (np.array(row[name].strip("[] ").split(), dtype=float) for name in ("C_tis", "C_aif"))
            times_s = float(row["tr"]) * np.arange(tissue.size)
            artery = curve(times_s, artery - artery[:10].mean())
            curves = (tissue - tissue[:10].mean())[:, None].astype(np.float32)
            maps = compute_maps(curves, Inputs(artery, artery, 1.0), PLAIN)
            found.append((maps.cbf[0] * 100 / PER_100G, maps.cbv[0] * 100 / PER_100G))
            truth.append((float(row["cbf"]), float(row["cbv"])))
    cbf, cbv = np.array(found).T
    true_cbf, true_cbv = np.array(truth).T
    assert np.corrcoef(cbf, true_cbf)[0, 1] > 0.97
    # flow up to 20: truncation does not bite yet, so the mean must be right; a lost or doubled dt (1.24 s) would show
    assert (cbf / true_cbf)[true_cbf <= 20].mean() == pytest.approx(1.0, abs=0.08)
    # beyond, truncated decomposition underestimates (49 for a true 70), and must never overestimate
    assert ((cbf / true_cbf)[true_cbf > 20] < 1.0).all()
    assert ((cbf / true_cbf)[true_cbf > 20] > 0.65).all()
    # the object's own curves hold 4.4 and 2.3 on average by plain area under the curve, 12 % above its label
    assert (cbv / true_cbv).mean() == pytest.approx(1.1, abs=0.08)
