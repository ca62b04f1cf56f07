"""Small images of made-up studies, a node to send them to, and a sender that does not give up."""

import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lvo_tests_servers import answers, free_port, wait_until

from lvo.node.settings import AssemblySettings, DicomSettings, NodeSettings, Peer, StoreSettings

STUB = Path(__file__).with_name("stub_process.py")
CANARY = "CANARYSON^TWEETY"
"""Name of the patient in every image: it must be nowhere else."""


def image(study, number, *, series=1, modality="CT", rows=16, **more):
    """A small CT image of study number `study`."""
    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    from lvo.dicom.headers import quiet

    uid = f"1.2.826.0.1.999.{study}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = f"{uid}.{series}.{number}"
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"{uid}.{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.{series}"
    dataset.PatientName, dataset.PatientID, dataset.Modality = CANARY, "CANARY-4711", modality
    dataset.InstanceNumber, dataset.Rows, dataset.Columns = number, rows, rows
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    pixels = np.random.default_rng(1000 * study + number).integers(0, 4000, (rows, rows), dtype=np.uint16)
    dataset.PixelData = pixels.tobytes()
    with quiet():
        for name, value in more.items():
            setattr(dataset, name, value)
    return dataset


def save(dataset, path):
    """Write a data set with a preamble, whatever its values."""
    from pydicom import dcmwrite

    from lvo.dicom.headers import quiet

    with quiet():
        dcmwrite(path, dataset, enforce_file_format=True)
    return path


@pytest.fixture
def settings(tmp_path):
    """A node for tests: quick to decide, on free ports, no destination."""
    return NodeSettings(
        site="TEST", folder=str(tmp_path / "node"),
        dicom=DicomSettings(port=free_port(), peers=(Peer(ae_title="CT1"),), pdu_timeout_s=2.0, idle_timeout_s=5.0),
        assembly=AssemblySettings(quiet_s=0.3, early=False), store=StoreSettings(refuse_above_percent=100.0, refuse_below_mb=0),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _sockets_are_closed(monkeypatch):
    """pynetdicom, as a sender, leaves sockets open that were refused: `close` is not reached when `shutdown` fails."""
    from pynetdicom.transport import AssociationSocket

    def close(self):
        for end in (lambda: self.socket.shutdown(socket.SHUT_RDWR), self.socket.close):
            with suppress(OSError, AttributeError):
                end()

    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", close)


@contextmanager
def listening(settings):
    """The listener of a node, in this process; what it sets for the whole process is set back."""
    from pynetdicom import _config

    from lvo.node.listener import listen

    stop, errors = threading.Event(), []
    before = _config.STORE_RECV_CHUNKED_DATASET, _config.LOG_HANDLER_LEVEL, tempfile.tempdir

    def run():
        try:
            listen(settings, stop)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: errors or answers(settings.dicom.port), "the listener")
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _config.STORE_RECV_CHUNKED_DATASET, _config.LOG_HANDLER_LEVEL, tempfile.tempdir = before
    assert not errors


def store(port, datasets, *, calling="CT1", called="LVO", **association):
    """Send images as a modality does; status of each, None where the association went away."""
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage

    ae = AE(calling)
    ae.add_requested_context(CTImageStorage)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    ae.connection_timeout = 10
    assoc = ae.associate("127.0.0.1", port, ae_title=called, **association)
    statuses = []
    if assoc.is_established:
        for dataset in datasets:
            status = None
            with suppress(RuntimeError):
                status = assoc.send_c_store(dataset).get("Status")
            statuses.append(status)
            if status is None:
                break
        if assoc.is_established:
            assoc.release()
    return statuses + [None] * (len(datasets) - len(statuses))


@dataclass
class Node:
    """A whole node in processes of its own, with the stub analysis."""

    config: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def start(self):
        """Start its supervisor."""
        code = (
            "import os,signal,sys,threading\nfrom pathlib import Path\nfrom lvo.node.process import set_up_logging\n"
            "from lvo.node.settings import load_settings\nfrom lvo.node.supervisor import supervise\n"
            "stop=threading.Event()\nsignal.signal(signal.SIGTERM, lambda *_: stop.set())\nset_up_logging('supervisor')\n"
            "supervise(load_settings(Path(sys.argv[1])), stop, lambda role, slot: [sys.executable, sys.argv[2], role, "
            "'--config', sys.argv[1], '--slot', slot, '--parent', str(os.getpid())])"
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", code, str(self.config), str(STUB)], stderr=log)

    def stop(self):
        """End it as systemd does."""
        self.process.terminate()
        return self.process.wait(60)

    def children(self):
        """Processes by slot."""
        import psutil

        found = {}
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                with suppress(psutil.Error):
                    words = child.cmdline()
                    if "--slot" in words:
                        found[words[words.index("--slot") + 1]] = child
        return found
