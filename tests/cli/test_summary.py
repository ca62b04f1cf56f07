"""The terminal summary: warnings are seen, studies are told apart, and nothing unjudged reads as merely left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from lvo.cli.summary import summary_lines
from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import QualityNote, Severity, TimeToPeakFallback

FOLDER = Path("out") / "1.2.3"
NO_CTA = Absent("no CT angiogram in the study")
UNJUDGED = NotAssessable(("CT perfusion: no artery found",))


@pytest.fixture(scope="module")
def report(report_phantom):
    return report_phantom.report()


def text(report, **options):
    return "\n".join(summary_lines(report, FOLDER, **options))


def test_warnings_of_every_part_are_shown_and_information_is_not(report):
    """Those of the study, of the CTA and of the perfusion, each once."""
    said = QualityNote("x", Severity.WARNING, "The vein is cut off.")
    cta = replace(report.cta.value, notes=(said, QualityNote("y", Severity.INFO, "Merely so.")))
    shown = text(replace(report, cta=Assessed(cta), quality=(said, *report.quality)))
    assert shown.count("Warning    The vein is cut off.") == 1
    assert "The AIF peak is low against the VOF." in shown
    assert "Merely so." not in shown
    assert "The gantry was tilted" not in shown


def test_without_a_warning_there_is_no_such_line(report):
    perfusion = Assessed(replace(report.perfusion.value, notes=()))
    assert "Warning" not in text(replace(report, quality=(), perfusion=perfusion))


def test_several_studies_are_told_apart(report):
    first, *_ = summary_lines(report, FOLDER, label="study 2 of 3")
    assert first == f"Study      study 2 of 3, {report.study_instance_uid}"
    assert "Study" not in text(report)


def test_nothing_judged_is_said_so_without_an_angiogram(report):
    """Exit status 3: the line of the angiogram must not read as if nothing had been asked."""
    shown = text(replace(report, cta=NO_CTA, perfusion=UNJUDGED))
    assert "CTA        COULD NOT BE JUDGED: no CT angiogram in the study" in shown
    assert "not analysed" not in shown


def test_perfusion_alone_is_an_answer(report):
    shown = text(replace(report, cta=NO_CTA))
    assert "CTA        not analysed, nothing is said about an occlusion: no CT angiogram in the study" in shown
    assert "COULD NOT" not in shown


def test_the_fallback_is_no_result(report, report_phantom):
    mask = report_phantom.maps()["hypoperfusion"]
    late = TimeToPeakFallback(4.5, 61.0, 0.0, mask, mask)
    shown = text(replace(report, perfusion=UNJUDGED, fallback=late))
    assert "Perfusion  COULD NOT BE JUDGED" in shown
    assert "fallback, not a perfusion result: tissue that peaks more than 4.5 s late: left 61 mL, right 0 mL" in shown
    assert "fallback" not in text(report)


def test_the_summary_says_what_was_judged_and_what_was_not(report_phantom):
    shown = text(report_phantom.detailed())
    assert "- judged: carotid terminus, M1, M2, basilar artery; not judged: A1, vertebral arteries, M3 and beyond" in shown
    assert "judged:" not in text(report_phantom.report())
