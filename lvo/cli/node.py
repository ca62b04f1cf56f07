"""`lvo node`: the hospital node."""

import json
import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.node.settings import NodeSettings
    from lvo.node.view import StudyView

__all__ = ["command"]

_CONFIG = click.option("--config", "config_path", type=GivenPath(dir_okay=False), help="Settings of the node (TOML).")


@click.group(name="node", invoke_without_command=True)
@_CONFIG
@click.pass_context
def command(context: click.Context, *, config_path: Path | None) -> int:  # noqa: ARG001 - read by `_settings`
    """Run the hospital node: studies arrive by DICOM, results go back, nothing is lost.

    `lvo node --config site.toml` runs until SIGTERM; the other commands look at a node or tell it what to do, whether it runs
    or not.
    """
    if context.invoked_subcommand is not None:
        return 0
    from lvo.node.process import set_up_logging
    from lvo.node.supervisor import default_command, supervise

    path, settings = _settings(context, None)
    _check(settings)
    set_up_logging("supervisor")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.getLogger("lvo.node").info("a node starts in %s", settings.root)
    supervise(settings, stop, default_command(path))
    return 0


@command.command(name="check-config")
@_CONFIG
@click.pass_context
def check_command(context: click.Context, *, config_path: Path | None) -> None:
    """Check the settings and everything they point at; nothing is started."""
    path, settings = _settings(context, config_path)
    for line in _check(settings):
        click.echo(f"note: {line}")
    click.echo(f"{path} is good: {settings.dicom.ae_title} on {settings.dicom.host}:{settings.dicom.port}, "
               f"{len(settings.dicom.peers)} senders, {len(settings.delivery.destinations)} destinations, "
               f"{len(settings.delivery.notifications)} notifications")  # fmt: skip


@command.command(name="status")
@_CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Studies to show, newest first.")
@click.pass_context
def status_command(context: click.Context, *, config_path: Path | None, as_json: bool, limit: int) -> None:
    """Show the studies of a node and where they are."""
    import msgspec

    from lvo.node.view import open_view

    _, settings = _settings(context, config_path)
    with open_view(settings) as view:
        studies, counts = view.studies(limit=limit), view.counts()
    if as_json:
        click.echo(json.dumps({"counts": counts, "studies": msgspec.to_builtins(studies, enc_hook=str)}, indent=2))
        return
    click.echo(", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "no studies")
    for study in studies:
        click.echo(_line(study))


@command.command(name="replay")
@_CONFIG
@click.argument("studies", nargs=-1)
@click.option("--quarantined", is_flag=True, help="Every study in quarantine.")
@click.pass_context
def replay_command(context: click.Context, *, config_path: Path | None, studies: tuple[str, ...], quarantined: bool) -> None:
    """Try STUDIES (Study Instance UIDs) again: deliver what was analysed and not delivered, analyse the others anew."""
    from lvo.node.replay import replay_studies
    from lvo.node.view import open_view

    _, settings = _settings(context, config_path)
    if quarantined:
        with open_view(settings) as view:
            studies += tuple(study.study_uid for study in view.studies(limit=-1) if study.state == "quarantined")
    elif not studies:
        msg = "give Study Instance UIDs, or --quarantined for all that are in quarantine"
        raise UsageError(msg)
    for study_uid, what in replay_studies(settings, studies):
        click.echo(f"{study_uid}: {what}")


def _settings(context: click.Context, given: Path | None) -> "tuple[Path, NodeSettings]":
    """Settings from --config, before or after the name of the subcommand."""
    from lvo.node.settings import load_settings

    parent = context.parent.params.get("config_path") if context.parent is not None else None
    path = given or context.params.get("config_path") or parent
    if path is None:
        msg = "give the settings of the node: lvo node --config site.toml; configs/site.toml is one to copy"
        raise UsageError(msg)
    return Path(path), load_settings(Path(path))


def _check(settings: "NodeSettings") -> list[str]:
    """Everything that can be known before the start.

    Raises:
        UsageError: it could not work.
    """
    from lvo.node.check import check_settings

    try:
        return check_settings(settings)
    except ImportError as error:
        msg = f"the node needs more packages ({error.name}): pip install 'lvo[node]'"
        raise UsageError(msg) from error


def _line(study: "StudyView") -> str:
    newest = study.newest
    result = f"{newest.status}, {newest.call}" if newest is not None else "-"
    words = (
        f"{study.last_image[:19]}Z",
        f"{study.state:<11}",
        f"{study.n_images:>5} images",
        f"from {study.peer:<16}",
        f"{result:<24}",
    )
    return "  ".join((*words, study.study_uid)) + (f"\n    {study.reason}" if study.reason else "")
