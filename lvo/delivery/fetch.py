"""Missing series and earlier studies from a PACS: C-FIND with C-GET or C-MOVE, or QIDO-RS with WADO-RS.

Every object is checked to belong to the study that was asked for, and takes its final name only when it is on disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)  # fmt: skip
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    CTImageStorage,
    EnhancedCTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)  # fmt: skip

from lvo.delivery.peers import PLAIN_SYNTAXES, Handlers, associate
from lvo.delivery.records import is_uid
from lvo.delivery.settings import DicomSource, Source, WadoSource
from lvo.delivery.stow import client_of
from lvo.delivery.waiting import called_back
from lvo.delivery.web import connection_errors
from lvo.durable import replace_file
from lvo.errors import DeliveryError

__all__ = ["Found", "fetch_series", "find_priors", "find_series"]

_CLASSES = (CTImageStorage, EnhancedCTImageStorage)
_SYNTAXES: list[str | UID] = [
    *PLAIN_SYNTAXES, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, JPEG2000, RLELossless,
]  # fmt: skip
"""What this program can read; never the deflated one, which can unfold to any size."""

REFUSED, NO_ROOM = 0xA900, 0xA700


@dataclass(frozen=True, slots=True)
class Found:
    """A series that a PACS has.

    Args:
        study_instance_uid, series_instance_uid: of the series.
        modality: as "CT".
        description: as the scanner wrote it; it may hold anything.
        n_instances: None where the PACS does not say.
        study_date: YYYYMMDD, empty where the PACS does not say.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    description: str
    n_instances: int | None
    study_date: str


def find_series(source: Source, study_instance_uid: str) -> tuple[Found, ...]:
    """Which series of a study a PACS has.

    Raises:
        DeliveryError: it cannot be asked.
    """
    asked = {"StudyInstanceUID": study_instance_uid}
    answers = [_found(answer, asked) for answer in _query(source, "SERIES", asked)]
    return tuple(sorted(answers, key=lambda one: one.series_instance_uid))


def find_priors(source: Source, patient_id: str, *, before: date | None = None) -> tuple[Found, ...]:
    """CT series of a patient's earlier studies, the newest study first.

    Args:
        source: the PACS.
        patient_id: as in the images; it is sent to the PACS and nowhere else.
        before: only studies of earlier days.

    Raises:
        DeliveryError: the PACS cannot be asked.
    """
    asked = {"PatientID": patient_id, "StudyInstanceUID": "", "StudyDate": ""}
    limit = "99999999" if before is None else before.strftime("%Y%m%d")
    studies = [answer for answer in _query(source, "STUDY", asked) if str(answer.get("StudyDate", "")) < limit]
    found: list[Found] = []
    for study in sorted(studies, key=lambda one: str(one.get("StudyDate", "")), reverse=True):
        uid, day = str(study.StudyInstanceUID), str(study.get("StudyDate", ""))
        answers = _query(source, "SERIES", {"StudyInstanceUID": uid, "Modality": "CT"})
        found += [_found(answer, {"StudyInstanceUID": uid, "StudyDate": day}) for answer in answers]
    return tuple(found)


def fetch_series(source: Source, study_instance_uid: str, series_instance_uid: str, folder: Path) -> int:
    """Bring the CT images of a series into a folder, one file per object, named by its SOP Instance UID.

    Args:
        source: the PACS.
        study_instance_uid: of the study.
        series_instance_uid: of the series.
        folder: made when it is not there.

    Returns:
        How many objects arrived; with C-MOVE to another listener, how many the PACS says it sent there.

    Raises:
        DeliveryError: the PACS cannot be asked, has none, or not all of them arrived; what arrived stays.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(source, WadoSource):
        return _wado(source, study_instance_uid, series_instance_uid, folder)
    wanted = _identifier("SERIES", {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": series_instance_uid})
    handlers: Handlers = [(evt.EVT_C_STORE, _store, [study_instance_uid, folder])]
    if source.method == "move":
        contexts = [build_context(StudyRootQueryRetrieveInformationModelMove, PLAIN_SYNTAXES)]
        images = [build_context(uid, _SYNTAXES) for uid in _CLASSES]
        waiting = called_back(source, source.move_port, images, handlers=handlers, what="images")
        with waiting, associate(source, contexts) as association:
            model = StudyRootQueryRetrieveInformationModelMove
            return _arrived(source, association.send_c_move(wanted, source.calling_ae, model))
    query = build_context(StudyRootQueryRetrieveInformationModelGet, PLAIN_SYNTAXES)
    contexts = [query, *(build_context(uid, _SYNTAXES) for uid in _CLASSES)]
    roles = [build_role(uid, scp_role=True) for uid in _CLASSES]
    with associate(source, contexts, handlers=handlers, roles=roles) as association:
        return _arrived(source, association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet))


def _query(source: Source, level: str, asked: dict[str, str]) -> list[Dataset]:
    if isinstance(source, WadoSource):
        return _qido(source, level, asked)
    model = StudyRootQueryRetrieveInformationModelFind
    with associate(source, [build_context(model, PLAIN_SYNTAXES)]) as association:
        return list(_answers(source, association, _identifier(level, asked)))


def _identifier(level: str, asked: dict[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if level == "SERIES":
        identifier.SeriesInstanceUID = identifier.Modality = identifier.SeriesDescription = ""
        identifier.NumberOfSeriesRelatedInstances = None
    for keyword, value in asked.items():
        setattr(identifier, keyword, value)
    return identifier


def _answers(source: DicomSource, association: Association, identifier: Dataset) -> Iterator[Dataset]:
    for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
        code = status.get("Status")
        if code in {0xFF00, 0xFF01} and answer is not None:
            yield answer
        elif code != 0x0000:
            words = "no answer in time" if code is None else f"status 0x{code:04X}"
            msg = f"{source.name} does not answer the query: {words}"
            raise DeliveryError(msg)


def _found(answer: Dataset, asked: dict[str, str]) -> Found:
    number = answer.get("NumberOfSeriesRelatedInstances")
    return Found(
        asked["StudyInstanceUID"],
        str(answer.get("SeriesInstanceUID", "")),
        str(answer.get("Modality", "")),
        str(answer.get("SeriesDescription") or ""),
        None if number in {None, ""} else int(str(number)),
        asked.get("StudyDate", ""),
    )


def _arrived(source: DicomSource, answers: Iterator[tuple[Dataset, Dataset | None]]) -> int:
    """How many objects came; C-GET and C-MOVE count in the same words (PS3.4 C.4.2, C.4.3)."""
    last = Dataset()
    for status, _ in answers:
        last = status
    done, failed = int(last.get("NumberOfCompletedSuboperations") or 0), int(last.get("NumberOfFailedSuboperations") or 0)
    warned = int(last.get("NumberOfWarningSuboperations") or 0)
    if last.get("Status") != 0x0000 or failed or not done + warned:
        words = f"status 0x{last.Status:04X}" if "Status" in last else "no answer in time"
        msg = f"{source.name} sent {done + warned} objects, {failed} did not arrive: {words}"
        raise DeliveryError(msg)
    return done + warned


def _store(event: Any, study_instance_uid: str, folder: Path) -> int:  # noqa: ANN401 - pynetdicom's event has its fields at run time only
    """Status of our answer to an object that comes in."""
    uid = str(event.request.AffectedSOPInstanceUID)
    if not is_uid(uid) or event.dataset.get("StudyInstanceUID") != study_instance_uid:
        return REFUSED
    try:
        replace_file(folder / f"{uid}.dcm", event.encoded_dataset())
    except OSError:
        return NO_ROOM
    return 0x0000


def _qido(source: WadoSource, level: str, asked: dict[str, str]) -> list[Dataset]:
    client, filters = client_of(source), {keyword: value for keyword, value in asked.items() if value}
    with connection_errors(source.url):
        if level == "STUDY":
            answers = client.search_for_studies(search_filters=filters)
        else:
            study = filters.pop("StudyInstanceUID")
            answers = client.search_for_series(study, search_filters=filters)
    return [Dataset.from_json(answer) for answer in answers]


def _wado(source: WadoSource, study_instance_uid: str, series_instance_uid: str, folder: Path) -> int:
    client, count = client_of(source), 0
    kinds = (("application/dicom", "*"),)
    with connection_errors(source.url):
        for dataset in client.iter_series(study_instance_uid, series_instance_uid, media_types=kinds):
            uid = str(dataset.SOPInstanceUID)
            if not is_uid(uid) or dataset.StudyInstanceUID != study_instance_uid:
                msg = f"{source.name} sent an object of another study"
                raise DeliveryError(msg)
            encoded = BytesIO()
            dataset.save_as(encoded, enforce_file_format=True)
            replace_file(folder / f"{uid}.dcm", encoded.getvalue())
            count += 1
    if not count:
        msg = f"{source.name} has no such series"
        raise DeliveryError(msg)
    return count
