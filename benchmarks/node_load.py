"""How a whole node bears load: many studies at once, C-ECHO meanwhile, and peers that stall or flood.

    python benchmarks/node_load.py queue [--studies 24] [--model]   # from the last image to the delivered result
    python benchmarks/node_load.py attack                           # memory of the listener, and whether a sender gets through

Needs DCMTK (`storescu`). Studies are copies of the sample angiogram under UIDs of their own, sent at once by as many senders.
Without `--model` the analysis is a stand-in of one second, so that the figures are those of the node alone.
"""

import argparse
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from lvo.node.settings import load_settings
from lvo.node.view import open_view

STORESCU = "/usr/bin/storescu"
SAMPLE = Path(__file__).parents[1] / "sample_data" / "right-M1-cta.zip"
SITE = """
site = "BENCH"
folder = "node"
[dicom]
port = {port}
pdu_timeout_s = 5.0
[[dicom.peers]]
ae_title = "CT1"
[http]
port = {http}
[store]
refuse_above_percent = 100.0
refuse_below_mb = 0
[assembly]
quiet_s = 3.0
early_quiet_s = 2.0
[[delivery.destinations]]
kind = "folder"
name = "share"
path = "share"
"""
STAND_IN = """
import json, sys, time
from lvo.node import process
from lvo.node.jobs import Outcome
def analyse(job, files, out_dir):
    time.sleep(1.0)
    folder = out_dir / job.study_uid
    folder.mkdir()
    lvo = {"call": "not_detected", "probability": 0.1, "side": None, "site": None}
    (folder / "result.json").write_text(json.dumps({
        "schema": "lvo-result/1", "status": "complete", "study": {"study_instance_uid": job.study_uid},
        "cta": {"state": "assessed", "reasons": [], "lvo": lvo}, "perfusion": {"state": "absent", "reasons": []}}))
    return Outcome(job.study_uid, "complete", "not_detected", ("stand-in 1",))
def work(settings, stop, slot):
    from lvo.node.worker import work
    work(settings, stop, slot=slot, analyse=analyse)
process.ROLES["worker"] = work
sys.exit(process.main())
"""
NODE = """
import os, signal, sys, threading
from pathlib import Path
from lvo.node.settings import load_settings
from lvo.node.supervisor import default_command, supervise
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
config, stand_in = Path(sys.argv[1]), sys.argv[2]
real = default_command(config)
def command(role, slot):
    words = list(real(role, slot))
    return words if role != "worker" or not stand_in else [words[0], "-c", stand_in, *words[3:]]
supervise(load_settings(config), stop, command)
"""


class Node:
    """A node in processes of its own."""

    def __init__(self, folder: Path, *, model: bool) -> None:
        """Start it and wait until it answers."""
        self.config, self.port = folder / "site.toml", free_port()
        (folder / "share").mkdir()
        self.config.write_text(SITE.format(port=self.port, http=free_port()))
        words = [sys.executable, "-c", NODE, str(self.config), "" if model else STAND_IN]
        self.process = subprocess.Popen(words, stderr=(folder / "log").open("wb"))
        wait(lambda: echo(self.port) is not None, 120)

    def listener_mb(self) -> float:
        """Resident memory of the listener."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if "listener" in child.cmdline():
                    return float(child.memory_info().rss / 1e6)
        return float("nan")

    def stop(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def queue(work: Path, studies: int, *, model: bool) -> None:
    """All studies at once; when was each delivered after its last image, and how long did C-ECHO take meanwhile."""
    folders = copies(work, studies)
    node = Node(work, model=model)
    try:
        echoes: list[float | None] = []
        done = threading.Event()
        watch = threading.Thread(target=keep_asking, args=(node.port, echoes, done))
        watch.start()
        start = time.monotonic()
        words = [STORESCU, "--max-send-pdu", "131072", "-aet", "CT1", "-aec", "LVO", "127.0.0.1", str(node.port)]
        senders = [subprocess.Popen([*words, *map(str, sorted(folder.iterdir()))]) for folder in folders]
        good = [sender.wait() == 0 for sender in senders]
        sent_s = time.monotonic() - start
        n_received = len(echoes)
        settings = load_settings(node.config)
        with open_view(settings) as view:
            wait(lambda: view.counts().get("delivered", 0) == studies, 3600)
            waits = view._db.execute(  # noqa: SLF001 - the store's own times
                "SELECT min(j.ended_at) - s.last_at FROM studies AS s JOIN jobs AS j USING (study_uid)"
                " WHERE j.state = 'delivered' GROUP BY study_uid"
            ).fetchall()
        done.set()
        watch.join()
    finally:
        node.stop()
    seconds = np.array([row[0] for row in waits])
    said = np.array([value for value in echoes if value is not None])
    print(f"{sum(good)} of {studies} senders were told that all their images arrived, in {sent_s:.1f} s")
    print(
        f"last image to delivered result: p50 {np.percentile(seconds, 50):.1f} s, p95 {np.percentile(seconds, 95):.1f} s, "
        f"longest {seconds.max():.1f} s"
    )
    print(
        f"C-ECHO: {said.size} of {len(echoes)} answered, longest {said.max():.2f} s "
        f"({said[:n_received].max():.2f} s while images came), median {np.median(said):.3f} s"
    )


def keep_asking(port: int, echoes: list[float | None], done: threading.Event) -> None:
    """C-ECHO again and again."""
    while not done.wait(0.2):
        echoes.append(echo(port))


def attack(work: Path) -> None:
    """60 peers that stop in the middle of a PDU, then one PDU that claims 1.5 GB and goes on sending."""
    (folder,) = copies(work, 1)
    node = Node(work, model=False)
    peak, done = [node.listener_mb()], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            peak.append(node.listener_mb())

    watch = threading.Thread(target=look)
    watch.start()
    try:
        stalled = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(60)]
        for sock in stalled:
            with suppress(OSError):
                sock.sendall(b"\x01\x00\x00\x00\x10\x00" + b"x" * 10)
        start, first = time.monotonic(), None
        words = [STORESCU, "-aet", "CT1", "-aec", "LVO", "127.0.0.1", str(node.port)]
        while first is None and time.monotonic() - start < 60:
            if subprocess.run([*words, *map(str, sorted(folder.iterdir()))], capture_output=True, check=False).returncode == 0:
                first = time.monotonic() - start
        print(f"60 stalled peers: a legitimate sender had its study accepted after {first or float('nan'):.1f} s")
        sent, block = 0, bytes(1 << 20)
        with suppress(OSError), socket.create_connection(("127.0.0.1", node.port), timeout=10) as flood:
            flood.sendall(b"\x01\x00" + struct.pack(">I", 1_500_000_000))
            while sent < 1500:
                flood.sendall(block)
                sent += 1
        print(f"a PDU that claims 1.5 GB: cut off after {sent} MB")
    finally:
        done.set()
        watch.join()
        node.stop()
    print(f"memory of the listener: {peak[0]:.0f} MB before, {np.nanmax(peak):.0f} MB at most")


def copies(work: Path, count: int) -> list[Path]:
    """The sample angiogram under other UIDs."""
    with zipfile.ZipFile(SAMPLE) as archive:
        archive.extractall(work / "sample")
    images = [dcmread(path) for path in sorted((work / "sample").rglob("*")) if path.is_file() and path.suffix != ".json"]
    folders = []
    for number in range(count):
        folder = work / f"study{number}"
        folder.mkdir()
        for place, dataset in enumerate(images):
            dataset.StudyInstanceUID = f"1.2.826.0.1.997.{number}"
            dataset.SeriesInstanceUID = f"1.2.826.0.1.997.{number}.1"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.997.{number}.1.{place}"
            dataset.save_as(folder / f"{place}.dcm")
        folders.append(folder)
    return folders


def echo(port: int) -> float | None:
    """Seconds that a C-ECHO took, from the connection to the answer; None without any."""
    ae = AE("CT1")
    ae.add_requested_context(Verification)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 20
    start = time.monotonic()
    assoc = ae.associate("127.0.0.1", port, ae_title="LVO")
    if not assoc.is_established:
        return None
    status = assoc.send_c_echo()
    seconds = time.monotonic() - start
    assoc.release()
    return seconds if status and status.Status == 0 else None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait(condition: Callable[[], bool], seconds: float) -> None:
    """Until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = "it takes too long"
            raise SystemExit(msg)
        time.sleep(0.1)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("queue", "attack"))
    parser.add_argument("--studies", type=int, default=24)
    parser.add_argument("--model", action="store_true", help="analyse with the shipped model")
    parser.add_argument("--work", type=Path, help="folder on the disk to measure")
    options = parser.parse_args()
    print(f"{json.dumps(vars(options), default=str)}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    with tempfile.TemporaryDirectory(prefix="lvo-load-", dir=options.work) as name:
        if options.what == "queue":
            queue(Path(name), options.studies, model=options.model)
        else:
            attack(Path(name))


if __name__ == "__main__":
    main()
