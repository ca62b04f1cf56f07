"""Made-up results on disk, and the application behind a real socket."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pydicom
import pytest
import uvicorn
from lvo_tests_servers import wait_until
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset

from lvo.core.report import Output, Report
from lvo.core.volume import Quantity, Volume
from lvo.delivery.link import study_key
from lvo.image.resample import resample
from lvo.nifti.volumes import write_nifti
from lvo.report import preview
from lvo.report.result import result_document, result_text
from lvo.web.app import create_app
from lvo.web.results import ResultsFolder
from lvo.web.serve import Server
from lvo.web.settings import WebSettings

CANARY = "CANARYFAMILY"
CANARY_ID = "CANARY-4711"

UIDS = {
    name: f"1.2.826.0.1.3680043.8.498.77{number}"
    for number, name in enumerate(("suspected", "not_detected", "refused", "indeterminate", "damaged"))
}


def key(name: str) -> str:
    """The key of a made-up study."""
    return study_key(UIDS[name])


def identity_file(path: Path, uid: str, *, clock: str = "101500") -> None:
    """A DICOM result with a patient whose name must not appear anywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = Dataset()
    header.PatientName, header.PatientID = f"{CANARY}^Berta", CANARY_ID
    header.StudyInstanceUID, header.SOPInstanceUID, header.SOPClassUID = uid, f"{uid}.1", "1.2.840.10008.5.1.4.1.1.88.34"
    header.StudyDate, header.StudyTime, header.TimezoneOffsetFromUTC = "20260301", clock, "+0100"
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID, header.file_meta.MediaStorageSOPInstanceUID = header.SOPClassUID, f"{uid}.1"
    header.save_as(path, enforce_file_format=True)


COARSE_MM, FINE_MM = 4.0, 2.3


def finer(report: Report) -> Volume:
    """The angiogram of the phantom on smaller voxels than the copies of `write_result`: its own are too large for that."""
    grid = preview.preview_grid(preview._box(report, report.volumes["cta"]), spacing_mm=FINE_MM)
    return Volume(resample(report.volumes["cta"], grid, fill=-1000.0).array.astype(np.int16), grid, Quantity.HU)


def write_result(results: Path, report: Report, *, pictures: bool = True) -> Path:
    """A result folder as `lvo run` leaves it, but with a plain picture and coarse previews, which are made fast."""
    folder = results / report.study_instance_uid
    (folder / "images").mkdir(parents=True)
    outputs = [Output("result", "result.json"), Output("dicom-sr", "dicom/sr.dcm", "1.2.3")]
    identity_file(folder / "dicom" / "sr.dcm", report.study_instance_uid)
    if pictures:
        for name in ("site", "cutoff"):
            Image.effect_noise((320, 320), 60).save(folder / "images" / f"{name}.png")
            outputs.append(Output("image", f"images/{name}.png"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preview, "PREVIEW_MM", COARSE_MM)
        volumes = preview.preview_volumes(report, report.volumes.get("cta"))
        if "cta" in volumes:
            volumes["cta_full"] = finer(report)
    for name, volume in volumes.items():
        write_nifti(volume, folder / "preview" / f"{name}.nii.gz")
        outputs.append(Output("preview", f"preview/{name}.nii.gz"))
    document = result_document(report, outputs=outputs, location_sop_instance_uid="1.2.3.4")
    (folder / "result.json").write_text(result_text(document), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Running:
    """The application on a port of this machine."""

    url: str
    state: Path
    app: object

    def client(self, **headers: str) -> httpx.Client:
        """A client of nobody in particular."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=30.0)

    def signed_in(self, name: str, password: str) -> httpx.Client:
        """A client that signed in, with its CSRF token."""
        with self.client() as client:
            answer = client.post("/api/session", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        cookie = "; ".join(f"{key}={value}" for key, value in answer.cookies.items())
        return self.client(**{"X-CSRF-Token": answer.json()["csrf"], "Cookie": cookie})

    def reader(self) -> httpx.Client:
        """A client where no accounts are needed."""
        with self.client() as client:
            csrf = client.get("/api/session").json()["csrf"]
        return self.client(**{"X-CSRF-Token": csrf})


@contextmanager
def running(results: Path, state: Path, settings: WebSettings, *, needs_accounts: bool = False) -> Iterator[Running]:
    """Serve a folder until the end of the block."""
    app = create_app(ResultsFolder(results), state, settings, needs_accounts=needs_accounts)
    tls = {"ssl_certfile": settings.tls_certificate or None, "ssl_keyfile": settings.tls_key or None}
    with behind_a_socket(Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=3, **tls))) as address:
        yield Running(f"{'https' if settings.tls_certificate else 'http'}://{address}", state, app)


@contextmanager
def behind_a_socket(server: uvicorn.Server) -> Iterator[str]:
    """Host and port of a web server while the block runs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started, "the web server")
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def audit_lines(state: Path) -> list[dict[str, object]]:
    """The audit log of a server."""
    return [json.loads(line) for line in (state / "audit.jsonl").read_text().splitlines()]
