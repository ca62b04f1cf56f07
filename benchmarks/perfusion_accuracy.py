"""CBF, CBV, MTT and arrival delay against closed forms: ours, an exact reference, deliberately wrong methods, and osipy.

    python benchmarks/perfusion_accuracy.py [--osipy-python PYTHON] [--data ../shared/data]

Curves come from `lvo.synth.tiles`: the layout of Kudo et al. 2013 (box, linear and exponential residues) and a phantom whose
residues (gamma, log-normal) and artery (dispersed, recirculating) no method assumes. Every method is given the true artery, so
only the step from curves to maps is judged. osipy needs a Python of its own: `python3.12 -m venv V && V/bin/pip install osipy`.
Prints Markdown tables; a target that is missed is marked. The OSIPI reference object is read from --data where that exists.
"""

import argparse
import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from perfusion_peers import WRONG, Method, exact_bcsvd, osipy, ours

from lvo.config import PerfusionSettings
from lvo.synth.tiles import MISMATCHED_ARTERY, MISMATCHED_RESIDUES, TWO_PATHWAYS, Tiles, make_tiles
from lvo.synth.tracer import ML_100G_PER_FRACTION, Artery

Floats = NDArray[np.float64]
OURS = {"lvo": ours(PerfusionSettings()), "lvo, plain curves": ours(PerfusionSettings(match_curves=False))}
EVEN_S = 1.5 * np.arange(45)
UNEVEN_S = np.concatenate(
    [np.arange(0.0, 36.0, 3.0)[:, None] + [0.0, 1.2], np.arange(37.5, 66.0, 3.0)[:, None] + [0.0, 1.2]]
).ravel()
MISMATCHED_DELAYS_S = tuple(np.arange(0.0, 6.1, 1.0))
WIDE_DELAYS_S = tuple(np.arange(-3.0, 9.1, 1.0))
"""From tissue that fills before the chosen artery to collaterals."""


@dataclass(frozen=True)
class Score:
    """How far a method is from truth: correlation, mean absolute errors as a share of truth, and seconds."""

    cbf_r: float
    cbf_mape: float
    cbv_mape: float
    mtt_mape: float
    delay_mae_s: float


KUDO_TARGETS = {"cbf_r": 0.95, "cbf_mape": 0.12, "cbv_mape": 0.01, "mtt_mape": 0.10, "delay_mae_s": 0.3, "cbf_change": 0.03}
MISMATCHED_TARGETS = {"cbf_mape": 0.14, "mtt_mape": 0.19, "delay_mae_s": 0.5}
"""Noise-free. A correlation must be reached, everything else must not be exceeded."""
OSIPI_CBF_TOLERANCE = 0.20
"""Of the label. With frames every 1.29 s and transits down to 3.4 s the tip of an exponential residue lies between frames:
exact truncated decomposition loses up to 30 % there. 20 % asks for more."""
OSIPI_CBV_TOLERANCE = 0.06
"""Of what the object holds. The noise (a contrast-to-noise ratio of 200) moves its areas by 2 to 4 %."""


def kudo(times_s: Floats) -> Tiles:
    """7 transit times, 7 delays, 5 blood volumes, 3 residues."""
    return make_tiles(times_s)


def mismatched(times_s: Floats) -> Tiles:
    """4 residues nobody assumes, under a dispersed and recirculating artery."""
    return make_tiles(times_s, residues=MISMATCHED_RESIDUES, artery=MISMATCHED_ARTERY, delays_s=MISMATCHED_DELAYS_S)


def score(method: Method, tiles: Tiles) -> Score:
    """Judge one method on one phantom."""
    found = method(tiles)

    def error(values: Floats, truth: Floats) -> float:
        return float(np.mean(np.abs(values - truth) / truth))

    return Score(
        cbf_r=float(np.corrcoef(found.cbf, tiles.cbf)[0, 1]),
        cbf_mape=error(found.cbf, tiles.cbf),
        cbv_mape=error(found.cbv, tiles.cbv),
        mtt_mape=error(found.mtt_s, tiles.mtt_s),
        delay_mae_s=float(np.abs(found.delay_s - tiles.delay_s).mean()),
    )


def cbf_change(method: Method, times_s: Floats) -> float:
    """Largest change of the mean CBF over delays from -3 to 9 s, against no delay, for any transit time and residue."""
    tiles = make_tiles(times_s, delays_s=WIDE_DELAYS_S, cbvs_ml_100g=(4.0,))
    cbf = method(tiles).cbf
    mean = {delay: float(cbf[tiles.delay_s == delay].mean()) for delay in WIDE_DELAYS_S}
    return max(abs(value / mean[0.0] - 1.0) for value in mean.values())


def misses(figures: Mapping[str, float], targets: Mapping[str, float]) -> list[str]:
    """Names of the targets that are missed."""
    return [
        name for name, target in targets.items()
        if name in figures and (figures[name] < target if name == "cbf_r" else figures[name] > target)
    ]  # fmt: skip


FORMAT: dict[str, tuple[str, Callable[[float], str]]] = {
    "cbf_r": ("CBF r", "{:.3f}".format),
    "cbf_mape": ("CBF MAPE", "{:.1%}".format),
    "cbv_mape": ("CBV MAPE", "{:.2%}".format),
    "mtt_mape": ("MTT MAPE", "{:.1%}".format),
    "delay_mae_s": ("delay MAE, s", "{:.2f}".format),
    "cbf_change": ("CBF change over -3..9 s", "{:.1%}".format),
}


def table(
    title: str, rows: Iterable[tuple[str, Mapping[str, float]]], targets: Mapping[str, float], columns: list[str]
) -> None:
    """Print one table; what misses its target is bold."""
    print(f"\n### {title}\n")
    print("| | " + " | ".join(FORMAT[name][0] for name in columns) + " | verdict |")
    print("|---|" + "--:|" * len(columns) + "---|")
    if targets:
        wanted = (
            f"{'>=' if name == 'cbf_r' else '<='} {FORMAT[name][1](targets[name])}" if name in targets else ""
            for name in columns
        )
        print("| *target* | " + " | ".join(wanted) + " | |")
    for label, figures in rows:
        missed = misses(figures, targets)
        cells = (f"**{FORMAT[n][1](figures[n])}**" if n in missed else FORMAT[n][1](figures[n]) for n in columns)
        print(f"| {label} | " + " | ".join(cells) + f" | {('MISS' if missed else 'pass') if targets else ''} |", flush=True)


def without_noise(methods: Mapping[str, Method]) -> None:
    """The two phantoms that have targets."""
    columns = list(FORMAT)
    rows = ((name, {**asdict(score(m, kudo(EVEN_S))), "cbf_change": cbf_change(m, EVEN_S)}) for name, m in methods.items())
    table("Kudo tiles, no noise, a frame every 1.5 s for 66 s", rows, KUDO_TARGETS, columns)
    phantom = mismatched(EVEN_S)
    rows = ((name, asdict(score(method, phantom))) for name, method in methods.items())
    table("Mismatched tiles, no noise", rows, MISMATCHED_TARGETS, columns[:-1])
    for name, residue in {**MISMATCHED_RESIDUES, **TWO_PATHWAYS}.items():
        one = make_tiles(EVEN_S, residues={name: residue}, artery=MISMATCHED_ARTERY, delays_s=MISMATCHED_DELAYS_S)
        rows = ((label, asdict(score(method, one))) for label, method in methods.items() if label not in WRONG)
        table(f"Mismatched tiles, only {name}", rows, {}, columns[:-1])


STRESS: dict[str, Callable[[Callable[[Floats], Tiles]], Tiles]] = {
    "a frame every 1.0 s": lambda phantom: phantom(1.0 * np.arange(67)),
    "a frame every 2.0 s": lambda phantom: phantom(2.0 * np.arange(34)),
    "uneven frames": lambda phantom: phantom(UNEVEN_S),
    "cut off at 45 s": lambda phantom: phantom(EVEN_S[EVEN_S <= 45.0]),
    "1 HU of noise": lambda phantom: phantom(EVEN_S).noisy(1.0, repeats=10, seed=1),
    "3 HU of noise": lambda phantom: phantom(EVEN_S).noisy(3.0, repeats=10, seed=2),
}


def under_stress(methods: Mapping[str, Method]) -> None:
    """The same phantoms with other frames, cut off, and with noise; no targets."""
    for title, phantom in {"Kudo": kudo, "Mismatched": mismatched}.items():
        rows = (
            (f"{case}: {name}", asdict(score(method, change(phantom))))
            for case, change in STRESS.items() for name, method in methods.items()
        )  # fmt: skip
        table(f"{title} tiles under stress", rows, {}, list(FORMAT)[:-1])


def other_arteries(methods: Mapping[str, Method]) -> None:
    """Nothing may hang on one artery: wider, and dispersed between the place where it is measured and the tissue."""
    measured = replace(MISMATCHED_ARTERY, dispersion_s=0.0)
    cases: dict[str, dict[str, Artery]] = {
        "no dispersion": {"artery": measured},
        "wide artery (time scale 2.5 s, width 10 s)": {"artery": replace(measured, beta_s=2.5)},
        "narrow artery (time scale 1 s, width 4 s)": {"artery": replace(measured, beta_s=1.0)},
        "dispersed by 1 s after the artery": {"artery": measured, "tissue_artery": replace(measured, dispersion_s=1.0)},
        "dispersed by 2 s after the artery": {"artery": measured, "tissue_artery": replace(measured, dispersion_s=2.0)},
    }
    phantoms = {
        case: make_tiles(EVEN_S, residues=MISMATCHED_RESIDUES, delays_s=MISMATCHED_DELAYS_S, **change)
        for case, change in cases.items()
    }
    rows = ((f"{case}: {name}", asdict(score(m, phantom))) for case, phantom in phantoms.items() for name, m in methods.items())
    table("Mismatched tiles, other arteries, no noise", rows, {}, list(FORMAT)[:-1])


def reference_object(path: Path) -> list[tuple[str, Tiles]]:
    """The 14 curves of the OSIPI digital reference object, with CBF as labelled and CBV as the object holds it.

    Its curves were summed, not integrated: dt times the artery times exp(-k dt / MTT) from k = 0 on. Its areas are therefore
    the label times (dt / MTT) / (1 - exp(-dt / MTT)), 1.03 to 1.19, which the data confirm (mean ratio 1.00); that is the truth
    for CBV here. Constants of blood and tissue are 1 in it.
    """
    tiles = []
    with path.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            tissue, artery = (np.array(row[name].strip("[] ").split(), dtype=float) for name in ("C_tis", "C_aif"))
            dt_s, cbf, label = (float(row[name]) for name in ("tr", "cbf", "cbv"))
            mtt_s = 60.0 * label / cbf
            cbv = label * (dt_s / mtt_s) / (1.0 - np.exp(-dt_s / mtt_s))
            scale = ML_100G_PER_FRACTION / 100.0
            truth = (np.array([value]) for value in (cbf * scale, cbv * scale, mtt_s, 0.0))
            curves = (tissue - tissue[:10].mean())[:, None]
            phantom = Tiles(dt_s * np.arange(tissue.size), artery - artery[:10].mean(), curves, *truth, np.array(["exp"]))
            tiles.append((row["label"].removeprefix("test_").split("_delay")[0], phantom))
    return tiles


def osipi_misses(method: Method, tiles: Tiles) -> tuple[float, float, list[str]]:
    """CBF and CBV over truth, and which of them is outside its tolerance."""
    found = method(tiles)
    cbf, cbv = float(found.cbf[0] / tiles.cbf[0]), float(found.cbv[0] / tiles.cbv[0])
    wrong = [
        name for name, ratio, tolerance in (("CBF", cbf, OSIPI_CBF_TOLERANCE), ("CBV", cbv, OSIPI_CBV_TOLERANCE))
        if abs(ratio - 1.0) > tolerance
    ]  # fmt: skip
    return cbf, cbv, wrong


def osipi(methods: Mapping[str, Method], path: Path) -> None:
    """Every curve of the reference object, every method."""
    print("\n### OSIPI reference object\n")
    print(f"CBF (within {OSIPI_CBF_TOLERANCE:.0%}) and CBV (within {OSIPI_CBV_TOLERANCE:.0%}) over truth.\n")
    print("| curve | " + " | ".join(methods) + " |\n|---|" + "---|" * len(methods))
    passed = dict.fromkeys(methods, 0)
    for label, tiles in reference_object(path):
        cells = []
        for name, method in methods.items():
            cbf, cbv, wrong = osipi_misses(method, tiles)
            passed[name] += not wrong
            cells.append(f"{cbf:.2f}, {cbv:.2f}" + (f" **{' '.join(wrong)}**" if wrong else ""))
        print(f"| {label} | " + " | ".join(cells) + " |")
    print("| *within both, of 14* | " + " | ".join(str(n) for n in passed.values()) + " |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osipy-python", type=Path, help="a Python in which osipy is installed; left out when omitted")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    peers = {"exact bcSVD, float64": exact_bcsvd}
    if options.osipy_python:
        peers |= {
            f"osipy {name}": osipy(options.osipy_python, name) for name in ("sSVD", "cSVD", "oSVD")
        }  # the first two are one (its issue 166)
    without_noise({**OURS, **peers, **WRONG})
    compared = {name: method for name, method in {**OURS, **peers}.items() if name != "osipy sSVD"}
    other_arteries(compared)
    under_stress(compared)
    reference = options.data / "dsc_reference" / "dsc_data.csv"
    if reference.is_file():
        osipi({**compared, **WRONG}, reference)
    else:
        print(f"\nThe OSIPI reference object is not at {reference}: left out.")


if __name__ == "__main__":
    main()
