"""The one typed result of a study. Everything else delivers, batches, trains or audits this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from lvo.core.outcome import Outcome
from lvo.core.pose import HeadPose
from lvo.core.study import Role
from lvo.core.transfer import Transfer
from lvo.core.volume import Volume

__all__ = [
    "Call", "CollateralFilling", "Criterion", "CriterionCheck", "CtaResult", "Curve", "CurveCandidate", "Finding",
    "HeadMotion", "ModelUse", "Output", "PerfusionResult", "QualityNote", "Report", "SegmentRow", "SegmentSide", "SeriesRow",
    "Severity", "Side", "Site", "TerritoryVolume", "TimeToPeakFallback",
]  # fmt: skip


class Call(StrEnum):
    """The three-way answer on a large-vessel occlusion. None of them rules an occlusion out."""

    SUSPECTED = "suspected"
    INDETERMINATE = "indeterminate"
    NOT_DETECTED = "not_detected"


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    MIDLINE = "midline"


class Site(StrEnum):
    """The most proximal artery that is interrupted."""

    ICA = "ICA"
    ICA_T = "ICA-T"
    M1 = "M1"
    M2 = "M2"
    A1 = "A1"
    A2 = "A2"
    P1 = "P1"
    BA = "BA"
    VA = "VA"


class Severity(StrEnum):
    """How much a quality note matters: a refusal means the part was not judged."""

    INFO = "info"
    WARNING = "warning"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class QualityNote:
    """One thing a reader should know about the images or the analysis."""

    code: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """What became of one series, and why."""

    series_instance_uid: str
    role: Role
    used: bool
    reason: str
    n_instances: int
    description: str = ""
    geometry: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """The call on a large-vessel occlusion and what speaks for it.

    Args:
        call: three-way answer.
        probability: 0 to 1, calibrated on synthetic heads.
        threshold: probability from which the call is "suspected".
        side: the patient's side, None when nothing is suspected.
        site: the most proximal interrupted artery, None when unknown.
        location_lps_mm: where the artery stops, None when unknown.
        evidence: sentences that say why, most important first.
    """

    call: Call
    probability: float
    threshold: float
    side: Side | None
    site: Site | None
    location_lps_mm: tuple[float, float, float] | None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TerritoryVolume:
    """Opacified artery found in one territory on each side; `ratio` is smaller / larger, None where both are empty."""

    territory: str
    left_ml: float
    right_ml: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class CollateralFilling:
    """Filling beyond the occlusion: Tan score 0 to 3 and the ratio (affected / other side) it comes from."""

    score: int
    ratio: float


@dataclass(frozen=True, slots=True)
class SegmentSide:
    """One artery segment on one side, as the artery map shows it.

    Args:
        lumen_ml: opacified lumen.
        expected_share: that volume as a share of what is usual for the segment, above 1 where it is wider; None when unknown.
        gap_mm: longest stretch of the course without lumen, None when the course was not followed.
        hu: median density of the lumen, None where there is none.
    """

    lumen_ml: float
    expected_share: float | None
    gap_mm: float | None
    hu: float | None


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One artery segment on both sides; of a midline artery, like the basilar, `left` is the whole and `right` is None."""

    segment: str
    left: SegmentSide
    right: SegmentSide | None = None

    @property
    def sides(self) -> tuple[tuple[Side, SegmentSide], ...]:
        """The segment on each side it has: right and left, or midline."""
        if self.right is None:
            return ((Side.MIDLINE, self.left),)
        return ((Side.RIGHT, self.right), (Side.LEFT, self.left))


@dataclass(frozen=True, slots=True, eq=False)
class CtaResult:
    """What the CT angiogram shows.

    Args:
        finding: the call with side, site and place.
        vessels: opacified artery per territory.
        collateral: filling beyond the occlusion, None without a one-sided suspicion.
        arterial_hu: density of the large arteries.
        phase: of the contrast bolus, in words.
        notes: on the images and the analysis.
        segments: every segment that was measured, from the heart outwards.
        covered: vessels that were judged, in words.
        not_covered: vessels that were not: an occlusion there cannot be found.
        pose: how the head lies; pictures are turned with it.
        course_lps_mm: way of the blood on the side of the finding, carotid to M2, through the place where the lumen stops.
        mirror_course_lps_mm: the same way on the other side.
    """

    finding: Finding
    vessels: tuple[TerritoryVolume, ...]
    collateral: CollateralFilling | None
    arterial_hu: float
    phase: str
    notes: tuple[QualityNote, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    covered: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    pose: HeadPose | None = None
    course_lps_mm: tuple[tuple[float, float, float], ...] = ()
    mirror_course_lps_mm: tuple[tuple[float, float, float], ...] = ()

    @property
    def coverage(self) -> str:
        """Which vessels were judged and which were not, for every output; empty when that is not known."""
        parts = (("judged", self.covered), ("not judged", self.not_covered))
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A time-attenuation curve: (T,) seconds, (T,) HU above baseline, and the voxels it was averaged from."""

    times_s: NDArray[np.float64]
    enhancement_hu: NDArray[np.float64]
    location_lps_mm: tuple[float, float, float]
    n_voxels: int


@dataclass(frozen=True, slots=True, eq=False)
class CurveCandidate:
    """A group of voxels that was considered for an input curve, with the measures it was judged by.

    Args:
        role: "aif" or "vof".
        curve: mean curve of the group.
        chosen: it became the input curve.
        score: 0 to 1, all measures together; the highest of a role is chosen.
        measures: peak_hu, arrival_s, width_s, roughness, as judged.
    """

    role: str
    curve: Curve
    chosen: bool
    score: float
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class HeadMotion:
    """How the head moved during a time series of T frames, relative to the frame it was brought to.

    Args:
        times_s: (T,) mean acquisition time of each frame.
        shift_mm: (T,) longest way of any point of the brain, translation and rotation together.
        turn_deg: (T,) angle of rotation.
        used: (T,) False for frames that were dropped.
        corrected: the frames were brought onto each other; False when motion was only measured.
    """

    times_s: NDArray[np.float64]
    shift_mm: NDArray[np.float64]
    turn_deg: NDArray[np.float64]
    used: NDArray[np.bool_]
    corrected: bool


@dataclass(frozen=True, slots=True, eq=False)
class TimeToPeakFallback:
    """What is left to say without an arterial curve: tissue that peaks late against the other hemisphere.

    rTTP > 4.5 s stands for Tmax > 6 s (median absolute difference 6.9 mL; doi:10.3389/fneur.2017.00539). Never the main result.

    Args:
        threshold_s: delay against normal tissue from which tissue counts.
        left_ml: such tissue on the patient's left.
        right_ml: and on the right.
        rttp: (K, J, I) time to peak less that of normal tissue, s.
        late: (K, J, I) mask.
    """

    threshold_s: float
    left_ml: float
    right_ml: float
    rttp: Volume
    late: Volume


@dataclass(frozen=True, slots=True, eq=False)
class PerfusionResult:
    """What the CT perfusion shows; `maps` has cbf, cbv, mtt, tmax, delay, core, hypoperfusion and brain on the CTP grid.

    Args:
        core_ml: tissue below the core threshold inside the hypoperfused tissue.
        hypoperfusion_ml: tissue above the Tmax threshold.
        mismatch_ml: hypoperfusion minus core.
        mismatch_ratio: hypoperfusion / core, None where the core is 0.
        hir: hypoperfusion intensity ratio, Tmax>10 s / Tmax>6 s, None where there is no hypoperfusion.
        cbv_index: mean CBV in the hypoperfused tissue / mean CBV of normal tissue, None where there is no hypoperfusion.
        side: side of the lesion, None without one.
        volumes_ml: volume at each band, keyed "tmax>6" or "rcbf<30".
        thresholds: named settings with unit in the name, as used.
        candidates: every group of voxels that was considered for an input curve.
        motion: how the head moved, None when that was not measured.
        methods: by map, the method that gave it, as "block-circulant SVD" or "model matching".
        measures: what the quality of the scan was judged by, unit in the key: duration_s, interval_s, coverage_mm, noise_hu ...
    """

    core_ml: float
    hypoperfusion_ml: float
    mismatch_ml: float
    mismatch_ratio: float | None
    hir: float | None
    cbv_index: float | None
    side: Side | None
    volumes_ml: Mapping[str, float]
    thresholds: Mapping[str, float]
    aif: Curve
    vof: Curve
    maps: Mapping[str, Volume]
    notes: tuple[QualityNote, ...] = ()
    candidates: tuple[CurveCandidate, ...] = ()
    motion: HeadMotion | None = None
    methods: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CriterionCheck:
    """One condition of a rule: what is looked at, the value found (None when unknown), the rule, and whether it is met."""

    what: str
    value: float | str | None
    rule: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """The selection rule of one trial or guideline, evaluated; never a verdict.

    Args:
        name: the trial or guideline.
        source: where the rule is from, how sure its wording is, and what it asks for beside.
        date: of the source.
        met: whether all checks hold; None when that is unknown.
        checks: rows.
        version: of the rule as it is encoded here.
        status: "verified", or "to be verified" when its wording was not read in the source.
        unverified: what was not.
    """

    name: str
    source: str
    date: str
    met: bool | None
    checks: tuple[CriterionCheck, ...]
    version: int = 1
    status: str = "to be verified"
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that took part in the result."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a run left: what it is, its path relative to the result's folder, and its DICOM UID if it has one."""

    kind: str
    path: str
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything known about one study after the analysis.

    Args:
        study_instance_uid: DICOM Study Instance UID; there is no patient identity.
        cta: outcome of the CT angiogram.
        perfusion: outcome of the CT perfusion.
        series: what became of every series.
        criteria: selection rules, evaluated.
        quality: notes on the images and on the analysis.
        models: models used.
        config_sha256: hash of the resolved configuration.
        timings_s: seconds per stage.
        volumes: images the outputs are drawn from: "cta", "arteries" (probability on the CTA grid), "brain"; absent when
            the CTA was not analysed; "vessels" has the codes of `lvo.core.anatomy.VESSEL_CLASSES` where trees are told apart;
            "ctp" is the unenhanced CT perfusion, absent when that was not loaded.
        fallback: late tissue by time to peak, where the perfusion could not be judged for want of an arterial curve.
        transfer: thrombectomy centres, where the hospital is configured and an occlusion is suspected.
    """

    study_instance_uid: str
    cta: Outcome[CtaResult]
    perfusion: Outcome[PerfusionResult]
    series: tuple[SeriesRow, ...]
    criteria: tuple[Criterion, ...]
    quality: tuple[QualityNote, ...]
    models: tuple[ModelUse, ...]
    config_sha256: str
    timings_s: Mapping[str, float]
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    fallback: TimeToPeakFallback | None = None
    transfer: Transfer | None = None
