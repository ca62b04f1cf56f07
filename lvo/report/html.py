"""report.html: one page for a person, complete in itself: no script, no network, pictures inside."""

import base64
import io
import json
from collections.abc import Mapping
from functools import cache

import jinja2
from PIL import Image

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Assessed
from lvo.core.report import CtaResult, PerfusionResult, Report, Severity
from lvo.report.figures import FIGURES
from lvo.report.labels import Band, band_rows, candidate_rows, key_words, measure_rows, rule_words, value_words
from lvo.report.pages import page_environment
from lvo.report.perfusion.mosaic import MAPS
from lvo.report.result import quality_notes
from lvo.report.segments import SEGMENT_COLUMNS, segment_lines
from lvo.report.transfer import COLUMNS as TRANSFER_COLUMNS
from lvo.report.transfer import transfer_rows
from lvo.report.words import (
    CALL_LIMIT,
    FALLBACK_LIMIT,
    RULES_LIMIT,
    UNJUDGED_LIMIT,
    core_words,
    cta_headline,
    fallback_words,
    hypoperfusion_words,
    perfusion_headline,
    short_number,
)

__all__ = ["render_html"]

WEBP_QUALITY = 90
"""Grey levels and thin outlines look the same as in the PNG; the files beside the page have every pixel as it was drawn."""

_ON_PAGE = frozenset(FIGURES) - {"summary", "quality"}
"""Pictures that are shown; the other two say as pictures what the page says in words."""


def render_html(report: Report, document: Mapping[str, object], figures: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        report: everything known about the study.
        document: result.json of the same report (`result_document`): times, software and outputs are shown from it.
        figures: PNG bytes by name (`draw_figures`).

    Raises:
        ValueError: the document is of another study.
    """
    study = document["study"]
    if not isinstance(study, Mapping) or study.get("study_instance_uid") != report.study_instance_uid:
        msg = "document and report must be of one study"
        raise ValueError(msg)
    cta: CtaResult | None = report.cta.value if isinstance(report.cta, Assessed) else None
    perfusion: PerfusionResult | None = report.perfusion.value if isinstance(report.perfusion, Assessed) else None
    notes = quality_notes(report)
    of_perfusion = set(perfusion.notes) if perfusion else set()
    return _template().render(
        report=report,
        document=document,
        limits=RESEARCH_USE_ONLY,
        call_limit=CALL_LIMIT,
        unjudged_limit=UNJUDGED_LIMIT,
        rules_limit=RULES_LIMIT,
        call=cta_headline(report),
        perfusion_call=perfusion_headline(report),
        cta=cta,
        segments=segment_lines(cta) if cta else (),
        segment_columns=SEGMENT_COLUMNS,
        place=_place(report, document, cta) if cta else "",
        perfusion=perfusion,
        **(_perfusion_tables(perfusion) if perfusion else {}),
        fallback=report.fallback,
        fallback_limit=FALLBACK_LIMIT,
        fallback_words=fallback_words(report.fallback) if report.fallback else "",
        map_names=tuple(MAPS),
        warnings=[note for note in notes if note.severity is not Severity.INFO],
        infos=[note for note in notes if note.severity is Severity.INFO and note not in of_perfusion],
        transfer=report.transfer,
        transfer_columns=TRANSFER_COLUMNS,
        transfer_rows=transfer_rows(report.transfer) if report.transfer else (),
        figures={name: _data_uri(png) for name, png in figures.items() if name in _ON_PAGE},
        captions=FIGURES,
    )


def _place(report: Report, document: Mapping[str, object], cta: CtaResult) -> str:
    """Where the lumen stops: in patient space, as a slice counted from the feet, and as an image; empty without a place."""
    point = cta.finding.location_lps_mm
    if point is None:
        return ""
    x, y, z = point
    words = f"({x:.1f}, {y:.1f}, {z:.1f}) mm, DICOM patient coordinates"
    volume = report.volumes.get("cta")
    if volume is not None:
        n_slices, k = volume.grid.shape_kji[0], round(float(volume.grid.to_kji(point)[0]))
        from_feet = k + 1 if volume.grid.axes_lps[0][2] > 0 else n_slices - k
        words += f"; slice {from_feet} of {n_slices} from the feet"
    match document["cta"]:
        case {"lvo": {"sop_instance_uid": str(uid)}}:
            return f"{words}; image {uid}"
    return words


def _perfusion_tables(result: PerfusionResult) -> dict[str, object]:
    """The tables of the perfusion section."""
    bands: dict[str, list[Band]] = {}
    for band in band_rows(result):
        bands.setdefault(band.what, []).append(band)
    candidates = candidate_rows(result)
    return {
        "core_words": core_words(result),
        "hypoperfusion_words": hypoperfusion_words(result),
        "bands": list(bands.items()),
        "candidates": candidates,
        "candidate_columns": list(dict.fromkeys(name for row in candidates for name, _ in row.measures)),
        "measures": measure_rows(result.measures),
    }


def _data_uri(png: bytes) -> str:
    """A picture as part of the page, as WebP where that is smaller: noise in scans makes PNG large."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "WEBP", quality=WEBP_QUALITY, method=4)
    webp = buffer.getvalue()
    kind, data = ("webp", webp) if len(webp) < len(png) else ("png", png)
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


def _met(value: bool | None) -> str:  # noqa: FBT001 - a jinja filter has one argument
    """Words for a condition; unknown is a third answer."""
    return {True: "met", False: "not met", None: "unknown"}[value]


def _name(key: str) -> str:
    """A key with its unit in words: "tmax_hypoperfusion_s" becomes "Tmax hypoperfusion (s)"."""
    words, unit = key_words(key)
    return f"{words} ({unit})" if unit else words


@cache
def _template() -> jinja2.Template:
    """The page's template; everything put into it is escaped."""
    environment = page_environment("lvo.report")
    environment.filters |= {
        "met": _met,
        "value": value_words,
        "rulewords": rule_words,
        "dict": dict,
        "keyname": _name,
        "number": short_number,
        "upper_first": lambda text: text[:1].upper() + text[1:],
        "json": lambda value: json.dumps(value, sort_keys=True),
    }
    return environment.get_template("report.html.j2")
