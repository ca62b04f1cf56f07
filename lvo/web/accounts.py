"""Accounts in a file: names, roles and Argon2id hashes of passwords."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from lvo.durable import replace_file
from lvo.errors import InputError, OutputError, UsageError
from lvo.web.settings import Role

__all__ = ["ACCOUNT_NAME", "MIN_PASSWORD", "Account", "Accounts"]

MIN_PASSWORD = 12
"""Characters. NIST SP 800-63B asks for 8 at least; these accounts have no second factor."""

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What an account may be called: it stands in logs and in the event format."""

_HASHER = PasswordHasher()  # Argon2id with the parameters of RFC 9106 for limited memory


@dataclass(frozen=True, slots=True)
class Account:
    """A member of staff."""

    name: str
    role: Role
    password_hash: str = ""


class Accounts:
    """The accounts in `accounts.json` of a folder; none where the file is not there."""

    def __init__(self, folder: Path) -> None:
        """Read them.

        Raises:
            InputError: the file is damaged.
        """
        self._path = folder / "accounts.json"
        self._accounts: dict[str, Account] = {}
        self._nobody = _HASHER.hash(os.urandom(16).hex())
        if not self._path.exists():
            return
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            self._accounts = {row["name"]: Account(**row) for row in rows}
        except (OSError, ValueError, TypeError, KeyError) as error:
            msg = (
                f"{self._path} cannot be read ({type(error).__name__}); restore a copy, or remove it and add the accounts anew"
            )
            raise InputError(msg) from error

    def __len__(self) -> int:
        """How many there are."""
        return len(self._accounts)

    def all(self) -> list[Account]:
        """All accounts by name."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def check(self, name: str, password: str) -> Account | None:
        """The account when the password is its own; an unknown name takes as long as a wrong password."""
        account = self._accounts.get(name)
        try:
            _HASHER.verify(account.password_hash if account else self._nobody, password)
        except (VerificationError, InvalidHashError):
            return None
        return account

    def put(self, name: str, role: Role, password: str) -> None:
        """Add an account, or give it another role and password.

        Raises:
            UsageError: the name or the password will not do.
            OutputError: the file cannot be written.
        """
        if not ACCOUNT_NAME.fullmatch(name):
            msg = "a name must be at most 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"
            raise UsageError(msg)
        if len(password) < MIN_PASSWORD:
            msg = f"a password must have at least {MIN_PASSWORD} characters"
            raise UsageError(msg)
        self._accounts[name] = Account(name, role, _HASHER.hash(password))
        self._save()

    def remove(self, name: str) -> None:
        """Remove an account.

        Raises:
            UsageError: there is none of this name.
            OutputError: the file cannot be written.
        """
        if name not in self._accounts:
            msg = f"there is no account {name!r}"
            raise UsageError(msg)
        del self._accounts[name]
        self._save()

    def _save(self) -> None:
        content = json.dumps([asdict(account) for account in self.all()], indent=1)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, content.encode(), mode=0o600)
        except OSError as error:
            msg = f"{self._path} cannot be written: {error.strerror}"
            raise OutputError(msg) from error
