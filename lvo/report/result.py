"""result.json: the result as the contract promises it, checked against the shipped schema before anyone sees it."""

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata, resources
from typing import Any, Literal

import jsonschema

from lvo import __version__
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.report import (
    Criterion,
    CtaResult,
    Curve,
    HeadMotion,
    Output,
    PerfusionResult,
    QualityNote,
    Report,
    Severity,
    TimeToPeakFallback,
)  # fmt: skip
from lvo.report.transfer import transfer_document

__all__ = ["SCHEMA", "Output", "quality_notes", "result_document", "result_text", "software_versions", "status_of"]

SCHEMA = "lvo-result/1"
"""Name and number of the schema; a change needs a new number and a changelog entry."""

_DIGITS = 6
"""Significant digits of every number: a tenth of a millilitre needs four, and more would pretend."""

_LIBRARIES = ("highdicom", "matplotlib", "nilearn", "numpy", "pydicom", "scipy")
_RUNTIMES = ("onnxruntime-openvino", "onnxruntime-gpu", "onnxruntime")
"""Libraries whose version can change a number or an image of the result; the runtime comes under one name or another."""


def status_of(report: Report) -> Literal["complete", "partial", "not_assessable", "failed"]:
    """What became of the study.

    "complete" when the angiogram was judged and no other part was refused, so that it always comes with a call; "partial" when
    something else was judged, as perfusion without an angiogram; "not_assessable" when nothing was. "failed" is for runs that
    end without a report, so it is never said here.
    """
    if not any(isinstance(part, Assessed) for part in (report.cta, report.perfusion)):
        return "not_assessable"
    refused = isinstance(report.perfusion, NotAssessable)
    return "complete" if isinstance(report.cta, Assessed) and not refused else "partial"


def result_document(report: Report, *, outputs: Sequence[Output], location_sop_instance_uid: str | None) -> dict[str, object]:
    """The result as JSON-able values in the order of the contract.

    Args:
        report: everything known about the study.
        outputs: the files of the run.
        location_sop_instance_uid: the CTA slice nearest to the suspected site, None without one.

    Raises:
        ValueError: a number is NaN or infinite; the message says which key.
        jsonschema.ValidationError: the document does not fit the schema.
    """
    document = {
        "schema": SCHEMA,
        "status": status_of(report),
        "research_use_only": True,
        "study": {"study_instance_uid": report.study_instance_uid},
        "series": [
            {
                "series_instance_uid": row.series_instance_uid,
                "role": row.role.value,
                "used": row.used,
                "reason": row.reason,
                "n_instances": row.n_instances,
            }
            for row in report.series
        ],
        "cta": _cta(report.cta, location_sop_instance_uid),
        "perfusion": _perfusion(report.perfusion, report.fallback),
        "criteria": [_criterion(criterion) for criterion in report.criteria],
        "transfer": None if report.transfer is None else transfer_document(report.transfer),
        "quality": [{"code": n.code, "severity": n.severity.value, "text": n.text} for n in quality_notes(report)],
        "timings_s": dict(report.timings_s),
        "software": software_versions(),
        "models": [{"name": m.name, "version": m.version, "sha256": m.sha256} for m in report.models],
        "config_sha256": report.config_sha256,
        "outputs": [{"kind": o.kind, "path": o.path, "sop_instance_uid": o.sop_instance_uid} for o in outputs],
    }
    plain = _plain(document, "")
    jsonschema.validate(plain, _schema(), cls=jsonschema.Draft202012Validator)
    return dict(plain)


def result_text(document: Mapping[str, object]) -> str:
    """The document as JSON text, the same for the same values."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def quality_notes(report: Report) -> tuple[QualityNote, ...]:
    """Every note on the study and its parts, each once: refusals first, then the rest in the order in which they were made."""
    refusals, notes = [], list(report.quality)
    for name, part in (("cta", report.cta), ("ctp", report.perfusion)):
        match part:
            case Assessed(value=value):
                notes.extend(value.notes)
            case NotAssessable(reasons=reasons):
                refusals += [QualityNote(f"{name}.not_assessable", Severity.REFUSAL, reason) for reason in reasons]
            case Absent():
                pass
    return tuple(dict.fromkeys([*refusals, *notes]))


def _state(outcome: Outcome[Any]) -> dict[str, object]:
    """State and reasons of one part."""
    match outcome:
        case Assessed():
            return {"state": "assessed", "reasons": []}
        case NotAssessable(reasons=reasons):
            return {"state": "not_assessable", "reasons": list(reasons)}
        case Absent(reason=reason):
            return {"state": "absent", "reasons": [reason]}


def _cta(outcome: Outcome[CtaResult], location_sop_instance_uid: str | None) -> dict[str, object]:
    """The CTA part; everything but state and reasons is null unless it was judged."""
    part = _state(outcome)
    if not isinstance(outcome, Assessed):
        return {**part, **dict.fromkeys(("lvo", "vessels", "collateral", "bolus", "segments", "covered", "not_covered"))}
    value = outcome.value
    finding = value.finding
    return {
        **part,
        "lvo": {
            "call": finding.call.value,
            "probability": finding.probability,
            "threshold": finding.threshold,
            "side": finding.side.value if finding.side else None,
            "site": finding.site.value if finding.site else None,
            "location_lps_mm": finding.location_lps_mm,
            "sop_instance_uid": None if finding.location_lps_mm is None else location_sop_instance_uid,
        },
        "vessels": {v.territory: {"left_ml": v.left_ml, "right_ml": v.right_ml, "ratio": v.ratio} for v in value.vessels},
        "collateral": {"score": value.collateral.score, "ratio": value.collateral.ratio} if value.collateral else None,
        "bolus": {"arterial_hu": value.arterial_hu, "phase": value.phase},
        "segments": [
            {
                "segment": row.segment,
                "side": side.value,
                "lumen_ml": found.lumen_ml,
                "expected_share": found.expected_share,
                "gap_mm": found.gap_mm,
                "hu": found.hu,
            }
            for row in value.segments
            for side, found in row.sides
        ],
        "covered": value.covered,
        "not_covered": value.not_covered,
    }


_PERFUSION_KEYS = (
    "core_ml", "hypoperfusion_ml", "mismatch_ml", "mismatch_ratio", "hir", "cbv_index", "side", "thresholds", "aif", "vof",
    "volumes_ml", "candidates", "motion", "methods", "measures",
)  # fmt: skip


def _perfusion(outcome: Outcome[PerfusionResult], fallback: TimeToPeakFallback | None) -> dict[str, object]:
    """The perfusion part; everything but state, reasons and fallback is null unless it was judged."""
    part = _state(outcome)
    if not isinstance(outcome, Assessed):
        return {**part, **dict.fromkeys(_PERFUSION_KEYS), "fallback": None if fallback is None else _fallback(fallback)}
    value = outcome.value
    return {
        **part,
        "core_ml": value.core_ml,
        "hypoperfusion_ml": value.hypoperfusion_ml,
        "mismatch_ml": value.mismatch_ml,
        "mismatch_ratio": value.mismatch_ratio,
        "hir": value.hir,
        "cbv_index": value.cbv_index,
        "side": value.side.value if value.side else None,
        "thresholds": dict(value.thresholds),
        "aif": _curve(value.aif),
        "vof": _curve(value.vof),
        "volumes_ml": dict(value.volumes_ml),
        "candidates": [
            {
                "role": candidate.role,
                "chosen": candidate.chosen,
                "score": candidate.score,
                "location_lps_mm": candidate.curve.location_lps_mm,
                "n_voxels": candidate.curve.n_voxels,
                "measures": dict(candidate.measures),
            }
            for candidate in value.candidates
        ],
        "motion": None if value.motion is None else _motion(value.motion),
        "methods": dict(value.methods),
        "measures": dict(value.measures),
        "fallback": None,
    }


def _motion(motion: HeadMotion) -> dict[str, object]:
    """Motion of every frame as it was scanned; the largest of the frames that were used."""
    return {
        "corrected": motion.corrected,
        "max_shift_mm": motion.shift_mm[motion.used].max(),
        "max_turn_deg": motion.turn_deg[motion.used].max(),
        "frames_dropped": [n for n, used in enumerate(motion.used) if not used],
        "times_s": motion.times_s,
        "shift_mm": motion.shift_mm,
        "turn_deg": motion.turn_deg,
    }


_FALLBACK_NOTE = (
    "Not a perfusion result: without an arterial curve there is neither flow nor core. This is tissue whose contrast agent "
    "peaks late against normal tissue, which stands roughly for Tmax > 6 s (median absolute difference 6.9 mL; "
    "doi:10.3389/fneur.2017.00539)."
)


def _fallback(fallback: TimeToPeakFallback) -> dict[str, object]:
    """Late tissue, with what it is not."""
    return {
        "method": "time to peak against normal tissue",
        "threshold_s": fallback.threshold_s,
        "left_ml": fallback.left_ml,
        "right_ml": fallback.right_ml,
        "note": _FALLBACK_NOTE,
    }


def _curve(curve: Curve) -> dict[str, object]:
    """A curve with its peak."""
    return {
        "peak_hu": curve.enhancement_hu.max(),
        "time_to_peak_s": curve.times_s[curve.enhancement_hu.argmax()],
        "location_lps_mm": curve.location_lps_mm,
        "n_voxels": curve.n_voxels,
        "times_s": curve.times_s.tolist(),
        "enhancement_hu": curve.enhancement_hu.tolist(),
    }


def _criterion(criterion: Criterion) -> dict[str, object]:
    """One rule with its conditions."""
    return {
        "name": criterion.name,
        "source": criterion.source,
        "date": criterion.date,
        "met": criterion.met,
        "checks": [{"what": c.what, "value": c.value, "rule": c.rule, "met": c.met} for c in criterion.checks],
        "version": criterion.version,
        "status": criterion.status,
        "unverified": list(criterion.unverified),
    }


def software_versions() -> dict[str, str]:
    """Versions of what made the result."""
    versions = {"lvo": __version__, "python": platform.python_version()}
    found = {name: _version(name) for name in (*_LIBRARIES, *_RUNTIMES)}
    return versions | {name: version for name, version in found.items() if version is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _plain(value: object, key: str) -> Any:  # noqa: ANN401 - JSON values
    """The value with numpy scalars and tuples turned into plain ones.

    Raises:
        ValueError: a number is NaN or infinite.
        TypeError: a value has no place in JSON.
    """
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{key}.{k}" if key else str(k)) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(v, f"{key}[{n}]") for n, v in enumerate(value)]
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "item"):  # a numpy scalar
        return _plain(value.item(), key)
    if not isinstance(value, float):
        msg = f"{key} cannot be written as JSON: {type(value).__name__}"
        raise TypeError(msg)
    if not math.isfinite(value):
        msg = f"{key} must be a finite number, got {value}"
        raise ValueError(msg)
    return float(f"{value:.{_DIGITS}g}")


@cache
def _schema() -> dict[str, Any]:
    """The schema that ships with the package."""
    return dict(json.loads(resources.files("lvo.report").joinpath("result.schema.json").read_text(encoding="utf-8")))
