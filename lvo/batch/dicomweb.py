"""A DICOMweb query as source: `dicomweb+https://host/dicom-web?ModalitiesInStudy=CT&StudyDate=20260101-` (extra `batch`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from lvo.batch.records import Item
from lvo.errors import InputError, UsageError

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

__all__ = ["WEB", "fetch_study", "query_studies"]

WEB = "dicomweb+"
"""Begins a location that is to be asked by DICOMweb."""

_PAGE = 200
_UID_TAG, _COUNT_TAG, _SERIES_TAG = "0020000D", "00201208", "00201206"


def query_studies(location: str) -> Iterator[Item]:
    """Every study that the query finds, page by page (QIDO-RS, PS3.18 10.6).

    Raises:
        InputError: the server does not answer as it should.
        UsageError: the client is not installed, or the query is empty of any criterion.
    """
    base, query = _split(location)
    if not query:
        msg = "a DICOMweb source needs search criteria, e.g. ?ModalitiesInStudy=CT&StudyDate=20260101-20260131"
        raise UsageError(msg)
    client, offset = _client(base), 0
    while True:
        try:
            found = client.search_for_studies(
                search_filters=query, limit=_PAGE, offset=offset, fields=[_COUNT_TAG, _SERIES_TAG]
            )
        except OSError as error:  # requests' errors are OSErrors
            raise _failure(error) from error
        for study in found:
            uid = _first(study, _UID_TAG)
            counts = "-".join(str(_first(study, tag)) for tag in (_SERIES_TAG, _COUNT_TAG))
            yield Item(f"{base} {uid}", (f"{WEB}{base}/studies/{uid}",), counts)
        if len(found) < _PAGE:
            return
        offset += len(found)


def fetch_study(location: str, target: Path) -> Path:
    """Retrieve every object of a study to a folder (WADO-RS, PS3.18 10.4), one at a time in memory; returns the folder.

    Raises:
        InputError: the server does not answer as it should, or has nothing.
        UsageError: the client is not installed.
    """
    from pydicom.filewriter import dcmwrite  # what a data set is written with; its reading stays in lvo.dicom

    base, _, uid = location.removeprefix(WEB).rpartition("/studies/")
    target.mkdir()
    number = 0
    try:
        for number, instance in enumerate(_client(base).iter_study(uid), 1):
            dcmwrite(target / f"{number:06d}", instance, enforce_file_format=True)
    except OSError as error:
        raise _failure(error) from error
    if number == 0:
        msg = "the DICOMweb server has no images of this study any more"
        raise InputError(msg)
    return target


def _split(location: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(location.removeprefix(WEB))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), dict(parse_qsl(parts.query))


def _client(base: str) -> "DICOMwebClient":
    """A client for a server; user and password may stand in the URL, or in ~/.netrc where no list of processes shows them."""
    try:
        from dicomweb_client.api import DICOMwebClient
    except ImportError as error:
        msg = "DICOMweb sources need dicomweb-client: pip install 'lvo[batch]'"
        raise UsageError(msg) from error
    return DICOMwebClient(url=base)


def _first(study: dict[str, dict[str, list[object]]], tag: str) -> object:
    return next(iter(study.get(tag, {}).get("Value", [])), "")


def _failure(error: OSError) -> InputError:
    return InputError(
        f"the DICOMweb server did not answer as it should: {type(error).__name__}; check address, network and rights"
    )
