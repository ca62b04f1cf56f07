"""Call, side and site on synthetic heads that nothing was fitted on, each written as DICOM and read back by `lvo run`.

    python benchmarks/detection.py [--first-seed 100] [--heads 12] [--workers 1]

Seeds below 1000 are never used for training, validation or calibration. The occlusions rotate through left and right ICA-T,
M1, M2 and none; collateral grade and pose vary with the seed. Prints one row per head and a summary with Wilson 95 % intervals.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

LVO = Path(sys.executable).with_name("lvo")
OCCLUSIONS = ("left-M1", "none", "right-ICA-T", "none", "right-M1", "none", "left-ICA-T", "none", "left-M2", "right-M2")


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson score interval of a proportion, 95 % (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    z, p = 1.96, hits / n
    center, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (center - spread) / (1 + z * z / n)), min(1.0, (center + spread) / (1 + z * z / n))


def judge(folder: Path, seed: int) -> dict[str, object]:
    """Write one head, analyse it, and put truth and result side by side."""
    study, out = folder / f"s{seed}", folder / f"r{seed}"
    occlusion = OCCLUSIONS[seed % len(OCCLUSIONS)]
    rotation = ",".join(str((seed * factor) % 31 - 15) for factor in (7, 11, 13))
    command = ["phantom", "cta", "--out", study, "--occlusion", occlusion, "--seed", seed, "--collateral", seed % 4]
    made = subprocess.run([str(part) for part in (LVO, *command, f"--rotation={rotation}")], capture_output=True, check=False)
    if made.returncode:  # this head lacks the artery: a variant; the message says so
        return {"seed": seed, "occlusion": occlusion, "skipped": made.stderr.decode().strip()}
    subprocess.run([str(LVO), "run", str(study), "--out", str(out), "--quiet"], check=False)
    results = list(out.glob("*/result.json"))
    cta = json.loads(results[0].read_text())["cta"] if results else {"state": "failed", "lvo": None}
    truth = json.loads((study / "truth.json").read_text())
    lvo = cta["lvo"] or {}
    distance_mm = None
    if truth["cutoff_lps_mm"] and lvo.get("location_lps_mm"):
        distance_mm = math.dist(truth["cutoff_lps_mm"], lvo["location_lps_mm"])
    return {"seed": seed, "occlusion": occlusion, "state": cta["state"], "truth": truth, "lvo": lvo, "distance_mm": distance_mm}


def share(name: str, hits: Sequence[bool]) -> str:
    """A row of the summary."""
    if not hits:
        return f"| {name} | - | - |"
    low, high = wilson(sum(hits), len(hits))
    return f"| {name} | {sum(hits)}/{len(hits)} | {sum(hits) / len(hits):.2f} ({low:.2f} to {high:.2f}) |"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.heads)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.workers) as pool:
        rows = list(pool.map(partial(judge, Path(folder)), seeds))
    print("| seed | truth | result | probability | distance to the true stop, mm |\n|--:|---|---|--:|--:|")
    for row in rows:
        if "skipped" in row:
            print(f"| {row['seed']} | {row['occlusion']} | not made: this head lacks the artery | | |")
            continue
        lvo = row["lvo"]
        found = f"{lvo.get('call', row['state'])} {lvo.get('side') or ''} {lvo.get('site') or ''}"
        distance = "" if row["distance_mm"] is None else f"{row['distance_mm']:.0f}"
        print(f"| {row['seed']} | {row['occlusion']} | {found} | {lvo.get('probability', float('nan')):.2f} | {distance} |")
    made = [row for row in rows if "skipped" not in row]
    occluded = [row for row in made if row["truth"]["site"]]
    proximal = [row for row in occluded if row["truth"]["site"] != "M2"]
    distal = [row for row in occluded if row["truth"]["site"] == "M2"]
    found = [row for row in occluded if row["lvo"].get("call") == "suspected"]
    print("\n| on heads with | n | share (95 % interval) |\n|---|--:|---|")
    for name, group in (("ICA-T or M1 occlusion: suspected", proximal), ("M2 occlusion: suspected", distal)):
        print(share(name, [row["lvo"].get("call") == "suspected" for row in group]))
    print(share("suspected: right side", [row["lvo"]["side"] == row["truth"]["side"] for row in found]))
    print(share("suspected: right site", [row["lvo"]["site"] == row["truth"]["site"] for row in found]))
    healthy = [row for row in made if not row["truth"]["site"]]
    print(share("no occlusion: not detected", [row["lvo"].get("call") == "not_detected" for row in healthy]))
    print(share("any: could not be judged", [row["state"] != "assessed" for row in made]))


if __name__ == "__main__":
    main()
