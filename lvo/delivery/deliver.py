"""Hand results and notices over to the outbox, and send what is due.

`hand_over` and `tell` only write to the outbox; `deliver_due` sends what is due now, `run_deliverer` goes on until it is
stopped. Any number of programs may do so at once.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lvo.delivery.link import study_link
from lvo.delivery.outbox import Outbox
from lvo.delivery.records import Delivery, Notice, Parcel, notice_of, read_parcel
from lvo.delivery.settings import (
    DeliverySettings,
    DicomDestination,
    EmailNotification,
    FhirNotification,
    FolderDestination,
    Hl7Notification,
    Notification,
    StowDestination,
    Target,
    Told,
    WebhookNotification,
)  # fmt: skip
from lvo.errors import DeliveryError, InputError, LvoError, RefusedError

__all__ = ["Job", "Tally", "deliver_due", "hand_over", "run_deliverer", "tell"]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What a sender gets.

    Args:
        delivery: what to send.
        site: code of this hospital.
        note: keeps the claim and notes what the target said of each object so far; raises `DeliveryError` when the claim was
            lost.
        outbox: where answers arrive that come by another way.
        viewer_url: address of the worklist, empty where people have none.
    """

    delivery: Delivery
    site: str
    note: Callable[[Mapping[str, str]], None]
    outbox: Outbox
    viewer_url: str = ""

    def link(self, notice: Notice) -> str:
        """Address of the study's page in the viewer, empty where none is configured."""
        return study_link(self.viewer_url, notice.study_instance_uid)


Send = Callable[[Job], str]
"""Sends one delivery and returns a remark, empty when there is nothing to say.

Raises `RefusedError` when the target will never take it, another `DeliveryError` when it may later.
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many deliveries ended how."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    superseded: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.dead + other.dead,
            self.superseded + other.superseded,
        )


def hand_over(outbox: Outbox, settings: DeliverySettings, parcel: Parcel, *, at: datetime) -> int:
    """Queue a result for every destination, and tell those who want to know. Handed over again, nothing happens twice.

    Args:
        outbox: that takes it.
        settings: destinations and notifications.
        parcel: the result.
        at: when it was there, with offset from UTC.

    Returns:
        How many deliveries this made.

    Raises:
        InputError: the result cannot be read.
        OutputError: the outbox cannot be written.
    """
    notice = notice_of(parcel, at=at)
    names = [destination.name for destination in settings.destinations]
    return outbox.put(parcel, names, urgent=notice.event == "suspected") + tell(outbox, settings, notice)


def tell(outbox: Outbox, settings: DeliverySettings, notice: Notice, *, asked: Told | None = None) -> int:
    """Queue a notice for everyone who wants to know, or who was told otherwise before.

    Args:
        outbox: that takes it.
        settings: with the notifications.
        notice: what to tell.
        asked: what those who are told must have asked for; the event of the notice if omitted.

    Returns:
        How many will be told.

    Raises:
        OutputError: the outbox cannot be written.
    """
    event = asked or notice.event
    told = [outbox.put_notice(notice, target.name, wanted=event in target.on) for target in settings.notifications]
    return sum(told)


def deliver_due(
    outbox: Outbox,
    settings: DeliverySettings,
    *,
    targets: Collection[str] | None = None,
    stop: threading.Event | None = None,
    beat: Callable[[str], None] | None = None,
) -> Tally:
    """Send everything that is due now. A target that fails is left alone until the next call; the others go on.

    Args:
        outbox: with the deliveries.
        settings: of the targets.
        targets: names of those to serve; all if omitted.
        stop: no further delivery is begun when it is set.
        beat: called with the name of the target before each delivery.

    Raises:
        OutputError: the outbox cannot be written.
    """
    tally = Tally()
    for target in settings.targets:
        if targets is not None and target.name not in targets:
            continue
        while stop is None or not stop.is_set():
            if beat is not None:
                beat(target.name)
            claim = outbox.claim(target.name, lease_s=settings.retry.lease_s, longest_s=settings.retry.longest_s)
            if claim is None:
                break
            ended = _deliver(outbox, settings, target, claim)
            tally += ended
            if ended.failed:
                break
    return tally


def run_deliverer(
    settings: DeliverySettings, *, stop: threading.Event, poll_s: float = 0.5, beat: Callable[[str], None] | None = None
) -> Tally:
    """Send what is due until `stop` is set, each target in a thread of its own so that a slow one holds up nobody.

    Args:
        settings: of the targets and the outbox.
        stop: ends the deliverer after the deliveries in progress.
        poll_s: pause when nothing is due.
        beat: called again and again with the name of each target, by the thread that serves it.

    Raises:
        OutputError: the outbox cannot be opened or written; the others are stopped first.
    """

    def serve(name: str) -> Tally:
        tally = Tally()
        with Outbox(Path(settings.outbox)) as outbox:
            while not stop.is_set():
                tally += deliver_due(outbox, settings, targets={name}, stop=stop, beat=beat)
                stop.wait(poll_s)
        return tally

    names = [target.name for target in settings.targets]
    with ThreadPoolExecutor(max(1, len(names)), thread_name_prefix="deliver") as pool:
        served = [pool.submit(serve, name) for name in names]
        try:
            wait(served, return_when=FIRST_EXCEPTION)
        finally:  # also when the program is interrupted
            stop.set()
    return sum((one.result() for one in served), Tally())


def _deliver(outbox: Outbox, settings: DeliverySettings, target: Target, claim: Delivery) -> Tally:
    """Send one delivery and write down how it ended."""
    overtaken = _overtaken(outbox, settings, claim)
    if overtaken is not None:
        return overtaken

    def note(done: Mapping[str, str]) -> None:
        if not outbox.renew(claim, lease_s=settings.retry.lease_s, done=done):
            msg = "the delivery was taken over by another program"
            raise DeliveryError(msg)

    start = time.monotonic()
    try:
        remark = _sender(target)(Job(claim, settings.site, note, outbox, settings.viewer_url))
    except RefusedError as error:
        outbox.dead(claim, str(error))
        LOG.error("delivery %d to %s is dead: %s", claim.id, target.name, error)  # noqa: TRY400 - an answer, no fault of ours
        return Tally(dead=1)
    except (DeliveryError, OSError) as error:
        reason = str(error) if isinstance(error, LvoError) else f"{type(error).__name__}: {error.strerror or error}"
        outbox.failed(claim, reason, retry=settings.retry)
        LOG.warning("delivery %d to %s failed, attempt %d: %s", claim.id, target.name, claim.attempts, reason)
        return Tally(failed=1)
    except Exception as error:  # noqa: BLE001 - one delivery with something unforeseen must not stop all others
        reason = _unforeseen(error)
        outbox.failed(claim, reason, retry=settings.retry)
        LOG.error("delivery %d to %s failed, attempt %d: %s", claim.id, target.name, claim.attempts, reason)  # noqa: TRY400 - a traceback may quote the patient
        return Tally(failed=1)
    outbox.delivered(claim, remark)
    LOG.info(
        "delivery %d to %s done in %.1f s%s", claim.id, target.name, time.monotonic() - start, f": {remark}" if remark else ""
    )
    outbox.wake(target.name)
    return Tally(delivered=1)


def _unforeseen(error: Exception) -> str:
    """Type and place of an error; its message might quote the patient."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is missing: pip install 'lvo[node]'"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"internal error ({type(error).__name__} in {place.name}, line {place.lineno}); report it"


LOOKS = 3
"""How often a result that is not there is looked for: while it is replaced there is a moment without any."""


def _overtaken(outbox: Outbox, settings: DeliverySettings, claim: Delivery) -> Tally | None:
    """End a parcel whose folder no longer holds the result that was handed over."""
    if claim.folder is None:
        return None
    try:
        if read_parcel(claim.folder).version == claim.version:
            return None
        reason, gone = "the result folder holds another result by now", False
    except InputError as error:
        reason, gone = str(error), True
    newer = any(d.id > claim.id and d.target == claim.target for d in outbox.list(study=claim.study_instance_uid))
    if newer:
        outbox.supersede(claim, f"{reason}, which was handed over too")
        return Tally(superseded=1)
    if gone and claim.attempts < LOOKS:
        outbox.failed(claim, reason, retry=settings.retry)
        return Tally(failed=1)
    outbox.dead(claim, f"{reason}; hand it over again with `lvo deliver`")
    return Tally(dead=1)


def _sender(target: Target) -> Send:
    """The function that serves a kind of target; its library is loaded only here."""
    match target:
        case DicomDestination():
            from lvo.delivery.cstore import send_dicom

            return lambda job: send_dicom(target, job)
        case StowDestination():
            from lvo.delivery.stow import send_stow

            return lambda job: send_stow(target, job)
        case FolderDestination():
            from lvo.delivery.folder import send_folder

            return lambda job: send_folder(target, job)
        case _:
            return _teller(target)


def _teller(target: Notification) -> Send:
    match target:
        case WebhookNotification():
            from lvo.delivery.webhook import send_webhook

            return lambda job: send_webhook(target, job)
        case EmailNotification():
            from lvo.delivery.mail import send_email

            return lambda job: send_email(target, job)
        case Hl7Notification():
            from lvo.delivery.oru import send_hl7

            return lambda job: send_hl7(target, job)
        case FhirNotification():
            from lvo.delivery.fhir import send_fhir

            return lambda job: send_fhir(target, job)
