"""The long look for inputs that crash, hang or exhaust the memory: `scripts/fuzz [SECONDS]`, by itself 30 minutes per test."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from lvo_tests_dicom_scene import CONDITIONS, Scene
from pydicom.data import get_testdata_files
from pydicom.uid import JPEGLSLossless, RLELossless

from lvo.core.grid import Grid
from lvo.core.volume import TimeSeries
from lvo.dicom.layouts import LAYOUTS, write_ctp_layout
from lvo.dicom.source import SeriesHeader, StudyHeader

SECONDS = int(os.environ.get("LVO_FUZZ_SECONDS", "0"))
LIMITS = ("-timeout=30", "-rss_limit_mb=450", "-malloc_limit_mb=150", "-max_len=60000", "-print_final_stats=1")
"""A file of 60 kB may promise 60 MB of pixels (`lvo.dicom.pixels`), which make 120 MB of HU: reading may take twice that, and
Python 130 MB beside it. Each input is measured against its own volume, too (`fuzzing.py`)."""
STORED = (
    "rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "htj2k", "big-endian", "implicit", "signed", "twelve-bits", "eight-bits",
    "thirty-two-bits", "rescale-per-slice", "padding", "few-pixels", "absurd-size", "promises-too-much", "tilt-forward",
)  # fmt: skip
"""Conditions of the table that differ in how pixels are stored: an image of each is a seed."""
ROUND = 20
"""Studies that are assembled between two looks at the clock."""
STATES = re.compile(r"^(?:Done .*|stat::.*)$", re.MULTILINE)

LONG = settings(
    max_examples=ROUND, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
"""At random, and slowly where the machine is busy."""

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.timeout(0),
    pytest.mark.skipif(SECONDS == 0, reason="scripts/fuzz runs it, for as long as it is told"),
]


def _seeds(folder: Path) -> None:
    """What pydicom ships, slices stored in every way, and multi-frame perfusion."""
    for name in get_testdata_files():
        path = Path(name)
        if path.suffix == ".dcm" and path.stat().st_size < 60_000:
            (folder / path.name).write_bytes(path.read_bytes())
    scene = Scene(folder)
    scene.enhanced(scene.stack(6))
    for name in STORED:
        stored = Scene(folder)
        stored.folder = folder / name
        stored.folder.mkdir()
        CONDITIONS[name](stored)
        next(stored.folder.iterdir()).rename(folder / f"{name}.dcm")
        shutil.rmtree(stored.folder)
    grid = Grid.from_axes((3, 6, 5), (5.0, 2.0, 1.5), origin_lps_mm=(0.0, 0.0, 0.0))
    layout = LAYOUTS["philips-enhanced"]
    series = TimeSeries(np.zeros((10, 3, 6, 5), np.float32), grid, layout.slice_times_s(2.0 * np.arange(10), 3))
    write_ctp_layout(series, folder, SeriesHeader(StudyHeader("fuzz"), 4, "CTP"), layout)


def _one_of_many(corpus: Path, beside: Path) -> None:
    """A short series: one slice becomes seeds, plain and packed, the others are what it is read among."""
    scene = Scene(beside)
    plain, *_ = scene.series(scene.stack(12))
    for name, syntax in {"plain": None, "rle": RLELossless, "jpeg-ls": JPEGLSLossless}.items():
        image = pydicom.dcmread(plain)
        if syntax is not None:
            image.compress(syntax, generate_instance_uid=False)
        image.save_as(corpus / f"slice-{name}.dcm")
    plain.unlink()


def test_no_file_crashes_the_reader(tmp_path):
    """Atheris, on seeds of every kind; prints what it tried."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    _seeds(corpus)
    _one_of_many(corpus, tmp_path / "beside")
    program = Path(__file__).with_name("fuzzing.py")
    options = [f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/", *LIMITS]
    done = subprocess.run(
        [sys.executable, program, tmp_path, *options, corpus], capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1500:]}"
    most = (tmp_path / "most").read_text(encoding="ascii")
    sys.stderr.write("\n".join(["", *STATES.findall(done.stderr), f"most memory for an input: {most}", ""]))


def test_no_way_of_arriving_gives_a_wrong_volume():
    """The assembly of a study, at random and for longer than in the normal suite; prints how often it was tried."""
    machine, end, rounds = _assembly(), time.monotonic() + SECONDS, 0
    while rounds == 0 or time.monotonic() < end:
        run_state_machine_as_test(machine.Assembly, settings=LONG)
        rounds += 1
    sys.stderr.write(f"\nassembled {ROUND * rounds} studies\n")


def _assembly():
    spec = importlib.util.spec_from_file_location("lvo_tests_dicom_assembly", Path(__file__).with_name("test_in_assembly.py"))
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]
