"""Two processes of torchrun train on a manifest: they validate as one process does, and go on after a break."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from msgspec import UNSET
from msgspec.structs import replace

from lvo.train.config import ManifestSettings, TrainConfig
from lvo.train.data import TrainingCrops
from lvo.train.datasets.manifest import SCHEMA, DataManifest, Entry, FileRef, read_data_manifest, write_data_manifest
from lvo.train.fit import fit, load_checkpoint
from lvo.train.manifest_data import _cached_at
from lvo.train.prepare import prepare
from lvo.train.shards import save_crop

START = "from lvo.cli import main; main()"
DIES = """
import os, signal
from lvo.train.run import Keeper

keep = Keeper.keep

def keep_and_die(self, state):
    keep(self, state)
    os.kill(os.getpid(), signal.SIGKILL)

Keeper.keep = keep_and_die
"""
"""A power cut, when the first checkpoint is just written."""


@pytest.fixture
def problem(tiny, tiny_crops, tmp_path) -> tuple[Path, TrainConfig]:
    """A manifest of scans whose crops are cached already, as `lvo train --render-only` leaves them; and its configuration."""
    crops = [*tiny_crops[0].box, *tiny_crops[1]]
    entries = tuple(
        Entry(
            subject=f"s{n}", patient=f"p{n}", kind="cta", image=FileRef(path=f"{n}.nii.gz", sha256=f"{n:064d}"),
            arteries=FileRef(path=f"{n}a.nii.gz", sha256=f"{n + 100:064d}"),
            split="training" if n < len(crops) - 1 else "validation",
        )
        for n in range(len(crops))
    )  # fmt: skip
    manifest = DataManifest(
        schema=SCHEMA, data_set="folder", title="four scans", licence="", source="", root=".", label_names={1: "artery"},
        partial=True, seed=0, entries=entries,
    )  # fmt: skip
    write_data_manifest(manifest, tmp_path / "m.json")
    manifest, _ = read_data_manifest(tmp_path / "m.json")
    for entry, crop in zip(manifest.entries, crops, strict=True):
        save_crop(_cached_at(tmp_path / "crops", manifest, entry, tiny.data), crop)
    path = tmp_path / "team.toml"
    path.write_text(
        f"""name = "tiny"
seed = 3
[manifests]
paths = ["{tmp_path / "m.json"}"]
[data]
kind = "tubes"
low_atlas_mm = {list(tiny.data.low_atlas_mm)}
high_atlas_mm = {list(tiny.data.high_atlas_mm)}
training_seeds = {list(tiny.data.training_seeds)}
validation_seeds = {list(tiny.data.validation_seeds)}
tube_seeds = {list(tiny.data.tube_seeds)}
tube_edge = {tiny.data.tube_edge}
[network]
channels = {list(tiny.network.channels)}
window_kji = {list(tiny.network.window_kji)}
[fit]
epochs = 3
steps_per_epoch = 12
batch = 4
patch = 16
learning_rate = 0.003
precision = "float32"
threads = 1
workers = 0
"""
    )
    fitting = replace(tiny.fit, epochs=3, batch=4, learning_rate=0.003)
    return path, replace(tiny, fit=fitting, manifests=ManifestSettings(paths=(str(tmp_path / "m.json"),)))


def team(config: Path, out: Path, *more: str, script: str = START) -> tuple[int, str]:
    """Run two processes; the exit status, and what they told."""
    path = out.with_suffix(".py")
    path.write_text(script)
    arguments = ["train", "--config", config, "--out", out, "--cache", config.parent / "crops", *more]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", path, *arguments],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=config.parent,
        timeout=600, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def epochs_of(text: str) -> list[dict[str, float]]:
    """Figures of every epoch in the log."""
    lines = [line.split("min: ")[1] for line in text.splitlines() if line.startswith("epoch ")]
    return [{name: float(value) for name, value in re.findall(r"(\w+) (\d\.\d+)(?:,|$)", line)} for line in lines]


@pytest.mark.slow
def test_two_processes_train_as_one_does_and_go_on_after_a_break(problem, tmp_path):
    """Fine-tuning: batches are shared, gradients averaged; batch norms see half a batch each, which the tolerance is for."""
    path, config = problem
    prepared = prepare(config, tmp_path / "crops")
    before = replace(config, manifests=UNSET, fit=replace(config.fit, epochs=5, steps_per_epoch=24, learning_rate=0.02))
    start = fit(before, TrainingCrops(prepared.training.real), prepared.validation, tmp_path / "before")
    lines: list[str] = []
    fit(prepared.config, prepared.training, prepared.validation, tmp_path / "alone", start=start, progress=lines.append)
    alone = epochs_of("\n".join(lines))
    weights = ("--weights", str(tmp_path / "before" / "best.pt"))
    status, told = team(path, tmp_path / "two", *weights)
    assert status == 0, told
    together = epochs_of(told)
    assert len(together) == len(alone) == 3  # one line per epoch: only one process speaks
    for one, two in zip(alone, together, strict=True):
        assert one.keys() == two.keys()
        assert two == pytest.approx(one, abs=0.1)
    last = load_checkpoint(tmp_path / "two" / "last.pt")
    assert (last.epoch, last.step, last.config) == (3, 36, prepared.config)

    assert team(path, tmp_path / "broken", *weights, script=DIES + START)[0] != 0
    assert load_checkpoint(tmp_path / "broken" / "last.pt").epoch == 1
    status, told = team(path, tmp_path / "broken", "--resume", *weights)
    assert status == 0, told
    assert len(epochs_of(told)) == 2
    resumed = load_checkpoint(tmp_path / "broken" / "last.pt")
    assert all(torch.equal(value, resumed.network[name]) for name, value in last.network.items())
