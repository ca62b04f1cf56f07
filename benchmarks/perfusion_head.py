"""Core and hypoperfusion volumes on heads of known perfusion, with arterial and venous curves of real patients.

    python benchmarks/perfusion_head.py [--data ../shared/data] [--part main|robust|real|dicom] [--seed 5]

Synthetic heads (`lvo.synth.perfused`): grey and white matter, fluid, skull, arteries and veins with partial volume, 1.8 mm
pixels in 5 mm slices, 3 HU of noise with a grain of 1 mm, and a lesion of the asked size. The curves are pairs of ISLES 2018
patients, resampled finely, the artery without partial volume; what tissue shows follows from them in closed form. Everything
after loading is `lvo.pipeline`'s: head, mid-plane, motion, artery and vein are found, not given.

Truth: core is brain in the state `core` (12 % of the flow of its tissue class), hypoperfusion is core and penumbra, which fill
at least 7 s late. See `lvo.synth.perfused` for why these labels do not hinge on how Tmax is read.

Parts: `main` (sizes, sides, curves), `robust` (the same head degraded), `real` (a real head carries the tissue), `dicom` (a
full study 256x256x16x45 from files: time and memory of `lvo run --only ctp`). A miss is marked.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import cycle
from pathlib import Path

import numpy as np
from detection import LVO
from numpy.typing import NDArray
from real_heads import read_nifti
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter
from transplant import carry

from lvo.config import Config
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import PerfusionResult, Side
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ctp_series
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample
from lvo.pipeline.perfusion import judge_series
from lvo.pipeline.records import Progress
from lvo.synth.head import Head, HeadSpec, make_head
from lvo.synth.perfused import Anatomy, Bolus, Perfused, Wanted, draw_anatomy, place_lesion, render_perfusion
from lvo.synth.render import GREY, WHITE, vessel_fractions
from lvo.synth.scanner import Scanner
from lvo.synth.tracer import SampledArtery, Transit

SCANNER = Scanner(noise_sd_hu=3.0, psf_fwhm_mm=1.2, edge_enhancement=0.0, noise_grain_mm=1.0)
SHAPE_KJI, SPACING_KJI_MM = (16, 128, 128), (5.0, 1.8, 1.8)
FULL_SHAPE_KJI, FULL_SPACING_KJI_MM = (16, 256, 256), (5.0, 0.9, 0.9)
SLAB_MIDDLE_ATLAS_MM = (0.0, 18.0, 18.0)
TIMES_S = 1.5 * np.arange(45)
PAIRS = (1, 26, 55, 49, 35, 7, 8, 28)
"""Narrow and strong; typical; typical, late; early; wide vein; wide artery; late, wide, cut off; weak artery, strong vein."""
TRANSITS = (Transit("gamma", 3.0), Transit("exp"), Transit("lognormal", 0.5), Transit("gamma", 1.5))
LESIONS = (
    Wanted(None), Wanted(Side.LEFT, 120.0, 40.0, 30.0), Wanted(Side.RIGHT, 60.0, 10.0, 20.0), Wanted(Side.LEFT, 200.0, 90.0),
    Wanted(Side.RIGHT, 80.0, 0.0, 20.0), Wanted(Side.LEFT, 25.0, 0.0),
)  # fmt: skip
NONE_ML, WITHIN_ML, WITHIN, WITHIN_DEGRADED = 3.0, 5.0, 0.10, 0.15
CORE_DICE, HYPOPERFUSION_DICE = 0.85, 0.90
WHOLE_PATH_S = 12.0
STEP_S = 0.25
A_DAY_S = 86_390.0
"""Times that go on counting from midnight before."""

Floats = NDArray[np.float64]


def real_pair(path: Path, number: int) -> tuple[SampledArtery, SampledArtery]:
    """Artery and vein of one patient of ISLES 2018, every 0.25 s, held at their end level after the record.

    The artery is scaled to the area of the vein over the record: its partial volume is undone.
    """
    with np.load(path) as curves:
        artery, vein = (np.asarray(curves[f"case_{number:02d}_{kind}"], dtype=np.float64) for kind in ("aif", "vof"))
    scale = max(1.0, vein.sum() / artery.sum())
    return _resampled(artery * scale), _resampled(vein)


def _resampled(samples_hu: Floats) -> SampledArtery:
    """A curve of samples 1 s apart without overshoot between them, from 0 on."""
    first = int(np.flatnonzero(samples_hu > 0.1 * samples_hu.max())[0])
    level = samples_hu.copy()
    level[: max(1, first - 2)] = 0.0
    end = float(level[-3:].mean())
    times_s = np.arange(0.0, level.size - 1 + STEP_S, STEP_S)
    fine = np.maximum(PchipInterpolator(np.arange(level.size), level)(times_s), 0.0)
    fine[0], fine[-1] = 0.0, end
    return SampledArtery(times_s, fine)


def slab(head: Head, shape_kji: tuple[int, int, int], spacing_kji_mm: tuple[float, float, float]) -> Grid:
    """The perfusion slab of a synthetic head."""
    half_mm = (np.array(shape_kji) - 1) * spacing_kji_mm / 2.0
    center = head.pose.to_lps_mm(SLAB_MIDDLE_ATLAS_MM)
    return Grid.from_axes(shape_kji, spacing_kji_mm, origin_lps_mm=np.round(center - half_mm[::-1], 1))


def all_slices(times_s: Floats, n_slices: int) -> Floats:
    """(T, K) times of slices scanned together."""
    return np.repeat(times_s[:, None], n_slices, axis=1)


@dataclass(frozen=True)
class Row:
    """One scan: what was found and what was asked; `refusal` is a word of the only reason for which it may be refused."""

    label: str
    truth: Perfused
    outcome: Assessed[PerfusionResult] | NotAssessable
    side: Side | None
    wall_s: float
    artery_r: float
    within: float = WITHIN
    refusal: str = ""

    def misses(self) -> list[str]:
        """What is wrong; empty when the targets are met."""
        if isinstance(self.outcome, NotAssessable):
            return [] if self.refusal and any(self.refusal in reason for reason in self.outcome.reasons) else ["refused"]
        found, wrong = self.outcome.value, []
        for name, ml, true_ml, least in (
            ("core", found.core_ml, self.truth.core_ml, CORE_DICE),
            ("hypoperfusion", found.hypoperfusion_ml, self.truth.hypoperfusion_ml, HYPOPERFUSION_DICE),
        ):
            allowed_ml = max(WITHIN_ML, self.within * true_ml) if true_ml else NONE_ML
            if abs(ml - true_ml) > allowed_ml:
                wrong.append(f"{name} volume")
            if self.within == WITHIN and true_ml and self.dice(name) < least:
                wrong.append(f"{name} Dice")
        if found.side is not self.side and (self.truth.hypoperfusion_ml or found.hypoperfusion_ml):
            wrong.append("side")
        return wrong

    def dice(self, name: str) -> float:
        """Overlap with the truth; 1 when both are empty."""
        if isinstance(self.outcome, NotAssessable):
            return float("nan")
        found, true = self.outcome.value.maps[name].array > 0, getattr(self.truth, name)
        total = int(found.sum() + true.sum())
        return 2.0 * int((found & true).sum()) / total if total else 1.0

    def __str__(self) -> str:
        """A line of the table."""
        missed = ", ".join(self.misses())
        if isinstance(self.outcome, NotAssessable):
            why = f"{'' if self.misses() else 'pass, '}refused: {'; '.join(self.outcome.reasons)}"
            return f"| {self.label} | {self.truth.core_ml:.0f} | | | {self.truth.hypoperfusion_ml:.0f} | | | | | {why} |"
        found = self.outcome.value
        return (
            f"| {self.label} | {self.truth.core_ml:.0f} | {found.core_ml:.1f} | {self.dice('core'):.2f} "
            f"| {self.truth.hypoperfusion_ml:.0f} | {found.hypoperfusion_ml:.1f} | {self.dice('hypoperfusion'):.2f} "
            f"| {found.side or '-'} | {self.artery_r:.3f} | {f'**MISS** {missed}' if missed else 'pass'} |"
        )


def judge(
    label: str,
    series: TimeSeries,
    truth: Perfused,
    bolus: Bolus,
    side: Side | None,
    *,
    within: float = WITHIN,
    refusal: str = "",
) -> Row:
    """Everything after loading, on one scan."""
    start = time.perf_counter()
    outcome = judge_series(series, Config(), Progress()).outcome
    wall_s, artery_r = time.perf_counter() - start, float("nan")
    if isinstance(outcome, Assessed) and outcome.value.aif is not None:
        aif = outcome.value.aif
        true_hu = bolus.artery.hu(aif.times_s - (A_DAY_S if series.times_s[0, 0] >= A_DAY_S else 0.0))
        artery_r = float(np.corrcoef(aif.enhancement_hu, true_hu)[0, 1])
    return Row(label, truth, outcome, side, wall_s, artery_r, within, refusal)


def table(title: str, rows: Iterator[Row]) -> list[Row]:
    """Print the rows as they come, and how many pass."""
    print(f"\n### {title}\n")
    print("| scan | core, mL | found | Dice | hypoperfusion, mL | found | Dice | side | r of the artery | verdict |")
    print("|---|--:|--:|--:|--:|--:|--:|---|--:|---|")
    done = []
    for row in rows:
        print(row, flush=True)
        done.append(row)
    passed = sum(not row.misses() for row in done)
    print(f"\n{passed} of {len(done)} pass; median {np.median([row.wall_s for row in done]):.1f} s after loading.", flush=True)
    return done


def main_rows(anatomy: Anatomy, curves: Path) -> Iterator[Row]:
    """Every pair of curves with every lesion; the residue changes from one to the next."""
    transits = cycle(TRANSITS)
    times_s = all_slices(TIMES_S, anatomy.grid.shape_kji[0])
    for pair in PAIRS:
        artery, vein = real_pair(curves, pair)
        for n, wanted in enumerate(LESIONS):
            bolus, seed = Bolus(artery, vein, next(transits)), 100 * pair + n
            truth = place_lesion(anatomy, replace(wanted, seed=seed))
            series = render_perfusion(truth, bolus, times_s, replace(SCANNER, seed=seed))
            label = f"curves {pair}, {bolus.transit.residue} {bolus.transit.shape:g}, {wanted.side or 'none'}"
            yield judge(label, series, truth, bolus, wanted.side)


def _rigid(grid: Grid, degrees: float, shift_lps_mm: tuple[float, float, float]) -> Floats:
    """A turn about the axis of the body through the middle of the grid, then a shift."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    move = np.eye(4)
    move[:3, :3] = [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]
    move[:3, 3] = grid.center_lps_mm - move[:3, :3] @ grid.center_lps_mm + shift_lps_mm
    return move


def degraded(truth: Perfused, bolus: Bolus, seed: int) -> Iterator[tuple[str, str, TimeSeries]]:
    """The same head under conditions that go wrong: what, a word of the reason that would excuse a refusal, and the scan."""
    grid, scanner = truth.anatomy.grid, replace(SCANNER, seed=seed)
    n_slices = grid.shape_kji[0]
    times_s = all_slices(TIMES_S, n_slices)
    whole = render_perfusion(truth, bolus, times_s, scanner)
    yield "as it is", "", whole
    for lost in ((12,), (12, 20), (8, 12, 13, 30)):
        kept = np.setdiff1d(np.arange(len(times_s)), lost)
        yield f"{len(lost)} frames removed", "frame", TimeSeries(whole.array[kept], grid, times_s[kept], whole.quantity)
    short = times_s[:, 0] <= 48.0
    yield "48 s scan", "record", TimeSeries(whole.array[short], grid, times_s[short], whole.quantity)
    step = [_rigid(grid, 3.0, (2.0, 2.0, 1.0)) if t >= 28 else None for t in range(len(times_s))]
    yield "3 mm and 3 degrees at once, at 42 s", "moved", render_perfusion(truth, bolus, times_s, scanner, moves_lps=step)
    drift = [_rigid(grid, 3.0 * t / 44, (0.0, 3.0 * t / 44, 0.0)) for t in range(len(times_s))]
    yield "3 mm and 3 degrees little by little", "moved", render_perfusion(truth, bolus, times_s, scanner, moves_lps=drift)
    jog_s = np.concatenate([np.arange(0.0, 36.0, 2.8), np.arange(36.4, 66.0, 4.2)])
    jog = jog_s[:, None] + np.where(np.arange(n_slices) < n_slices // 2, 0.0, 1.4)
    yield "jog, a frame every 2.8 s, then 4.2 s", "frame", render_perfusion(truth, bolus, jog, scanner)
    yield "times of a day later", "", TimeSeries(whole.array, grid, times_s + A_DAY_S, whole.quantity)
    low_dose = replace(scanner, noise_sd_hu=SCANNER.noise_sd_hu / np.sqrt(0.7))
    yield "70 % of the dose", "noise", render_perfusion(truth, bolus, times_s, low_dose)


def robust_rows(anatomy: Anatomy, curves: Path) -> Iterator[Row]:
    """A large and a small lesion and none, degraded."""
    for pair, wanted in ((26, LESIONS[1]), (55, LESIONS[2]), (35, LESIONS[0])):
        bolus = Bolus(*real_pair(curves, pair), Transit("gamma", 3.0))
        truth = place_lesion(anatomy, replace(wanted, seed=pair))
        for label, word, series in degraded(truth, bolus, pair):
            yield judge(
                f"{wanted.side or 'none'}: {label}", series, truth, bolus, wanted.side, within=WITHIN_DEGRADED, refusal=word
            )


def real_anatomy(path: Path, seed: int) -> Anatomy | None:
    """A real plain CT in 5 mm slices; its tissue classes by attenuation, vessels carried into it from a drawn head."""
    real = read_nifti(path)
    brain = find_brain(real)
    pose = register_to_atlas(real, brain.value) if isinstance(brain, Assessed) else brain
    if not isinstance(pose, Assessed) or not isinstance(brain, Assessed):
        return None
    head = carry(make_head(HeadSpec(seed=seed)), pose.value)
    half_mm = (np.array(SHAPE_KJI) - 1) * SPACING_KJI_MM / 2.0
    center = pose.value.to_lps_mm(SLAB_MIDDLE_ATLAS_MM)
    grid = Grid.from_axes(SHAPE_KJI, SPACING_KJI_MM, origin_lps_mm=center - half_mm[::-1])
    smooth = Volume(gaussian_filter(real.array.astype(np.float32), (1.4, 0.8, 0.8)), real.grid, real.quantity)
    hu = resample(smooth, grid, fill=-1024.0).array.astype(np.float32)
    mask = Volume(brain.value.array.astype(np.float32), real.grid, Quantity.PROBABILITY)
    inside = resample(mask, grid, fill=0.0).array
    level = gaussian_filter(hu, (0.0, 1.0, 1.0))
    matter = np.clip(inside, 0.0, 1.0) * np.clip((level - 12.0) / 10.0, 0.0, 1.0) * (level < 60.0)
    middle = float(np.median(level[matter > 0.99]))
    grey_share = np.clip((level - middle) / 4.0 + 0.5, 0.0, 1.0)
    artery, vein = (part.array for part in vessel_fractions(head, grid))
    fraction = {GREY: (matter * grey_share).astype(np.float32), WHITE: (matter * (1.0 - grey_share)).astype(np.float32)}
    return Anatomy(grid, hu, fraction, artery, vein, pose.value.midplane)


def real_rows(anatomy: Anatomy, curves: Path) -> Iterator[Row]:
    """Lesions in a real head; its own noise stays the same in all frames, so it does not count."""
    times_s = all_slices(TIMES_S, anatomy.grid.shape_kji[0])
    for pair, wanted in zip((26, 1, 55, 35), LESIONS, strict=False):
        bolus = Bolus(*real_pair(curves, pair), Transit("lognormal", 0.5))
        truth = place_lesion(anatomy, replace(wanted, seed=pair))
        series = render_perfusion(truth, bolus, times_s, replace(SCANNER, seed=pair))
        yield judge(f"real head, curves {pair}, {wanted.side or 'none'}", series, truth, bolus, wanted.side)


def from_dicom(head: Head, curves: Path) -> None:
    """Time and memory of the whole path from files, on a scan that moves and crosses midnight."""
    anatomy = draw_anatomy(head, slab(head, FULL_SHAPE_KJI, FULL_SPACING_KJI_MM), SCANNER)
    bolus = Bolus(*real_pair(curves, 26), Transit("gamma", 3.0))
    truth = place_lesion(anatomy, replace(LESIONS[1], seed=1))
    moves = [_rigid(anatomy.grid, 2.0, (1.0, 1.5, 0.5)) if t >= 30 else None for t in range(TIMES_S.size)]
    series = render_perfusion(truth, bolus, all_slices(TIMES_S, FULL_SHAPE_KJI[0]), SCANNER, moves_lps=moves)
    with tempfile.TemporaryDirectory() as folder:
        study, out = Path(folder) / "study", Path(folder) / "out"
        study.mkdir()
        header = StudyHeader("perfusion head", start=datetime(2026, 1, 5, 23, 59, 40))  # noqa: DTZ001 - an invented scanner's clock
        write_ctp_series(series, study, SeriesHeader(header, 3, "CT perfusion", contrast_agent="SYNTHETIC IODINE"))
        del series
        start = time.perf_counter()
        done = subprocess.run([str(LVO), "run", str(study), "--only", "ctp", "--out", str(out), "--quiet"], check=False)
        wall_s = time.perf_counter() - start
        peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        folders = list(out.glob("*/result.json"))
        if not folders:
            sys.exit(f"lvo run left no result (exit status {done.returncode})")
        perfusion = json.loads(folders[0].read_text())["perfusion"]
        stages = json.loads(folders[0].with_name("run.json").read_text())["timings_s"]
    print("\n### From DICOM files, 256 x 256 x 16 x 45, 2.7 mm and 2 degrees of motion, across midnight\n")
    print("| stage | s |\n|---|--:|")
    for name, seconds in stages.items():
        print(f"| {name} | {seconds:.1f} |")
    print(f"| **whole `lvo run --only ctp`** (target {WHOLE_PATH_S:.0f} s on 2 cores) | **{wall_s:.1f}** |")
    print(f"\nPeak memory {peak_gb:.2f} GB. State {perfusion['state']}: " + _words(perfusion, truth))


def _words(perfusion: dict[str, object], truth: Perfused) -> str:
    if perfusion["state"] != "assessed":
        return str(perfusion.get("reasons"))
    return (
        f"core {perfusion['core_ml']:.1f} mL (truth {truth.core_ml:.0f}), hypoperfusion {perfusion['hypoperfusion_ml']:.1f} mL "
        f"(truth {truth.hypoperfusion_ml:.0f}), side {perfusion['side']}."
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--part", choices=("main", "robust", "real", "dicom"), action="append", help="all when omitted")
    parser.add_argument("--from-dicom", dest="part", action="append_const", const="dicom", help="the same as --part dicom")
    parser.add_argument("--seed", type=int, default=5, help="of the head")
    options = parser.parse_args()
    parts = options.part or ["main", "robust", "real", "dicom"]
    curves = options.data / "ctp_curves" / "aif_vof.npz"
    if not curves.is_file():
        sys.exit(f"the real arterial and venous curves are not at {curves}: nothing to do")
    head = make_head(HeadSpec(seed=options.seed, rotation_deg=(3.0, 2.0, -6.0), shift_mm=(5.0, -3.0, 20.0)))
    if "main" in parts or "robust" in parts:
        anatomy = draw_anatomy(head, slab(head, SHAPE_KJI, SPACING_KJI_MM), SCANNER)
    if "main" in parts:
        table("Synthetic head, real curves, 3 HU of noise", main_rows(anatomy, curves))
    if "robust" in parts:
        table(f"Degraded: within {WITHIN_DEGRADED:.0%} or {WITHIN_ML:.0f} mL, or refused", robust_rows(anatomy, curves))
    if "real" in parts:
        carrier = next((options.data / "ncct_cranium").glob("*.nii*"), None)
        real = real_anatomy(carrier, options.seed) if carrier else None
        if real is None:
            print("\nThe real head is not there or was not registered: left out.")
        else:
            table("Real head (sides are those of the file; they cannot be verified)", real_rows(real, curves))
    if "dicom" in parts:
        from_dicom(head, curves)


if __name__ == "__main__":
    main()
