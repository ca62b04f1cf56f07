"""What a model file promises: who made it, what it eats, what it gives, and the hash that says it is still the same file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from lvo.durable import sha256_of
from lvo.errors import ModelError

__all__ = [
    "INPUT_FRAME", "MANIFEST_FILE", "MODEL_FILE", "SCHEMA", "InputContract", "Manifest", "OutputContract", "TrainingRecord",
    "manifest_toml", "read_manifest", "verify",
]  # fmt: skip

SCHEMA = "lvo-model/2"
INPUT_FRAME = "atlas-aligned kji"
"""The only frame this version feeds: axes (k, j, i) run to the head, the back and the patient's left of the atlas."""

MANIFEST_FILE = "manifest.toml"
MODEL_FILE = "model.onnx"

Size = Annotated[int, msgspec.Meta(ge=8, le=512)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class InputContract(_Section, frozen=True):
    """What the network must be fed.

    Args:
        frame: how the axes lie in the head.
        spacing_mm: distance between voxels, the same along each axis.
        channels: what it sees in every voxel, of `lvo.infer.window.IMAGE_CHANNELS`.
        window_hu: HU that become 0 and 1; what lies outside is clipped.
        window_kji: largest window in voxels; smaller ones do too.
        multiple: window sizes are multiples of it.
        opset: version of the ONNX operators it is made of.
    """

    frame: str
    channels: tuple[str, ...]
    spacing_mm: Annotated[float, msgspec.Meta(gt=0.0, le=5.0)]
    window_hu: tuple[float, float]
    window_kji: tuple[Size, Size, Size]
    multiple: Annotated[int, msgspec.Meta(ge=1, le=64)]
    opset: Annotated[int, msgspec.Meta(ge=1)]

    def __post_init__(self) -> None:
        """Refuse an empty range of HU and windows that the network cannot halve."""
        if any(n % self.multiple for n in self.window_kji):
            msg = f"window_kji must be multiples of {self.multiple}, got {self.window_kji}"
            raise ValueError(msg)
        if not self.window_hu[0] < self.window_hu[1]:
            msg = f"window_hu must rise, got {self.window_hu}"
            raise ValueError(msg)


class OutputContract(_Section, frozen=True):
    """What the network gives: one probability per channel, summing to 1 in every voxel; the first channel is the background."""

    channels: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse channels that cannot be told apart."""
        if len(self.channels) < 2 or len(set(self.channels)) != len(self.channels) or self.channels[0] != "background":
            msg = f"channels must be different names and start with background, got {self.channels}"
            raise ValueError(msg)


class TrainingRecord(_Section, frozen=True):
    """Where the weights come from.

    Args:
        config_sha256: hash of the resolved training configuration.
        data: what it was trained on, in words.
        training_seeds: first and last seed of the synthetic heads it learnt from.
        validation_seeds: first and last seed of those that chose the checkpoint.
        steps: optimiser steps taken.
        parameters: number of weights.
    """

    config_sha256: Sha256
    data: str
    training_seeds: tuple[int, int]
    validation_seeds: tuple[int, int]
    steps: int
    parameters: int


class Manifest(_Section, frozen=True):
    """The contents of `manifest.toml`."""

    schema: str
    name: Name
    version: str
    sha256: Sha256
    input: InputContract
    output: OutputContract
    training: TrainingRecord
    metrics: Mapping[str, float]


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the model in a folder, without touching its weights.

    Raises:
        ModelError: it is missing, unreadable, has an unknown key or an impossible value, or promises what this version
            cannot feed.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        msg = f"model {folder.name} has no readable {MANIFEST_FILE} ({error.strerror}); reinstall lvo or export the model again"
        raise ModelError(msg) from error
    except (msgspec.DecodeError, ValueError) as error:
        msg = f"manifest of model {folder.name}: {error}; export the model again with `lvo export`"
        raise ModelError(msg) from error
    _require("schema", manifest.schema, SCHEMA, folder.name)
    _require("input.frame", manifest.input.frame, INPUT_FRAME, folder.name)
    _require("name", manifest.name, folder.name, folder.name)
    return manifest


def manifest_toml(manifest: Manifest) -> str:
    """The text of `manifest.toml`: what `read_manifest` reads."""
    values = msgspec.to_builtins(manifest)
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"  # JSON's strings, numbers and lists are TOML's too


def _require(key: str, found: str, needed: str, name: str) -> None:
    """Refuse a contract that this version does not support."""
    if found != needed:
        msg = f"manifest of model {name} says {key} = {found!r}, this version needs {needed!r}; use a model made for it"
        raise ModelError(msg)


def verify(folder: Path, manifest: Manifest) -> Path:
    """Path of the model file, once it is known to be the one the manifest describes.

    Raises:
        ModelError: the file is missing or its sha256 is another.
    """
    path = folder / MODEL_FILE
    try:
        found = sha256_of(path)
    except OSError as error:
        msg = f"model {manifest.name} has no readable {MODEL_FILE} ({error.strerror}); reinstall lvo or export the model again"
        raise ModelError(msg) from error
    if found != manifest.sha256:
        msg = (
            f"{MODEL_FILE} of model {manifest.name} has sha256 {found}, its manifest needs {manifest.sha256}; "
            "the file was altered: reinstall lvo or export the model again"
        )
        raise ModelError(msg)
    return path
