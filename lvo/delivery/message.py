"""What people read in a notice, and who the patient is where that may be said."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from lvo import RESEARCH_USE_ONLY
from lvo.delivery.records import Notice

__all__ = ["Identity", "identity_of", "subject", "text_lines"]

_ATTRIBUTES = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "AccessionNumber")
_FILES_TRIED = 50
"""Of a source: the first DICOM file among so many says who the patient is."""


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Who the patient is, in the words of the DICOM headers; empty where they say nothing. Not shown by repr.

    Args:
        name: components separated by ^.
        patient_id, issuer: number, and who gave it.
        birth_date: YYYYMMDD.
        sex: M, F or O.
        accession: number of the order.
    """

    name: str = ""
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    accession: str = ""


def identity_of(source: str, *, wanted: bool) -> Identity | None:
    """Who the patient of a study is.

    Args:
        source: a DICOM file of the study, or a folder with some.
        wanted: whether it may be said; it is not even read otherwise.

    Returns:
        None when it may not be said, or when no file says it: a missing name must not hold up an alarm.
    """
    if not wanted or not source:
        return None
    for path in islice(_files(Path(source)), _FILES_TRIED):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=[*_ATTRIBUTES, "SpecificCharacterSet"])
        except (OSError, InvalidDicomError, EOFError):
            continue
        return Identity(*(str(header.get(name) or "") for name in _ATTRIBUTES))
    return None


def subject(notice: Notice, site: str) -> str:
    """One line without identity."""
    where = f" [{site}]" if site else ""
    return f"lvo{where}: {_headline(notice)}"


def text_lines(notice: Notice, *, link: str = "") -> tuple[str, ...]:
    """The message as lines without identity, the most important first.

    Args:
        notice: what to tell.
        link: address of the study's page in the viewer, empty where there is none.
    """
    lines = [f"{_headline(notice)}."]
    if notice.standing is not None:
        lines.append(f"The result that stands: {_HEADLINES[notice.standing]}{_place(notice)}.")
    if notice.probability is not None:
        lines.append(f"Probability {notice.probability:.2f} (calibrated on synthetic heads).")
    if "not_detected" in {notice.event, notice.standing}:
        lines.append("This does not rule out an occlusion.")
    if notice.waited_min is not None:
        lines.append(f"Waiting for {notice.waited_min:.0f} minutes.")
    lines += [f"Reason: {reason}" for reason in notice.reasons]
    volumes = {"core": notice.core_ml, "hypoperfusion": notice.hypoperfusion_ml, "mismatch": notice.mismatch_ml}
    if any(value is not None for value in volumes.values()):
        lines.append("CT perfusion: " + ", ".join(f"{k} {v:.0f} mL" for k, v in volumes.items() if v is not None) + ".")
    if notice.event in _NEEDS_A_READER:
        lines.append("A clinician must read the images now.")
    if link:
        lines.append(f"Look at it: {link}")
    return (
        *lines,
        f"Study Instance UID {notice.study_instance_uid}",
        f"At {notice.at.isoformat(timespec='seconds')}",
        RESEARCH_USE_ONLY,
    )


_HEADLINES = {
    "suspected": "large-vessel occlusion suspected",
    "indeterminate": "large-vessel occlusion indeterminate",
    "not_detected": "no large-vessel occlusion detected",
    "not_assessable": "CT angiogram COULD NOT BE JUDGED",
    "failed": "analysis FAILED, there is no result",
    "overdue": "images without result: the analysis is LATE",
}
_NEEDS_A_READER = frozenset({"suspected", "indeterminate", "not_assessable", "failed", "overdue"})


def _headline(notice: Notice) -> str:
    return _HEADLINES[notice.event] + (_place(notice) if notice.standing is None else "")


def _place(notice: Notice) -> str:
    place = " ".join(word for word in (notice.side, notice.site) if word)
    return f", {place}" if place else ""


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    elif source.is_dir():
        yield from (path for path in sorted(source.rglob("*")) if path.is_file())
