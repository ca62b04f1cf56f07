"""Pictures of the report: ROC, precision and recall, FROC, reliability, decision curve, alarms, subgroups, agreement."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvo.evaluate.metrics import Estimate, reliability
from lvo.evaluate.pictures import NEAR_MM, png
from lvo.evaluate.reference import benefit
from lvo.evaluate.reference.accuracy import SENSITIVITY, SPECIFICITY, SUBGROUPS
from lvo.evaluate.reference.agreement import agree, volume_pairs
from lvo.evaluate.reference.calibration import at_prevalence
from lvo.evaluate.reference.compare import AIDED
from lvo.evaluate.reference.curves import Froc, Scores, precision_recall_points, roc_points
from lvo.evaluate.reference.numbers import Number, find, words
from lvo.evaluate.reference.records import Case

__all__ = [
    "agreement_figure", "alarm_figure", "decision_figure", "froc_figure", "precision_recall_figure", "reliability_figure",
    "roc_figure", "subgroup_figure",
]  # fmt: skip

_BLUE, _RED, _GREEN, _PINK, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C8C8C"  # told apart by any colour vision
_READERS = (_RED, _GREEN, _PINK, "#56B4E9", "#E69F00")
_FEW = 10
"""Groups with fewer cases are drawn pale."""


def roc_figure(everyone: Scores, numbers: Sequence[Number], readers: Mapping[str, tuple[float, float]]) -> bytes:
    """ROC curve, the program's operating point, and readers as points.

    Args:
        everyone: scores; what was not analysed ranks lowest.
        numbers: for the area in the legend.
        readers: (1 - specificity, sensitivity) by name.
    """
    figure, axes = _square()
    area = find(numbers, "area under the ROC curve, not analysed ranks lowest")
    label = "" if area is None else f"program, AUC {words(area.estimate)}"
    axes.step(*roc_points(everyone), where="post", color=_BLUE, linewidth=2.0, label=label)
    own = find(numbers, SENSITIVITY), find(numbers, SPECIFICITY)
    if own[0] is not None and own[1] is not None:
        _cross(axes, own[0].estimate, own[1].estimate)
    people = list(dict.fromkeys(name.removesuffix(AIDED) for name in readers))
    for name, (x, y) in readers.items():
        color = _READERS[people.index(name.removesuffix(AIDED)) % len(_READERS)]
        marker = "s" if name.endswith(AIDED) else "^"
        axes.plot(x, y, marker=marker, color=color, markersize=7, linestyle="none", label=name.replace(":", ", "))
    axes.plot((0, 1), (0, 1), color=_GREY, linewidth=0.8)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.0), ylim=(0.0, 1.01), aspect="equal")
    axes.legend(loc="lower right", fontsize=8.5, frameon=False)
    axes.set_title("Not analysed = never called; cross: the call with Wilson intervals", fontsize=9)
    return png(figure)


def precision_recall_figure(judged: Scores, numbers: Sequence[Number]) -> bytes:
    """Precision against recall; the dotted line is the share of occlusions in the sample."""
    figure, axes = _square()
    area = find(numbers, "average precision, judged only")
    recall, precision = precision_recall_points(judged)
    label = "" if area is None else f"average precision {words(area.estimate)}"
    axes.step(recall, precision, where="pre", color=_BLUE, linewidth=2.0, label=label)
    share = float(judged.positive.mean())
    axes.axhline(share, color=_GREY, linestyle=":", linewidth=1.0, label=f"share of occlusions in the sample {share:.2f}")
    axes.set(
        xlabel="recall (sensitivity)", ylabel="precision (positive predictive value)", xlim=(-0.01, 1.01), ylim=(0.0, 1.02)
    )
    axes.legend(loc="lower left", fontsize=8.5, frameon=False)
    axes.set_title("Judged studies only, at the prevalence of the sample", fontsize=9)
    return png(figure)


def froc_figure(curve: Froc) -> bytes:
    """Free-response curve."""
    figure, axes = _square()
    axes.step(curve.false_marks_per_study, curve.sensitivity, where="post", color=_BLUE, linewidth=2.0)
    axes.set(
        xlabel=f"false marks per study (of {curve.n_studies})", ylim=(0.0, 1.01), xlim=(0.0, None),
        ylabel=f"share of {curve.n_occlusions} occlusions with a mark within {NEAR_MM:g} mm",
    )  # fmt: skip
    axes.set_title("One mark a study at most, so the curve ends where all are shown", fontsize=9)
    return png(figure)


def reliability_figure(judged: Scores, numbers: Sequence[Number]) -> bytes:
    """Share of occlusions against the probability that was given, and how often each was given."""
    figure = Figure(figsize=(6.0, 6.4), dpi=100)
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    for one in reliability(judged.probability, judged.positive):
        x, seen = one.mean_probability, one.observed
        top.plot((x, x), (seen.low, seen.high), color=_BLUE, alpha=0.5, linewidth=2.0)
        top.plot(x, seen.value, marker="o", color=_BLUE, markersize=5)
        top.annotate(str(seen.n), (x, seen.value), textcoords="offset points", xytext=(6, -9), fontsize=7.5, color="#444444")
    top.plot((0, 1), (0, 1), color=_GREY, linewidth=0.8)
    parts = []
    for name, short in (
        ("calibration slope", "slope"),
        ("calibration intercept (slope held at 1)", "intercept"),
        ("Brier score", "Brier"),
    ):
        number = find(numbers, name)
        if number is not None:
            parts.append(f"{short} {words(number.estimate, digits=2)}")
    top.set_title("; ".join(parts), fontsize=8.5)
    top.set(ylim=(-0.02, 1.02), xlim=(-0.01, 1.01), ylabel="share with an occlusion")
    edges = np.linspace(0.0, 1.0, 11).tolist()
    groups = [judged.of(True), judged.of(False)]
    bottom.hist(groups, bins=edges, color=[_BLUE, _RED], label=["occlusion", "no occlusion"])
    bottom.set(xlabel="probability that was given", ylabel="cases")
    bottom.set_yscale("symlog", linthresh=10)
    bottom.legend(fontsize=8, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return png(figure)


def decision_figure(everyone: Scores, called: NDArray[np.bool_], service: benefit.Service) -> bytes:
    """Net benefit over threshold probabilities at the prevalence of the service.

    The curve of the program calls from the threshold on, after its probabilities were moved to that prevalence.
    """
    figure, axes = _square(wide=True)
    odds, prevalence = benefit.THRESHOLDS, service.prevalence
    moved = at_prevalence(np.where(np.isneginf(everyone.probability), 0.0, everyone.probability), everyone.positive, prevalence)
    positive = everyone.positive
    curve = [
        benefit.at_prevalence(float((moved >= t)[positive].mean()), float((moved < t)[~positive].mean()), prevalence, t)
        for t in odds
    ]
    fixed = float(called[positive].mean()), float((~called[~positive]).mean())
    axes.plot(odds, curve, color=_BLUE, linewidth=2.0, label="program, called from the threshold on")
    at_call = [benefit.at_prevalence(*fixed, prevalence, t) for t in odds]
    axes.plot(odds, at_call, color=_GREEN, linewidth=1.5, linestyle="--", label="program, its own call")
    axes.plot(odds, [benefit.treat_all(prevalence, t) for t in odds], color=_RED, linewidth=1.2, label="call every study")
    axes.axhline(0.0, color="#222222", linewidth=1.0, label="call none")
    top = max(prevalence, 1e-3)
    axes.set(
        ylim=(-0.4 * top, 1.1 * top), xlim=(odds[0], odds[-1]), ylabel="net benefit (true calls per study)",
        xlabel="threshold probability: 0.1 means one missed occlusion weighs as much as 9 false alarms",
    )  # fmt: skip
    axes.legend(fontsize=8.5, frameon=False)
    axes.set_title(f"At {100 * prevalence:.3g} % prevalence", fontsize=9)
    return png(figure)


def alarm_figure(sensitivity: Estimate, specificity: Estimate, service: benefit.Service) -> bytes:
    """Alerts a week and positive predictive value over prevalence."""
    figure = Figure(figsize=(9.0, 3.8), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = np.linspace(0.005, 0.35, 70)
    weeks = [benefit.alarms(sensitivity.value, specificity.value, benefit.Service(share, service.per_week)) for share in shares]
    true = [week.alerts - week.false for week in weeks]
    left.stackplot(
        100 * shares, true, [week.false for week in weeks], colors=[_BLUE, _RED], labels=["true", "false"], alpha=0.85
    )
    left.set(xlabel="prevalence, %", ylabel=f"alerts a week, of {service.per_week:g} angiograms", xlim=(0.5, 35.0))
    left.legend(fontsize=8.5, frameon=False, loc="upper left")
    right.plot(
        100 * shares, [week.positive_value for week in weeks], color=_BLUE, linewidth=2.0, label="positive predictive value"
    )
    right.plot(
        100 * shares, [week.negative_value for week in weeks], color=_GREEN, linewidth=1.5, label="negative predictive value"
    )
    right.set(xlabel="prevalence, %", ylim=(0.0, 1.02), xlim=(0.5, 35.0))
    right.legend(fontsize=8.5, frameon=False, loc="lower right")
    for axes in (left, right):
        axes.axvline(100 * service.prevalence, color="#222222", linewidth=0.9, linestyle=":")
    return png(figure)


def subgroup_figure(numbers: Sequence[Number]) -> bytes:
    """Sensitivity and specificity of every subgroup with Wilson intervals."""
    rows = [number for number in numbers if number.chapter == SUBGROUPS and number.method == "Wilson"]
    groups = list(dict.fromkeys(number.group for number in rows))
    figure = Figure(figsize=(9.6, 1.0 + 0.24 * (len(groups) + 1)), dpi=100, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name, color in zip(panels, (SENSITIVITY, SPECIFICITY), (_BLUE, _RED), strict=True):
        everything = find(numbers, name)
        if everything is not None:
            axes.axvline(everything.estimate.value, color=_GREY, linewidth=0.9, linestyle=":")
        for place, group in enumerate(groups):
            number = find(rows, name, group=group)
            if number is not None:
                _bar(axes, place, number.estimate, color)
        axes.set(xlim=(-0.02, 1.12), ylim=(len(groups) - 0.4, -0.8), title=f"{name} (dotted: all)")
        axes.title.set_fontsize(9.5)
        axes.tick_params(labelsize=8, length=2)
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        for edge in ("top", "right"):
            axes.spines[edge].set_visible(False)
    panels[0].set_yticks(range(len(groups)), groups)
    return png(figure)


def agreement_figure(cases: Sequence[Case], name: str) -> bytes | None:
    """Difference against mean of two volumes with the limits of agreement; None with fewer than two pairs."""
    found, reference = (np.array(part) for part in volume_pairs(cases, name))
    if len(found) < 2:
        return None
    limits = agree(found.tolist(), reference.tolist())
    figure, axes = _square(wide=True)
    axes.plot((found + reference) / 2.0, found - reference, marker="o", linestyle="none", color=_BLUE, alpha=0.7)
    for line, style in ((limits.bias, "-"), (limits.lower, "--"), (limits.upper, "--")):
        axes.axhline(line.value, color=_RED, linewidth=1.2, linestyle=style)
        axes.axhspan(line.low, line.high, color=_RED, alpha=0.08, linewidth=0)
    axes.axhline(0.0, color=_GREY, linewidth=0.8)
    what = name.removesuffix("_ml")
    axes.set(xlabel=f"mean of found and reference {what}, mL", ylabel="found less reference, mL")
    axes.set_title(f"bias {words(limits.bias, digits=1)} mL; limits {limits.lower.value:.1f} to {limits.upper.value:.1f} mL; "
                   f"n = {limits.bias.n}", fontsize=9)  # fmt: skip
    return png(figure)


def _square(*, wide: bool = False) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.4, 4.8) if wide else (5.8, 5.6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    return figure, axes


def _cross(axes: Axes, sensitivity: Estimate, specificity: Estimate) -> None:
    x, y = 1.0 - specificity.value, sensitivity.value
    axes.plot((1.0 - specificity.high, 1.0 - specificity.low), (y, y), color=_BLUE, linewidth=1.4)
    axes.plot((x, x), (sensitivity.low, sensitivity.high), color=_BLUE, linewidth=1.4)
    axes.plot(x, y, marker="o", color=_BLUE, markersize=7, fillstyle="none")


def _bar(axes: Axes, place: float, value: Estimate, color: str) -> None:
    shade = 1.0 if value.n >= _FEW else 0.45
    axes.plot((value.low, value.high), (place, place), color=color, linewidth=2.0, alpha=0.55 * shade)
    axes.plot(value.value, place, marker="o", markersize=5, color=color, alpha=shade)
    axes.text(1.03, place, str(value.n), fontsize=7.5, va="center", color="#444444")
