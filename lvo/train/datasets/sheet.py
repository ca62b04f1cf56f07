"""What was found, for a person to look at: a contact sheet, and a page with counts and issues."""

import base64
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import jinja2
import numpy as np
from numpy.typing import NDArray

from lvo import RESEARCH_USE_ONLY
from lvo.core.volume import Volume
from lvo.image.turn import upright
from lvo.report.pages import page_environment
from lvo.train.datasets.record import Level

if TYPE_CHECKING:
    from lvo.train.datasets.check import Survey

__all__ = ["Thumbnail", "contact_sheet", "counts", "page", "thumbnail"]

_EDGE = 160
"""Pixels; enough to see whether a head is upright and where its labels lie."""
_SLAB_MM = 30.0
_WINDOW_HU = (0.0, 500.0)
_COLUMNS = (4, 6)
"""At least, for the words above, and at most."""
_MOST = 60
"""Scans on the sheet; more are left out and counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """An axial slab of one scan, the patient's left on the right.

    Args:
        title: the subject.
        gray: (J, I) 0 to 1.
        arteries, clot: (J, I) masks, empty where there are none.
        aspect: height of a pixel by its width.
    """

    title: str
    gray: NDArray[np.float32]
    arteries: NDArray[np.bool_]
    clot: NDArray[np.bool_]
    aspect: float


def thumbnail(image: Volume, arteries: Volume | None, clot: Volume | None, title: str) -> Thumbnail:
    """Project the slab that holds the middle of the labels, or the middle of the scan."""
    turn = upright(image.grid)
    hu = turn.apply(image.array)
    masks = [
        turn.apply(mask.array != 0)
        if mask is not None and mask.array.shape == image.array.shape
        else np.zeros(hu.shape, dtype=bool)
        for mask in (arteries, clot)
    ]
    labelled = np.flatnonzero((masks[0] | masks[1]).any(axis=(1, 2)))
    spacing = turn.turned.spacing_kji_mm
    middle = int(labelled.mean()) if labelled.size else hu.shape[0] // 2
    half = max(1, round(_SLAB_MM / 2.0 / float(spacing[0])))
    slab = slice(max(0, middle - half), middle + half + 1)
    step = max(1, -(-max(hu.shape[1:]) // _EDGE))
    low, high = _WINDOW_HU
    gray = np.clip((hu[slab].max(axis=0)[::step, ::step].astype(np.float32) - low) / (high - low), 0.0, 1.0)
    flat = [np.asarray(mask[slab].any(axis=0))[::step, ::step] for mask in masks]
    return Thumbnail(title, gray, flat[0], flat[1], float(spacing[1] / spacing[2]))


def contact_sheet(found: "Survey") -> bytes | None:
    """PNG of all scans that could be read, None when there are none."""
    from matplotlib.figure import Figure

    pictures = [one.picture for one in found.checked if one.picture is not None]
    shown = pictures[:_MOST]
    if not shown:
        return None
    columns = min(max(len(shown), _COLUMNS[0]), _COLUMNS[1])
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.0 * columns, 2.25 * rows + 0.5), layout="compressed", facecolor="black")
    for number in range(rows * columns):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.set_axis_off()
        if number >= len(shown):
            continue
        picture = shown[number]
        axes.imshow(picture.gray, cmap="gray", vmin=0.0, vmax=1.0, aspect=picture.aspect)
        for mask, colour in ((picture.arteries, "#ffb000"), (picture.clot, "#ff3060")):
            if mask.any():
                axes.contour(mask, levels=[0.5], colors=colour, linewidths=0.8)
        axes.set_title(picture.title, color="white", fontsize=8)
    left_out = f"; {len(pictures) - len(shown)} more are not shown" if len(pictures) > len(shown) else ""
    words = f"{found.data_set.title}: 30 mm slabs, patient's left on the right; arteries yellow, occlusion red{left_out}"
    figure.suptitle(words, color="white", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def counts(found: "Survey") -> list[tuple[str, str]]:
    """What there is, as (what, how many)."""
    scans = [one.scan for one in found.checked]
    usable = sum(one.usable for one in found.checked)
    lines = [
        ("scans", str(len(scans))),
        ("usable", str(usable)),
        ("patients", str(len({scan.patient for scan in scans}))),
        ("kinds", _tally(scan.kind for scan in scans)),
        ("centres", _tally(scan.centre or "not said" for scan in scans)),
        ("with arteries", str(sum(scan.arteries is not None for scan in scans))),
        ("with a mask of the occlusion", str(sum(scan.clot is not None for scan in scans))),
        ("occluded", _tally({True: "yes", False: "no", None: "not said"}[scan.occluded] for scan in scans)),
    ]
    for what, words in (("side", [scan.side for scan in scans]), ("site", [scan.site for scan in scans])):
        known = [word for word in words if word]
        if known:
            lines.append((what, _tally(known)))
    return lines


def _tally(words: Iterable[str]) -> str:
    tally = Counter(words)
    return ", ".join(f"{word} ({n})" for word, n in sorted(tally.items()))


def page(found: "Survey", sheet: bytes | None) -> str:
    """The check as one HTML page that needs no other file."""
    issues = sorted(
        [issue for one in found.checked for issue in one.issues] + list(found.issues),
        key=lambda issue: (tuple(Level).index(issue.level), issue.subject, issue.code),
    )
    picture = base64.b64encode(sheet).decode() if sheet else ""
    return _template().render(
        data_set=found.data_set, counts=counts(found), issues=issues, picture=picture, use=RESEARCH_USE_ONLY
    )


@cache
def _template() -> jinja2.Template:
    return page_environment().from_string(_PAGE)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ data_set.title }}</title>
<style>body{font:15px/1.45 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #ccc;padding:.3rem .7rem;text-align:left;
vertical-align:top}
.wide{overflow-x:auto}td:last-child{min-width:8rem}td:nth-child(3){min-width:16rem}
.error td:first-child{color:#b00020;font-weight:700}.warning td:first-child{color:#8a5a00;font-weight:700}
img{max-width:100%}</style></head><body>
<h1>{{ data_set.title }}</h1>
<p>{{ data_set.source }}. Licence: {{ data_set.licence }}.</p>
<table>{% for what, many in counts %}<tr><th>{{ what }}</th><td>{{ many }}</td></tr>{% endfor %}</table>
{% if data_set.notes %}<h2>Know before you use it</h2>
<ul>{% for note in data_set.notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
<h2>Missing, inconsistent, noteworthy</h2>
{% if issues %}<div class="wide"><table><tr><th></th><th>subject</th><th>what</th><th>known defect</th></tr>
{% for issue in issues %}<tr class="{{ issue.level }}"><td>{{ issue.level }}</td><td>{{ issue.subject or "all" }}</td>
<td>{{ issue.text }}</td><td>{{ issue.known }}</td></tr>
{% endfor %}</table></div>{% else %}<p>Nothing.</p>{% endif %}
{% if picture %}<h2>Scans</h2><img alt="contact sheet" src="data:image/png;base64,{{ picture }}">{% endif %}
<p>{{ use }}</p></body></html>
"""
