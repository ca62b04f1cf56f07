"""report.html: one page for a person, complete in itself: no script, no network, pictures inside."""

import base64
import json
from collections.abc import Mapping
from functools import cache

import jinja2

from lvo import RESEARCH_USE_ONLY
from lvo.core.outcome import Assessed
from lvo.core.report import CtaResult, PerfusionResult, Report, Severity
from lvo.report.figures import FIGURES
from lvo.report.result import quality_notes
from lvo.report.words import CALL_LIMIT, UNJUDGED_LIMIT, cta_headline, perfusion_headline, short_number

__all__ = ["render_html"]

_UNIT_WORDS = {"_ml": "mL", "_s": "s", "_hu": "HU", "_mm": "mm"}


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
    return _template().render(
        report=report,
        document=document,
        limits=RESEARCH_USE_ONLY,
        call_limit=CALL_LIMIT,
        unjudged_limit=UNJUDGED_LIMIT,
        call=cta_headline(report),
        perfusion_call=perfusion_headline(report),
        cta=cta,
        perfusion=perfusion,
        warnings=[note for note in notes if note.severity is not Severity.INFO],
        infos=[note for note in notes if note.severity is Severity.INFO],
        figures={name: _data_uri(png) for name, png in figures.items()},
        captions=FIGURES,
    )


def _data_uri(png: bytes) -> str:
    """A picture as part of the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _met(value: bool | None) -> str:  # noqa: FBT001 - a jinja filter has one argument
    """Words for a condition; unknown is a third answer."""
    return {True: "met", False: "not met", None: "unknown"}[value]


def _value(value: float | str | None) -> str:
    """A looked-at value in a table."""
    return value if isinstance(value, str) else short_number(value, 1)


def _name(key: str) -> str:
    """A key with its unit in words: "tmax_hypoperfusion_s" becomes "tmax hypoperfusion (s)"."""
    for suffix, unit in _UNIT_WORDS.items():
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return key.replace("_", " ")


@cache
def _template() -> jinja2.Template:
    """The page's template; everything put into it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lvo.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "met": _met,
        "value": _value,
        "keyname": _name,
        "number": short_number,
        "json": lambda value: json.dumps(value, sort_keys=True),
    }
    return environment.get_template("report.html.j2")
