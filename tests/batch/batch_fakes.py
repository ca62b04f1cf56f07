"""A worker that does as the name of its item says, and loads nothing: what engines and runners are tried with."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from lvo.batch.columns import failed_row
from lvo.batch.messages import Begun, Broken, End, Finished, Opened, Ready
from lvo.batch.records import Kind

OTHER = "1.2.9"
"""A second study of an item that is called so."""


def uid_of(name):
    return f"1.2.{int.from_bytes(name.encode(), 'big')}"[:60]


def row_of(item):
    uid = uid_of(item.name)
    done = {"study_instance_uid": uid, "status": "complete", "exit_status": 0, "error.kind": None, "error.reason": None}
    return failed_row(item, Kind.INTERNAL, "") | done | {"seconds": 0.01, "folder": f"studies/{uid}"}


def serve(pipe, setup):
    """Says what a real worker says."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(Ready())
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        act(task, pipe, setup)
        pipe.send(End())


def act(task, pipe, setup):
    """Do as the name says."""
    verb, _, rest = task.item.name.partition(":")
    uid = uid_of(task.item.name)
    if rest == "with another":
        pipe.send(Opened((uid, OTHER)))
    pipe.send(Begun(uid))
    work = setup.studies_dir / f".{uid}.{os.getpid()}.partial"
    work.mkdir(parents=True)
    unpacked = Path(tempfile.mkdtemp(prefix="lvo-"))
    (unpacked / "image").write_bytes(b"of a patient")
    log(setup, "begun", task.item.name)
    if verb == "eat":
        eaten = []
        while True:
            eaten.append(bytearray(b"x" * (50 << 20)))
            time.sleep(0.2)
    if verb == "hang":
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        time.sleep(600)
    if verb == "die" or (verb == "die-once" and task.attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    shutil.rmtree(unpacked)
    if verb == "corrupt":
        pipe.send(Finished(failed_row(task.item, Kind.INPUT, "nothing readable as DICOM")))
        work.rmdir()
        return
    time.sleep(float(rest.split(":")[0]) if verb == "sleep" else 0.0)
    work.rename(setup.studies_dir / uid)
    log(setup, "ended", task.item.name)
    pipe.send(Finished(row_of(task.item)))


def broken(pipe, _setup):
    """Cannot load its models."""
    pipe.send(Broken("model arteries is missing; reinstall lvo"))


def log(setup, *words):
    """A line in a file of this process: file systems of a network do not append for several at once."""
    folder = Path(setup.studies_dir).parent / "log"
    folder.mkdir(exist_ok=True)
    with (folder / f"{os.getpid()}").open("ab", buffering=0) as file:
        file.write((" ".join(words) + "\n").encode())


def logged(folder):
    """All lines below an output folder."""
    return [line for path in sorted((folder / "log").glob("*")) for line in path.read_text().splitlines()]
