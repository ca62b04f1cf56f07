"""Every rule says yes and says no; the measures are what they are called; the documented table is the table."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvo.config import PerfusionSettings
from lvo.core.grid import Grid
from lvo.core.report import HeadMotion, Severity
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.quality import (
    curve_measures,
    motion_measures,
    noise_measures,
    notes_of,
    record_measures,
    refusals_of,
)
from lvo.perfusion.rules import RULES

SETTINGS = PerfusionSettings()
SOUND = {
    "n_frames": 45.0, "duration_s": 66.0, "interval_s": 1.5, "first_pass_gap_s": 1.5, "slice_times_s": 0.0, "brain_ml": 700.0,
    "coverage_mm": 80.0, "dropped_share": 0.0, "max_shift_mm": 0.2, "max_turn_deg": 0.1, "baseline_frames": 5.0,
    "aif_arrival_s": 9.0, "aif_width_s": 9.0, "vof_peak_hu": 150.0, "vof_end_share": 0.1, "after_vein_s": 20.0,
    "aif_scale": 1.0, "noise_hu": 0.4, "tissue_peak_hu": 8.0, "noise_share": 0.05, "left_ml": 60.0, "right_ml": 0.0,
    "both_sides_ml": 0.0, "other_side_ml": 0.0, "late_share": 0.2, "opposite_ml": 300.0, "artefact_ml": 0.0, "fluid_ml": 0.0,
    "below_tentorium_ml": 0.0, "core_below_hu": 3.0, "normal_ml": 300.0, "normal_cbf": 45.0, "normal_cbv": 3.0,
    "normal_tmax_s": 2.5,
}  # fmt: skip
"""A good scan of a lesion: nothing but information is to be said about it."""

every_rule = pytest.mark.parametrize("rule", RULES, ids=[f"{r.code}-{r.severity.value}-{r.measure}" for r in RULES])


def fired(measures):
    """Codes and severities of everything said."""
    refused = [("refusal", text) for text in refusals_of(measures, SETTINGS)]
    return refused, {(note.code, note.severity) for note in notes_of(measures, SETTINGS)}


def limit_of(rule):
    return getattr(SETTINGS, rule.limit) if isinstance(rule.limit, str) else rule.limit


@every_rule
def test_a_rule_fires_beyond_its_limit_and_not_before(rule):
    """A hair beyond it speaks, a hair before it is silent, and the text holds the number that was found."""
    limit = limit_of(rule)
    hair = max(abs(limit), 1.0) * 1e-6
    beyond, before = (limit + sign * hair for sign in ((1, -1) if rule.sign == ">" else (-1, 1)))
    told = said(rule, SOUND | {rule.measure: beyond})
    assert told
    assert all(character not in told for character in "{}")
    assert not said(rule, SOUND | {rule.measure: before})


def said(rule, measures):
    """What one rule alone says."""
    texts = refusals_of(measures, SETTINGS, rules=(rule,))
    return " ".join([*texts, *(note.text for note in notes_of(measures, SETTINGS, rules=(rule,)))])


@every_rule
def test_a_rule_is_silent_without_its_measure(rule):
    assert not said(rule, {key: value for key, value in SOUND.items() if key != rule.measure})


def test_a_sound_scan_has_no_warning():
    refused, notes = fired(SOUND)
    assert refused == []
    assert {severity for _, severity in notes} == {Severity.INFO}


def test_one_code_is_told_once_and_warnings_come_first():
    """A truncated record breaks two rules of one code; the first that fires is told."""
    measures = SOUND | {"vof_end_share": 0.6, "after_vein_s": -9.0, "aif_scale": 3.0}
    notes = notes_of(measures, SETTINGS)
    assert [note.code for note in notes].count("perfusion.truncated") == 1
    assert "60%" in next(note.text for note in notes if note.code == "perfusion.truncated")
    order = [note.severity for note in notes]
    assert order == sorted(order, key=lambda severity: severity is Severity.INFO)


def test_refusals_name_what_was_found_and_needed():
    (reason,) = refusals_of(SOUND | {"n_frames": 7.0}, SETTINGS)
    assert reason == "CT perfusion: 7 time points, at least 10 are needed"


def test_the_limit_can_be_a_setting():
    strict = replace_setting(min_frames=50)
    assert refusals_of(SOUND, strict) != ()
    assert refusals_of(SOUND, SETTINGS) == ()


def replace_setting(**changes):
    return PerfusionSettings(**changes)


def test_every_warning_says_which_way_it_biases():
    """Over, under, too large, too small, uncertain or not counted: a warning without a consequence is noise."""
    words = (
        r"too (large|small|low|high|long)|overestimate|uncertain|at least as large|not counted|counted as|are off|off either"
    )
    for rule in RULES:
        if rule.severity is Severity.WARNING:
            assert re.search(words, rule.text), rule.code


def series_of(times_s, shape=(6, 20, 18), spacing=(5.0, 4.0, 4.0)):
    grid = Grid.from_axes(shape, spacing, origin_lps_mm=(0.0, 0.0, 0.0))
    return TimeSeries(np.zeros((len(times_s), *shape), np.float32), grid, times_s)


def even(n_frames=45, dt_s=1.5, n_slices=6):
    return np.repeat(dt_s * np.arange(n_frames)[:, None], n_slices, axis=1)


def test_the_record_is_measured():
    """Frames, the span that all slices share, the interval, the spread of the slices, brain and slab."""
    times_s = even() + 0.2 * np.arange(6)
    series = series_of(times_s)
    brain = np.zeros(series.grid.shape_kji, bool)
    brain[1:5, 4:14, 3:15] = True
    found = record_measures(series, Volume(brain, series.grid, Quantity.MASK))
    assert found["n_frames"] == 45
    assert found["duration_s"] == pytest.approx(65.0)
    assert found["interval_s"] == pytest.approx(1.5)
    assert found["slice_times_s"] == pytest.approx(1.0)
    assert found["brain_ml"] == pytest.approx(4 * 10 * 12 * 0.08)
    assert found["coverage_mm"] == pytest.approx(20.0)


def test_a_single_frame_has_no_interval():
    series = series_of(even(n_frames=1))
    assert "interval_s" not in record_measures(series, Volume(np.ones(series.grid.shape_kji, bool), series.grid, Quantity.MASK))


def test_motion_counts_the_frames_in_use():
    """A frame that was dropped may have moved as far as it likes."""
    used = np.ones(20, bool)
    used[[3, 11]] = False
    shift = np.where(used, 1.5, 30.0)
    found = motion_measures(HeadMotion(np.arange(20.0), shift, 0.5 * shift, used, corrected=True))
    assert found == {"max_shift_mm": 1.5, "max_turn_deg": 0.75, "dropped_share": pytest.approx(0.1)}
    assert motion_measures(None) == {}


@pytest.fixture
def inputs(forms, curve):
    def make(times_s, **bolus):
        return Inputs(curve(times_s, forms.artery(times_s, **bolus)), curve(times_s, forms.vein(times_s, **bolus)), 1.0)

    return make


def test_curves_are_measured(inputs):
    """A gamma variate that starts at 8 s with alpha 3 and beta 1.5 s: peak at 12.5 s, 6.2 s wide; the vein 4 s later."""
    times_s = 1.0 * np.arange(61)
    found = curve_measures(inputs(times_s), series_of(even(61, 1.0)), n_baseline=7)
    assert found["aif_peak_hu"] == pytest.approx(400.0, rel=0.06)
    assert found["aif_arrival_s"] == pytest.approx(9.0, abs=1.0)
    assert found["aif_width_s"] == pytest.approx(6.5, abs=0.6)
    assert found["vof_lag_s"] == pytest.approx(4.0, abs=1.0)
    assert found["vof_end_share"] == pytest.approx(0.0, abs=0.01)
    assert found["after_vein_s"] > 25.0
    assert found["baseline_frames"] == 7


@pytest.mark.parametrize(("end_s", "truncated"), [(60, False), (21, True), (19, True)])
def test_a_cut_bolus_is_truncated(inputs, end_s, truncated):
    times_s = 1.0 * np.arange(end_s + 1)
    found = curve_measures(inputs(times_s), series_of(even(end_s + 1, 1.0)), n_baseline=7)
    assert ("perfusion.truncated" in {note.code for note in notes_of(SOUND | found, SETTINGS)}) is truncated


@pytest.mark.parametrize(("at_s", "counts"), [(1.5, False), (13.0, True), (18.0, True), (50.0, False)])
def test_only_a_gap_in_the_first_pass_counts(inputs, at_s, counts):
    """5 s without a frame: before the bolus or long after it nothing is lost."""
    times_s = 1.0 * np.arange(71)
    kept = (times_s <= at_s) | (times_s >= at_s + 5.0)
    found = curve_measures(inputs(times_s), series_of(np.repeat(times_s[kept][:, None], 6, axis=1)), n_baseline=7)
    assert ("perfusion.gap" in {note.code for note in notes_of(SOUND | found, SETTINGS)}) is counts


def test_noise_is_told_from_signal():
    """Read from second differences: a smooth bolus adds next to nothing."""
    times_s = 1.5 * np.arange(45)
    bolus = 10.0 * np.exp(-(((times_s - 20.0) / 6.0) ** 2))[:, None]
    noise = np.random.default_rng(1).normal(0.0, 1.0, (45, 500))
    for sd in (0.5, 3.0):
        found = noise_measures((bolus + sd * noise).astype(np.float32))
        assert found["noise_hu"] == pytest.approx(sd, rel=0.1)
    assert noise_measures((3.0 * noise).astype(np.float32))["noise_share"] > 0.35
    assert noise_measures(np.zeros((45, 5), np.float32))["noise_share"] == 1.0


def documented(rule):
    """A rule as docs/reference/quality.md shows it; measures in the text are in italics."""
    limit, named = limit_of(rule), f" (`{rule.limit}`)" if isinstance(rule.limit, str) else ""
    text = re.sub(r"\{limit:([^}]*)\}", lambda form: format(limit, form[1]), rule.text)
    text = re.sub(r"\{(\w+)[^}]*\}", r"*\1*", text)
    condition = f"`{rule.measure}` {rule.sign} {limit:.3g}{named}"
    return f"| `{rule.code}` | {rule.severity.value} | {condition} | {text} | {rule.source} |"


def test_the_documented_table_is_the_table():
    """docs/reference/quality.md holds every rule, and no other."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "quality.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `perfusion.")]
    assert rows == [documented(rule) for rule in RULES]


def test_rules_are_frozen():
    with pytest.raises(AttributeError):
        RULES[0].limit = 3
    assert replace(RULES[0], limit=3).limit == 3


def test_slices_without_a_common_time_are_too_short_a_record():
    """Two slabs scanned one after the other, or offsets in milliseconds: what no two slices share in time is no duration."""
    grid = Grid.from_axes((2, 4, 4), (5.0, 2.0, 2.0), origin_lps_mm=(0.0, 0.0, 0.0))
    times_s = 1.5 * np.arange(30)[:, None] + np.array([0.0, 300.0])
    series = TimeSeries(np.zeros((30, 2, 4, 4), np.int16), grid, times_s)
    measures = record_measures(series, Volume(np.ones((2, 4, 4), np.uint8), grid, Quantity.MASK))
    assert measures["duration_s"] == 0.0
    assert any("it lasts 0 s" in reason for reason in refusals_of(SOUND | measures, SETTINGS))
