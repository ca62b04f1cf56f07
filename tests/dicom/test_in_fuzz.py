"""The long look for inputs that crash, hang or exhaust the memory: `scripts/fuzz [SECONDS]`, by itself 30 minutes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from lvo_tests_dicom_scene import Scene
from pydicom.data import get_testdata_files

from lvo.core.grid import Grid
from lvo.core.volume import TimeSeries
from lvo.dicom.layouts import LAYOUTS, write_ctp_layout
from lvo.dicom.source import SeriesHeader, StudyHeader

SECONDS = int(os.environ.get("LVO_FUZZ_SECONDS", "0"))
LIMITS = ("-timeout=30", "-rss_limit_mb=1500", "-malloc_limit_mb=400", "-max_len=60000")
"""A file of 60 kB may promise 60 MB of pixels (`lvo.dicom.pixels`), which make 120 MB of HU."""

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.timeout(0),
    pytest.mark.skipif(SECONDS == 0, reason="scripts/fuzz runs it, for as long as it is told"),
]


def _seeds(folder: Path) -> None:
    """What pydicom ships, a slice, and multi-frame perfusion."""
    for name in get_testdata_files():
        path = Path(name)
        if path.suffix == ".dcm" and path.stat().st_size < 60_000:
            (folder / path.name).write_bytes(path.read_bytes())
    scene = Scene(folder)
    scene.series(scene.stack(2))
    scene.enhanced(scene.stack(6))
    grid = Grid.from_axes((3, 6, 5), (5.0, 2.0, 1.5), origin_lps_mm=(0.0, 0.0, 0.0))
    layout = LAYOUTS["philips-enhanced"]
    series = TimeSeries(np.zeros((10, 3, 6, 5), np.float32), grid, layout.slice_times_s(2.0 * np.arange(10), 3))
    write_ctp_layout(series, folder, SeriesHeader(StudyHeader("fuzz"), 4, "CTP"), layout)


def test_no_file_crashes_the_reader(tmp_path):
    """Atheris, on seeds of every kind; prints what it tried."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    _seeds(corpus)
    program = Path(__file__).with_name("fuzzing.py")
    options = [f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/", *LIMITS]
    done = subprocess.run(
        [sys.executable, program, tmp_path, *options, corpus], capture_output=True, text=True, errors="replace", check=False
    )
    sys.stderr.write(done.stderr[-400:])
    assert done.returncode == 0, done.stderr[-4000:]


def test_no_way_of_arriving_gives_a_wrong_volume():
    """The assembly of a study, at random and for longer than in the normal suite."""
    machine = sys.modules.get("lvo_tests_dicom_assembly") or _assembly()
    run_state_machine_as_test(machine.Assembly, settings=settings(max_examples=max(50, SECONDS), deadline=None))


def _assembly():
    spec = importlib.util.spec_from_file_location("lvo_tests_dicom_assembly", Path(__file__).with_name("test_in_assembly.py"))
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]
