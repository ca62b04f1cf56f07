"""Run the evaluation set: every beginning of its order is a fair sample, and a run that was stopped goes on from there."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from math import gcd

from threadpoolctl import threadpool_limits

from lvo.evaluate.bench import Bench, Setup, open_bench, run_case, without_mirror
from lvo.evaluate.records import AS_IS, Row, RowFile
from lvo.evaluate.variants import INVARIANCES, WITHOUT_MIRROR

__all__ = ["balanced", "evaluate_cases", "tasks"]

Task = tuple[int, tuple[str, ...]]
_GOLDEN = 0.6180339887498949
"""Steps of this part of a circle leave no large gap, however many are taken."""


def balanced(seeds: range) -> list[int]:
    """The seeds in an order of which every beginning holds each stretch of them in about its share.

    The plan of the evaluation set groups cases by site and family, so a run that is stopped early still is a fair sample.
    """
    n = len(seeds)
    if n < 3:
        return list(seeds)
    near = sorted(range(1, n), key=lambda step: abs(step - _GOLDEN * n))
    step = next(step for step in near if gcd(step, n) == 1)
    return [seeds[number * step % n] for number in range(n)]


def tasks(seeds: Sequence[int], *, invariances: int, ablations: bool) -> list[Task]:
    """What is to be done, in this order: all cases as they are, then the variants case by case.

    Args:
        seeds: cases, in the order in which they are run.
        invariances: how many of them are shown in other ways too.
        ablations: judge all of them without the mirrored pass too.
    """
    work: list[Task] = [(seed, (AS_IS,)) for seed in seeds]
    for number, seed in enumerate(seeds):
        variants = (*(INVARIANCES if number < invariances else ()), *((WITHOUT_MIRROR,) if ablations else ()))
        if variants:
            work.append((seed, variants))
    return work


def evaluate_cases(
    setup: Setup,
    work: Sequence[Task],
    file: RowFile,
    *,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Bench, tuple[Row, ...]]:
    """Do what is not done yet; every row is on the disk as soon as it is known.

    Args:
        setup: settings, models, folders.
        work: from `tasks`.
        file: rows of this and earlier runs.
        workers: processes; with 1 everything happens in this one.
        progress: told a line after each task.

    Returns:
        The bench, and all rows of its key that the work asks for.

    Raises:
        UsageError: the work needs a setting that this version does not have.
    """
    if any(WITHOUT_MIRROR in variants for _, variants in work):
        without_mirror(setup.config)  # refused now, not after an hour
    bench = open_bench(setup)
    done = {(row.case, row.variant) for row in file.read() if row.key == bench.key}
    open_work = [(seed, tuple(one for one in variants if (str(seed), one) not in done)) for seed, variants in work]
    open_work = [(seed, variants) for seed, variants in open_work if variants]
    progress(f"{len(work) - len(open_work)} of {len(work)} tasks are done already (key {bench.key})")
    start = time.monotonic()
    for number, rows in enumerate(_done(bench, open_work, workers), start=1):
        file.append(rows)
        per_task_s = (time.monotonic() - start) / number
        left_min = per_task_s * (len(open_work) - number) / 60.0
        progress(f"case {rows[0].case}: {', '.join(map(_words, rows))} ({number} of {len(open_work)}, {left_min:.0f} min left)")
    asked = {(str(seed), variant) for seed, variants in work for variant in variants}
    return bench, tuple(row for row in file.read() if row.key == bench.key and (row.case, row.variant) in asked)


def _words(row: Row) -> str:
    return "not assessable" if row.found is None else f"{row.found.call.value} {row.found.probability:.2f}"


def _done(bench: Bench, work: Sequence[Task], workers: int) -> Iterator[tuple[Row, ...]]:
    """Do the work here or in fresh processes; results as they come."""
    if workers <= 1 or len(work) <= 1:
        for seed, variants in work:
            yield run_case(bench, seed, variants)
        return
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=fresh, initializer=_start, initargs=(bench.setup, os.getpid()))
    try:
        waiting = {pool.submit(_work, task) for task in work}
        for future in as_completed(waiting):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_bench: Bench | None = None
"""The bench of a worker process."""


def _start(setup: Setup, parent: int) -> None:
    """Make a worker ready, and let it end with its parent: one that is killed cannot tell its children."""
    global _bench  # noqa: PLW0603 - a process pool has no other place for what its workers keep

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    threadpool_limits(1)  # workers share the processor already
    _bench = open_bench(setup)


def _work(task: Task) -> tuple[Row, ...]:
    if _bench is None:
        msg = "a worker was given work before it was made ready"
        raise RuntimeError(msg)
    return run_case(_bench, *task)
