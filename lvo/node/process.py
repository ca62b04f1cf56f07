"""The processes of a node: `python -m lvo.node.process ROLE --config site.toml [--slot NAME]`, started by the supervisor."""

import argparse
import ctypes
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from lvo.errors import LvoError
from lvo.node.settings import NodeSettings, load_settings

__all__ = ["ROLES", "main", "run_role", "set_up_logging"]

LOG = logging.getLogger("lvo.node.process")
"""By name, since this module runs as `__main__`."""

_PR_SET_PDEATHSIG = 1
_WORKER_NICE = 5
"""An analysis takes every core there is; the doors and the deliverer go before it."""


def _listener(settings: NodeSettings, stop: threading.Event, _: str) -> None:
    from lvo.node.listener import listen

    listen(settings, stop)


def _clerk(settings: NodeSettings, stop: threading.Event, _: str) -> None:
    from lvo.node.clerk import keep_books

    keep_books(settings, stop)


def _worker(settings: NodeSettings, stop: threading.Event, slot: str) -> None:
    from lvo.node.analysis import Analyst
    from lvo.node.worker import work

    os.nice(_WORKER_NICE)
    work(settings, stop, slot=slot, analyse=Analyst(settings))


def _deliverer(settings: NodeSettings, stop: threading.Event, _: str) -> None:
    from contextlib import closing

    from lvo.delivery import run_deliverer
    from lvo.node.database import connect, open_clock
    from lvo.node.heartbeat import Heartbeat

    with closing(connect(settings.database_path)) as db:
        beat = Heartbeat(db, open_clock(db))
        run_deliverer(settings.delivery, stop=stop, beat=lambda target: beat(f"deliver {target}"))


def _http(settings: NodeSettings, stop: threading.Event, _: str) -> None:
    from lvo.node.http import serve

    serve(settings, stop)


ROLES = {"listener": _listener, "clerk": _clerk, "worker": _worker, "deliverer": _deliverer, "http": _http}
"""What a process can be; each imports its libraries itself."""


class _JsonLines(logging.Formatter):
    """A line of JSON per message. Messages of foreign libraries may quote data sets: only where they come from is written."""

    def format(self, record: logging.LogRecord) -> str:
        ours = record.name.startswith("lvo")
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": f"{self._role}:{record.process}",
            "where": record.name,
            "message": record.getMessage() if ours else f"{record.levelname.lower()} at {record.filename}:{record.lineno}",
        }
        return json.dumps(line)

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role


def set_up_logging(role: str) -> None:
    """Log lines of JSON to standard error, without patient identity."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(role))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("lvo").setLevel(logging.INFO)  # of foreign libraries only what is wrong: their words are not written
    for noisy in ("pynetdicom", "pydicom"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def run_role(role: str, settings: NodeSettings, slot: str) -> int:
    """Be one process of a node until SIGTERM; returns the exit status."""
    set_up_logging(slot or role)
    sys.excepthook = _say_where
    threading.excepthook = lambda args: _say_where(args.exc_type, args.exc_value, args.exc_traceback)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        ROLES[role](settings, stop, slot)
    except LvoError as error:
        LOG.error("%s", error)  # noqa: TRY400 - it was raised on purpose
        time.sleep(1.0)
        return 1
    except sqlite3.Error as error:
        LOG.error("the store cannot be written: %s", error)  # noqa: TRY400 - no traceback: it adds nothing
        time.sleep(1.0)
        return 1
    return 0


def _say_where(kind: type[BaseException], _error: BaseException | None, trace: TracebackType | None) -> None:
    """Say what ended a process and where; a traceback may quote the patient. The supervisor starts another one."""
    place = traceback.extract_tb(trace)[-1]
    where = f"{kind.__name__} in {place.name}, {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
    LOG.error("internal error (%s); report it", where)


def _die_with(parent: int) -> None:
    """Die when the supervisor does, so that it finds its place free when it is started again (Linux).

    Args:
        parent: number of its process, 0 where nobody says.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (0, os.getppid()):  # it died before the line above
            sys.exit(1)


def main() -> int:
    """Run the role named on the command line."""
    parser = argparse.ArgumentParser(prog="lvo.node.process")
    parser.add_argument("role", choices=sorted(ROLES))
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--slot", default="")
    parser.add_argument("--parent", type=int, default=0)
    options = parser.parse_args()
    _die_with(options.parent)
    return run_role(options.role, load_settings(options.config), options.slot)


if __name__ == "__main__":
    sys.exit(main())
