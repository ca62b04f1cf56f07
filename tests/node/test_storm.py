"""kill -9 of any process at any moment: every study ends exactly once, delivered or quarantined."""

import gc
import importlib.util
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from lvo_tests_servers import free_port

from lvo.node.settings import load_settings


def _module(name):
    spec = importlib.util.spec_from_file_location(f"node_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""pynetdicom, as a sender, leaves sockets to be collected that were refused."""

CONFTEST, STORM = _module("conftest"), _module("storm")

SITE = """
site = "TEST"
folder = "node"
[dicom]
port = {port}
pdu_timeout_s = 2.0
idle_timeout_s = 10.0
[[dicom.peers]]
ae_title = "CT1"
[http]
port = {http}
[store]
refuse_above_percent = 100.0
refuse_below_mb = 0
[assembly]
quiet_s = 0.5
early = false
[work]
workers = 2
memory_mb = 0
lease_s = 5.0
backoff_s = 0.2
backoff_max_s = 1.0
max_attempts = 20
[[delivery.destinations]]
kind = "folder"
name = "share"
path = "share"
[delivery.retry]
first_s = 0.2
longest_s = 1.0
lease_s = 3.0
"""


@contextmanager
def small_disk(folder):
    """A disk of 32 MB, where this account may mount one; an ordinary folder otherwise."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)


def make_node(folder):
    """A node with a folder as its destination."""
    (folder / "share").mkdir()
    config = folder / "site.toml"
    config.write_text(SITE.format(port=free_port(), http=free_port()))
    return CONFTEST.Node(config, folder / "node.log")


@pytest.mark.parametrize(
    ("kills", "pace_s", "seed"),
    [pytest.param(12, 0.8, 3, id="short"), pytest.param(200, 0.8, 1, id="long", marks=pytest.mark.long)],
)
def test_every_study_ends_exactly_once(tmp_path, monkeypatch, kills, pace_s, seed):
    """Random kill -9 of every process, hostile and half-open connections; destination, disk and clock come and go."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("LVO_TEST_CLOCK", str(clock))
    with small_disk(tmp_path / "node") as mounted:
        node = make_node(tmp_path)
        node.start()
        try:
            tally = STORM.storm(node, CONFTEST, kills=kills, studies=kills // 3, seed=seed, pace_s=pace_s)
            assert node.stop() == 0
        finally:
            if node.process.poll() is None:
                node.process.kill()
                node.process.wait()
        gc.collect()  # while the warning is off
        sys.stdout.write(f"{tally}\n")
        assert sum(tally.kills.values()) >= kills
        assert min(tally.attacks, tally.half_open, tally.jumps) > 0
        assert (tally.full > 0) == mounted
        STORM.check(load_settings(node.config), tally)
