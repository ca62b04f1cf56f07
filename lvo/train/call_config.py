"""What the call is fitted on, and how: frozen, from TOML, hashed; written beside the call, so that the fit can be repeated."""

import json
from pathlib import Path
from typing import Annotated

import msgspec

from lvo.config import Precision, read_settings
from lvo.errors import ConfigError, ModelError
from lvo.synth.cases import SEEDS
from lvo.train.config import Positive, Section
from lvo.train.datasets.manifest import Split

__all__ = [
    "RECORD_FILE",
    "CallConfig",
    "CallFit",
    "ManifestCases",
    "SyntheticCases",
    "call_toml",
    "load_call_config",
    "read_record",
]

RECORD_FILE = "call.toml"
"""Lies beside call.json; `lvo calibrate --config` takes it."""

FIRST_SEED = 5100
"""Of the validation split: neither training, the checkpoint's choice, nor the evaluation sees these heads."""


class SyntheticCases(Section, frozen=True):
    """Synthetic scans to fit on.

    Args:
        first_seed: of the first head; of the validation split, where neither the network nor the evaluation looks.
        heads: how many as they come.
        least_each: occlusions that every detector shall see; rare sites are drawn beyond their share for it.
    """

    first_seed: int = FIRST_SEED
    heads: Annotated[int, msgspec.Meta(ge=1, le=900)] = 240
    least_each: Annotated[int, msgspec.Meta(ge=0, le=100)] = 12

    def __post_init__(self) -> None:
        """Refuse heads that the network learnt from or that it is judged on."""
        if self.first_seed not in SEEDS["validation"]:
            allowed = SEEDS["validation"]
            needed = f"first_seed must be one of {allowed.start} to {allowed.stop - 1}"
            msg = f"{needed} (heads that nothing else uses), got {self.first_seed}"
            raise ValueError(msg)


class ManifestCases(Section, frozen=True):
    """Scans with known outcome to fit on.

    Args:
        paths: manifests of `lvo data index`, relative to the folder that the command runs in.
        splits: which of their entries; not those that the network learnt from, whose maps are better than others will be.
    """

    paths: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    splits: Annotated[tuple[Split, ...], msgspec.Meta(min_length=1)] = ("validation",)


class CallFit(Section, frozen=True):
    """How the weights are found.

    Args:
        inverse_penalty: strength of the ridge (C of scikit-learn): weights stay moderate, so that a scan unlike all others gets
            a moderate probability.
        folds: of the cross-validation that gives the quality and the calibration.
    """

    inverse_penalty: Positive = 0.1
    folds: Annotated[int, msgspec.Meta(ge=2, le=20)] = 5


class CallConfig(Section, frozen=True):
    """One fit of the call.

    Args:
        network: installed model whose maps are measured.
        precision: of its arithmetic, as `[runtime] precision`. The call belongs to maps that were made this way.
        synthetic: synthetic scans; none, when left out beside manifests.
        manifests: scans with known outcome; none, when left out.
        fit: how.
    """

    network: str = "arteries"
    precision: Precision = "float32"
    synthetic: SyntheticCases | msgspec.UnsetType = msgspec.UNSET
    manifests: ManifestCases | msgspec.UnsetType = msgspec.UNSET
    fit: CallFit = CallFit()

    def __post_init__(self) -> None:
        """Refuse a fit on nothing."""
        if self.synthetic is msgspec.UNSET and self.manifests is msgspec.UNSET:
            msg = "the call needs cases: a section [synthetic], [manifests], or both"
            raise ValueError(msg)

    @property
    def cases_sha256(self) -> str:
        """Hash of what says which cases are measured: all but how the weights are found."""
        return msgspec.structs.replace(self, fit=CallFit()).sha256


def load_call_config(path: Path) -> CallConfig:
    """Read the configuration of a fit.

    Raises:
        ConfigError: as `lvo.config.read_settings`.
    """
    return read_settings(path, CallConfig, "see configs/train/call/arteries.toml for every key")


def read_record(folder: Path) -> CallConfig | None:
    """How the call of a model was fitted; None where nobody wrote it down.

    Raises:
        ModelError: what is written is no such record.
    """
    if not (folder / RECORD_FILE).exists():
        return None
    try:
        return load_call_config(folder / RECORD_FILE)
    except ConfigError as error:
        msg = f"model {folder.name}: {error}"
        raise ModelError(msg) from error


def call_toml(config: CallConfig) -> str:
    """The text that `load_call_config` reads."""
    values: dict[str, object] = msgspec.to_builtins(config)
    lines = [
        "# How call.json was fitted; `lvo calibrate --config` with this file fits it again.",
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items() if not isinstance(value, dict)),
    ]
    for name, section in values.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"  # JSON's strings, numbers and lists are TOML's too
