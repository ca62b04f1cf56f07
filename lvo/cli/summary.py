"""A result in a few lines for a terminal."""

from pathlib import Path

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Absent, Assessed, NotAssessable, Outcome
from lvo.core.report import Call, CtaResult, Finding, PerfusionResult, Report

__all__ = ["summary_lines"]

_CALLS = {
    Call.SUSPECTED: "large-vessel occlusion SUSPECTED",
    Call.INDETERMINATE: "large-vessel occlusion INDETERMINATE",
    Call.NOT_DETECTED: "no large-vessel occlusion detected (this does not rule one out)",
}


def summary_lines(report: Report, folder: Path) -> list[str]:
    """What a person wants to read first: the calls or why there are none, where the report is, and the limits of use."""
    return [
        *_cta_lines(report.cta),
        *_perfusion_lines(report.perfusion),
        f"Report     {folder / 'report.html'}",
        RESEARCH_USE_ONLY,
    ]


def _cta_lines(outcome: Outcome[CtaResult]) -> list[str]:
    match outcome:
        case Assessed(value=value):
            return [f"CTA        {_finding_text(value.finding)}", *(f"           - {text}" for text in value.finding.evidence)]
        case NotAssessable(reasons=reasons):
            return [f"CTA        COULD NOT BE JUDGED: {text}" for text in reasons]
        case Absent(reason=reason):
            return [f"CTA        not analysed: {reason}"]


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
