"""A worker: claims a job, analyses it, records the result, and again. It may die at any moment.

A thread beside the analysis renews the lease and watches time and memory: what exceeds them ends the whole process, since
nothing else stops foreign code for certain. The supervisor starts another one.
"""

import logging
import os
import resource
import shutil
import sqlite3
import threading
import time
import traceback
from pathlib import Path

from lvo.durable import make_folder, sync_folder, sync_tree
from lvo.errors import InputError, LvoError
from lvo.node.database import Clock, connect, open_clock
from lvo.node.heartbeat import Heartbeat
from lvo.node.jobs import Analyse, Job, Outcome, claim, fail, files_of, finish, give_back, keep
from lvo.node.settings import NodeSettings

__all__ = ["work"]

LOG = logging.getLogger(__name__)

EXIT_LIMIT, EXIT_STOPPED = 70, 0
_POLL_S = 0.3
_WATCH_S = 1.0


def work(settings: NodeSettings, stop: threading.Event, *, slot: str, analyse: Analyse) -> None:
    """Do jobs until stopped.

    Args:
        settings: of the node.
        stop: ends the worker; a job in progress is put back.
        slot: name of this worker, the same after a restart.
        analyse: what to do with a study.
    """
    folder = settings.root / "work" / slot
    shutil.rmtree(folder, ignore_errors=True)  # what its predecessor left
    make_folder(folder)
    db = connect(settings.database_path)
    clock = open_clock(db)
    beat = Heartbeat(db, clock)
    _limit_memory(settings.work.memory_mb)
    while not stop.is_set():
        beat(slot)
        job = claim(db, clock, settings.work, worker=f"{slot}:{os.getpid()}")
        if job is None:
            stop.wait(_POLL_S)
            continue
        _do(db, clock, settings, job, folder, analyse, stop)
    db.close()


def _do(
    db: sqlite3.Connection,
    clock: Clock,
    settings: NodeSettings,
    job: Job,
    folder: Path,
    analyse: Analyse,
    stop: threading.Event,
) -> None:
    """One job from claim to record."""
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(settings, job, done, stop), name="watch", daemon=True)
    watch.start()
    start = time.monotonic()
    try:
        outcome = analyse(job, files_of(db, job, settings.root), folder)
        kept = _keep_result(settings.root, folder, job, outcome)
        if finish(db, clock, job, kept):
            LOG.info("job %d: %s in %.1f s", job.id, kept.status or "skipped", time.monotonic() - start)
    except InputError as error:  # no retry makes images readable
        fail(db, clock, settings.work, job, str(error), final=True)
        LOG.warning("job %d quarantined: %s", job.id, error)
    except LvoError as error:
        fail(db, clock, settings.work, job, str(error))
        LOG.warning("job %d failed, attempt %d: %s", job.id, job.attempts, error)
    except MemoryError:
        fail(db, clock, settings.work, job, f"it needs more memory than the {settings.work.memory_mb} MB allowed")
        LOG.warning("job %d failed, attempt %d: out of memory", job.id, job.attempts)
    except Exception as error:  # noqa: BLE001 - one study with something unforeseen must not stop all others
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"internal error ({type(error).__name__} in {place.name}, {place.filename.rsplit('/', 1)[-1]}:{place.lineno})"
        fail(db, clock, settings.work, job, f"{reason}; report it")
        LOG.error("job %d failed, attempt %d: %s", job.id, job.attempts, reason)  # noqa: TRY400 - a traceback may quote the patient
    finally:
        done.set()
        watch.join()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)


def _keep_result(root: Path, folder: Path, job: Job, outcome: Outcome) -> Outcome:
    """Move a result folder to its place, durably; what an earlier attempt left there is replaced."""
    if not outcome.folder:
        return outcome
    place = root / "results" / job.study_uid / f"{job.version:04d}"
    make_folder(place.parent)
    sync_tree(folder / outcome.folder)
    if place.exists():
        place.rename(folder / "old")
    (folder / outcome.folder).rename(place)
    sync_folder(place.parent)
    return Outcome(str(place.relative_to(root)), outcome.status, outcome.call, outcome.models)


def _watch(settings: NodeSettings, job: Job, done: threading.Event, stop: threading.Event) -> None:
    """Watch over an analysis; a store that cannot be used ends it, since without a watch nothing else would."""
    try:
        _watch_over(settings, job, done, stop)
    except (LvoError, sqlite3.Error) as error:
        LOG.error("job %d is given up, the store cannot be used: %s", job.id, error)  # noqa: TRY400 - no traceback: it adds nothing
        os._exit(EXIT_LIMIT)


def _watch_over(settings: NodeSettings, job: Job, done: threading.Event, stop: threading.Event) -> None:
    """Renew the lease; end the process when it is lost, when time or memory are used up, or when the node stops.

    Raises:
        OutputError, sqlite3.Error: the store cannot be used.
    """
    db = connect(settings.database_path)
    clock, limits = open_clock(db), settings.work
    beat, slot = Heartbeat(db, clock), job.worker.rsplit(":", maxsplit=1)[0]
    end = clock.now() + limits.time_limit_s
    next_keep = clock.now() + limits.lease_s / 4.0
    while not done.wait(min(_WATCH_S, limits.lease_s / 4.0)):
        if stop.is_set():
            give_back(db, job)
            os._exit(EXIT_STOPPED)
        if clock.now() > end:
            fail(db, clock, limits, job, f"it took longer than the {limits.time_limit_s:g} s allowed")
            os._exit(EXIT_LIMIT)
        if limits.memory_mb and _resident_mb() > limits.memory_mb:
            fail(db, clock, limits, job, f"it needs more memory than the {limits.memory_mb} MB allowed")
            os._exit(EXIT_LIMIT)
        if clock.now() >= next_keep:
            if not keep(db, clock, job, lease_s=limits.lease_s):
                os._exit(EXIT_LIMIT)
            next_keep = clock.now() + limits.lease_s / 4.0
        beat(slot)
    db.close()


def _limit_memory(memory_mb: int) -> None:
    """Let allocations beyond the limit fail, so that a hostile image ends as an error and not as a slow machine."""
    if memory_mb:
        limit = memory_mb << 20
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _resident_mb() -> float:
    """Megabytes of memory that this process occupies."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux: RLIMIT_DATA alone has to do
        return 0.0
    return pages * resource.getpagesize() / 1e6
