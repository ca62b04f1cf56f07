"""Jobs: leases, attempts, quarantine, memory and time limits; a worker that dies loses nothing."""

import subprocess
import sys
import threading
import time

import msgspec
import pytest

from lvo.errors import InputError, ModelError
from lvo.node import worker
from lvo.node.assembly import plan
from lvo.node.database import connect, open_clock
from lvo.node.inbox import Inbox
from lvo.node.jobs import Outcome, claim, expire, finish, keep, release, replay
from lvo.node.settings import WorkSettings
from lvo.node.view import open_view

from .conftest import image, save


@pytest.fixture
def ready(settings):
    """A store with a study that is ready to be analysed, and settings that do not wait."""
    quick = WorkSettings(backoff_s=0.0, lease_s=1.0, max_attempts=3, memory_mb=0)
    settings = msgspec.structs.replace(settings, work=quick, assembly=msgspec.structs.replace(settings.assembly, quiet_s=0.0))
    inbox = Inbox(settings)
    inbox.accept(save(image(1, 1), inbox.incoming / "a"), door="dicom", peer="CT1")
    inbox.close()
    db = connect(settings.database_path)
    assert plan(db, open_clock(db), settings) == 1
    return settings


def job_of(settings):
    """The only version of the only study."""
    with open_view(settings) as view:
        return view.studies()[0].versions[-1]


def work(settings, analyse, *, until):
    """Run a worker in this process until something is so."""
    stop = threading.Event()
    thread = threading.Thread(target=worker.work, args=(settings, stop), kwargs={"slot": "w", "analyse": analyse})
    thread.start()
    deadline = time.monotonic() + 20
    while not until() and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join()
    assert until()


def good(_job, files, out_dir):
    """An analysis that writes a file."""
    (out_dir / "r").mkdir()
    (out_dir / "r" / "result.json").write_text(str(len(files)))
    return Outcome("r", "complete", "suspected", ("m 1",))


def test_a_result_is_moved_to_its_place_and_recorded(ready):
    work(ready, good, until=lambda: job_of(ready).state == "analysed")
    assert (job_of(ready).folder / "result.json").read_text() == "1"
    assert job_of(ready).folder == ready.root / "results" / "1.2.826.0.1.999.1" / "0001"


def test_only_one_worker_gets_a_job_and_only_it_may_finish_it(ready):
    db = connect(ready.database_path)
    clock = open_clock(db)
    first = claim(db, clock, ready.work, worker="a")
    assert claim(db, clock, ready.work, worker="b") is None
    assert release(db, clock, ready.work, worker="a", reason="died") == 1
    second = claim(db, clock, ready.work, worker="b")
    assert (second.id, second.attempts) == (first.id, 2)
    assert not finish(db, clock, first, Outcome("late"))
    assert not keep(db, clock, first, lease_s=9.0)
    assert finish(db, clock, second, Outcome("x", "complete", "absent"))


def test_a_silent_worker_loses_its_job(ready):
    db = connect(ready.database_path)
    clock = open_clock(db)
    claim(db, clock, ready.work, worker="a")
    assert expire(db, clock, ready.work) == []
    time.sleep(1.1)
    assert expire(db, clock, ready.work) == ["a"]
    assert job_of(ready).state == "queued"


def test_a_study_that_kills_its_workers_ends_in_quarantine(ready):
    db = connect(ready.database_path)
    clock = open_clock(db)
    for _ in range(3):
        assert claim(db, clock, ready.work, worker="a") is not None
        release(db, clock, ready.work, worker="a", reason="its worker died")
    assert claim(db, clock, ready.work, worker="a") is None
    assert job_of(ready).state == "quarantined"
    assert "3 attempts" in job_of(ready).reason
    assert replay(db, clock, "1.2.826.0.1.999.1") == 2
    assert claim(db, clock, ready.work, worker="a").version == 2


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        pytest.param(InputError("no head in it"), 1, "no head in it", id="unreadable: at once"),
        pytest.param(ModelError("altered"), 3, "altered", id="a model: after all attempts"),
        pytest.param(
            KeyError("CANARY^NAME"), 3, "internal error (KeyError in analyse, test_work.py", id="unforeseen: without its words"
        ),
        pytest.param(MemoryError(), 3, "more memory", id="memory"),
    ],
)
def test_what_cannot_be_done_ends_in_quarantine_with_its_reason(ready, error, attempts, reason):
    def analyse(_job, _files, _out):
        raise error

    work(ready, analyse, until=lambda: job_of(ready).state == "quarantined")
    assert reason in job_of(ready).reason
    assert "CANARY" not in job_of(ready).reason
    assert job_of(ready).attempts == attempts


BAD = """
import sqlite3, sys, threading
from pathlib import Path
import msgspec
from lvo.node.settings import NodeSettings, WorkSettings
from lvo.node.worker import work
settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=NodeSettings)
import time
def analyse(job, files, out):
    {body}
work(settings, threading.Event(), slot="w", analyse=analyse)
"""


@pytest.mark.parametrize(
    ("body", "limits", "status", "reason"),
    [
        pytest.param("time.sleep(60)", {"time_limit_s": 0.5}, 70, "longer than the 0.5 s", id="time"),
        pytest.param("b = bytearray(900 << 20)", {"memory_mb": 500}, None, "more memory than the 500 MB", id="memory"),
    ],
)
def test_limits_end_an_analysis_that_exceeds_them(ready, tmp_path, body, limits, status, reason):
    settings = msgspec.structs.replace(ready, work=msgspec.structs.replace(ready.work, max_attempts=1, **limits))
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(settings))
    code = BAD.format(body=body)
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s.json")])
    try:
        deadline = time.monotonic() + 30
        while job_of(settings).state != "quarantined" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert job_of(settings).state == "quarantined"
        assert reason in job_of(settings).reason
        if status is not None:
            assert process.wait(10) == status
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "limits", [{"time_limit_s": 0.5, "lease_s": 60.0}, {"lease_s": 1.0}], ids=["its time is up", "its lease must be renewed"]
)
def test_a_store_that_cannot_be_written_ends_an_analysis_too(ready, tmp_path, limits):
    settings = msgspec.structs.replace(ready, work=msgspec.structs.replace(ready.work, **limits))
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(settings))
    code = BAD.format(body="sqlite3.connect(settings.database_path).execute('DROP TABLE jobs'); time.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s.json")], stderr=subprocess.PIPE)
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == worker.EXIT_LIMIT
    assert b"the store cannot be used: no such table: jobs" in said
