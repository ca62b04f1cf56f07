"""What can be said against a CT perfusion: one table of rules on measured numbers.

`docs/reference/quality.md` shows the table to readers. Where a rule names no publication, its limit is ours, and the text says
what it rests on.
"""

from dataclasses import dataclass

from lvo.core.report import Severity
from lvo.perfusion.lesion import MIN_NORMAL_ML

__all__ = ["RULES", "Rule"]

INFO, WARNING, REFUSAL = Severity.INFO, Severity.WARNING, Severity.REFUSAL


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: it fires when a measure passes a limit.

    Args:
        code: what the note is called.
        severity: information, warning, or refusal (no volumes).
        measure: key of the number that is judged.
        sign: ">" or "<".
        limit: the number it is compared with, or the name of the setting in `PerfusionSettings` that holds it.
        text: the note; {measure:format} fills in any measure, {limit:format} the limit.
        source: where the limit comes from.
    """

    code: str
    severity: Severity
    measure: str
    sign: str
    limit: float | str
    text: str
    source: str


ISLES = "62 stroke scans of ISLES 2018"
OURS = "ours"

RULES: tuple[Rule, ...] = (
    # the record
    Rule("perfusion.frames", REFUSAL, "n_frames", "<", "min_frames",
         "{n_frames:.0f} time points, at least {limit:.0f} are needed",
         "setting"),
    Rule("perfusion.frames", WARNING, "n_frames", "<", 20,
         "{n_frames:.0f} time points, {limit:.0f} or more are usual: transit times and low flow are uncertain",
         "protocols of 25 to 45 frames in the published trials"),
    Rule("perfusion.duration", REFUSAL, "duration_s", "<", "min_duration_s",
         "it lasts {duration_s:.0f} s, at least {limit:.0f} s are needed",
         "setting"),
    Rule("perfusion.duration", WARNING, "duration_s", "<", 50.0,
         "{duration_s:.0f} s recorded, {limit:.0f} s or more are advised: late tissue is cut off, the core "
         "tends to come out too large and the hypoperfusion too small",
         "two thirds of 48 s records were cut off in tissue, doi:10.1371/journal.pone.0119409"),
    Rule("perfusion.interval", REFUSAL, "interval_s", ">", 5.0,
         "one frame every {interval_s:.1f} s, at most {limit:.0f} s are usable",
         f"first passes are 8 to 12 s wide in half of {ISLES}"),
    Rule("perfusion.interval", WARNING, "interval_s", ">", 3.0,
         "one frame every {interval_s:.1f} s: beyond {limit:.0f} s peaks are missed, so flow comes out too low "
         "and transit times too long, in normal tissue more than in the core, which tends to come out too "
         "small",
         "doi:10.1148/radiol.2313030544"),
    Rule("perfusion.gap", WARNING, "first_pass_gap_s", ">", 4.0,
         "{first_pass_gap_s:.1f} s without a frame while the bolus passed: peaks inside it are guessed, flow "
         "is uncertain",
         f"half the width of the narrowest first passes of {ISLES}"),
    Rule("perfusion.slice_times", INFO, "slice_times_s", ">", 0.02,
         "slices of one frame lie up to {slice_times_s:.1f} s apart; each keeps its own times",
         OURS),
    Rule("perfusion.brain", REFUSAL, "brain_ml", "<", 50.0,
         "it covers {brain_ml:.0f} mL of brain, at least {limit:.0f} mL are needed",
         "less cannot hold a lesion and its opposite side"),
    Rule("perfusion.coverage", WARNING, "coverage_mm", "<", 40.0,
         "the slab is {coverage_mm:.0f} mm thick: what lies above and below was not seen, core and "
         "hypoperfusion are at least as large as given",
         "two standard slabs of 20 mm; the middle cerebral territory is about 80 mm high"),
    Rule("perfusion.dropped", WARNING, "dropped_share", ">", 0.1,
         "{dropped_share:.0%} of the frames were left out: flow is uncertain, by 3 % for one or two frames and "
         "by more here",
         "frames removed one by one, reported mean error below 3.5 % for two"),
    Rule("perfusion.motion", WARNING, "max_shift_mm", ">", 5.0,
         "the head moved by up to {max_shift_mm:.0f} mm and {max_turn_deg:.0f} degrees: the edges of the slab were "
         "not seen all the time, and what is left of the motion looks like late tissue; hypoperfusion may come "
         "out too large",
         "a slice of 5 mm; motion was behind 11 of 20 failures of a commercial program, PMID 31804241"),
    # the bolus
    Rule("perfusion.baseline", WARNING, "baseline_frames", "<", 3,
         "{baseline_frames:.0f} frame(s) before the bolus, {limit:.0f} or more are advised: noise of the "
         "baseline is in every value, volumes and flow may be off either way",
         "the noise of the mean of three frames is 0.6 of one"),
    Rule("perfusion.late_bolus", INFO, "aif_arrival_s", ">", 25.0,
         "the bolus arrives {aif_arrival_s:.0f} s after the start: a late start of the injection, or low "
         "cardiac output",
         OURS),
    Rule("perfusion.weak_bolus", WARNING, "vof_peak_hu", "<", 40.0,
         "the vein rises by {vof_peak_hu:.0f} HU only: noise passes for flow, so the core tends to come out "
         "too small",
         f"the weakest vein of {ISLES} rises by 44 HU"),
    Rule("perfusion.wide_bolus", WARNING, "aif_width_s", ">", 20.0,
         "the bolus is {aif_width_s:.0f} s wide in the artery: slow injection, low cardiac output or a "
         "stenosis; high flow comes out too low, and the core with it too small",
         f"quartiles of {ISLES}: 11 to 15 s"),
    Rule("perfusion.truncated", REFUSAL, "vof_end_share", ">", 0.9,
         "the record ends at the height of the bolus: the vein is still at {vof_end_share:.0%} of its peak, at "
         "most {limit:.0%} can be used",
         "nothing of the outflow is seen"),
    Rule("perfusion.truncated", WARNING, "vof_end_share", ">", 0.4,
         "the record ends before the bolus has passed: the vein is still at {vof_end_share:.0%} of its peak "
         "(at most {limit:.0%}). The core tends to come out too large and the hypoperfusion too small",
         "PMC5134896; direction: doi:10.1371/journal.pone.0119409"),
    Rule("perfusion.truncated", WARNING, "after_vein_s", "<", 0.0,
         "the record is {after_vein_s:.0f} s short: it should go on for 1.6 widths of the venous curve after "
         "its arrival. The core tends to come out too large and the hypoperfusion too small",
         "PMC5134896; direction: doi:10.1371/journal.pone.0119409"),
    Rule("perfusion.partial_volume", INFO, "aif_scale", ">", 1.0,
         "the arterial curve was multiplied by {aif_scale:.2f} to the area of the venous curve",
         OURS),
    Rule("perfusion.noise", WARNING, "noise_share", ">", 0.15,
         "noise of {noise_hu:.1f} HU on tissue curves of {tissue_peak_hu:.1f} HU after smoothing: noise passes "
         "for flow, so the core tends to come out too small, and its place is uncertain",
         "on a digital head the overlap of the core with the truth is 0.86 at 0.1 and 0.46 at 0.2"),
    Rule("perfusion.noise", REFUSAL, "noise_share", ">", 0.35,
         "noise of {noise_hu:.1f} HU drowns the tissue curves of {tissue_peak_hu:.1f} HU: {noise_share:.0%} of "
         "the peak, at most {limit:.0%} can be read",
         "the highest of 45 values of nothing but noise is 2.2 deviations: 45 %"),
    # the lesion
    Rule("perfusion.bilateral", WARNING, "both_sides_ml", ">", 0.0,
         "hypoperfusion on both sides (left {left_ml:.0f} mL, right {right_ml:.0f} mL): low cardiac output, "
         "carotid stenosis, motion or a late artery can cause this. Both are counted; there is no healthy "
         "hemisphere to compare with, so hypoperfusion may be overestimated and the core underestimated",
         "false Tmax > 6 s opposite an occlusion is small, median 12 mL; PMC6731139"),
    Rule("perfusion.other_side", INFO, "other_side_ml", ">", 0.0,
         "{other_side_ml:.0f} mL of late tissue lie on the other side of the head than the lesion and are not "
         "counted",
         "PMC6731139"),
    Rule("perfusion.late_normal", WARNING, "normal_tmax_s", ">", 4.0,
         "normal tissue itself is late, Tmax {normal_tmax_s:.1f} s in the median: low cardiac output, stenosis "
         "on both sides or a wrong artery. Hypoperfusion tends to come out too large",
         "Tmax below 4 s is normal in most programs"),
    Rule("perfusion.whole_side", WARNING, "late_share", ">", 0.6,
         "{late_share:.0%} of the tissue of one hemisphere is late, more than the middle cerebral artery "
         "feeds: a stenosis or occlusion of the carotid artery delays all of it, and hypoperfusion then "
         "overestimates what is at risk",
         "the middle cerebral territory is about half of a hemisphere, doi:10.1161/01.STR.24.12.1951"),
    Rule("perfusion.reference", WARNING, "opposite_ml", "<", MIN_NORMAL_ML,
         "only {opposite_ml:.0f} mL of normal tissue opposite the lesion, {limit:.0f} mL needed: CBF is "
         "compared with all tissue that is not hypoperfused, the core tends to come out too small",
         "one slice of one hemisphere, 5 mm thick, holds about 25 mL"),
    Rule("perfusion.artefact", INFO, "artefact_ml", ">", 3.0,
         "{artefact_ml:.0f} mL of late tissue are too small, thin or flat for a lesion and are not counted",
         OURS),
    Rule("perfusion.fluid", INFO, "fluid_ml", ">", 3.0,
         "{fluid_ml:.0f} mL of late tissue are as dark as fluid before contrast, an old infarct or a cyst, and "
         "are not counted",
         OURS),
    Rule("perfusion.posterior_fossa", WARNING, "below_tentorium_ml", ">", 3.0,
         "{below_tentorium_ml:.0f} mL of late tissue below the tentorium are not counted: bone streaks there. "
         "Look at the Tmax map if the basilar artery may be occluded",
         "PMC6731139"),
    Rule("perfusion.hypodense", WARNING, "core_below_hu", ">", 8.0,
         "the core is {core_below_hu:.0f} HU darker than the same place on the other side before contrast: an "
         "infarct that is many hours or years old is counted as core",
         "early oedema darkens by 2 to 6 HU, 2.5 HU per per cent of water"),
    Rule("perfusion.scale", WARNING, "normal_cbf", "<", 15.0,
         "normal tissue reads {normal_cbf:.0f} mL/100 g/min, {limit:.0f} or more are plausible: absolute flow "
         "and volume are off, relative ones and times stand",
         "grey and white matter together flow at 40 to 50"),
    Rule("perfusion.scale", WARNING, "normal_cbf", ">", 120.0,
         "normal tissue reads {normal_cbf:.0f} mL/100 g/min, up to {limit:.0f} are plausible: absolute flow "
         "and volume are off, relative ones and times stand",
         "grey and white matter together flow at 40 to 50"),
    Rule("perfusion.normal_tissue", INFO, "normal_cbf", ">", 0.0,
         "mean CBF of normal tissue {normal_cbf:.0f} mL/100 g/min",
         OURS),
)  # fmt: skip
"""Every rule; for one code the first that fires is told, so refusals stand before warnings."""
