"""The evaluation as pictures: ROC curve, reliability, and the stress card."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from lvo.core.report import Site
from lvo.evaluate.metrics import Estimate, auc, expected_calibration_error, reliability
from lvo.evaluate.pictures import png
from lvo.evaluate.records import Row
from lvo.evaluate.tables import STRATA, Group, standing, stratify
from lvo.evaluate.targets import SPECIFICITY, judged_scores, of_sites

__all__ = ["reliability_figure", "roc_figure", "stress_card"]

_SENSITIVITY, _FALSE_ALARM, _GREY = "#0072B2", "#D55E00", "#8C8C8C"  # told apart by any colour vision
_CURVES: Mapping[str, tuple[tuple[Site, ...], str]] = {
    "ICA-T and M1": ((Site.ICA_T, Site.M1), "#009E73"), "M2": ((Site.M2,), "#CC79A7"), "basilar": ((Site.BA,), "#E69F00"),
}  # fmt: skip
_ROW_IN, _TOP_IN, _BOTTOM_IN = 0.21, 0.4, 0.55
_FEW = 10
"""Groups with fewer cases are drawn pale."""


def roc_figure(rows: Sequence[Row], suspected: float) -> bytes:
    """ROC curves of all covered occlusions and of the main sites; a ring marks the fixed threshold.

    Args:
        rows: judged as they are.
        suspected: probability from which an occlusion is called.
    """
    figure = Figure(figsize=(6.4, 6.0), dpi=100)
    axes = figure.add_subplot()
    negatives = [probability for probability, positive in judged_scores(rows) if not positive]
    parts = {"any covered": (standing(rows, "positive"), _SENSITIVITY)}
    parts |= {name: (of_sites(rows, sites), color) for name, (sites, color) in _CURVES.items()}
    for name, (positives, color) in parts.items():
        scores = [row.found.probability if row.found else -1.0 for row in positives]
        if len(scores) < 2 or len(negatives) < 2:
            continue
        truth, values = np.repeat([1, 0], [len(scores), len(negatives)]), np.array([*scores, *negatives])
        false_rate, true_rate, _ = roc_curve(truth, values, drop_intermediate=False)
        area = auc(scores, negatives)
        words = f"{name}: AUC {area.value:.3f} [{area.low:.3f}, {area.high:.3f}], n = {len(scores)}"
        axes.step(
            false_rate, true_rate, where="post", color=color, label=words, linewidth=2.2 if name == "any covered" else 1.3
        )
        point = (np.mean(np.array(negatives) >= suspected), np.mean(np.array(scores) >= suspected))
        axes.plot(*point, marker="o", markersize=7, color=color, fillstyle="none")
    axes.axvline(1.0 - SPECIFICITY, color=_GREY, linewidth=0.8, linestyle=":")
    axes.plot((0, 1), (0, 1), color=_GREY, linewidth=0.8)
    axes.set(xlim=(-0.01, 1.0), ylim=(0.0, 1.01), aspect="equal")
    axes.set_xlabel(f"share of {len(negatives)} healthy heads that is called (1 - specificity)")
    axes.set_ylabel("share of occlusions that is called (sensitivity)")
    axes.set_title("Synthetic heads of the unseen generator; ring: fixed threshold; not judged = never called", fontsize=9)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    return png(figure)


def reliability_figure(rows: Sequence[Row]) -> bytes:
    """Share of occlusions against the probability that was given, and how often each was given."""
    judged = judged_scores(rows)
    probability, positive = np.array([p for p, _ in judged]), np.array([t for _, t in judged], dtype=bool)
    figure = Figure(figsize=(6.0, 6.4), dpi=100)
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    bins = reliability(probability, positive)
    x = [one.mean_probability for one in bins]
    _with_bars(top, x, [one.observed for one in bins], _SENSITIVITY)
    top.plot((0, 1), (0, 1), color=_GREY, linewidth=0.8)
    error = expected_calibration_error(probability, positive)
    top.set_title(
        f"Expected calibration error {error.value:.3f} [{error.low:.3f}, {error.high:.3f}], {error.n} cases", fontsize=9
    )
    top.set(ylim=(-0.02, 1.02), xlim=(-0.01, 1.01), ylabel="share with an occlusion")
    edges = np.linspace(0.0, 1.0, 11).tolist()
    bottom.hist(
        [probability[positive], probability[~positive]],
        bins=edges,
        color=[_SENSITIVITY, _FALSE_ALARM],
        label=["occlusion", "healthy"],
    )
    bottom.set(xlabel="probability that was given", ylabel="cases")
    bottom.set_yscale("symlog", linthresh=10)
    bottom.legend(fontsize=8, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return png(figure)


def stress_card(rows: Sequence[Row]) -> bytes:
    """Sensitivity and false alarms with their intervals for everything that results are sorted by."""
    tables = {name: stratify([row for row in rows if row.standing != "aside"], stratum) for name, stratum in STRATA.items()}
    tables = {name: groups for name, groups in tables.items() if groups}
    heights = [len(groups) + 1.6 for groups in tables.values()]
    high_in = _ROW_IN * sum(heights) + _TOP_IN + _BOTTOM_IN
    figure = Figure(figsize=(10.0, high_in), dpi=100)
    grid = figure.add_gridspec(
        max(1, len(tables)), 2, height_ratios=heights or [1.0], hspace=0.0, wspace=0.08, left=0.25, right=0.985,
        top=1.0 - _TOP_IN / high_in, bottom=_BOTTOM_IN / high_in,
    )  # fmt: skip
    for number, (name, groups) in enumerate(tables.items()):
        left, right = figure.add_subplot(grid[number, 0]), figure.add_subplot(grid[number, 1])
        _panel(left, name, groups, [one.sensitivity for one in groups], _SENSITIVITY)
        _panel(right, "", groups, [one.false_alarms for one in groups], _FALSE_ALARM)
        if number == 0:
            left.set_title("sensitivity (occlusions called; not judged = missed)", fontsize=9.5)
            right.set_title("false alarms (healthy heads called)", fontsize=9.5)
        for axes in (left, right):
            axes.tick_params(labelbottom=number == len(tables) - 1, bottom=number == len(tables) - 1)
            axes.spines["bottom"].set_visible(number == len(tables) - 1)
    words = "bars: 95 % Wilson intervals; number of cases beside them, pale below 10; synthetic heads of the unseen generator"
    figure.text(0.01, 0.08 / high_in, words, fontsize=8, color="#444444")
    return png(figure)


def _panel(axes: Axes, name: str, groups: Sequence[Group], values: Sequence[Estimate], color: str) -> None:
    """One stratum: a dot and a bar per group, its number of cases at the right."""
    places = np.arange(len(groups), dtype=float)
    for place, value in zip(places, values, strict=True):
        if value.n == 0:
            continue
        shade = 1.0 if value.n >= _FEW else 0.45
        axes.plot((value.low, value.high), (place, place), color=color, linewidth=2.0, alpha=0.55 * shade)
        axes.plot(value.value, place, marker="o", markersize=5, color=color, alpha=shade)
        axes.text(1.03, place, str(value.n), fontsize=7.5, va="center", color="#444444")
    axes.set(ylim=(len(groups) - 0.4, -1.2), xlim=(-0.02, 1.1), xticks=np.linspace(0.0, 1.0, 6))
    axes.set_yticks(places, [one.name for one in groups] if name else [])
    axes.tick_params(labelsize=8, length=2)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    if name:
        axes.text(
            -0.01,
            -0.85,
            name.upper(),
            transform=axes.get_yaxis_transform(),
            fontsize=8,
            fontweight="bold",
            ha="right",
            va="center",
        )


def _with_bars(axes: Axes, x: Sequence[float], values: Sequence[Estimate], color: str) -> None:
    for place, value in zip(x, values, strict=True):
        axes.plot((place, place), (value.low, value.high), color=color, alpha=0.5, linewidth=2.0)
        axes.plot(place, value.value, marker="o", color=color, markersize=5)
        axes.annotate(
            str(value.n), (place, value.value), textcoords="offset points", xytext=(6, -9), fontsize=7.5, color="#444444"
        )
