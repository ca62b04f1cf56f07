"""Time and memory of the main job: a full synthetic study (CTA 512x512x300, CTP 256x256x16x45) through `lvo run`.

    python benchmarks/demo_study.py [--study DIR] [--repeats 3]

Prints a Markdown table: median seconds per stage, whole command, peak memory, and the start of `lvo --help`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LVO = Path(sys.executable).with_name("lvo")


def timed(*arguments: str) -> float:
    """Seconds that a command takes; it must succeed."""
    start = time.perf_counter()
    subprocess.run([str(LVO), *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, help="a study made by `lvo phantom study`; made when omitted")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = options.study or Path(folder) / "study"
        if options.study is None:
            timed("phantom", "study", "--out", str(study), "--occlusion", "left-M1", "--seed", "1")
        wall_s, stages = [], []
        for n in range(options.repeats):
            out = Path(folder) / f"out{n}"
            wall_s.append(timed("run", str(study), "--out", str(out), "--quiet"))
            stages.append(json.loads(next(out.glob("*/run.json")).read_text())["timings_s"])
        peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
        help_s = statistics.median(timed("--help") for _ in range(5))
    print("| stage | median s |\n|---|--:|")
    for name in stages[0]:
        print(f"| {name} | {statistics.median(stage[name] for stage in stages):.1f} |")
    print(f"| **whole `lvo run`** | **{statistics.median(wall_s):.1f}** |")
    print(f"| `lvo --help` | {help_s:.2f} |")
    print(f"\nPeak memory of a child process: {peak_gb:.2f} GB; {options.repeats} repeats.")


if __name__ == "__main__":
    main()
