"""From a cohort to its report: one self-contained HTML page, a CSV with every number, LaTeX tables, JSON, and the pictures."""

import base64
import csv
import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np

from lvo import __version__
from lvo.errors import OutputError, UsageError
from lvo.evaluate.document import Picture, as_html
from lvo.evaluate.reference import agreement, benefit, calibration, compare, curves, figures
from lvo.evaluate.reference.accuracy import SENSITIVITY, SPECIFICITY, SUBGROUPS, accuracy, answer_table, share, subgroups
from lvo.evaluate.reference.curves import froc, scores_of
from lvo.evaluate.reference.flow import flow_figure, flow_lines
from lvo.evaluate.reference.numbers import Number, as_csv_lines, as_record, find
from lvo.evaluate.reference.paper import paper_tables
from lvo.evaluate.reference.records import VOLUMES, Case, Cohort
from lvo.evaluate.reference.sections import sections

__all__ = ["SCHEMA", "all_numbers", "write_reference_report"]

SCHEMA = "lvo-evaluation/1"
_TITLE = "Evaluation against a reference standard"
_CAPTIONS: Mapping[str, str] = {
    "flow": "STARD-AI flow of studies",
    "subgroups": "Sensitivity and specificity by subgroup, Wilson intervals; n at the right, pale below 10",
    "roc": "ROC curve, the call, and readers",
    "precision_recall": "Precision and recall",
    "froc": "Localisation: free-response ROC",
    "reliability": "Reliability of the probability",
    "alarms": "Alerts a week and predictive values over prevalence; dotted: this service",
    "decision": "Decision curve at the prevalence of the service",
    "agreement_core": "Core volume: Bland and Altman",
    "agreement_hypoperfusion": "Hypoperfused volume: Bland and Altman",
}


def write_reference_report(cohort: Cohort, service: benefit.Service, out: Path) -> Path:
    """Write the report; a folder that is there already must be empty.

    Args:
        cohort: the cases.
        service: where the program would run.
        out: folder, made when missing; all or nothing is written.

    Returns:
        report.html in it.

    Raises:
        UsageError: the folder is not empty.
        OutputError: something cannot be written.
    """
    if out.is_dir() and any(out.iterdir()):
        msg = f"{out} is not empty; give a new folder, so that no old figure stays among new ones"
        raise UsageError(msg)
    numbers, notes = all_numbers(cohort, service)
    cohort = Cohort(cohort.cases, cohort.flow, (*cohort.notes, *notes), cohort.threshold, cohort.made_by)
    drawn = _pictures(cohort, numbers, service)
    inside = {
        name: Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", _CAPTIONS[name]) for name, png in drawn.items()
    }
    files = {
        "report.html": as_html(_TITLE, sections(cohort, numbers, service, inside)).encode(),
        "numbers.csv": _csv(numbers),
        "cases.csv": _cases_csv(cohort.cases),
        **{name: text.encode() for name, text in paper_tables(cohort, numbers, service).items()},
        "evaluation.json": _json(cohort, numbers, service),
        **{f"figures/{name}.png": png for name, png in drawn.items()},
    }
    try:
        _write(files, out)
    except OSError as error:
        msg = f"{out} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    return out / "report.html"


def all_numbers(cohort: Cohort, service: benefit.Service) -> tuple[list[Number], list[str]]:
    """Every number of the report, and notes on what could not be compared."""
    cases = [*cohort.positives, *cohort.negatives]
    numbers = [*accuracy(cases), *subgroups(cases), *curves.curves(cases)]
    numbers += calibration.calibration(scores_of(cases, judged_only=True))
    numbers += benefit.budget(share(numbers, SENSITIVITY), share(numbers, SPECIFICITY), service)
    numbers += benefit.benefit_numbers(_called(cases), scores_of(cases).positive, service)
    readers = list(dict.fromkeys(name for case in cases for name in case.truth.readings))
    for reader in readers:
        numbers += compare.reader_numbers(cases, reader)
    for reader in readers:
        numbers += compare.compare(cases, reader)
        if reader + compare.AIDED in readers:
            numbers += compare.compare(cases, reader, against=reader + compare.AIDED)
    of_masks, notes = agreement.mask_numbers(cohort.cases)
    return [*numbers, *of_masks, *agreement.volume_numbers(cohort.cases)], notes


def _called(cases: Sequence[Case]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.array([case.suspected for case in cases], dtype=np.bool_)


def _pictures(cohort: Cohort, numbers: Sequence[Number], service: benefit.Service) -> dict[str, bytes]:
    """Pictures by name; a curve needs cases of both kinds."""
    cases = [*cohort.positives, *cohort.negatives]
    pictures = {"flow": flow_figure(cohort)}
    if any(number.chapter == SUBGROUPS for number in numbers):
        pictures["subgroups"] = figures.subgroup_figure(numbers)
    everyone, judged = scores_of(cases), scores_of(cases, judged_only=True)
    if cohort.positives and cohort.negatives:
        pictures["roc"] = figures.roc_figure(everyone, numbers, _reader_points(numbers))
        pictures["decision"] = figures.decision_figure(everyone, _called(cases), service)
        pictures["alarms"] = figures.alarm_figure(share(numbers, SENSITIVITY), share(numbers, SPECIFICITY), service)
    if judged.positive.any() and not judged.positive.all():
        pictures["precision_recall"] = figures.precision_recall_figure(judged, numbers)
        pictures["reliability"] = figures.reliability_figure(judged, numbers)
    curve = froc(cases)
    if curve is not None:
        pictures["froc"] = figures.froc_figure(curve)
    for name in VOLUMES:
        picture = figures.agreement_figure(cohort.cases, name)
        if picture is not None:
            pictures[f"agreement_{name.removesuffix('_ml')}"] = picture
    return pictures


def _reader_points(numbers: Sequence[Number]) -> dict[str, tuple[float, float]]:
    """Readers in the ROC plane."""
    there = [number for number in numbers if number.chapter == compare.CHAPTER and " less " not in number.group]
    points = {}
    for group in dict.fromkeys(number.group for number in there):
        one, other = find(there, "sensitivity", group=group), find(there, "specificity", group=group)
        if one is not None and other is not None and one.estimate.n and other.estimate.n:
            points[group] = (1.0 - other.estimate.value, one.estimate.value)
    return points


def _csv(numbers: Sequence[Number]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(as_csv_lines(numbers))
    return stream.getvalue().encode()


def _cases_csv(cases: Sequence[Case]) -> bytes:
    """A line per case: what was true and what was said, to look wrong answers up."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("study", "standing", "true_side", "true_site", "answer", "probability", "side", "site", "distance_mm"))
    for case in cases:
        found, truth = case.found, case.truth
        said = (found.probability, found.side or "", found.site or "") if found else ("", "", "")
        away = "" if case.distance_mm is None else round(case.distance_mm, 1)
        writer.writerow((truth.study, case.standing, truth.side or "", truth.site or "", case.answer, *said, away))
    return stream.getvalue().encode()


def _json(cohort: Cohort, numbers: Sequence[Number], service: benefit.Service) -> bytes:
    flow = dict(flow_lines(cohort)) | {"reasons": dict(cohort.flow.reasons), "not_in_table": cohort.flow.no_reference}
    content = {
        "schema": SCHEMA,
        "research_use_only": True,
        "software": {"lvo": __version__},
        "service": asdict(service),
        "made_by": cohort.made_by,
        "threshold": cohort.threshold,
        "flow": flow,
        "answers": [
            {"answer": answer, "occlusion": positive, "no_occlusion": negative}
            for answer, positive, negative in answer_table(cohort.positives, cohort.negatives)
        ],
        "numbers": [as_record(number) for number in numbers],
        "notes": cohort.notes,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def _write(files: Mapping[str, bytes], out: Path) -> None:
    """All files or none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".evaluation-") as temporary:
        folder = Path(temporary) / "report"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if out.is_dir():
            shutil.rmtree(out)  # it is empty
        folder.replace(out)
