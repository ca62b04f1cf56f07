"""The artery and the vein are found among all vessels, and real curves pass the rules that junk does not."""

import numpy as np
import pytest

from lvo.core.grid import Grid
from lvo.core.outcome import NotAssessable
from lvo.perfusion.arterial import Inputs, curve_notes, curve_reasons, select_inputs
from lvo.perfusion.sampling import VoxelCurves
from lvo.perfusion.shape import measure

TIMES_S = 1.5 * np.arange(45)


def voxels(*groups, noise_hu=2.0, n_tissue=20_000, times_s=TIMES_S):
    """Curves of tissue and of (number, curve) groups of vessels, in shuffled order, and the group of each voxel."""
    rng = np.random.default_rng(0)
    kind = np.concatenate([np.full(n_tissue, -1), *[np.full(n, g) for g, (n, _) in enumerate(groups)]])
    rng.shuffle(kind)
    tissue = 8.0 * np.exp(-(((times_s - 18.0) / 7.0) ** 2))
    shapes = np.stack([curve for _, curve in groups] + [tissue])
    curves = shapes[kind].T + rng.normal(0.0, noise_hu, (times_s.size, kind.size))
    size = kind.size
    grid = Grid.from_axes((1, 2, size), (5.0, 1.0, 0.9), origin_lps_mm=(-7.0, 3.0, 50.0))
    kji = (np.zeros(size, np.intp), np.ones(size, np.intp), np.arange(size))
    return VoxelCurves(times_s, curves.astype(np.float32), np.full(size, 40.0, np.float32), kji, grid, 4), kind


def test_artery_and_vein_are_found_among_many_veins(forms):
    """Arteries are a tenth of the vessels and lower than the veins; all chosen voxels are of the right kind."""
    curves, kind = voxels((30, 0.4 * forms.artery(TIMES_S)), (300, forms.vein(TIMES_S)))
    found = select_inputs(curves)
    assert isinstance(found, Inputs)
    assert np.corrcoef(found.aif.enhancement_hu, forms.artery(TIMES_S))[0, 1] > 0.99
    assert np.corrcoef(found.vof.enhancement_hu, forms.vein(TIMES_S))[0, 1] > 0.99
    at_i = [round(float(curves.grid.to_kji(c.location_lps_mm)[2])) for c in (found.aif, found.vof)]
    assert [kind[i] for i in at_i] == [0, 1]
    assert found.aif.n_voxels >= 10


@pytest.mark.parametrize("share", [0.15, 0.4, 1.0])
def test_partial_volume_is_undone(forms, share):
    """Whatever part of the voxel is artery, scale times measured curve is the true artery."""
    curves, _ = voxels((60, share * forms.artery(TIMES_S)), (60, forms.vein(TIMES_S)))
    found = select_inputs(curves)
    assert isinstance(found, Inputs)
    assert found.scale == pytest.approx(1.0 / share, rel=0.08)
    assert (found.scale * found.aif.enhancement_hu).max() == pytest.approx(forms.artery(TIMES_S).max(), rel=0.1)


def test_a_fuller_artery_is_not_scaled_down(forms):
    """When the vein suffers partial volume itself the artery stays as it is."""
    curves, _ = voxels((60, forms.artery(TIMES_S)), (60, 0.7 * forms.vein(TIMES_S)))
    found = select_inputs(curves)
    assert isinstance(found, Inputs)
    assert found.scale == 1.0


def test_delayed_arteries_are_not_chosen(forms):
    """Arteries beyond an occlusion, 5 s late, are left to those in time."""
    late = forms.artery(TIMES_S, start_s=13.0)
    curves, kind = voxels((40, 0.5 * forms.artery(TIMES_S)), (40, 0.6 * late), (60, forms.vein(TIMES_S, start_s=12.0)))
    found = select_inputs(curves)
    assert isinstance(found, Inputs)
    assert float(found.aif.times_s[found.aif.enhancement_hu.argmax()]) == pytest.approx(12.0, abs=1.0)
    assert kind[round(float(curves.grid.to_kji(found.aif.location_lps_mm)[2]))] == 0


def test_arteries_alone_are_refused(forms):
    """Without a vein nothing undoes partial volume: refused, not guessed."""
    curves, _ = voxels((200, forms.artery(TIMES_S)), noise_hu=0.5, n_tissue=1)
    found = select_inputs(curves)
    assert isinstance(found, NotAssessable)
    assert "no vein" in found.reasons[0]


def test_noise_alone_is_refused(forms):
    curves, _ = voxels((200, 0.0 * forms.artery(TIMES_S)), n_tissue=1, noise_hu=5.0)
    assert isinstance(select_inputs(curves), NotAssessable)


def test_shape_measures_of_a_known_curve():
    """A triangle says what height, times, width and area must be."""
    rise, fall = np.linspace(0, 100, 11), np.linspace(100, 0, 21)[1:]
    curve = np.concatenate([np.zeros(5), rise, fall, np.zeros(4)])
    found = measure(2.0 * np.arange(curve.size), curve[:, None].astype(np.float32))
    assert found.peak_hu[0] == 100.0
    assert found.peak_s[0] == 30.0
    assert found.arrival_s[0] == pytest.approx(14.0)
    assert found.width_s[0] == pytest.approx(30.0)
    assert found.area[0] == pytest.approx(2.0 * curve.sum())
    assert found.end[0] == 0.0


@pytest.mark.parametrize(
    ("artery", "vein", "words"),
    [
        pytest.param({}, {"peak_hu": 15.0}, "venous curve rises by", id="weak bolus"),
        pytest.param({"start_s": 62.0}, {}, "still rises", id="artery cut off"),
        pytest.param({"start_s": 25.0}, {}, "not after the artery", id="vein before artery"),
    ],
)
def test_bad_pairs_are_refused(forms, curve, artery, vein, words):
    reasons = curve_reasons(
        curve(TIMES_S, forms.artery(TIMES_S, **artery)), curve(TIMES_S, forms.vein(TIMES_S, **vein)), min_bolus_hu=20.0
    )
    assert any(words in reason for reason in reasons)


def test_noise_and_plateaus_are_refused(forms, curve):
    vein = curve(TIMES_S, forms.vein(TIMES_S))
    noise = curve(TIMES_S, np.random.default_rng(1).normal(5.0, 20.0, TIMES_S.size))
    plateau = curve(TIMES_S, 100.0 / (1.0 + np.exp(-(TIMES_S - 8.0))) - 0.1 * TIMES_S)
    assert any("too noisy" in reason for reason in curve_reasons(noise, vein, min_bolus_hu=20.0))
    assert any("wide" in reason for reason in curve_reasons(plateau, vein, min_bolus_hu=20.0))


def test_a_good_pair_passes(forms, curve):
    assert curve_reasons(curve(TIMES_S, forms.artery(TIMES_S)), curve(TIMES_S, forms.vein(TIMES_S)), min_bolus_hu=20.0) == ()


def test_truncation_is_noted_and_a_full_record_is_not(forms, curve):
    """The vein at more than 40 % of its peak in the end makes a warning that names the direction of the error."""
    for seconds, expected in ((20.0, True), (60.0, False)):
        times_s = np.arange(0.0, seconds, 1.5)
        inputs = Inputs(curve(times_s, forms.artery(times_s)), curve(times_s, forms.vein(times_s)), 1.0)
        notes = [note for note in curve_notes(inputs) if note.code == "perfusion.truncated"]
        assert bool(notes) is expected
        assert all("too large" in note.text for note in notes)


@pytest.mark.real
def test_real_pairs_pass(real_data, curve):
    """All 62 pairs of real stroke scans are good enough: no rule on the height of an artery rejects the half below 40 HU."""
    with np.load(real_data / "ctp_curves" / "aif_vof.npz") as pairs:
        names = sorted({name.rsplit("_", 1)[0] for name in pairs.files})
        refused, truncated = {}, 0
        for name in names:
            aif, vof = (curve(np.arange(pairs[f"{name}_{kind}"].size), pairs[f"{name}_{kind}"]) for kind in ("aif", "vof"))
            if reasons := curve_reasons(aif, vof, min_bolus_hu=20.0):
                refused[name] = reasons
            truncated += any(note.code == "perfusion.truncated" for note in curve_notes(Inputs(aif, vof, 1.0)))
    assert len(names) == 62
    assert refused == {}
    assert 5 <= truncated <= 20  # counted by hand: the vein ends above 40 % in about a quarter
