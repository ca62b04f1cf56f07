"""A listener of ours that is open while a PACS is expected to call back: with an answer, or with images."""

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pynetdicom import AE
from pynetdicom.presentation import PresentationContext

from lvo.delivery.peers import Handlers, Owed
from lvo.delivery.settings import DicomPeer
from lvo.delivery.tls import server_context
from lvo.errors import DeliveryError

__all__ = ["called_back"]

_GOODBYE_S, _POLL_S = 1.0, 0.01
"""How long a peer that has said what it had to say may take to release its association; some keep it for the next message."""


@contextmanager
def called_back(
    peer: DicomPeer, port: int, contexts: Sequence[PresentationContext], *, handlers: Handlers, what: str
) -> Iterator[None]:
    """Let one peer, and nobody else, call us on a port while the block runs; it gets all our responses.

    Args:
        peer: who may call; it must call us as we call ourselves.
        port: to listen on, when others that wait like this have had it; 0 where another listener takes the call.
        contexts: what it may offer, with our roles in them.
        handlers: of what happens.
        what: it will bring, for the error.

    Raises:
        DeliveryError: the port cannot be had in time, or a certificate cannot be read.
    """
    if not port:
        yield
        return
    ae = AE(ae_title=peer.calling_ae)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_s
    ae.require_calling_aet = [peer.ae_title]
    ae.require_called_aet = True
    ae.supported_contexts = list(contexts)
    context = None if peer.tls is None else server_context(peer.tls)
    owed = Owed()
    server, end = None, time.monotonic() + peer.timeout_s
    while server is None:
        try:
            server = ae.start_server(("", port), block=False, evt_handlers=[*owed.handlers, *handlers], ssl_context=context)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                msg = f"nothing can listen on port {port} for {what}: {error.strerror}"
                raise DeliveryError(msg) from error
            time.sleep(_POLL_S)
    try:
        yield
        owed.settle(peer.timeout_s)
        _let_go(ae)
    finally:
        ae.shutdown()


def _let_go(ae: AE) -> None:
    """Wait a moment for associations to be released; those that are not will be aborted."""
    end = time.monotonic() + _GOODBYE_S
    while ae.active_associations and time.monotonic() < end:
        time.sleep(_POLL_S)
