"""A storm: small studies stream into a whole node while its processes are killed at random; then everything is counted.

Run by `tests/node/test_storm.py` in short and by `scripts/storm` at length.
"""

import hashlib
import json
import os
import random
import socket
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from lvo_tests_servers import answers, wait_until

from lvo.eventlog import EventKind, read_events
from lvo.node.settings import load_settings
from lvo.node.view import open_view

ROLES = ("listener", "worker-1", "worker-2", "deliverer", "clerk")
IMAGES = 4
YOUNG_S = 1.5
"""A process is left alone for so long, or nothing would ever be done on a slow machine."""


@dataclass
class Tally:
    """What the storm did and what became of the studies."""

    kills: dict = field(default_factory=dict)
    studies: int = 0
    images: int = 0
    resent: int = 0
    attacks: int = 0
    half_open: int = 0
    full: int = 0
    jumps: int = 0
    restarts: int = 0
    states: dict = field(default_factory=dict)
    retries: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        killed = ", ".join(f"{n} x {role}" for role, n in sorted(self.kills.items()))
        ends = ", ".join(f"{n} {state}" for state, n in sorted(self.states.items()))
        return (
            f"{sum(self.kills.values())} kills ({killed}), {self.studies} studies of {self.images} images, "
            f"{self.resent} images sent again, "
            f"{self.retries} analyses repeated, {self.attacks} hostile and {self.half_open} half-open connections, "
            f"{self.full} times the disk was full, {self.jumps} jumps of the clock, "
            f"{self.restarts} times the supervisor found no room to start, {self.seconds:.0f} s: {ends}"
        )


def storm(node, conftest, *, kills, studies, seed, pace_s):
    """Kill while images stream in, and while destination, disk and clock come and go; wait until all is quiet; tally.

    Args:
        node: a `Node` that was started; its disk is filled only if the node's folder is a disk of its own.
        conftest: the module with `image` and `store`.
        kills: how many processes to kill.
        studies: how many to send at least; sending goes on until the kills are done.
        seed: of everything random.
        pace_s: mean pause between kills.
    """
    settings = load_settings(node.config)
    tally, chance, done = Tally(), random.Random(seed), threading.Event()  # noqa: S311 - repeatable
    start = time.monotonic()
    threads = [
        threading.Thread(target=_send, args=(settings, conftest, tally, studies, done)),
        threading.Thread(target=_attack, args=(settings, tally, random.Random(seed + 1), done)),  # noqa: S311
        threading.Thread(target=_half_open, args=(settings, tally, done)),
        threading.Thread(target=_fill, args=(settings.root, tally, random.Random(seed + 3), done)),  # noqa: S311
        threading.Thread(target=_jump, args=(os.environ.get("LVO_TEST_CLOCK"), tally, random.Random(seed + 4), done)),  # noqa: S311
        threading.Thread(target=_outage, args=(Path(settings.delivery.destinations[0].path), random.Random(seed + 2), done)),  # noqa: S311
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: answers(settings.dicom.port), "the listener", within_s=120.0)
        _kill(node, tally, chance, kills, pace_s)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    _revive(node, tally)
    with open_view(settings) as view:
        wait_until(lambda: _is_quiet(view, tally), "every study at its end", within_s=300.0)
        tally.states = view.counts()
    with sqlite3.connect(settings.database_path) as db:
        tally.retries = sum(n for (n,) in db.execute("SELECT value FROM counters WHERE name = 'retries'"))
    tally.seconds = time.monotonic() - start
    return tally


def check(settings, tally):
    """Assert that nothing was lost and nothing is there twice."""
    with open_view(settings) as view:
        found = view.studies(limit=-1)
    assert len(found) == tally.studies
    share = Path(settings.delivery.destinations[0].path)
    with sqlite3.connect(settings.outbox_path) as outbox:
        delivered = outbox.execute(
            "SELECT study, version, count(*) FROM deliveries WHERE state = 'delivered' GROUP BY study, version"
        )
        assert all(n == 1 for _, _, n in delivered)
    for study in found:
        assert study.n_images == IMAGES
        assert study.n_conflicts == 0
        ends = [version.state for version in study.versions if version.state not in ("superseded", "skipped")]
        assert ends[-1] in ("delivered", "quarantined")
        if ends[-1] == "delivered":
            result = json.loads(next((share / study.study_uid).rglob("result.json")).read_text())
            assert result["n_images"] == IMAGES
    with sqlite3.connect(settings.database_path) as db:
        rows = db.execute("SELECT path, sha256 FROM images").fetchall()
    assert len(rows) == IMAGES * tally.studies
    assert all(hashlib.sha256((settings.root / path).read_bytes()).hexdigest() == sha256 for path, sha256 in rows)
    assert sorted(path.name for path in share.iterdir() if not path.name.startswith(".")) == sorted(
        study.study_uid for study in found if study.state == "delivered"
    )
    events = read_events(settings.log_path)
    assert {event.case for event in events if event.kind is EventKind.FIRST_IMAGE_IN} == {study.study_uid for study in found}
    text = "".join(path.read_text() for path in (settings.log_path, settings.root.parent / "node.log"))
    assert "CANARY" not in text


def _send(settings, conftest, tally, studies, done):
    """Send studies, each image until it was acknowledged, as a modality with a queue does."""
    number = 0
    while number < studies or not done.is_set():
        number += 1
        waiting = [conftest.image(number, n + 1) for n in range(IMAGES)]
        first = True
        while waiting:
            with suppress(OSError):
                statuses = conftest.store(settings.dicom.port, waiting)
                if not first:
                    tally.resent += len(waiting)
                waiting = [dataset for dataset, status in zip(waiting, statuses, strict=True) if status != 0]
            first = False
            if waiting:
                time.sleep(0.3)
        tally.studies, tally.images = number, number * IMAGES
        time.sleep(0.2)


def _kill(node, tally, chance, kills, pace_s):
    """Kill -9 one process after another; the supervisor too, now and then."""
    while sum(tally.kills.values()) < kills:
        time.sleep(chance.expovariate(1.0 / pace_s))
        _revive(node, tally)
        if chance.random() < 0.03:
            node.process.kill()
            node.process.wait()
            tally.kills["supervisor"] = tally.kills.get("supervisor", 0) + 1
            time.sleep(0.5)
            node.start()
            continue
        slot = chance.choice(ROLES)
        child = node.children().get(slot)
        if child is None or time.time() - child.create_time() < YOUNG_S:
            continue
        with suppress(psutil.Error):
            child.kill()
            role = slot.split("-")[0]
            tally.kills[role] = tally.kills.get(role, 0) + 1


def _attack(settings, tally, chance, done):
    """Truncated PDUs, half-open sockets, garbage, absurd lengths."""
    held = []
    while not done.wait(0.5):
        with suppress(OSError):
            sock = socket.create_connection(("127.0.0.1", settings.dicom.port), timeout=1)
            sock.sendall(chance.choice((
                b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x00\x00\x10\x00" + b"x" * 10, b"\x04\x00\xff\xff\xff\xff" + b"x" * 100,
                b"\x01\x00\xff\xff\xff\xff", bytes(chance.randrange(256) for _ in range(300)), b"\x01",
            )))  # fmt: skip
            held.append(sock)
            tally.attacks += 1
        if len(held) > 8:
            held.pop(0).close()
    for sock in held:
        sock.close()


def _revive(node, tally):
    """Start a supervisor again that ended by itself, as systemd does."""
    if node.process.poll() is not None:
        tally.restarts += 1
        time.sleep(1.0)
        node.start()


def _half_open(settings, tally, done):
    """A known sender vanishes in the middle of an image: nothing more comes, and nothing says that it is gone."""
    from pynetdicom import AE, build_context
    from pynetdicom.sop_class import CTImageStorage

    held = []
    while not done.wait(2.0):
        ae = AE("CT1")
        ae.acse_timeout = ae.connection_timeout = 3
        with suppress(OSError, RuntimeError):
            assoc = ae.associate("127.0.0.1", settings.dicom.port, ae_title="LVO", contexts=[build_context(CTImageStorage)])
            if assoc.is_established:
                assoc.dul.socket.socket.sendall(b"\x04\x00\x00\x01\x00\x00" + b"\x00" * 1000)
                tally.half_open += 1
                held.append(assoc)
        if len(held) > 6:
            held.pop(0).abort()
    for assoc in held:
        assoc.abort()


def _fill(folder, tally, chance, done):
    """The disk of the node is full to the last byte for a while; nothing is done where others use that disk too."""
    ballast = folder / "ballast"
    while os.path.ismount(folder) and not done.wait(chance.uniform(3.0, 8.0)):
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        tally.full += 1
        done.wait(chance.uniform(0.5, 2.5))
        ballast.unlink(missing_ok=True)


def _jump(path, tally, chance, done):
    """The wall clock of every process jumps by up to six hours, forwards or backwards."""
    while path and not done.wait(chance.uniform(2.0, 6.0)):
        _set(Path(path), chance.uniform(-21600.0, 21600.0))
        tally.jumps += 1


def _set(path, seconds):
    part = path.with_suffix(".part")
    part.write_text(str(seconds))
    part.replace(path)


def _outage(share, chance, done):
    """The destination is away for a while, as a network drive is."""
    away = share.with_name("away")
    while not done.wait(chance.uniform(1.0, 4.0)):
        share.rename(away)
        done.wait(chance.uniform(0.5, 3.0))
        away.rename(share)


def _is_quiet(view, tally):
    counts = view.counts()
    return sum(counts.values()) == tally.studies and set(counts) <= {"delivered", "quarantined"}
