"""Associations with DICOM peers: TLS, and a time limit on everything a peer can keep us waiting with."""

import logging
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from lvo.delivery.settings import DicomPeer
from lvo.delivery.tls import client_context
from lvo.errors import DeliveryError

__all__ = ["PLAIN_SYNTAXES", "Handlers", "Owed", "associate"]

logging.getLogger("pynetdicom").setLevel(
    logging.CRITICAL
)  # it says every failure again, and at lower levels what is in datasets

MAX_PDU_BYTES = 131072
"""Larger than the usual 16 kB: fewer round trips for pictures and maps of several megabytes."""

PLAIN_SYNTAXES: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
"""For everything but images; pynetdicom would offer the deflated one too, which can unfold to any size."""

Handlers = Sequence[tuple[Any, ...]]
"""pynetdicom event, handler, and arguments for it."""

_POLL_S = 0.01


class Owed:
    """Requests of peers that we have not answered yet.

    pynetdicom lets an association be released or aborted while a handler works on a request. The response would come after
    the request for release, where none may come (PS3.8 7.2.2), and the peer would see an abort in its place.
    """

    def __init__(self) -> None:
        """Nothing is owed."""
        self._lock = threading.Lock()
        self._requests: Counter[Association] = Counter()

    @property
    def handlers(self) -> Handlers:
        """What must be told of an association."""
        return [(evt.EVT_DIMSE_RECV, self._received), (evt.EVT_PDU_SENT, self._sent)]

    def settle(self, timeout_s: float) -> None:
        """Wait until every response has gone out, or its association has ended."""
        end = time.monotonic() + timeout_s
        while self._any() and time.monotonic() < end:
            time.sleep(_POLL_S)

    def _any(self) -> bool:
        with self._lock:
            return any(n and association.is_established for association, n in self._requests.items())

    def _received(self, event: Any) -> None:  # noqa: ANN401 - pynetdicom's event has its fields at run time only
        if "MessageIDBeingRespondedTo" not in event.message.command_set:
            with self._lock:
                self._requests[event.assoc] += 1

    def _sent(self, event: Any) -> None:  # noqa: ANN401
        """None of our responses has a data set, so each is one PDU; our own requests went out before the peer's came in."""
        if isinstance(event.pdu, P_DATA_TF):
            with self._lock:
                self._requests[event.assoc] = max(0, self._requests[event.assoc] - 1)


@contextmanager
def associate(
    peer: DicomPeer,
    contexts: Sequence[PresentationContext],
    *,
    handlers: Handlers = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """An association, released at the end when the peer has all our responses, or aborted when the block fails.

    Args:
        peer: whom to talk to.
        contexts: what is asked for.
        roles: where the peer shall send to us.
        handlers: of what happens on it.

    Raises:
        DeliveryError: the peer cannot be reached, does not answer in time, or rejects the association.
    """
    ae = AE(ae_title=peer.calling_ae)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = peer.timeout_s
    owed = Owed()
    limits = (evt.EVT_CONN_OPEN, lambda event: _limit(event.assoc, peer.timeout_s))
    association = ae.associate(
        peer.host,
        peer.port,
        contexts=list(contexts),
        ae_title=peer.ae_title,
        max_pdu=MAX_PDU_BYTES,
        tls_args=None if peer.tls is None else (client_context(peer.tls), peer.host),
        ext_neg=list(roles),
        evt_handlers=[limits, *owed.handlers, *handlers],
    )
    if not association.is_established:
        raise DeliveryError(_why_not(peer, association))
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    owed.settle(peer.timeout_s)
    association.release()


def _limit(association: Association, timeout_s: float) -> None:
    """Let the socket itself give up: pynetdicom reads the rest of a message, and writes, without any limit of its own."""
    wrapped = association.dul.socket
    inner = None if wrapped is None else wrapped.socket
    if inner is not None:
        limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1.0 * 1e6))
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _why_not(peer: DicomPeer, association: Association) -> str:
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    if association.is_rejected:
        primitive = association.acceptor.primitive
        reason = "" if primitive is None else f": {primitive.reason_str}"
        return f"{where} rejects the association{reason}; it must know us as {peer.calling_ae}"
    if association.is_aborted:
        return f"{where} cannot be reached, does not speak DICOM{' over TLS' if peer.tls else ''}, or breaks off"
    return f"{where} accepts none of the objects"
