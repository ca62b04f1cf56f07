"""The codes our DICOM results are written in: the standard's where it has one, our own scheme 99LVO where it has none.

SCT and DCM codes are those of PS3.16 (CID 244, 3827, 7151, 7469, 4108); 99LVO codes are ours and change only with the
changelog.
"""

from highdicom.sr import CodedConcept
from pydicom.sr.coding import Code

from lvo.core.outcome import Absent, NotAssessable, Outcome
from lvo.core.report import Call, CtaResult, PerfusionResult, Side, Site

__all__ = [
    "ARTERY", "CALL", "CALLS", "CEREBRAL_ARTERY", "COLLATERAL_SCORE", "COMMENT", "CORE", "CT_PERFUSION", "HIR", "HYPOPERFUSION",
    "LATERALITY",
    "MAP_QUANTITIES", "MISMATCH_RATIO", "MISMATCH_VOLUME", "OCCLUSION", "PERFUSION_STATE", "PROBABILITY", "SCHEME", "SITES",
    "THRESHOLD", "UNITS", "VOLUME", "own", "unjudged",
]  # fmt: skip

SCHEME = "99LVO"
"""Designator of our own codes (PS3.16 chapter 8: private schemes start with 99)."""


def own(value: str, meaning: str) -> CodedConcept:
    """A code of our own scheme."""
    return CodedConcept(value, SCHEME, meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


OCCLUSION = _sct("26036001", "Occlusion")
"""The finding; which artery is said by the finding site. PS3.16 also lists 1386000 as "Occlusion of artery", but in SNOMED CT
that is intracranial haemorrhage: never use it.
"""
CALL = own("lvo-call", "Large-vessel occlusion, call of the software")
CALLS = {
    Call.SUSPECTED: _sct("415684004", "Suspected"),
    Call.INDETERMINATE: _sct("82334004", "Indeterminate"),
    Call.NOT_DETECTED: own("not-detected", "Not detected; does not rule out an occlusion"),
}
"""Values of CALL. "Not detected" is our own code: the standard's words would say more than is known."""

PERFUSION_STATE = own("perfusion-state", "CT perfusion, state of the analysis")
COMMENT = _dcm("121106", "Comment")
PROBABILITY = own("lvo-probability", "LVO probability, calibrated on synthetic heads")
THRESHOLD = own("lvo-threshold", "Probability from which an occlusion is suspected")
COLLATERAL_SCORE = own("collateral-score", "Collateral score (Tan, 0 to 3)")
VOLUME = _sct("118565006", "Volume")
MISMATCH_VOLUME = own("mismatch-volume", "Mismatch volume: hypoperfusion minus core")
MISMATCH_RATIO = own("mismatch-ratio", "Mismatch ratio: hypoperfusion / core")
HIR = own("hir", "Hypoperfusion intensity ratio")
CORE = own("core", "Estimated ischaemic core")
HYPOPERFUSION = own("hypoperfusion", "Hypoperfused tissue")
CEREBRAL_ARTERY = _sct("88556005", "Cerebral Artery")
ARTERY = _sct("51114001", "Artery")
CT_PERFUSION = _dcm("126301", "Perfusion analysis by IV Iodinated Contrast CT technique")

LATERALITY = {
    Side.LEFT: _sct("7771000", "Left"),
    Side.RIGHT: _sct("24028007", "Right"),
    Side.BOTH: _sct("51440002", "Right and left"),
    Side.MIDLINE: _sct("261129000", "Midline"),
}

SITES = {
    Site.ICA: _sct("86117002", "Internal carotid artery"),
    Site.ICA_T: _sct("415646005", "Terminal internal carotid artery"),
    Site.M1: _sct("414722000", "Middle Cerebral Artery M1 Segment"),
    Site.M2: _sct("414723005", "Middle Cerebral Artery M2 Segment"),
    Site.A1: own("a1", "Anterior Cerebral Artery A1 Segment"),
    Site.A2: own("a2", "Anterior Cerebral Artery A2 Segment"),
    Site.P1: _sct("415144009", "Posterior Cerebral Artery P1 Segment"),
    Site.BA: _sct("59011009", "Basilar artery"),
    Site.VA: _sct("85234005", "Vertebral artery"),
}

MAP_QUANTITIES = {
    "cbf": _dcm("113055", "Regional Cerebral Blood Flow"),
    "cbv": _dcm("113056", "Regional Cerebral Blood Volume"),
    "mtt": _dcm("113052", "Mean Transit Time"),
    "tmax": _dcm("113084", "Tmax"),
    "delay": own("delay", "Arrival delay of contrast"),
}
"""What each parametric map holds."""

UNITS = {
    "mL": Code("mL", "UCUM", "mL"),
    "1": Code("1", "UCUM", "no units"),
    "s": Code("s", "UCUM", "s"),
    "ml/(100.g)": Code("ml/(100.g)", "UCUM", "ml/(100.g)"),
    "ml/(100.g)/min": Code("ml/(100.g)/min", "UCUM", "ml/(100.g)/min"),
}


def unjudged(outcome: Outcome[CtaResult] | Outcome[PerfusionResult]) -> tuple[CodedConcept, tuple[str, ...]] | None:
    """Code and reasons of a part without a result; None when it was judged."""
    match outcome:
        case NotAssessable(reasons=reasons):
            return own("not-assessable", "Could not be judged"), reasons
        case Absent(reason=reason):
            return own("not-analysed", "Not analysed"), (reason,)
        case _:
            return None
