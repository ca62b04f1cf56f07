"""The DICOM door: C-ECHO, C-STORE, and answers to requests for storage commitment.

An image is acknowledged when it is on disk and recorded, never before.
"""

import logging
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import cast

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from lvo.delivery import Outbox
from lvo.delivery.commitment import commitment_handlers
from lvo.errors import InputError, OutputError
from lvo.node.database import connect, transaction
from lvo.node.inbox import FullError, Inbox, MismatchError
from lvo.node.records import count
from lvo.node.recovery import clear_incoming
from lvo.node.settings import DicomSettings, NodeSettings
from lvo.node.syntaxes import supported_contexts
from lvo.node.transport import LimitedSocket, NodeServer

__all__ = ["IMPLEMENTATION_NAME", "STATUS", "listen"]

LOG = logging.getLogger(__name__)

IMPLEMENTATION_NAME = "LVO_NODE"
STATUS = {
    0x0000: "the image is on disk and recorded, or was before",
    0xA700: "out of resources: the disk is too full or cannot be written; send again later",
    0xA900: "the data set is not what the command says: another SOP Class or SOP Instance UID",
    0xC000: "cannot understand: damaged header, or an identifier that is absent or no UID",
}
"""Status of C-STORE (PS3.4 B.2.3) and what it means here."""
_SUCCESS, _FULL, _MISMATCH, _UNREADABLE = STATUS
_PERMANENT, _TRANSIENT = 0x01, 0x02
_BY_USER, _BY_PROVIDER = 0x01, 0x03
_UNKNOWN_CALLING, _LIMIT = 0x03, 0x02


class Listener:
    """Answers associations of senders that are known."""

    def __init__(self, settings: NodeSettings, inbox: Inbox) -> None:
        """Bind the address.

        Raises:
            OutputError: the address cannot be bound, or a certificate cannot be read.
        """
        self._settings: DicomSettings = settings.dicom
        self._inbox = inbox
        self._counters = connect(settings.database_path)
        self._lock = threading.Lock()
        clear_incoming(settings.root, pattern="tmp*.dcm")  # what a listener before this one had half received
        _receive_into(inbox.incoming)
        self._outbox = Outbox(settings.outbox_path)
        handlers = [
            *commitment_handlers(self._outbox),
            (evt.EVT_REQUESTED, self._requested), (evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda _: _SUCCESS),
            (evt.EVT_ABORTED, self._ended), (evt.EVT_CONN_CLOSE, self._ended), (evt.EVT_REJECTED, self._rejected),
        ]  # fmt: skip
        try:
            self._server = NodeServer(
                _application(self._settings), self._settings, contexts=supported_contexts(), handlers=handlers,
                refused=self._count_refused,
            )  # fmt: skip
        except OSError as error:
            msg = (
                f"cannot listen on {self._settings.host}:{self._settings.port}: {error.strerror or error}; choose another port"
            )
            raise OutputError(msg) from error

    def serve(self, stop: threading.Event) -> None:
        """Answer until stopped; associations in progress get a moment to end."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="accept")
        thread.start()
        LOG.info("listening on %s:%d as %s", self._settings.host, self._settings.port, self._settings.ae_title)
        stop.wait()
        self._server.shutdown()
        thread.join()
        self._server.server_close()
        for assoc in self._server.active_associations:
            assoc.abort()
        self._counters.close()
        self._outbox.close()

    def _requested(self, event: Event) -> None:
        """Refuse strangers and crowds before anything is negotiated."""
        assoc = event.assoc
        primitive = assoc.requestor.primitive
        calling = str(primitive.calling_ae_title).strip() if primitive is not None else ""
        address = str(assoc.requestor.address)
        peer = self._settings.peer(calling)
        if not self._settings.any_peer and (peer is None or not peer.comes_from(address)):
            LOG.warning("association refused: unknown calling AE title, or a known one from another address")
            _reject(assoc, _PERMANENT, _BY_USER, _UNKNOWN_CALLING)
            self._count_refused("unknown peer")
            return
        others = sum(a.requestor.address == address and a.is_established for a in self._server.active_associations)
        if others >= self._settings.max_associations_per_peer:
            _reject(assoc, _TRANSIENT, _BY_PROVIDER, _LIMIT)
            self._count_refused("too many associations of one address")

    def _store(self, event: Event) -> int:
        """Take one image in."""
        sock = event.assoc.dul.socket
        if isinstance(sock, LimitedSocket):
            sock.message_bytes = 0
        file = Path(event.dataset_path)
        try:
            request = cast("C_STORE", event.request)
            self._inbox.accept(
                file,
                door="dicom",
                peer=_label(event.assoc),
                announced=(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)),
            )
        except FullError as error:
            LOG.error("image refused: %s", error)  # noqa: TRY400 - no traceback: it adds nothing
            return self._refuse(_FULL, "disk full")
        except OutputError as error:
            LOG.error("image refused: %s", error)  # noqa: TRY400
            return self._refuse(_FULL, "cannot be written")
        except MismatchError as error:
            LOG.warning("image refused: %s", error)
            return self._refuse(_MISMATCH, "mismatch")
        except InputError as error:
            LOG.warning("image refused: %s", error)
            return self._refuse(_UNREADABLE, "unreadable")
        return _SUCCESS

    def _refuse(self, status: int, label: str) -> int:
        self._count("images_refused", label)
        return status

    def _rejected(self, _: Event) -> None:
        self._count_refused("negotiation")

    def _ended(self, event: Event) -> None:
        """Remove what was half received when an association ends in the middle of an image."""
        file = getattr(event.assoc.dimse.message, "_data_set_file", None)
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)

    def _count_refused(self, label: str) -> None:
        self._count("associations_refused", label)

    def _count(self, name: str, label: str) -> None:
        """Count; a full disk must not break the answer to the sender."""
        try:
            with self._lock, transaction(self._counters):
                count(self._counters, name, label)
        except sqlite3.Error as error:
            LOG.warning("%s (%s) was not counted: %s", name, label, error)


def listen(settings: NodeSettings, stop: threading.Event) -> None:
    """Run the listener until stopped.

    Raises:
        OutputError: the folder cannot be written, or the address cannot be bound.
    """
    inbox = Inbox(settings)
    try:
        Listener(settings, inbox).serve(stop)
    finally:
        inbox.close()


def _application(settings: DicomSettings) -> AE:
    ae = AE(settings.ae_title)
    ae.require_called_aet = not settings.any_peer
    ae.maximum_associations = settings.max_associations
    ae.maximum_pdu_size = settings.max_pdu
    ae.acse_timeout = ae.dimse_timeout = settings.pdu_timeout_s
    ae.network_timeout = settings.idle_timeout_s
    ae.implementation_version_name = IMPLEMENTATION_NAME
    return ae


def _receive_into(folder: Path) -> None:
    """Let pynetdicom write data sets to the disk as they come, on the disk where they stay; it takes no other hint."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    tempfile.tempdir = str(folder)


def _reject(assoc: Association, result: int, source: int, diagnostic: int) -> None:
    assoc.acse.send_reject(result, source, diagnostic)
    assoc.kill()


def _label(assoc: Association) -> str:
    """AE title of the sender, its address where the title is nothing to log."""
    title = str(assoc.requestor.ae_title).strip()
    safe = title and title[0].isalnum() and all(c.isascii() and (c.isalnum() or c in " ._-") for c in title)
    return title if safe else str(assoc.requestor.address)
