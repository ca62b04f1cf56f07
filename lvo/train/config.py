"""Training configuration: frozen, from TOML, hashed; every value of the run that is not code."""

import hashlib
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from lvo.config import Precision, read_settings
from lvo.core.anatomy import ARTERY_BOX_ATLAS_MM
from lvo.errors import ConfigError

__all__ = [
    "Count",
    "DataSettings",
    "FitSettings",
    "Fraction",
    "ManifestSettings",
    "NetworkSettings",
    "NotNegative",
    "Positive",
    "Section",
    "TrainConfig",
    "decode_config",
    "encode_config",
    "load_train_config",
]

Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]

MIN_WINDOW = 16
"""Neighbouring windows overlap by as much."""

FIRST_FREE_SEED = 1000
"""Heads with smaller seeds belong to the tests and the demo: nothing may learn from them."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""

    @property
    def sha256(self) -> str:
        """Hash of the resolved values, the same for the same ones however they were written."""
        return hashlib.sha256(encode_config(self)).hexdigest()


class DataSettings(Section, frozen=True):
    """What the network learns from.

    Args:
        kind: what the crops of the seeds below show: "cases" for CT angiograms of synthetic heads with the whole range of
            diseases, hard negatives and scanners, "tubes" for none but random curved tubes without anatomy.
        topologies: generators of the arteries that "cases" draw from, "spline" or "grown"; leave one out to judge on it.
        spacing_mm: distance between voxels of the crops, the same along each axis.
        low_atlas_mm, high_atlas_mm: corners of the atlas box that is cropped (LPS: x left, y back, z head).
        training_seeds, validation_seeds: first seed and one past the last; they must not overlap.
        tube_seeds, tube_edge: further crops of tubes, cubes of that many voxels; equal seeds for none.
        tube_share: share of patches cut from them, so that the network learns vessels and not one head.
        rotation_deg, shift_mm, scale: largest error of the registration that the network must bear, drawn per head.
    """

    kind: Literal["cases", "tubes"] = "cases"
    topologies: tuple[Literal["spline", "grown"], ...] = ("spline",)
    spacing_mm: Positive = 0.8
    low_atlas_mm: tuple[float, float, float] = ARTERY_BOX_ATLAS_MM[0]
    high_atlas_mm: tuple[float, float, float] = ARTERY_BOX_ATLAS_MM[1]
    training_seeds: tuple[int, int] = (10_000, 10_240)
    validation_seeds: tuple[int, int] = (5000, 5006)
    tube_seeds: tuple[int, int] = (20_000, 20_100)
    tube_edge: Annotated[int, msgspec.Meta(ge=16, le=256)] = 96
    tube_share: Fraction = 0.2
    rotation_deg: NotNegative = 8.0
    shift_mm: NotNegative = 6.0
    scale: Fraction = 0.05

    def __post_init__(self) -> None:
        """Refuse seeds that leak and boxes that are empty."""
        for name, seeds in (("training_seeds", self.training_seeds), ("validation_seeds", self.validation_seeds)):
            if not FIRST_FREE_SEED <= seeds[0] < seeds[1]:
                msg = f"{name} must rise from {FIRST_FREE_SEED} or more (smaller seeds are for tests), got {list(seeds)}"
                raise ValueError(msg)
        if max(self.training_seeds[0], self.validation_seeds[0]) < min(self.training_seeds[1], self.validation_seeds[1]):
            msg = "training_seeds and validation_seeds overlap: the validation would be learnt by heart"
            raise ValueError(msg)
        if (self.tube_share > 0.0) != (self.tube_seeds[0] < self.tube_seeds[1]):
            msg = f"tube_share {self.tube_share} and tube_seeds {list(self.tube_seeds)} do not fit: both or none"
            raise ValueError(msg)
        if any(low >= high for low, high in zip(self.low_atlas_mm, self.high_atlas_mm, strict=True)):
            msg = "low_atlas_mm must be below high_atlas_mm along every axis"
            raise ValueError(msg)

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Size of a crop of the atlas box at an unscaled pose."""
        x, y, z = (
            ceil((high - low) / self.spacing_mm) + 1 for low, high in zip(self.low_atlas_mm, self.high_atlas_mm, strict=True)
        )
        return z, y, x

    @property
    def sha256(self) -> str:
        """Hash of the values that shape a crop: crops are cached under it."""
        box = (self.spacing_mm, self.low_atlas_mm, self.high_atlas_mm, self.tube_edge, self.topologies)
        return hashlib.sha256(msgspec.json.encode((box, self.rotation_deg, self.shift_mm, self.scale))).hexdigest()


class ManifestSettings(Section, frozen=True):
    """Real scans that a run learns from, beside the synthetic ones or instead of them.

    Args:
        paths: manifests of `lvo data index`; their entries for training are learnt from, those for validation choose the
            checkpoint. Relative to the folder that the command runs in.
        share: part of the patches cut from them; 1 leaves the synthetic heads out.
        about: what they were, with hash and licence; `lvo train` fills it in, so that checkpoint and model tell it.
    """

    paths: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    about: tuple[str, ...] = ()


class NetworkSettings(Section, frozen=True):
    """Size of the U-Net.

    Args:
        channels: features per level; the first has half the resolution of the image, every further one half of the last.
        residual: bridge the convolutions of a level by a shortcut.
        window_hu: HU that become 0 and 1.
        window_kji: largest window of the exported model in voxels, each a multiple of the deepest step.
    """

    channels: Annotated[tuple[Count, ...], msgspec.Meta(min_length=3)] = (32, 64, 96)
    residual: bool = False
    window_hu: tuple[float, float] = (-100.0, 700.0)
    window_kji: tuple[Count, Count, Count] = (128, 112, 112)

    @property
    def multiple(self) -> int:
        """Sizes of windows and patches are multiples of it."""
        return int(2 ** len(self.channels))

    def __post_init__(self) -> None:
        """Refuse windows that the levels cannot halve, and an empty range of HU."""
        if any(n % self.multiple or n <= MIN_WINDOW for n in self.window_kji):
            levels = f"multiples of {self.multiple} for the {len(self.channels)} levels of channels"
            msg = f"window_kji must be {levels} and more than {MIN_WINDOW}, got {self.window_kji}"
            raise ValueError(msg)
        if not self.window_hu[0] < self.window_hu[1]:
            msg = f"window_hu must rise, got {self.window_hu}"
            raise ValueError(msg)


class FitSettings(Section, frozen=True):
    """How the weights are found.

    Args:
        epochs, steps_per_epoch: the run's length; validation and a checkpoint after each epoch.
        batch: patches per step.
        patch: edge of a training patch in voxels.
        learning_rate: its peak; it rises over the first 3 % and falls to 0 along a half cosine.
        weight_decay: of AdamW.
        max_minutes: wall time after which training ends (the learning rate follows whichever runs out first); 0 for no limit.
            With a limit the result depends on the machine.
        precision: "bfloat16" halves the time on processors that have it; "float32" is exact. Weights are float32 in both.
        threads: processor threads of the network.
        workers: processes that prepare patches beside it.
        patience: training ends when the validation has not been better for so many epochs; never, when left out.
        mlflow: experiment of MLflow that is told what TensorBoard is told (needs lvo[mlflow]); none, when left out.
    """

    epochs: Count = 24
    steps_per_epoch: Count = 250
    batch: Count = 4
    patch: Annotated[int, msgspec.Meta(ge=16, multiple_of=8)] = 64
    learning_rate: Positive = 3e-3
    weight_decay: NotNegative = 1e-4
    max_minutes: NotNegative = 0.0
    precision: Precision = "bfloat16"
    threads: Count = 2
    workers: Annotated[int, msgspec.Meta(ge=0)] = 1
    patience: Count | msgspec.UnsetType = msgspec.UNSET
    mlflow: str | msgspec.UnsetType = msgspec.UNSET


class TrainConfig(Section, frozen=True):
    """One training run.

    Args:
        name: of the model.
        seed: of weights and patches.
        manifests: real scans; none, when left out. (Keys that are left out do not enter the hash, so that runs of before there
            were such keys keep theirs.)
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")] = "arteries"
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    fit: FitSettings = FitSettings()
    manifests: ManifestSettings | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Refuse patches that the levels cannot halve, and cubes whose half is less than one window."""
        multiple = self.network.multiple
        if self.fit.patch % multiple:
            msg = f"patch must be a multiple of {multiple} for the {len(self.network.channels)} levels, got {self.fit.patch}"
            raise ValueError(msg)
        if self.data.tube_edge < 2 * multiple:
            levels = len(self.network.channels)
            msg = f"tube_edge must be at least {2 * multiple} for the {levels} levels, got {self.data.tube_edge}"
            raise ValueError(msg)


def encode_config(config: Section) -> bytes:
    """The resolved configuration as canonical JSON."""
    return msgspec.json.encode(config, order="sorted")


def decode_config(data: bytes) -> TrainConfig:
    """Undo `encode_config`.

    Raises:
        ConfigError: it was written by another version of this configuration.
    """
    try:
        return msgspec.json.decode(data, type=TrainConfig)
    except (msgspec.DecodeError, ValueError) as error:
        msg = f"the checkpoint's configuration is not one of this version: {error}; train again"
        raise ConfigError(msg) from error


def load_train_config(path: Path) -> TrainConfig:
    """Read a training configuration.

    Raises:
        ConfigError: as `lvo.config.read_settings`.
    """
    return read_settings(path, TrainConfig, "see configs/train/arteries.toml for every key")
