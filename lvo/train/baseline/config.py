"""Configuration of a baseline: frozen, from TOML, hashed."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from lvo.config import Precision, read_settings
from lvo.synth.cases import SEEDS
from lvo.train.config import Count, DataSettings, ManifestSettings, NotNegative, Positive, Section

__all__ = ["BaselineConfig", "BaselineFit", "BaselineNetwork", "is_baseline", "load_baseline_config"]


class BaselineNetwork(Section, frozen=True):
    """A MONAI DenseNet.

    Args:
        kind: "whole" sees the head at once; "sides" sees both hemispheres through one encoder, and judges each by itself and
            by how it differs from the other.
        init_features, growth_rate, block_config: of the DenseNet; its first step halves the image twice, every block once.
        encoded: features that an encoder of "sides" gives.
        dropout: share of features that are left out in training.
        window_hu: HU that become 0 and 1.
    """

    kind: Literal["whole", "sides"] = "whole"
    init_features: Count = 32
    growth_rate: Count = 16
    block_config: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=4)] = (4, 8, 8)
    encoded: Count = 64
    dropout: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.1
    window_hu: tuple[float, float] = (-100.0, 700.0)

    def __post_init__(self) -> None:
        """Refuse an empty range of HU."""
        if not self.window_hu[0] < self.window_hu[1]:
            msg = f"window_hu must rise, got {self.window_hu}"
            raise ValueError(msg)


class BaselineFit(Section, frozen=True):
    """How the weights are found; an epoch shows every scan once.

    Args:
        epochs: the run's length; validation and a checkpoint after each.
        batch: scans per step, over all processes.
        learning_rate: its peak; it rises over the first 3 % and falls to 0 along a half cosine.
        weight_decay: of AdamW.
        precision: of the network while it trains; weights are float32 in both.
        threads: processor threads.
        workers: processes that prepare scans beside it.
        patience: training ends when the validation has not been better for so many epochs; never, when left out.
        mlflow: experiment of MLflow that is told what TensorBoard is told; none, when left out.
    """

    epochs: Count = 40
    batch: Count = 4
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 1e-4
    precision: Precision = "bfloat16"
    threads: Count = 2
    workers: Annotated[int, msgspec.Meta(ge=0)] = 1
    patience: Count | msgspec.UnsetType = msgspec.UNSET
    mlflow: str | msgspec.UnsetType = msgspec.UNSET


class BaselineConfig(Section, frozen=True):
    """One run of a baseline.

    Args:
        task: tells these configurations from those of the artery network.
        name: of the baseline.
        seed: of weights, order and augmentation.
        data: synthetic scans, as for the artery network; tubes have no outcome and are not used.
        judged_seeds: first and one past the last of the synthetic scans that the best checkpoint is judged on at the end, of
            the evaluation set; equal ones for none.
        manifests: scans with known outcome; a share of 1 leaves the synthetic ones out, any other takes all of both.
        network: sizes.
        fit: how.
    """

    task: Literal["baseline"]
    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")] = "baseline"
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    data: DataSettings = DataSettings(spacing_mm=2.0, tube_share=0.0, tube_seeds=(20_000, 20_000))
    judged_seeds: tuple[int, int] = (0, 0)
    manifests: ManifestSettings | msgspec.UnsetType = msgspec.UNSET
    network: BaselineNetwork = BaselineNetwork()
    fit: BaselineFit = BaselineFit()

    def __post_init__(self) -> None:
        """Refuse scans without an outcome, and judging on what chose the checkpoint."""
        if self.data.kind != "cases" or self.data.tube_share > 0.0:
            msg = 'a baseline learns from heads: kind = "cases" and tube_share = 0.0'
            raise ValueError(msg)
        first, end = self.judged_seeds
        if first < end and not (first in SEEDS["evaluation"] and end - 1 in SEEDS["evaluation"]):
            allowed = SEEDS["evaluation"]
            msg = f"judged_seeds must lie in {allowed.start} to {allowed.stop - 1}, the evaluation set; got {[first, end]}"
            raise ValueError(msg)


class _Task(msgspec.Struct):
    task: str = ""


def is_baseline(path: Path) -> bool:
    """Whether a configuration says `task = "baseline"`; what cannot be read is none, and says so when it is read as another."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=_Task).task == "baseline"
    except (OSError, msgspec.DecodeError, ValueError):
        return False


def load_baseline_config(path: Path) -> BaselineConfig:
    """Read the configuration of a baseline.

    Raises:
        ConfigError: as `lvo.config.read_settings`.
    """
    return read_settings(path, BaselineConfig, "see configs/train/baselines/whole.toml for every key")
