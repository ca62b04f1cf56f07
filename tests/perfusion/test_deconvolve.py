"""The inverse operator is truncated block-circulant SVD, sampled finely and read in a window."""

import numpy as np
import pytest

from lvo.perfusion.deconvolve import OVERSAMPLING, deconvolve, inverse_operator

WHOLE = (np.array([-10.0], np.float32), np.array([99.0], np.float32))


def circulant_svd_residue(aif_hu, tissue_hu, dt_s, threshold):
    """Textbook block-circulant SVD with a matrix of twice the length (Wu 2003)."""
    n = 2 * aif_hu.size
    column = np.concatenate([aif_hu, np.zeros(aif_hu.size)])
    matrix = dt_s * np.array([[column[(row - col) % n] for col in range(n)] for row in range(n)])
    u, s, vt = np.linalg.svd(matrix)
    kept = s >= threshold * s.max()
    return vt.T[:, kept] @ ((u.T[kept] @ np.concatenate([tissue_hu, np.zeros(aif_hu.size)])) / s[kept])


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.2])
def test_equals_the_textbook_decomposition(forms, threshold):
    """At the frames the operator gives what an explicit SVD gives; later and earlier (negative) times included."""
    times_s = 1.5 * np.arange(30)
    aif = forms.artery(times_s)
    tissue = forms.tissue(times_s, cbf=40.0, mtt_s=5.0, delay_s=2.0, residue="box")
    at_s, matrix = inverse_operator(aif, 1.5, threshold=threshold)
    residue = matrix @ tissue
    expected = circulant_svd_residue(aif, tissue, 1.5, threshold)
    at_frames = residue[np.isclose(at_s % 1.5, 0.0) & (at_s >= 0)]
    np.testing.assert_allclose(at_frames, expected[:30], atol=2e-6 + 1e-4 * expected.max())
    before = residue[np.isclose(at_s, -3.0)]
    np.testing.assert_allclose(before, expected[-2:-1], atol=2e-6 + 1e-4 * expected.max())


def test_times_run_from_negative_to_the_end(forms):
    """Ten seconds before the artery, to the last frame, in quarter frames."""
    times_s = 2.0 * np.arange(30)
    at_s, matrix = inverse_operator(forms.artery(times_s), 2.0, threshold=0.1)
    assert (at_s[0], at_s[-1]) == (-10.0, 58.0)
    np.testing.assert_allclose(np.diff(at_s), 2.0 / OVERSAMPLING)
    assert matrix.shape == (at_s.size, 30)
    assert matrix.dtype == np.float32


def test_identity(forms):
    """Tissue that equals the artery 1.7 s later has its maximum there: 1 over the width of the pass band, not at a frame."""
    times_s = 1.5 * np.arange(45)
    operator = inverse_operator(forms.artery(times_s), 1.5, threshold=0.1)
    found = deconvolve(forms.artery(times_s, start_s=9.7)[:, None].astype(np.float32), operator, WHOLE)
    assert found.peak_s[0] == pytest.approx(1.7, abs=0.2)


def test_early_tissue_is_negative_not_late(forms):
    """Tissue 3 s before the artery reads about -3 s + MTT / 2, where a folded axis would read the end of the record."""
    times_s = 1.5 * np.arange(45)
    operator = inverse_operator(forms.artery(times_s), 1.5, threshold=0.1)
    tissue = forms.tissue(times_s, cbf=50.0, mtt_s=4.0, delay_s=-3.0, residue="box")
    found = deconvolve(tissue[:, None].astype(np.float32), operator, WHOLE)
    assert found.peak_s[0] == pytest.approx(-1.0, abs=0.6)


def test_window_hides_what_lies_outside(forms):
    """The maximum is looked for inside the window of each voxel, and nowhere else."""
    times_s = 1.5 * np.arange(45)
    operator = inverse_operator(forms.artery(times_s), 1.5, threshold=0.1)
    tissue = np.repeat(forms.tissue(times_s, cbf=50.0, mtt_s=4.0, delay_s=5.0)[:, None], 2, axis=1).astype(np.float32)
    found = deconvolve(tissue, operator, (np.array([0, 20], np.float32), np.array([15, 30], np.float32)))
    assert 5.0 <= found.peak_s[0] <= 9.0
    assert 20.0 <= found.peak_s[1] <= 30.0
    assert found.peak_per_s[1] < 0.3 * found.peak_per_s[0]


def test_many_voxels_equal_one_by_one(forms):
    """Chunks do not change the result."""
    times_s = 1.5 * np.arange(20)
    operator = inverse_operator(forms.artery(times_s), 1.5, threshold=0.1)
    curves = np.random.default_rng(0).normal(0.0, 5.0, (20, 8200)).astype(np.float32)
    window = tuple(np.full(8200, w, np.float32) for w in (-5.0, 20.0))
    found = deconvolve(curves, operator, window)
    alone = deconvolve(curves[:, 8195:8196], operator, (window[0][:1], window[1][:1]))
    assert found.peak_per_s[8195] == pytest.approx(alone.peak_per_s[0], rel=1e-5)
