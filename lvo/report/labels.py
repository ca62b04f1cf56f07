"""Keys of records in words with units, and the tables of the CT perfusion, once, for the page and for the pictures."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lvo.core.report import CurveCandidate, PerfusionResult

__all__ = ["Band", "CandidateRow", "band_rows", "candidate_rows", "key_words", "measure_rows", "rule_words", "value_words"]

_UNITS = {
    "ml_100g_min": "mL/100 g/min", "ml_100g": "mL/100 g", "percent": "%", "ml": "mL", "s": "s", "hu": "HU", "mm": "mm",
    "deg": "degrees", "h": "h",
}  # fmt: skip
"""Last part of a key and the unit it stands for; the longest that fits counts."""

_NAMES = {
    "aif": "AIF", "vof": "VOF", "rcbf": "rCBF", "cbf": "CBF", "cbv": "CBV", "mtt": "MTT", "tmax": "Tmax", "svd": "SVD",
    "hu": "HU", "n": "number of",
}  # fmt: skip
"""Parts of keys that are not words."""

_MEASURES = {
    "n_frames": "time points", "duration_s": "duration", "interval_s": "interval between frames",
    "slice_times_s": "times of slices in a frame, spread", "first_pass_gap_s": "longest gap during the first pass",
    "brain_ml": "brain covered", "coverage_mm": "thickness of the slab", "max_shift_mm": "largest shift of the head",
    "max_turn_deg": "largest turn of the head", "dropped_share": "frames left out",
    "baseline_frames": "frames before the bolus", "peak_s": "peak at", "end": "end / peak",
    "aif_scale": "AIF, partial volume factor", "aif_end_share": "AIF at the end, of its peak",
    "vof_end_share": "VOF at the end, of its peak", "vof_lag_s": "VOF peak after AIF peak",
    "after_vein_s": "record beyond the venous curve", "noise_hu": "noise of smoothed curves",
    "tissue_peak_hu": "peak of tissue curves", "noise_share": "noise / peak", "left_ml": "late tissue, left",
    "right_ml": "late tissue, right", "both_sides_ml": "late tissue, if on both sides",
    "other_side_ml": "other side, not counted", "late_share": "late share of the hemisphere",
    "core_below_hu": "core darker than the other side", "artefact_ml": "small or thin, not counted",
    "below_tentorium_ml": "below tentorium, not counted", "fluid_ml": "fluid, not counted",
    "opposite_ml": "normal tissue opposite", "normal_ml": "normal tissue compared with",
    "normal_cbf": "CBF of normal tissue", "normal_cbv": "CBV of normal tissue", "normal_tmax_s": "Tmax of normal tissue",
}  # fmt: skip
"""Measures whose key does not read well; the others are spelled."""
_BARE_UNITS = {"normal_cbf": "mL/100 g/min", "normal_cbv": "mL/100 g"}

_FACTS = {
    "onset_to_imaging_h": ("time since last known well", "h"), "age": ("age", "years"), "nihss": ("NIHSS", ""),
    "pre_mrs": ("mRS before the stroke", ""), "anticoagulation": ("anticoagulation", ""),
    "aspects": ("ASPECTS", ""), "site": ("artery", ""), "core_ml": ("core", "mL"),
    "mismatch_ml": ("mismatch volume", "mL"), "mismatch_ratio": ("mismatch ratio", ""),
    "hypoperfusion_ml": ("hypoperfusion", "mL"), "tmax10_ml": ("Tmax > 10 s", "mL"),
}  # fmt: skip
"""What selection rules ask for, in words, with its unit."""
_SIGNS = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}


@dataclass(frozen=True, slots=True)
class Band:
    """Volume beyond one threshold: which map, the threshold in words, and whether it is the one the result rests on."""

    what: str
    threshold: str
    ml: float
    main: bool


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """One group of voxels that was considered for an input curve; `name` is what the pictures call it, "A1" or "V2"."""

    name: str
    candidate: CurveCandidate
    measures: tuple[tuple[str, str], ...]


def key_words(key: str) -> tuple[str, str]:
    """Words and unit of a key: "tmax_hypoperfusion_s" gives ("Tmax hypoperfusion", "s")."""
    for suffix, unit in _UNITS.items():
        if key.endswith(f"_{suffix}"):
            return _spelled(key.removesuffix(f"_{suffix}")), unit
    return _spelled(key), ""


def measure_rows(measures: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """Name and value with unit of every measure, rounded for reading; shares as per cent."""
    rows = []
    for key, value in measures.items():
        words, unit = key_words(key)
        if key.endswith("_share"):
            words, text = words.removesuffix(" share"), f"{_short(100.0 * value)} %"
        else:
            text = f"{_short(value)} {_BARE_UNITS.get(key, unit)}".strip()
        rows.append((_MEASURES.get(key, words), text))
    return tuple(rows)


def candidate_rows(result: PerfusionResult) -> tuple[CandidateRow, ...]:
    """Arteries, then veins, best score first."""
    rows = []
    for role, letter in (("aif", "A"), ("vof", "V")):
        ranked = sorted((c for c in result.candidates if c.role == role), key=lambda c: (not c.chosen, -c.score))
        rows += [CandidateRow(f"{letter}{n}", c, measure_rows(c.measures)) for n, c in enumerate(ranked, 1)]
    return tuple(rows)


def band_rows(result: PerfusionResult) -> tuple[Band, ...]:
    """The volumes of all bands in words, in the order of the result."""
    main = {"tmax": result.thresholds.get("tmax_hypoperfusion_s"), "rcbf": 100.0 * result.thresholds.get("core_rcbf", -1.0)}
    words = {"tmax": ("Tmax", "s"), "rcbf": ("CBF, share of normal tissue", "%")}
    rows = []
    for key, ml in result.volumes_ml.items():
        name, sign, limit = re.split("([<>])", key)
        what, unit = words[name]
        main_limit = main[name]
        is_main = main_limit is not None and abs(float(limit) - main_limit) < 1e-6
        rows.append(Band(what, f"{sign} {limit} {unit}", ml, is_main))
    return tuple(rows)


def rule_words(text: str) -> str:
    """A rule, or the values it looks at, with words for keys and with units: "core_ml >= 31" becomes "core ≥ 31 mL".

    A rule about one thing only drops its name, which stands beside it anyway.
    """
    keys = set(re.findall(r"\b(?:" + "|".join(_FACTS) + r")\b(?= (?:>=|<=|>|<|is |unknown|[-\d]))", text))
    alone = len(keys) == 1

    def limit(found: re.Match[str]) -> str:
        words, unit = _FACTS[found["key"]]
        return " ".join(part for part in ("" if alone else words, _SIGNS[found["sign"]], found["number"], unit) if part)

    def value(found: re.Match[str]) -> str:
        words, unit = _FACTS[found["key"]]
        number = found["value"]
        known = number != "unknown" and not number.isalpha()
        return " ".join(part for part in (words, _rounded(number) if known else number, unit if known else "") if part)

    name = "|".join(_FACTS)
    text = re.sub(rf"\b(?P<key>{name}) (?P<sign>>=|<=|>|<) (?P<number>[-\d.]+)", limit, text)
    text = re.sub(r"≥ ([\d.]+)( \w+)? and ≤ ([\d.]+)\2(?!\w)", r"\1 to \3\2", text)
    text = re.sub(rf"\b(?P<key>{name}) is ", lambda f: "" if alone else f"{_FACTS[f['key']][0]} ", text)
    return re.sub(rf"\b(?P<key>{name}) (?P<value>unknown|-?\d[\d.]*)", value, text)


def value_words(value: float | str | None, rule: str) -> str:
    """A looked-at value with the unit of its rule, rounded to one decimal unless that would move it onto a limit."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return rule_words(value)
    limits = {float(limit) for limit in re.findall(r"[<>]=? (-?\d+(?:\.\d+)?)", rule)}
    rounded = next((r for r in (round(value, digits) for digits in (1, 2, 3)) if r not in limits or r == value), value)
    return f"{rounded:g} {_rule_unit(rule)}".strip()


def _rule_unit(text: str) -> str:
    """Unit of the one thing that a rule is about; empty when it has none or is about several."""
    keys = {key for key in _FACTS if re.search(rf"\b{key} ", text)}
    return _FACTS[keys.pop()][1] if len(keys) == 1 else ""


def _rounded(number: str) -> str:
    """One decimal at most."""
    return f"{round(float(number), 1):g}"


def _spelled(key: str) -> str:
    return " ".join(_NAMES.get(part, part) for part in key.split("_"))


def _short(value: float) -> str:
    """Two decimals below 10, one below 100, none above; no trailing zeros."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{round(value, digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
