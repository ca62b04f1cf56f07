"""What can be checked on the real scans: brain volume, registration quality, and tilt correction against dcm2niix.

    python benchmarks/real_heads.py [--data ../shared/data]

The scans are not part of this repository; without them the script says so and stops.
"""

import argparse
import sys
from pathlib import Path

import nibabel
import numpy as np

from lvo.core.grid import Grid
from lvo.core.outcome import Assessed
from lvo.core.volume import Quantity, Volume
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_volume
from lvo.dicom.select import choose
from lvo.image.atlas import from_nibabel_ras
from lvo.image.brain import find_brain
from lvo.image.register import register_to_atlas
from lvo.image.resample import resample

MEASURED_ML = {"real head, tilted (GE)": 1262.0, "real head with face (cranium)": 1246.0}
"""Volumes measured once by another method."""


def read_nifti(path: Path) -> Volume:
    """A NIfTI file in HU as a volume in LPS."""
    image = nibabel.load(path)
    return from_nibabel_ras(np.asarray(image.dataobj, dtype=np.float32), image.affine, Quantity.HU)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    if not data.is_dir():
        sys.exit(f"no real scans at {data}")
    with open_studies([data / "ncct_ge_tilt"]) as (study,):
        tilted = load_volume(choose(study).ncct, allow_uneven=True).volume
    cranium = next((data / "ncct_cranium").glob("*.nii*"))
    heads = {"real head, tilted (GE)": tilted, "real head with face (cranium)": read_nifti(cranium)}
    print("| head | brain, mL | other method, mL | difference | registration quality |\n|---|--:|--:|--:|--:|")
    for name, volume in heads.items():
        brain = find_brain(volume)
        if not isinstance(brain, Assessed):
            print(f"| {name} | refused: {brain.reasons[0]} | | | |")
            continue
        ml = float(brain.value.array.sum()) * brain.value.grid.voxel_ml
        pose = register_to_atlas(volume, brain.value)
        quality = f"{pose.value.quality:.3f}" if isinstance(pose, Assessed) else "refused"
        print(f"| {name} | {ml:.0f} | {MEASURED_ML[name]:.0f} | {ml / MEASURED_ML[name] - 1:+.1%} | {quality} |")
    oracle = read_nifti(data / "ncct_ge_tilt" / "ge_dcm2niix_Tilt_Eq.nii.gz")
    grid = Grid(oracle.grid.shape_kji, oracle.grid.lps_from_kji, tilted.grid.frame_of_reference_uid)
    ours = resample(tilted, grid, fill=-2000.0).array
    both = (ours > -200) & (oracle.array > -200)
    r = np.corrcoef(ours[both], oracle.array[both])[0, 1]
    print(f"\nTilt-corrected volume against dcm2niix, common tissue ({both.sum()} voxels): r = {r:.4f}")


if __name__ == "__main__":
    main()
