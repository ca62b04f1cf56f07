"""A whole batch: from sources to one table."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lvo import RESEARCH_USE_ONLY
from lvo.batch.engines import Engine
from lvo.batch.key import describe, key_of, write_key
from lvo.batch.progress import Quiet
from lvo.batch.records import Setup
from lvo.batch.runner import Plan, run_jobs
from lvo.batch.summary import Summary, sorted_rows, summarize
from lvo.batch.table import Keeper, Table, open_table
from lvo.batch.tables import write_file, write_tables
from lvo.batch.watch import Watch
from lvo.batch.worklist import render_worklist
from lvo.errors import InputError

__all__ = ["Batch", "Outcome", "run_batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What to score and how.

    Args:
        sources: see `lvo.batch.sources`.
        out_dir: receives one folder per key (`lvo.batch.key`).
        setup: of the workers; `studies_dir` is set here.
        keeper: of the table.
        retry: queue what failed again.
        watch_s: look at the sources again every so many seconds, for ever; None to end when all is done.
        deadline: nothing begins that will not be done by then; seconds since 1970.
        deliver: queues a row's result for delivery, given the folder that rows are relative to; None for no delivery.
        min_free_mb: space below which nothing begins.
    """

    sources: Sequence[str]
    out_dir: Path
    setup: Setup
    keeper: Keeper = "auto"
    retry: bool = False
    watch_s: float | None = None
    deadline: float | None = None
    deliver: Callable[[Path, ExitStack], Callable[..., None]] | None = None
    min_free_mb: int = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where everything lies, what it says, and why it ended before all was done (else nothing)."""

    folder: Path
    summary: Summary
    ended_by: str


def run_batch(batch: Batch, make_engine: Callable[[Setup], Engine], listener: Quiet) -> Outcome:
    """Score everything, resuming what is there.

    Args:
        batch: what to score.
        make_engine: given the complete setup.
        listener: is told how it goes.

    Raises:
        InputError, UsageError: a source, or what was asked for, is not as it should be.
        ModelError: the models cannot be loaded.
        OutputError: the results folder cannot be written.
    """
    setup = batch.setup
    description = describe(setup.config, setup.clinical, setup.roles)
    folder = batch.out_dir.resolve() / key_of(description)
    write_key(folder, description)
    setup = replace(setup, studies_dir=folder / "studies")
    with ExitStack() as stack:
        deliver = None if batch.deliver is None else batch.deliver(folder, stack)
        table = stack.enter_context(open_table(folder, batch.keeper))
        if batch.retry:
            listener.say(f"tried again because they failed before: {table.retry()}")
        plan = Plan(folder, setup.limits, deadline=batch.deadline, min_free_mb=batch.min_free_mb, row_ready=deliver)
        page = "report.html" if setup.config.outputs.html else "result.json"
        reporter = _Reporter(folder, table, listener, page, None if batch.watch_s is None else 30)
        watch = Watch(batch.sources, batch.watch_s, None if batch.watch_s is None else reporter.write_if_new)
        try:
            ended_by = run_jobs(table, make_engine(setup), plan, watch, listener)
        finally:
            summary = reporter.write()  # also what is there when a person stops it
    if batch.watch_s is None and not any(summary.items.values()):
        msg = "nothing to score was found: a folder with files, an archive, or a list of them is needed"
        raise InputError(msg)
    return Outcome(folder, summary, ended_by)


@dataclass(slots=True)
class _Reporter:
    """Writes the tables from what the table of jobs holds."""

    folder: Path
    table: Table
    listener: Quiet
    page: str
    refresh_s: int | None
    written_at: int = -1

    def write_if_new(self) -> None:
        """Write, if this run has done anything since."""
        if self.listener.done != self.written_at:
            self.write()

    def write(self) -> Summary:
        """Write everything.

        Raises:
            OutputError: a file cannot be written.
        """
        self.written_at = self.listener.done
        jobs = list(self.table.jobs())
        rows = sorted_rows(row for job in jobs for row in job.rows)
        summary = summarize(jobs, rows, done_now=self.listener.done, elapsed_s=self.listener.elapsed_s)
        write_tables(self.folder, jobs, rows)
        now = datetime.now(UTC)
        page = render_worklist(rows, summary, at=now, page=self.page, refresh_s=self.refresh_s)
        write_file(self.folder / "worklist.html", page.encode())
        document = {**asdict(summary), "exit_status": summary.exit_status, "at": now.isoformat(), "notice": RESEARCH_USE_ONLY}
        write_file(self.folder / "summary.json", msgspec.json.format(msgspec.json.encode(document), indent=2))
        return summary
