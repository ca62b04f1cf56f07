"""UIDs follow from what a result follows from; every kind of object has a switch; nothing private is written."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lvo_tests_dicom_writing import CREATED, write, write_sources
from pydicom.uid import UID, Comprehensive3DSRStorage, CTImageStorage

from lvo.core.report import ModelUse
from lvo.core.study import InstanceRef, Role, SeriesRef, Study
from lvo.dicom.write import Stamp
from lvo.dicom.write import stamp as stamp_module


def series(uid: str, sop_class_uid: str, count: int) -> SeriesRef:
    instances = tuple(InstanceRef(Path(f"{uid}-{n}"), f"{uid}.{n}", sop_class_uid) for n in range(1, count + 1))
    return SeriesRef(uid, "CT", "", 1, instances)


CT = series("1.2.1", CTImageStorage, 3)
STUDY = Study("1.2", (CT, series("1.2.2", CTImageStorage, 2)))


def key(study: Study, report, **more) -> str:
    return Stamp.of(CREATED, study, report, **more).key


def test_the_same_analysis_has_the_same_key_wherever_and_whenever_it_is_run(report_phantom):
    report = report_phantom.report()
    moved = replace(CT, instances=tuple(replace(i, path=Path("elsewhere")) for i in reversed(CT.instances)), number=7)
    again = Stamp.of(CREATED + timedelta(days=1), Study("1.2", (STUDY.series[1], moved)), report, asked=("b", "a"))
    assert again.key == key(STUDY, report, asked=("a", "b"))
    assert UID(again.uid("object", "sr")).is_valid


def test_results_that_came_back_with_the_study_do_not_count(report_phantom):
    """A PACS sends the study with our own report in it: analysed again, it must still replace that report."""
    back = Study("1.2", (*STUDY.series, series("1.2.3", Comprehensive3DSRStorage, 1)))
    assert key(back, report_phantom.report()) == key(STUDY, report_phantom.report())


def test_a_late_slice_makes_another_result(report_phantom):
    more = Study("1.2", (series("1.2.1", CTImageStorage, 4), STUDY.series[1]))
    assert key(more, report_phantom.report()) != key(STUDY, report_phantom.report())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"config_sha256": "ef" * 32}, id="other settings"),
        pytest.param({"models": (ModelUse("arteries", "1", "ac" * 32),)}, id="another model"),
        pytest.param({"models": ()}, id="no model"),
    ],
)
def test_another_analysis_has_another_key(report_phantom, change):
    report = report_phantom.report()
    assert key(STUDY, replace(report, **change)) != key(STUDY, report)


def test_other_requests_and_versions_have_other_keys(report_phantom, monkeypatch):
    report = report_phantom.report()
    plain = key(STUDY, report)
    assert key(STUDY, report, asked=("part cta",)) != plain
    assert key(replace(STUDY, study_instance_uid="1.3"), report) != plain
    monkeypatch.setattr(stamp_module, "__version__", "99.0")
    assert key(STUDY, report) != plain


@pytest.fixture(scope="module")
def sources(report_phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    return {role: write_sources(folder, report_phantom.grid(role), n) for role, n in ((Role.CTA, 2), (Role.CTP, 3))}


@pytest.fixture(scope="module")
def results(report_phantom, sources, tmp_path_factory):
    return write(report_phantom.report(), sources, tmp_path_factory.mktemp("all"))


def uids(results) -> dict[str, tuple[str, str]]:
    return {name: (result.SeriesInstanceUID, result.SOPInstanceUID) for name, result in results.items()}


def test_a_rerun_takes_the_place_of_the_result_and_tells_its_own_time(report_phantom, sources, results, tmp_path):
    later = write(report_phantom.report(), sources, tmp_path, made=Stamp(CREATED + timedelta(hours=3), "a key"))
    assert uids(later) == uids(results)
    assert {result.InstanceCreationTime for result in later.values()} == {"070506"}
    assert {result.InstanceCreationTime for result in results.values()} == {"040506"}


def test_another_key_shares_no_uid(report_phantom, sources, results, tmp_path):
    other = write(report_phantom.report(), sources, tmp_path, made=Stamp(CREATED, "another key"))
    assert {u for pair in uids(other).values() for u in pair}.isdisjoint(u for pair in uids(results).values() for u in pair)


KINDS = {
    "sr": {"sr"},
    "text": {"text"},
    "seg": {"seg_cta", "seg_ctp"},
    "parametric_maps": {"pm_cbf", "pm_cbv", "pm_mtt", "pm_tmax", "pm_delay"},
    "captures": {"sc_summary", "sc_perfusion", "sc_tmax"},
    "presentation": {"pr"},
    "key_objects": {"ko"},
    "pdf": {"pdf"},
}


@pytest.mark.parametrize("switch", KINDS)
def test_a_switch_leaves_out_its_objects_and_nothing_else(report_phantom, sources, results, tmp_path, switch):
    rest = write(report_phantom.report(), sources, tmp_path, **{switch: False})
    assert set(results) - set(rest) == KINDS[switch]
    assert uids(rest) == {name: pair for name, pair in uids(results).items() if name in rest}
    gone = {results[name].SOPInstanceUID for name in KINDS[switch]}
    for name, result in rest.items():
        named = {str(element.value) for element in result.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
        assert named.isdisjoint(gone), f"{name} refers to an object that was not written"


def test_every_switch_off_writes_nothing(report_phantom, sources, tmp_path):
    assert write(report_phantom.report(), sources, tmp_path, **dict.fromkeys(KINDS, False)) == {}


def test_nothing_private_is_written(results):
    for result in results.values():
        assert not [element.tag for element in result.iterall() if element.tag.is_private]


def test_a_thing_has_one_tracking_uid_in_every_object(results):
    sr = {e.value for e in results["sr"].iterall() if e.keyword == "UID"}
    for name in ("seg_ctp", "pr"):
        tracked = {e.value for e in results[name].iterall() if e.keyword == "TrackingUID"}
        assert tracked
        assert tracked <= sr
