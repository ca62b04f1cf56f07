"""A real PACS takes what we write and gives it back unchanged over DICOMweb; a rerun replaces what it holds."""

import http.client
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import lvo_tests_servers as servers
import pydicom
import pytest
from lvo_tests_dicom_writing import CREATED, STUDY_UID, write, write_sources

from lvo.core.study import Role
from lvo.dicom.write import Stamp

pytestmark = [pytest.mark.slow, servers.needs_orthanc]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory) -> Iterator[int]:
    """Port of a fresh server that answers this machine alone, over HTTP; it is stopped at the end."""
    with servers.orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server.http_port


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[str, bytes]:
    """Content type and body of an answer; anything but success fails."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60.0)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    assert answer.status == http.HTTPStatus.OK, found[:500]
    return str(answer.headers["Content-Type"]), found


def store(port: int, files: list[Path]) -> None:
    """STOW-RS (PS3.18 10.5); nothing may be refused."""
    parts = b"".join(b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n" for file in files)
    kind = 'multipart/related; type="application/dicom"; boundary=cut'
    accept = "application/dicom+json"
    _, said = ask(port, "POST", "/dicom-web/studies", parts + b"--cut--\r\n", Content_Type=kind, Accept=accept)
    assert json.loads(said).get("00081198", {}).get("Value", []) == [], "some instances were refused"


def fetch(port: int) -> dict[str, bytes]:
    """WADO-RS (PS3.18 10.4): every object of the study as it was stored, by SOP Instance UID."""
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    kind, body = ask(port, "GET", f"/dicom-web/studies/{STUDY_UID}", Accept=accept)
    boundary = b"--" + re.search('boundary="?([^";]+)', kind)[1].encode()
    found = [part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for part in body.split(boundary)[1:-1]]
    return {str(pydicom.dcmread(BytesIO(one), stop_before_pixels=True).SOPInstanceUID): one for one in found}


def test_what_is_stored_comes_back_byte_for_byte_and_is_replaced_by_a_rerun(orthanc, report_phantom, tmp_path):
    (tmp_path / "sources").mkdir()
    sources = {
        role: write_sources(tmp_path / "sources", report_phantom.grid(role), n) for role, n in ((Role.CTA, 2), (Role.CTP, 3))
    }
    first = write(report_phantom.report(), sources, tmp_path / "first")
    files = sorted((tmp_path / "first" / "dicom").glob("*.dcm"))
    store(orthanc, files)
    sent = {str(pydicom.dcmread(file).SOPInstanceUID): file.read_bytes() for file in files}
    assert fetch(orthanc) == sent
    again = write(report_phantom.report(), sources, tmp_path / "again", made=Stamp(CREATED + timedelta(days=1), "a key"))
    store(orthanc, sorted((tmp_path / "again" / "dicom").glob("*.dcm")))
    held = {uid: pydicom.dcmread(BytesIO(one)) for uid, one in fetch(orthanc).items()}
    assert set(held) == set(sent)
    assert {one.InstanceCreationDate for one in held.values()} == {"20260204"}
    assert len(first) == len(again) == len(held)
