"""The tables of a paper in LaTeX, each short enough for a page."""

from collections.abc import Iterable, Sequence

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.evaluate.reference import agreement, benefit, calibration, compare, curves
from lvo.evaluate.reference.accuracy import CHAPTER, SENSITIVITY, SPECIFICITY, SUBGROUPS, answer_table
from lvo.evaluate.reference.latex import latex_table
from lvo.evaluate.reference.numbers import Number, find, words
from lvo.evaluate.reference.records import Cohort
from lvo.evaluate.reference.sections import METHODS

__all__ = ["paper_tables"]

_BY = f"(lvo {__version__})"
_HEADER = ("", "found [95 % CI]", "Clopper-Pearson")


def paper_tables(cohort: Cohort, numbers: Sequence[Number], service: benefit.Service) -> dict[str, str]:
    """LaTeX by file name: main table and subgroups; maps and readers where there are some."""
    answers: list[tuple[str, ...]] = [
        (answer, f"{positive} with", f"{negative} without")
        for answer, positive, negative in answer_table(cohort.positives, cohort.negatives)
    ]
    chapters = {CHAPTER: "Accuracy", curves.CHAPTER: "Curves", calibration.CHAPTER: "Calibration"}
    main: list[tuple[str, list[tuple[str, ...]]]] = [
        ("Answers: studies with a covered occlusion and without", answers),
        *((heading, _lines(numbers, chapter)) for chapter, heading in chapters.items()),
        (f"At {100 * service.prevalence:.3g} % prevalence, {service.per_week:g} angiograms a week", _of_a_week(numbers)),
    ]
    tables = {
        "table.tex": latex_table(
            main, header=_HEADER, caption=f"Accuracy against the reference standard {_BY}.",
            note=f"{METHODS} {RESEARCH_USE_ONLY}",
        ),
        "subgroups.tex": latex_table(
            [("", _subgroups(numbers))], header=("group", "sensitivity [95 % CI]", "specificity [95 % CI]"),
            caption=f"Sensitivity and specificity by subgroup {_BY}.", note="Wilson intervals. Not analysed = no alarm.",
            first=0.25,
        ),
    }  # fmt: skip
    maps = _lines(numbers, agreement.CHAPTER)
    if maps:
        tables["maps.tex"] = latex_table(
            [("", maps)], header=("", "found [95 % CI]", ""), caption=f"Maps and volumes against the reference {_BY}.",
            note="Found less reference. Limits of agreement: bias +- 2 SD.",
        )  # fmt: skip
    readers = _readers(numbers)
    if readers:
        tables["readers.tex"] = latex_table(
            readers, header=("", "found [95 % CI]", "p"), caption=f"Readers and other products {_BY}.",
            note="Shares: Wilson; paired differences: Newcombe with McNemar's exact p; areas: DeLong.",
        )  # fmt: skip
    return tables


def _lines(numbers: Iterable[Number], chapter: str) -> list[tuple[str, ...]]:
    """Numbers of all cases of one chapter, exact intervals beside Wilson's; maps have groups."""
    there = [number for number in numbers if number.chapter == chapter]
    return [
        (_name(number), words(number.estimate), _exact(there, number))
        for number in there
        if number.method != "Clopper-Pearson" and (not number.group or chapter == agreement.CHAPTER)
    ]


def _of_a_week(numbers: Iterable[Number]) -> list[tuple[str, ...]]:
    return [(number.name, words(number.estimate, digits=2), "") for number in numbers if number.name in benefit.WEEK]


def _subgroups(numbers: Sequence[Number]) -> list[tuple[str, ...]]:
    there = [number for number in numbers if number.chapter == SUBGROUPS]
    lines = []
    for group in dict.fromkeys(number.group for number in there):
        cells = (find(there, name, group=group, method="Wilson") for name in (SENSITIVITY, SPECIFICITY))
        lines.append((group, *("-" if cell is None else words(cell.estimate) for cell in cells)))
    return lines


def _readers(numbers: Iterable[Number]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """A part per reader and per comparison; p values stand beside their differences."""
    there = [number for number in numbers if number.chapter == compare.CHAPTER]
    parts = []
    for group in dict.fromkeys(number.group for number in there):
        of_group = [number for number in there if number.group == group]
        lines: list[tuple[str, ...]] = []
        for number in of_group:
            if number.name.endswith(compare.P):
                continue
            p = find(of_group, number.name + compare.P, group=group)
            lines.append((number.name, words(number.estimate), "" if p is None else compare.p_words(p.estimate.value)))
        parts.append((group, lines))
    return parts


def _name(number: Number) -> str:
    return f"{number.group}: {number.name}" if number.group else number.name


def _exact(numbers: Iterable[Number], number: Number) -> str:
    """The exact interval beside Wilson's."""
    if number.method != "Wilson":
        return ""
    other = find(numbers, number.name, group=number.group, method="Clopper-Pearson")
    return "" if other is None or other.estimate.n == 0 else f"[{other.estimate.low:.3f}, {other.estimate.high:.3f}]"
