"""What the pipeline passes on, and what it keeps to itself."""

from dataclasses import replace

from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import Call, Severity
from lvo.pipeline import _measurements
from lvo.report.result import quality_notes

NOTHING = Absent("none")


def test_only_a_suspected_site_counts_as_occluded(report_phantom):
    cta = report_phantom.report().cta
    assert isinstance(cta, Assessed)
    finding = cta.value.finding
    assert _measurements(cta, NOTHING)["site"] == finding.site.value
    unsure = Assessed(replace(cta.value, finding=replace(finding, call=Call.INDETERMINATE)))
    assert "site" not in _measurements(unsure, NOTHING)
    assert _measurements(NOTHING, NOTHING) == {}


def test_a_refusal_is_the_first_quality_note(report_phantom):
    report = replace(report_phantom.report(), cta=NotAssessable(("a slice is missing",)))
    first = quality_notes(report)[0]
    assert (first.code, first.severity, first.text) == ("cta.not_assessable", Severity.REFUSAL, "a slice is missing")
