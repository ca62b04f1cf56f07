"""Before and after a recalibration, on one page and in one picture."""

import base64
import io
from collections.abc import Sequence
from functools import cache

import jinja2

from lvo import RESEARCH_USE_ONLY
from lvo.report.pages import page_environment
from lvo.train.recalibrate import Comparison, Estimate, Quality

__all__ = ["lines", "page", "reliability_picture"]


def lines(found: Comparison) -> list[tuple[str, str, str]]:
    """Figure, before, after; with 95 % intervals."""
    return [
        ("Brier score", _words(found.before.brier), _words(found.after.brier)),
        ("expected calibration error", _words(found.before.ece), _words(found.after.ece)),
        ("fall of the Brier score", "", _words(found.brier_gain)),
        ("slope, intercept of the log odds", "1, 0", f"{found.shift.slope:.2f}, {found.shift.intercept:.2f}"),
    ]


def _words(value: Estimate) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def reliability_picture(found: Comparison) -> bytes:
    """PNG: what was given against what came true, before and after."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    sides: tuple[tuple[str, Quality], ...] = (("before", found.before), ("after, on cases left out", found.after))
    for number, (title, quality) in enumerate(sides, start=1):
        axes = figure.add_subplot(1, 2, number)
        axes.plot((0, 1), (0, 1), color="#999999", linewidth=1)
        given, true, counts = zip(*quality.bins, strict=True)
        axes.plot(given, true, color="#0b5fa5", linewidth=1)
        axes.scatter(given, true, s=[12 * n for n in counts], color="#0b5fa5", zorder=3)
        axes.set(title=title, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="probability given", aspect="equal")
        axes.text(0.03, 0.95, f"Brier {quality.brier.value:.3f}\nECE {quality.ece.value:.3f}", va="top")
        if number == 1:
            axes.set_ylabel("share with an occlusion")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def page(found: Comparison, data: str, left_out: Sequence[tuple[str, str]], picture: bytes) -> str:
    """The report as one HTML page that needs no other file."""
    return _template().render(
        found=found, data=data, lines=lines(found), left_out=left_out, picture=base64.b64encode(picture).decode(),
        use=RESEARCH_USE_ONLY,
    )  # fmt: skip


@cache
def _template() -> jinja2.Template:
    return page_environment().from_string(_PAGE)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Recalibration</title>
<style>body{font:15px/1.45 system-ui,sans-serif;max-width:55rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #ccc;padding:.3rem .7rem;text-align:left}
img{max-width:100%}</style></head><body>
<h1>Recalibration of the call</h1>
<p>{{ data }}: {{ found.n }} cases, {{ found.n_occluded }} with an occlusion;
{{ left_out|length }} could not be
used. "After" is judged on each case by a fit without it. Intervals: 95 %, over resampled cases. The
probabilities hold at the prevalence of these cases.</p>
<table><tr><th></th><th>before</th><th>after</th></tr>
{% for what, before, after in lines %}<tr><th>{{ what }}</th><td>{{ before }}</td><td>{{ after }}</td></tr>
{% endfor %}</table>
<img alt="reliability before and after" src="data:image/png;base64,{{ picture }}">
{% if left_out %}<h2>Not used</h2><table>{% for subject, why in left_out %}<tr><td>{{ subject }}</td><td>{{ why }}</td></tr>
{% endfor %}</table>{% endif %}
<p>{{ use }}</p></body></html>
"""
