"""Results to a DICOMweb server by STOW-RS (PS3.18 10.5), the answer looked at object by object.

Storing an object again is harmless, as with C-STORE: its SOP Instance UID is the same.
"""

import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from lvo.delivery.cstore import DUPLICATE, ResultObject, objects_of, refusals, summary
from lvo.delivery.deliver import Job
from lvo.delivery.settings import HttpPeer, StowDestination
from lvo.delivery.web import answered, connection_errors, session
from lvo.errors import DeliveryError, RefusedError

__all__ = ["client_of", "send_stow"]

CONFLICT = 409
NEVER_CHUNKED = 2**31
"""Older servers lose what comes in chunks, and say nothing."""

NOT_NOW = frozenset({0x0110, 0x0213, *range(0xA700, 0xA800)})
"""Failure reasons that may pass: processing failure, resource limitation, out of resources (PS3.18 table I.2-2)."""

_KNOWN = {
    0xA900: "the object does not fit its class", 0xC000: "it cannot be understood", 0xC122: "transfer syntax not supported",
    0x0122: "class not supported", 0x0124: "not authorized", 0x0110: "processing failure", 0x0272: "study lacks or differs",
}  # fmt: skip


def client_of(peer: HttpPeer) -> DICOMwebClient:
    """A DICOMweb client that tries once, with our time limit: trying again is the outbox's business."""
    client = DICOMwebClient(
        peer.url, session=session(peer.tls, token_file=peer.token_file), timeout=peer.timeout_s, chunk_size=NEVER_CHUNKED
    )
    client.set_http_retry_params(retry=False)
    return client


def send_stow(destination: StowDestination, job: Job) -> str:
    """Store the objects of a result on a DICOMweb server, one request each, so that one that is refused holds up no other.

    Returns:
        Warnings of the server.

    Raises:
        DeliveryError: the server cannot be reached, or did not take everything; what it took is noted.
        RefusedError: it took everything but objects that it refuses for good.
    """
    objects = objects_of(job.delivery.folder, destination.objects)
    done = {uid: said for uid, said in job.delivery.done.items() if not said.startswith("refused")}
    client = client_of(destination)
    for one in objects:
        if one.sop_instance_uid not in done:
            done[one.sop_instance_uid] = _store(client, destination, one)
            job.note(done)
    refused = refusals(objects, done)
    if refused:
        raise RefusedError(refused)
    return summary(objects, done)


def _store(client: DICOMwebClient, destination: StowDestination, one: ResultObject) -> str:
    """What the server said of an object."""
    dataset = dcmread(one.path)
    with connection_errors(destination.url):
        try:
            answer = client.store_instances([dataset], study_instance_uid=str(dataset.StudyInstanceUID))
        except requests.HTTPError as error:
            response = error.response
            if response.status_code != CONFLICT:
                return _refusal(response, destination)
            answer = _body(response)
    return _judge(one, answer)


def _refusal(response: requests.Response, destination: StowDestination) -> str:
    """Words for an answer without any dataset.

    Raises:
        DeliveryError: the server may take the object later.
    """
    try:
        answered(response, destination.url)
    except RefusedError as error:
        return f"refused: {error}"
    msg = f"{destination.url} answers {response.status_code}"
    raise DeliveryError(msg)


def _body(response: requests.Response) -> Dataset:
    """The dataset of an answer; an empty one where the server sends none."""
    try:
        return Dataset.from_json(response.json())
    except (ValueError, TypeError, KeyError, AttributeError):
        return Dataset()


def _judge(one: ResultObject, answer: Dataset) -> str:
    """What a Store Instances Response says of an object.

    Raises:
        DeliveryError: the server may take it later, or says nothing about it.
    """
    for item in answer.get("FailedSOPSequence") or []:
        if str(item.get("ReferencedSOPInstanceUID", one.sop_instance_uid)) == one.sop_instance_uid:
            return _failure(one, int(item.get("FailureReason", 0x0110)))
    for item in answer.get("ReferencedSOPSequence") or []:
        if str(item.ReferencedSOPInstanceUID) == one.sop_instance_uid:
            warning = item.get("WarningReason")
            return "stored" if warning is None else f"0x{int(warning):04X}, stored with a warning"
    msg = f"{one.path.name}: the server does not say that it stored it"
    raise DeliveryError(msg)


def _failure(one: ResultObject, reason: int) -> str:
    words = f"0x{reason:04X}{f', {_KNOWN[reason]}' if reason in _KNOWN else ''}"
    if reason == DUPLICATE:
        return f"{words}, the server has it already"
    if reason in NOT_NOW:
        msg = f"{one.path.name}: {words}"
        raise DeliveryError(msg)
    return f"refused with {words}"
