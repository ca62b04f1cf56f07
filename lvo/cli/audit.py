"""`lvo audit`: service figures, charts and feedback pages from an event log."""

from datetime import datetime
from pathlib import Path

import click

from lvo.cli.boundary import GivenPath
from lvo.errors import InputError, UsageError

__all__ = ["command"]


@click.command(name="audit")
@click.argument("log", type=GivenPath(dir_okay=False))
@click.option("--out", "out_dir", required=True, type=GivenPath(), help="Folder to make: new or empty.")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="Only cases that started on this day or later.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Only cases that started on this day or before.")
@click.option("--time-zone", default="Europe/London", show_default=True, help="Whose days and working hours count.")
def command(*, log: Path, out_dir: Path, first: datetime | None, last: datetime | None, time_zone: str) -> None:
    """Audit the event LOG: times and shares with confidence intervals, control charts, drift of the AI, feedback.

    Leaves in OUT index.html, feedback-SITE.html for every hospital where cases started, small-numbers.html (what 30 patients
    a month can and cannot show), audit.json and cases.csv. The chain of the log is checked first.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from lvo import RESEARCH_USE_ONLY
    from lvo.audit.cases import cases_of
    from lvo.audit.write import write_audit
    from lvo.cli.folders import new_folder
    from lvo.eventlog import read_events

    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = f"there is no time zone {time_zone!r}; write it as Europe/London"
        raise UsageError(msg) from error
    days = [None if day is None else day.date() for day in (first, last)]
    cases = [case for case in cases_of(read_events(log)) if _within(case.start.astimezone(zone), days[0], days[1])]
    if not cases:
        msg = f"the log {log} has no case in this time; nothing was written"
        raise InputError(msg)
    with new_folder(out_dir) as folder:
        summary = write_audit(cases, zone, folder)
    door = summary.all.times["door_in_door_out"]
    click.echo(f"{summary.all.n} cases from {summary.first} to {summary.last}, {door.n} transfers")
    click.echo(f"Page  {out_dir / 'index.html'}\n{RESEARCH_USE_ONLY}")


def _within(start: datetime, first: object, last: object) -> bool:
    day = start.date()
    return (first is None or day >= first) and (last is None or day <= last)  # type: ignore[operator]
