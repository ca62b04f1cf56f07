"""The samples in the repository are those that were recorded, and can be read."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
SUMS = dict(reversed(line.split("  ")) for line in (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines())


def test_every_sample_has_its_sum():
    assert {path.name for path in FOLDER.glob("*.zip")} == set(SUMS) != set()


@pytest.mark.parametrize("name", sorted(SUMS))
def test_sample_is_what_was_recorded(name):
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == SUMS[name]


@pytest.mark.parametrize("name", sorted(SUMS))
def test_sample_carries_its_truth(name):
    with zipfile.ZipFile(FOLDER / name) as archive:
        truth = json.loads(archive.read(f"{Path(name).stem}/truth.json"))
        assert len(archive.namelist()) > 100
    assert name.startswith(truth["occlusion"])
