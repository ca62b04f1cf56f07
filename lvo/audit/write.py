"""The files of an audit."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from lvo.audit.cases import Case
from lvo.audit.kpi import INTERVALS, Estimate
from lvo.audit.pages import render_feedback, render_numbers, render_overview
from lvo.audit.summary import Figures, Summary, summarize
from lvo.audit.xmr import Chart

__all__ = ["audit_document", "write_audit"]


def write_audit(cases: Sequence[Case], zone: ZoneInfo, folder: Path) -> Summary:
    """Write pages, numbers and cases into a folder.

    Args:
        cases: at least one.
        zone: for days and working hours.
        folder: exists.
    """
    summary = summarize(cases, zone)
    sites = sorted({case.site for case in cases})
    pages = {"index": render_overview(summary), "small-numbers": render_numbers(cases)}
    for site in sites:
        own = [case for case in cases if case.site == site]
        others = [case for case in cases if case.site != site]
        pages[f"feedback-{site}"] = render_feedback(site, own, others, zone)
    for name, page in pages.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    (folder / "audit.json").write_text(json.dumps(audit_document(summary), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    _write_cases(cases, folder / "cases.csv")
    return summary


def audit_document(summary: Summary) -> dict[str, object]:
    """The numbers as JSON-able values."""
    return {
        "first": summary.first,
        "last": summary.last,
        "all": _figures(summary.all),
        "by": {split: {group: _figures(own) for group, own in groups.items()} for split, groups in summary.strata.items()},
        "charts": [{"name": c.name, "labels": list(c.labels), **_chart(c.chart)} for c in summary.charts],
        "drift": [
            {
                "scanner": d.scanner,
                "positive": _estimate(d.positive),
                "not_assessable": _estimate(d.not_assessable),
                "labels": list(d.labels),
                "charts": {name: _chart(chart) for name, chart in d.charts.items()},
            }
            for d in summary.drift
        ],
        "agreement": {
            "calls": {
                call: dict(zip(("lvo", "no_lvo", "unknown"), row, strict=True)) for call, row in summary.agreement.table.items()
            },
            "positive_predictive": _estimate(summary.agreement.positive_predictive),
            "found": _estimate(summary.agreement.found),
        },
    }


def _figures(figures: Figures) -> dict[str, object]:
    return {
        "n": figures.n,
        "times_min": {name: _estimate(found) for name, found in figures.times.items()},
        "shares": {name: _estimate(found) for name, found in figures.shares.items()},
    }


def _estimate(found: Estimate) -> object:
    return msgspec.to_builtins(found)


def _chart(chart: Chart) -> dict[str, object]:
    return {
        "values": chart.values.tolist(),
        "mean": chart.center,
        "low": chart.low,
        "high": chart.high,
        "range_high": chart.range_high,
        "signals": {signal.rule: list(signal.points) for signal in chart.signals},
    }


def _write_cases(cases: Sequence[Case], path: Path) -> None:
    """One row per case, minutes as numbers, for a spreadsheet or another audit."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "site", "start", "call", "lvo", "mtici", "scanner", *(f"{name}_min" for name in INTERVALS)])
        for case in cases:
            minutes = (case.minutes(interval.start, interval.end) for interval in INTERVALS.values())
            facts = (case.call, case.lvo, case.mtici, case.scanner)
            row = [case.name, case.site, case.start.isoformat(), *facts, *(None if m is None else round(m, 1) for m in minutes)]
            writer.writerow(["" if cell is None else cell for cell in row])
