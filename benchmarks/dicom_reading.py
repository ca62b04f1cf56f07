"""How fast files become a volume: lvo beside pydicom, SimpleITK, dicomsdl and dcm2niix, each in a process of its own.

    python benchmarks/dicom_reading.py [--slices 600] [--repeats 3]

Draws noise of 512 x 512 as classic CT, uncompressed, and reads it with warm caches. A reader must give the mean of every slice
as the others do, or its row says so. Needs the extra `dev`; a reader that is not installed is left out of the table.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.index import open_studies
from lvo.dicom.layouts import LAYOUTS, write_ctp_layout
from lvo.dicom.load import load_volume
from lvo.dicom.select import choose
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series

POSITIONS, TIMES = 256, 45


def read_lvo(folder: Path, *, whole_hu: bool = True) -> np.ndarray:
    """Index, choose, check the geometry, load."""
    with open_studies([folder]) as (study,):
        found = choose(study).cta
        assert found is not None  # noqa: S101 - the phantom has one
        return load_volume(found, whole_hu=whole_hu).volume.array


def read_lvo_float(folder: Path) -> np.ndarray:
    """The same to float32, as the analysis uses it."""
    return read_lvo(folder, whole_hu=False)


def read_pydicom(folder: Path) -> np.ndarray:
    """The plain loop: read, sort by position, rescale, stack."""
    import pydicom

    images = sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda one: float(one.ImagePositionPatient[2]))
    planes = [(one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)).astype(np.int16) for one in images]
    return np.stack(planes)


def read_simpleitk(folder: Path) -> np.ndarray:
    """GDCM's names, ITK's series reader."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return SimpleITK.GetArrayFromImage(reader.Execute())


def read_dicomsdl(folder: Path) -> np.ndarray:
    """A loop over its own data sets."""
    import dicomsdl

    images = sorted((dicomsdl.open(str(path)) for path in folder.iterdir()), key=lambda one: one.ImagePositionPatient[2])
    return np.stack([one.pixelData(storedvalue=True).astype(np.int16) + np.int16(one.RescaleIntercept) for one in images])


def read_dcm2niix(folder: Path) -> np.ndarray:
    """The program writes NIfTI, uncompressed; its columns run the other way."""
    import nibabel

    with tempfile.TemporaryDirectory() as out:
        program = Path(sys.executable).with_name("dcm2niix")
        subprocess.run([program, "-z", "n", "-b", "n", "-m", "y", "-o", out, folder], check=True, capture_output=True)
        (path,) = Path(out).glob("*.nii")
        return np.asarray(nibabel.load(path).dataobj).T


READERS: dict[str, Callable[[Path], np.ndarray]] = {
    "lvo, int16": read_lvo, "lvo, float32": read_lvo_float, "pydicom loop": read_pydicom, "SimpleITK": read_simpleitk,
    "dicomsdl": read_dicomsdl, "dcm2niix": read_dcm2niix,
}  # fmt: skip


def memory_kb(kind: str) -> int:
    """A line of what the kernel says about this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{kind}:")))


def cpu_s() -> float:
    """Seconds of processor of this process and its finished children."""
    return sum(os.times()[:4])


def child(name: str, folder: Path) -> None:
    """Read once in this process and print what was measured."""
    read = READERS[name]
    if name != "dcm2niix":
        read(folder.with_name("warm"))  # imports and caches
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again from what is in use
    before_kb = memory_kb("VmRSS")
    start, cpu = time.perf_counter(), cpu_s()
    volume = read(folder)
    wall_s, used_s = time.perf_counter() - start, cpu_s() - cpu
    peak_kb = memory_kb("VmHWM") - before_kb
    means = [round(float(plane.mean(dtype=np.float64)), 3) for plane in volume]
    print(json.dumps({"wall_s": wall_s, "cpu_s": used_s, "peak_bytes": 1024 * peak_kb, "means": means}))


def measure(name: str, folder: Path, repeats: int) -> dict[str, object] | None:
    """Median of several children; None where the reader is not there."""
    runs = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, __file__, "--child", name, folder], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: left out, {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        runs.append(json.loads(done.stdout))
    middle = {key: statistics.median(run[key] for run in runs) for key in ("wall_s", "cpu_s", "peak_bytes")}
    return middle | {"means": runs[0]["means"]}


def draw(folder: Path, slices: int) -> None:
    """Noise on a plain grid, as CT images; and a short series of it to warm up with."""
    rng = np.random.default_rng(1)
    for name, n in (("cta", slices), ("warm", 64)):
        grid = Grid.from_axes((n, 512, 512), (1.25, 0.45, 0.45), origin_lps_mm=(-115.0, -115.0, -100.0))
        values = rng.integers(-1000, 2000, size=grid.shape_kji).astype(np.float32)
        (folder / name).mkdir()
        header = SeriesHeader(StudyHeader(name), 3, "CTA", contrast_agent="NOISE")
        write_ct_series(Volume(values, grid, Quantity.HU), folder / name, header)


def index_perfusion(folder: Path) -> tuple[float, float, float]:
    """Seconds (wall, processor) to index 11,520 images of 16 x 16 pixels, and to give them their role: headers only."""
    grid = Grid.from_axes((POSITIONS, 16, 16), (0.5, 12.0, 12.0), origin_lps_mm=(-90.0, -90.0, 0.0))
    layout = LAYOUTS["philips"]
    times_s = layout.slice_times_s(1.5 * np.arange(TIMES), POSITIONS)
    series = TimeSeries(np.zeros((TIMES, *grid.shape_kji), np.float32), grid, times_s)
    folder.mkdir()
    write_ctp_layout(series, folder, SeriesHeader(StudyHeader("ctp"), 4, "CTP"), layout)
    start, cpu = time.perf_counter(), cpu_s()
    with open_studies([folder]) as (study,):
        middle, used_s = time.perf_counter(), cpu_s() - cpu
        assert choose(study).ctp  # noqa: S101 - the phantom has one
    return middle - start, used_s, time.perf_counter() - middle


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("READER", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child[0], Path(given.child[1]))
        return
    folder = Path(tempfile.mkdtemp(prefix="lvo-benchmark-"))
    try:
        draw(folder, given.slices)
        found = {name: measured for name in READERS if (measured := measure(name, folder / "cta", given.repeats))}
        loop = found["pydicom loop"]
        volume_bytes = given.slices * 512 * 512 * 2
        print("| reader | wall, s | of the pydicom loop | CPU, s | peak memory / int16 volume | same values |")
        print("|---|--:|--:|--:|--:|---|")
        for name, one in found.items():
            same = np.allclose(sorted(one["means"]), sorted(loop["means"]), atol=0.01)
            ratio = one["wall_s"] / loop["wall_s"]
            memory = "not measured" if name == "dcm2niix" else f"{one['peak_bytes'] / volume_bytes:.2f}"
            cells = (name, f"{one['wall_s']:.2f}", f"{ratio:.2f}", f"{one['cpu_s']:.2f}", memory, "yes" if same else "NO")
            print(f"| {' | '.join(cells)} |")
        index_s, index_cpu_s, choose_s = index_perfusion(folder / "ctp")
        took = f"indexed in {index_s:.1f} s ({index_cpu_s:.1f} s CPU), roles in {choose_s:.1f} s"
        print(f"\n{POSITIONS * TIMES} perfusion images: {took}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
