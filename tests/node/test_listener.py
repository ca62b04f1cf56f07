"""The DICOM door: who may come in, what is acknowledged, and what hostile peers cannot do."""

import logging
import socket
import ssl
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psutil
import pytest

from lvo.node.settings import DicomSettings, Peer, StoreSettings, TlsSettings
from lvo.node.view import open_view

from .conftest import CANARY, image, listening, store

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def with_dicom(settings, **changes):
    """Settings with another listener."""
    return msgspec.structs.replace(settings, dicom=msgspec.structs.replace(settings.dicom, **changes))


def images_of(settings):
    """How many images are recorded."""
    with open_view(settings) as view:
        return sum(study.n_images for study in view.studies())


def refused(settings):
    """Counts of refused associations by reason."""
    with open_view(settings) as view:
        rows = view._db.execute("SELECT label, value FROM counters WHERE name = 'associations_refused'")
        return {row["label"]: row["value"] for row in rows}


def echo(port, *, calling="CT1", called="LVO"):
    """Exit status of another implementation's C-ECHO."""
    words = ["/usr/bin/echoscu", "-to", "5", "-ta", "5", "-aet", calling, "-aec", called, "127.0.0.1", str(port)]
    return subprocess.run(words, capture_output=True, check=False).returncode


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_what_is_acknowledged_is_on_disk(settings, caplog, capfd):
    """Nothing of the patient is in what was logged."""
    caplog.set_level(logging.DEBUG)
    with listening(settings):
        assert store(settings.dicom.port, [image(1, 1), image(1, 2), image(1, 1)]) == [0, 0, 0]
        assert images_of(settings) == 2
        assert len(list((settings.root / "images").rglob("*.dcm"))) == 2
        assert store(settings.dicom.port, [image(1, 3, StudyInstanceUID="../../x")]) == [0xC000]
    assert list((settings.root / "incoming").iterdir()) == []
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("lvo"))
    assert "refused" in ours
    assert CANARY not in ours
    assert CANARY not in "".join(capfd.readouterr())


def test_a_full_disk_is_said_with_the_right_status(settings):
    full = msgspec.structs.replace(settings, store=StoreSettings(refuse_above_percent=0.001))
    with listening(full):
        assert store(full.dicom.port, [image(1, 1)]) == [0xA700]
    assert list((full.root / "images").rglob("*.dcm")) == []


@pytest.mark.parametrize(
    ("calling", "called", "peers", "accepted"),
    [
        pytest.param("CT1", "LVO", (Peer(ae_title="CT1"),), True, id="known"),
        pytest.param("CT2", "LVO", (Peer(ae_title="CT1"),), False, id="another calling AE title"),
        pytest.param("CT1", "PACS", (Peer(ae_title="CT1"),), False, id="another called AE title"),
        pytest.param("CT1", "LVO", (Peer(ae_title="CT1", addresses=("10.0.0.0/8",)),), False, id="another address"),
        pytest.param("CT1", "LVO", (), False, id="nobody is known"),
    ],
)
def test_strangers_are_refused_at_association(settings, calling, called, peers, accepted):
    settings = with_dicom(settings, peers=peers)
    with listening(settings):
        assert (echo(settings.dicom.port, calling=calling, called=called) == 0) is accepted
        assert store(settings.dicom.port, [image(1, 1)], calling=calling, called=called) == [0 if accepted else None]
    assert images_of(settings) == int(accepted)
    assert bool(refused(settings)) is not accepted


def test_stalled_peers_do_not_keep_a_sender_out(settings):
    """Sockets that stop in the middle of a PDU, more of them than associations are allowed, are gone after the deadline."""
    settings = with_dicom(settings, max_associations=4, max_associations_per_peer=4, pdu_timeout_s=1.0)
    with listening(settings):
        stalled = [socket.create_connection(("127.0.0.1", settings.dicom.port)) for _ in range(8)]
        for sock in stalled:
            sock.sendall(b"\x01\x00\x00\x00\x10\x00" + b"x" * 10)
        deadline = time.monotonic() + 20.0
        while store(settings.dicom.port, [image(1, 1)]) != [0]:
            assert time.monotonic() < deadline
        for sock in stalled:
            sock.close()


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(struct.pack(">BBL", 1, 0, 1_500_000_000), id="association request"),
        pytest.param(struct.pack(">BBL", 4, 0, 1_500_000_000), id="data before an association"),
    ],
)
def test_a_pdu_that_claims_gigabytes_is_cut_off(settings, header):
    with listening(settings):
        before = psutil.Process().memory_info().rss
        sock = socket.create_connection(("127.0.0.1", settings.dicom.port))
        sent = 0
        with pytest.raises(OSError):  # noqa: PT011, PT012 - reset or broken pipe, at whichever block
            sock.sendall(header)
            for _ in range(400):
                sock.sendall(b"x" * 1_000_000)
                sent += 1
        sock.close()
        assert sent < 50
        assert psutil.Process().memory_info().rss - before < 100e6
        assert echo(settings.dicom.port) == 0


def test_an_image_that_never_ends_is_cut_off_and_leaves_nothing(settings):
    settings = with_dicom(settings, max_instance_mb=1)
    with listening(settings):
        assert store(settings.dicom.port, [image(1, 1, rows=1024)]) == [None]
        assert store(settings.dicom.port, [image(1, 1)]) == [0]
    assert images_of(settings) == 1
    assert list((settings.root / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01",
        b"\x01\x00\x00\x00\x00\x00",
        b"\x04\x00\x00\x00\x00\x04abcd",
        b"\xff" * 4096,
        b"\x16\x03\x01",
    ],
)
def test_garbage_ends_its_own_connection_only(settings, garbage):
    with listening(settings):
        sock = socket.create_connection(("127.0.0.1", settings.dicom.port), timeout=10)
        sock.sendall(garbage)
        assert store(settings.dicom.port, [image(1, 1)]) == [0]
        sock.close()


def test_one_address_may_not_take_every_place(settings):
    settings = with_dicom(settings, max_associations_per_peer=2, pdu_timeout_s=30.0)
    with listening(settings):
        held = [socket.create_connection(("127.0.0.1", settings.dicom.port)) for _ in range(40)]
        deadline = time.monotonic() + 20.0
        while not refused(settings).get("too many connections of one address"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for sock in held:
            sock.close()


@pytest.mark.slow
def test_fifty_associations_at_once_lose_nothing(settings):
    settings = with_dicom(settings, pdu_timeout_s=60.0, idle_timeout_s=60.0)
    with listening(settings), ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda n: store(settings.dicom.port, [image(n, 1), image(n, 2)]), range(1, 51)))
    assert statuses == [[0, 0]] * 50
    assert images_of(settings) == 100


def test_what_a_killed_listener_had_half_received_is_removed(settings):
    (settings.root / "incoming").mkdir(parents=True)
    (settings.root / "incoming" / "tmpabc.dcm").write_bytes(b"half")
    with listening(settings):
        assert list((settings.root / "incoming").iterdir()) == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Certificates of a node, of a sender, and of somebody else; each signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("node", "sender", "other"):
        words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem",
                 "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(("who", "accepted"), [("sender", True), ("other", False), (None, False)])
def test_senders_need_a_certificate_that_is_trusted(settings, certificates, who, accepted):
    tls = TlsSettings(
        certificate=str(certificates / "node.pem"),
        key=str(certificates / "node.key"),
        client_ca=str(certificates / "sender.pem"),
    )
    settings = with_dicom(settings, tls=tls)
    context = ssl.create_default_context(cafile=certificates / "node.pem")
    if who is not None:
        context.load_cert_chain(certificates / f"{who}.pem", certificates / f"{who}.key")
    with listening(settings):
        silent = socket.create_connection(("127.0.0.1", settings.dicom.port))  # a handshake that stalls must not stop others
        assert store(settings.dicom.port, [image(1, 1)], tls_args=(context, "127.0.0.1")) == [0 if accepted else None]
        silent.close()
    assert images_of(settings) == int(accepted)


def test_plain_text_is_refused_where_encryption_is_asked_for(settings, certificates):
    tls = TlsSettings(
        certificate=str(certificates / "node.pem"),
        key=str(certificates / "node.key"),
        client_ca=str(certificates / "sender.pem"),
    )
    settings = with_dicom(settings, tls=tls)
    with listening(settings):
        assert echo(settings.dicom.port) != 0


def test_default_settings_let_nobody_in():
    assert DicomSettings().peers == ()
    assert not DicomSettings().any_peer
    assert DicomSettings().host == "127.0.0.1"
