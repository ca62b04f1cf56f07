"""`lvo clock`: write and read the times that matter."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath
from lvo.errors import InputError, UsageError
from lvo.eventlog import ACCESS, EventKind

if TYPE_CHECKING:
    from lvo.eventlog import Event

__all__ = ["command"]

_FIELDS = ("case", "site", "kind", "at")


@click.group(name="clock")
def command() -> None:
    """Keep the times that matter in one event log: append-only, every line chained to the one before.

    Cases are pseudonyms. What was entered wrongly is entered again: the last event of a kind counts for a case.
    """


@command.command(name="add")
@click.argument("log", type=GivenPath(dir_okay=False))
@click.argument("kind", type=click.Choice([kind.value for kind in EventKind if kind not in ACCESS]))
@click.option("--case", required=True, help="Pseudonym of the patient's episode.")
@click.option("--site", required=True, help="Code of the hospital where it happened.")
@click.option("--at", help="When, with offset from UTC; now if omitted.")
@click.option("--fact", "facts", multiple=True, metavar="NAME=VALUE", help="What belongs to it, as mtici=2b; may be repeated.")
def add_command(*, log: Path, kind: str, case: str, site: str, at: str | None, facts: tuple[str, ...]) -> None:
    """Append one event to LOG; KIND says what happened.

    Facts: onset_seen=true|false, deprivation_decile=1..10, scanner=LABEL, call=suspected|indeterminate|not_detected|
    not_assessable|absent, mtici=0|1|2a|2b|2c|3, lvo=true|false.
    """
    from datetime import datetime

    from lvo.eventlog import append_events

    pairs = [fact.partition("=") for fact in facts]
    wrong = [name for name, sign, _ in pairs if not sign]
    if wrong:
        msg = f"--fact {wrong[0]} must be NAME=VALUE"
        raise UsageError(msg)
    row = {"case": case, "site": site, "kind": kind, "at": at or datetime.now().astimezone().isoformat()}
    try:
        event = _event(row | {name: value for name, _, value in pairs}, "the event")
    except InputError as error:
        msg = f"{error}; see `lvo clock add --help`"
        raise UsageError(msg) from error
    (written,) = append_events(log, [event])
    click.echo(f"line {written.n + 1}, sha256 {written.sha256}")


@command.command(name="import")
@click.argument("log", type=GivenPath(dir_okay=False))
@click.argument("table", type=GivenPath(dir_okay=False))
def import_command(*, log: Path, table: Path) -> None:
    """Append a TABLE of events to LOG, all or none: CSV with the columns case, site, kind, at, and any facts."""
    from lvo.eventlog import append_events

    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            events = list(_rows(csv.DictReader(file), table))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"the table {table} cannot be read ({type(error).__name__})"
        raise InputError(msg) from error
    if not events:
        msg = f"the table {table} has no rows; nothing was written"
        raise InputError(msg)
    written = append_events(log, events)
    click.echo(f"{len(written)} events; last line {written[-1].n + 1}, sha256 {written[-1].sha256}")


@command.command(name="show")
@click.argument("log", type=GivenPath(dir_okay=False))
@click.option("--case", help="Only this case.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(*, log: Path, case: str | None, as_json: bool) -> None:
    """Show the events of LOG in the order in which they happened; the chain is checked first."""
    import msgspec

    from lvo.eventlog import read_events

    events = sorted((e for e in read_events(log) if case in (None, e.case)), key=lambda e: (e.case, e.at))
    if case is not None and not events:
        msg = f"the log {log} has no event of that case"
        raise InputError(msg)
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(event) for event in events], indent=2))
        return
    for event in events:
        facts = " ".join(f"{name}={value}" for name, value in msgspec.to_builtins(event.facts).items())
        click.echo(
            f"{event.case:<20} {event.at.isoformat(timespec='minutes')}  {event.kind.value:<15} {event.site:<10} {facts}"
        )


@command.command(name="check")
@click.argument("log", type=GivenPath(dir_okay=False))
@click.option("--sha256", help="A hash that was noted before: it must still be in the log.")
def check_command(*, log: Path, sha256: str | None) -> None:
    """Check the chain of LOG and print its last hash: note it elsewhere, for a cut-off end cannot be seen otherwise."""
    from lvo.eventlog import read_events

    events = read_events(log)
    if sha256 is not None and sha256 not in {event.sha256 for event in events}:
        msg = f"the log {log} no longer holds the line with that hash: its end was cut off, or it was written anew"
        raise InputError(msg)
    click.echo(f"{len(events)} events, the chain holds; last sha256 {events[-1].sha256 if events else '(none)'}")


def _rows(reader: "csv.DictReader[str]", table: Path) -> "Iterator[Event]":
    missing = set(_FIELDS) - set(reader.fieldnames or ())
    if missing:
        msg = f"the table {table} lacks the columns {', '.join(sorted(missing))}"
        raise InputError(msg)
    for row in reader:
        if None in row or None in row.values():
            msg = f"{table}, line {reader.line_num} has another number of cells than the header"
            raise InputError(msg)
        yield _event({name: value.strip() for name, value in row.items() if value.strip()}, f"{table}, line {reader.line_num}")


def _event(row: dict[str, str], where: str) -> "Event":
    """An event from words; what they say is not repeated in messages."""
    import msgspec

    from lvo.eventlog import Event, Facts, parse_time

    absent = [name for name in _FIELDS if name not in row]
    if absent:
        msg = f"{where}: {', '.join(absent)} is empty"
        raise InputError(msg)
    try:
        facts = msgspec.convert(_typed(row), Facts)
        kind = EventKind(row["kind"])
        return Event(at=parse_time(row["at"]), kind=kind, case=row["case"], site=row["site"], facts=facts)
    except (msgspec.ValidationError, ValueError) as error:
        words = f"`kind` must be one of {[k.value for k in EventKind]}" if "EventKind" in str(error) else str(error)
        msg = f"{where}: {words}"
        raise InputError(msg) from error


def _typed(row: dict[str, str]) -> dict[str, object]:
    """Facts with the types that they have."""
    words: dict[str, object] = {name: value for name, value in row.items() if name not in _FIELDS}
    flags: Iterable[str] = ("onset_seen", "lvo")
    words |= {name: {"true": True, "false": False}.get(row[name].lower(), row[name]) for name in flags if name in row}
    if row.get("deprivation_decile", "").isdigit():
        words["deprivation_decile"] = int(row["deprivation_decile"])
    return words
