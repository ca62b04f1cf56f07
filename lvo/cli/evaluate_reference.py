"""`lvo evaluate RESULTS --reference TABLE`: results of real studies against a reference standard."""

from pathlib import Path

import click

__all__ = ["evaluate_reference"]


def evaluate_reference(results: Path, table: Path, out: Path, *, prevalence: float, per_week: float) -> None:
    """Join, count, and write the report.

    Args:
        results: folder of result folders, or the table of `lvo batch`.
        table: reference table, CSV.
        out: folder of the report.
        prevalence: share of occlusions in the stream of the service.
        per_week: its angiograms a week.
    """
    from lvo.evaluate.reference.accuracy import SENSITIVITY, SPECIFICITY, accuracy, share
    from lvo.evaluate.reference.benefit import Service, alarm_words
    from lvo.evaluate.reference.flow import flow_lines
    from lvo.evaluate.reference.join import join
    from lvo.evaluate.reference.numbers import words
    from lvo.evaluate.reference.report import write_reference_report
    from lvo.evaluate.reference.results import read_results
    from lvo.evaluate.reference.table import read_reference

    cohort = join(read_reference(table), read_results(results))
    service = Service(prevalence, per_week)
    page = write_reference_report(cohort, service, out)
    for what, count in flow_lines(cohort):
        click.echo(f"{count:6d}  {what}")
    numbers = accuracy([*cohort.positives, *cohort.negatives])
    sensitivity, specificity = share(numbers, SENSITIVITY), share(numbers, SPECIFICITY)
    click.echo(f"sensitivity {words(sensitivity)}, specificity {words(specificity)}; not analysed = no alarm")
    click.echo(alarm_words(sensitivity, specificity, service))
    for note in cohort.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"all of it: {page}")
