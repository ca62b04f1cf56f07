"""The whole node beside a real Orthanc: a study sent by `storescu` comes back analysed, committed, and found by QIDO-RS."""

import json
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import lvo_tests_servers as servers
import msgspec
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient

from lvo.delivery import DeliverySettings, Outbox
from lvo.delivery.settings import DicomSource, WadoSource
from lvo.node.fetching import fetch_missing
from lvo.node.inbox import Inbox
from lvo.node.settings import load_settings
from lvo.node.view import open_view

from .conftest import image, save

ROOT = Path(__file__).parents[2]

SITE = """
site = "TEST"
folder = "node"
[dicom]
port = {port}
[[dicom.peers]]
ae_title = "CT1"
[[dicom.peers]]
ae_title = "ORTHANC"
[http]
port = {http}
[assembly]
quiet_s = 3.0
early_quiet_s = 2.0
[store]
refuse_above_percent = 100.0
refuse_below_mb = 0
[[delivery.destinations]]
kind = "dicom"
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs}
commitment = true
[[delivery.sources]]
kind = "{source}"
name = "archive"
{more}
"""


@contextmanager
def running(config, log):
    """The node as `lvo node` starts it; nothing in it is a stand-in."""
    command = [sys.executable, "-c", "from lvo.cli import main; main()", "node", "--config", str(config)]
    with log.open("wb") as out:
        node = subprocess.Popen(command, stderr=out, cwd=ROOT)
    try:
        yield node
    finally:
        node.terminate()
        assert node.wait(60) == 0


@pytest.fixture
def scan(tmp_path):
    """The images of the sample angiogram."""
    with zipfile.ZipFile(ROOT / "sample_data" / "right-M1-cta.zip") as archive:
        archive.extractall(tmp_path / "scan")
    return [path for path in sorted((tmp_path / "scan").rglob("*")) if path.is_file() and path.suffix != ".json"]


@servers.needs_orthanc
@servers.needs_dcmtk
@pytest.mark.long
@pytest.mark.parametrize("lacking", [False, True], ids=["complete", "fetched"])
def test_a_study_sent_by_storescu_comes_back_analysed_into_orthanc(tmp_path, scan, lacking):
    """With `lacking`, only ten images are sent: the node fetches the others, which Orthanc has, before it judges."""
    port, uid = servers.free_port(), str(pydicom.dcmread(scan[0], stop_before_pixels=True).StudyInstanceUID)
    (tmp_path / "pacs").mkdir()
    with servers.orthanc(tmp_path / "pacs", modalities={"lvo": ["LVO", "127.0.0.1", port]}) as pacs:
        config = tmp_path / "site.toml"
        more = f'url = "{pacs.dicomweb}"'
        config.write_text(SITE.format(port=port, http=servers.free_port(), pacs=pacs.dicom_port, source="dicomweb", more=more))
        if lacking:
            for path in scan:
                pacs.ask("/instances", "POST", path.read_bytes())
        with running(config, tmp_path / "log"):
            servers.wait_until(lambda: servers.answers(port), "the listener")
            command = [servers.debian("storescu"), "-aet", "CT1", "-aec", "LVO", "127.0.0.1", str(port)]
            subprocess.run([*command, *map(str, scan[:10] if lacking else scan)], check=True, timeout=120)
            settings = load_settings(config)
            servers.wait_until(lambda: ended(settings, uid), "the result at its destination", within_s=800.0)
        with open_view(settings) as view:
            study = view.study(uid)
        with Outbox(settings.outbox_path) as outbox:
            (delivery,) = [one for one in outbox.list(study=uid) if one.notice is None]
            committed = outbox._db.execute("SELECT failed FROM commitments").fetchall()
        result = json.loads((study.newest.folder / "result.json").read_text())
        assert (study.state, study.n_images, delivery.state) == ("delivered", len(scan), "delivered")
        assert (result["cta"]["lvo"]["call"], result["cta"]["lvo"]["side"]) == ("suspected", "right")
        assert [dict(json.loads(row["failed"])) for row in committed] == [{}]
        assert ("study.fetched" in {note["code"] for note in result["quality"]}) == lacking
        found = {one["00080018"]["Value"][0] for one in DICOMwebClient(pacs.dicomweb).search_for_instances(uid)}
        assert {one["sop_instance_uid"] for one in result["outputs"] if one["kind"].startswith("dicom")} <= found


def ended(settings, uid):
    """Whether the study is at its end."""
    with open_view(settings) as view:
        study = view.study(uid)
        return study is not None and study.state in ("delivered", "quarantined")


@servers.needs_orthanc
@pytest.mark.parametrize("way", ["get", "dicomweb"])
def test_what_a_study_lacks_is_fetched_once_and_taken_in_as_from_its_sender(settings, tmp_path, way):
    (tmp_path / "pacs").mkdir()
    inbox = Inbox(settings)
    first = image(1, 1)
    inbox.accept(save(first, inbox.incoming / "a"), door="dicom", peer="CT1")
    inbox.close()
    with servers.orthanc(tmp_path / "pacs", DicomAlwaysAllowFind=True, DicomAlwaysAllowGet=True) as pacs:
        for dataset in (first, image(1, 2), image(1, 1, series=2), image(2, 1)):
            pacs.ask("/instances", "POST", save(dataset, tmp_path / "x").read_bytes())
        source = (
            WadoSource(name="pacs", url=pacs.dicomweb) if way == "dicomweb"
            else DicomSource(name="pacs", ae_title="ORTHANC", host="127.0.0.1", port=pacs.dicom_port)
        )  # fmt: skip
        asked = msgspec.structs.replace(settings, delivery=DeliverySettings(sources=(source,)))
        came = fetch_missing(asked, str(first.StudyInstanceUID), settings.root / "work")
        assert (came.n_new, came.problems) == (2, ())
        assert fetch_missing(asked, str(first.StudyInstanceUID), settings.root / "work").n_new == 0
    with open_view(settings) as view:
        (study,) = view.studies()
    assert (study.n_images, study.n_series, study.n_conflicts, study.peer) == (3, 2, 0, "CT1")
