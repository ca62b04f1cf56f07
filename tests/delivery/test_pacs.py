"""C-STORE and storage commitment: against Orthanc, DCMTK, and peers that misbehave on purpose."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pydicom
import pytest
import trustme
from lvo_tests_servers import answers, debian, free_port, needs_dcmtk, needs_orthanc, orthanc, running, wait_until
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import SegmentationStorage, StorageCommitmentPushModel

from lvo.delivery import DeliverySettings, Outbox, State, deliver_due, hand_over, read_parcel
from lvo.delivery.commitment import answer_context
from lvo.delivery.cstore import objects_of
from lvo.delivery.settings import DicomDestination, RetrySettings, TlsSettings
from lvo.delivery.waiting import called_back
from lvo.errors import DeliveryError, RefusedError

pytestmark = pytest.mark.filterwarnings(
    # pynetdicom drops a socket that could not connect without closing it; the collector does
    "ignore:Exception ignored in. <(ssl.SSLSocket|socket.socket):pytest.PytestUnraisableExceptionWarning"
)

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "outbox.sqlite") as made:
        yield made


def pacs(port: int, **change) -> DeliverySettings:
    fields = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "timeout_s": 5.0, **change}
    return DeliverySettings(destinations=(DicomDestination(**fields),), retry=RetrySettings(first_s=0.01, longest_s=0.02))


def send(outbox: Outbox, settings: DeliverySettings, folder: Path):
    hand_over(outbox, settings, read_parcel(folder), at=AT)
    return deliver_due(outbox, settings)


def uids(folder: Path) -> set[str]:
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in (folder / "dicom").glob("*.dcm")}


class Peer:
    """A PACS whose answers the test chooses: a status by SOP class keyword, "" for all others."""

    def __init__(self) -> None:
        self.says: dict[str, int] = {}
        self.got: list[str] = []
        self.keeps: bool | None = True
        self.calls_back = 0
        self.requests: list[Dataset] = []
        self.told: list[str] = []
        self.threads: list[threading.Thread] = []

    def store(self, event) -> Dataset:
        name = event.request.AffectedSOPClassUID.keyword
        status = Dataset()
        status.Status = self.says.get(name, self.says.get("", 0x0000))
        if status.Status == 0xB000:
            status.ErrorComment = "CANARYNAME changed"
        self.got.append(str(event.request.AffectedSOPInstanceUID))
        return status

    def commit(self, event) -> tuple[int, None]:
        self.requests.append(event.action_information)
        if self.keeps is not None:
            self.threads.append(threading.Thread(target=self._answer, args=(event.assoc, event.action_information)))
            self.threads[-1].start()
        return 0x0000, None

    def _answer(self, association, request: Dataset) -> None:
        time.sleep(0.2)
        answer = Dataset()
        answer.TransactionUID = request.TransactionUID
        items = list(request.ReferencedSOPSequence)
        if not self.keeps:
            items[0].FailureReason = 0x0112
            answer.FailedSOPSequence = items[:1]
            items = items[1:]
        answer.ReferencedSOPSequence = items
        if self.calls_back:
            ae = AE(ae_title="PACS")
            ae.add_requested_context(StorageCommitmentPushModel)
            role = [build_role(StorageCommitmentPushModel, scp_role=True)]
            association = ae.associate("127.0.0.1", self.calls_back, ae_title="LVO", ext_neg=role)
        kind, instance = StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1"
        status, _ = association.send_n_event_report(answer, 1 if self.keeps else 2, kind, instance)
        self.told.append(f"0x{status.Status:04X}" if "Status" in status else "nothing")
        if self.calls_back:
            association.release()
            self.told.append("released" if association.is_released else "aborted")


@contextmanager
def serving(peer: Peer, *, without: str = "", ssl_context=None) -> Iterator[int]:
    """The port of a peer that takes all storage classes but one."""
    ae = AE(ae_title="PACS")
    ae.supported_contexts = [c for c in AllStoragePresentationContexts if c.abstract_syntax != without]
    ae.add_supported_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_C_STORE, peer.store), (evt.EVT_N_ACTION, peer.commit)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=ssl_context)
    try:
        yield server.server_address[1]
    finally:
        for thread in peer.threads:
            thread.join()
        server.shutdown()


@needs_orthanc
def test_orthanc_keeps_everything_and_commits_itself(outbox, make_result, tmp_path):
    folder, port = make_result(), free_port()
    with orthanc(tmp_path, modalities={"lvo": ["LVO", "127.0.0.1", port]}) as server:
        settings = pacs(server.dicom_port, ae_title="ORTHANC", commitment=True, commitment_port=port, commitment_wait_s=30.0)
        assert send(outbox, settings, folder).delivered == 1
        assert server.sop_instance_uids() == uids(folder)
        (ended,) = outbox.list()
        assert (ended.state, ended.reason, set(ended.done.values())) == (State.DELIVERED, "", {"stored"})
        send(outbox, settings, make_result(version="2"))
        assert server.sop_instance_uids() == uids(folder), "the same objects again are still one each"


@needs_orthanc
def test_orthanc_does_not_commit_itself_to_what_it_lost_and_gets_it_again(outbox, make_result, tmp_path, monkeypatch):
    import lvo.delivery.cstore

    folder, port = make_result(), free_port()
    with orthanc(tmp_path, modalities={"lvo": ["LVO", "127.0.0.1", port]}) as server:
        settings = pacs(server.dicom_port, ae_title="ORTHANC", commitment=True, commitment_port=port, commitment_wait_s=30.0)
        real = lvo.delivery.cstore.await_commitment

        def lose_one(*given) -> None:
            if len(server.ask("/instances")) == len(uids(folder)):
                server.ask(f"/instances/{server.ask('/instances')[0]}", "DELETE")
            real(*given)

        monkeypatch.setattr(lvo.delivery.cstore, "await_commitment", lose_one)
        assert send(outbox, settings, folder).failed == 1
        (waiting,) = outbox.list()
        assert "does not keep 1 of" in waiting.reason
        assert "no such object" in waiting.reason
        monkeypatch.setattr(lvo.delivery.cstore, "await_commitment", real)
        outbox.wake("pacs")
        assert deliver_due(outbox, settings).delivered == 1
        assert server.sop_instance_uids() == uids(folder)


@needs_dcmtk
@pytest.mark.parametrize("syntax", ["+xa", "+xi"], ids=["any syntax", "implicit VR only"])
def test_storescp_gets_the_same_content(outbox, make_result, tmp_path, syntax):
    folder, port = make_result(), free_port()
    (tmp_path / "got").mkdir()
    with running(
        [debian("storescp"), syntax, "-aet", "PACS", "-od", str(tmp_path / "got"), str(port)], port=port, log=tmp_path / "l"
    ):
        assert send(outbox, pacs(port), folder).delivered == 1
    got = {(one := pydicom.dcmread(path)).SOPInstanceUID: one for path in (tmp_path / "got").iterdir()}
    sent = {(one := pydicom.dcmread(path)).SOPInstanceUID: one for path in (folder / "dicom").glob("*.dcm")}
    assert set(got) == set(sent)
    for uid, dataset in sent.items():
        pixels = [
            one.pop("PixelData", None) for one in (got[uid], dataset)
        ]  # implicit VR has one VR for them, the standard says
        assert (pixels[0] and pixels[0].value) == (pixels[1] and pixels[1].value)
        assert got[uid].to_json_dict() == dataset.to_json_dict()
        assert got[uid].file_meta.TransferSyntaxUID.is_implicit_VR == (syntax == "+xi")


def tls_files(folder: Path, authority: trustme.CA, name: str) -> TlsSettings:
    """A certificate of an authority, in files."""
    made = authority.issue_cert("127.0.0.1", common_name=name)
    made.private_key_pem.write_to_path(folder / f"{name}.key")
    made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    authority.cert_pem.write_to_path(folder / f"{name}-ca.pem")
    return TlsSettings(
        ca=str(folder / f"{name}-ca.pem"), certificate=str(folder / f"{name}.pem"), key=str(folder / f"{name}.key")
    )


@needs_dcmtk
def test_tls_with_certificates_on_both_sides(outbox, make_result, tmp_path):
    hospital, stranger = trustme.CA(), trustme.CA()
    theirs, ours = tls_files(tmp_path, hospital, "pacs"), tls_files(tmp_path, hospital, "lvo")
    wrong = tls_files(tmp_path, stranger, "stranger")
    folder, port = make_result(), free_port()
    (tmp_path / "got").mkdir()
    command = [debian("storescp"), "+tls", theirs.key, theirs.certificate, "+cf", theirs.ca, "--require-peer-cert"]
    command += ["-aet", "PACS", "-od", str(tmp_path / "got"), str(port)]
    with running(command, port=port, log=tmp_path / "l"):
        unsure = msgspec.structs.replace(ours, ca=wrong.ca)
        foreign = msgspec.structs.replace(wrong, ca=ours.ca)
        for tls in (unsure, foreign, None):
            assert send(outbox, pacs(port, tls=tls), folder).failed == 1, tls
            assert list((tmp_path / "got").iterdir()) == []
            outbox.wake("pacs")
        assert send(outbox, pacs(port, tls=ours), folder).delivered == 1
    assert len(list((tmp_path / "got").iterdir())) == len(uids(folder))


def test_a_certificate_that_names_another_host_is_refused_unless_told(outbox, make_result, tmp_path):
    from lvo.delivery.tls import server_context

    authority = trustme.CA()
    ours = tls_files(tmp_path, authority, "lvo")
    made = authority.issue_cert("pacs.example.org")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "other.pem")
    other = str(tmp_path / "other.pem")
    context = server_context(TlsSettings(ca=ours.ca, certificate=other, key=other))
    with serving(Peer(), ssl_context=context) as port:
        assert send(outbox, pacs(port, tls=ours), make_result()).failed == 1
        outbox.wake("pacs")
        assert deliver_due(outbox, pacs(port, tls=msgspec.structs.replace(ours, check_host=False))).delivered == 1


def test_a_missing_certificate_file_is_named(outbox, make_result):
    assert send(outbox, pacs(104, tls=TlsSettings(ca="/none/ca.pem")), make_result()).failed == 1
    assert "/none/ca.pem" in outbox.list()[0].reason


def test_a_pacs_that_is_down_queues_and_catches_up(outbox, make_result):
    port, folder = free_port(), make_result()
    assert send(outbox, pacs(port), folder).failed == 1
    assert "cannot be reached" in outbox.list(state=State.PENDING)[0].reason
    peer = Peer()
    with serving(peer) as real_port:
        outbox.wake("pacs")
        assert deliver_due(outbox, pacs(real_port)).delivered == 1
    assert set(peer.got) == uids(folder)


@pytest.mark.parametrize("says", [b"", b"\x02\x00\x00\x00\x10\x00half"], ids=["silent", "stalled within a message"])
def test_a_half_open_peer_costs_its_timeout_and_no_more(outbox, make_result, says):
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            connection, _ = server.accept()
            connection.sendall(says)
            held.append(connection)

        threading.Thread(target=accept, daemon=True).start()
        start = time.monotonic()
        assert send(outbox, pacs(server.getsockname()[1], timeout_s=1.0), make_result()).failed == 1
        assert time.monotonic() - start < 15.0
        for connection in held:
            connection.close()


def test_a_wrong_called_name_is_said_by_the_peer(outbox, make_result):
    ae = AE(ae_title="OTHER")
    ae.require_called_aet = True
    ae.supported_contexts = AllStoragePresentationContexts
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        assert send(outbox, pacs(server.server_address[1]), make_result()).failed == 1
    finally:
        server.shutdown()
    assert "rejects the association: Called AE title not recognised" in outbox.list()[0].reason


def test_warnings_are_kept(outbox, make_result):
    peer = Peer()
    peer.says = {"EncapsulatedPDFStorage": 0xB000, "KeyObjectSelectionDocumentStorage": 0x0111}
    with serving(peer) as port:
        assert send(outbox, pacs(port), make_result()).delivered == 1
    (ended,) = outbox.list(state=State.DELIVERED)
    assert "pdf.dcm: 0xB000 (elements coerced), stored with a warning" in ended.reason
    assert "CANARYNAME" not in ended.reason
    assert "ko.dcm: 0x0111, the PACS has it already" in ended.reason


def test_a_pacs_out_of_resources_is_tried_again_with_what_is_missing(outbox, make_result):
    peer, folder = Peer(), make_result()
    peer.says = {"SegmentationStorage": 0xA700}
    with serving(peer) as port:
        assert send(outbox, pacs(port), folder).failed == 1
        assert "status 0xA700" in outbox.list()[0].reason
        peer.says, first = {}, list(peer.got)
        outbox.wake("pacs")
        assert deliver_due(outbox, pacs(port)).delivered == 1
    again = peer.got[len(first) :]
    assert set(first) | set(again) == uids(folder)
    assert set(first) & set(again) == {first[-1]}, "only the one that failed was sent twice"


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122])
def test_an_object_that_is_refused_for_good_is_dead_with_its_reason_and_the_others_arrive(outbox, make_result, status):
    peer, folder = Peer(), make_result()
    peer.says = {"SegmentationStorage": status}
    with serving(peer) as port:
        assert send(outbox, pacs(port), folder).dead == 1
        (dead,) = outbox.list(state=State.DEAD)
        assert f"refused with 0x{status:04X}" in dead.reason
        assert "seg_cta.dcm" in dead.reason
        assert set(peer.got) == uids(folder)
        assert deliver_due(outbox, pacs(port)).dead == 0, "it is not tried again by itself"
        peer.says, peer.got = {}, []
        outbox.replay()
        assert deliver_due(outbox, pacs(port)).delivered == 1
    classes = {str(pydicom.dcmread(path).SOPInstanceUID) for path in (folder / "dicom").glob("seg_*.dcm")}
    assert set(peer.got) == classes, "what was taken before is not sent again"


def test_a_pacs_without_segmentations_says_so_once_and_objects_leave_them_out(outbox, make_result):
    peer, folder = Peer(), make_result()
    with serving(peer, without=SegmentationStorage) as port:
        assert send(outbox, pacs(port), folder).dead == 1
        assert "seg_cta.dcm refused, not offered: the peer takes no such objects" in outbox.list()[0].reason
        settings = pacs(port, objects=("sr.dcm", "sc_*.dcm", "pdf.dcm"))
        assert send(outbox, settings, make_result(version="2")).delivered == 1


@pytest.mark.parametrize("keeps", [True, False, None], ids=["kept", "not kept", "no answer"])
def test_commitment_on_the_same_association(outbox, make_result, keeps):
    peer, folder = Peer(), make_result()
    peer.keeps = keeps
    with serving(peer) as port:
        settings = pacs(port, commitment=True, commitment_wait_s=1.5)
        tally = send(outbox, settings, folder)
        (ended,) = outbox.list()
        if keeps:
            assert tally.delivered == 1
            asked = {str(item.ReferencedSOPInstanceUID) for item in peer.requests[0].ReferencedSOPSequence}
            assert asked == uids(folder)
        else:
            assert tally.failed == 1
            assert ("does not keep 1 of" if keeps is False else "did not say within 1.5 s") in ended.reason
            assert len(ended.done) == len(uids(folder)) - (1 if keeps is False else 0)


@pytest.mark.parametrize("calls_back", [False, True], ids=["same association", "its own"])
def test_a_pacs_gets_our_response_to_its_answer_however_long_we_take(outbox, make_result, monkeypatch, calls_back):
    real = outbox.commit

    def slow(*given) -> None:
        real(*given)
        time.sleep(0.5)  # the delivery finds the answer meanwhile

    monkeypatch.setattr(outbox, "commit", slow)
    peer = Peer()
    peer.calls_back = free_port() if calls_back else 0
    with serving(peer) as port:
        settings = pacs(port, commitment=True, commitment_port=peer.calls_back)
        assert send(outbox, settings, make_result()).delivered == 1
    assert peer.told == (["0x0000", "released"] if calls_back else ["0x0000"])


@pytest.mark.parametrize("timeout_s", [60.0, 0.2], ids=["becomes free", "stays in use"])
def test_a_port_that_another_worker_listens_on_is_waited_for(timeout_s):
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        peer = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104, timeout_s=timeout_s)
        waiting = called_back(peer, port, [answer_context()], handlers=[], what="storage commitment")
        if timeout_s < 1.0:
            with pytest.raises(DeliveryError, match=f"nothing can listen on port {port} for storage commitment"), waiting:
                pass
            return
        free = threading.Timer(0.5, other.close)
        free.start()
        with waiting:
            assert answers(port)
        free.join()


def test_what_is_no_dicom_is_dead(outbox, make_result):
    folder = make_result()
    (folder / "dicom" / "sr.dcm").write_bytes(b"no DICOM")
    assert send(outbox, pacs(free_port()), folder).dead == 1
    assert "sr.dcm is not DICOM" in outbox.list()[0].reason


def test_pictures_go_before_maps_and_nothing_to_send_is_refused(make_result):
    folder = make_result()
    names = [one.path.name for one in objects_of(folder, ["*.dcm"])]
    assert names[0].startswith("sc_")
    assert names[-1].startswith("pm_")
    assert {one.path.name for one in objects_of(folder, ["pm_*.dcm"])} == {n for n in names if n.startswith("pm_")}
    with pytest.raises(RefusedError, match="no DICOM object called x"):
        objects_of(folder, ["x"])


def test_a_deliverer_that_is_killed_on_its_way_loses_nothing(make_result, tmp_path):
    """The program dies after the first objects; another one sends the rest after the lease."""
    import os
    import signal
    import subprocess
    import sys

    peer, folder = Peer(), make_result()
    with serving(peer) as port:
        settings = pacs(port)
        settings = msgspec.structs.replace(settings, retry=msgspec.structs.replace(settings.retry, lease_s=1.0))
        with Outbox(tmp_path / "outbox.sqlite") as outbox:
            hand_over(outbox, settings, read_parcel(folder), at=AT)
        real = peer.store

        def slow(event) -> Dataset:
            time.sleep(0.3 if len(peer.got) >= 2 else 0.0)
            return real(event)

        peer.store = slow
    with serving(peer) as port:
        settings = msgspec.structs.replace(settings, destinations=pacs(port).destinations)
        (tmp_path / "s.json").write_bytes(msgspec.json.encode(settings))
        code = (
            "import sys, msgspec; from pathlib import Path; from lvo.delivery import DeliverySettings, Outbox, deliver_due\n"
            "s = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=DeliverySettings)\n"
            "deliver_due(Outbox(Path(sys.argv[2])), s)"
        )
        program = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s.json"), str(tmp_path / "outbox.sqlite")])
        wait_until(lambda: len(peer.got) >= 2, "two objects arrived")
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        sent = len(peer.got)
        with Outbox(tmp_path / "outbox.sqlite") as outbox:
            (left,) = outbox.list()
            assert left.state is State.SENDING
            assert 1 <= len(left.done) <= sent
            time.sleep(1.1)
            assert deliver_due(outbox, settings).delivered == 1
            assert outbox.list()[0].attempts == 2
    assert set(peer.got) == uids(folder)
    assert len(peer.got) <= len(uids(folder)) + 1, "at most the object in flight was sent twice"
