"""A whole 4D scan of an oblique, asymmetric head: the lesion is found, its side and size; what cannot be judged is not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lvo.config import PerfusionSettings
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import HeadMotion, Severity, Side
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.perfusion import analyze

NOISE_HU = 1.5  # per voxel of 20 mm3: as 4 HU in one of 3 mm3


def codes(result):
    return {note.code for note in result.notes}


def dice(found, truth):
    return 2.0 * (found & truth).sum() / (found.sum() + truth.sum())


def volumes(forms, **changes):
    head = forms.Head(**changes)
    part, ml = head.place(), head.grid.voxel_ml
    return part, part["lesion"].sum() * ml, part["core"].sum() * ml


@pytest.mark.parametrize("lesion_left", [True, False], ids=["left", "right"])
def test_lesion_is_found(forms, analysed, lesion_left):
    """Hypoperfusion within 10 %, side right; core of 10 mL within 6 mL: smoothing spreads it into white matter beside it."""
    outcome = analysed(noise_hu=NOISE_HU, lesion_left=lesion_left)
    assert isinstance(outcome, Assessed)
    found = outcome.value
    part, lesion_ml, core_ml = volumes(forms, lesion_left=lesion_left)
    assert found.side is (Side.LEFT if lesion_left else Side.RIGHT)
    assert found.hypoperfusion_ml == pytest.approx(lesion_ml, rel=0.1)
    assert found.core_ml == pytest.approx(core_ml, abs=6.0)
    assert dice(found.maps["hypoperfusion"].array > 0, part["lesion"]) > 0.95
    assert dice(found.maps["core"].array > 0, part["core"]) > 0.7
    assert found.mismatch_ml == pytest.approx(found.hypoperfusion_ml - found.core_ml)
    assert found.mismatch_ratio == pytest.approx(found.hypoperfusion_ml / found.core_ml)


def test_flipping_the_scan_mirrors_the_side_and_nothing_else(forms, analysed):
    """The array reversed along i on the mirrored grid: same volumes, other side."""
    series, brain, midplane = forms.Head(noise_hu=NOISE_HU).series()
    flipped = TimeSeries(series.array[..., ::-1].copy(), series.grid, series.times_s)
    found = analyze(flipped, Volume(brain.array[..., ::-1].copy(), brain.grid, brain.quantity), midplane, PerfusionSettings())
    once = analysed(noise_hu=NOISE_HU)
    assert isinstance(found, Assessed)
    assert (once.value.side, found.value.side) == (Side.LEFT, Side.RIGHT)
    assert found.value.hypoperfusion_ml == pytest.approx(once.value.hypoperfusion_ml, rel=0.01)
    assert found.value.core_ml == pytest.approx(once.value.core_ml, abs=0.5)


def test_maps(forms, analysed):
    """On the scan's grid, float32, 0 outside the brain, right units and near the truth in normal tissue."""
    found = analysed(noise_hu=NOISE_HU).value
    head = forms.Head()
    part, truth = head.place(), head.truth()
    units = {
        "cbf": Quantity.CBF, "cbv": Quantity.CBV, "mtt": Quantity.MTT, "tmax": Quantity.TMAX, "delay": Quantity.DELAY,
        "core": Quantity.MASK, "hypoperfusion": Quantity.MASK, "brain": Quantity.MASK,
    }  # fmt: skip
    assert {name: volume.quantity for name, volume in found.maps.items()} == units
    for volume in found.maps.values():
        assert volume.grid.same_as(head.grid)
        assert volume.array.dtype == np.float32
        assert np.isfinite(volume.array).all()
        assert (volume.array[~part["brain"]] == 0).all()
    normal = part["brain"] & ~part["lesion"] & ~part["ventricle"] & ~part["artery"] & ~part["vein"]
    for matter in (normal & ~part["white"], normal & part["white"]):
        assert np.median(found.maps["cbv"].array[matter]) == pytest.approx(np.median(truth["cbv"][matter]), rel=0.1)
        ratio = np.median(found.maps["cbf"].array[matter]) / np.median(truth["cbf"][matter])
        assert 0.65 < ratio < 0.95  # exponential residues, see truth.csv
        assert np.median(found.maps["delay"].array[matter]) == pytest.approx(0.5, abs=0.5)
    lesion = part["lesion"]
    assert np.median(found.maps["delay"].array[lesion]) == pytest.approx(6.0, abs=0.6)
    assert np.median(found.maps["tmax"].array[lesion]) > 7.0
    assert (found.maps["cbf"].array[part["ventricle"]] == 0).mean() > 0.75  # 4 voxels wide: the edges are half tissue


def test_bands_are_nested(analysed):
    """A stricter band is never larger, and the bands of the settings are the reported volumes."""
    found = analysed(noise_hu=NOISE_HU).value
    tmax = [found.volumes_ml[f"tmax>{band}"] for band in (4, 6, 8, 10)]
    rcbf = [found.volumes_ml[f"rcbf<{band}"] for band in (38, 34, 30, 20)]
    assert tmax == sorted(tmax, reverse=True)
    assert rcbf == sorted(rcbf, reverse=True)
    assert found.volumes_ml["tmax>6"] == found.hypoperfusion_ml
    assert found.volumes_ml["rcbf<30"] == found.core_ml
    assert found.hir == pytest.approx(tmax[3] / tmax[1])
    assert 0.6 < found.cbv_index < 1.0
    assert found.thresholds["tmax_hypoperfusion_s"] == 6.0


def test_slices_at_their_own_times(forms, analysed):
    """A slab scanned slice after slice gives the same lesion, and the interpolation is said."""
    shifted = analysed(noise_hu=NOISE_HU, slice_offset_s=0.5).value
    _, lesion_ml, core_ml = volumes(forms)
    assert shifted.hypoperfusion_ml == pytest.approx(lesion_ml, rel=0.1)
    assert shifted.core_ml == pytest.approx(core_ml, abs=3.5)
    assert "perfusion.slice_times" in codes(shifted)
    assert "perfusion.slice_times" not in codes(analysed(noise_hu=NOISE_HU).value)


def test_ignoring_slice_times_would_be_wrong(forms):
    """The same scan with the times lost: slices 1.5 s apart spoil the delay map by more than a second."""
    series, brain, midplane = forms.Head(noise_hu=0.0, slice_offset_s=0.75).series()
    lost = TimeSeries(series.array, series.grid, np.repeat(series.times_s[:, :1], series.grid.shape_kji[0], axis=1))
    right, wrong = (analyze(s, brain, midplane, PerfusionSettings()).value.maps["delay"].array for s in (series, lost))
    normal = forms.Head().place()
    normal = normal["white"] & ~normal["lesion"] & ~normal["ventricle"]
    spread = [np.ptp([np.median(delay[k][normal[k]]) for k in range(7)]) for delay in (right, wrong)]
    assert spread[0] <= 0.5
    assert spread[1] >= 1.0


def test_no_lesion_is_an_answer(analysed):
    """A healthy head is assessed with 0 mL, no side and no ratio: not refused, not invented."""
    found = analysed(noise_hu=NOISE_HU, lesion=False).value
    assert (found.hypoperfusion_ml, found.core_ml, found.mismatch_ml) == (0.0, 0.0, 0.0)
    assert (found.side, found.mismatch_ratio, found.hir, found.cbv_index) == (None, None, None, None)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("noise_hu", [1.5, 2.5])
def test_a_healthy_head_has_less_than_3_ml(analysed, seed, noise_hu):
    """As 4 and 7 HU in voxels of 3 mm3: no false lesion of either kind in other noise."""
    found = analysed(noise_hu=noise_hu, lesion=False, seed=seed).value
    assert found.hypoperfusion_ml < 3.0
    assert found.core_ml < 3.0


def test_motion_and_the_posterior_fossa_are_judged(forms):
    """The motion that was handed in is in the result and its rule fires; a lesion all below the tentorium is not counted."""
    series, brain, midplane = forms.Head(noise_hu=NOISE_HU).series()
    shift = np.where(np.arange(45) > 20, 7.0, 0.0)
    motion = HeadMotion(series.times_s.mean(axis=1), shift, 0.1 * shift, np.ones(45, bool), corrected=True)
    below = Volume(np.ones(brain.grid.shape_kji, bool), brain.grid, Quantity.MASK)
    found = analyze(series, brain, midplane, PerfusionSettings(), motion=motion, below_tentorium=below).value
    assert found.motion is motion
    assert found.measures["max_shift_mm"] == 7.0
    assert found.hypoperfusion_ml == 0.0
    assert {"perfusion.motion", "perfusion.posterior_fossa"} <= codes(found)


def test_measures_are_finite_and_judged(analysed):
    """Whatever is measured is a plain number, and the record of the scan is among it."""
    found = analysed(noise_hu=NOISE_HU).value
    assert all(type(value) is float and np.isfinite(value) for value in found.measures.values())
    assert found.measures["n_frames"] == 45
    assert found.measures["left_ml"] == pytest.approx(found.hypoperfusion_ml)


def test_both_sides(analysed):
    found = analysed(noise_hu=NOISE_HU, bilateral=True).value
    assert found.side is Side.BOTH
    assert "perfusion.bilateral" in codes(found)


def test_curves_are_artery_and_vein(forms, analysed):
    """The reported curves are the drawn ones, at places where vessels are."""
    found = analysed(noise_hu=NOISE_HU).value
    head = forms.Head()
    part = head.place()
    for curve, name, truth in ((found.aif, "artery", forms.artery), (found.vof, "vein", forms.vein)):
        k, j, i = np.round(head.grid.to_kji(curve.location_lps_mm)).astype(int)
        assert part[name][k, j, i]
        assert np.corrcoef(curve.enhancement_hu, truth(curve.times_s))[0, 1] > 0.99
        assert curve.n_voxels >= 3


def test_weak_arteries_are_scaled(forms, analysed):
    """Arteries that fill a fifth of their voxels give the same lesion: no rule on their height."""
    found = analysed(noise_hu=NOISE_HU, artery_share=0.2).value
    assert found.hypoperfusion_ml == pytest.approx(volumes(forms)[1], rel=0.1)
    assert "perfusion.partial_volume" in codes(found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"peak_hu": 0.0}, "no contrast bolus", id="no bolus"),
        pytest.param({"peak_hu": 12.0}, "no contrast bolus", id="hardly a bolus"),
        pytest.param({"start_s": 200.0}, "no contrast bolus", id="bolus after the scan"),
        pytest.param({"n_frames": 18}, "lasts 26 s", id="too short"),
        pytest.param({"n_frames": 8, "dt_s": 4.0}, "8 time points", id="too few frames"),
        pytest.param({"n_frames": 12, "dt_s": 6.0}, "one frame every 6.0 s", id="too slow"),
        pytest.param({"start_s": 57.0}, "still rising", id="cut off in the rise"),
    ],
)
def test_refusals_have_numbers(analysed, changes, words):
    """What cannot be judged is refused with what was found and what was needed, never called normal."""
    outcome = analysed(noise_hu=NOISE_HU, **changes)
    assert isinstance(outcome, NotAssessable)
    assert any(words in reason for reason in outcome.reasons)
    assert any(character.isdigit() for reason in outcome.reasons for character in reason)


def test_slow_flow_everywhere_is_refused(analysed):
    """Without normal tissue no flow is low: a core of 0 mL would meet the selection rules, so no number leaves."""
    outcome = analysed(noise_hu=NOISE_HU, everywhere=True)
    assert isinstance(outcome, NotAssessable)
    (reason,) = outcome.reasons
    assert re.fullmatch(
        r"no normal tissue to compare CBF with: \d+ mL .* up to 6 s and \d+ mL are slower, 20 mL are needed", reason
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"n_frames": 30}, "perfusion.duration", id="short"),
        pytest.param({"start_s": 18.0, "n_frames": 22}, "perfusion.truncated", id="truncated"),
        pytest.param({"dt_s": 3.2, "n_frames": 18}, "perfusion.frames", id="few frames"),
        pytest.param({"dt_s": 3.2, "n_frames": 18}, "perfusion.interval", id="wide interval"),
        pytest.param({"start_s": 3.0}, "perfusion.baseline", id="short baseline"),
        pytest.param({"peak_hu": 100.0, "noise_hu": 6.0}, "perfusion.noise", id="noise"),
    ],
)
def test_weak_records_are_assessed_with_a_note(analysed, changes, code):
    outcome = analysed(**{"noise_hu": NOISE_HU, **changes})
    assert isinstance(outcome, Assessed)
    assert code in codes(outcome.value)
    assert code not in codes(analysed(noise_hu=NOISE_HU).value)


def test_clean_scan_has_no_warning(analysed):
    found = analysed(noise_hu=NOISE_HU).value
    assert [note for note in found.notes if note.severity is not Severity.INFO] == []


def test_settings_are_used(forms, analysed):
    """A higher Tmax threshold outlines less; a core threshold of 1 takes nearly all of it; no smoothing is noisier."""
    usual = analysed(noise_hu=NOISE_HU).value
    strict = analysed(PerfusionSettings(tmax_hypoperfusion_s=9.0), noise_hu=NOISE_HU).value
    wide = analysed(PerfusionSettings(core_rcbf=1.0), noise_hu=NOISE_HU).value
    raw = analysed(PerfusionSettings(smoothing_sigma_mm=0.0, timing_sigma_mm=0.0), noise_hu=NOISE_HU).value
    plain = analysed(PerfusionSettings(match_curves=False), noise_hu=NOISE_HU).value
    assert strict.hypoperfusion_ml < 0.8 * usual.hypoperfusion_ml
    assert wide.core_ml > 0.8 * usual.hypoperfusion_ml
    part = forms.Head().place()
    normal = part["white"] & ~part["lesion"] & ~part["ventricle"] & ~part["artery"]
    assert np.std(raw.maps["tmax"].array[normal]) > 1.5 * np.std(usual.maps["tmax"].array[normal])
    assert not np.array_equal(plain.maps["cbf"].array, usual.maps["cbf"].array)
    assert plain.methods["cbf"] != usual.methods["cbf"]
    assert "tikhonov_lambda" in analysed(PerfusionSettings(method="tikhonov"), noise_hu=NOISE_HU).value.thresholds


def test_brain_on_another_grid_is_a_mistake(forms):
    series, brain, midplane = forms.Head().series()
    moved = Grid(brain.grid.shape_kji, brain.grid.lps_from_kji + np.eye(4)[:, [3]] * 0 + np.pad([[1.0]], ((0, 3), (3, 0))))
    with pytest.raises(ValueError, match="brain mask"):
        analyze(series, replace(brain, grid=moved), midplane, PerfusionSettings())


def test_empty_brain_is_refused(forms):
    series, brain, midplane = forms.Head().series()
    outcome = analyze(series, replace(brain, array=np.zeros_like(brain.array)), midplane, PerfusionSettings())
    assert isinstance(outcome, NotAssessable)
    assert "0 mL of brain" in outcome.reasons[0]
