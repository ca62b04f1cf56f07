"""How long 600 CT slices (303 MB) take to be received, by the node and by others, one after the other in one run.

    python benchmarks/node_reception.py [--slices 600] [--senders 1] [--rounds 1] [--only PATTERN]

One sender for all: DCMTK's storescu with PDUs of 128 KiB. Needs DCMTK (`storescu`, `storescp`) and Orthanc on the PATH below;
run it in a network namespace (`unshare -n`), since Orthanc and storescp listen on every address. "durable": an image is
acknowledged only after its file was brought to the disk.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STORESCU, STORESCP, ORTHANC = "/usr/bin/storescu", "/usr/bin/storescp", "/usr/sbin/Orthanc"

NODE = """
import sys, threading
from lvo.node.listener import listen
from lvo.node.settings import DicomSettings, NodeSettings, StoreSettings
listen(NodeSettings(site="B", folder=sys.argv[1], store=StoreSettings(refuse_above_percent=100.0, refuse_below_mb=0),
       dicom=DicomSettings(port=int(sys.argv[2]), any_peer=True)), threading.Event())
"""
PLAIN = """
import os, sys
from pathlib import Path
from pynetdicom import AE, AllStoragePresentationContexts, evt
folder, port, durable = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "durable"
folder.mkdir(parents=True)
def store(event):
    path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
    with open(path, "wb") as file:
        file.write(event.encoded_dataset())
        if durable:
            file.flush()
            os.fsync(file.fileno())
    return 0
ae = AE("LVO")
ae.maximum_pdu_size, ae.maximum_associations, ae.supported_contexts = 131072, 100, AllStoragePresentationContexts
ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])
"""


def slices(folder: Path, count: int) -> None:
    """A series of CT slices with noise, as large as a scanner's."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    for number in range(1, count + 1):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.998.{number}"
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2.826.0.1.998", "1.2.826.0.1.998.0", "CT"
        dataset.PatientName, dataset.PatientID, dataset.InstanceNumber = "SYNTHETIC", "1", number
        dataset.Rows = dataset.Columns = 512
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelRepresentation, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 0, 1, "MONOCHROME2"
        dataset.PixelData = noise.integers(0, 4096, (512, 512), dtype=np.uint16).tobytes()
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)


def receivers(work: Path) -> tuple[tuple[str, bool, Callable[[int], list[str]]], ...]:
    """Name, whether it is durable, command line for a port."""
    config = work / "orthanc.json"

    def orthanc(port: int) -> list[str]:
        config.write_text(json.dumps({
            "DicomPort": port, "DicomAet": "LVO", "HttpServerEnabled": False, "StorageDirectory": str(work / "orthanc"),
            "IndexDirectory": str(work / "orthanc"), "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False, "Plugins": [],
        }))  # fmt: skip
        return [ORTHANC, str(config)]

    def storescp(port: int) -> list[str]:
        (work / "storescp").mkdir()
        return [STORESCP, "--max-pdu", "131072", "--fork", "-od", str(work / "storescp"), str(port)]

    python = sys.executable
    return (
        ("lvo node", True, lambda port: [python, "-c", NODE, str(work / "node"), str(port)]),
        ("plain pynetdicom, fsync", True, lambda port: [python, "-c", PLAIN, str(work / "plain1"), str(port), "durable"]),
        ("plain pynetdicom", False, lambda port: [python, "-c", PLAIN, str(work / "plain2"), str(port), "no"]),
        ("DCMTK storescp", False, storescp),
        ("Orthanc", False, orthanc),
    )


def measure(command: Callable[[int], list[str]], folder: Path, senders: int) -> tuple[float, float, float]:
    """Seconds until every sender was told that its images arrived; processor seconds and megabytes of the receiver."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    receiver = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(port)
        files = sorted(folder.iterdir())
        start = time.perf_counter()
        words = [STORESCU, "--max-send-pdu", "131072", "-aet", "CT1", "-aec", "LVO", "127.0.0.1", str(port)]
        running = [subprocess.Popen([*words, *map(str, files[n::senders])], stderr=subprocess.DEVNULL) for n in range(senders)]
        good = all(sender.wait() == 0 for sender in running)
        seconds = time.perf_counter() - start
        used = psutil.Process(receiver.pid)
        spent = sum(used.cpu_times()[:4])
        return seconds if good else float("nan"), spent, used.memory_info().rss / 1e6
    finally:
        receiver.terminate()
        try:
            receiver.wait(20)
        except subprocess.TimeoutExpired:
            receiver.kill()


def wait(port: int) -> None:
    """Until somebody listens."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            time.sleep(1.0)
            return
    msg = "the receiver does not listen"
    raise SystemExit(msg)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--senders", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="receivers whose name fits this pattern")
    parser.add_argument("--work", type=Path, help="folder on the disk to measure")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="lvo-reception-", dir=options.work))
    try:
        slices(root / "slices", options.slices)
        print(
            f"{options.slices} slices, {options.senders} senders, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
        )
        for number in range(options.rounds):
            work = root / f"round{number}"
            work.mkdir()
            for name, durable, command in (one for one in receivers(work) if re.search(options.only, one[0])):
                os.sync()  # what was written before must not be counted
                seconds, spent, rss = measure(command, root / "slices", options.senders)
                print(
                    f"{name:<26} {'durable' if durable else '':<8} {seconds:7.1f} s {spent:7.1f} cpu s {rss:6.0f} MB",
                    flush=True,
                )
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
