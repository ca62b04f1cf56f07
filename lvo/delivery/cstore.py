"""Results to a PACS by C-STORE, every status looked at (PS3.4 annex B, PS3.7 annex C).

Sending an object again is harmless: its SOP Instance UID is the same, so a PACS keeps one, replaces it or calls it a duplicate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.status import code_to_category

from lvo.delivery.commitment import await_commitment
from lvo.delivery.deliver import Job
from lvo.delivery.peers import PLAIN_SYNTAXES, associate
from lvo.delivery.settings import DicomDestination
from lvo.errors import DeliveryError, RefusedError

__all__ = ["ResultObject", "objects_of", "refusals", "send_dicom", "summary"]

DUPLICATE = 0x0111
"""Duplicate SOP Instance (PS3.7 C.5.7): the PACS has it already."""

NOT_AUTHORIZED, CLASS_NOT_SUPPORTED = 0x0124, 0x0122
_MEANINGS = {
    0xB000: "elements coerced", 0xB006: "elements discarded", 0xB007: "does not fit its class", 0xA700: "out of resources",
    0xA900: "does not fit its class", 0xC000: "cannot be understood", 0x0110: "processing failure",
    0x0122: "class not supported",
    0x0124: "not authorized",
}  # fmt: skip
"""Of statuses, and of those that begin alike."""

NO_CONTEXT = "not offered: the peer takes no such objects"

_ORDER = ("sc", "sr", "text", "pr", "ko", "pdf", "seg", "pm")
"""What people look at first goes first; maps are large."""


@dataclass(frozen=True, slots=True)
class ResultObject:
    """One DICOM file of a result."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str


def objects_of(folder: Path | None, patterns: Sequence[str]) -> tuple[ResultObject, ...]:
    """The DICOM objects of a result folder whose file names fit a pattern, the most useful first.

    Raises:
        RefusedError: there is none, or one of them is not DICOM.
    """
    found = [] if folder is None else sorted((folder / "dicom").glob("*.dcm"))
    wanted = [path for path in found if any(fnmatch(path.name, pattern) for pattern in patterns)]
    if not wanted:
        msg = f"the result has no DICOM object called {' or '.join(patterns)}; switch them on in [outputs], or see `objects`"
        raise RefusedError(msg)
    return tuple(_object(path) for path in sorted(wanted, key=_rank))


def send_dicom(destination: DicomDestination, job: Job) -> str:
    """Store the objects of a result in a PACS, and ask it to commit itself to them where that is configured.

    Returns:
        Warnings of the PACS.

    Raises:
        DeliveryError: the PACS cannot be reached, or did not take or commit everything; what it took is noted.
        RefusedError: it took everything but objects that it refuses for good.
    """
    objects = objects_of(job.delivery.folder, destination.objects)
    done = {uid: said for uid, said in job.delivery.done.items() if not said.startswith("refused")}
    if any(one.sop_instance_uid not in done for one in objects):
        _store(destination, job, objects, done)
    refused = refusals(objects, done)
    if destination.commitment:
        kept = [one for one in objects if not done[one.sop_instance_uid].startswith("refused")]
        await_commitment(destination, job, [(one.sop_class_uid, one.sop_instance_uid) for one in kept], done)
    if refused:
        raise RefusedError(refused)
    return summary(objects, done)


def refusals(objects: Sequence[ResultObject], done: Mapping[str, str]) -> str:
    """Which objects were refused, and why; empty when none was."""
    lines = [f"{one.path.name} {said}" for one in objects if (said := done[one.sop_instance_uid]).startswith("refused")]
    return f"{len(lines)} of {len(objects)} objects: {'; '.join(lines)}" if lines else ""


def summary(objects: Sequence[ResultObject], done: Mapping[str, str]) -> str:
    """What was said of objects that were taken with a warning."""
    return "; ".join(f"{one.path.name}: {said}" for one in objects if (said := done[one.sop_instance_uid]) != "stored")


def _store(destination: DicomDestination, job: Job, objects: Sequence[ResultObject], done: dict[str, str]) -> None:
    classes = sorted({one.sop_class_uid for one in objects})
    contexts = [build_context(uid, PLAIN_SYNTAXES) for uid in classes]
    with associate(destination, contexts) as association:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        for one in objects:
            if one.sop_instance_uid in done:
                continue
            if one.sop_class_uid in accepted:
                done[one.sop_instance_uid] = _send(association, one)
            else:
                done[one.sop_instance_uid] = f"refused, {NO_CONTEXT}"
            job.note(done)


def _send(association: Association, one: ResultObject) -> str:
    """What the PACS said of an object.

    Raises:
        DeliveryError: nothing, or that it cannot take it now.
    """
    try:
        status = association.send_c_store(one.path)
    except (RuntimeError, ValueError) as error:  # the association is gone, or the file cannot be encoded
        msg = f"{one.path.name} could not be sent ({type(error).__name__}): the association broke off"
        raise DeliveryError(msg) from error
    if "Status" not in status:
        msg = f"{one.path.name}: no answer in time, or the association broke off"
        raise DeliveryError(msg)
    return _judge(one.path.name, int(status.Status))


def _judge(name: str, code: int) -> str:
    """Words for a status of C-STORE (PS3.4 table B.2-1, PS3.7 C). The PACS's own words are left out: they may quote a name.

    Raises:
        DeliveryError: the PACS may take it later.
    """
    known = _MEANINGS.get(code) or _MEANINGS.get(code & 0xFF00)
    words = f"0x{code:04X}{f' ({known})' if known else ''}"
    if code == 0x0000:
        return "stored"
    if code == DUPLICATE:
        return f"{words}, the PACS has it already"
    if code_to_category(code) == "Warning":
        return f"{words}, stored with a warning"
    if 0xA900 <= code <= 0xA9FF or 0xC000 <= code <= 0xCFFF or code in {CLASS_NOT_SUPPORTED, NOT_AUTHORIZED}:
        return f"refused with {words}"
    msg = f"{name}: status {words}"
    raise DeliveryError(msg)


def _object(path: Path) -> ResultObject:
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        return ResultObject(path, str(header.SOPClassUID), str(header.SOPInstanceUID))
    except (InvalidDicomError, AttributeError) as error:
        msg = f"{path.name} is not DICOM; analyse the study again"
        raise RefusedError(msg) from error


def _rank(path: Path) -> tuple[int, str]:
    kind = path.stem.split("_", maxsplit=1)[0]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), path.name)
