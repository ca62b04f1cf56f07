"""The hooks in examples/hooks, from `storescu` to results that QIDO finds; `lvo run` is a stand-in in all but one of them."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from lvo_tests_delivery_writing import write_sources
from lvo_tests_servers import PLUGIN, debian, needs_dcmtk, needs_orthanc, orthanc, wait_until

from lvo.core.study import Role

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "examples" / "hooks"
PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
UID = "1.2.826.0.1.3680043.8.498.77"

LVO = """#!/bin/sh
echo "$*" >> "{log}"
if [ "$1" = run ]; then
    [ -e "{folder}/broken" ] && exit 1
    mkdir -p "$4" && cp -r "{result}" "$4/{uid}.new" && rm -rf "$4/{uid}" && mv "$4/{uid}.new" "$4/{uid}"
    exit 0
fi
exec "{python}" -c "from lvo.cli import main; main()" "$@"
"""


@pytest.fixture
def stage(tmp_path, make_result, report_phantom) -> dict[str, str]:
    """Images to send, an `lvo` whose `run` copies a finished result, and the environment that the hooks read."""
    (tmp_path / "images").mkdir()
    write_sources(tmp_path / "images", report_phantom.grid(Role.CTP), 3)
    result = make_result(tmp_path / "made" / UID)
    program = tmp_path / "lvo"
    log = tmp_path / "commands"
    program.write_text(LVO.format(log=log, folder=tmp_path, result=result, uid=UID, python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "state").mkdir()
    return {
        "LVO": str(program), "LVO_RESULTS": str(tmp_path / "out"), "LVO_DELIVERY": str(tmp_path / "delivery.toml"),
        "LVO_STATE": str(tmp_path / "state"), "LVO_HOOK": str(HOOKS / "orthanc_study.py"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def runs(folder: Path) -> int:
    log = folder / "commands"
    return sum(line.startswith("run") for line in log.read_text().splitlines()) if log.exists() else 0


def send(port: int, files: list[Path]) -> None:
    subprocess.run([debian("storescu"), "-aec", "ORTHANC", "127.0.0.1", str(port), *map(str, files)], check=True, timeout=120)


def back_to(server, stage: dict[str, str]) -> dict[str, str]:
    """The environment of a hook whose results go back to this Orthanc."""
    text = (HOOKS / "delivery.toml").read_text().replace("http://127.0.0.1:8042", f"http://127.0.0.1:{server.http_port}")
    outbox = Path(stage["LVO_STATE"]) / "outbox.sqlite"
    Path(stage["LVO_DELIVERY"]).write_text(text.replace("/var/lib/lvo/outbox.sqlite", str(outbox)))
    return {**stage, "LVO_ORTHANC": f"http://127.0.0.1:{server.http_port}"}


def found(server) -> set[str]:
    return {one["00080018"]["Value"][0] for one in DICOMwebClient(server.dicomweb).search_for_instances(UID)}


def uids(files: list[Path]) -> set[str]:
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files}


@needs_orthanc
@needs_dcmtk
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lua", "python"])
def test_a_study_that_is_sent_to_orthanc_gets_its_results_stored_beside_it_and_is_analysed_once(stage, tmp_path, kind):
    if kind == "python" and not PYTHON_PLUGIN.exists():
        pytest.skip("Debian package orthanc-python is missing")
    images = sorted((tmp_path / "images").iterdir())
    results = sorted((tmp_path / "made" / UID / "dicom").glob("*.dcm"))
    hook = {"LuaScripts": [str(HOOKS / "orthanc.lua")]} if kind == "lua" else {"PythonScript": str(HOOKS / "orthanc_plugin.py")}
    plugins = (PLUGIN,) if kind == "lua" else (PLUGIN, PYTHON_PLUGIN)
    (tmp_path / "pacs").mkdir()
    with orthanc(tmp_path / "pacs", plugins=plugins, env=lambda s: back_to(s, stage), StableAge=2, **hook) as server:
        send(server.dicom_port, images[:-1])
        expected = uids(images[:-1]) | uids(results)
        wait_until(lambda: found(server) == expected, "results beside their images", within_s=120.0)

        def stable_again() -> bool:
            changes = server.ask("/changes?limit=1000")["Changes"]
            return sum(one["ChangeType"] == "StableStudy" for one in changes) >= 2

        wait_until(stable_again, "the study is stable again", within_s=120.0)
        wait_until(lambda: idle(stage), "the hook looked at it")
        assert runs(tmp_path) == 1, "results that come back are no reason to analyse again"
        send(server.dicom_port, images[-1:])
        wait_until(lambda: runs(tmp_path) == 2, "a late image is", within_s=120.0)
        wait_until(lambda: idle(stage), "the hook ended")
        assert found(server) == expected | uids(images[-1:])


@needs_orthanc
@needs_dcmtk
@pytest.mark.slow
def test_a_scan_that_is_sent_to_orthanc_comes_back_with_the_call(stage, tmp_path):
    """Nothing is a stand-in: the sample angiogram, the shipped models, all results."""
    Path(stage["LVO"]).write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from lvo.cli import main; main()" "$@"\n')
    with zipfile.ZipFile(ROOT / "sample_data" / "right-M1-cta.zip") as archive:
        archive.extractall(tmp_path / "scan")
    images = [path for path in sorted((tmp_path / "scan").rglob("*")) if path.is_file() and path.suffix != ".json"]
    header = pydicom.dcmread(images[0], stop_before_pixels=True)
    (tmp_path / "pacs").mkdir()
    lua = [str(HOOKS / "orthanc.lua")]
    with orthanc(tmp_path / "pacs", env=lambda s: back_to(s, stage), StableAge=2, LuaScripts=lua) as server:
        send(server.dicom_port, images)
        client = DICOMwebClient(server.dicomweb)

        def modalities() -> list[str]:
            return [one["00080060"]["Value"][0] for one in client.search_for_series(header.StudyInstanceUID)]

        wait_until(lambda: "SR" in modalities(), "a report beside the images", within_s=800.0)
        wait_until(lambda: idle(stage), "the hook ended", within_s=60.0)
        assert {"CT", "SR", "SEG", "OT", "KO"} <= set(modalities())
        result = json.loads((tmp_path / "out" / header.StudyInstanceUID / "result.json").read_text())
        assert (result["cta"]["lvo"]["call"], result["cta"]["lvo"]["side"]) == ("suspected", "right")
        stored = {one["00080018"]["Value"][0] for one in client.search_for_instances(header.StudyInstanceUID)}
        assert {one["sop_instance_uid"] for one in result["outputs"] if one["kind"].startswith("dicom")} <= stored


def idle(stage: dict[str, str]) -> bool:
    """Whether no hook holds its lock."""
    command = ["flock", "-n", str(Path(stage["LVO_STATE"]) / "lock"), "true"]
    return subprocess.run(command, check=False).returncode == 0


@needs_orthanc
@needs_dcmtk
@pytest.mark.slow
def test_what_was_missed_is_found_by_polling(stage, tmp_path):
    images = sorted((tmp_path / "images").iterdir())
    (tmp_path / "pacs").mkdir()
    with orthanc(tmp_path / "pacs", StableAge=1) as server:
        send(server.dicom_port, images)
        environment = {**os.environ, **back_to(server, stage)}

        def stable() -> bool:
            return any(one["ChangeType"] == "StableStudy" for one in server.ask("/changes?limit=1000")["Changes"])

        wait_until(stable, "the study is stable")
        for _ in range(2):
            subprocess.run([HOOKS / "orthanc_study.py", "--poll"], env=environment, check=True, timeout=120)
        assert runs(tmp_path) == 1
        assert found(server) == uids(images) | uids(sorted((tmp_path / "made" / UID / "dicom").glob("*.dcm")))


def folder_settings(stage: dict[str, str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "share").mkdir(exist_ok=True)
    destination = f'[[destinations]]\nkind = "folder"\nname = "share"\npath = "{tmp_path / "share"}"\n'
    hook = '[[notifications]]\nkind = "webhook"\nname = "hook"\nurl = "http://127.0.0.1:9/"\nsecret_file = "none"\n'
    Path(stage["LVO_DELIVERY"]).write_text(destination + hook + 'on = ["failed"]\n')
    return {**os.environ, **stage, "ONCE": "1", "QUIET": "1"}


def test_a_watched_folder_is_analysed_when_it_is_quiet_and_again_when_it_changes(stage, tmp_path):
    environment = folder_settings(stage, tmp_path)
    incoming = tmp_path / "incoming"
    study = incoming / f"study_{UID}"
    shutil.copytree(tmp_path / "images", study)
    watch = [HOOKS / "watch-folder", incoming]
    subprocess.run(watch, env=environment, check=True, timeout=120)
    assert runs(tmp_path) == 0, "images may still come"
    age(study, minutes=3)
    for _ in range(2):
        subprocess.run(watch, env=environment, check=True, timeout=120)
    assert runs(tmp_path) == 1
    assert (tmp_path / "share" / UID / "result.json").exists()
    age(incoming, minutes=9)
    shutil.copy(next(study.iterdir()), study / "late")
    age(study / "late", minutes=2)
    subprocess.run(watch, env=environment, check=True, timeout=120)
    assert runs(tmp_path) == 2


def age(path: Path, *, minutes: int) -> None:
    """Make files older."""
    for one in [path, *path.rglob("*")]:
        then = one.stat().st_mtime - 60 * minutes
        os.utime(one, (then, then))


def test_names_from_the_network_are_never_run(stage, tmp_path):
    environment = folder_settings(stage, tmp_path)
    incoming = tmp_path / "incoming"
    for name in ("$(touch pwned)", "1.2;touch pwned", "-rf", "study_`touch pwned`"):
        (incoming / name).mkdir(parents=True)
        (incoming / name / "a").write_text("x")
    age(incoming, minutes=5)
    subprocess.run([HOOKS / "watch-folder", incoming], env=environment, cwd=tmp_path, check=True, timeout=60)
    assert runs(tmp_path) == 0
    assert not (tmp_path / "pwned").exists()
    assert (
        subprocess.run([HOOKS / "lvo-study", "x", "1;touch pwned"], env=environment, cwd=tmp_path, check=False).returncode == 2
    )
    bad = subprocess.run([HOOKS / "orthanc_study.py", "../../x"], env=environment, check=False, capture_output=True, text=True)
    assert bad.returncode == 1
    assert "no Orthanc id" in bad.stderr


def test_people_are_told_when_the_analysis_fails(stage, tmp_path):
    environment = folder_settings(stage, tmp_path)
    (tmp_path / "broken").touch()
    command = [HOOKS / "lvo-study", tmp_path / "images", UID]
    assert subprocess.run(command, env=environment, check=False, timeout=120).returncode == 1
    shown = subprocess.run(
        [stage["LVO"], "deliver", "--config", stage["LVO_DELIVERY"], "--show", "--json"],
        env=environment, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    (row,) = json.loads(shown.stdout)
    assert (row["what"], row["target"], row["study_instance_uid"]) == ("failed", "hook", UID)
