"""Storage commitment: a PACS says, in its own time, that it keeps what it got (PS3.4 annex J).

The request goes out on an association of ours. The answer comes on the same one, or on another that the PACS opens: to a
listener of this installation, as the node's, which takes `commitment_handlers`, or to one that is open while a delivery waits.
Either way it is noted in the outbox, where the delivery looks for it.
"""

import time
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance  # type: ignore[attr-defined]  # made at run time

from lvo.delivery.deliver import Job
from lvo.delivery.outbox import Outbox
from lvo.delivery.peers import PLAIN_SYNTAXES, Handlers, associate
from lvo.delivery.settings import DicomDestination
from lvo.delivery.waiting import called_back
from lvo.errors import DeliveryError

__all__ = ["COMMITMENT_CONTEXT", "answer_context", "await_commitment", "commitment_handlers"]

COMMITMENT_CONTEXT: PresentationContext = build_context(StorageCommitmentPushModel, PLAIN_SYNTAXES)
"""What a request asks for."""

_POLL_S, _RENEW_S = 0.1, 10.0
_REASONS = {
    0x0110: "processing failure", 0x0112: "no such object", 0x0119: "class and object do not fit",
    0x0122: "class not supported", 0x0131: "duplicate transaction", 0x0213: "resource limitation",
}  # fmt: skip
"""Failure Reason (0008,1197) in PS3.3 C.14.1.1."""


def await_commitment(
    destination: DicomDestination, job: Job, references: Sequence[tuple[str, str]], done: dict[str, str]
) -> None:
    """Ask a PACS to commit itself to objects, and wait until it does.

    Args:
        destination: the PACS.
        job: the delivery.
        references: SOP class and instance UIDs of the objects.
        done: what was said of each object; those that the PACS does not keep are taken out, so that they are sent again.

    Raises:
        DeliveryError: the PACS refuses, keeps not all, or does not answer in time.
    """
    transaction_uid = str(generate_uid())
    handlers = commitment_handlers(job.outbox)
    waiting = called_back(
        destination, destination.commitment_port, [answer_context()], handlers=handlers, what="storage commitment"
    )
    with waiting, associate(destination, [COMMITMENT_CONTEXT], handlers=handlers) as association:
        status, _ = association.send_n_action(
            _request(transaction_uid, references), 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        if "Status" not in status or status.Status != 0x0000:
            code = f"0x{status.Status:04X}" if "Status" in status else "no answer"
            msg = f"the PACS does not take the request for storage commitment: {code}"
            raise DeliveryError(msg)
        failed = _wait(destination, job, transaction_uid, done)
    if failed:
        for uid in failed:
            done.pop(uid, None)
        job.note(done)
        msg = f"the PACS does not keep {len(failed)} of {len(references)} objects: {', '.join(sorted(set(failed.values())))}"
        raise DeliveryError(msg)


def commitment_handlers(outbox: Outbox) -> Handlers:
    """Handlers for pynetdicom that note a PACS's answer in the outbox; for the listener of a node too."""
    return [(evt.EVT_N_EVENT_REPORT, _note_answer, [outbox])]


def answer_context() -> PresentationContext:
    """What a listener must take for answers, the roles turned round: the PACS that calls is the provider of this service."""
    context = build_context(StorageCommitmentPushModel, PLAIN_SYNTAXES)
    context.scu_role, context.scp_role = False, True
    return context


def _request(transaction_uid: str, references: Sequence[tuple[str, str]]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        request.ReferencedSOPSequence.append(item)
    return request


def _note_answer(event: Any, outbox: Outbox) -> tuple[int, Dataset | None]:  # noqa: ANN401 - pynetdicom's event has its fields at run time only
    """Status of our answer to an N-EVENT-REPORT."""
    information = event.event_information
    transaction_uid = str(information.get("TransactionUID", ""))
    if event.event_type not in {1, 2} or not transaction_uid:
        return 0x0113, None  # no such event type
    failed = {
        str(item.ReferencedSOPInstanceUID): _REASONS.get(int(item.FailureReason), f"reason 0x{int(item.FailureReason):04X}")
        for item in information.get("FailedSOPSequence") or []
    }
    outbox.commit(transaction_uid, failed)
    return 0x0000, None


def _wait(destination: DicomDestination, job: Job, transaction_uid: str, done: dict[str, str]) -> dict[str, str]:
    start = renewed = time.monotonic()
    while (now := time.monotonic()) - start < destination.commitment_wait_s:
        answer = job.outbox.commitment(transaction_uid)
        if answer is not None:
            return answer
        if now - renewed > _RENEW_S:
            job.note(done)
            renewed = now
        time.sleep(_POLL_S)
    msg = f"the PACS did not say within {destination.commitment_wait_s:g} s whether it keeps the objects"
    raise DeliveryError(msg)
