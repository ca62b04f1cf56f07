"""The watched folder: the door for whoever can only write files."""

import logging
import shutil
from pathlib import Path

from lvo.durable import make_folder
from lvo.errors import InputError
from lvo.node.inbox import FullError, Inbox
from lvo.node.settings import NodeSettings

__all__ = ["Watch"]

LOG = logging.getLogger(__name__)

_FILES_PER_STEP = 500
_Seen = tuple[int, int, float]
"""Time of change, bytes, and node time since when both are so."""


class Watch:
    """Takes in files that no longer change.

    Waits by node time, so that a clock that jumps, or file times of another machine, do no harm.
    """

    def __init__(self, settings: NodeSettings, inbox: Inbox) -> None:
        """Nothing is looked at yet."""
        self._folder = Path(settings.watch.folder)
        self._refused = settings.root / "refused"
        self._settle_s = settings.watch.settle_s
        self._inbox = inbox
        self._seen: dict[Path, _Seen] = {}

    def step(self) -> int:
        """Take in what is complete; returns how many files that were.

        Raises:
            OutputError: the disk is full or cannot be written; the files stay where they are.
        """
        taken = 0
        for path in self._complete():
            self._inbox.check_room()  # before a copy makes it smaller still
            taken += self._take(path)
        return taken

    def _complete(self) -> list[Path]:
        """Files that have not changed for a while."""
        now = self._inbox.clock.now()
        seen: dict[Path, _Seen] = {}
        for path in self._folder.rglob("*"):
            if path.name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            status = path.stat()
            before = self._seen.get(path)
            same = before is not None and before[:2] == (status.st_mtime_ns, status.st_size)
            seen[path] = before if same and before is not None else (status.st_mtime_ns, status.st_size, now)
        self._seen = seen
        return sorted(path for path, (_, _, since) in seen.items() if now - since >= self._settle_s)[:_FILES_PER_STEP]

    def _take(self, path: Path) -> int:
        copy = self._inbox.incoming / f"watch-{abs(hash(path)):x}"
        shutil.copyfile(path, copy)
        try:
            self._inbox.accept(copy, door="watch", peer="watched folder")
        except FullError:
            raise
        except InputError as error:
            LOG.warning("a watched file was set aside: %s", error)
            make_folder(self._refused)
            shutil.move(path, self._refused / copy.name)
            return 0
        path.unlink(missing_ok=True)
        return 1
