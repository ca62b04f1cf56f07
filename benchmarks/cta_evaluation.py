"""Cases of the evaluation set through DICOM and `lvo run`: call, side and site against the truth, time and memory.

    python benchmarks/cta_evaluation.py [--cases 20] [--slices 340] [--config site.toml] [--keep DIR]

The figures of `lvo evaluate` start from crops whose pose is drawn; here whole heads are scanned as 512x512 slices, written as
DICOM, and found, registered, judged and reported by the command a hospital calls. The cases are the first of the order in which
`lvo evaluate` runs the set, so any number of them is a fair sample. Their slices are those of this benchmark (0.625 mm apart),
except where a case is hard because its slices are thick. Prints a row per case, and time and peak memory per stage.
"""

import argparse
import json
import math
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from detection import LVO, share

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series
from lvo.evaluate.records import TrueStop, is_covered
from lvo.evaluate.run import balanced
from lvo.synth.acquire import acquire
from lvo.synth.cases import Case, CaseTruth, draw_case, evaluation_set, truth_of
from lvo.synth.families import Family
from lvo.synth.head import make_head

PIXELS, PIXEL_MM, SLICE_MM = 512, 0.45, 0.625
MIDDLE_ATLAS_MM = (0.0, 18.0, 2.0)
FAR_MM = 10.0


def write_case(case: Case, folder: Path, n_slices: int) -> CaseTruth:
    """Scan a whole head and write it as one DICOM series."""
    head = make_head(case.head)
    thick = case.family is Family.THICK
    apart_mm = case.scan.spacing_kji_mm[0] if thick else SLICE_MM
    scan = replace(
        case.scan, spacing_kji_mm=(apart_mm, PIXEL_MM, PIXEL_MM), thickness_mm=case.scan.thickness_mm if thick else 0.0
    )
    shape = (round(n_slices * SLICE_MM / apart_mm), PIXELS, PIXELS)
    size_mm = (np.array(shape) - 1) * scan.spacing_kji_mm
    grid = Grid.from_axes(shape, scan.spacing_kji_mm, origin_lps_mm=head.pose.to_lps_mm(MIDDLE_ATLAS_MM) - size_mm[::-1] / 2.0)
    hu = np.clip(acquire(head, grid, scan).array, -1024, 3071)
    header = SeriesHeader(
        StudyHeader(f"evaluation {case.seed}"), 2, "CT angiogram head", kvp=float(case.kv), contrast_agent="SYNTHETIC IODINE",
        slice_thickness_mm=max(apart_mm, scan.thickness_mm),
    )  # fmt: skip
    folder.mkdir(parents=True)
    write_ct_series(Volume(hu.astype(np.int16), grid, Quantity.HU), folder, header)
    return truth_of(replace(case, scan=scan), head)


def analyse(study: Path, out: Path, config: Path | None) -> dict[str, object]:
    """`lvo run` on one study: its answer, seconds per stage and for the whole command."""
    extra = [] if config is None else ["--config", str(config)]
    start = time.perf_counter()
    subprocess.run([str(LVO), "run", str(study), "--out", str(out), "--only", "cta", "--quiet", *extra], check=False)
    wall_s = time.perf_counter() - start
    results = list(out.glob("*/result.json"))
    if not results:
        return {"cta": {"state": "failed", "lvo": None, "reasons": []}, "timings_s": {}, "wall_s": wall_s}
    document = json.loads(results[0].read_text())
    return {"cta": document["cta"], "timings_s": document["timings_s"], "wall_s": wall_s}


def row_of(truth: CaseTruth, result: dict[str, object]) -> dict[str, object]:
    """Truth and answer side by side."""
    stops = [TrueStop(side=one.side, site=one.site, part=one.part, location_lps_mm=one.cutoff_lps_mm) for one in truth.stops]
    covered = [stop for stop in stops if is_covered(stop)]
    lvo = result["cta"]["lvo"] or {}
    sides = {stop.side.value for stop in covered or stops}
    place = lvo.get("location_lps_mm")
    return {
        "truth": truth,
        "standing": "positive" if covered else "aside" if stops else "negative",
        "state": result["cta"]["state"],
        "lvo": lvo,
        "called": lvo.get("call") == "suspected",
        "side_right": lvo.get("side") == ("both" if len(sides) == 2 else next(iter(sides), None)),
        "site_right": lvo.get("site") in {stop.site.value for stop in stops},
        "distance_mm": min((math.dist(place, stop.location_lps_mm) for stop in stops), default=None) if place else None,
    }


def print_rows(rows: list[dict[str, object]]) -> None:
    """The cases, and what they add up to."""
    print("| case | truth | family | result | probability | distance to the true stop, mm |\n|--:|---|---|---|--:|--:|")
    for row in rows:
        truth, lvo = row["truth"], row["lvo"]
        stops = " and ".join(f"{one.side.value} {one.site.value} {one.part}".strip() for one in truth.stops) or "none"
        found = f"{lvo.get('call', row['state'])} {lvo.get('side') or ''} {lvo.get('site') or ''}".strip()
        probability = f"{lvo.get('probability', float('nan')):.2f}"
        distance = "" if row["distance_mm"] is None else f"{row['distance_mm']:.0f}"
        print(f"| {truth.seed} | {stops} | {truth.family.value} | {found} | {probability} | {distance} |")
    positives, negatives = ([row for row in rows if row["standing"] == kind] for kind in ("positive", "negative"))
    called = [row for row in positives if row["called"]]
    near = [row["distance_mm"] is not None and row["distance_mm"] <= FAR_MM for row in called]
    print("\n| on heads with | n | share (95 % interval) |\n|---|--:|---|")
    print(share("covered occlusion: suspected (not judged counts as missed)", [row["called"] for row in positives]))
    print(share("suspected: right side", [row["side_right"] for row in called]))
    print(share("suspected: right site", [row["site_right"] for row in called]))
    print(share("suspected: point within 10 mm", near))
    print(share("no occlusion: suspected", [row["called"] for row in negatives]))
    print(share("any: could not be judged", [row["state"] != "assessed" for row in rows]))


def print_times(results: list[dict[str, object]]) -> None:
    """Median seconds of every stage up to the call, and of the whole command."""
    stages = list(dict.fromkeys(name for result in results for name in result["timings_s"]))
    print("\n| stage | median s | longest s |\n|---|--:|--:|")
    for name in stages:
        values = [result["timings_s"][name] for result in results if name in result["timings_s"]]
        print(f"| {name} | {statistics.median(values):.1f} | {max(values):.1f} |")
    to_call = [sum(result["timings_s"].values()) for result in results if result["timings_s"]] or [float("nan")]
    wall = [result["wall_s"] for result in results]
    print(f"| **CTA path, DICOM to call** | **{statistics.median(to_call):.1f}** | {max(to_call):.1f} |")
    print(f"| whole `lvo run --only cta`, with report and DICOM results | {statistics.median(wall):.1f} | {max(wall):.1f} |")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--slices", type=int, default=340)
    parser.add_argument("--config", type=Path, help="settings for `lvo run`")
    parser.add_argument("--keep", type=Path, help="keep studies and results here")
    options = parser.parse_args()
    rows, results = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in balanced(evaluation_set())[: options.cases]:
            case, folder = draw_case(seed, "evaluation"), (options.keep or Path(temporary)) / str(seed)
            truth = write_case(case, folder / "study", options.slices)
            results.append(analyse(folder / "study", folder / "out", options.config))
            rows.append(row_of(truth, results[-1]))
            print(f"{seed}: {rows[-1]['state']}, {results[-1]['wall_s']:.0f} s", file=sys.stderr, flush=True)
            if options.keep is None:
                shutil.rmtree(folder)
    print_rows(rows)
    print_times(results)
    print(f"\nPeak memory of a child process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2:.2f} GB.")


if __name__ == "__main__":
    main()
