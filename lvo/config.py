"""Frozen settings from TOML: every key has a default here, a line in `configs/default.toml`, and a source where it is clinical.

A key nobody knows, a wrong type or an impossible value is an error that names file and key. The hash of the resolved
settings goes into every report.
"""

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec

from lvo.errors import ConfigError

__all__ = ["Config", "CtaSettings", "OutputSettings", "PerfusionSettings", "load_config"]

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class CtaSettings(_Section, frozen=True):
    """How the CT angiogram is judged."""

    model: str = "arteries"
    suspected_probability: Fraction = 0.5
    indeterminate_probability: Fraction = 0.2
    min_arterial_hu: Positive = 150.0
    max_slice_mm: Positive = 1.5

    def __post_init__(self) -> None:
        """Refuse thresholds in the wrong order."""
        if self.indeterminate_probability > self.suspected_probability:
            msg = "indeterminate_probability must not exceed suspected_probability"
            raise ValueError(msg)


class PerfusionSettings(_Section, frozen=True):
    """How CT perfusion is turned into maps and volumes."""

    svd_threshold: Fraction = 0.1
    tmax_hypoperfusion_s: Positive = 6.0
    core_rcbf: Fraction = 0.30


class OutputSettings(_Section, frozen=True):
    """Which files a run leaves beside result.json, report.html and run.json."""

    maps: bool = True
    dicom: bool = True


class Config(_Section, frozen=True):
    """All settings of an analysis."""

    cta: CtaSettings = CtaSettings()
    perfusion: PerfusionSettings = PerfusionSettings()
    outputs: OutputSettings = OutputSettings()

    @property
    def sha256(self) -> str:
        """Hash of the resolved settings, the same for the same values however they were written."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def load_config(path: Path | None) -> Config:
    """Read settings from a TOML file; defaults when no file is given.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    if path is None:
        return Config()
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Config)
    except OSError as error:
        msg = f"configuration {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    except (msgspec.DecodeError, ValueError) as error:
        msg = f"configuration {path}: {error}; see configs/default.toml for every key"
        raise ConfigError(msg) from error
