"""One output folder through two mounts that share no memory, as two machines see it."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from batch_drivers import start_driver
from batch_fakes import logged

from lvo.batch.records import State
from lvo.batch.table import choose_keeper, open_table

pytestmark = pytest.mark.long

SFTP = Path("/usr/lib/openssh/sftp-server")
"""Debian's package openssh-sftp-server; sshfs talks to it through a pipe, so no network is needed."""


def bindfs(real, place, _tmp_path):
    return ["bindfs", real, place]


def sshfs(real, place, tmp_path):
    """Without hard links, as some servers are."""
    script = tmp_path / "sftp.sh"
    script.write_text(f"#!/bin/sh\nexec {SFTP}\n")
    script.chmod(0o700)
    return ["sshfs", "-o", f"ssh_command={script},disable_hardlink", f"localhost:{real}", place]


@pytest.fixture(params=[bindfs, sshfs])
def mounts(request, tmp_path):
    """Two mounts of one folder."""
    name = request.param.__name__
    if shutil.which(name) is None or (name == "sshfs" and not SFTP.exists()):
        pytest.skip(f"{name} is not installed")
    (tmp_path / "real").mkdir()
    made = []
    try:
        for letter in "ab":
            place = tmp_path / letter
            place.mkdir()
            if subprocess.run(request.param(tmp_path / "real", place, tmp_path), check=False, capture_output=True).returncode:
                pytest.skip("file systems cannot be mounted here")
            made.append(place)
        yield made
    finally:
        for place in made:
            subprocess.run(["umount", "-l", place], check=True)


def test_two_runners_on_two_mounts_share_the_work_and_never_an_item(mounts, tmp_path):
    assert [choose_keeper(place / "out", "auto") for place in mounts] == ["files", "files"]
    drivers = [start_driver(place / "out", "auto", 40) for place in mounts]
    assert [driver.wait(timeout=300) for driver in drivers] == [0, 0]
    counted = Counter(logged(tmp_path / "real" / "out"))
    assert sum(line.startswith("ended") for line in counted) == 40
    assert max(counted.values()) == 1
    with open_table(tmp_path / "real" / "out") as table:
        assert table.count() == {State.QUEUED: 0, State.LEASED: 0, State.DONE: 40, State.FAILED: 0}
