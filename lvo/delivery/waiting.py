"""A listener of ours that is open while a PACS is expected to call back: with an answer, or with images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pynetdicom import AE
from pynetdicom.presentation import PresentationContext

from lvo.delivery.peers import Handlers
from lvo.delivery.settings import DicomPeer
from lvo.delivery.tls import server_context
from lvo.errors import DeliveryError

__all__ = ["called_back"]


@contextmanager
def called_back(
    peer: DicomPeer, port: int, contexts: Sequence[PresentationContext], *, handlers: Handlers, what: str
) -> Iterator[None]:
    """Let one peer, and nobody else, call us on a port while the block runs.

    Args:
        peer: who may call; it must call us as we call ourselves.
        port: to listen on; 0 where another listener takes the call.
        contexts: what it may offer, with our roles in them.
        handlers: of what happens.
        what: it will bring, for the error.

    Raises:
        DeliveryError: the port cannot be had, or a certificate cannot be read.
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
    try:
        ae.start_server(("", port), block=False, evt_handlers=list(handlers), ssl_context=context)
    except OSError as error:
        msg = f"nothing can listen on port {port} for {what}: {error.strerror}"
        raise DeliveryError(msg) from error
    try:
        yield
    finally:
        ae.shutdown()
