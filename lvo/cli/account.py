"""`lvo account`: who may sign in to the worklist and viewer."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lvo.cli.boundary import GivenPath

if TYPE_CHECKING:
    from lvo.web.accounts import Accounts
    from lvo.web.settings import Role

__all__ = ["command"]

_STATE = click.option("--state", required=True, type=GivenPath(file_okay=False), help="Folder of `lvo view --state`.")
ROLES = ("viewer", "reader", "admin")


def _with_extra(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Says what to install before a password is asked for, which is the last thing that is parsed."""
    from lvo.web import require_extra

    require_extra()
    return value


@click.group(name="account")
def command() -> None:
    """Accounts of the worklist and viewer: viewers look, readers also acknowledge and judge, admins also read the audit log."""


@command.command(name="add")
@click.argument("name", callback=_with_extra)
@click.option("--role", type=click.Choice(ROLES), default="reader", show_default=True, help="What the account may do.")
@_STATE
@click.password_option(help="Asked for if omitted, which keeps it out of the shell's history.")
def add_command(*, name: str, role: "Role", state: Path, password: str) -> None:
    """Add the account NAME, or give it another role and password. A running server must be started again."""
    accounts = _accounts(state)
    accounts.put(name, role, password)
    click.echo(f"{name} is {role}; {len(accounts)} accounts")


@command.command(name="list")
@_STATE
def list_command(*, state: Path) -> None:
    """List the accounts."""
    for account in _accounts(state).all():
        click.echo(f"{account.name:<24} {account.role}")


@command.command(name="remove")
@click.argument("name")
@_STATE
def remove_command(*, name: str, state: Path) -> None:
    """Remove the account NAME. A running server must be started again."""
    _accounts(state).remove(name)
    click.echo(f"{name} is removed")


def _accounts(state: Path) -> "Accounts":
    """The accounts of a folder; says what to install where the extra is missing."""
    from lvo.web import require_extra

    require_extra()
    from lvo.web.accounts import Accounts

    return Accounts(state)
