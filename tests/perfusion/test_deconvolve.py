"""The inverse operators are the textbook methods; the maximum is read between frames, in a window; noise asks for more."""

import numpy as np
import pytest

from lvo.perfusion.deconvolve import THRESHOLDS, adapted_strength, deconvolve, inverse_operator, noise_hu
from lvo.perfusion.sampling import interpolation

TIMES_S = 1.5 * np.arange(45)


def circulant(aif_hu, dt_s):
    """The matrix of circular convolution over twice the record (Wu 2003, eq. 8)."""
    n = 2 * aif_hu.size
    column = np.concatenate([aif_hu, np.zeros(aif_hu.size)])
    return dt_s * np.array([[column[(row - col) % n] for col in range(n)] for row in range(n)])


def svd_residue(aif_hu, tissue_hu, dt_s, threshold):
    """Textbook block-circulant SVD, in circular order: negative times last."""
    u, s, vt = np.linalg.svd(circulant(aif_hu, dt_s))
    kept = s >= threshold * s.max()
    return vt.T[:, kept] @ ((u.T[kept] @ np.concatenate([tissue_hu, np.zeros(aif_hu.size)])) / s[kept])


def oscillation(residue):
    """Wu 2003, eq. 9."""
    return np.abs(residue[2:] - 2 * residue[1:-1] + residue[:-2]).sum() / residue.size / residue.max()


def operator(forms, times_s=TIMES_S, strength=0.1, method="bcsvd", **more):
    return inverse_operator(forms.artery(times_s), times_s[1] - times_s[0], method=method, strength=strength, **more)


def column(curve):
    return np.asarray(curve, dtype=np.float32)[:, None]


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.2])
def test_bcsvd_is_the_textbook_decomposition(forms, threshold):
    """The operator gives what an explicit SVD gives, at negative times too."""
    times_s = 1.5 * np.arange(30)
    tissue = forms.tissue(times_s, cbf=40.0, mtt_s=5.0, delay_s=2.0, residue="box")
    by = operator(forms, times_s, threshold)
    expected = np.roll(svd_residue(forms.artery(times_s), tissue, 1.5, threshold), 30)
    np.testing.assert_allclose(by.matrices[0] @ tissue, expected, atol=2e-6 + 1e-4 * expected.max())
    np.testing.assert_allclose(by.times_s, 1.5 * np.arange(-30, 30))


@pytest.mark.parametrize("strength", [0.05, 0.2])
def test_tikhonov_minimises_its_penalty(forms, strength):
    """The residue is that of (A'A + l^2 I) k = A'c, l the strength times the largest singular value."""
    times_s = 1.5 * np.arange(30)
    matrix = circulant(forms.artery(times_s), 1.5)
    tissue = forms.tissue(times_s, cbf=40.0, mtt_s=5.0, delay_s=2.0)
    penalty = (strength * np.linalg.norm(matrix, 2)) ** 2
    padded = np.concatenate([tissue, np.zeros(30)])
    expected = np.linalg.solve(matrix.T @ matrix + penalty * np.eye(60), matrix.T @ padded)
    found = operator(forms, times_s, strength, "tikhonov").matrices[0] @ tissue
    np.testing.assert_allclose(found, np.roll(expected, 30), atol=1e-4 * expected.max())


def test_osvd_takes_the_first_truncation_that_does_not_oscillate(forms):
    """As a loop over voxels and rising truncations does; clean curves keep more frequencies than noisy ones."""
    rng = np.random.default_rng(4)
    clean = forms.tissue(TIMES_S, cbf=30.0, mtt_s=6.0, delay_s=2.0)
    curves = (clean[:, None] + rng.normal(0.0, 1.0, (45, 40)) * np.linspace(0.0, 2.0, 40)).astype(np.float32)
    by = operator(forms, method="osvd", max_oscillation=0.035)
    found = deconvolve(curves, by)
    used = []
    for n in range(40):
        for threshold in THRESHOLDS:
            residue = np.roll(svd_residue(forms.artery(TIMES_S), curves[:, n], 1.5, threshold), 45)
            if oscillation(residue) < 0.035:
                break
        used.append(threshold)
        highest = residue[by.shown].max()
        assert highest * 0.999 <= found.peak_per_s[n] <= highest * 1.1
    assert used[0] < used[-1]
    assert len(set(used)) > 2


def test_interval_counts(forms):
    """The same curves twice as fast are twice the flow: an operator without the interval would not see it."""
    curve = column(forms.tissue(TIMES_S, cbf=40.0, mtt_s=6.0))
    slow, fast = (
        deconvolve(curve, inverse_operator(forms.artery(TIMES_S), dt_s, method="bcsvd", strength=0.1)) for dt_s in (1.5, 0.75)
    )
    assert fast.peak_per_s[0] == pytest.approx(2.0 * slow.peak_per_s[0], rel=1e-5)


@pytest.mark.parametrize("method", ["bcsvd", "osvd", "tikhonov"])
def test_maximum_between_frames(forms, method):
    """Tissue that equals the artery 1.7 s later has its maximum there, not at the frame 1.5 s or 3 s later."""
    found = deconvolve(column(forms.artery(TIMES_S, start_s=9.7)), operator(forms, method=method))
    assert found.peak_s[0] == pytest.approx(1.7, abs=0.2)


@pytest.mark.parametrize("method", ["bcsvd", "osvd", "tikhonov"])
def test_early_tissue_is_negative_not_late(forms, method):
    """Tissue 3 s before the artery reads about -3 s + MTT / 2, where a folded axis would read the end of the record."""
    tissue = forms.tissue(TIMES_S, cbf=50.0, mtt_s=4.0, delay_s=-3.0, residue="box")
    assert deconvolve(column(tissue), operator(forms, method=method)).peak_s[0] == pytest.approx(-1.0, abs=0.6)


def test_window_hides_what_lies_outside(forms):
    """The maximum is looked for inside the window of each voxel, and nowhere else."""
    tissue = np.repeat(column(forms.tissue(TIMES_S, cbf=50.0, mtt_s=4.0, delay_s=5.0)), 2, axis=1)
    found = deconvolve(tissue, operator(forms), (np.array([0, 20], np.float32), np.array([15, 30], np.float32)))
    assert 5.0 <= found.peak_s[0] <= 9.0
    assert 19.0 <= found.peak_s[1] <= 31.0
    assert found.peak_per_s[1] < 0.3 * found.peak_per_s[0]


@pytest.mark.parametrize(
    "times_s",
    [
        pytest.param(TIMES_S + 0.6, id="slice scanned later in the frame"),
        pytest.param(np.delete(TIMES_S, [8, 13]), id="two frames dropped"),
        pytest.param(np.concatenate([np.arange(0, 42, 1.2), np.arange(42, 67, 3.0)]), id="dense, then sparse"),
    ],
)
def test_other_times_than_the_base(forms, times_s):
    """Curves at their own times give the residue of curves on the base."""
    base_s = TIMES_S[1:-1]
    aif = forms.artery(base_s)
    by = inverse_operator(aif, 1.5, method="bcsvd", strength=0.1, to_base=interpolation(times_s, base_s))
    even = inverse_operator(aif, 1.5, method="bcsvd", strength=0.1)
    tissue = {"cbf": 40.0, "mtt_s": 6.0, "delay_s": 3.0, "residue": "linear"}
    found = deconvolve(column(forms.tissue(times_s, **tissue)), by)
    expected = deconvolve(column(forms.tissue(base_s, **tissue)), even)
    assert found.peak_s[0] == pytest.approx(expected.peak_s[0], abs=0.15)
    assert found.peak_per_s[0] == pytest.approx(expected.peak_per_s[0], rel=0.02)


def test_noise_is_measured(forms):
    """Its standard deviation, within 5 %, whatever the bolus does; none without noise."""
    clean = column(forms.tissue(TIMES_S, cbf=50.0, mtt_s=4.0))
    noisy = clean + np.random.default_rng(1).normal(0.0, 2.0, (45, 500)).astype(np.float32)
    assert noise_hu(noisy) == pytest.approx(2.0, rel=0.05)
    assert noise_hu(clean) < 0.1


def test_noise_asks_for_more_regularisation(forms):
    """The least without noise, more with it, and never more than twice the least; what is chosen keeps its promise."""

    def chosen(noise):
        curves = column(forms.tissue(TIMES_S, cbf=40.0, mtt_s=5.0, delay_s=1.0))
        curves = curves + np.random.default_rng(1).normal(0.0, noise, (45, 500)).astype(np.float32)
        return adapted_strength(curves, 0.1, lambda strength: operator(forms, strength=strength))

    strengths = [chosen(noise) for noise in (0.0, 0.5, 0.8, 0.9, 1.0, 1.1, 1.3, 2.0, 10.0)]
    assert strengths[0] == 0.1
    assert strengths == sorted(strengths)
    assert strengths[-1] == pytest.approx(0.2)
    assert len(set(strengths)) > 2
