"""`lvo view`: worklist and viewer for results on disk, or for a node."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath
from lvo.errors import UsageError

if TYPE_CHECKING:
    from lvo.web.source import Source

__all__ = ["command"]


@click.command(name="view")
@click.argument("results", required=False, type=GivenPath(file_okay=False))
@click.option(
    "--node", "node_path", type=GivenPath(dir_okay=False), help="Show the studies of the node with these settings instead."
)
@click.option("--config", "config_path", type=GivenPath(), help="Settings of the pages (TOML, configs/web.toml).")
@click.option(
    "--state",
    type=GivenPath(file_okay=False),
    help="Accounts, audit log, opinions; .lvo-web in RESULTS or beside the node's store if omitted.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need accounts and TLS.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="TCP port.")
@click.option("--behind-proxy", is_flag=True, help="A reverse proxy on this machine ends TLS.")
def command(
    *,
    results: Path | None,
    node_path: Path | None,
    config_path: Path | None,
    state: Path | None,
    host: str,
    port: int,
    behind_proxy: bool,
) -> None:
    """Show the results below the folder RESULTS, or the studies of a node, in a browser, until interrupted.

    On this machine alone nobody needs to sign in, unless there are accounts (`lvo account add`). New results appear by
    themselves.
    """
    from lvo import RESEARCH_USE_ONLY
    from lvo.web import require_extra

    require_extra()
    from lvo.web.serve import Address, serve
    from lvo.web.settings import load_web

    settings = load_web(config_path)
    source, beside = _source(results, node_path)
    serve(
        source,
        state or beside / ".lvo-web",
        settings,
        Address(host, port, behind_proxy),
        say=lambda url: click.echo(f"{url}  (Ctrl-C ends)\n{RESEARCH_USE_ONLY}", err=True),
    )


def _source(results: Path | None, node_path: Path | None) -> "tuple[Source, Path]":
    """Where studies come from, and the folder that stands for it."""
    if (results is None) == (node_path is None):
        msg = "give the folder of results, or --node with the settings of a node"
        raise UsageError(msg)
    if results is not None:
        from lvo.web.results import ResultsFolder

        return ResultsFolder(results), results
    from lvo.node.settings import load_settings
    from lvo.web.node_store import NodeStore

    settings = load_settings(node_path or Path())
    return NodeStore(settings), settings.root
