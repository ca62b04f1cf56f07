"""Connections that cannot hold the node up: limits that pynetdicom does not have.

As shipped, a peer that stops in the middle of a PDU keeps its thread for ever, a PDU may claim four gigabytes before anybody
asked who it comes from, and a TLS handshake that stalls stops all others. Here every PDU has a size and a deadline, a
connection counts from its first byte, and handshakes run in threads of their own. This reaches into pynetdicom, which is
pinned below 3.1; the tests in `tests/node/test_listener.py` attack the real thing.
"""

import logging
import select
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias, cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from lvo.node.settings import DicomSettings

__all__ = ["NodeServer", "PduError"]

Connection: TypeAlias = socket.socket | tuple[bytes, socket.socket]
Address: TypeAlias = tuple[str, int] | str
"""As `socketserver` writes them."""

LOG = logging.getLogger(__name__)

MAX_REQUEST = 1 << 18
"""Bytes of an association request: 128 presentation contexts with all their transfer syntaxes need a tenth of it."""
_HEADER = 6
_PDU_SLACK = 1024
_DATA = 0x04
_POLL_S = 0.001
"""An association that waits for its peer looks this often whether its time is up; it wakes at once to send."""
_CLOSED_S = 0.001
"""How long a connection that is closed waits for its thread to be told so."""
_HANDSHAKES_PER_PEER = 16
"""Connections of one address above its associations: those that are being refused."""


class PduError(OSError):
    """A peer sent a PDU that is too long, too slow, or an image that is too large."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may cost.

    Args:
        pdu_bytes: of a PDU with data.
        pdu_timeout_s: for the whole of it.
        message_bytes: of a message, over all its PDUs.
    """

    pdu_bytes: int
    pdu_timeout_s: float
    message_bytes: int

    @classmethod
    def of(cls, settings: DicomSettings) -> "Limits":
        """As configured."""
        return cls(settings.max_pdu + _PDU_SLACK, settings.pdu_timeout_s, settings.max_instance_mb * 1_000_000)


class LimitedSocket(AssociationSocket):
    """A socket whose PDUs have a size and a deadline."""

    def __init__(self, assoc: Association, connection: socket.socket, limits: Limits) -> None:
        """Wrap a connection that is open."""
        super().__init__(assoc, client_socket=connection)
        self.message_bytes = 0
        self._limits, self._kind = limits, 0
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)

    def wake(self) -> None:
        """End the wait in `ready`: there is something to send."""
        with suppress(OSError):  # a full pipe wakes too; a closed one has nobody to wake
            self._waker.send(b"\0")

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits a little for it, where pynetdicom would look, and sleep, and look again."""
        if self.socket is None or not self._is_connected:
            time.sleep(_CLOSED_S)
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():  # read from the network already
            return True
        try:
            found = select.select([self.socket, self._woken], [], [], _POLL_S)[0]
            if self._woken in found:
                self._woken.recv(64)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # the transport connection is closed
            return False
        return self.socket in found

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, fewer only when the peer closes.

        Raises:
            PduError: there would be too many, or they do not come in time.
        """
        if nr_bytes != _HEADER:
            self._check(nr_bytes)
        data = self._read(nr_bytes)
        if nr_bytes == _HEADER and len(data) == _HEADER:
            self._kind = data[0]
        return data

    def _shutdown_socket(self) -> None:
        """Close, also where the peer is gone and `shutdown` fails."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._woken.close()
        self._waker.close()

    def _check(self, nr_bytes: int) -> None:
        limit = self._limits.pdu_bytes if self._kind == _DATA else MAX_REQUEST
        if nr_bytes > limit:
            msg = f"a PDU of type {self._kind} has {nr_bytes} bytes, {limit} are allowed"
            raise PduError(msg)
        if self._kind == _DATA:
            self.message_bytes += nr_bytes
            if self.message_bytes > self._limits.message_bytes:
                msg = f"a message has more than {self._limits.message_bytes} bytes"
                raise PduError(msg)

    def _read(self, nr_bytes: int) -> bytearray:
        connection = cast("socket.socket", self.socket)
        deadline = time.monotonic() + self._limits.pdu_timeout_s
        buffer, got = bytearray(nr_bytes), 0
        view = memoryview(buffer)
        while got < nr_bytes:
            left = deadline - time.monotonic()
            if left <= 0.0:
                msg = f"a PDU was not complete within {self._limits.pdu_timeout_s:g} s"
                raise PduError(msg)
            connection.settimeout(left)
            n = connection.recv_into(view[got:])
            if n == 0:
                break
            got += n
            _acknowledge(connection)
        view.release()
        del buffer[got:]
        return buffer


def _acknowledge(connection: socket.socket) -> None:
    """Have the system acknowledge at once what was read.

    DCMTK leaves the algorithm of Nagle on: the last piece of every image waits until the pieces before it are acknowledged,
    which the system otherwise puts off for 40 ms. The option holds for the next acknowledgement only.
    """
    if hasattr(socket, "TCP_QUICKACK"):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _Handler(RequestHandler):
    """Makes associations with limited sockets; the TLS handshake happens here, in the thread of the connection."""

    server: "NodeServer"

    def handle(self) -> None:
        """Negotiate encryption, then hand the connection to an association."""
        if self.server.encryption is not None:
            self.request.settimeout(self.server.limits.pdu_timeout_s)
            self.request = self.server.encryption.wrap_socket(self.request, server_side=True)
        self.request.settimeout(self.server.limits.pdu_timeout_s)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        assoc.dul.event_queue.get_nowait()  # the plain socket announced itself; its successor does so again
        wrapped = LimitedSocket(assoc, self.request, self.server.limits)
        assoc.dul.socket = wrapped
        assoc.dul._run_loop_delay = 0.0  # noqa: SLF001 - `ready` waits
        send = assoc.dul.send_pdu

        def send_at_once(primitive: Any) -> None:  # noqa: ANN401 - its type is private to pynetdicom
            send(primitive)
            wrapped.wake()

        assoc.dul.send_pdu = send_at_once  # type: ignore[method-assign]
        return assoc


class NodeServer(ThreadedAssociationServer):
    """The listening socket; refuses connections of a peer that has too many."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        ae: AE,
        settings: DicomSettings,
        *,
        contexts: list[PresentationContext],
        handlers: list[EventHandlerType],
        refused: Callable[[str], None],
    ) -> None:
        """Bind the address.

        Raises:
            OSError: the address is in use, or a certificate cannot be read.
        """
        self.limits = Limits.of(settings)
        self.encryption = _encryption(settings)
        self._settings, self._refused = settings, refused
        self._open: Counter[str] = Counter()
        self._lock = Lock()
        ae._servers.append(self)  # noqa: SLF001 - as `AE.start_server` does, which takes no class of server; `shutdown` removes it
        super().__init__(
            ae, (settings.host, settings.port), settings.ae_title, contexts, evt_handlers=handlers, request_handler=_Handler
        )

    def verify_request(self, request: Connection, client_address: Address) -> bool:  # noqa: ARG002 - its signature
        """Refuse a connection where its address has too many: those in negotiation and those established."""
        address = str(client_address[0])
        established = sum(assoc.requestor.address == address for assoc in self.active_associations)
        with self._lock:
            allowed = self._open[address] + established < self._settings.max_associations_per_peer + _HANDSHAKES_PER_PEER
            if allowed:
                self._open[address] += 1
        if not allowed:
            self._refused("too many connections of one address")
        return allowed

    def process_request_thread(self, request: Connection, client_address: Address) -> None:
        """Serve one connection up to the start of its association."""
        try:
            self.finish_request(request, client_address)
        except (OSError, ssl.SSLError) as error:  # a port scan, a wrong certificate, a peer that went away
            LOG.warning(
                "a connection failed before its association: %s", getattr(error, "reason", None) or type(error).__name__
            )
            self._refused("connection failed")
            self.shutdown_request(request)
        finally:
            with self._lock:
                self._open[str(client_address[0])] -= 1

    def handle_error(self, request: Connection, client_address: Address) -> None:  # noqa: ARG002 - its signature
        """Say that a connection failed; nothing of what was sent is repeated."""
        LOG.error("a connection ended by an internal error")


def _encryption(settings: DicomSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or later with certificates on both sides (PS3.15 B.12)."""
    if settings.tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls.certificate, settings.tls.key)
    context.load_verify_locations(settings.tls.client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
