"""The main job as a user meets it: DICOM folders into the installed command, files and exit status out."""

import gzip
import json
import math
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

BIN = Path(sys.executable).parent


def lvo(*arguments, **options):
    """Run the installed command."""
    command = [str(BIN / "lvo"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=800, **options)


def result_of(out):
    return json.loads(next(Path(out).glob("*/result.json")).read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study: plain CT, CTA, CTP, localizer and dose page of a head whose right M1 is closed."""
    folder = tmp_path_factory.mktemp("study")
    made = lvo(
        "phantom", "study", "--out", folder, "--occlusion", "right-M1", "--seed", 21, "--collateral", 1, "--size", "small"
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory):
    """Settings for the small study, whose angiogram is coarse."""
    path = tmp_path_factory.mktemp("config") / "site.toml"
    path.write_text("[cta]\nmin_arterial_hu = 100.0\n")
    return path


@pytest.fixture(scope="module")
def analysed(study, relaxed, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    finished = lvo("run", study, "--out", out, "--config", relaxed, "--json")
    assert finished.returncode == 0, finished.stderr
    return next(out.iterdir()), finished


@pytest.mark.slow
@pytest.mark.parametrize(
    ("occlusion", "seed", "rotation"),
    [
        pytest.param("left-M1", 11, "12,-9,14", id="left M1, head turned"),
        pytest.param("right-ICA-T", 12, "-14,6,-10", id="right carotid T, head turned"),
        pytest.param("none", 13, "0,0,0", id="nothing closed"),
        pytest.param("none", 14, "-10,12,8", id="nothing closed, head turned"),
    ],
)
def test_call_and_side_through_dicom(tmp_path, occlusion, seed, rotation):
    """Heads that neither network nor call ever saw, at the resolution of a scanner."""
    made = lvo("phantom", "cta", "--out", tmp_path / "s", "--occlusion", occlusion, "--seed", seed, f"--rotation={rotation}")
    assert made.returncode == 0, made.stderr
    truth = json.loads((tmp_path / "s" / "truth.json").read_text())
    finished = lvo("run", tmp_path / "s", "--out", tmp_path / "r")
    assert finished.returncode == 0, finished.stderr
    found = result_of(tmp_path / "r")["cta"]["lvo"]
    if occlusion == "none":
        assert found["call"] == "not_detected"
        assert found["location_lps_mm"] is None
        return
    assert (found["call"], found["side"]) == ("suspected", truth["side"])
    assert math.dist(found["location_lps_mm"], truth["cutoff_lps_mm"]) < 20
    source = {str(header.SOPInstanceUID): header for header in read_headers(tmp_path / "s")}
    nearest = source[found["sop_instance_uid"]]
    assert abs(nearest.ImagePositionPatient[2] - found["location_lps_mm"][2]) < 1.0


def read_headers(folder):
    for path in Path(folder).rglob("*"):
        if path.is_file() and path.suffix != ".json":
            yield pydicom.dcmread(path, stop_before_pixels=True)


def test_everything_the_contract_promises_is_there(analysed):
    folder, _ = analysed
    document = json.loads((folder / "result.json").read_text())
    assert folder.name == document["study"]["study_instance_uid"]
    parts = {"result.json", "run.json", "report.html", "images", "maps", "preview", "dicom"}
    assert parts == {path.name for path in folder.iterdir()}
    listed = {output["path"] for output in document["outputs"]}
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert listed == on_disk
    maps = {
        f"maps/{name}.nii.gz" for name in ("arteries", "brain", "cbf", "cbv", "mtt", "tmax", "delay", "core", "hypoperfusion")
    }
    assert maps <= on_disk
    assert {"dicom/sr.dcm", "dicom/seg_cta.dcm", "dicom/seg_ctp.dcm", "dicom/sc_summary.dcm", "dicom/pdf.dcm"} <= on_disk
    run = json.loads((folder / "run.json").read_text())
    assert {"cta.load", "cta.prepare", "cta.arteries", "cta.call", "ctp.load", "ctp.perfusion", "write"} <= set(
        run["timings_s"]
    )
    assert run["config"]["cta"]["min_arterial_hu"] == 100.0


def test_stdout_is_the_result_and_everything_else_goes_to_stderr(analysed):
    folder, finished = analysed
    assert json.loads(finished.stdout) == json.loads((folder / "result.json").read_text())
    assert "report.html" in finished.stderr


def test_series_have_their_roles(analysed):
    folder, _ = analysed
    rows = json.loads((folder / "result.json").read_text())["series"]
    assert sorted((row["role"], row["used"]) for row in rows) == [
        ("cta", True), ("ctp", True), ("derived", False), ("localizer", False), ("ncct", True),
    ]  # fmt: skip
    assert all(row["reason"] for row in rows)


def test_perfusion_finds_the_lesion_on_its_side(study, analysed):
    folder, _ = analysed
    truth = json.loads((study / "truth.json").read_text())
    perfusion = json.loads((folder / "result.json").read_text())["perfusion"]
    assert perfusion["state"] == "assessed"
    assert perfusion["side"] == truth["side"] == "right"
    assert perfusion["hypoperfusion_ml"] == pytest.approx(truth["hypoperfusion_ml"], rel=0.35)
    assert perfusion["mismatch_ml"] == pytest.approx(perfusion["hypoperfusion_ml"] - perfusion["core_ml"], abs=0.2)


def test_maps_lie_where_the_patient_lies(analysed):
    """The hypoperfused voxels of the NIfTI file are on the patient's right (RAS x > 0) of the brain's middle."""
    folder, _ = analysed
    lesion = nibabel.load(folder / "maps" / "hypoperfusion.nii.gz")
    brain = nibabel.load(folder / "maps" / "ctp_brain.nii.gz")
    center = [
        nibabel.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) > 0)).mean(axis=0)
        for image in (lesion, brain)
    ]
    assert center[0][0] - center[1][0] > 15


def test_every_dicom_object_is_valid_and_in_the_patients_study(study, analysed):
    folder, _ = analysed
    patient = next(read_headers(study)).PatientID
    for path in sorted((folder / "dicom").iterdir()):
        header = pydicom.dcmread(path)
        assert header.StudyInstanceUID == folder.name
        assert header.PatientID == patient
        assert "RESEARCH USE ONLY" in header.SeriesDescription
    validator = shutil.which("dciodvfy", path=os.pathsep.join([str(BIN), os.environ["PATH"]]))
    if validator is None:
        pytest.skip("dciodvfy is missing (dicom3tools of the extra dev): the objects are in the study, not validated")
    for path in sorted((folder / "dicom").iterdir()):
        checked = subprocess.run([validator, path], capture_output=True, text=True, check=False)
        errors = [line for line in checked.stderr.splitlines() if line.startswith("Error")]
        assert not errors, f"{path.name}: {errors}"


def test_no_patient_identity_outside_dicom(study, analysed):
    folder, finished = analysed
    header = next(read_headers(study))
    texts = [finished.stdout, finished.stderr]
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "dicom":
            data = path.read_bytes()
            texts.append((gzip.decompress(data) if path.suffix == ".gz" else data).decode("latin-1"))
    for name in (str(header.PatientName), str(header.PatientID)):
        assert len(name) > 3
        assert not any(name in text for text in texts)


def test_the_page_needs_nothing_from_outside_and_says_what_it_is(analysed):
    folder, _ = analysed
    page = (folder / "report.html").read_text()
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert "Research use only" in page
    assert page.index("Research use only") < page.index("data:image/")


def test_a_second_run_replaces_the_result_and_leaves_nothing_else(analysed, study, relaxed):
    folder, _ = analysed
    before = (folder / "run.json").read_bytes()
    again = lvo("run", study, "--out", folder.parent, "--config", relaxed, "--only", "ctp", "--quiet")
    assert again.returncode == 0
    assert again.stdout == ""
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / "run.json").read_bytes() != before
    assert json.loads((folder / "result.json").read_text())["cta"]["state"] == "absent"


def test_a_zip_gives_the_same_perfusion_as_its_folder_and_the_same_uids(study, tmp_path):
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in study.rglob("*"):
            packed.write(path, path.relative_to(study))
    results = []
    for number, source in enumerate((study, archive)):
        out = tmp_path / str(number)
        assert lvo("run", source, "--out", out, "--only", "ctp", "--quiet").returncode == 0
        results.append(result_of(out))
    assert results[0]["perfusion"] == results[1]["perfusion"]
    assert [output for output in results[0]["outputs"] if output["sop_instance_uid"]]
    assert results[0]["outputs"] == results[1]["outputs"], "a rerun replaces its objects in the PACS"


def test_a_missing_slice_makes_the_angiogram_not_assessable_and_never_negative(study, tmp_path):
    removed = False
    for path in study.rglob("*"):
        if not path.is_file() or path.suffix == ".json":
            continue
        header = pydicom.dcmread(path, stop_before_pixels=True)
        is_cta = "ANGIO" in str(header.get("SeriesDescription", "")).upper() or "CTA" in str(
            header.get("SeriesDescription", "")
        )
        if is_cta and not removed and 20 < header.ImagePositionPatient[2] < 40:
            removed = True
            continue
        (tmp_path / "s").mkdir(exist_ok=True)
        (tmp_path / "s" / path.name).write_bytes(path.read_bytes())
    assert removed
    finished = lvo("run", tmp_path / "s", "--out", tmp_path / "r", "--only", "cta")
    assert finished.returncode == 3
    document = result_of(tmp_path / "r")
    assert document["cta"]["state"] == "not_assessable"
    assert "missing" in document["cta"]["reasons"][0]
    assert document["cta"]["lvo"] is None
    assert "COULD NOT BE JUDGED" in finished.stdout


@pytest.mark.real
@pytest.mark.parametrize("name", ["ncct_ge_tilt", "philips_phantom"])
def test_real_plain_ct_is_not_assessable_and_says_why(real_data, tmp_path, name):
    finished = lvo("run", real_data / name, "--out", tmp_path)
    assert finished.returncode == 3, finished.stderr
    for path in tmp_path.glob("*/result.json"):
        document = json.loads(path.read_text())
        assert document["status"] == "not_assessable"
        assert document["cta"]["state"] == "absent"
        assert "no CT angiogram in the study" in document["cta"]["reasons"][0]
        assert document["cta"]["lvo"] is None
    assert "Traceback" not in finished.stderr


@pytest.mark.real
def test_the_real_tilted_head_has_the_brain_that_another_method_measured(real_data, tmp_path):
    assert lvo("run", real_data / "ncct_ge_tilt", "--out", tmp_path, "--quiet").returncode == 3
    notes = {note["code"]: note["text"] for note in result_of(tmp_path)["quality"]}
    volume_ml = float(notes["ncct.brain"].split(",")[1].split()[0])
    assert volume_ml == pytest.approx(1262, rel=0.10)
    assert "18.5" in notes["geometry.tilt_corrected"]


def one_line(finished, status, *words):
    assert finished.returncode == status, finished.stderr
    lines = finished.stderr.strip().splitlines()
    assert len(lines) == 1, finished.stderr
    assert all(word in lines[0] for word in words), lines[0]


def test_bad_input_is_one_clear_line(tmp_path, study):
    empty, text = tmp_path / "empty", tmp_path / "text"
    empty.mkdir()
    text.mkdir()
    (text / "letter.txt").write_text("not an image")
    out = tmp_path / "out"
    one_line(lvo("run", empty, "--out", out), 1, "found no files")
    one_line(lvo("run", text, "--out", out), 1, "DICOM")
    one_line(lvo("run", text / "letter.txt", "--out", out), 1, "DICOM")
    one_line(lvo("run", tmp_path / "nowhere", "--out", out), 1, "nowhere")
    one_line(lvo("run", study, "--out", text / "letter.txt"), 1, "--out")
    one_line(lvo("run", study, "--out", out, "--config", tmp_path / "none.toml"), 2, "none.toml")
    (tmp_path / "facts.json").write_text('{"agee": 3}')
    one_line(lvo("run", study, "--out", out, "--clinical", tmp_path / "facts.json"), 2, "agee")
    assert not list(out.glob("*")) if out.exists() else True


def test_wrong_usage_is_status_two(tmp_path):
    assert lvo("run").returncode == 2
    assert lvo("run", tmp_path, "--out", tmp_path, "--nonsense").returncode == 2
    assert lvo("nonsense").returncode == 2


def test_termination_leaves_neither_half_a_result_nor_unpacked_images(study, tmp_path):
    """A hook that calls `timeout lvo run` ends it with SIGTERM."""
    scratch, out, archive = tmp_path / "scratch", tmp_path / "out", tmp_path / "study.zip"
    scratch.mkdir()
    with zipfile.ZipFile(archive, "w") as packed:
        for path in study.rglob("*"):
            packed.write(path, path.relative_to(study))
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(
        [BIN / "lvo", "run", archive, "--out", out], env=environment, stderr=subprocess.PIPE, text=True
    ) as run:
        deadline = time.monotonic() + 120
        while not (out.exists() and list(out.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert list(scratch.iterdir()), "the archive is unpacked while the analysis runs"
        run.terminate()
        _, said = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "interrupted" in said
    assert list(out.iterdir()) == []
    assert not [path for path in scratch.iterdir() if path.name.startswith("lvo")]
