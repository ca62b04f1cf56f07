"""The command line: one module per command, loaded only when it is called, so that `lvo --help` starts at once."""

import importlib
import signal
import sys

import click

from lvo import RESEARCH_USE_ONLY, __version__
from lvo.cli.boundary import FAILED, guarded

__all__ = ["main"]

COMMANDS = {
    "run": "Analyse studies: DICOM in, finding, maps, report and DICOM results out.",
    "batch": "Score many studies, resumable: folders, lists, object stores, DICOMweb; here or on a Ray cluster.",
    "inspect": "Show the series of a study: role, geometry, why chosen or not.",
    "node": "Run the hospital node: studies arrive by DICOM, results go back.",
    "deliver": "Hand results over: to a PACS, a DICOMweb server, a folder; tell people.",
    "maps": "Make perfusion maps for research: NIfTI or DICOM in, NIfTI maps out.",
    "view": "Show results in a browser: worklist and viewer.",
    "account": "Say who may sign in to worklist and viewer.",
    "phantom": "Write a synthetic DICOM study whose truth is known.",
    "network": "Plan with thrombectomy centres: destinations for a patient, scenarios for a network.",
    "clock": "Write and read the times that matter in an event log.",
    "audit": "Turn an event log into service figures, charts and feedback pages.",
    "data": "Look through public or local data sets, and index them for training.",
    "train": "Train the artery network on synthetic heads.",
    "export": "Turn a trained network into a checked ONNX model.",
    "calibrate": "Fit the call on the maps of a network.",
    "evaluate": "Measure the call: on the fixed set, against a reference table, or a model card again.",
    "info": "List models, hashes, configuration keys and versions.",
    "doctor": "Check that this installation can run.",
}
"""Name and one-line help of each command; `lvo.cli.<name>` holds its `command`."""


class _LazyGroup(click.Group):
    """Knows every command by name and imports its module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"lvo.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            msg = f"lvo.cli.{cmd_name}.command must be a click command"
            raise TypeError(msg)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, help=f"Find large-vessel occlusions on CT angiography.\n\n{RESEARCH_USE_ONLY}")
@click.version_option(__version__, prog_name="lvo")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
@click.pass_context
def _lvo(context: click.Context, *, debug: bool) -> None:
    """Root of the command line."""
    context.obj = debug


def _terminate(_signal: int, _frame: object) -> None:
    """Unwind on SIGTERM as on Ctrl-C, so that unpacked images and half a result are removed."""
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line: exit status 0 analysed, 1 failed, 2 wrong usage, 3 not assessable."""
    debug = "--debug" in sys.argv[1:2]
    signal.signal(signal.SIGTERM, _terminate)
    try:
        result, status = guarded(lambda: _lvo.main(standalone_mode=False), debug=debug)
    except (click.Abort, KeyboardInterrupt):
        click.echo("lvo: interrupted; nothing half-written was left", err=True)
        sys.exit(FAILED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(result if isinstance(result, int) else status)
