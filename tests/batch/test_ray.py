"""The same promises on Ray; on a cluster of this machine."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import batch_fakes
import psutil
import pytest

from lvo.batch.ray_engine import RayEngine, RayPlan
from lvo.batch.records import Item, Kind, State

pytest.importorskip("ray")
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


def item(name):
    return Item(name, (name,))


@pytest.fixture
def on_ray(bench, monkeypatch):
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(batch_fakes.__file__).parent), os.environ.get("PYTHONPATH", "")])
    )

    def run(names, **limits):
        plan = RayPlan(workers=2, threads=1)
        jobs, _, _ = bench.run(
            [item(name) for name in names], engine=lambda setup: RayEngine(setup, plan, serve=batch_fakes.serve), **limits
        )
        return {job.item.name: job for job in jobs}

    return run


def test_limits_mean_the_same_on_ray(on_ray):
    """Without a limit of time that a starved process would meet before its limit of memory."""
    jobs = on_ray(["ok:1", "eat:2", "die-once:3", "corrupt:4"], memory_mb=400)
    assert {name: job.state for name, job in jobs.items()} == {
        "ok:1": State.DONE, "eat:2": State.FAILED, "die-once:3": State.DONE, "corrupt:4": State.FAILED,
    }  # fmt: skip
    assert jobs["eat:2"].rows[0]["error.kind"] == Kind.MEMORY
    assert jobs["corrupt:4"].rows[0]["error.kind"] == Kind.INPUT
    hanging = on_ray(["hang:5"], time_s=5.0)["hang:5"]
    assert hanging.rows[0]["error.kind"] == Kind.TIME


def test_an_actor_that_is_killed_is_replaced_and_its_item_done_again(on_ray):
    stop = threading.Event()
    killed = []

    def kill():
        while not stop.wait(0.5) and not killed:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # what ends while it is looked at
                    if "_Guard.work" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        break

    thread = threading.Thread(target=kill)
    thread.start()
    jobs = on_ray([f"sleep:1.5:{n}" for n in range(8)], attempts=9)
    stop.set()
    thread.join()
    assert len(killed) == 1
    assert all(job.state is State.DONE and len(job.rows) == 1 for job in jobs.values())
    assert max(job.attempts for job in jobs.values()) > 1
