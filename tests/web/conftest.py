"""A folder of made-up results of every kind, and the application that shows it."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from lvo.core.outcome import NotAssessable
from lvo.core.report import Call, Report
from lvo.web.settings import WebSettings


@pytest.fixture(scope="session")
def serving() -> ModuleType:
    """The helpers of this room (`serving.py`)."""
    spec = importlib.util.spec_from_file_location("lvo_tests_web_serving", Path(__file__).with_name("serving.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def reports(report_phantom, serving) -> dict[str, Report]:
    """One report per outcome."""
    detailed = {
        "suspected": report_phantom.detailed(),
        "not_detected": report_phantom.detailed(call=Call.NOT_DETECTED),
        "indeterminate": report_phantom.detailed(call=Call.INDETERMINATE),
    }
    refused = NotAssessable(("CT angiogram: slices are 5.00 mm apart, 3.0 mm or less are needed; send the thin series",))
    scan = {"cta": report_phantom.volumes()["cta"]}
    detailed["refused"] = replace(report_phantom.report(), cta=refused, perfusion=NotAssessable(("no bolus",)), volumes=scan)
    return {name: replace(report, study_instance_uid=serving.UIDS[name]) for name, report in detailed.items()}


@pytest.fixture(scope="session")
def built(tmp_path_factory, reports, serving) -> Path:
    """Results of every kind, one of them damaged, one half-written."""
    folder = tmp_path_factory.mktemp("built") / "results"
    for report in reports.values():
        serving.write_result(folder, report)
    (folder / serving.UIDS["damaged"]).mkdir()
    (folder / serving.UIDS["damaged"] / "result.json").write_text('{"schema": "lvo-res')
    (folder / ".1.2.3.abc.partial").mkdir()
    (folder / ".1.2.3.abc.partial" / "result.json").write_text("{}")
    return folder


@pytest.fixture
def results(tmp_path, built) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(built, tmp_path / "results"))


@pytest.fixture
def open_server(results, tmp_path, serving) -> Iterator[object]:
    """The application without accounts, as `lvo view` runs it on this machine."""
    with serving.running(results, tmp_path / "state", WebSettings()) as server:
        yield server
