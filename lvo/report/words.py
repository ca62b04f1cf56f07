"""How a result is said in words and colours, once, for the page, the figures and the PDF.

"Could not be judged" and "not analysed" have words, a colour and a symbol of their own: neither can be taken for "not
detected".
"""

from dataclasses import dataclass

from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import Call, CtaResult, Finding, PerfusionResult, Report, TimeToPeakFallback

__all__ = [
    "CALL_LIMIT", "FALLBACK_LIMIT", "NOT_VALIDATED", "RULES_LIMIT", "UNJUDGED_LIMIT", "Headline", "core_words", "cta_headline",
    "fallback_words", "hypoperfusion_words", "perfusion_headline", "short_number", "site_words",
]  # fmt: skip

CALL_LIMIT = "This result cannot rule out an occlusion. A clinician must read the images."
"""Stands beside every call."""

UNJUDGED_LIMIT = "No statement about a large-vessel occlusion was made. This is not a negative result."
"""Stands where there is no call."""

NOT_VALIDATED = "research use only, not validated on patients"
"""Stands on every picture."""

FALLBACK_LIMIT = "FALLBACK, NOT A PERFUSION RESULT: the perfusion could not be judged, and no core can be given"
"""Stands over everything that time to peak alone says."""

RULES_LIMIT = (
    "What each rule asks for and what is known here. This is not advice on treatment. A rule that is not met says that it "
    "was not made for such patients, not that treatment would not help: large cores, which older trials left out, were "
    "treated in SELECT2, ANGEL-ASPECT, RESCUE-Japan LIMIT, TENSION and LASTE."
)
"""Stands over the selection rules."""

_WORDS = {
    Call.SUSPECTED: "LARGE-VESSEL OCCLUSION SUSPECTED",
    Call.INDETERMINATE: "INDETERMINATE",
    Call.NOT_DETECTED: "NO LARGE-VESSEL OCCLUSION DETECTED",
}
_SENTENCES = {
    Call.SUSPECTED: "The artery map stops where it should go on.",
    Call.INDETERMINATE: "The images speak neither clearly for an occlusion nor against one.",
    Call.NOT_DETECTED: "Not detected is not the same as excluded.",
}

# Okabe & Ito's colour-blind-safe hues, darkened where white text stands on them; each state also has its own symbol
_COLORS = {
    "suspected": "#B34700",
    "indeterminate": "#8A6100",
    "not_detected": "#005B8F",
    "not_assessable": "#3B3B3B",
    "absent": "#6B6B6B",
    "assessed": "#2F4858",
}
_SYMBOLS = {
    "suspected": "▲",  # triangle
    "indeterminate": "◆",  # diamond
    "not_detected": "○",  # ring
    "not_assessable": "✕",  # cross
    "absent": "—",  # dash
    "assessed": "■",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """One part of the result for a reader in a hurry.

    Args:
        state: "suspected", "indeterminate", "not_detected", "assessed", "not_assessable" or "absent".
        title: the words in big.
        where: side and site, empty without a finding.
        numbers: probability and threshold, or volumes, in one line; empty when nothing was judged.
        sentences: what the words mean, or the reasons.
        color: background for white text.
        symbol: a shape that tells the states apart without colour.
    """

    state: str
    title: str
    where: str
    numbers: str
    sentences: tuple[str, ...]
    color: str
    symbol: str


def short_number(value: float | None, digits: int = 2) -> str:
    """A number for people; a dash where there is none."""
    return "—" if value is None else f"{value:.{digits}f}"


def site_words(finding: Finding) -> str:
    """Side and site, e.g. "left M1"; says what is unknown; empty when neither is known."""
    side = finding.side.value if finding.side else ""
    site = finding.site.value if finding.site else ""
    if site:
        return f"{side} {site}".strip() if side else f"{site}, side unknown"
    return f"{side}, site unknown" if side else ""


def core_words(result: PerfusionResult) -> str:
    """The core's threshold as readers know it."""
    return f"rCBF < {100 * result.thresholds['core_rcbf']:g} %"


def hypoperfusion_words(result: PerfusionResult) -> str:
    """The threshold of the hypoperfused tissue."""
    return f"Tmax > {result.thresholds['tmax_hypoperfusion_s']:g} s"


def fallback_words(fallback: TimeToPeakFallback) -> str:
    """What the fallback measures."""
    return (
        f"Tissue that peaks late, more than {fallback.threshold_s:g} s after normal tissue (rTTP > {fallback.threshold_s:g} s)"
    )


def cta_headline(report: Report) -> Headline:
    """The call on a large-vessel occlusion."""
    match report.cta:
        case Assessed(value=CtaResult(finding=finding)):
            state = finding.call.value
            where = site_words(finding)
            if finding.call is Call.SUSPECTED and not where:
                where = "side and site unknown"
            numbers = f"probability {finding.probability:.2f} (suspected from {finding.threshold:.2f})"
            return _headline(state, _WORDS[finding.call], where, numbers, (_SENTENCES[finding.call],))
        case NotAssessable(reasons=reasons):
            return _headline("not_assessable", "COULD NOT BE JUDGED", "", "", reasons)
        case Absent(reason=reason):
            return _headline("absent", "CT ANGIOGRAM NOT ANALYSED", "", "", (reason,))


def perfusion_headline(report: Report) -> Headline:
    """What the CT perfusion shows, in one line."""
    match report.perfusion:
        case Assessed(value=PerfusionResult() as result):
            numbers = (
                f"core {result.core_ml:.0f} mL, hypoperfusion {result.hypoperfusion_ml:.0f} mL, "
                f"mismatch {result.mismatch_ml:.0f} mL, ratio {short_number(result.mismatch_ratio, 1)}"
            )
            where = f"{result.side.value} side" if result.side else ""
            return _headline("assessed", "CT PERFUSION", where, numbers, ())
        case NotAssessable(reasons=reasons):
            return _headline("not_assessable", "PERFUSION COULD NOT BE JUDGED", "", "", reasons)
        case Absent(reason=reason):
            return _headline("absent", "CT PERFUSION NOT ANALYSED", "", "", (reason,))


def _headline(state: str, title: str, where: str, numbers: str, sentences: tuple[str, ...]) -> Headline:
    """Add colour and symbol of the state."""
    return Headline(state, title, where, numbers, sentences, _COLORS[state], _SYMBOLS[state])
