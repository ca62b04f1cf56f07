"""A real result folder of a made-up patient whose every identifier is a canary."""

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lvo.core.outcome import NotAssessable
from lvo.core.report import Call, Output, Report
from lvo.core.study import Role
from lvo.report.result import result_document, result_text

_SPEC = importlib.util.spec_from_file_location("lvo_tests_delivery_writing", Path(__file__).parents[1] / "dicom" / "writing.py")
sys.modules["lvo_tests_delivery_writing"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["lvo_tests_delivery_writing"])

CANARIES = {
    "PatientName": "CANARYNAME", "PatientID": "CANARYID", "AccessionNumber": "CANARYACC", "PatientBirthDate": "19110203",
    "ReferringPhysicianName": "CANARYREF",
}  # fmt: skip
"""Every identifier of the patient."""

MakeResult = Callable[..., Path]


@pytest.fixture(scope="session")
def _written(report_phantom, tmp_path_factory) -> Path:
    """The DICOM objects of a result; writing them takes seconds."""
    from lvo_tests_delivery_writing import write, write_sources

    folder = tmp_path_factory.mktemp("written")
    (folder / "sources").mkdir()
    sources = {
        role: write_sources(folder / "sources", report_phantom.grid(role), n, **CANARIES)
        for role, n in ((Role.CTA, 2), (Role.CTP, 3))
    }
    write(report_phantom.report(), sources, folder)
    return folder / "dicom"


@pytest.fixture
def make_result(report_phantom, _written, tmp_path) -> MakeResult:
    """Writes a result folder as `lvo run` leaves it, with the call and the version that the test wants."""

    def make(folder: Path | None = None, *, call: Call | None = Call.SUSPECTED, version: str = "1") -> Path:
        report: Report = report_phantom.report(call=call or Call.SUSPECTED)
        if call is None:
            import dataclasses

            report = dataclasses.replace(report, cta=NotAssessable(("the head moved",)), perfusion=NotAssessable(("no bolus",)))
        final = folder or tmp_path / "results" / report.study_instance_uid
        shutil.rmtree(final, ignore_errors=True)
        shutil.copytree(_written, final / "dicom")
        (final / "images").mkdir()
        (final / "images" / "site.png").write_bytes(b"png " + version.encode())
        outputs = [Output("image", "images/site.png", version)]
        document = result_document(report, outputs=outputs, location_sop_instance_uid=None)
        (final / "result.json").write_text(result_text(document), encoding="utf-8")
        (final / "report.html").write_text("<p>report</p>")
        return final

    return make
