"""worklist.html: every study of a batch in the order of urgency, one page without scripts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

import jinja2

from lvo import RESEARCH_USE_ONLY
from lvo.batch.records import Row
from lvo.batch.summary import Summary, Urgency, sorted_rows, urgency_of
from lvo.report.pages import page_environment
from lvo.report.words import CALL_LIMIT

__all__ = ["render_worklist"]

_WORDS = {
    Urgency.SUSPECTED: ("Occlusion suspected", "▲"),
    Urgency.INDETERMINATE: ("Indeterminate", "△"),
    Urgency.UNJUDGED: ("Could not be judged", "?"),
    Urgency.FAILED: ("No result", "✕"),
    Urgency.PERFUSION: ("Perfusion only, or tissue hypoperfused without a suspected occlusion", "◐"),
    Urgency.NOT_DETECTED: ("Not detected, which does not rule one out", "○"),
}
"""Words and a sign of its own for each: colour alone tells nobody anything."""


def render_worklist(
    rows: Sequence[Row], summary: Summary, *, at: datetime, page: str = "report.html", refresh_s: int | None = None
) -> str:
    """The page.

    Args:
        rows: of all studies.
        summary: of the same.
        at: now.
        page: what of a study is linked: report.html, or result.json where there is no page.
        refresh_s: how often a browser loads it again; None for a batch that is over.
    """
    groups: list[dict[str, object]] = []
    ordered = sorted_rows(rows)
    for urgency, (words, sign) in _WORDS.items():
        lines = [_line(row, page) for row in ordered if urgency_of(row) is urgency]
        if lines:
            groups.append({"name": urgency.name.lower(), "words": words, "sign": sign, "lines": lines})
    return _template().render(
        groups=groups,
        summary=summary,
        limits=RESEARCH_USE_ONLY,
        call_limit=CALL_LIMIT,
        at=f"{at:%Y-%m-%d %H:%M %Z}",
        refresh_s=refresh_s,
    )


def _line(row: Row, page: str) -> dict[str, str]:
    """What one study shows."""
    where = " ".join(str(row[name]) for name in ("cta.lvo.side", "cta.lvo.site") if row[name])
    probability = row["cta.lvo.probability"]
    return {
        "study": str(row["study_instance_uid"] or f"item {row['item']}"),
        "report": f"{row['folder']}/{page}" if row["folder"] else "",
        "where": where,
        "probability": "" if not isinstance(probability, float) else f"{probability:.2f}",
        "core": _ml(row["perfusion.core_ml"]),
        "hypoperfusion": _ml(row["perfusion.hypoperfusion_ml"]),
        "due": _time(row["due"]),
        "late": "late" if _late(row) else "",
        "note": str(row["error.reason"] or row["cta.reasons"] or row["perfusion.reasons"] or ""),
    }


def _ml(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) else ""


def _time(value: object) -> str:
    return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M} UTC" if isinstance(value, int | float) else ""


def _late(row: Row) -> bool:
    due, ended = row["due"], row["ended_at"]
    return isinstance(due, int | float) and isinstance(ended, int | float) and ended > due


@cache
def _template() -> jinja2.Template:
    return page_environment("lvo.batch").get_template("worklist.html.j2")
