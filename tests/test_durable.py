"""Databases and files that outlive a power cut."""

import errno
import multiprocessing
import os
import sqlite3
import threading

import pytest

from lvo import durable
from lvo.durable import create_file, open_database, replace_file


def test_a_database_can_be_opened_while_another_connection_writes(tmp_path):
    path = tmp_path / "new.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        open_database(path, busy_s=0.1)
    ending = threading.Timer(0.5, other.execute, ["COMMIT"])
    ending.start()
    database = open_database(path, busy_s=30.0)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_many_that_open_a_new_database_at_once_all_get_it(tmp_path):
    gate, failed = threading.Barrier(8), []

    def open_it(path):
        gate.wait(timeout=60.0)
        try:
            database = open_database(path, busy_s=30.0)
            database.execute("CREATE TABLE IF NOT EXISTS t (x)")
            database.close()
        except sqlite3.Error as error:
            failed.append(error)

    for round_ in range(25):
        threads = [threading.Thread(target=open_it, args=[tmp_path / f"{round_}.sqlite"]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed


def test_what_is_no_database_is_refused(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        open_database(path, busy_s=0.1)


@pytest.fixture(params=["links", "no links"])
def links(request, monkeypatch):
    """A file system with hard links, and one that says it has none."""

    def link(_source, _target):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "no links":
        monkeypatch.setattr(durable.os, "link", link)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "accounts.json"
    replace_file(path, b"old", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            replace_file(path, b"new", mode=0o600)
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("accounts.json", b"old")]
    replace_file(path, b"new", mode=0o600)
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("accounts.json", b"new")]


@pytest.mark.usefixtures("links")
def test_a_file_that_is_there_is_not_created_again(tmp_path):
    create_file(tmp_path / "claim", b"first")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "claim", b"second")
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("claim", b"first")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EIO])
def test_an_error_that_is_not_the_lack_of_links_is_not_hidden(tmp_path, monkeypatch, number):
    def link(_source, _target):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable.os, "link", link)
    with pytest.raises(OSError, match=os.strerror(number)):
        create_file(tmp_path / "claim", b"x")
    assert not list(tmp_path.iterdir())


def _create_all(folder, mark, won):
    for number in range(50):
        try:
            create_file(folder / f"{number}", mark)
        except FileExistsError:
            continue
        won.put((number, mark))


@pytest.mark.usefixtures("links")
def test_of_four_processes_that_create_a_file_one_succeeds(tmp_path):
    context = multiprocessing.get_context("fork")
    won = context.Queue()
    writers = [context.Process(target=_create_all, args=(tmp_path, b"%d" % n, won)) for n in range(4)]
    for writer in writers:
        writer.start()
    found = [won.get(timeout=120) for _ in range(50)]
    for writer in writers:
        writer.join()
    assert won.empty()
    assert sorted(number for number, _ in found) == list(range(50))
    assert all((tmp_path / f"{number}").read_bytes() == mark for number, mark in found)
