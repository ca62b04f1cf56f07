"""The report against a reference table, chapter by chapter, as sections of words, tables and pictures."""

from collections.abc import Mapping, Sequence

from lvo import RESEARCH_USE_ONLY
from lvo.evaluate.document import Picture, Section, Table
from lvo.evaluate.reference import agreement, benefit, calibration, compare, curves
from lvo.evaluate.reference.accuracy import CHAPTER, SENSITIVITY, SPECIFICITY, SUBGROUPS, answer_table
from lvo.evaluate.reference.flow import flow_lines
from lvo.evaluate.reference.numbers import Number, find, words
from lvo.evaluate.reference.records import Case, Cohort

__all__ = ["METHODS", "sections"]

METHODS = (
    "Intervals are 95 %: Wilson and Clopper-Pearson for shares, DeLong for areas under the ROC curve, Wald for calibration "
    "slope and intercept, Student's t for limits of agreement, percentile bootstrap over cases (1000, seeded) for everything "
    "else."
)
_COUNTING = (
    "A study that was not analysed counts: it raised no alarm, so an occlusion in it is missed. Figures on judged studies "
    "alone, and with every unanalysed study taken as wrong, stand beside it. Indeterminate is not a call; the figures with it "
    "as an alarm stand beside it too. Occlusions of arteries that are not covered are in no figure."
)


def sections(
    cohort: Cohort, numbers: Sequence[Number], service: benefit.Service, pictures: Mapping[str, Picture]
) -> list[Section]:
    """All sections.

    Args:
        cohort: the cases.
        numbers: every number of the report.
        service: where the program would run.
        pictures: by name; those that are not there are left out.
    """
    return [
        _about(cohort, pictures),
        _answers(cohort),
        _section("Accuracy", CHAPTER, numbers, (_COUNTING,)),
        _subgroups(numbers, pictures),
        _section("Curves", curves.CHAPTER, numbers, (), [pictures.get(name) for name in ("roc", "precision_recall", "froc")]),
        _section(
            "Calibration", calibration.CHAPTER, numbers,
            ("Judged studies only. Slope 1 and intercept 0 where probabilities are right, at the prevalence of this sample.",),
            [pictures.get("reliability")],
        ),
        _alarms(cohort, numbers, service, pictures),
        _readers(cohort.cases, numbers),
        _section(
            "Maps and volumes", agreement.CHAPTER, numbers,
            ("Found less reference. Limits of agreement are bias +- 2 SD.",),
            [picture for name, picture in pictures.items() if name.startswith("agreement")],
        ),
        _oddities(cohort),
    ]  # fmt: skip


def _about(cohort: Cohort, pictures: Mapping[str, Picture]) -> Section:
    lines = [(what, str(count)) for what, count in flow_lines(cohort)]
    lines += [("results made by", maker) for maker in cohort.made_by]
    lines.append(("threshold of the call", "-" if cohort.threshold is None else f"{cohort.threshold:g}"))
    return Section("Flow of studies", (RESEARCH_USE_ONLY, METHODS), (Table(("", "n"), lines),), _there([pictures.get("flow")]))


def _answers(cohort: Cohort) -> Section:
    lines: list[tuple[str, ...]] = [
        (answer, str(positive), str(negative))
        for answer, positive, negative in answer_table(cohort.positives, cohort.negatives)
    ]
    lines.append(("all", str(len(cohort.positives)), str(len(cohort.negatives))))
    reasons = [(reason, str(count)) for reason, count in cohort.flow.reasons]
    tables = (
        Table(("what the program said", "occlusion", "no occlusion"), lines),
        Table(("why studies were not judged", "n"), reasons),
    )
    return Section("Answers against the reference standard", (), tables)


def _section(
    title: str, chapter: str, numbers: Sequence[Number], text: tuple[str, ...], pictures: Sequence[Picture | None] = ()
) -> Section:
    """A chapter as one table: a line per number and group, further methods beside it."""
    there = [number for number in numbers if number.chapter == chapter]
    if not there:
        return Section(title, ("Nothing to say: neither results nor table have it.",))
    grouped = any(number.group for number in there)
    lines = []
    for number in there:
        name = (number.name, number.group) if grouped else (number.name,)
        lines.append((*name, words(number.estimate), str(number.estimate.n), number.method))
    header = ("", *(("of",) if grouped else ()), "found [95 %]", "n", "method")
    return Section(title, text, (Table(header, lines),), _there(pictures))


def _subgroups(numbers: Sequence[Number], pictures: Mapping[str, Picture]) -> Section:
    there = [number for number in numbers if number.chapter == SUBGROUPS]
    groups = list(dict.fromkeys(number.group for number in there))
    columns = [(name, method) for name in (SENSITIVITY, SPECIFICITY) for method in ("Wilson", "Clopper-Pearson")]
    lines = []
    for group in groups:
        cells = [find(there, name, group=group, method=method) for name, method in columns]
        extra = [find(there, name, group=group, method="Wilson") for name in ("called on the right side", "not analysed")]
        lines.append((group, *(_cell(cell, short=method != "Wilson") for cell, (_, method) in zip(cells, columns, strict=True)),
                      *(_cell(cell, counts=True) for cell in extra)))  # fmt: skip
    header = ("group", "sensitivity, Wilson", "Clopper-Pearson", "specificity, Wilson", "Clopper-Pearson", "right side called",
              "not analysed")  # fmt: skip
    text = ("Not analysed = no alarm. A small group shows little: look at its interval, not at its figure.",)
    return Section("Sites, sides and subgroups", text, (Table(header, lines),), _there([pictures.get("subgroups")]))


def _cell(number: Number | None, *, short: bool = False, counts: bool = False) -> str:
    if number is None or number.estimate.n == 0:
        return "-"
    value = number.estimate
    if counts:
        return f"{value.hits}/{value.n}"
    return f"[{value.low:.3f}, {value.high:.3f}]" if short else words(value)


def _alarms(cohort: Cohort, numbers: Sequence[Number], service: benefit.Service, pictures: Mapping[str, Picture]) -> Section:
    own = find(numbers, SENSITIVITY, method="Wilson"), find(numbers, SPECIFICITY, method="Wilson")
    text = []
    if own[0] is not None and own[1] is not None:
        text.append(benefit.alarm_words(own[0].estimate, own[1].estimate, service))
    text.append(
        "Ranges take the ends of both Wilson intervals at once, and so are wider than 95 %. They hold if sensitivity and "
        "specificity are those of this sample; a sample chosen for a study often is not like the stream of a hospital."
    )
    share = len(cohort.positives) / max(1, len(cohort.positives) + len(cohort.negatives))
    text.append(f"In this sample {share:.1%} have a covered occlusion.")
    shown = [pictures.get(name) for name in ("alarms", "decision")]
    return _section("Alarms and net benefit", benefit.CHAPTER, numbers, tuple(text), shown)


def _readers(cases: Sequence[Case], numbers: Sequence[Number]) -> Section:
    names = dict.fromkeys(name for case in cases for name in case.truth.readings)
    if not names:
        return Section("Readers and other products", ("The table has no columns named reader:...",))
    there = [number for number in numbers if number.chapter == compare.CHAPTER]
    alone, paired = [], []
    for group in dict.fromkeys(number.group for number in there):
        of_group = [number for number in there if number.group == group]
        if " less " in group:
            cells = [_reader_cell(number) for number in of_group]
            paired.append((group, str(of_group[-1].estimate.n), *cells))
        else:
            alone.append((group, *(words(number.estimate) for number in of_group)))
    text = ("Paired on the studies that were read; a study that the program did not analyse is no alarm, and ranks lowest.",)
    tables = (
        Table(("reader", "sensitivity", "specificity", "area under the ROC curve"), alone),
        Table(("paired difference", "n", "of sensitivity", "p", "of specificity", "p", "of area", "p"), paired),
    )
    return Section("Readers and other products", text, tables)


def _reader_cell(number: Number) -> str:
    value = number.estimate
    return compare.p_words(value.value) if number.name.endswith(compare.P) else words(value)


def _oddities(cohort: Cohort) -> Section:
    lines = [(note,) for note in cohort.notes]
    return Section("What to look at in the data", () if lines else ("Nothing odd was seen.",), (Table(("note",), lines),))


def _there(pictures: Sequence[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)
