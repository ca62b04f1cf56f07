"""A notice as HL7 v2.5.1 ORU^R01 by MLLP, acknowledged or not delivered.

The control id (MSH-10) is the same on every attempt, so that a receiver can tell a repetition.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import hl7
from hl7.mllp import InvalidBlockError, open_hl7_connection

from lvo.delivery.deliver import Job
from lvo.delivery.message import Identity, identity_of, text_lines
from lvo.delivery.records import Notice
from lvo.delivery.settings import Hl7Notification
from lvo.delivery.tls import client_context
from lvo.errors import DeliveryError, RefusedError

__all__ = ["oru_message", "send_hl7"]

_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\r": " ", "\n": "\\.br\\"})
"""HL7 v2.5.1, 2.7.1; a carriage return would end the segment."""

_CRITICAL = "AA"
"""Abnormal flag (OBX-8, table 0078): very abnormal, which most receivers show in red."""


_GOODBYE_S = 1.0


def send_hl7(target: Hl7Notification, job: Job) -> str:
    """Send a notice and check the acknowledgement.

    Returns:
        No remark.

    Raises:
        DeliveryError: the receiver cannot be reached, does not acknowledge in time, or reports an error of its own (AE, CE).
        RefusedError: it rejects the message (AR, CR).
    """
    notice = job.delivery.notice
    if notice is None:
        return ""
    control_id = hashlib.sha256(f"{job.delivery.target}:{job.delivery.key}".encode()).hexdigest()[:20]
    identity = identity_of(notice.source, wanted=target.identity)
    message = oru_message(notice, target, control_id=control_id, identity=identity, link=job.link(notice))
    where = f"HL7 receiver {target.host}:{target.port}"
    try:
        answer = asyncio.run(_exchange(target, message))
    except TimeoutError as error:
        msg = f"{where} does not answer in time"
        raise DeliveryError(msg) from error
    except ssl.SSLError as error:
        msg = f"{where}: its certificate is not trusted, or it does not trust ours"
        raise DeliveryError(msg) from error
    except (OSError, EOFError) as error:
        if isinstance(error, DeliveryError):
            raise
        msg = f"{where} cannot be reached, or breaks off ({type(error).__name__})"
        raise DeliveryError(msg) from error
    except (ValueError, hl7.HL7Exception, InvalidBlockError, LookupError) as error:
        msg = f"{where} answers something that is no HL7 acknowledgement"
        raise DeliveryError(msg) from error
    _check(answer, control_id, where)
    return ""


async def _exchange(target: Hl7Notification, message: str) -> hl7.Message:
    context = None if target.tls is None else client_context(target.tls)
    async with asyncio.timeout(target.timeout_s):
        reader, writer = await open_hl7_connection(target.host, target.port, encoding="utf-8", ssl=context)
        try:
            writer.writeblock(message.encode())
            await writer.drain()
            return await reader.readmessage()
        finally:
            await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    """End the connection; a receiver that does not say goodbye changes nothing about its acknowledgement."""
    writer.close()
    with suppress(OSError):
        async with asyncio.timeout(_GOODBYE_S):
            await writer.wait_closed()


def _check(answer: hl7.Message, control_id: str, where: str) -> None:
    """What the receiver says; its own words are not repeated, for they may quote the patient."""
    try:
        msa = answer.segment("MSA")
        code, about = str(msa[1]), str(msa[2])
    except (KeyError, IndexError) as error:
        msg = f"{where} answers without MSA"
        raise DeliveryError(msg) from error
    if about != control_id:
        msg = f"{where} acknowledges another message"
        raise DeliveryError(msg)
    if code in {"AR", "CR"}:
        msg = f"{where} rejects the message ({code}): see its log for message {control_id}"
        raise RefusedError(msg)
    if code not in {"AA", "CA"}:
        msg = f"{where} reports an error ({code}): see its log for message {control_id}"
        raise DeliveryError(msg)


def oru_message(notice: Notice, target: Hl7Notification, *, control_id: str, identity: Identity | None, link: str = "") -> str:
    """The message, segments ended by carriage returns.

    Args:
        notice: what to tell.
        target: whose names are in MSH.
        control_id: MSH-10.
        identity: for PID and the order number; PID is empty without.
        link: address of the study's page in the viewer, empty where there is none.
    """
    at, who = _time(notice.at), identity or Identity()
    names = (target.sending_application, target.sending_facility, target.receiving_application, target.receiving_facility)
    head = ["MSH", "^~\\&", *map(_text, names), at, "", "ORU^R01^ORU_R01", control_id, target.processing_id, "2.5.1"]
    order = _text(who.accession) or _text(notice.study_instance_uid)
    title = "LVO-CTA^CT angiogram: large vessel occlusion^99LVO"
    segments = [
        [*head, "", "", "", "", "", "UNICODE UTF-8"],
        ["PID", "1", "", _patient_id(who), "", _name(who), "", _text(who.birth_date), _text(who.sex)],
        ["OBR", "1", "", order, title, "", "", at, *[""] * 14, at, "", "", "P"],
        *_observations(notice, link),
    ]
    return "".join("|".join(fields).rstrip("|") + "\r" for fields in segments)


def _observations(notice: Notice, link: str) -> list[list[str]]:
    """OBX segments: the event as code, numbers with units, the study, and the text."""
    critical = "" if notice.event == "not_detected" else _CRITICAL
    rows: list[tuple[str, str, str, str, str]] = [
        ("CWE", "LVO-EVENT^result^99LVO", f"{notice.event}^{_text(notice.event.replace('_', ' '))}^99LVO", "", critical),
        ("ST", "110180^Study Instance UID^DCM", _text(notice.study_instance_uid), "", ""),
    ]
    words = {"LVO-SIDE^side^99LVO": notice.side, "LVO-SITE^site^99LVO": notice.site}
    rows += [("ST", code, _text(word), "", critical) for code, word in words.items() if word]
    numbers = {
        "LVO-PROBABILITY^probability^99LVO": (notice.probability, ""),
        "LVO-CORE^ischaemic core^99LVO": (notice.core_ml, "mL^milliliter^UCUM"),
        "LVO-HYPOPERFUSION^hypoperfused tissue^99LVO": (notice.hypoperfusion_ml, "mL^milliliter^UCUM"),
        "LVO-MISMATCH^mismatch^99LVO": (notice.mismatch_ml, "mL^milliliter^UCUM"),
    }
    rows += [("NM", code, f"{value:.6g}", unit, "") for code, (value, unit) in numbers.items() if value is not None]
    if link:
        rows.append(("ST", "LVO-VIEWER^address in the viewer^99LVO", _text(link), "", ""))
    rows += [("TX", "LVO-TEXT^text^99LVO", _text(line), "", "") for line in text_lines(notice, link=link)]
    return [_obx(n, row, notice.at) for n, row in enumerate(rows, 1)]


def _obx(number: int, row: Sequence[str], at: datetime) -> list[str]:
    kind, code, value, unit, flag = row
    return ["OBX", str(number), kind, code, str(number), value, unit, "", flag, "", "", "P", "", "", _time(at)]


def _patient_id(who: Identity) -> str:
    return f"{_text(who.patient_id)}^^^{_text(who.issuer)}".rstrip("^")


def _name(who: Identity) -> str:
    """XPN from the first group of a DICOM name: family, given, middle, then suffix before prefix."""
    parts = [_text(part) for part in who.name.split("=", maxsplit=1)[0].split("^")]
    family, given, middle, prefix, suffix = (*parts, "", "", "", "", "")[:5]
    return f"{family}^{given}^{middle}^{suffix}^{prefix}".rstrip("^")


def _text(text: str) -> str:
    return text.translate(_ESCAPES)


def _time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S%z")
