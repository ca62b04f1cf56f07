"""Both keepers of the table of jobs keep the same promises."""

import errno
import multiprocessing
import os
import time
from types import SimpleNamespace

import pytest

from lvo import durable
from lvo.batch import sqlite_table
from lvo.batch import table as tables
from lvo.batch.records import Item, State
from lvo.batch.table import LEASE_S, choose_keeper, is_gone, new_owner, open_table
from lvo.errors import UsageError

HERE, THERE = "elsewhere:1:1:a", "elsewhere:2:1:b"
"""Owners on another machine: only time tells that they are gone."""


def item(name, **facts):
    return Item(name, (name,), **facts)


@pytest.fixture(params=["sqlite", "files", "files without hard links"])
def keeper(request, monkeypatch):
    def link(_source, _target):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    keeper, _, without = request.param.partition(" ")
    if without:
        monkeypatch.setattr(durable.os, "link", link)
    return keeper


@pytest.fixture
def table(tmp_path, keeper):
    with open_table(tmp_path, keeper) as opened:
        yield opened


@pytest.fixture
def later(tmp_path, monkeypatch):
    """Lets time pass without waiting: the clock of the one keeper goes on, the claims of the other grow older."""
    passed = [0.0]
    monkeypatch.setattr(sqlite_table, "time", SimpleNamespace(time=lambda: time.time() + passed[0], time_ns=time.time_ns))

    def later(seconds):
        passed[0] += seconds
        for claim in tmp_path.rglob("*.claim"):
            changed = claim.stat().st_mtime - seconds
            os.utime(claim, (changed, changed))

    return later


def names(table):
    return {job.item.name: job.state.value for job in table.jobs()}


def test_what_is_added_twice_is_there_once(table):
    assert table.add([item("a"), item("b")]) == 2
    assert table.add([item("b"), item("a")]) == 0
    assert names(table) == {"a": "queued", "b": "queued"}


def test_order_is_priority_then_due_then_first_come(table):
    table.add(
        [item("late", due=9e9), item("whenever"), item("soon", due=8e9), item("first", priority=2), item("last", priority=-1)]
    )
    order = []
    while (job := table.claim(HERE)) is not None:
        order.append(job.item.name)
    assert order == ["first", "soon", "late", "whenever", "last"]


def test_an_item_is_claimed_once(table):
    table.add([item("a")])
    assert table.claim(HERE).attempts == 1
    assert table.claim(THERE) is None


def test_an_end_is_kept_with_its_rows_and_not_given_out_again(table):
    table.add([item("a"), item("b")])
    first = table.claim(HERE)
    assert table.finish(HERE, first.item.id, State.DONE, [{"study_instance_uid": "1.2", "seconds": 1.5, "item": None}])
    assert table.claim(HERE).item.name == "b"
    assert table.claim(HERE) is None
    done = next(job for job in table.jobs() if job.state is State.DONE)
    assert done.item.name == "a"
    assert done.rows == ({"study_instance_uid": "1.2", "seconds": 1.5, "item": None},)
    assert table.count() == {State.QUEUED: 0, State.LEASED: 1, State.DONE: 1, State.FAILED: 0}


def test_a_released_item_is_free_and_remembers_its_attempts(table):
    table.add([item("a")])
    table.release(HERE, table.claim(HERE).item.id)
    assert table.claim(THERE).attempts == 2


def test_a_runner_that_is_stopped_leaves_items_as_if_they_had_not_been_begun(table):
    table.add([item("a")])
    for _ in range(4):
        assert table.claim(HERE).attempts == 1
        table.release(HERE)


def test_only_the_holder_may_end_an_item(table):
    table.add([item("a")])
    held = table.claim(HERE).item.id
    assert not table.finish(THERE, held, State.DONE, [{"seconds": 9.0}])
    assert names(table) == {"a": "leased"}


def test_a_lease_that_ran_out_is_free_and_its_old_holder_cannot_end_it(tmp_path, keeper, later):
    with open_table(tmp_path, keeper) as one, open_table(tmp_path, keeper) as two:
        one.add([item("a")])
        held = one.claim(HERE).item.id
        two.add([item("a")])
        later(LEASE_S / 2)
        assert two.claim(THERE) is None
        later(LEASE_S)
        assert two.claim(THERE).attempts == 2
        assert not one.finish(HERE, held, State.DONE, [{"seconds": 1.0}])
        assert two.finish(THERE, held, State.DONE, [{"seconds": 2.0}])
        assert [job.rows for job in one.jobs()] == [({"seconds": 2.0},)]


def test_a_renewed_lease_is_kept(tmp_path, keeper, later):
    with open_table(tmp_path, keeper) as one, open_table(tmp_path, keeper) as two:
        one.add([item("a")])
        held = one.claim(HERE).item.id
        two.add([])
        for _ in range(3):
            later(LEASE_S / 2)
            one.renew(HERE)
            assert two.claim(THERE) is None
        assert one.finish(HERE, held, State.DONE, [])


def test_a_runner_of_this_machine_that_is_gone_holds_nothing(tmp_path, table, keeper, later):
    process = multiprocessing.get_context("spawn").Process(target=os._exit, args=(0,))
    process.start()
    owner = new_owner().split(":")
    owner[1] = str(process.pid)
    process.join()
    assert is_gone(":".join(owner))
    table.add([item("a")])
    with open_table(tmp_path, keeper) as other:
        assert other.claim(":".join(owner)) is not None
    later(2.0)  # SQLite looks for free leases every second
    assert table.claim(HERE) is not None


def test_a_runner_that_lives_is_not_gone():
    assert not is_gone(new_owner())
    assert not is_gone(HERE)


def test_changed_content_is_to_do_again_and_equal_content_is_not(table):
    table.add([item("a", fingerprint="1")])
    table.finish(HERE, table.claim(HERE).item.id, State.DONE, [{"seconds": 1.0}])
    assert table.add([item("a", fingerprint="1")]) == 0
    assert table.claim(HERE) is None
    assert table.add([item("a", fingerprint="2")]) == 1
    assert table.claim(HERE).attempts == 1


def test_content_that_changes_while_it_is_worked_on_is_done_again_afterwards(table):
    table.add([item("a", fingerprint="1")])
    held = table.claim(HERE)
    assert table.add([item("a", fingerprint="2")]) == 0
    assert table.claim(HERE) is None
    assert table.finish(HERE, held.item.id, State.DONE, [{"seconds": 1.0}])
    assert table.add([item("a", fingerprint="2")]) == 1
    assert table.claim(HERE).item.fingerprint == "2"


def test_retry_queues_what_failed_and_nothing_else(table):
    table.add([item("good"), item("bad")])
    for _ in range(2):
        job = table.claim(HERE)
        table.finish(HERE, job.item.id, State.DONE if job.item.name == "good" else State.FAILED, [{"seconds": 1.0}])
    assert table.retry() == 1
    assert names(table) == {"good": "done", "bad": "queued"}
    assert table.claim(HERE).attempts == 1


def test_a_folder_stays_with_the_keeper_that_began_it(tmp_path, keeper):
    with open_table(tmp_path, keeper) as opened:
        opened.add([item("a")])
    assert choose_keeper(tmp_path, "auto") == keeper
    with pytest.raises(UsageError, match="--table"):
        choose_keeper(tmp_path, "files" if keeper == "sqlite" else "sqlite")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("nfs4", "files"), ("ext4", "sqlite"), ("fuse.s3fs", "files"), ("fuse", "files"), ("fuseblk", "sqlite")],
)
def test_a_shared_file_system_gets_files(tmp_path, monkeypatch, kind, expected):
    monkeypatch.setattr(tables, "_file_system", lambda _: kind)
    assert choose_keeper(tmp_path, "auto") == expected


def test_a_database_that_another_machine_may_have_open_is_not_opened(tmp_path, monkeypatch):
    """Two runners that see one SQLite log through two mounts would destroy it."""
    with open_table(tmp_path, "sqlite"):
        pass
    monkeypatch.setattr(tables, "_file_system", lambda _: "fuse.sshfs")
    with pytest.raises(UsageError, match="--table sqlite if no other runner"):
        choose_keeper(tmp_path, "auto")
    assert choose_keeper(tmp_path, "sqlite") == "sqlite"


def test_a_claim_that_is_empty_is_held_until_its_lease_ran_out(tmp_path, later):
    """Without hard links a claim is empty for a moment, and stays so if its maker dies in it."""
    with open_table(tmp_path, "files") as table:
        table.add([item("a")])
        claim = table._path(item("a").id, "claim")
        claim.touch()
        assert table.claim(HERE) is None
        later(LEASE_S + 1.0)
        assert table.claim(HERE).item.name == "a"


def test_a_name_with_odd_characters_comes_back(table):
    table.add([item("a b/Müller\udcff")])
    assert table.claim(HERE).item.name == "a b/Müller\udcff"


def _claim_all(folder, keeper, owner, answers):
    with open_table(folder, keeper) as table:
        while (job := table.claim(owner)) is not None:
            answers.put(job.item.name)
            table.finish(owner, job.item.id, State.DONE, [])


def test_four_processes_never_get_the_same_item(tmp_path, keeper):
    with open_table(tmp_path, keeper) as table:
        table.add([item(f"{n}") for n in range(120)])
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [context.Process(target=_claim_all, args=(tmp_path, keeper, f"elsewhere:{n}:1:x", answers)) for n in range(4)]
    for worker in workers:
        worker.start()
    got = [answers.get(timeout=120) for _ in range(120)]
    for worker in workers:
        worker.join()
    assert sorted(got) == sorted(f"{n}" for n in range(120))
    assert answers.empty()
