"""`lvo inspect`: the table, the JSON, and one line for what cannot be read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from lvo.core.grid import Grid
from lvo.core.volume import Quantity, Volume
from lvo.dicom.source import SeriesHeader, StudyHeader, write_ct_series

ROOT = Path(__file__).resolve().parents[2]


def _inspect(*arguments):
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    code = "from lvo.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "inspect", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A plain CT and an angiogram as the product's own writer makes them."""
    folder = tmp_path_factory.mktemp("study")
    header = StudyHeader("inspect")
    for number, name, step, agent in ((2, "Head [bold]5.0", 5.0, ""), (3, "CTA 1.0", 1.0, "Iohexol")):
        grid = Grid.from_axes((round(100 / step), 6, 5), (step, 2.0, 3.0), origin_lps_mm=(1.0, 2.0, 3.0))
        volume = Volume(np.zeros(grid.shape_kji, np.float32), grid, Quantity.HU)
        write_ct_series(volume, folder, SeriesHeader(header, number, name, start_s=60.0 * number, contrast_agent=agent))
    return folder


def test_the_table_names_role_geometry_and_reason(study):
    """Exit status 0; descriptions are shown as they are, not read as markup."""
    done = _inspect(study)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in ("Head [bold]5.0", "5x6x100, 3.00x2.00x1.00 mm", "contrast agent recorded", "no CT perfusion"):
        assert text in done.stdout


def _angiogram(study, folder):
    """A copy of the angiogram, its files in the order of their positions."""
    folder.mkdir()
    files = []
    for path in study.iterdir():
        header = pydicom.dcmread(path)
        if header.SeriesNumber == 3:
            header.save_as(folder / path.name)
            files.append((float(header.ImagePositionPatient[2]), folder / path.name))
    return [path for _, path in sorted(files)]


def test_places_are_told_where_there_are_several_and_fit_a_narrow_terminal(study, tmp_path):
    """A second, thicker angiogram: which is used, which comes second and why; no line is wider than the terminal."""
    folder = tmp_path / "s"
    _angiogram(study, folder)
    grid = Grid.from_axes((34, 6, 5), (3.0, 2.0, 3.0), origin_lps_mm=(1.0, 2.0, 3.0))
    volume = Volume(np.zeros(grid.shape_kji, np.float32), grid, Quantity.HU)
    thick = SeriesHeader(StudyHeader("inspect"), 7, "CTA 3.0", start_s=180.0, contrast_agent="Iohexol")
    write_ct_series(volume, folder, thick)
    said = _inspect(folder).stdout
    assert "yes, 1 of 2" in said
    assert "7: contrast agent recorded, 3 mm slices" in said
    assert "series 3 is preferred for thinner slices" in said
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "dumb"}
    code = "from lvo.cli import main; main()"
    command = [sys.executable, "-c", code, "inspect", str(folder)]
    narrow = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout
    assert max(len(line) for line in narrow.splitlines()) <= 80


def test_a_file_cut_short_is_seen_without_its_pixels(study, tmp_path):
    files = _angiogram(study, tmp_path / "s")
    files[40].write_bytes(files[40].read_bytes()[:-20])
    (row,) = json.loads(_inspect(tmp_path / "s", "--json").stdout)[0]["series"]
    assert "but 1 of 100 image files is cut short: send the series again" in row["reason"]
    assert (row["used"], row["sound"]) == (True, False)
    shown = _inspect(tmp_path / "s").stdout
    assert "CT angiogram: series 3, WHICH CANNOT BE USED: see its reason" in shown
    assert "cannot be" in next(line for line in shown.splitlines() if "CTA 1.0" in line)
    assert "CANNOT" not in _inspect(study).stdout


def test_exchanged_positions_are_seen_by_the_count_of_the_scanner(study, tmp_path):
    files = _angiogram(study, tmp_path / "s")
    first, second = pydicom.dcmread(files[30]), pydicom.dcmread(files[70])
    first.ImagePositionPatient, second.ImagePositionPatient = second.ImagePositionPatient, first.ImagePositionPatient
    first.save_as(files[30])
    second.save_as(files[70])
    (row,) = json.loads(_inspect(tmp_path / "s", "--json").stdout)[0]["series"]
    assert row["used"], "a hint, no refusal"
    assert "but the scanner counted slices 31, 71 elsewhere: positions may be exchanged" in row["reason"]
    assert "exchanged" not in _inspect(study).stdout


def test_json_has_every_series(study):
    """Machine-readable, nothing else on stdout."""
    done = _inspect(study, "--json")
    (found,) = json.loads(done.stdout)
    assert [(row["role"], row["used"], row["n_instances"]) for row in found["series"]] == [
        ("ncct", True, 20),
        ("cta", True, 100),
    ]
    assert found["missing"] == ["no CT perfusion in the study: 1 CT angiogram, 1 plain CT"]


def test_rank_and_points_are_told(study):
    """The reason in words, points by property in JSON."""
    assert "3: chosen: contrast agent recorded" in _inspect(study).stdout
    row = json.loads(_inspect(study, "--json").stdout)[0]["series"][1]
    assert (row["number"], row["rank"], row["ranked"]) == (3, 1, 1)
    assert row["points"] == {"slices": 3.0, "contrast": 4.0, "kernel": 1.5, "coverage": 1.25, "phase": 0.0, "original": 0.0}


def test_rules_of_the_hospital_are_obeyed(study, tmp_path):
    """The only angiogram is left out; the table says which rule did it."""
    config = tmp_path / "site.toml"
    config.write_text('[[selection.rules]]\ndescription = "^cta"\nrole = "ignore"\n')
    done = _inspect(study, "--config", config)
    assert done.returncode == 0, done.stderr
    assert "no CT angiogram in the study" in done.stdout
    assert "rule 1 of the configuration says ignore" in " ".join(done.stdout.split())
    config.write_text("[[selection.rules]]\nrole = 1\n")
    assert _inspect(study, "--config", config).returncode == 2


@pytest.mark.parametrize(("name", "content"), [("nowhere", None), ("letter.txt", "dear colleague")])
def test_what_cannot_be_read_is_one_line_and_exit_status_1(tmp_path, name, content):
    """No traceback."""
    if content:
        (tmp_path / name).write_text(content)
    done = _inspect(tmp_path / name)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("lvo: ")
    assert done.stderr.count("\n") == 1


def test_no_study_is_wrong_usage():
    """Exit status 2."""
    assert _inspect().returncode == 2


def test_a_truncated_and_an_empty_slice_are_named(study, tmp_path):
    """Neither needs the pixels to be read."""
    files = sorted(study.iterdir(), key=lambda path: path.name)
    for path in files:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = _inspect(tmp_path, "--json").stdout
    (tmp_path / files[0].name).write_bytes(files[0].read_bytes()[:-3])
    (tmp_path / "4711").touch()
    shown = _inspect(tmp_path, "--json").stdout
    for text in ("image files is cut short", "1 file is empty"):
        assert text in shown
        assert text not in whole
    assert "1 file is empty" in _inspect(tmp_path).stdout


def test_the_geometry_column_repeats_no_number(tmp_path):
    """Distances that differ beyond the digits shown are shown once."""
    positions = np.arange(20.0) * 2.5
    positions[10:] += 0.12
    header = StudyHeader("uneven")
    for k, z in enumerate(positions):
        grid = Grid.from_axes((1, 6, 5), (2.5, 2.0, 3.0), origin_lps_mm=(0.0, 0.0, z))
        volume = Volume(np.zeros(grid.shape_kji, np.float32), grid, Quantity.HU)
        (path,) = write_ct_series(volume, tmp_path, SeriesHeader(header, 1, "Head"))
        image = pydicom.dcmread(path)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k + 1}"
        path.unlink()
        image.save_as(tmp_path / str(k))
    shown = _inspect(tmp_path).stdout
    assert "2.50 to 2.62 mm" in shown
    assert "2.50 to 2.50" not in shown
