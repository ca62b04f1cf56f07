"""The codes our DICOM results are written in: the standard's where it has one, our own scheme 99LVO where it has none.

SCT and DCM codes are those of PS3.16 (CID 244, 3827, 7151, 7469, 4108); 99LVO codes are ours and change only with the
changelog.
"""

from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.coding import Code

from lvo.core.outcome import Absent, NotAssessable
from lvo.core.report import Call, Side, Site
from lvo.core.study import Role

__all__ = [
    "ARTERY", "ASSESSED", "BRAIN", "CALL", "CALLS", "CBV_INDEX", "CEREBRAL_ARTERY", "COLLATERAL_SCORE", "COMMENT", "CORE",
    "DENSITY", "DEVICE", "EXPECTED_SHARE", "GAP", "HIR", "HYPOPERFUSION", "KEY_OBJECTS_TITLE", "LATERALITY", "LATE_THRESHOLD",
    "LATE_TISSUE", "MAP_QUANTITIES", "MISMATCH_RATIO", "MISMATCH_VOLUME", "OCCLUSION", "PERFUSION_STATE", "PROBABILITY",
    "PROCEDURES", "REPORT_TITLE", "SCHEME", "SITES", "TERRITORIES", "TEXT_TITLE", "THRESHOLD", "THROMBUS", "TREES", "UNITS",
    "VOLUME", "artery_segment", "band", "item", "own", "unjudged",
]  # fmt: skip

SCHEME = "99LVO"
"""Designator of our own codes (PS3.16 chapter 8: private schemes start with 99)."""


def own(value: str, meaning: str) -> CodedConcept:
    """A code of our own scheme."""
    return CodedConcept(value, SCHEME, meaning)


def item(code: Code | CodedConcept) -> Dataset:
    """A code as an item of a code sequence."""
    coded: Dataset = CodedConcept(code.value, code.scheme_designator, code.meaning)
    return coded


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

DEVICE = _dcm("121007", "Device")
TEXT_TITLE = Code("18782-3", "LN", "Radiology Study observation")
REPORT_TITLE = _dcm("126000", "Imaging Measurement Report")
KEY_OBJECTS_TITLE = _dcm("113000", "Of Interest")
PROCEDURES = {
    Role.CTA: _sct("77477000", "Computed tomography"),
    Role.CTP: _dcm("126301", "Perfusion analysis by IV Iodinated Contrast CT technique"),
}

ASSESSED = own("assessed", "Assessed")
PERFUSION_STATE = own("perfusion-state", "CT perfusion, state of the analysis")
COMMENT = _dcm("121106", "Comment")
PROBABILITY = own("lvo-probability", "LVO probability, calibrated on synthetic heads")
THRESHOLD = own("lvo-threshold", "Probability from which an occlusion is suspected")
COLLATERAL_SCORE = own("collateral-score", "Collateral score (Tan, 0 to 3)")
VOLUME = _sct("118565006", "Volume")
EXPECTED_SHARE = own("lumen-share", "Lumen as a share of what is usual for the segment")
GAP = own("lumen-gap", "Longest stretch of the segment without lumen")
DENSITY = own("lumen-density", "Median density of the lumen")
MISMATCH_VOLUME = own("mismatch-volume", "Mismatch volume: hypoperfusion minus core")
MISMATCH_RATIO = own("mismatch-ratio", "Mismatch ratio: hypoperfusion / core")
HIR = own("hir", "Hypoperfusion intensity ratio")
CBV_INDEX = own("cbv-index", "CBV index: hypoperfused / normal tissue")
LATE_TISSUE = own("late-tissue", "Tissue that fills late by time to peak")
LATE_THRESHOLD = own("late-threshold", "Delay of the peak from which tissue counts as late")
CORE = own("core", "Estimated ischaemic core")
HYPOPERFUSION = own("hypoperfusion", "Hypoperfused tissue")
CEREBRAL_ARTERY = _sct("88556005", "Cerebral Artery")
ARTERY = _sct("51114001", "Artery")
THROMBUS = _sct("396339007", "Thrombus")
BRAIN = _sct("12738006", "Brain")

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

TERRITORIES = {
    "ICA": SITES[Site.ICA],
    "MCA": _sct("17232002", "Middle cerebral artery"),
    "ACA": _sct("60176003", "Anterior cerebral artery"),
    "PCA": _sct("70382005", "Posterior cerebral artery"),
    "MCA distal": own("mca-distal", "Distal branches of the middle cerebral artery"),
}
"""Arteries of a territory, by the names of `TerritoryVolume`."""

TREES = {
    "ICA": SITES[Site.ICA],
    "MCA": TERRITORIES["MCA"],
    "ACA": TERRITORIES["ACA"],
    "PCA": TERRITORIES["PCA"],
    "VB": own("vertebrobasilar", "Vertebral and basilar arteries"),
}
"""Trees of a vessel map, by the names of `lvo.core.anatomy.ARTERY_TREES`; the standard has no code for both VA and BA."""

MAP_QUANTITIES = {
    "cbf": _dcm("113055", "Regional Cerebral Blood Flow"),
    "cbv": _dcm("113056", "Regional Cerebral Blood Volume"),
    "mtt": _dcm("113052", "Mean Transit Time"),
    "tmax": _dcm("113084", "Tmax"),
    "delay": own("delay", "Arrival delay of contrast"),
    "rttp": own("rttp", "Time to peak after that of normal tissue"),
}
"""What each parametric map holds."""

_BANDS = {
    "tmax>": ("tmax-over-{}", "Volume of tissue with Tmax over {} s"),
    "rcbf<": ("rcbf-below-{}", "Volume of tissue with CBF below {} % of normal"),
}

MAP_TITLES = {"cbf": "CBF", "cbv": "CBV", "mtt": "MTT", "tmax": "Tmax", "delay": "arrival delay", "rttp": "late peak"}
"""What a list of series calls each parametric map."""

UNITS = {
    "mL": Code("mL", "UCUM", "mL"),
    "1": Code("1", "UCUM", "no units"),
    "s": Code("s", "UCUM", "s"),
    "mm": Code("mm", "UCUM", "mm"),
    "[hnsf'U]": Code("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "ml/(100.g)": Code("ml/(100.g)", "UCUM", "ml/(100.g)"),
    "ml/(100.g)/min": Code("ml/(100.g)/min", "UCUM", "ml/(100.g)/min"),
}


def artery_segment(name: str) -> Code | CodedConcept:
    """The artery of that name as a finding site: a segment, or a branch like "M2-superior", which is coded as its segment."""
    for known in (name, name.rpartition("-")[0]):
        if known in set(Site):
            return SITES[Site(known)]
    return own(f"segment-{name.lower()}", f"Artery segment {name}")


def band(key: str) -> CodedConcept:
    """Volume of tissue beyond one step of a threshold; `key` as in `PerfusionResult.volumes_ml`: "tmax>6" or "rcbf<30".

    Raises:
        KeyError: a quantity or comparison that is none of these.
    """
    value, meaning = _BANDS[key[:5]]
    return own(value.format(key[5:]), meaning.format(key[5:]))


def unjudged(outcome: NotAssessable | Absent) -> tuple[CodedConcept, tuple[str, ...]]:
    """Code and reasons of a part without a result."""
    if isinstance(outcome, NotAssessable):
        return own("not-assessable", "Could not be judged"), outcome.reasons
    return own("not-analysed", "Not analysed"), (outcome.reason,)
