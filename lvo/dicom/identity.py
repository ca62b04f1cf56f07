"""Whose study a result belongs to and when it was scanned, read from the DICOM results beside it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

__all__ = ["Identity", "read_identity"]

_TAGS = ["PatientName", "PatientID", "StudyDate", "StudyTime", "TimezoneOffsetFromUTC"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What the hospital knows a study by; every part may be unknown.

    Args:
        name: of the patient, as "FAMILY, Given".
        patient_id: number of the patient.
        scanned_at: start of the study; in this machine's time zone where the images name none.
    """

    name: str = ""
    patient_id: str = ""
    scanned_at: datetime | None = None


def read_identity(folder: Path) -> Identity:
    """Read the header of the first DICOM result in a folder; nothing is known where there is none that can be read."""
    for path in sorted(folder.glob("*.dcm")):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
        except (OSError, InvalidDicomError):
            continue
        name = header.get("PatientName")
        words = ", ".join(part for part in (name.family_name, name.given_name) if part) if name else ""
        return Identity(words, str(header.get("PatientID") or ""), _start(header))
    return Identity()


def _start(header: pydicom.Dataset) -> datetime | None:
    """Start of the study, None where its date or time is missing or no time."""
    day, clock = str(header.get("StudyDate") or ""), str(header.get("StudyTime") or "").split(".")[0]
    try:
        at = datetime.strptime(f"{day} {clock:0<6}", "%Y%m%d %H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    if not clock:
        return None
    offset = str(header.get("TimezoneOffsetFromUTC") or "")
    if not offset:
        return at.replace(tzinfo=None).astimezone()
    try:
        minutes = int(offset[:-2]) * 60 + int(offset[0] + offset[-2:])
        return at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    except (ValueError, IndexError):
        return None
