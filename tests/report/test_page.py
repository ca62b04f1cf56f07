"""What a person sees: the call with its limits first, and "could not be judged" never near "not detected"."""

import base64
import io
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from fpdf import FPDF
from PIL import Image

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Absent, Assessed, NotAssessable
from lvo.core.report import Call, QualityNote, Report, Severity, Side, Site
from lvo.core.study import Role
from lvo.report.figures import FIGURES, draw_figures
from lvo.report.head import head_box
from lvo.report.html import render_html
from lvo.report.pdf import render_pdf
from lvo.report.result import result_document
from lvo.report.segments import segment_lines
from lvo.report.slabs import AXIAL, mirrored, slab_mip
from lvo.report.words import cta_headline, perfusion_headline, site_words

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
"""One pixel."""

UNJUDGED = NotAssessable(("The arteries reach 92 HU, at least 150 HU are needed.", "The scan ends above the circle of Willis."))
CREATED = datetime(2026, 2, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def report(report_phantom) -> Report:
    return report_phantom.report()


@pytest.fixture(scope="module")
def unjudged(report) -> Report:
    return replace(report, cta=UNJUDGED, perfusion=Absent("no CT perfusion in the study"), volumes={})


@pytest.fixture(scope="module")
def figures(report) -> dict[str, bytes]:
    return draw_figures(report)


def page(report: Report, figures: dict[str, bytes] | None = None) -> str:
    document = result_document(report, outputs=[], location_sop_instance_uid=None)
    tiny = dict.fromkeys(["summary", *(["perfusion", "curves"] if isinstance(report.perfusion, Assessed) else [])], PNG)
    return render_html(report, document, figures if figures is not None else tiny)


def visible(html: str) -> str:
    """The words of the page."""
    body = re.sub(r"<style>.*?</style>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_limits_and_call_come_before_the_first_picture(report, figures):
    html = page(report, figures)
    body = html[html.index("<body>") :]
    assert body.index(RESEARCH_USE_ONLY) < body.index("LARGE-VESSEL OCCLUSION SUSPECTED") < body.index("<img")
    assert body.index("cannot rule out an occlusion. A clinician") < body.index("<img")


def test_the_call_says_side_site_and_probability(report, figures):
    words = visible(page(report, figures))
    assert "left M1" in words
    assert "probability 0.93 (suspected from 0.50)" in words


def test_the_page_needs_nothing_from_outside(report, figures):
    html = page(report, figures)
    assert re.findall(r'(?:src|href)="(?!data:)', html) == []
    assert "<script" not in html
    assert "url(" not in html
    said_in_words = {"summary", "quality"}
    assert len(re.findall("data:image/(?:png|webp);base64,", html)) == len(set(figures) - said_in_words)


def test_not_judged_looks_and_reads_unlike_not_detected(report_phantom, unjudged):
    not_detected, not_judged = page(report_phantom.report(call=Call.NOT_DETECTED)), page(unjudged)
    assert "COULD NOT BE JUDGED" in visible(not_judged)
    assert "This is not a negative result." in visible(not_judged)
    assert "detected" not in visible(not_judged).lower()
    assert 'data-state="not_assessable"' in not_judged
    assert "COULD NOT BE JUDGED" not in visible(not_detected)
    assert all(reason in visible(not_judged) for reason in UNJUDGED.reasons)


def test_every_state_has_its_own_words_symbol_and_colour(report_phantom, report, unjudged):
    reports = [report_phantom.report(call=call) for call in Call] + [unjudged, replace(report, cta=Absent("none"))]
    headlines = [cta_headline(r) for r in reports]
    for field in ("state", "title", "symbol", "color"):
        assert len({getattr(h, field) for h in headlines}) == len(headlines), field


def test_a_part_left_out_on_request_is_not_called_missing(report):
    """Absence has two causes; the big words fit both, and the reason tells which."""
    why = "was not asked for"
    left_out = replace(report, cta=Absent(f"CT angiography {why}"), perfusion=Absent(f"CT perfusion {why}"), volumes={})
    words = visible(page(left_out))
    for kind, reason in (("CT ANGIOGRAM", f"CT angiography {why}"), ("CT PERFUSION", f"CT perfusion {why}")):
        assert f"{kind} NOT ANALYSED" in words
        assert f"NO {kind}" not in words
        assert reason in words


def test_white_words_can_be_read_on_every_colour(report_phantom, unjudged, report):
    """WCAG 2.1 asks for a contrast of 4.5."""
    reports = [report_phantom.report(call=call) for call in Call] + [unjudged, replace(report, cta=Absent("none"))]
    for headline in map(cta_headline, reports):
        rgb = np.array([int(headline.color[n : n + 2], 16) for n in (1, 3, 5)]) / 255.0
        linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5, headline.state


@pytest.mark.parametrize(
    ("side", "site", "words"),
    [
        (Side.LEFT, True, "left M1"),
        (Side.LEFT, False, "left, site unknown"),
        (None, True, "M1, side unknown"),
        (None, False, ""),
    ],
)
def test_what_is_unknown_is_said(report, side, site, words):
    finding = report.cta.value.finding
    assert site_words(replace(finding, side=side, site=finding.site if site else None)) == words


def test_the_page_says_what_was_judged_before_the_first_picture(report_phantom):
    html = page(report_phantom.detailed())
    said = "Judged: carotid terminus, M1, M2, basilar artery; not judged: A1, vertebral arteries, M3 and beyond."
    assert said in visible(html.split("<img")[0])


def test_the_page_has_a_row_per_segment_with_right_before_left(report_phantom):
    html = page(report_phantom.detailed())
    row = next(part for part in html.split("<tr") if "<b>M1</b>" in part)
    assert re.findall(r"<i[^>]*>([^<]*)</i>", row) == ["0.16", "0.05", "107 %", "31 %", "0", "14", "342", "214"]
    assert row.startswith(' class="main"'), "the finding names it"
    basilar = next(part for part in html.split("<tr") if "<b>BA</b>" in part)
    assert re.findall(r"<i[^>]*>([^<]*)</i>", basilar) == ["0.31", "98 %", "0", "347"]
    assert 'class="main"' not in basilar
    unknown = next(part for part in html.split("<tr") if "<b>A1</b>" in part)
    assert re.findall(r"<i[^>]*>([^<]*)</i>", unknown) == ["0.05", "0.04", "90 %", "—", "0", "—", "333", "—"]


def test_the_page_says_where_in_space_on_which_slice_and_image(report_phantom):
    """Slices are counted from the feet, from 1; in this scan k grows to the head."""
    report = report_phantom.detailed()
    place = report.cta.value.finding.location_lps_mm
    document = result_document(report, outputs=[], location_sop_instance_uid="1.2.9")
    words = visible(render_html(report, document, dict.fromkeys(["summary", "perfusion", "curves"], PNG)))
    k = round(float(report_phantom.grid(Role.CTA).to_kji(place)[0]))
    x, y, z = place
    where = f"({x:.1f}, {y:.1f}, {z:.1f}) mm, DICOM patient coordinates"
    assert f"place: {where}; slice {k + 1} of 30 from the feet; image 1.2.9" in words
    assert "place:" not in visible(page(report_phantom.detailed(call=Call.NOT_DETECTED)))


@pytest.mark.parametrize(
    ("name", "site", "marked"),
    [("M2-superior", Site.M2, True), ("ICA-T", Site.ICA, False), ("ICA-T", Site.ICA_T, True), ("M1", None, False)],
)
def test_a_branch_belongs_to_its_segment_and_the_terminus_is_its_own(report_phantom, name, site, marked):
    result = report_phantom.detailed().cta.value
    result = replace(result, finding=replace(result.finding, site=site), segments=(replace(result.segments[0], segment=name),))
    assert segment_lines(result)[0].main is marked


def test_text_from_outside_cannot_become_markup(report):
    note = QualityNote("x", Severity.WARNING, "<script>alert(1)</script>")
    assert "<script>" not in page(replace(report, quality=(note,)))
    assert "&lt;script&gt;" in page(replace(report, quality=(note,)))


def test_criteria_are_met_not_met_or_unknown_and_never_a_verdict(report):
    words = visible(page(report))
    assert re.search(r"core volume 20\.6 mL &lt; 70 mL met", words)
    assert re.search(r"mismatch ratio 1\.2 ≥ 1\.8 not met", words)
    assert re.search(r"time since onset — 6 to 16 h unknown", words)
    assert "eligible" not in words.lower()
    assert "candidate" not in words.lower()
    assert "DEFUSE 3 core volume mismatch ratio time since onset to be verified" in words, (
        "the row of checks met, not met, unknown"
    )


def test_a_large_core_is_not_dismissed(report):
    """Beside a rule that is not met stands what that means, and which trials took large cores."""
    words = visible(page(report))
    assert "not that treatment would not help" in words
    assert "(wording of the rule to be verified)" in words


def test_a_series_description_is_not_shown(report):
    named = replace(report.series[0], description="CTA Mr. Smith")
    assert "Smith" not in page(replace(report, series=(named,)))


def test_no_core_gives_no_ratio(report):
    result = replace(report.perfusion.value, core_ml=0.0, mismatch_ratio=None)
    words = visible(page(replace(report, perfusion=Assessed(result))))
    assert "— mismatch ratio (no core)" in words
    assert "ratio —" in perfusion_headline(replace(report, perfusion=Assessed(result))).numbers


def test_a_document_of_another_study_is_refused(report):
    document = result_document(replace(report, study_instance_uid="9.9"), outputs=[], location_sop_instance_uid=None)
    with pytest.raises(ValueError, match="one study"):
        render_html(report, document, {})


def test_all_figures_are_drawn_and_can_be_opened(figures):
    assert list(figures) == [name for name in FIGURES if name not in {"fallback", "curved"}], "neither has anything to show"
    for png in figures.values():
        assert min(Image.open(io.BytesIO(png)).size) > 200


def test_what_was_not_judged_has_no_figure_but_a_summary(unjudged):
    figures = draw_figures(unjudged)
    assert list(figures) == ["summary"]
    pixels = np.asarray(Image.open(io.BytesIO(figures["summary"])).convert("RGB"))
    assert not (pixels == (0x00, 0x5B, 0x8F)).all(axis=-1).any(), "the blue of 'not detected' is nowhere"


def test_the_mirrored_picture_shows_the_other_side_at_the_place_of_the_site(report, figures):
    box = head_box(report.volumes["cta"], report.volumes["brain"], report.cta.value.pose)
    slab = slab_mip(report.volumes, AXIAL, np.array(report.cta.value.finding.location_lps_mm), box)
    other = mirrored(slab, box)
    assert (other.view.edges[:2], slab.view.edges[:2]) == (("L", "R"), ("R", "L"))
    point = np.array(report.cta.value.finding.location_lps_mm)
    for from_site_mm in ((0.0, 0.0, 0.0), (5.0, -3.0, 0.0), (-9.0, 12.0, 0.0)):
        place = point + from_site_mm
        column, row = (round(n) for n in slab.to_column_row(tuple(place)))
        opposite = tuple(box.mirrored(place))
        around = slab.hu[round(slab.to_column_row(opposite)[1]), :]
        at = slab.to_column_row(opposite)[0]
        near = around[int(at) - 1 : int(at) + 3]
        assert near.min() <= other.hu[row, column] <= near.max()
    wide = Image.open(io.BytesIO(figures["mirror"])).size
    assert wide[0] > wide[1], "both stand side by side"


def test_the_page_is_smaller_than_its_pictures(report, figures):
    shown = sum(len(png) for name, png in figures.items() if name not in {"summary", "quality"})
    assert len(page(report, figures)) < shown


def test_figures_are_the_same_twice(report, figures):
    assert draw_figures(report) == figures


def test_the_suspected_site_is_marked_at_its_place(report_phantom, figures):
    """The mark's colour surrounds the site on the right half of the axial picture: the patient's left."""
    without = draw_figures(report_phantom.report(call=Call.NOT_DETECTED))["site"]
    marked, plain = (
        (np.abs(np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int) - (0xFF, 0xB0, 0x00)).max(axis=-1) < 10)
        for png in (figures["site"], without)
    )
    assert not plain.any()
    columns = np.nonzero(marked)[1]
    assert columns.mean() > marked.shape[1] * 0.5


def test_core_and_hypoperfusion_are_drawn_on_the_patients_left(figures):
    pixels = np.asarray(Image.open(io.BytesIO(figures["perfusion"])).convert("RGB"), int)
    assert (np.abs(pixels - (0xFF, 0x2F, 0xD0)).max(axis=-1) < 40).any()
    assert (np.abs(pixels - (0x2B, 0xE5, 0x2B)).max(axis=-1) < 40).any()


def test_the_pdf_is_short_and_the_same_twice(report, figures):
    """A page for the call, one for the mirrored pair, at most four for the perfusion."""
    pdf = render_pdf(report, figures, created=CREATED)
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type /Page\b(?!s)", pdf)) <= 6
    assert pdf == render_pdf(report, figures, created=CREATED)


def test_the_pdf_has_segments_and_coverage(report_phantom, monkeypatch):
    """Every word that goes into the file passes through the library's `multi_cell`."""
    said = []
    original = FPDF.multi_cell

    def listening(self, *arguments, **options):
        said.append(options.get("text") or next((a for a in arguments if isinstance(a, str)), ""))
        return original(self, *arguments, **options)

    monkeypatch.setattr(FPDF, "multi_cell", listening)
    render_pdf(report_phantom.detailed(), {}, created=CREATED)
    words = " ".join(said)
    assert "not judged: A1, vertebral arteries, M3 and beyond" in words
    for cell in ("M1 (site)", "0.16 | 0.05", "107 % | 31 %", "0 | 14", "342 | 214", "Collateral filling 2 of 3"):
        assert cell in words


def test_a_long_list_of_reasons_still_fits_two_pages(unjudged):
    reasons = tuple(f"Reason {n}: ≥ {n} mm are missing, and this sentence goes on for quite a while. " * 3 for n in range(30))
    pdf = render_pdf(replace(unjudged, cta=NotAssessable(reasons)), {}, created=CREATED)
    assert len(re.findall(rb"/Type /Page\b(?!s)", pdf)) <= 2
