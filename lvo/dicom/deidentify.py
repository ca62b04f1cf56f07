"""CT images without the patient: the Basic Application Level Confidentiality Profile of PS3.15 Annex E, by dicom-anonymizer.

The library holds the table of the standard and what to do with each attribute. Four things are done around it, since it does
not (decision 0017): it looks at the top level only, so every item of every sequence goes through it on its own; it draws new
UIDs at random in each process, so here they follow from the old ones and a secret; its dummy for dates, the year 1, is no date
to validators, so dates are emptied or removed; and it says nothing in the file about having been there. Pixels are not looked
at, so only CT images are taken, and none that says it has text burned in.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage

from lvo.errors import InputError, UsageError

__all__ = ["EDITION", "deidentify", "may_leave", "new_uid"]

EDITION = "dicomfields_2026c"
"""Edition of PS3.15 whose Table E.1-1 is used."""

_CLASSES = {CTImageStorage, EnhancedCTImageStorage}
_GROUP_LENGTHS, _CURVES, _OVERLAYS = 0x0000, range(0x5000, 0x5100), range(0x6000, 0x6100)
_PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")
_TIMES_KEPT = ("113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option")
"""PS3.16 CID 7050."""
_TIMED = (
    "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime",
    "AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime",
)  # fmt: skip
"""Without these the frames of a perfusion scan have no order."""
_NO_DATE = ("00010101", "000000.00")
"""What the library writes for dates and times."""
_MAY_BE_EMPTY = ("StudyDate", "StudyTime", "PatientBirthDate", "ContentDate", "ContentTime")
_MOST_DAYS = 3650
"""Dates move back by up to ten years, all of one patient alike."""


def may_leave(dataset: Dataset) -> bool:
    """Whether an object can be de-identified without looking at its pixels: a CT image that does not say it shows text."""
    burned = str(dataset.get("BurnedInAnnotation", "NO")).upper() != "NO"
    screen = any(str(word).upper() in ("SCREEN SAVE", "SECONDARY") for word in dataset.get("ImageType", ()))
    return dataset.get("SOPClassUID") in _CLASSES and not burned and not screen


def new_uid(uid: str, secret: bytes) -> UID:
    """The UID that takes the place of another: the same for the same secret, not to be traced back without it (PS3.5 B.2)."""
    digest = hmac.new(secret, uid.encode(), hashlib.sha256).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def deidentify(dataset: Dataset, secret: bytes, *, keep_intervals: bool = False) -> None:
    """Take the patient out of an image, in place.

    Args:
        dataset: with its file meta; one for which `may_leave` says yes.
        secret: what the new UIDs and the new Patient ID follow from; keep it apart from the images, or throw it away.
        keep_intervals: keep times of day and move dates instead of removing both; perfusion can be analysed again only then.

    Raises:
        InputError: it may not leave, or the library does not know how to treat one of its attributes.
        UsageError: dicom-anonymizer is not installed.
    """
    if not may_leave(dataset):
        msg = "only CT images without burned-in text can be de-identified; leave out screen captures, reports and documents"
        raise InputError(msg)
    anonymize, rules = _library(secret)
    patient = new_uid(f"patient {dataset.get('PatientID', '')}", secret).rsplit(".", 1)[1][:16]
    if keep_intervals:
        rules |= dict.fromkeys(map(_tag, _TIMED), _mover(days=1 + int(patient) % _MOST_DAYS))
    try:
        for level in _levels(dataset):
            anonymize(level, base_rules_gen=lambda: dict(rules))
    except (NotImplementedError, ValueError, TypeError) as error:
        msg = f"an image cannot be de-identified: {type(error).__name__}; leave it out"
        raise InputError(msg) from error
    for level in _levels(dataset):
        _empty_dates(level)
    _drop_old_groups(dataset)
    dataset.PatientID = dataset.PatientName = patient
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if keep_intervals else "REMOVED"
    dataset.DeidentificationMethod = f"PS3.15 Basic Profile, {EDITION}"
    dataset.DeidentificationMethodCodeSequence = Sequence(map(_code, (_PROFILE, _TIMES_KEPT)[: 1 + keep_intervals]))
    dataset.preamble = b"\0" * 128  # anything may stand there
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
        if keyword in dataset.file_meta:
            delattr(dataset.file_meta, keyword)
    dataset.file_meta.remove_private_tags()


def _tag(keyword: str) -> tuple[int, int]:
    tag = tag_for_keyword(keyword) or 0
    return tag >> 16, tag & 0xFFFF


def _code(words: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = words
    return item


def _mover(days: int) -> Callable[[Dataset, Any], None]:
    """A rule that moves dates back and leaves times of day."""

    def move(dataset: Dataset, tag: Any) -> None:  # noqa: ANN401 - the library's signature
        element = dataset.get(tag)
        if element is None or element.VR == "TM" or not element.value:
            return
        text = str(element.value)
        element.value = (datetime.strptime(text[:8], "%Y%m%d") - timedelta(days=days)).strftime("%Y%m%d") + text[8:]  # noqa: DTZ007 - a date

    return move


def _levels(dataset: Dataset) -> Iterator[Dataset]:
    """Every item of every sequence, innermost first, then the data set itself; sequences are listed before they are changed."""
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                yield from _levels(item)
    yield dataset


def _empty_dates(level: Dataset) -> None:
    """Take out the library's dummy dates with their times; what must be there, though it may be empty (type 2), is emptied."""
    for element in list(level):
        if str(element.value).startswith(_NO_DATE) and element.VR in ("DA", "DT", "TM"):
            if element.keyword in _MAY_BE_EMPTY:
                element.value = ""
            else:
                del level[element.tag]


def _drop_old_groups(dataset: Dataset) -> None:
    """Curves and overlays may hold text; no CT image needs them."""
    for element in list(dataset):
        if element.tag.group in _CURVES or element.tag.group in _OVERLAYS or element.tag.element == _GROUP_LENGTHS:
            del dataset[element.tag]


def _library(secret: bytes) -> tuple[Callable[..., None], dict[tuple[int, ...], Callable[[Dataset, Any], None]]]:
    """The library's function, and its rules with UIDs that follow from the secret."""
    try:
        from dicomanonymizer import simpledicomanonymizer as library
    except ImportError as error:
        msg = "--export needs dicom-anonymizer: pip install 'lvo[batch]'"
        raise UsageError(msg) from error

    def replace_uid(dataset: Dataset, tag: Any) -> None:  # noqa: ANN401 - the library's signature
        element = dataset.get(tag)
        if element is None or not element.value:
            return
        many = not isinstance(element.value, str)
        element.value = [new_uid(str(v), secret) for v in element.value] if many else new_uid(str(element.value), secret)

    rules = library.initialize_actions(EDITION)
    uids = {library.replace_UID, library.delete_or_empty_or_replace_UID}
    return library.anonymize_dataset, {tag: _rule(rule, uids, replace_uid) for tag, rule in rules.items()}


def _rule(rule: Callable[..., None], uids: set[Callable[..., None]], replace_uid: Callable[..., None]) -> Callable[..., None]:
    """A rule for UIDs replaced; a sequence kept for its UIDs (X/Z/U*) stays, its items went through all rules before."""
    if rule not in uids:
        return rule

    def by_type(dataset: Dataset, tag: Any) -> None:  # noqa: ANN401 - the library's signature
        element = dataset.get(tag)
        if element is None or element.VR == "SQ":
            return
        (replace_uid if element.VR == "UI" else rule)(dataset, tag)

    return by_type
