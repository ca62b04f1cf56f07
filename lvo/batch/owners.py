"""Which item a study belongs to: a file per study, so that two items with the same study never write one folder."""

import shutil
import time
from pathlib import Path

from lvo.batch.records import Item
from lvo.durable import create_file, replace_file
from lvo.errors import InputError

__all__ = ["DuplicateError", "clear", "own"]


_WRITING_S = 2.0
"""Longer than a line takes to write, where it cannot appear at once."""


class DuplicateError(InputError):
    """The study came from another place too."""


def own(studies_dir: Path, uid: str, item: Item) -> bool:
    """Make a study belong to an item; True if it does already, with the same content, and its result is complete.

    Raises:
        DuplicateError: it belongs to another item.
    """
    owners = studies_dir / ".owners"
    owners.mkdir(parents=True, exist_ok=True)
    path, mine = owners / uid, f"{item.id} {item.fingerprint}\n"
    try:
        create_file(path, mine.encode())
    except FileExistsError:
        found = _complete(path)
        if found == mine:
            return (studies_dir / uid / "result.json").exists()
        if found and not found.startswith(f"{item.id} "):
            msg = f"the same study was found in another place too (item {found[:16]}); put its files into one folder"
            raise DuplicateError(msg) from None
        replace_file(path, mine.encode())
    return False


def _complete(path: Path) -> str:
    """What a file of an owner says; nothing if it is without its end for long: who wrote it died meanwhile."""
    until_s = time.monotonic() + _WRITING_S
    while not (text := path.read_text(encoding="utf-8")).endswith("\n"):
        if time.monotonic() > until_s:
            return ""
        time.sleep(0.05)
    return text


def clear(studies_dir: Path, uid: str) -> None:
    """Remove what a worker that died has left of a study."""
    for path in studies_dir.glob(f".{uid}.*.partial"):
        shutil.rmtree(path, ignore_errors=True)
