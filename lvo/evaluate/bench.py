"""One case on the bench: scanned, judged as the pipeline judges it, and put beside its truth. A process has one bench."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from lvo.config import Config
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import CtaResult
from lvo.core.volume import Volume
from lvo.errors import UsageError
from lvo.evaluate.asymmetry import asymmetry
from lvo.evaluate.crops import code_sha256, generator_sha256, image_sha256, scanned_case
from lvo.evaluate.pictures import draw_failure, failure_of, picture_name
from lvo.evaluate.records import AS_IS, Found, Row, TrueStop
from lvo.evaluate.segmentation import segmentation_scores
from lvo.evaluate.variants import MIRRORED, WITHOUT_MIRROR, mirrored_back, shown
from lvo.pipeline.records import Models
from lvo.synth.cases import Case, CaseTruth, draw_case
from lvo.synth.cropped import ScannedCase

__all__ = ["Bench", "Setup", "open_bench", "result_key", "run_case", "without_mirror"]

_NOT_JUDGING = ("lvo.dicom", "lvo.nifti")
"""What the pipeline imports and a case from arrays does not need."""


class Judged(Protocol):
    """What `lvo.pipeline.angiogram.judge_crop` gives."""

    @property
    def outcome(self) -> Assessed[CtaResult] | NotAssessable:
        """The call, or why there is none."""

    @property
    def vessels(self) -> Mapping[str, Volume]:
        """Probability by class name, and "artery" for all trees together."""


Judge = Callable[[Volume, HeadPose, Grid, Models, Config], Judged]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a process needs to judge cases; it travels to the workers.

    Args:
        config: settings.
        load_models: gives the models of the settings.
        cache: folder for scanned cases, None for none.
        pictures: folder for pictures of failures, None for none.
    """

    config: Config
    load_models: Callable[[Config], Models]
    cache: Path | None = None
    pictures: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A setup with its models loaded, and the key of all results it gives."""

    setup: Setup
    models: Models
    judge: Judge
    key: str

    @property
    def spacing_mm(self) -> float:
        """Voxel of the network."""
        return self.models.arteries.manifest.input.spacing_mm


def open_bench(setup: Setup) -> Bench:
    """Load the models.

    Raises:
        ModelError: one is missing or altered.
    """
    from lvo.pipeline.angiogram import judge_crop

    models = setup.load_models(setup.config)
    return Bench(setup, models, judge_crop, result_key(models, setup.config))


def result_key(models: Models, config: Config) -> str:
    """Hash of everything but the case that a result depends on: weights, call, settings, generator and the judging code."""
    call = msgspec.json.encode(models.call, enc_hook=lambda value: np.asarray(value).tolist(), order="sorted")
    parts = [use.sha256 for use in models.used()]
    parts += [
        hashlib.sha256(call).hexdigest(),
        config.sha256,
        generator_sha256(),
        code_sha256("lvo.pipeline.angiogram", without=_NOT_JUDGING),
    ]
    parts += [code_sha256(f"lvo.evaluate.{name}") for name in ("asymmetry", "segmentation")]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def run_case(bench: Bench, seed: int, variants: tuple[str, ...]) -> tuple[Row, ...]:
    """Judge one case of the evaluation set in each of the variants.

    Raises:
        UsageError: the variant needs a setting that this version does not have.
    """
    case = draw_case(seed, "evaluation")
    scanned = scanned_case(case, spacing_mm=bench.spacing_mm, cache=bench.setup.cache)
    return tuple(_row(bench, case, scanned, variant) for variant in variants)


def without_mirror(config: Config) -> Config:
    """The settings with the mirrored pass of the network off.

    Raises:
        UsageError: this version has no such setting.
    """
    if "mirrored" not in config.cta.__struct_fields__:
        msg = "this version has no setting cta.mirrored, so the network cannot be judged without its mirrored pass"
        raise UsageError(msg)
    values = msgspec.to_builtins(config)
    return msgspec.convert(values | {"cta": values["cta"] | {"mirrored": False}}, Config)


def _row(bench: Bench, case: Case, scanned: ScannedCase, variant: str) -> Row:
    config = without_mirror(bench.setup.config) if variant == WITHOUT_MIRROR else bench.setup.config
    hu, pose = scanned.hu, scanned.pose
    if variant not in {AS_IS, WITHOUT_MIRROR}:
        view = shown(variant, case, scanned)
        hu, pose, scanned = view.hu, view.pose, view.scanned
    start = time.perf_counter()
    judged = bench.judge(hu, pose, hu.grid, bench.models, config)
    seconds = round(time.perf_counter() - start, 2)
    found, reasons = _answer(judged.outcome, scanned.truth, config)
    if found is not None and variant == MIRRORED:
        found = mirrored_back(found, pose)
    row = Row(
        key=bench.key, case=str(case.seed), variant=variant, stops=_stops(scanned.truth), facts=_facts(scanned.truth),
        found=found, reasons=reasons, scores=_scores(judged, scanned, pose, variant), image_sha256=image_sha256(scanned),
        seconds=seconds,
    )  # fmt: skip
    if bench.setup.pictures is not None and variant == AS_IS and failure_of(row) is not None:
        draw_failure(bench.setup.pictures / picture_name(row), row, hu, judged.vessels["artery"])
    return row


def _answer(
    outcome: Assessed[CtaResult] | NotAssessable, truth: CaseTruth, config: Config
) -> tuple[Found | None, tuple[str, ...]]:
    """What `lvo run` would say: what it refuses or withholds for thick slices is refused and withheld here too."""
    from lvo.pipeline.angiogram import never_negative_if_thick

    if truth.slice_mm > config.cta.max_slice_mm:
        return None, (f"slices are {truth.slice_mm:g} mm, {config.cta.max_slice_mm:g} mm or less are needed",)
    outcome = never_negative_if_thick(outcome, truth.slice_mm, config.cta)
    if isinstance(outcome, NotAssessable):
        return None, outcome.reasons
    finding = outcome.value.finding
    return Found(
        call=finding.call, probability=round(finding.probability, 6), side=finding.side, site=finding.site,
        location_lps_mm=finding.location_lps_mm,
    ), ()  # fmt: skip


def _scores(judged: Judged, scanned: ScannedCase, pose: HeadPose, variant: str) -> dict[str, float]:
    """Figures of the artery map, where the truth lies on the same voxels, and the asymmetry that needs no network."""
    if variant == AS_IS:
        return segmentation_scores(judged.vessels, scanned.classes) | {"asymmetry": round(asymmetry(scanned.hu, pose), 4)}
    if variant == WITHOUT_MIRROR:
        return segmentation_scores(judged.vessels, scanned.classes)
    return {}


def _stops(truth: CaseTruth) -> tuple[TrueStop, ...]:
    return tuple(
        TrueStop(side=stop.side, site=stop.site, part=stop.part, location_lps_mm=stop.cutoff_lps_mm) for stop in truth.stops
    )


def _facts(truth: CaseTruth) -> dict[str, float | str]:
    """What results are sorted by; a collateral grade means something only beyond an occlusion."""
    facts: dict[str, float | str] = {
        "family": truth.family.value, "kv": float(truth.kv), "noise_hu": truth.noise_hu, "slice_mm": truth.slice_mm,
        "arterial_hu": round(truth.arterial_hu, 1), "generator": truth.topology,
    }  # fmt: skip
    return facts | ({"collateral_grade": float(truth.collateral_grade)} if truth.stops else {})
