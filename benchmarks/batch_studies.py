"""Small synthetic studies by the hundred, for `batch_scale.py`, and what their analysis alone costs.

Two kinds. `plain` is a CT series too small for any role, which is refused: real reading, choice of series and result.json, the
shortest real job there is and so the harshest on overhead. `ctp` is a perfusion scan of 48x48x8x30 that is really analysed
(motion, pose, maps); it is written once, and copied with new identifiers.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series, write_ctp_series
from lvo.synth.study import StudySpec, SyntheticStudy

AXES = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
COARSER_KJI = (2, 2, 2)


def make_studies(folder: Path, n: int, kind: str) -> None:
    """Write n small studies; what is there already is kept."""
    missing = [number for number in range(n) if not (folder / f"{number:05d}").exists()]
    scan = _coarse_scan() if kind == "ctp" and missing else None
    work = folder / ".work"  # hidden, so no study; a study that is written in part is never one
    for number in missing:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        study = StudyHeader(seed=f"batch {kind} {number}")
        if scan is None:
            write_ct_series(_plain_head(number), work, SeriesHeader(study, 2, "Head plain"))
        else:
            write_ctp_series(scan, work, SeriesHeader(study, 2, "CT perfusion"))
        work.rename(folder / f"{number:05d}")


def _plain_head(seed: int) -> Volume:
    """Brain in a skull in air, with noise."""
    shape_kji = (6, 64, 64)
    grid = Grid.from_axes(shape_kji, (8.0, 3.4, 3.4), origin_lps_mm=(-107.0, -107.0, 10.0), axes_lps=AXES)
    _, j, i = np.indices(shape_kji)
    radius = np.hypot((j - 31.5) / 27.0, (i - 31.5) / 22.0)
    head = np.select([radius < 0.9, radius < 1.0, radius < 1.06], [35.0, 1100.0, 40.0], -1000.0)
    noise = np.random.default_rng(seed).normal(0.0, 4.0, shape_kji)
    return Volume((head + noise).astype(np.float32), grid, Quantity.HU)


def _coarse_scan() -> TimeSeries:
    """The small perfusion scan of the phantom, averaged to voxels twice as large each way."""
    scan = SyntheticStudy(StudySpec(seed=3, size="small")).ctp()
    k, j, i = COARSER_KJI
    n_frames, n_k, n_j, n_i = scan.array.shape
    coarse = scan.array.reshape(n_frames, n_k // k, k, n_j // j, j, n_i // i, i).mean(axis=(2, 4, 6)).astype(np.float32)
    times_s = scan.times_s.reshape(n_frames, n_k // k, k).mean(axis=2)
    middle_lps_mm = scan.grid.to_lps_mm((np.array(COARSER_KJI) - 1.0) / 2.0)
    spacing_mm = tuple(size * step for size, step in zip(scan.grid.spacing_kji_mm, COARSER_KJI, strict=True))
    grid = Grid.from_axes(coarse.shape[1:], spacing_mm, origin_lps_mm=tuple(middle_lps_mm), axes_lps=AXES)
    return TimeSeries(coarse, grid, times_s - times_s.min())


def analyse_alone(studies: list[Path], out: Path, settings: Path) -> list[float]:
    """`run_study` one after another in this process, models loaded once; when each ended, seconds since 1970."""
    import msgspec

    from lvo.config import load_config
    from lvo.dicom.index import open_studies
    from lvo.pipeline import ALL_PARTS
    from lvo.run import Request, load_models, run_study

    config = load_config(settings)
    only_json = msgspec.structs.replace(config.outputs, html=False, dicom=False, maps=False)
    config = msgspec.structs.replace(config, outputs=only_json)
    models, ends = load_models(config), []
    for folder in studies:
        with open_studies([folder]) as (study,):
            run_study(study, models, Request(out, config, {}, ALL_PARTS))
        ends.append(time.time())
    return ends


def main() -> None:
    """Analyse every `of`-th study below a folder and print when each ended, as JSON; `batch_scale.py` runs this."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    asked = parser.parse_args()
    folders = sorted(path for path in asked.studies.iterdir() if not path.name.startswith("."))
    json.dump(analyse_alone(folders[asked.part :: asked.of], asked.out, asked.settings), sys.stdout)


if __name__ == "__main__":
    main()
