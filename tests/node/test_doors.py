"""The other doors: STOW-RS and the watched folder; health and metrics."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import msgspec
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from lvo_tests_servers import answers, free_port, wait_until
from prometheus_client.parser import text_string_to_metric_families

from lvo.errors import OutputError
from lvo.node.database import Clock, connect, open_clock
from lvo.node.heartbeat import Heartbeat
from lvo.node.http import readiness, serve
from lvo.node.inbox import Inbox
from lvo.node.settings import HttpSettings, StoreSettings, WatchSettings
from lvo.node.view import open_view
from lvo.node.watch import Watch

from .conftest import image, save

TYPE = 'multipart/related; type="application/dicom"; boundary=XX'


class Client:
    """Requests to one server."""

    def __init__(self, base) -> None:
        self.base = base

    def get(self, path, **more):
        """GET."""
        return requests.get(self.base + path, timeout=20, **more)

    def post(self, path, content, headers):
        """POST."""
        return requests.post(self.base + path, data=content, headers=headers, timeout=20)


@contextmanager
def serving(settings, **http):
    """The web service of a node, in a thread."""
    settings = msgspec.structs.replace(settings, http=HttpSettings(port=free_port(), **http))
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(settings, stop))
    thread.start()
    try:
        wait_until(lambda: answers(settings.http.port), "the web service")
        yield Client(f"http://127.0.0.1:{settings.http.port}")
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def client(settings):
    """The web service with STOW-RS."""
    with serving(settings, stow=True) as client:
        yield client


def body(tmp_path, *datasets):
    """The images as one multipart message."""
    parts = [save(dataset, tmp_path / f"part{os.urandom(4).hex()}").read_bytes() for dataset in datasets]
    return b"".join(b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\n"


def images_of(settings):
    """How many images are recorded."""
    with open_view(settings) as view:
        return sum(study.n_images for study in view.studies())


def test_images_by_stow_are_stored_and_named_in_the_answer(settings, client, tmp_path):
    answer = client.post("/studies", content=body(tmp_path, image(1, 1), image(1, 2)), headers={"content-type": TYPE})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    stored = answer.json()["00081199"]["Value"]
    assert [item["00081155"]["Value"] for item in stored] == [["1.2.826.0.1.999.1.1.1"], ["1.2.826.0.1.999.1.1.2"]]
    assert images_of(settings) == 2


def test_an_independent_client_can_store(settings, client):
    answer = DICOMwebClient(client.base).store_instances([image(1, 1), image(1, 2)])
    assert len(answer.ReferencedSOPSequence) == 2
    assert images_of(settings) == 2


def test_good_images_are_kept_when_others_are_refused(settings, client, tmp_path):
    content = body(tmp_path, image(1, 1), image(2, 1, StudyInstanceUID="../x"))
    answer = client.post("/studies", content=content, headers={"content-type": TYPE})
    assert answer.status_code == 202
    assert answer.json()["00081198"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    assert images_of(settings) == 1
    alone = client.post(
        "/studies", content=body(tmp_path, image(2, 1, StudyInstanceUID="../x")), headers={"content-type": TYPE}
    )
    assert alone.status_code == 409
    assert list((settings.root / "incoming").iterdir()) == []


def test_images_must_belong_to_the_study_in_the_address(client, tmp_path):
    good, wrong = "/studies/1.2.826.0.1.999.1", "/studies/1.2.3"
    headers = {"content-type": TYPE}
    assert client.post(good, content=body(tmp_path, image(1, 1)), headers=headers).status_code == 200
    assert client.post(wrong, content=body(tmp_path, image(1, 2)), headers=headers).status_code == 409
    assert client.post("/studies/abc", content=body(tmp_path, image(1, 2)), headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        pytest.param("application/json", b"{}", 415, id="another type"),
        pytest.param(TYPE, b"no multipart", 400, id="no boundary in the body"),
        pytest.param('multipart/related; type="application/dicom"', b"", 415, id="no boundary in the header"),
        pytest.param(TYPE, b"--XX\r\n\r\nno DICOM\r\n--XX--\r\n", 409, id="no DICOM"),
    ],
)
def test_a_request_that_is_none_is_refused(settings, client, content_type, content, status):
    assert client.post("/studies", content=content, headers={"content-type": content_type}).status_code == status
    assert list((settings.root / "incoming").iterdir()) == []


def test_a_full_disk_is_service_unavailable(settings, tmp_path):
    full = msgspec.structs.replace(settings, store=StoreSettings(refuse_above_percent=0.001))
    with serving(full, stow=True) as client:
        answer = client.post("/studies", content=body(tmp_path, image(1, 1)), headers={"content-type": TYPE})
        assert answer.status_code == 503
        assert "refused" in readiness(full)["disk"]


def test_a_token_is_asked_for_where_there_is_one(settings, tmp_path):
    (tmp_path / "token").write_text("secret-secret-secret\n")
    with serving(settings, stow=True, token_file=str(tmp_path / "token")) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/metrics", headers={"authorization": "Bearer secret-secret-secret"}).status_code == 200
        assert client.post("/studies", content=b"", headers={"content-type": TYPE}).status_code == 401
        assert client.get("/health/live").status_code == 200


def test_without_stow_there_is_no_door(settings):
    Inbox(settings).close()
    with serving(settings) as client:
        assert client.post("/studies", content=b"", headers={"content-type": TYPE}).status_code == 404


def test_health_says_what_is_missing(client):
    assert client.get("/health/live").json() == {"status": "live"}
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["listener"].startswith("does not answer")
    assert answer.json()["checks"]["store"] == "ok"


def test_a_process_that_hangs_or_does_not_start_is_not_ready(settings, client):
    db = connect(settings.database_path)
    assert client.get("/health/ready").json()["checks"]["clerk"] == "has not begun its work yet"
    clock = open_clock(db)
    Heartbeat(db, clock)("clerk")
    Heartbeat(db, Clock(clock.offset - 61.0, clock.boot))("worker-1")  # a minute ago
    checks = client.get("/health/ready").json()["checks"]
    assert checks["clerk"] == "ok"
    assert re.fullmatch(r"silent for \d+ s", checks["worker-1"])
    text = client.get("/metrics").text
    ages = {s.labels["process"]: s.value for f in text_string_to_metric_families(text) for s in f.samples if "silent" in s.name}
    assert ages == {"clerk": pytest.approx(0.0, abs=30.0), "worker-1": pytest.approx(61.0, abs=30.0)}
    db.close()


def test_a_sign_of_life_that_cannot_be_noted_ends_nothing(settings, client, caplog):
    db = connect(settings.database_path)
    beat = Heartbeat(db, open_clock(db))
    db.execute("ALTER TABLE meta RENAME TO elsewhere")
    beat("clerk")
    assert "no sign of life could be noted" in caplog.text
    db.execute("ALTER TABLE elsewhere RENAME TO meta")
    beat("clerk")
    assert client.get("/health/ready").json()["checks"]["clerk"] == "ok"
    db.close()


def test_metrics_count_without_names(client, tmp_path):
    client.post("/studies", content=body(tmp_path, image(1, 1), image(1, 1)), headers={"content-type": TYPE})
    text = client.get("/metrics").text
    samples = {(s.name, *s.labels.values()): s.value for family in text_string_to_metric_families(text) for s in family.samples}
    assert samples["lvo_node_images_total", "new"] == 1
    assert samples["lvo_node_images_total", "duplicate"] == 1
    assert samples["lvo_node_studies", "receiving"] == 1
    assert samples["lvo_node_disk_left_bytes",] > 0
    assert "CANARY" not in text
    assert "1.2.826" not in text


def test_a_watched_file_is_taken_in_when_it_no_longer_changes(settings, tmp_path):
    watched = tmp_path / "watched"
    (watched / "deep").mkdir(parents=True)
    settings = msgspec.structs.replace(settings, watch=WatchSettings(folder=str(watched), settle_s=0.0))
    inbox = Inbox(settings)
    watch = Watch(settings, inbox)
    path = save(image(1, 1), watched / "deep" / "a.dcm")
    os.utime(path, (0, 4e9))  # its time is in the future, as after a clock jump
    (watched / "notes.txt").write_text("CANARY")
    assert watch.step() == 1
    assert images_of(settings) == 1
    assert not path.exists()
    assert [file.read_text() for file in (settings.root / "refused").iterdir()] == ["CANARY"]
    slow = Watch(msgspec.structs.replace(settings, watch=WatchSettings(folder=str(watched), settle_s=60.0)), inbox)
    save(image(1, 2), watched / "b.dcm")
    assert slow.step() == 0
    assert (watched / "b.dcm").exists()
    inbox.close()


def test_a_port_that_is_taken_ends_the_web_service_and_says_so(settings):
    """Without it the library would end its thread without a word of ours, and the process with status 0."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            serve(msgspec.structs.replace(settings, http=HttpSettings(port=port)), threading.Event())


def test_the_log_has_our_words_and_of_foreign_libraries_only_where_something_went_wrong():
    code = (
        "import logging\nfrom lvo.node.process import set_up_logging\nset_up_logging('worker-1')\n"
        "logging.getLogger('fontTools').info('Doe^Jane')\nlogging.getLogger('fontTools').warning('Doe^Jane')\n"
        "logging.getLogger('lvo.node.worker').info('job 1: complete')\n"
    )
    log = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=True).stderr
    foreign, ours = map(json.loads, log.splitlines())
    assert (foreign["where"], foreign["level"]) == ("fontTools", "warning")
    assert "Doe" not in log
    assert (ours["message"], ours["process"].partition(":")[0]) == ("job 1: complete", "worker-1")
