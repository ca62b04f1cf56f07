"""What runs in a worker process: loads the models once, then opens items and analyses the studies in them.

What kills a process (memory, time, a crash in a library) is the business of `lvo.batch.supervised` at the end of the pipe.
"""

import errno
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import msgspec

from lvo.batch.columns import exit_status_of, failed_row, result_row
from lvo.batch.export import export_study
from lvo.batch.fetch import fetched
from lvo.batch.messages import Begun, Broken, End, Finished, Opened, Ready
from lvo.batch.owners import DuplicateError, clear, own
from lvo.batch.records import Item, Kind, Row, Setup, Task
from lvo.core.study import Study
from lvo.dicom.index import open_studies
from lvo.errors import LvoError, OutputError
from lvo.pipeline import Models
from lvo.run import Request, load_models, run_study

__all__ = ["serve", "what_went_wrong"]


def serve(connection: Connection, setup: Setup) -> None:
    """Work until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the runner says what to do
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    _limit_memory(setup.limits.memory_mb)
    try:
        models = load_models(setup.config)
    except LvoError as error:
        connection.send(Broken(str(error)))
        return
    connection.send(Ready())
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        _work(task.item, models, setup, connection)
        connection.send(End())


def _follow(parent: int) -> None:
    """Die with the runner: what it began must not be worked on twice."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _limit_memory(memory_mb: int) -> None:
    """Let an allocation far over the limit fail at once, before the machine suffers; the exact one is watched from outside."""
    if hasattr(resource, "RLIMIT_DATA"):
        limit = int(memory_mb * 1.5 + 1024) * 2**20
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _work(item: Item, models: Models, setup: Setup, connection: Connection) -> None:
    """Open an item and analyse every study in it; one that fails does not stop the next."""
    start_s = time.perf_counter()

    def go_through() -> None:
        begun_s = start_s
        with fetched(item.locations) as paths, open_studies(paths) as studies:
            connection.send(Opened(tuple(study.study_instance_uid for study in studies)))
            for study in studies:
                connection.send(Begun(study.study_instance_uid))
                action = partial(_analyse, study, item, models, setup, start_s=begun_s)
                connection.send(Finished(_row(action, item, study.study_instance_uid, start_s=begun_s)))
                begun_s = time.perf_counter()

    _, error = _caught(go_through)
    if error is not None:
        connection.send(Finished(_failed(error, item, None, start_s=start_s)))


def _row(action: Callable[[], Row], item: Item, uid: str, *, start_s: float) -> Row:
    """What an analysis gives, or the row that says why it gave nothing."""
    row, error = _caught(action)
    return row if row is not None else _failed(error, item, uid, start_s=start_s)


def _failed(error: Exception | None, item: Item, uid: str | None, *, start_s: float) -> Row:
    kind, reason = what_went_wrong(error or RuntimeError())
    return failed_row(item, kind, reason, study_instance_uid=uid, seconds=time.perf_counter() - start_s)


T = TypeVar("T")


def _caught(action: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """What an action returns, or what it raises: the boundary of the worker (decision 0017)."""
    try:
        return action(), None
    except Exception as error:  # noqa: BLE001 - one bad study must not end the batch; its row says what happened
        return None, error


def what_went_wrong(error: Exception) -> tuple[Kind, str]:
    """Kind and reason of an error. An internal one is named by type and place only: its message might quote the patient."""
    if isinstance(error, MemoryError) or "failed to allocate" in str(error).lower() or "bad_alloc" in str(error):
        return Kind.MEMORY, "it asked for more memory than it is allowed; raise --memory-mb, or look at the images"
    for types, kind in ((DuplicateError, Kind.DUPLICATE), (OutputError, Kind.OUTPUT), (LvoError, Kind.INPUT)):
        if isinstance(error, types):
            return kind, str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Kind.OUTPUT, f"the disk is full: {error.strerror}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {place.name}, {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
    return Kind.INTERNAL, f"internal error ({where}); run it alone with `lvo --debug run` and report it"


def _analyse(study: Study, item: Item, models: Models, setup: Setup, *, start_s: float) -> Row:
    """The row of a study; its folder is complete then."""
    uid, below = study.study_instance_uid, Path(setup.studies_dir.name)
    if own(setup.studies_dir, uid, item):  # finished, but whoever did died before the table knew, or could not write the copy
        _export(study, setup)
        document = msgspec.json.decode((setup.studies_dir / uid / "result.json").read_bytes())
        seconds = sum(document["timings_s"].values())
        status = exit_status_of(document)
        return result_row(document, item, exit_status=status, seconds=seconds, folder=below / uid)
    clear(setup.studies_dir, uid)
    result = run_study(study, models, Request(setup.studies_dir, setup.config, setup.clinical, setup.roles))
    _export(study, setup)
    seconds = time.perf_counter() - start_s
    return result_row(result.document, item, exit_status=result.exit_status, seconds=seconds, folder=below / uid)


def _export(study: Study, setup: Setup) -> None:
    """Write the de-identified copy, if one is wanted."""
    if setup.export_dir is not None:
        export_study(study, setup.export_dir, secret=setup.export_secret, keep_intervals=setup.export_intervals)
