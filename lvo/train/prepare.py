"""Everything a run learns from and is judged on: synthetic crops, tubes, real scans, and weights to start from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace
from torch.utils.data import default_collate

from lvo.errors import InputError
from lvo.train.config import ManifestSettings, TrainConfig
from lvo.train.data import PatchDataset, TrainingCrops
from lvo.train.fit import Checkpoint
from lvo.train.manifest_data import Source, crops_of, read_sources
from lvo.train.shards import Crop, Kind, ensure_crops, load_crop
from lvo.train.weights import load_start

__all__ = ["Prepared", "first_weights", "prepare"]

_PROBES, _PER_BATCH = 8, 2
"""Patches that set the batch norms of a model that is trained on: a million voxels."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a run needs.

    Args:
        config: with what the manifests are, so that the checkpoint tells it.
        training, validation: crops.
    """

    config: TrainConfig
    training: TrainingCrops
    validation: tuple[Crop, ...]


def prepare(
    config: TrainConfig, cache: Path, *, workers: int = 1, progress: Callable[[str], None] = lambda _: None
) -> Prepared:
    """Render and register what is not cached yet, and load it.

    Args:
        config: of the run.
        cache: folder of crops.
        workers: processes that render synthetic crops.
        progress: told a line after each crop that was not there yet, and for each scan that cannot be used.

    Raises:
        InputError: a manifest cannot be read, a patient is in two splits, a file changed, or no scan can be used.
    """
    data = config.data
    real: tuple[Crop, ...] = ()
    judged: tuple[Crop, ...] = ()
    share = 0.0
    if isinstance(config.manifests, ManifestSettings):
        share = config.manifests.share
        sources = read_sources(config.manifests.paths)
        config = replace(config, manifests=replace(config.manifests, about=tuple(map(_about, sources))))
        made = [crops_of(sources, split, data, cache, progress=progress) for split in ("training", "validation")]
        for subject, why in (*made[0].skipped, *made[1].skipped):
            progress(f"not used: {subject} {why}")
        real, judged = made[0].crops, made[1].crops
        if not real:
            msg = "no scan of the manifests can be trained on; `lvo data check` says what is wrong with them"
            raise InputError(msg)
    wanted: tuple[tuple[tuple[int, int], Kind], ...] = ()
    if share < 1.0:
        wanted = ((data.training_seeds, data.kind), (data.tube_seeds, "cubes"))
    box, cubes = (_rendered(config, cache, seeds, kind, workers, progress) for seeds, kind in wanted) if wanted else ((), ())
    if not judged and share < 1.0:
        judged = _rendered(config, cache, data.validation_seeds, data.kind, workers, progress)
    if not judged:
        progress("no validation: the manifests have no usable scan for it, so the last epoch counts as the best")
    return Prepared(config, TrainingCrops(box, cubes, real), judged)


def _rendered(
    config: TrainConfig, cache: Path, seeds: tuple[int, int], kind: Kind, workers: int, progress: Callable[[str], None]
) -> tuple[Crop, ...]:
    paths = ensure_crops(cache, range(*seeds), config.data, kind, workers=workers, progress=progress)
    return tuple(load_crop(path) for path in paths)


def _about(source: Source) -> str:
    """A manifest in words: name, hash, how many scans, licence."""
    manifest = source.manifest
    n_training, n_validation = len(manifest.of("training")), len(manifest.of("validation"))
    scans = f"{n_training} scans for training and {n_validation} for validation"
    return f"{manifest.title}, {scans}, manifest {source.sha256[:12]}, licence: {manifest.licence}"


def first_weights(weights: Path, prepared: Prepared) -> Checkpoint:
    """What the run starts from.

    Args:
        weights: a checkpoint, a model's folder, or the name of an installed model.
        prepared: the run's data, which set the batch norms of a model.

    Raises:
        InputError: the file is no checkpoint.
        ModelError: there is no such model, it was altered, or it is none of our networks.
    """
    patches = PatchDataset(prepared.training, prepared.config, _PROBES)
    images = [patches[n][0] for n in range(_PROBES)]
    batches: list[torch.Tensor] = [default_collate(images[n : n + _PER_BATCH]) for n in range(0, _PROBES, _PER_BATCH)]
    return load_start(weights, batches)
