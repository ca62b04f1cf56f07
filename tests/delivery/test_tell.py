"""Telling people: each message read by a program that is not ours, and no identity in any of them unless it was asked for."""

import asyncio
import email.policy
import hashlib
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import hl7
import pytest
import trustme
from aiosmtpd.controller import Controller
from hl7apy.parser import parse_message
from lvo_tests_servers import free_port, web
from standardwebhooks import Webhook, WebhookVerificationError

from lvo.core.report import Call
from lvo.delivery import DeliverySettings, Notice, Outbox, State, deliver_due, hand_over, read_parcel, tell
from lvo.delivery.settings import (
    EmailNotification,
    FhirNotification,
    Hl7Notification,
    RetrySettings,
    TlsSettings,
    WebhookNotification,
)  # fmt: skip

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "1.2.826.0.1.3680043.8.498.77"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - made up
EVENTS = ("suspected", "indeterminate", "not_detected", "not_assessable", "failed", "overdue")
IDENTIFIERS = ("CANARYNAME", "CANARYID", "CANARYACC", "19110203", "CANARYREF")


@pytest.fixture
def outbox(tmp_path):
    with Outbox(tmp_path / "outbox.sqlite") as made:
        yield made


@pytest.fixture
def secret(tmp_path) -> str:
    (tmp_path / "secret").write_text(SECRET + "\n")
    return str(tmp_path / "secret")


def telling(*targets, site: str = "SITE1") -> DeliverySettings:
    return DeliverySettings(site=site, notifications=targets, retry=RetrySettings(first_s=0.01, longest_s=0.02))


def notice(event: str, **facts) -> Notice:
    return Notice(event=event, study_instance_uid=UID, at=AT, **facts)


class Receiver:
    """An HL7 receiver that acknowledges as the test wants."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.code: str | None = "AA"
        self.about: str | None = None
        self.raw: bytes | None = None
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = await reader.readuntil(b"\x1c\x0d")
        text = block.strip(b"\x0b\x1c\x0d").decode()
        self.got.append(text)
        if self.raw is not None:
            writer.write(self.raw)
        elif self.code is not None:
            about = self.about or hl7.parse(text + "\r").segment("MSH")[10]
            ack = f"MSH|^~\\&|RIS|RIS|LVO|LVO|20260301||ACK|1|P|2.5.1\rMSA|{self.code}|{about}|CANARYNAME\r"
            writer.write(b"\x0b" + ack.encode() + b"\x1c\x0d")
        await writer.drain()
        if self.code is None:
            await asyncio.Event().wait()  # until the server ends


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """An MLLP server while the block runs."""
    receiver, ready, stop = Receiver(), threading.Event(), asyncio.Event()

    async def main() -> None:
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
        receiver.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=runner.run, args=(main(),))
        thread.start()
        try:
            assert ready.wait(60.0)
            yield receiver
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


class Box:
    """A mail server's box."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], bytes]] = []
        self.says: dict[str, str] = {}

    async def handle_RCPT(self, _server, _session, envelope, address: str, _options) -> str:  # noqa: N802 - aiosmtpd's name
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802
        if "data" in self.says:
            return self.says["data"]
        self.got.append((list(envelope.rcpt_tos), envelope.content))
        return "250 OK"


@contextmanager
def mailing(**options) -> Iterator[tuple[Box, int]]:
    box, port = Box(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


def hook(url: str, secret: str, **change) -> WebhookNotification:
    return WebhookNotification(**{"name": "hook", "url": url, "secret_file": secret, "on": EVENTS, "timeout_s": 5.0, **change})


def mail(port: int, **change) -> EmailNotification:
    fields = {"name": "mail", "host": "127.0.0.1", "port": port, "sender": "lvo@example.org", "to": ("team@example.org",)}
    return EmailNotification(**{**fields, "security": "none", "on": EVENTS, "timeout_s": 5.0, **change})


def ris(port: int, **change) -> Hl7Notification:
    return Hl7Notification(**{"name": "ris", "host": "127.0.0.1", "port": port, "on": EVENTS, "timeout_s": 2.0, **change})


def fhir(url: str, **change) -> FhirNotification:
    return FhirNotification(**{"name": "fhir", "url": url, "on": EVENTS, "timeout_s": 5.0, **change})


def test_a_webhook_is_verified_by_the_library_of_the_standard(outbox, secret, make_result):
    with web() as server:
        hand_over(outbox, telling(hook(server.url, secret)), read_parcel(make_result()), at=AT)
        assert deliver_due(outbox, telling(hook(server.url, secret))).delivered == 1
    ((method, _, headers, body),) = server.got
    assert (method, headers["content-type"]) == ("POST", "application/json")
    said = Webhook(SECRET).verify(body, headers)
    assert (said["event"], said["side"], said["site"], said["probability"]) == ("suspected", "left", "M1", 0.93)
    assert (said["schema"], said["study_instance_uid"], said["id"]) == ("lvo-notice/1", UID, headers["webhook-id"])
    assert said["hospital"] == "SITE1"
    assert "Research use only" in said["text"]
    assert "source" not in said, "a path on this machine"
    for changed in (body.replace(b"left", b"none"), body + b" "):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(changed, headers)
    old = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 600)}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, old)


def test_a_repeated_webhook_has_the_same_id_and_another_notice_another(outbox, secret):
    with web() as server:
        settings = telling(hook(server.url, secret))
        tell(outbox, settings, notice("overdue", waited_min=21.0))
        server.status = 503
        assert deliver_due(outbox, settings).failed == 1
        server.status = 204
        outbox.wake("hook")
        assert deliver_due(outbox, settings).delivered == 1
        tell(outbox, settings, notice("suspected", side="left"))
        deliver_due(outbox, settings)
    ids = [headers["webhook-id"] for _, _, headers, _ in server.got]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("status", "state"), [(400, State.DEAD), (410, State.DEAD), (302, State.PENDING), (429, State.PENDING)]
)
def test_answers_to_a_webhook(outbox, secret, status, state):
    with web() as server:
        server.status, server.body = status, b"CANARYNAME"
        tell(outbox, telling(hook(server.url, secret)), notice("failed"))
        deliver_due(outbox, telling(hook(server.url, secret)))
    (ended,) = outbox.list()
    assert ended.state is state
    assert str(status) in ended.reason
    assert "CANARYNAME" not in ended.reason


@pytest.mark.parametrize(
    "text", ["short", "whsec_@@@", "", "whsec_c2hvcnQ="], ids=["short", "no base64", "empty", "short base64"]
)
def test_a_poor_secret_signs_nothing(outbox, tmp_path, text):
    (tmp_path / "poor").write_text(text)
    with web() as server:
        settings = telling(hook(server.url, str(tmp_path / "poor")))
        tell(outbox, settings, notice("failed"))
        assert deliver_due(outbox, settings).failed == 1
        assert server.got == []
    assert str(tmp_path / "poor") in outbox.list()[0].reason
    assert "c2hvcnQ" not in outbox.list()[0].reason


def test_an_email_says_it_in_the_first_line(outbox):
    with mailing() as (box, port):
        settings = telling(mail(port, to=("a@example.org", "b@example.org")))
        tell(outbox, settings, notice("suspected", side="right", site="M1", probability=0.91, core_ml=12.3, mismatch_ml=80.0))
        assert deliver_due(outbox, settings).delivered == 1
    ((to, content),) = box.got
    message = message_from_bytes(content, policy=email.policy.default)
    assert to == ["a@example.org", "b@example.org"]
    assert message["Subject"] == "lvo [SITE1]: large-vessel occlusion suspected, right M1"
    lines = message.get_content().splitlines()
    assert lines[0] == "large-vessel occlusion suspected, right M1."
    assert "CT perfusion: core 12 mL, mismatch 80 mL." in lines
    assert "A clinician must read the images now." in lines
    assert message["Message-ID"].endswith("@example.org>")


@pytest.mark.parametrize(
    ("says", "state"),
    [
        pytest.param({"a@example.org": "550 unknown"}, State.DELIVERED, id="one address unknown"),
        pytest.param({"a@example.org": "550 no", "b@example.org": "550 no"}, State.DEAD, id="all addresses unknown"),
        pytest.param({"a@example.org": "451 later", "b@example.org": "550 no"}, State.PENDING, id="one later"),
        pytest.param({"data": "554 spam"}, State.DEAD, id="the message refused"),
        pytest.param({"data": "452 full"}, State.PENDING, id="no room"),
    ],
)
def test_answers_of_a_mail_server(outbox, says, state):
    with mailing() as (box, port):
        box.says = says
        settings = telling(mail(port, to=("a@example.org", "b@example.org")))
        tell(outbox, settings, notice("failed"))
        deliver_due(outbox, settings)
    (ended,) = outbox.list()
    assert ended.state is state
    if state is State.DELIVERED:
        assert ended.reason == "refused: a@example.org"
        assert len(box.got) == 1


def test_a_mail_server_that_takes_nothing_now_is_tried_again(outbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = telling(mail(server.getsockname()[1]))
        tell(outbox, settings, notice("failed"))

        def refuse():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"554 no service\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        deliver_due(outbox, settings)
        thread.join()
    (ended,) = outbox.list()
    assert ended.state is State.PENDING
    assert "takes no mail now (554)" in ended.reason


def test_email_by_starttls_with_login_and_not_without(outbox, tmp_path):
    from aiosmtpd.smtp import AuthResult

    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "password").write_text("pa55\n")

    def check(_server, _session, _envelope, _mechanism, data) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"lvo", b"pa55"))

    options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": check}
    with mailing(**options) as (box, port):
        trusted = TlsSettings(ca=str(tmp_path / "ca.pem"))
        login = {"user": "lvo", "password_file": str(tmp_path / "password")}
        for wrong in ({"security": "none"}, {"security": "starttls", **login}):
            tell(outbox, telling(mail(port, **wrong)), notice("failed"))
            assert deliver_due(outbox, telling(mail(port, **wrong))).delivered == 0, wrong
            outbox.wake("mail")
            outbox.replay()
        assert box.got == []
        settings = telling(mail(port, security="starttls", tls=trusted, **login))
        assert deliver_due(outbox, settings).delivered == 1
    assert len(box.got) == 1


def test_a_mail_server_without_starttls_gets_no_clear_text(outbox):
    with mailing() as (box, port):
        settings = telling(mail(port, security="starttls"))
        tell(outbox, settings, notice("failed"))
        assert deliver_due(outbox, settings).failed == 1
        assert "does not offer" in outbox.list()[0].reason
    assert box.got == []


def test_an_oru_is_valid_by_another_library_and_acknowledged(outbox):
    with receiving() as receiver:
        settings = telling(ris(receiver.port, sending_facility="HOSP"))
        tell(outbox, settings, notice("suspected", side="left", site="M1", probability=0.93, core_ml=20.5))
        assert deliver_due(outbox, settings).delivered == 1
    (text,) = receiver.got
    message = parse_message(text, find_groups=False)
    assert message.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert message.msh.msh_12.to_er7() == "2.5.1"
    assert message.msh.msh_4.to_er7() == "HOSP"
    assert message.obr.obr_25.to_er7() == "P"
    rows = {obx.obx_3.to_er7().split("^")[0]: obx for obx in message.obx if obx.obx_2.to_er7() != "TX"}
    assert rows["LVO-EVENT"].obx_5.to_er7() == "suspected^suspected^99LVO"
    assert rows["LVO-EVENT"].obx_8.to_er7() == "AA"
    assert (rows["LVO-SITE"].obx_5.to_er7(), rows["LVO-SIDE"].obx_5.to_er7()) == ("M1", "left")
    assert (rows["LVO-CORE"].obx_5.to_er7(), rows["LVO-CORE"].obx_6.to_er7()) == ("20.5", "mL^milliliter^UCUM")
    assert rows["110180"].obx_5.to_er7() == UID
    assert {obx.obx_11.to_er7() for obx in message.obx} == {"P"}
    assert [obx.obx_1.to_er7() for obx in message.obx] == [str(n) for n in range(1, len(message.obx) + 1)]
    assert text.split("\r")[1] == "PID|1"
    assert message.children.get("MSH")[0].msh_10.to_er7()


def test_delimiters_in_a_reason_stay_text(outbox):
    reason = "a|b^c&d~e\\f\rMSH|g\nh"
    with receiving() as receiver:
        settings = telling(ris(receiver.port))
        tell(outbox, settings, notice("not_assessable", reasons=(reason,)))
        deliver_due(outbox, settings)
    (text,) = receiver.got
    assert sum(line.startswith("MSH") for line in text.split("\r")) == 1
    parsed = hl7.parse(text)
    (row,) = [s for s in parsed.segments("OBX") if "Reason" in str(s[5])]
    assert parsed.unescape(str(row[5])).replace("\r", "\n") == "Reason: a|b^c&d~e\\f MSH|g\nh"


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        pytest.param({"code": "AE"}, State.PENDING, "reports an error (AE)", id="an error of the receiver"),
        pytest.param({"code": "AR"}, State.DEAD, "rejects the message (AR)", id="a rejection"),
        pytest.param({"about": "another"}, State.PENDING, "acknowledges another message", id="another message"),
        pytest.param({"raw": b"\x0bnot HL7\x1c\x0d"}, State.PENDING, "no HL7 acknowledgement", id="no HL7"),
        pytest.param({"raw": b"\x0bMSH|^~\\&|A|B|C|D|1||ACK|1|P|2.5\r\x1c\x0d"}, State.PENDING, "without MSA", id="no MSA"),
        pytest.param({"raw": b""}, State.PENDING, "breaks off", id="closed without a word"),
        pytest.param({"code": None}, State.PENDING, "does not answer in time", id="silence"),
    ],
)
def test_acknowledgements(outbox, change, state, says):
    with receiving() as receiver:
        for name, value in change.items():
            setattr(receiver, name, value)
        settings = telling(ris(receiver.port, timeout_s=1.0))
        tell(outbox, settings, notice("failed"))
        deliver_due(outbox, settings)
    (ended,) = outbox.list()
    assert ended.state is state
    assert says in ended.reason
    assert "CANARYNAME" not in ended.reason


def test_hl7_over_tls(outbox, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with receiving(context) as receiver:
        for tls, ended in ((TlsSettings(), "failed"), (TlsSettings(ca=str(tmp_path / "ca.pem")), "delivered")):
            settings = telling(ris(receiver.port, tls=tls))
            tell(outbox, settings, notice("failed"))
            outbox.wake("ris")
            assert getattr(deliver_due(outbox, settings), ended) == 1
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("event", "status", "value"),
    [("suspected", "preliminary", "suspected"), ("not_assessable", "preliminary", None), ("failed", "cancelled", None),
     ("overdue", "registered", None)],
)  # fmt: skip
def test_a_fhir_report_is_put_under_the_id_of_its_study(outbox, event, status, value):
    with web() as server:
        settings = telling(fhir(server.url + "/r4/"))
        facts = {"side": "left", "site": "M1", "probability": 0.93, "core_ml": 20.5} if value else {"reasons": ("why",)}
        tell(outbox, settings, notice(event, **facts))
        assert deliver_due(outbox, settings).delivered == 1
    ((method, path, headers, body),) = server.got
    report = json.loads(body)
    assert (method, path) == ("PUT", f"/r4/DiagnosticReport/{report['id']}")
    assert headers["content-type"] == "application/fhir+json"
    assert (report["resourceType"], report["status"]) == ("DiagnosticReport", status)
    assert report["imagingStudy"][0]["identifier"] == {"system": "urn:dicom:uid", "value": f"urn:oid:{UID}"}
    assert datetime.fromisoformat(report["issued"]) == AT
    contained = {one["id"]: one for one in report["contained"]}
    assert {one["reference"] for one in report["result"]} == {f"#{name}" for name in contained}
    if value:
        assert contained["call"]["valueCodeableConcept"]["coding"][0]["code"] == value
        assert contained["core"]["valueQuantity"]["value"] == 20.5
        assert contained["core"]["valueQuantity"]["code"] == "mL"
    else:
        assert "why" in contained["call"]["dataAbsentReason"]["text"]
        assert "valueCodeableConcept" not in contained["call"], "not judged must not look like an answer"
    assert "subject" not in report


def test_a_later_fhir_report_takes_the_place_of_the_first(outbox):
    with web() as server:
        settings = telling(fhir(server.url))
        for event in ("overdue", "suspected"):
            tell(outbox, settings, notice(event))
            deliver_due(outbox, settings)
    assert len({path for _, path, _, _ in server.got}) == 1
    assert [json.loads(body)["status"] for _, _, _, body in server.got] == ["registered", "preliminary"]


@pytest.mark.parametrize("event", ["overdue", "failed"])
@pytest.mark.parametrize("standing", ["indeterminate", "not_detected"])
def test_a_fhir_report_keeps_its_finding_beside_a_later_version_without_result_but_no_all_clear(outbox, event, standing):
    facts = {"probability": 0.04, "core_ml": 2.5}
    with web() as server:
        settings = telling(fhir(server.url))
        for told in (notice(standing, **facts), notice(event, standing=standing, reasons=("version 2",), **facts)):
            tell(outbox, settings, told, asked="failed")
            assert deliver_due(outbox, settings).delivered == 1
    first, second = (json.loads(body) for _, _, _, body in server.got)
    assert first["id"] == second["id"]
    assert (first["status"], second["status"]) == ("preliminary", "partial")
    if standing == "not_detected":
        before, now = first["contained"].pop(0), second["contained"].pop(0)
        assert before["valueCodeableConcept"]["coding"][0]["code"] == "not_detected"
        assert "valueCodeableConcept" not in now
        assert "version 2" in now["dataAbsentReason"]["text"]
    assert second["contained"] == first["contained"]
    lines = second["conclusion"].splitlines()
    assert lines[1].startswith("The result that stands: ")
    assert ("This does not rule out an occlusion." in lines) == (standing == "not_detected")
    assert "Reason: version 2" in lines


@contextmanager
def everyone(secret: str, **change) -> Iterator[tuple[DeliverySettings, Callable[[], str]]]:
    """Settings of every kind of notification, and everything that was sent to them."""
    with web() as hooks, web() as fhirs, receiving() as receiver, mailing() as (box, port):
        targets = (
            hook(hooks.url, secret, **change), fhir(fhirs.url, **change), ris(receiver.port, **change), mail(port, **change),
        )  # fmt: skip

        def sent() -> str:
            everything = [body.decode() for server in (hooks, fhirs) for _, _, _, body in server.got] + receiver.got
            mails = [message_from_bytes(content, policy=email.policy.default) for _, content in box.got]
            return "\n".join([*everything, *(str(m["Subject"]) + m.get_content() for m in mails)])

        yield telling(*targets), sent


def logged(caplog) -> str:
    """What was logged, but for what the mail server of this test says."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name != "mail.log")


def told(outbox: Outbox, settings: DeliverySettings, make_result) -> int:
    """Everything that can be told, about results and without; the number of messages."""
    source = make_result()
    for call in (Call.SUSPECTED, Call.INDETERMINATE, Call.NOT_DETECTED, None):
        hand_over(outbox, settings, read_parcel(make_result(call=call)), at=AT)
        deliver_due(outbox, settings)
    for n, event in enumerate(("failed", "overdue")):
        at = AT + timedelta(minutes=n)
        made = Notice(event=event, study_instance_uid=UID, at=at, waited_min=30.0, source=str(source / "dicom"))
        tell(outbox, settings, made)
        deliver_due(outbox, settings)
    return sum(n for (_, state), n in outbox.counts().items() if state is State.DELIVERED)


def test_no_identity_leaves_unless_it_was_asked_for(outbox, secret, make_result, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    with everyone(secret) as (settings, sent):
        assert told(outbox, settings, make_result) == 6 * 4
        text = sent()
    kept = (tmp_path / "outbox.sqlite").read_bytes() + (tmp_path / "outbox.sqlite-wal").read_bytes()
    for canary in IDENTIFIERS:
        assert canary not in text
        assert canary not in logged(caplog)
        assert canary.encode() not in kept, "nor is it kept"
    assert text.count(UID) >= 6 * 4


def test_identity_is_said_where_it_was_asked_for(outbox, secret, make_result, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    with everyone(secret, identity=True) as (settings, sent):
        assert told(outbox, settings, make_result) == 6 * 4
        text = sent()
    for canary in ("CANARYNAME", "CANARYID", "CANARYACC"):
        assert text.count(canary) >= 6 * 4, canary
        assert canary not in logged(caplog)
        assert canary.encode() not in (tmp_path / "outbox.sqlite-wal").read_bytes()
    assert "PID|1||CANARYID||CANARYNAME||19110203|F" in text


def test_an_alarm_goes_out_without_a_name_when_no_file_says_it(outbox, secret, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a").write_bytes(b"no DICOM")
    with everyone(secret, identity=True) as (settings, sent):
        for n, source in enumerate(("", str(tmp_path / "images"), str(tmp_path / "gone"))):
            tell(outbox, settings, Notice(event="overdue", study_instance_uid=f"1.2.{n}", at=AT, source=source))
        assert deliver_due(outbox, settings).delivered == 3 * 4
        assert sent().count("LATE") >= 3 * 4


@pytest.mark.parametrize("viewer_url", ["https://lvo.example.org/lists", "https://lvo.example.org/lists/", ""])
def test_messages_of_every_kind_link_to_the_study_where_a_viewer_is_configured(outbox, secret, viewer_url):
    link = f"https://lvo.example.org/lists/study.html#{hashlib.sha256(f'lvo-web {UID}'.encode()).hexdigest()[:24]}"
    with web() as hooks, web() as fhirs, receiving() as receiver, mailing() as (box, port):
        targets = hook(hooks.url, secret), fhir(fhirs.url), ris(receiver.port), mail(port)
        settings = DeliverySettings(site="SITE1", viewer_url=viewer_url, notifications=targets)
        tell(outbox, settings, notice("suspected", side="left", site="M1"))
        assert deliver_due(outbox, settings).delivered == 4
    posted, report = json.loads(hooks.got[0][3]), json.loads(fhirs.got[0][3])
    rows = [obx for obx in parse_message(receiver.got[0], find_groups=False).obx if "LVO-VIEWER" in obx.obx_3.to_er7()]
    mailed = message_from_bytes(box.got[0][1], policy=email.policy.default).get_content()
    if not viewer_url:
        assert (posted.get("viewer"), report.get("presentedForm"), rows) == (None, None, [])
        assert "Look at it" not in posted["text"] + report["conclusion"] + receiver.got[0] + mailed
        return
    assert posted["viewer"] == report["presentedForm"][0]["url"] == rows[0].obx_5.to_er7() == link
    for text in (posted["text"], report["conclusion"], receiver.got[0], mailed):
        assert f"Look at it: {link}" in text


def test_one_who_cannot_be_reached_holds_up_nobody(outbox, secret):
    with web() as server:
        settings = telling(
            mail(free_port()), ris(free_port()), fhir(f"http://127.0.0.1:{free_port()}"), hook(server.url, secret)
        )
        tell(outbox, settings, notice("suspected"))
        tally = deliver_due(outbox, settings)
    assert (tally.delivered, tally.failed) == (1, 3)
    assert all("cannot be reached" in d.reason for d in outbox.list(state=State.PENDING))
