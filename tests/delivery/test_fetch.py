"""Missing series and earlier studies, from a real Orthanc, by every way there is."""

from datetime import date
from pathlib import Path

import pydicom
import pytest
from lvo_tests_delivery_writing import STUDY_UID, write_sources
from lvo_tests_servers import free_port, needs_orthanc, orthanc
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet

from lvo.core.study import Role
from lvo.delivery.fetch import fetch_series, find_priors, find_series
from lvo.delivery.settings import DicomSource, WadoSource
from lvo.errors import DeliveryError

SERIES = f"{STUDY_UID}.3"
pytestmark = pytest.mark.filterwarnings(
    # pynetdicom drops a socket that could not connect without closing it; the collector does
    "ignore:Exception ignored in. <(ssl.SSLSocket|socket.socket):pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def pacs(report_phantom, tmp_path_factory):
    """An Orthanc with two series of one study, and the port that it sends to as LVO."""
    folder, port = tmp_path_factory.mktemp("pacs"), free_port()
    images = tmp_path_factory.mktemp("images")
    for role, number in ((Role.CTP, 3), (Role.CTP, 4)):
        write_sources(images, report_phantom.grid(role), number)
    with orthanc(
        folder, modalities={"lvo": ["LVO", "127.0.0.1", port]}, DicomAlwaysAllowFind=True, DicomAlwaysAllowGet=True
    ) as server:
        for path in images.iterdir():
            server.ask("/instances", "POST", path.read_bytes())
        yield server, port, images


def source(pacs, way: str) -> DicomSource | WadoSource:
    server, port, _ = pacs
    if way == "dicomweb":
        return WadoSource(name="archive", url=server.dicomweb)
    fields = {"name": "pacs", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": server.dicom_port, "timeout_s": 20.0}
    return DicomSource(**fields, method=way, move_port=port if way == "move" else 0)


def sent(images: Path, series: str) -> dict[str, pydicom.Dataset]:
    every = [pydicom.dcmread(path) for path in images.iterdir()]
    return {one.SOPInstanceUID: one for one in every if one.SeriesInstanceUID == series}


@needs_orthanc
@pytest.mark.parametrize("way", ["get", "move", "dicomweb"])
def test_a_series_comes_complete_and_unchanged(pacs, tmp_path, way):
    found = find_series(source(pacs, way), STUDY_UID)
    expected = sent(pacs[2], SERIES)
    assert [(one.series_instance_uid, one.modality) for one in found] == [(SERIES, "CT"), (f"{STUDY_UID}.4", "CT")]
    assert found[0].n_instances in {len(expected), None}
    assert fetch_series(source(pacs, way), STUDY_UID, SERIES, tmp_path / "in") == len(expected)
    files = list((tmp_path / "in").iterdir())
    assert {path.name for path in files} == {f"{uid}.dcm" for uid in expected}
    for path in files:
        got = pydicom.dcmread(path)
        assert got.to_json_dict() == expected[got.SOPInstanceUID].to_json_dict()


@needs_orthanc
@pytest.mark.parametrize("way", ["get", "dicomweb"])
def test_earlier_studies_of_a_patient_are_found(pacs, way):
    found = find_priors(source(pacs, way), "P-77")
    assert {one.series_instance_uid for one in found} == {SERIES, f"{STUDY_UID}.4"}
    assert {one.study_date for one in found} == {"20260203"}
    assert find_priors(source(pacs, way), "P-77", before=date(2026, 2, 4)) == found
    assert find_priors(source(pacs, way), "P-77", before=date(2026, 2, 3)) == ()
    assert find_priors(source(pacs, way), "P-7") == ()


@needs_orthanc
@pytest.mark.parametrize("way", ["get", "move", "dicomweb"])
def test_a_series_that_is_not_there_is_said_so(pacs, tmp_path, way):
    with pytest.raises(DeliveryError):
        fetch_series(source(pacs, way), STUDY_UID, "1.2.3.4", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("way", ["get", "dicomweb"])
def test_a_source_that_is_down_is_named(way):
    port = free_port()
    down = (
        DicomSource(name="pacs", ae_title="PACS", host="127.0.0.1", port=port)
        if way == "get"
        else WadoSource(name="archive", url=f"http://127.0.0.1:{port}")
    )
    with pytest.raises(DeliveryError, match="cannot be reached"):
        find_series(down, STUDY_UID)


def test_objects_of_another_study_are_refused(report_phantom, tmp_path):
    """A PACS that sends another patient's image among those that were asked for."""
    (tmp_path / "images").mkdir()
    write_sources(tmp_path / "images", report_phantom.grid(Role.CTP), 3)
    right, other, outside = (pydicom.dcmread(path) for path in sorted((tmp_path / "images").iterdir())[:3])
    other.StudyInstanceUID = "1.2.3.9"

    def get(_):
        yield 3
        for one in (right, other, outside):
            yield 0xFF00, one

    ae = AE(ae_title="PACS")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_supported_context(CTImageStorage, scu_role=True, scp_role=True)
    outside.SOPInstanceUID = "1.2.3"
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_GET, get)])
    try:
        asked = DicomSource(name="pacs", ae_title="PACS", host="127.0.0.1", port=server.server_address[1], timeout_s=10.0)
        with pytest.raises(DeliveryError, match="1 did not arrive"):
            fetch_series(asked, STUDY_UID, SERIES, tmp_path / "in")
    finally:
        server.shutdown()
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["1.2.3.dcm", f"{right.SOPInstanceUID}.dcm"]
