"""The outbox: nothing is lost, nothing is queued twice, an older result never arrives after a newer one."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from lvo.delivery import Notice, Outbox, Parcel, State
from lvo.delivery.settings import RetrySettings
from lvo.errors import OutputError

RETRY = RetrySettings(first_s=10.0, longest_s=60.0, jitter=0.1, give_up_h=1.0)
LEASE = {"lease_s": 100.0, "longest_s": 60.0}


class Clock:
    """Time that stands until it is told to go."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def outbox(tmp_path, clock):
    with Outbox(tmp_path / "outbox.sqlite", clock=clock, chance=lambda: 1.0) as made:
        yield made


def parcel(study: str = "1.2.3", version: str = "a") -> Parcel:
    return Parcel(Path("/results") / study, study, version)


def notice(event: str = "suspected", study: str = "1.2.3", **facts) -> Notice:
    return Notice(event=event, study_instance_uid=study, at=datetime(2026, 3, 1, tzinfo=UTC), **facts)


def states(outbox: Outbox) -> list[tuple[str, str, State]]:
    return [(d.target, d.version, d.state) for d in outbox.list()]


def test_every_commit_is_on_disk_before_it_is_answered(outbox):
    assert outbox._db.execute("PRAGMA synchronous").fetchone()[0] == 2, "2 is FULL"
    assert outbox._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_the_same_parcel_is_taken_once_per_target(outbox):
    assert outbox.put(parcel(), ["pacs", "folder"]) == 2
    assert outbox.put(parcel(), ["pacs", "folder", "later"]) == 1
    assert [d.target for d in outbox.list()] == ["pacs", "folder", "later"]


def test_what_is_claimed_is_claimed_once_and_ends_delivered(outbox):
    outbox.put(parcel(), ["pacs"])
    claim = outbox.claim("pacs", **LEASE)
    assert (claim.attempts, claim.folder, claim.version) == (1, Path("/results/1.2.3"), "a")
    assert outbox.claim("pacs", **LEASE) is None
    assert outbox.delivered(claim, "one warning")
    assert outbox.claim("pacs", **LEASE) is None
    (ended,) = outbox.list(state=State.DELIVERED)
    assert ended.reason == "one warning"


def test_waits_double_up_to_the_longest_and_are_jittered(outbox, clock):
    outbox.put(parcel(), ["pacs"])
    waits = []
    for _ in range(5):
        claim = outbox.claim("pacs", **LEASE)
        outbox.failed(claim, "down", retry=RETRY)
        (waiting,) = outbox.list(state=State.PENDING)
        waits.append(waiting.due_s - clock.now)
        clock.now = waiting.due_s - 0.01
        assert outbox.claim("pacs", **LEASE) is None, "not before it is due"
        clock.now = waiting.due_s
    assert waits == pytest.approx([11.0, 22.0, 44.0, 66.0, 66.0])


def test_a_delivery_that_fails_too_long_is_dead_and_can_be_replayed(outbox, clock):
    outbox.put(parcel(), ["pacs"])
    outbox.failed(outbox.claim("pacs", **LEASE), "down", retry=RETRY)
    clock.now += 3601.0
    outbox.failed(outbox.claim("pacs", **LEASE), "still down", retry=RETRY)
    (dead,) = outbox.list(state=State.DEAD)
    assert dead.reason == "given up after 1 hours: still down"
    assert outbox.claim("pacs", **LEASE) is None
    assert outbox.replay(target="another") == 0
    assert outbox.replay(ids=[dead.id]) == 1
    again = outbox.claim("pacs", **LEASE)
    assert again.attempts == 1
    outbox.failed(again, "down", retry=RETRY)
    assert [d.state for d in outbox.list()] == [State.PENDING], "its time counts anew"


def test_an_answering_target_wakes_what_waits_for_it(outbox):
    outbox.put(parcel(), ["pacs"])
    outbox.failed(outbox.claim("pacs", **LEASE), "down", retry=RETRY)
    assert outbox.claim("pacs", **LEASE) is None
    outbox.wake("pacs")
    assert outbox.claim("pacs", **LEASE) is not None


def test_a_claim_whose_program_died_is_taken_over_and_the_dead_one_changes_nothing(outbox, clock):
    outbox.put(parcel(), ["pacs"])
    first = outbox.claim("pacs", **LEASE)
    clock.now += 60.0
    assert outbox.renew(first, lease_s=100.0, done={"1.2": "0x0000"})
    clock.now += 99.0
    assert outbox.claim("pacs", **LEASE) is None, "a renewed lease holds"
    clock.now += 1.0
    second = outbox.claim("pacs", **LEASE)
    assert (second.attempts, second.done) == (2, {"1.2": "0x0000"})
    assert not outbox.renew(first, lease_s=100.0)
    assert not outbox.dead(first, "late")
    assert outbox.delivered(second)
    assert [d.state for d in outbox.list()] == [State.DELIVERED]


@pytest.mark.parametrize("days", [-3.0, 3.0])
def test_a_clock_that_jumps_holds_nothing_up(outbox, clock, days):
    outbox.put(parcel("1.1"), ["pacs"])
    outbox.put(parcel("1.2"), ["pacs"])
    outbox.claim("pacs", **LEASE)  # its program dies
    outbox.failed(outbox.claim("pacs", **LEASE), "down", retry=RETRY)
    clock.now += days * 86400.0
    assert {outbox.claim("pacs", **LEASE).study_instance_uid for _ in range(2)} == {"1.1", "1.2"}


def test_urgent_ones_go_first(outbox, clock):
    outbox.put(parcel("1.1"), ["pacs"])
    clock.now += 1.0
    outbox.put(parcel("1.2"), ["pacs"], urgent=True)
    assert outbox.claim("pacs", **LEASE).study_instance_uid == "1.2"


def test_a_newer_result_supersedes_what_waits_and_what_is_dead(outbox):
    outbox.put(parcel(version="a"), ["pacs", "folder"])
    outbox.dead(outbox.claim("folder", **LEASE), "refused")
    outbox.put(parcel(version="b"), ["pacs", "folder"])
    assert states(outbox) == [
        ("pacs", "a", State.SUPERSEDED), ("folder", "a", State.SUPERSEDED),
        ("pacs", "b", State.PENDING), ("folder", "b", State.PENDING),
    ]  # fmt: skip
    assert outbox.put(parcel("1.2.4", version="c"), ["pacs"]) == 1
    assert ("pacs", "b", State.PENDING) in states(outbox), "another study is another matter"


def test_an_older_result_never_arrives_after_a_newer_one(outbox, clock):
    outbox.put(parcel(version="a"), ["pacs"])
    older = outbox.claim("pacs", **LEASE)
    outbox.put(parcel(version="b"), ["pacs"])
    assert outbox.claim("pacs", **LEASE) is None, "the older one is on its way"
    outbox.failed(older, "down", retry=RETRY)
    clock.now += 11.0
    newer = outbox.claim("pacs", **LEASE)
    assert newer.version == "b"
    outbox.delivered(newer)
    assert states(outbox) == [("pacs", "a", State.SUPERSEDED), ("pacs", "b", State.DELIVERED)]


def test_a_result_that_comes_back_is_delivered_again(outbox):
    for version in ("a", "b", "a"):
        outbox.put(parcel(version=version), ["pacs"])
        outbox.delivered(outbox.claim("pacs", **LEASE))
    assert [d.version for d in outbox.list()] == ["b", "a"]


def test_people_are_told_once_and_told_of_corrections_they_did_not_ask_for(outbox):
    said = []
    for event, side in [("suspected", "left"), ("suspected", "left"), ("not_detected", None), ("suspected", "left")]:
        wanted = event == "suspected"
        said.append(outbox.put_notice(notice(event, side=side), "hook", wanted=wanted))
        if said[-1]:
            outbox.delivered(outbox.claim("hook", **LEASE))
    assert said == [True, False, True, True]
    assert not outbox.put_notice(notice("not_detected", study="1.9"), "hook", wanted=False), "nothing was said about this study"


def test_a_notice_that_waits_is_overtaken_by_its_correction(outbox):
    outbox.put_notice(notice("overdue", waited_min=20.0), "hook", wanted=True)
    outbox.put_notice(notice("suspected", side="right", site="M1", probability=0.9), "hook", wanted=True)
    claim = outbox.claim("hook", **LEASE)
    assert (claim.notice.event, claim.notice.site) == ("suspected", "M1")
    outbox.delivered(claim)
    assert [d.state for d in outbox.list()] == [State.SUPERSEDED, State.DELIVERED]


def test_what_is_over_can_be_forgotten_and_what_is_not_stays(outbox, clock):
    outbox.put(parcel(version="a"), ["pacs", "folder", "away"])
    outbox.delivered(outbox.claim("pacs", **LEASE))
    outbox.dead(outbox.claim("folder", **LEASE), "refused")
    outbox.commit("1.2.9", {})
    clock.now += 100.0
    assert outbox.forget(older_than_s=101.0) == 0
    assert outbox.forget(older_than_s=99.0) == 1
    assert [(d.target, d.state) for d in outbox.list()] == [("folder", State.DEAD), ("away", State.PENDING)]
    assert outbox.commitment("1.2.9") is None


def test_counts_are_by_target_and_state(outbox):
    outbox.put(parcel("1.1"), ["pacs", "folder"])
    outbox.put(parcel("1.2"), ["pacs"])
    outbox.dead(outbox.claim("folder", **LEASE), "refused")
    assert outbox.counts() == {("pacs", State.PENDING): 2, ("folder", State.DEAD): 1}


def test_the_answer_to_a_commitment_is_found_by_its_transaction(outbox):
    assert outbox.commitment("1.2.9") is None
    outbox.commit("1.2.9", {"1.2.3.4": "0x0112"})
    assert outbox.commitment("1.2.9") == {"1.2.3.4": "0x0112"}


def test_many_threads_and_connections_claim_each_delivery_once(tmp_path):
    path = tmp_path / "outbox.sqlite"
    with Outbox(path) as outbox:
        for n in range(60):
            outbox.put(parcel(f"1.{n}"), ["pacs"])

    def claims(_: int) -> list[str]:
        found = []
        with Outbox(path) as own:
            while (claim := own.claim("pacs", **LEASE)) is not None:
                own.delivered(claim)
                found.append(claim.study_instance_uid)
        return found

    with ThreadPoolExecutor(4) as pool:
        taken = [uid for found in pool.map(claims, range(4)) for uid in found]
    assert sorted(taken) == sorted(f"1.{n}" for n in range(60))


def test_what_was_put_survives_a_killed_program(tmp_path):
    """The program is killed right after `put` returned: no close, no checkpoint."""
    path = tmp_path / "outbox.sqlite"
    code = (
        "import os, signal, sys; from pathlib import Path; from lvo.delivery import Outbox, Parcel\n"
        "Outbox(Path(sys.argv[1])).put(Parcel(Path('/r'), '1.2', 'v'), ['pacs']); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60).returncode == -9
    with Outbox(path) as outbox:
        assert states(outbox) == [("pacs", "v", State.PENDING)]


def test_a_file_that_is_no_outbox_is_refused(tmp_path):
    (tmp_path / "x.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(OutputError, match="cannot be opened"):
        Outbox(tmp_path / "x.sqlite")


def test_a_failed_write_leaves_all_or_nothing(outbox):
    with pytest.raises(OutputError):
        outbox.put(parcel(), ["pacs", None])
    assert outbox.list() == ()
    assert outbox.put(parcel(), ["pacs"]) == 1, "and the outbox goes on"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"at": datetime(2026, 3, 1)}, id="a time without offset"),  # noqa: DTZ001 - what must be refused
        pytest.param({"study_instance_uid": "../etc"}, id="a UID that is a path"),
        pytest.param({"study_instance_uid": "1" * 65}, id="a UID that is too long"),
    ],
)
def test_a_notice_says_no(change):
    with pytest.raises(ValueError, match=r"needs an offset|digits and dots"):
        msgspec.structs.replace(notice(), **change)


def test_an_outbox_is_an_ordinary_sqlite_file(outbox, tmp_path):
    outbox.put(parcel(), ["pacs"])
    with sqlite3.connect(tmp_path / "outbox.sqlite") as db:
        assert db.execute("SELECT target, study, state FROM deliveries").fetchall() == [("pacs", "1.2.3", "pending")]
    db.close()
