"""`lvo deliver`: hand results over to a PACS and to people."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import FAILED, GivenPath
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.delivery import Delivery, DeliverySettings, Outbox

__all__ = ["command"]

DONE, QUEUED = 0, 4
"""Exit status: everything is where it should be; something waits for another try."""


@click.command(name="deliver")
@click.argument("results", nargs=-1, type=GivenPath(file_okay=False))
@click.option("--config", "config_path", required=True, type=GivenPath(dir_okay=False), help="Targets (TOML).")
@click.option("--failed", "failed_uid", metavar="UID", help="Tell people that the analysis of this study failed.")
@click.option("--source", type=GivenPath(), help="With --failed: images of the study, for targets that may be told who it is.")
@click.option("--replay", is_flag=True, help="Queue everything that is dead again.")
@click.option("--watch", is_flag=True, help="Go on until stopped, as a service does.")
@click.option("--show", is_flag=True, help="Only show what is in the outbox; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    *,
    results: tuple[Path, ...],
    config_path: Path,
    failed_uid: str | None,
    source: Path | None,
    replay: bool,
    watch: bool,
    show: bool,
    as_json: bool,
) -> int:
    """Hand RESULTS (folders that `lvo run` left) over to every target of the configuration, and send what is due.

    What a target does not take now stays in the outbox: the next `lvo deliver --config FILE`, with or without results, tries
    again.
    Exit status: 0 delivered everywhere, 4 something waits for another try, 1 something was refused for good or a result cannot
    be read, 2 wrong usage.
    """
    from lvo.delivery import Outbox, deliver_due, load_delivery

    settings = load_delivery(config_path)
    if not settings.targets:
        msg = f"configuration {config_path} has no [[destinations]] and no [[notifications]]"
        raise UsageError(msg)
    with Outbox(Path(settings.outbox)) as outbox:
        studies = _queue(outbox, settings, results, failed_uid, source)
        if replay:
            outbox.replay()
        if not show:
            deliver_due(outbox, settings)
        if watch:
            _serve(settings)
        ended = [one for one in outbox.list() if not studies or one.study_instance_uid in studies]
    _print(ended, as_json=as_json)
    return _status(ended, settings)


def _queue(
    outbox: "Outbox", settings: "DeliverySettings", results: Sequence[Path], failed_uid: str | None, source: Path | None
) -> set[str]:
    """Put everything into the outbox that was given; the studies it is about."""
    from lvo.delivery import Notice, hand_over, read_parcel, tell

    now = datetime.now().astimezone()
    parcels = [read_parcel(folder) for folder in results]
    for parcel in parcels:
        hand_over(outbox, settings, parcel, at=now)
    studies = {parcel.study_instance_uid for parcel in parcels}
    if failed_uid is not None:
        try:
            where = str(source.absolute()) if source else ""
            notice = Notice(event="failed", study_instance_uid=failed_uid, at=now, source=where)
        except ValueError as error:
            msg = f"--failed: {error}"
            raise UsageError(msg) from error
        tell(outbox, settings, notice)
        studies.add(failed_uid)
    return studies


def _serve(settings: "DeliverySettings") -> None:
    """Send what is due until the program is interrupted."""
    import threading
    from contextlib import suppress

    from lvo.delivery import run_deliverer

    with suppress(KeyboardInterrupt):
        run_deliverer(settings, stop=threading.Event())


def _print(deliveries: "Sequence[Delivery]", *, as_json: bool) -> None:
    if as_json:
        keys = ("id", "target", "study_instance_uid", "version", "attempts", "reason")
        rows = [{key: getattr(one, key) for key in keys} | {"what": _what(one), "state": one.state.value} for one in deliveries]
        click.echo(json.dumps(rows, indent=2))
        return
    for one in deliveries:
        tries = f", attempt {one.attempts}" if one.attempts > 1 else ""
        reason = f": {one.reason}" if one.reason else ""
        click.echo(f"{one.id:>5}  {one.target:<16} {_what(one):<15} {one.state.value}{tries}{reason}")


def _what(one: "Delivery") -> str:
    return "result" if one.notice is None else one.notice.event


def _status(deliveries: "Sequence[Delivery]", settings: "DeliverySettings") -> int:
    """Of what belongs to targets that still exist."""
    from lvo.delivery import State

    states = {one.state for one in deliveries if settings.target(one.target) is not None}
    if State.DEAD in states:
        return FAILED
    return QUEUED if states & {State.PENDING, State.SENDING} else DONE
