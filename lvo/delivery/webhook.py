"""A notice as a signed POST of JSON, as https://www.standardwebhooks.com describes it: receivers have libraries that check it.

`webhook-id` is the same on every attempt, so that a receiver can tell a repetition; `webhook-timestamp` lets it refuse an old
message that somebody recorded; `webhook-signature` is an HMAC-SHA256 over id, timestamp and body.
"""

import base64
import binascii
import hashlib
import hmac
import time

import msgspec

from lvo import RESEARCH_USE_ONLY
from lvo.delivery.deliver import Job
from lvo.delivery.message import identity_of, subject, text_lines
from lvo.delivery.records import Notice
from lvo.delivery.settings import WebhookNotification
from lvo.delivery.web import answered, connection_errors, read_secret, session
from lvo.errors import DeliveryError

__all__ = ["SCHEMA", "send_webhook"]

SCHEMA = "lvo-notice/1"
"""Name and number of the body's schema; a change needs a new number and a changelog entry."""

_PREFIX = "whsec_"
"""Of a secret that is base64, as the standard writes them."""

_MIN_SECRET_BYTES = 16


def send_webhook(target: WebhookNotification, job: Job) -> str:
    """Post a notice.

    Returns:
        No remark.

    Raises:
        DeliveryError: the receiver cannot be reached or may take it later; RefusedError: it says the message is wrong.
    """
    notice = job.delivery.notice
    if notice is None:
        return ""
    message_id = message_id_of(job)
    body = msgspec.json.encode(_document(notice, target, job, message_id))
    headers = {"Content-Type": "application/json", **_signed(message_id, int(time.time()), body, _secret(target.secret_file))}
    with connection_errors(target.url), session(target.tls) as http:
        response = http.post(target.url, data=body, headers=headers, timeout=target.timeout_s, allow_redirects=False)
    answered(response, target.url)
    return ""


def message_id_of(job: Job) -> str:
    """Of a message: the same on every attempt, different for every notice and target."""
    return "msg_" + hashlib.sha256(f"{job.delivery.target}:{job.delivery.key}".encode()).hexdigest()[:32]


def _document(notice: Notice, target: WebhookNotification, job: Job, message_id: str) -> dict[str, object]:
    facts = msgspec.to_builtins(notice)
    facts.pop("source", None)  # a path on this machine
    link = job.link(notice)
    document = {
        "schema": SCHEMA,
        "id": message_id,
        "hospital": job.site,
        "subject": subject(notice, job.site),
        "text": "\n".join(text_lines(notice, link=link)),
        **facts,
        **({"viewer": link} if link else {}),
        "research_use_only": RESEARCH_USE_ONLY,
    }
    identity = identity_of(notice.source, wanted=target.identity)
    if identity is not None:
        names = ("name", "patient_id", "issuer", "birth_date", "sex", "accession")
        document["patient"] = {name: getattr(identity, name) for name in names}
    return document


def _signed(message_id: str, timestamp: int, body: bytes, secret: bytes) -> dict[str, str]:
    signature = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def _secret(path: str) -> bytes:
    text = read_secret(path)
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else text.encode()
    except binascii.Error as error:
        msg = f"the secret in {path} starts with {_PREFIX} and is no base64"
        raise DeliveryError(msg) from error
    if len(secret) < _MIN_SECRET_BYTES:
        msg = f"the secret in {path} has {len(secret)} bytes; {_MIN_SECRET_BYTES} are the least"
        raise DeliveryError(msg)
    return secret
