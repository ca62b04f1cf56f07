"""Time and memory from curves to maps, beside the bare matrix product that no deconvolution can do without, and osipy.

    python benchmarks/perfusion_speed.py [--out FOLDER] [--osipy-python PYTHON] [--repeats 5]

The full size is the tissue of 256 x 256 x 20 voxels over 45 frames, 0.95 million curves with 1 HU of noise. The product is
float32, (2 T x T) times (T x N), on all cores, timed between the runs it is compared with: seconds depend on the machine and on
what else it does, ratios much less. Every row is measured in a process of its own; its peak memory includes Python and the
curves (172 MB at full size). Prints Markdown tables; with --out a plot of the time against voxels and frames is left there.
osipy needs a Python of its own: `python3.12 -m venv V && V/bin/pip install osipy`.
"""

import argparse
import multiprocessing
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from lvo.config import PerfusionSettings
from lvo.core.report import Curve
from lvo.perfusion.arterial import Inputs
from lvo.perfusion.maps import compute_maps
from lvo.perfusion.sampling import SliceTimes
from lvo.synth.tracer import Artery, Transit

N_VOXELS, N_FRAMES, N_SLICES, INTERVAL_S = 953_000, 45, 20, 1.5
NOISE_HU = 1.0
WAYS = {
    "bcSVD: CBF, CBV, MTT, Tmax": PerfusionSettings(match_curves=False),
    "Tikhonov": PerfusionSettings(match_curves=False, method="tikhonov"),
    "oSVD": PerfusionSettings(match_curves=False, method="osvd"),
    "bcSVD and model matching: all five maps": PerfusionSettings(),
}
OWN_TIMES = "the same, every slice at its own times"
TARGET_RATIO, TARGET_MATCHED_S, TARGET_MB = 3.0, 2.0, 1000.0
SHARES = (0.125, 0.25, 0.5, 0.75, 1.0)
FRAMES = (20, 30, 45, 60, 90)

_OSIPY = """
import resource, sys, time
import numpy as np
from osipy.dsc.deconvolution import get_deconvolver
data = np.load(sys.argv[1])
solver = get_deconvolver(sys.argv[2])
taken = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    solver.deconvolve(data["curves"], data["artery"], data["times"])
    taken.append(time.perf_counter() - start)
print(sorted(taken)[len(taken) // 2], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


@dataclass(frozen=True)
class Cost:
    """Medians of several runs, and the peak of the process."""

    name: str
    n_voxels: int
    n_frames: int
    seconds: float
    product_s: float
    peak_mb: float

    @property
    def ratio(self) -> float:
        """Time over that of the bare product."""
        return self.seconds / self.product_s


def data(n_voxels: int, n_frames: int) -> tuple[NDArray[np.float32], Inputs]:
    """Noisy (T, N) curves of all kinds of tissue, and their artery."""
    rng, artery, times_s = np.random.default_rng(0), Artery(recirculation=0.2), INTERVAL_S * np.arange(n_frames)
    kinds = [
        artery.tissue_hu(times_s, Transit("gamma", shape), cbf_ml_100g_min=60 * cbv / mtt_s, mtt_s=mtt_s, delay_s=delay_s)
        for shape in (1.0, 3.0)
        for cbv, mtt_s in ((4.0, 4.0), (2.0, 6.0), (3.5, 9.0), (1.0, 18.0))
        for delay_s in (0.0, 0.7, 1.5, 4.0, 8.0)
    ]
    curves = np.array(kinds, dtype=np.float32).T[:, rng.integers(0, len(kinds), n_voxels)]
    curves += NOISE_HU * rng.standard_normal(curves.shape, dtype=np.float32)
    aif = Curve(times_s, artery.hu(times_s), (0.0, 0.0, 0.0), 1)
    return curves, Inputs(aif, aif, 1.0)


def timed(run: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(name: str, n_voxels: int, n_frames: int, repeats: int) -> Cost:
    """One row, in this process."""
    curves, inputs = data(n_voxels, n_frames)
    settings, frames = WAYS.get(name, PerfusionSettings()), None
    if name == OWN_TIMES:
        late_s = np.linspace(0.0, INTERVAL_S, N_SLICES, endpoint=False)
        frames = SliceTimes(inputs.aif.times_s + late_s[:, None], np.arange(n_voxels) * N_SLICES // n_voxels)

    def ours() -> object:
        return compute_maps(curves, inputs, settings, frames)

    ours()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    matrix = np.random.default_rng(0).standard_normal((2 * n_frames, n_frames), dtype=np.float32)
    out = np.empty((2 * n_frames, n_voxels), dtype=np.float32)
    np.matmul(matrix, curves, out=out)
    pairs = [(timed(lambda: np.matmul(matrix, curves, out=out)), timed(ours)) for _ in range(repeats)]
    product_s, seconds = (median(column) for column in zip(*pairs, strict=True))
    return Cost(name, n_voxels, n_frames, seconds, product_s, peak_mb)


def apart(rows: Iterable[tuple[str, int, int, int]]) -> list[Cost]:
    """Every row in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        return fresh.starmap(measure, rows, chunksize=1)


def osipy(python: Path, method: str, repeats: int) -> tuple[float, float]:
    """Seconds and peak MB of a deconvolution of osipy on the same curves."""
    curves, inputs = data(N_VOXELS, N_FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        np.savez(given, curves=np.ascontiguousarray(curves.T), artery=inputs.aif.enhancement_hu, times=inputs.aif.times_s)
        command = [str(python), "-c", _OSIPY, str(given), method, str(repeats)]
        seconds, peak_mb = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return float(seconds), float(peak_mb)


def verdict(cost: Cost) -> str:
    """Whether the row meets its target."""
    if cost.name.startswith("bcSVD:"):
        met, target = cost.ratio <= TARGET_RATIO and cost.peak_mb <= TARGET_MB, f"<= {TARGET_RATIO:g} x, <= {TARGET_MB:g} MB"
    elif cost.name.startswith("bcSVD and"):
        met, target = cost.seconds <= TARGET_MATCHED_S, f"<= {TARGET_MATCHED_S:g} s"
    else:
        return ""
    return f"{target}: {'pass' if met else '**MISS**'}"


def growth(title: str, costs: list[Cost]) -> None:
    """Print how the time grows."""
    print(f"\n### {title}\n")
    print("| method | voxels | frames | s | microseconds a voxel | over product |\n|---|--:|--:|--:|--:|--:|")
    for c in costs:
        each = 1e6 * c.seconds / c.n_voxels
        print(f"| {c.name} | {c.n_voxels} | {c.n_frames} | {c.seconds:.3f} | {each:.2f} | {c.ratio:.1f} |")


def plot(voxels: list[Cost], frames: list[Cost], path: Path) -> None:
    """Time against voxels and frames, with the line through 0 and the largest."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, costs, size, label in (
        (axes[0], voxels, lambda c: c.n_voxels / 1e6, "million voxels, 45 frames"),
        (axes[1], frames, lambda c: c.n_frames, f"frames, {N_VOXELS // 4 / 1e6:.2f} million voxels"),
    ):
        for name in dict.fromkeys(c.name for c in costs):
            own = [c for c in costs if c.name == name]
            (line,) = axis.plot([size(c) for c in own], [c.seconds for c in own], "o", label=name)
            axis.plot([0, size(own[-1])], [0, own[-1].seconds], "-", color=line.get_color(), linewidth=0.8)
        axis.set(xlabel=label, ylabel="seconds (median)", xlim=(0, None), ylim=(0, None))
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the plot")
    parser.add_argument("--osipy-python", type=Path, help="a Python in which osipy is installed")
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the median is taken")
    options = parser.parse_args()
    costs = apart((name, N_VOXELS, N_FRAMES, options.repeats) for name in (*WAYS, OWN_TIMES))
    print(f"### {N_VOXELS} voxels, {N_FRAMES} frames\n")
    print("| method | s | bare product, s | ratio | peak MB | target |\n|---|--:|--:|--:|--:|---|")
    for c in costs:
        print(f"| {c.name} | {c.seconds:.2f} | {c.product_s:.3f} | {c.ratio:.1f} | {c.peak_mb:.0f} | {verdict(c)} |")
    if options.osipy_python:
        for method in ("cSVD", "oSVD"):
            seconds, peak_mb = osipy(options.osipy_python, method, min(options.repeats, 3))
            product_s = median(c.product_s for c in costs)
            print(f"| osipy {method} | {seconds:.2f} | {product_s:.3f} | {seconds / product_s:.1f} | {peak_mb:.0f} | |")
    shown = (next(iter(WAYS)), list(WAYS)[-1])
    voxels = apart((name, int(share * N_VOXELS), N_FRAMES, options.repeats) for name in shown for share in SHARES)
    frames = apart((name, N_VOXELS // 4, n_frames, options.repeats) for name in shown for n_frames in FRAMES)
    growth("Against voxels", voxels)
    growth("Against frames", frames)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        plot(voxels, frames, options.out / "perfusion_speed.png")


if __name__ == "__main__":
    main()
