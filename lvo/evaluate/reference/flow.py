"""The STARD-AI flow diagram: from results and reference table to the cases that count, and what was said about them.

STARD 2015 (doi:10.1136/bmj.h5527) with STARD-AI (2025): every study that leaves the way is shown with the reason.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lvo.evaluate.pictures import png
from lvo.evaluate.reference.accuracy import answer_table
from lvo.evaluate.reference.records import Cohort

__all__ = ["flow_figure", "flow_lines"]

_EDGE, _ASIDE, _MAIN = "#444444", "#F3F3F3", "#E3EEF7"
_REASONS_SHOWN = 4
_WIDE = 36
"""Letters of a reason that fit into its box."""


def flow_lines(cohort: Cohort) -> list[tuple[str, int]]:
    """The diagram as lines: what, and how many studies."""
    flow = cohort.flow
    counting = len(cohort.positives) + len(cohort.negatives)
    return [
        ("studies with a result", flow.results),
        ("of these, not in the reference table", len(flow.no_reference)),
        ("studies in the reference table", flow.rows),
        ("of these, reference standard could not tell", flow.no_standard),
        ("of these, only an artery that is not covered is occluded", flow.aside),
        ("studies that count", counting),
        ("of these, no result", flow.no_result),
        ("of these, could not be judged", flow.not_judged),
        ("of these, analysed", counting - flow.no_result - flow.not_judged),
        ("with a covered occlusion", len(cohort.positives)),
        ("without an occlusion", len(cohort.negatives)),
    ]


def flow_figure(cohort: Cohort) -> bytes:
    """The flow diagram as PNG."""
    flow = cohort.flow
    counting = len(cohort.positives) + len(cohort.negatives)
    analysed = counting - flow.no_result - flow.not_judged
    figure = Figure(figsize=(9.6, 7.4), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0.0, 100.0), ylim=(0.0, 100.0))
    axes.set_axis_off()
    _box(axes, 44, 93, 34, f"studies in the reference table\nn = {flow.rows}")
    _box(axes, 44, 75, 34, f"studies that count\nn = {counting}")
    _box(axes, 44, 55, 34, f"analysed\nn = {analysed}")
    left_out = f"reference standard could not tell  n = {flow.no_standard}\nonly arteries not covered  n = {flow.aside}"
    _box(axes, 82, 84, 34, left_out, color=_ASIDE)
    reasons = [f"{_short(text)}  n = {count}" for text, count in flow.reasons[:_REASONS_SHOWN]]
    silent = "\n".join([f"no result  n = {flow.no_result}", f"could not be judged  n = {flow.not_judged}", *reasons])
    _box(axes, 82, 65, 34, silent, color=_ASIDE)
    _box(axes, 13, 93, 22, f"results not in the table\nn = {len(flow.no_reference)}", color=_ASIDE)
    for start, end in (((44, 88.5), (44, 79.5)), ((44, 70.5), (44, 59.5)), ((44, 84), (65, 84)), ((44, 65), (65, 65))):
        _arrow(axes, start, end)
    for x, (answer, positive, negative) in zip((15, 38, 61), answer_table(cohort.positives, cohort.negatives), strict=False):
        _box(axes, x, 36, 20, f"{answer}\nn = {positive + negative}")
        _arrow(axes, (44, 50.5), (x, 40.5))
        _box(axes, x, 15, 20, f"occlusion  n = {positive}\nno occlusion  n = {negative}")
        _arrow(axes, (x, 31.5), (x, 19.5))
    hidden = _hidden(cohort)
    _box(axes, 85, 15, 24, f"not analysed:\nocclusion  n = {hidden[0]}\nno occlusion  n = {hidden[1]}", color=_ASIDE)
    _arrow(axes, (85, 65 - _height(silent) / 2.0), (85, 20.5))
    axes.text(1, 2, "Studies that were not analysed count: an occlusion among them is missed.", fontsize=9, color=_EDGE)
    return png(figure)


def _hidden(cohort: Cohort) -> Sequence[int]:
    """Occlusions and others that were not analysed."""
    silent = {"not judged", "no result"}
    return [sum(case.answer in silent for case in part) for part in (cohort.positives, cohort.negatives)]


def _box(axes: Axes, x: float, y: float, width: float, text: str, *, color: str = _MAIN) -> None:
    """A box with its middle at x and y, as wide as asked and as high as its text."""
    height = _height(text)
    box = FancyBboxPatch(
        (x - width / 2.0, y - height / 2.0), width, height, boxstyle="round,pad=0,rounding_size=1", facecolor=color,
        edgecolor=_EDGE, linewidth=0.8,
    )  # fmt: skip
    axes.add_patch(box)
    axes.text(x, y, text, ha="center", va="center", fontsize=9, linespacing=1.35)


def _height(text: str) -> float:
    return 3.4 + 2.8 * (text.count("\n") + 1)


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": _EDGE, "linewidth": 0.9})
