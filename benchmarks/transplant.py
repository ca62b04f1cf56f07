"""Drawn vessels in a real head: is the call right where skull, brain, noise and pose are real?

    python benchmarks/transplant.py [--data ../shared/data] [--first-seed 300] [--heads 10]

Arteries and veins of synthetic heads that nothing was fitted on are carried through the atlas into a real plain CT with face
and table, painted with true partial volume, blurred, given noise, written as DICOM and analysed by `lvo run`. Vessels are still
synthetic; everything around them is not. Prints one row per head and a summary with Wilson 95 % intervals.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from detection import LVO, OCCLUSIONS, share
from real_heads import read_nifti
from scipy.ndimage import gaussian_filter

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed
from lvo.core.pose import HeadPose
from lvo.core.volume import Quantity, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample
from lvo.synth.head import Head, HeadSpec, make_head
from lvo.synth.render import vessel_fractions
from lvo.synth.study import parse_occlusion
from lvo.synth.tubes import Tube

SPACING_KJI_MM = (0.8, 0.6, 0.6)
ARTERIAL_HU, NOISE_HU, BLUR_MM = 320.0, 9.0, 0.4


def carry(head: Head, pose: HeadPose) -> Head:
    """The vessels of a synthetic head, carried through the atlas into the real one."""

    def moved(tubes: tuple[Tube, ...]) -> tuple[Tube, ...]:
        return tuple(replace(tube, points_lps_mm=pose.to_lps_mm(head.pose.to_atlas_mm(tube.points_lps_mm))) for tube in tubes)

    return replace(head, arteries=moved(head.arteries), veins=moved(head.veins), clots=moved(head.clots))


def transplant(real: Volume, head: Head, seed: int) -> Volume:
    """Paint the vessels of a head, already carried, into the real CT."""
    size_mm = (np.array(real.grid.shape_kji) - 1) * real.grid.spacing_kji_mm
    shape = tuple(int(n) for n in size_mm / SPACING_KJI_MM)
    grid = Grid.from_axes(
        (shape[0], shape[1], shape[2]),
        SPACING_KJI_MM,
        origin_lps_mm=real.grid.to_lps_mm((0, 0, 0)),
        axes_lps=real.grid.axes_lps,
    )
    hu = resample(real, grid, fill=-1024.0).array
    artery, vein = (fraction.array for fraction in vessel_fractions(head, grid))
    lumen = np.clip(artery + vein, 0.0, 1.0)
    painted = hu * (1.0 - lumen) + ARTERIAL_HU * artery + ARTERIAL_HU * head.venous_fraction * np.clip(vein, 0.0, 1.0 - artery)
    sigma = np.divide(BLUR_MM, SPACING_KJI_MM)
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(hu.shape).astype(np.float32), 0.5)
    noisy = gaussian_filter(painted, sigma) + noise / noise.std() * NOISE_HU
    return Volume(np.round(np.where(hu > -900, noisy, hu)).astype(np.float32), grid, Quantity.HU)


def cases(real: Volume, pose: HeadPose, seeds: range) -> Iterator[dict[str, object]]:
    """Make and analyse each case."""
    for seed in seeds:
        occlusion = OCCLUSIONS[seed % len(OCCLUSIONS)]
        try:
            drawn = make_head(HeadSpec(seed=seed, occlusion=parse_occlusion(occlusion), collateral_grade=seed % 4))
        except ValueError:  # this head lacks the artery: a variant
            continue
        head = carry(drawn, pose)
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "study"
            study.mkdir()
            header = SeriesHeader(StudyHeader(f"transplant {seed}"), 2, "CT angiogram head", contrast_agent="SYNTHETIC IODINE")
            write_ct_series(transplant(real, head, seed), study, header)
            subprocess.run([str(LVO), "run", str(study), "--out", f"{folder}/out", "--quiet"], check=False)
            results = list(Path(folder).glob("out/*/result.json"))
            cta = json.loads(results[0].read_text())["cta"] if results else {"state": "failed", "lvo": None}
        found = cta["lvo"] or {}
        distance = None
        if head.clots and found.get("location_lps_mm"):
            distance = math.dist(head.clots[0].points_lps_mm[0], found["location_lps_mm"])
        yield {"seed": seed, "truth": occlusion, "state": cta["state"], "found": found, "distance_mm": distance}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--first-seed", type=int, default=300)
    parser.add_argument("--heads", type=int, default=10)
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"no real scans at {options.data}")
    real = read_nifti(next((options.data / "ncct_cranium").glob("*.nii*")))
    brain = find_brain(real)
    pose = register_to_atlas(real, brain.value) if isinstance(brain, Assessed) else brain
    if not isinstance(pose, Assessed):
        sys.exit(f"the real head was refused: {pose.reasons[0]}")
    rows = list(cases(real, pose.value, range(options.first_seed, options.first_seed + options.heads)))
    print("| seed | truth | result | probability | distance to the true stop, mm |\n|--:|---|---|--:|--:|")
    for row in rows:
        found = row["found"]
        words = f"{found.get('call', row['state'])} {found.get('side') or ''} {found.get('site') or ''}"
        distance = "" if row["distance_mm"] is None else f"{row['distance_mm']:.0f}"
        print(f"| {row['seed']} | {row['truth']} | {words} | {found.get('probability', float('nan')):.2f} | {distance} |")
    occluded = [row for row in rows if row["truth"] != "none" and "M2" not in row["truth"]]
    found = [row for row in occluded if row["found"].get("call") == "suspected"]
    print("\n| on heads with | n | share (95 % interval) |\n|---|--:|---|")
    print(share("ICA-T or M1 occlusion: suspected", [row in found for row in occluded]))
    print(share("suspected: right side", [row["found"]["side"] == row["truth"].split("-")[0] for row in found]))
    healthy = [row for row in rows if row["truth"] == "none"]
    print(share("no occlusion: not detected", [row["found"].get("call") == "not_detected" for row in healthy]))


if __name__ == "__main__":
    main()
