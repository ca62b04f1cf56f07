"""What is delivered: a result folder is a `Parcel`, what people are told is a `Notice`, either on its way is a `Delivery`."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from lvo.delivery.settings import Told
from lvo.errors import InputError

__all__ = ["Delivery", "Notice", "Parcel", "State", "is_uid", "notice_of", "read_parcel"]

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_VERSION_DIGITS = 16
"""Hex digits of a version: 64 bits tell the few results of one study apart."""


class State(StrEnum):
    """What became of a delivery.

    Pending ones wait for their turn, dead ones for a person; a superseded one was overtaken by a newer result of its study.
    """

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A finished result folder. The same study and version is the same parcel, however often it is handed over.

    Args:
        folder: `DIR/<StudyInstanceUID>/` as the contract promises it.
        study_instance_uid: of the study.
        version: of its result.
    """

    folder: Path
    study_instance_uid: str
    version: str

    @property
    def key(self) -> str:
        """What tells this parcel from all others."""
        return f"{self.study_instance_uid}:{self.version}"


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What people are told about one study. It holds no identity.

    Args:
        event: why they are told.
        study_instance_uid: of the study.
        at: when it was so, with offset from UTC.
        version: of the result; empty where there is none.
        side, site: of the suspected occlusion.
        probability: of the occlusion, 0 to 1.
        core_ml, hypoperfusion_ml, mismatch_ml: where perfusion was judged.
        reasons: why it could not be judged, or why it failed; no identity may be in them.
        waited_min: how long images have been here without a result.
        standing: what the result says that stands while a later version of it is late or has failed, which is the event; the
            findings above are of that result.
        source: a DICOM file, or a folder with some, of this study: who the patient is, for a target that may be told.
    """

    event: Told
    study_instance_uid: str
    at: datetime
    version: str = ""
    side: str | None = None
    site: str | None = None
    probability: float | None = None
    core_ml: float | None = None
    hypoperfusion_ml: float | None = None
    mismatch_ml: float | None = None
    reasons: tuple[str, ...] = ()
    waited_min: float | None = None
    standing: Told | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse a time without offset and a UID that is none."""
        if self.at.tzinfo is None:
            msg = "the time of a notice needs an offset from UTC"
            raise ValueError(msg)
        _check_uid(self.study_instance_uid)

    @property
    def digest(self) -> str:
        """Hash of what people would read: a notice that says the same as the last one is not sent again."""
        said = (self.event, self.side, self.site, self.reasons)
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:_VERSION_DIGITS]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One parcel or notice on its way to one target.

    Args:
        id: number in the outbox.
        target: name of the destination or notification.
        key: of the parcel or notice; with the target it is unique.
        study_instance_uid: of the study.
        version: of the result.
        folder: of the parcel; None for a notice.
        notice: None for a parcel.
        state: what became of it.
        attempts: how often it was tried.
        queued_s, due_s: when it came in, and when its next attempt is due; seconds since 1970.
        reason: of the last failure, or why it is dead.
        done: what the target said of each object, by SOP Instance UID, so that a retry sends the others only.
        token: of the lease, for the program that is sending it.
    """

    id: int
    target: str
    key: str
    study_instance_uid: str
    version: str
    folder: Path | None
    notice: Notice | None
    state: State
    attempts: int
    queued_s: float
    due_s: float
    reason: str
    done: Mapping[str, str]
    token: str = ""


def read_parcel(folder: Path) -> Parcel:
    """The parcel that a result folder holds.

    Its version is a hash of the result without its timings, so the same result again has the same version.

    Raises:
        InputError: there is no complete result in the folder.
    """
    document = _document(folder)
    try:
        uid = document["study"]["study_instance_uid"]
        _check_uid(uid)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"result.json in {folder} names no study; hand over a folder that `lvo run` left"
        raise InputError(msg) from error
    content = {key: value for key, value in document.items() if key != "timings_s"}
    version = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_VERSION_DIGITS]
    return Parcel(folder.absolute(), uid, version)


def notice_of(parcel: Parcel, *, at: datetime) -> Notice:
    """What people are told of a result.

    Args:
        parcel: with the result.
        at: when it was there, with offset from UTC.

    Raises:
        InputError: the result cannot be read.
    """
    document = _document(parcel.folder)
    cta, perfusion = document.get("cta") or {}, document.get("perfusion") or {}
    lvo = cta.get("lvo") or {}
    assessed = cta.get("state") == "assessed" and lvo
    reasons = () if assessed else tuple(cta.get("reasons") or ()) or tuple(perfusion.get("reasons") or ())
    try:
        return msgspec.convert(
            {
                "event": lvo["call"] if assessed else "not_assessable",
                "study_instance_uid": parcel.study_instance_uid,
                "version": parcel.version,
                "at": at,
                **{name: lvo.get(name) for name in ("side", "site", "probability")},
                **{name: perfusion.get(name) for name in ("core_ml", "hypoperfusion_ml", "mismatch_ml")},
                "reasons": reasons,
                "source": str(parcel.folder / "dicom"),
            },
            Notice,
        )
    except (KeyError, msgspec.ValidationError) as error:
        msg = f"result.json in {parcel.folder} is no result of this version ({type(error).__name__}); analyse the study again"
        raise InputError(msg) from error


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / "result.json").read_bytes())
    except OSError as error:
        msg = f"{folder} holds no result.json ({error.strerror}); hand over a folder that `lvo run` left"
        raise InputError(msg) from error
    except ValueError as error:
        msg = f"result.json in {folder} is not JSON; analyse the study again"
        raise InputError(msg) from error
    if not isinstance(document, dict):
        msg = f"result.json in {folder} is no result; analyse the study again"
        raise InputError(msg)
    return document


def is_uid(text: str) -> bool:
    """Whether a text is a UID: digits and dots, at most 64, no empty component (PS3.5 9.1; zeros in front are let pass)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _check_uid(uid: str) -> None:
    if not is_uid(uid):
        msg = "a Study Instance UID is digits and dots, at most 64"
        raise ValueError(msg)
