"""Whatever happens to workers, items and runners, every item ends once, and the table says how."""

import os
import signal
import tempfile
import threading
import time
from collections import Counter

import batch_fakes
import psutil
import pytest
from batch_drivers import start_driver
from lvo_tests_servers import wait_until

from lvo.batch.engines import LocalEngine
from lvo.batch.memory import fits, slots
from lvo.batch.records import Item, Kind, State, Task
from lvo.batch.table import open_table
from lvo.errors import ModelError


def item(name, **facts):
    return Item(name, (name,), **facts)


def states(jobs):
    return {job.item.name: job.state for job in jobs}


def reasons(jobs):
    return {
        job.item.name: [(row["error.kind"], row["error.reason"]) for row in job.rows]
        for job in jobs
        if job.state is State.FAILED
    }


def test_bad_items_are_reported_and_the_run_goes_on(any_bench):
    bad = ["corrupt:1", "eat:2", "die:3"]
    jobs, heard, why = any_bench.run([item(name) for name in [*bad, "ok:4", "ok:5"]], workers=2, memory_mb=300)
    assert why == ""
    assert states(jobs) == dict.fromkeys(bad, State.FAILED) | dict.fromkeys(["ok:4", "ok:5"], State.DONE)
    kinds = {name: found[0][0] for name, found in reasons(jobs).items()}
    assert kinds == {"corrupt:1": Kind.INPUT, "eat:2": Kind.MEMORY, "die:3": Kind.DIED}
    words = {name: found[0][1] for name, found in reasons(jobs).items()}
    assert "it may take 300" in words["eat:2"]
    assert "signal 9" in words["die:3"]
    assert Counter(any_bench.log())["begun die:3"] == 3, "tried as often as it may"
    assert Counter(any_bench.log())["begun eat:2"] == 1, "what takes too much once does so again"
    assert len(heard.rows) == 5
    assert not list((any_bench.folder / "studies").glob(".*.partial"))


def test_a_study_that_hangs_is_stopped_and_reported(any_bench):
    jobs, _, _ = any_bench.run([item("hang:1"), item("ok:2", priority=-1)], time_s=5.0)
    assert states(jobs) == {"hang:1": State.FAILED, "ok:2": State.DONE}
    ((kind, words),) = reasons(jobs)["hang:1"]
    assert kind == Kind.TIME
    assert "it may take 5" in words
    assert not list((any_bench.folder / "studies").glob(".*.partial"))


def test_a_failed_row_names_the_study_that_was_in_progress(bench):
    jobs, _, _ = bench.run([item("hang:1")], time_s=2.0)
    assert jobs[0].rows[0]["study_instance_uid"] == batch_fakes.uid_of("hang:1")


def test_studies_behind_one_that_ended_its_worker_are_not_lost(bench):
    (job,) = bench.run([item("hang:with another")], time_s=2.0)[0]
    rows = {row["study_instance_uid"]: (row["status"], row["error.kind"], row["error.reason"]) for row in job.rows}
    assert rows.keys() == {batch_fakes.uid_of("hang:with another"), batch_fakes.OTHER}
    assert rows[batch_fakes.OTHER][:2] == ("failed", Kind.TIME)
    assert rows[batch_fakes.OTHER][2].startswith("not begun")


def test_a_worker_that_died_is_replaced_and_its_item_done_again(any_bench):
    jobs, heard, _ = any_bench.run([item("die-once:1"), item("ok:2")])
    assert states(jobs) == {"die-once:1": State.DONE, "ok:2": State.DONE}
    assert next(job for job in jobs if job.item.name == "die-once:1").attempts == 2
    assert any("tried again" in text for text in heard.said)


def test_a_second_run_does_nothing_twice(any_bench):
    items = [item(f"ok:{n}") for n in range(6)]
    any_bench.run(items[:4])
    jobs, heard, _ = any_bench.run(items)
    assert len(jobs) == 6
    assert [row["item"] for row in heard.rows] == [it.id for it in items[4:]]
    assert max(Counter(any_bench.log()).values()) == 1


def test_models_that_cannot_be_loaded_stop_the_batch_with_the_reason(bench):
    with pytest.raises(ModelError, match="reinstall lvo"):
        bench.run([item("ok:1")], engine=lambda setup: LocalEngine(setup, workers=1, serve=batch_fakes.broken))
    with open_table(bench.folder) as table:
        assert table.count()[State.QUEUED] == 1, "nothing was lost"


def test_nothing_begins_after_the_deadline(bench):
    jobs, _, why = bench.run([item("ok:1")], plan={"deadline": time.time() - 1.0})
    assert why == "the deadline"
    assert states(jobs) == {"ok:1": State.QUEUED}
    assert bench.log() == []


def test_nothing_begins_that_would_end_after_the_deadline(bench):
    items = [item(f"ok:{n}", priority=-n) for n in range(3)]
    bench.run(items[:1])
    jobs, _, why = bench.run(items, plan={"deadline": time.time() + 3600.0})
    assert why == ""
    assert all(job.state is State.DONE for job in jobs)


def test_nothing_begins_on_a_full_disk_and_the_run_says_so(bench):
    jobs, heard, why = bench.run([item("ok:1")], plan={"min_free_mb": 10**9, "disk_wait_s": 1.0})
    assert why == "a full disk"
    assert states(jobs) == {"ok:1": State.QUEUED}
    assert any("nearly full" in text for text in heard.said)


def test_an_item_that_took_its_runner_with_it_each_time_is_given_up(any_bench):
    (any_bench.folder / "studies").mkdir(parents=True)
    with open_table(any_bench.folder, any_bench.keeper) as table:
        table.add([item("ok:1")])
        for _ in range(3):
            table.release("elsewhere:1:1:x", table.claim("elsewhere:1:1:x").item.id)
    jobs, _, _ = any_bench.run()
    assert states(jobs) == {"ok:1": State.FAILED}
    assert reasons(jobs)["ok:1"][0][0] == Kind.DIED
    assert any_bench.log() == []


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def ended(bench):
    return [line for line in bench.log() if line.startswith("ended")]


def test_workers_and_the_runner_may_be_killed_anywhere(any_bench):
    """Nothing is missing, and nothing that was finished is done again except what the kill caught before the table knew."""
    count = 30
    driver = start_driver(any_bench.folder, any_bench.keeper, count)
    for wanted in (3, 6, 9):
        until(lambda wanted=wanted: len(ended(any_bench)) >= wanted)
        workers = [child for child in psutil.Process(driver.pid).children() if "spawn_main" in " ".join(child.cmdline())]
        if workers:
            os.kill(workers[0].pid, signal.SIGKILL)
    until(lambda: len(ended(any_bench)) >= 12)
    orphans = psutil.Process(driver.pid).children()
    driver.kill()
    driver.wait()
    before = len(ended(any_bench))
    second = start_driver(any_bench.folder, any_bench.keeper, count)
    assert second.wait(timeout=120) == 0
    with open_table(any_bench.folder, any_bench.keeper) as table:
        jobs = list(table.jobs())
    assert len(jobs) == count
    assert all(job.state is State.DONE and len(job.rows) == 1 for job in jobs)
    assert before < count
    assert len(ended(any_bench)) <= count + 2, "at most the two in progress when the runner was killed were done again"
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in orphans))


def test_two_runners_share_the_work_and_never_an_item(any_bench):
    drivers = [start_driver(any_bench.folder, any_bench.keeper, 20) for _ in range(2)]
    assert [driver.wait(timeout=120) for driver in drivers] == [0, 0]
    counted = Counter(any_bench.log())
    assert len(ended(any_bench)) == 20
    assert max(counted.values()) == 1
    with open_table(any_bench.folder, any_bench.keeper) as table:
        assert table.count() == {State.QUEUED: 0, State.LEASED: 0, State.DONE: 20, State.FAILED: 0}


def test_ctrl_c_gives_back_what_was_in_progress(bench):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with SIGINT ignored
    timer = threading.Timer(4.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.run([item("sleep:60:1"), item("sleep:60:2")])
    finally:
        signal.signal(signal.SIGINT, before)
    with open_table(bench.folder) as table:
        assert table.count()[State.QUEUED] == 2


def test_who_is_stopped_leaves_no_image_and_no_half_result(bench, tmp_path, monkeypatch):
    """A killed worker removes nothing itself: neither what it unpacked for itself nor what it was writing."""
    temporary, studies = tmp_path / "temporary", bench.folder / "studies"
    temporary.mkdir()
    studies.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    engine = LocalEngine(bench.setup(), workers=1, serve=batch_fakes.serve)
    (worker,) = engine._workers
    try:
        engine.submit(Task(item("hang:1"), 1))
        wait_until(lambda: not engine.wait(0.1) and worker._under.uid and list(temporary.rglob("image")), "a study in progress")
        assert list(studies.glob(".*.partial"))
    finally:
        engine.close()
    assert not list(temporary.iterdir())
    assert not list(studies.glob(".*.partial"))


@pytest.mark.parametrize(
    ("threads", "memory_mb", "cores", "free_mb", "expected"),
    [
        pytest.param(2, 4096, 16, 64_000, 8, id="cores decide"),
        pytest.param(1, 4096, 16, 20_000, 4, id="memory decides"),
        pytest.param(4, 4096, 2, 64_000, 1, id="one worker always"),
        pytest.param(1, 4096, 8, 500, 1, id="one worker even without memory"),
    ],
)
def test_workers_fit_cores_and_memory(threads, memory_mb, cores, free_mb, expected):
    assert slots(threads=threads, memory_mb=memory_mb, cores=cores, free_mb=free_mb) == expected


def test_a_study_begins_only_in_memory_that_is_not_promised():
    assert fits(9000.0, memory_mb=4096, promised_mb=4096.0)
    assert not fits(8000.0, memory_mb=4096, promised_mb=4096.0)
    assert fits(None, memory_mb=4096, promised_mb=9e9)
