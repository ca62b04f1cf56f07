"""The boundary of the commands: paths on the way in; on the way out, exceptions as a line on stderr and an exit status."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from lvo.errors import LvoError, UsageError

__all__ = ["FAILED", "WRONG_USAGE", "GivenPath", "guarded"]

FAILED, WRONG_USAGE = 1, 2
"""Exit status of the contract."""

T = TypeVar("T")


class GivenPath(click.Path):
    """A path that is not empty: an unset variable of a script must not mean the folder one happens to be in."""

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        """As `click.Path`, for `pathlib.Path`."""
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Refuse an empty text with exit status 2."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


def guarded(action: Callable[[], T], *, prefix: str = "lvo", debug: bool = False) -> tuple[T | None, int]:
    """Run an action; report what goes wrong in one line on stderr.

    Args:
        action: what to do.
        prefix: begins the line.
        debug: show the traceback of an internal error as well.

    Returns:
        What the action returned and 0; or None and the exit status: 2 for wrong usage, 1 for everything else. An internal
        error is named by type and place only, since its message might quote the patient.
    """
    try:
        return action(), 0
    except UsageError as error:
        click.echo(f"{prefix}: {error}", err=True)
        return None, WRONG_USAGE
    except LvoError as error:
        click.echo(f"{prefix}: {error}", err=True)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except PermissionError as error:  # which file it was may quote the patient
        click.echo(f"{prefix}: what was given, or lies in it, is closed to this user: {error.strerror}", err=True)
        if debug:
            traceback.print_exception(error)
    except Exception as error:  # noqa: BLE001 - the contract: an internal error is one line and status 1, and no study stops the next
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {place.name}, {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
        click.echo(f"{prefix}: internal error ({where}); run `lvo --debug ...` for details and report it", err=True)
        if debug:
            traceback.print_exception(error)
    return None, FAILED
