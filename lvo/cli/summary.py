"""A result in a few lines for a terminal."""

from pathlib import Path

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.report import Call, CtaResult, Finding, PerfusionResult, Report, Severity, TimeToPeakFallback

__all__ = ["summary_lines"]

_CALLS = {
    Call.SUSPECTED: "large-vessel occlusion SUSPECTED",
    Call.INDETERMINATE: "large-vessel occlusion INDETERMINATE",
    Call.NOT_DETECTED: "no large-vessel occlusion detected (this does not rule one out)",
}


def summary_lines(report: Report, folder: Path, *, label: str = "") -> list[str]:
    """What a person wants to read first: the calls or why there are none, warnings, where the report is, the limits of use.

    Args:
        report: everything known about the study.
        folder: where its files lie.
        label: which of several studies this is, e.g. "study 2 of 3"; empty for a single one.
    """
    from lvo.report.result import quality_notes, status_of

    warnings = [note for note in quality_notes(report) if note.severity is Severity.WARNING]
    return [
        *([f"Study      {label}, {report.study_instance_uid}"] if label else []),
        *_cta_lines(report.cta, judged=status_of(report) != "not_assessable"),
        *_perfusion_lines(report.perfusion),
        *([] if report.fallback is None else [_fallback_line(report.fallback)]),
        *(f"Warning    {note.text}" for note in warnings),
        f"Report     {folder / 'report.html'}",
        RESEARCH_USE_ONLY,
    ]


def _cta_lines(outcome: Outcome[CtaResult], *, judged: bool) -> list[str]:
    """The call; where nothing of the study was judged, a missing angiogram is no call either, and says so in the same words."""
    match outcome:
        case Assessed(value=value):
            said = [*value.finding.evidence, *([value.coverage] if value.coverage else [])]
            return [f"CTA        {_finding_text(value.finding)}", *(f"           - {text}" for text in said)]
        case NotAssessable(reasons=reasons):
            return [f"CTA        COULD NOT BE JUDGED: {text}" for text in reasons]
        case Absent(reason=reason):
            state = "not analysed, nothing is said about an occlusion" if judged else "COULD NOT BE JUDGED"
            return [f"CTA        {state}: {reason}"]


def _finding_text(finding: Finding) -> str:
    where = " ".join(part.value for part in (finding.side, finding.site) if part is not None)
    return f"{_CALLS[finding.call]}{f', {where}' if where else ''}, probability {finding.probability:.2f}"


def _perfusion_lines(outcome: Outcome[PerfusionResult]) -> list[str]:
    match outcome:
        case Assessed(value=value):
            ratio = "" if value.mismatch_ratio is None else f" (ratio {value.mismatch_ratio:.1f})"
            side = "" if value.side is None else f", {value.side.value}"
            volumes = f"core {value.core_ml:.0f} mL, hypoperfusion {value.hypoperfusion_ml:.0f} mL"
            return [f"Perfusion  {volumes}, mismatch {value.mismatch_ml:.0f} mL{ratio}{side}"]
        case NotAssessable(reasons=reasons):
            return [f"Perfusion  COULD NOT BE JUDGED: {text}" for text in reasons]
        case Absent(reason=reason):
            return [f"Perfusion  not analysed: {reason}"]


def _fallback_line(fallback: TimeToPeakFallback) -> str:
    late = f"left {fallback.left_ml:.0f} mL, right {fallback.right_ml:.0f} mL"
    return f"           fallback, not a perfusion result: tissue that peaks more than {fallback.threshold_s:g} s late: {late}"
