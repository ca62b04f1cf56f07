"""STOW-RS: against Orthanc, and against answers that a server could give."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
import trustme
from lvo_tests_servers import free_port, needs_orthanc, orthanc, web

from lvo.delivery import DeliverySettings, Outbox, State, deliver_due, hand_over, read_parcel
from lvo.delivery.settings import RetrySettings, StowDestination, TlsSettings

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "outbox.sqlite") as made:
        yield made


def archive(url: str, **change) -> DeliverySettings:
    destination = StowDestination(**{"name": "archive", "url": url, "timeout_s": 10.0, **change})
    return DeliverySettings(destinations=(destination,), retry=RetrySettings(first_s=0.01, longest_s=0.02))


def send(outbox: Outbox, settings: DeliverySettings, folder: Path):
    hand_over(outbox, settings, read_parcel(folder), at=AT)
    return deliver_due(outbox, settings)


def uids(folder: Path, pattern: str = "*.dcm") -> set[str]:
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in (folder / "dicom").glob(pattern)}


def answer(body: bytes, *, failure: int | None = None, warning: int | None = None) -> bytes:
    """A Store Instances Response about the one object in a request."""
    start = body.index(b"\r\n\r\n") + 4
    end = body.rindex(b"\r\n--")
    from io import BytesIO

    dataset = pydicom.dcmread(BytesIO(body[start:end]))
    item = {
        "00081150": {"vr": "UI", "Value": [dataset.SOPClassUID]},
        "00081155": {"vr": "UI", "Value": [dataset.SOPInstanceUID]},
    }
    if failure is not None:
        item["00081197"] = {"vr": "US", "Value": [failure]}
        return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()
    if warning is not None:
        item["00081196"] = {"vr": "US", "Value": [warning]}
    return json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode()


@needs_orthanc
def test_orthanc_has_everything_by_qido_and_a_second_time_changes_nothing(outbox, make_result, tmp_path):
    from dicomweb_client.api import DICOMwebClient

    folder = make_result()
    with orthanc(tmp_path) as server:
        settings = archive(server.dicomweb)
        assert send(outbox, settings, folder).delivered == 1
        found = DICOMwebClient(server.dicomweb).search_for_instances("1.2.826.0.1.3680043.8.498.77")
        assert {one["00080018"]["Value"][0] for one in found} == uids(folder)
        assert send(outbox, settings, make_result(version="2")).delivered == 1
        assert server.sop_instance_uids() == uids(folder)


def test_what_is_sent_is_what_was_written(outbox, make_result):
    folder = make_result()
    with web() as server:
        server.body = answer
        assert send(outbox, archive(server.url), folder).delivered == 1
    assert {path for _, path, _, _ in server.got} == {"/studies/1.2.826.0.1.3680043.8.498.77"}
    sent = {path.read_bytes()[132:] for path in (folder / "dicom").glob("*.dcm")}
    got = {body[body.index(b"\r\n\r\n") + 4 : body.rindex(b"\r\n--")][132:] for _, _, _, body in server.got}
    assert got == sent
    assert all("chunked" not in headers.get("transfer-encoding", "") for _, _, headers, _ in server.got)


def test_a_warning_is_kept(outbox, make_result):
    with web() as server:
        server.body = lambda body: answer(body, warning=0xB000)
        assert send(outbox, archive(server.url, objects=("sr.dcm",)), make_result()).delivered == 1
    assert outbox.list()[0].reason == "sr.dcm: 0xB000, stored with a warning"


@pytest.mark.parametrize("status", [409, 202, 200])
def test_one_object_refused_for_good_is_dead_with_its_reason_and_the_others_arrive(outbox, make_result, status):
    folder = make_result()
    (refused,) = uids(folder, "pdf.dcm")
    with web() as server:
        server.status = status
        server.body = lambda body: answer(body, failure=0x0122 if refused.encode() in body else None)
        tally = send(outbox, archive(server.url), folder)
        (ended,) = outbox.list()
        assert tally.dead == 1
        assert ended.reason == f"1 of {len(uids(folder))} objects: pdf.dcm refused with 0x0122, class not supported"
        assert sum(said == "stored" for said in ended.done.values()) == len(uids(folder)) - 1
        server.got.clear()
        server.body, server.status = answer, 200
        outbox.replay()
        assert deliver_due(outbox, archive(server.url)).delivered == 1
        assert len(server.got) == 1, "what was taken before is not sent again"


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        pytest.param(503, b"", "answers 503", id="unavailable"),
        pytest.param(401, b"", "answers 401", id="no right"),
        pytest.param(200, b"", "does not say that it stored it", id="an empty answer"),
        pytest.param(200, b"{}", "does not say that it stored it", id="an answer without the object"),
        pytest.param(409, b"<html>", "does not say that it stored it", id="a conflict without reason"),
    ],
)
def test_what_may_pass_is_tried_again(outbox, make_result, status, body, says):
    with web() as server:
        server.status, server.body = status, body
        assert send(outbox, archive(server.url), make_result()).failed == 1
        assert says in outbox.list(state=State.PENDING)[0].reason
        server.status, server.body = 200, answer
        outbox.wake("archive")
        assert deliver_due(outbox, archive(server.url)).delivered == 1


def test_a_server_out_of_resources_is_tried_again(outbox, make_result):
    with web() as server:
        server.status, server.body = 409, lambda body: answer(body, failure=0xA700)
        assert send(outbox, archive(server.url), make_result()).failed == 1
        assert "0xA700" in outbox.list()[0].reason


def test_a_request_the_server_calls_wrong_is_dead(outbox, make_result):
    with web() as server:
        server.status, server.body = 415, b"CANARYNAME is unsupported"
        assert send(outbox, archive(server.url, objects=("sr.dcm",)), make_result()).dead == 1
    reason = outbox.list()[0].reason
    assert "sr.dcm refused" in reason
    assert "415" in reason
    assert "CANARYNAME" not in reason


def test_a_server_that_is_down_queues(outbox, make_result):
    assert send(outbox, archive(f"http://127.0.0.1:{free_port()}"), make_result()).failed == 1
    assert "cannot be reached" in outbox.list()[0].reason


def test_a_token_is_shown_and_a_certificate_is_checked(outbox, make_result, tmp_path):
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "token").write_text("s3cret\n")
    with web(tls=context) as server:
        server.body = answer
        assert send(outbox, archive(server.url), make_result()).failed == 1
        assert "certificate is not trusted" in outbox.list()[0].reason
        assert server.got == []
        outbox.wake("archive")
        settings = archive(server.url, tls=TlsSettings(ca=str(tmp_path / "ca.pem")), token_file=str(tmp_path / "token"))
        assert deliver_due(outbox, settings).delivered == 1
    assert {headers["authorization"] for _, _, headers, _ in server.got} == {"Bearer s3cret"}
