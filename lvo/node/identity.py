"""Which study, series and image a received file is: the little of its header that a node needs. Nothing about the patient."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lvo.delivery.records import is_uid
from lvo.errors import InputError

__all__ = ["Identity", "identify"]

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_KEYWORDS = (*_UIDS, "Modality", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances")
_MAX_EXPECTED = 100_000
_PYDICOM = threading.Lock()
"""`quiet` must not be entered by several threads."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a received file is.

    Args:
        study_uid, series_uid, sop_uid, sop_class_uid: valid UIDs, safe as file names.
        modality: Modality, at most 16 characters of letters, digits and underscores.
        expected_in_study, expected_in_series: how many images the file says there are (PS3.3 C.3.4), None where it does not.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    modality: str
    expected_in_study: int | None
    expected_in_series: int | None


def identify(path: Path) -> Identity:
    """Read what a file is.

    Raises:
        InputError: it cannot be read, or an identifier is absent or no UID.
    """
    values = _values(path)
    uids: dict[str, str] = {}
    for keyword in _UIDS:
        value = values.get(keyword)
        if not isinstance(value, str) or not is_uid(value):
            what = "no UID" if value else "absent"
            msg = f"{keyword} is {what}: it must be digits and dots, at most 64; correct it at the sender"
            raise InputError(msg)
        uids[keyword] = value
    modality = re.sub(r"[^A-Z0-9_]", "", str(values.get("Modality") or "").upper())[:16]
    return Identity(
        study_uid=uids["StudyInstanceUID"],
        series_uid=uids["SeriesInstanceUID"],
        sop_uid=uids["SOPInstanceUID"],
        sop_class_uid=uids["SOPClassUID"],
        modality=modality,
        expected_in_study=_count(values.get("NumberOfStudyRelatedInstances")),
        expected_in_series=_count(values.get("NumberOfSeriesRelatedInstances")),
    )


def _values(path: Path) -> Mapping[str, object]:
    """Elements by keyword; pydicom is loaded only by processes that come here, so that the others start at once."""
    from pydicom.tag import Tag

    from lvo.dicom.headers import UNREADABLE, quiet, read_dataset
    from lvo.dicom.scan import Wanted, scan_file

    try:
        scan = scan_file(path, Wanted.of(*_KEYWORDS))
        if scan is not None:
            return scan.values
        with _PYDICOM, quiet():
            dataset, _ = read_dataset(path, pixels=False, tags=[Tag(keyword) for keyword in _KEYWORDS])
            return {keyword: str(dataset.get(keyword) or "").strip(" \0") for keyword in _KEYWORDS}
    except InputError:
        raise
    except UNREADABLE as error:
        msg = f"damaged DICOM header ({type(error).__name__}); send the image again"
        raise InputError(msg) from error


def _count(value: object) -> int | None:
    """A number of images, None where there is none or an absurd one."""
    text = str(value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 and 0 < int(text) <= _MAX_EXPECTED else None
