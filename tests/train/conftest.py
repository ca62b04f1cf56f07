"""A problem so small that a network learns something of it in seconds."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the train extra")

from lvo.train.config import DataSettings, FitSettings, NetworkSettings, TrainConfig
from lvo.train.data import TrainingCrops
from lvo.train.shards import render_crop

_SPEC = importlib.util.spec_from_file_location("lvo_tests_call_scene", Path(__file__).with_name("call_scene.py"))
if _SPEC.name not in sys.modules:  # tests are no package; importlib mode gives them no shared modules
    sys.modules[_SPEC.name] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules[_SPEC.name])


@pytest.fixture(scope="session")
def tiny() -> TrainConfig:
    """Tubes in a small box, a network of a few thousand weights, no clock."""
    return TrainConfig(
        name="tiny",
        seed=3,
        data=DataSettings(
            kind="tubes",
            low_atlas_mm=(-12.0, -14.0, -10.0),
            high_atlas_mm=(12.0, 14.0, 10.0),
            training_seeds=(10_000, 10_003),
            validation_seeds=(5000, 5001),
            tube_seeds=(20_000, 20_002),
            tube_edge=24,
        ),
        network=NetworkSettings(channels=(4, 8, 8), window_kji=(24, 32, 32)),
        fit=FitSettings(
            epochs=2, steps_per_epoch=12, batch=2, patch=16, learning_rate=0.02, precision="float32", threads=1, workers=0
        ),
    )


@pytest.fixture(scope="session")
def tiny_crops(tiny):
    """What it learns from, and what it is checked on."""
    data = tiny.data
    training = TrainingCrops(
        [render_crop(seed, data, "tubes") for seed in range(*data.training_seeds)],
        [render_crop(seed, data, "cubes") for seed in range(*data.tube_seeds)],
    )
    return training, [render_crop(seed, data, "tubes") for seed in range(*data.validation_seeds)]
