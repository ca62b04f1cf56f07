"""Results and reference table put together. No study is dropped: what does not count is counted."""

from collections import Counter

from lvo.errors import InputError
from lvo.evaluate.reference.records import Case, Cohort, Flow, standing_of
from lvo.evaluate.reference.results import Results
from lvo.evaluate.reference.table import Reference

__all__ = ["join"]

_NAMED = 20
"""Studies that a note names one by one."""


def join(reference: Reference, results: Results) -> Cohort:
    """One case per study of the table whose truth is known.

    Raises:
        InputError: no study is in both.
    """
    known = {row.study for row in reference.rows}
    if not known & set(results.by_study):
        msg = (
            f"none of the {len(known)} studies of the reference table has one of the {len(results.by_study)} results; "
            "the column study must hold StudyInstanceUIDs"
        )
        raise InputError(msg)
    cases = tuple(Case(row, standing_of(row), results.by_study.get(row.study)) for row in reference.rows if row.lvo is not None)
    strangers = tuple(study for study in results.by_study if study not in known)
    thresholds = sorted({case.result.threshold for case in cases if case.result and case.result.threshold is not None})
    made_by = Counter(result.made_by for result in results.by_study.values() if result.made_by)
    notes = [*reference.notes, *results.notes, *_odd(cases)]
    if strangers:
        notes.append(f"{len(strangers)} results are of studies that are not in the reference table: {_names(strangers)}")
    if len(thresholds) > 1:
        notes.append(
            f"results have {len(thresholds)} thresholds ({thresholds[0]:g} to {thresholds[-1]:g}): they are not one test"
        )
    if len(made_by) > 1:
        notes.append(f"results were made by {len(made_by)} different models or settings: they are not one test")
    makers = tuple(f"{name} ({count})" for name, count in made_by.most_common())
    return Cohort(
        cases,
        _flow(reference, results, cases, strangers),
        tuple(notes),
        thresholds[0] if len(thresholds) == 1 else None,
        makers,
    )


def _flow(reference: Reference, results: Results, cases: tuple[Case, ...], strangers: tuple[str, ...]) -> Flow:
    counting = [case for case in cases if case.standing != "aside"]
    reasons = Counter(
        (case.result.reasons or ("no reason given",))[0] for case in counting if case.result and case.result.found is None
    )
    return Flow(
        results=len(results.by_study),
        no_reference=strangers,
        rows=len(reference.rows),
        no_standard=len(reference.rows) - len(cases),
        aside=len(cases) - len(counting),
        no_result=sum(case.answer == "no result" for case in counting),
        not_judged=sum(case.answer == "not judged" for case in counting),
        reasons=tuple(reasons.most_common()),
    )


def _odd(cases: tuple[Case, ...]) -> list[str]:
    """What a person should look at."""
    notes = []
    missing = [case.truth.study for case in cases if case.result is None]
    if missing:
        notes.append(
            f"{len(missing)} studies of the reference table have no result and count as not analysed: {_names(missing)}"
        )
    silent = [case.truth.study for case in cases if case.truth.lvo and case.truth.side is None]
    if silent:
        notes.append(f"{len(silent)} occlusions have no side in the table: whether the side was right is not known")
    bare = [case.truth.study for case in cases if case.truth.lvo and case.truth.site is None]
    if bare:
        notes.append(f"{len(bare)} occlusions have no site in the table: they count as covered")
    other = [case.truth.study for case in cases if case.standing == "positive" and case.suspected and case.side_right is False]
    if other:
        notes.append(f"{len(other)} occlusions were called on another side than the table's: {_names(other)}")
    return notes


def _names(studies: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(studies) - _NAMED} more" if len(studies) > _NAMED else ""
    return ", ".join(studies[:_NAMED]) + more
