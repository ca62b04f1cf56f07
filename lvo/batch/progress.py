"""How a batch goes: a bar with rate and remaining time on a terminal, a line per study otherwise. Nothing tells a patient."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lvo.batch.records import Row, State

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Lines", "Quiet", "bar", "row_words", "span_words"]


def row_words(row: Row) -> str:
    """A study in a few words."""
    name = row["study_instance_uid"] or f"item {row['item']}"
    if row["status"] == "failed":
        return f"{name} FAILED ({row['error.kind']}): {row['error.reason']}"
    said = str(row["status"]) if row["cta.lvo.call"] is None else str(row["cta.lvo.call"]).replace("_", " ")
    where = " ".join(str(row[key]) for key in ("cta.lvo.side", "cta.lvo.site") if row[key])
    seconds = f", {row['seconds']:.1f} s" if isinstance(row["seconds"], float) else ""
    return f"{name} {said.replace('not_assessable', 'COULD NOT BE JUDGED')}{f' {where}' if where else ''}{seconds}"


def span_words(seconds: float) -> str:
    """A span of time for people."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@dataclass(slots=True)
class Quiet:
    """Listens and says nothing; counts what this run did."""

    done: int = 0
    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    start_s: float = field(default_factory=time.monotonic)

    def counted(self, counts: dict[State, int]) -> None:
        """See `lvo.batch.runner.Listener`."""
        self.counts = counts

    def ended(self, row: Row) -> None:  # noqa: ARG002 - the signature of a listener
        """See `lvo.batch.runner.Listener`."""
        self.done += 1
        if self.counts[State.QUEUED] > 0:  # until it is counted again
            moved = {State.QUEUED: self.counts[State.QUEUED] - 1, State.DONE: self.counts[State.DONE] + 1}
            self.counts = self.counts | moved

    def say(self, text: str) -> None:
        """See `lvo.batch.runner.Listener`."""

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.start_s

    def pace(self) -> str:
        """Studies per hour and the time that is left, by this run's pace."""
        if not self.done or self.elapsed_s <= 0.0:
            return ""
        per_s = self.done / self.elapsed_s
        left = self.counts[State.QUEUED] + self.counts[State.LEASED]
        return f"{3600.0 * per_s:.0f} studies/h, {span_words(left / per_s)} left"


@dataclass(slots=True)
class Lines(Quiet):
    """A line per study."""

    print_line: Callable[[str], None] = print

    def counted(self, counts: dict[State, int]) -> None:
        """See `lvo.batch.runner.Listener`; the first time it says what there is to do."""
        if not any(self.counts.values()):
            done = counts[State.DONE] + counts[State.FAILED]
            self.print_line(f"{sum(counts.values())} items, {done} of them done before; {counts[State.QUEUED]} to do")
        Quiet.counted(self, counts)

    def ended(self, row: Row) -> None:
        """See `lvo.batch.runner.Listener`."""
        Quiet.ended(self, row)
        self.print_line(f"{self.done}: {row_words(row)}; {self.pace()}")

    def say(self, text: str) -> None:
        """See `lvo.batch.runner.Listener`."""
        self.print_line(text)


@dataclass(slots=True)
class _Bar(Quiet):
    """A bar; failures and remarks scroll by above it."""

    shown: "Progress | None" = None
    failed: int = 0

    def counted(self, counts: dict[State, int]) -> None:
        self.counts = counts
        self._draw()

    def ended(self, row: Row) -> None:
        Quiet.ended(self, row)
        if row["status"] == "failed":
            self.failed += 1
            self.say(row_words(row))
        self._draw()

    def say(self, text: str) -> None:
        if self.shown is not None:
            self.shown.console.print(text, markup=False, highlight=False)

    def _draw(self) -> None:
        if self.shown is not None:
            completed = self.counts[State.DONE] + self.counts[State.FAILED]
            text = f"{self.failed} failed  {self.pace()}"
            self.shown.update(self.shown.task_ids[0], completed=completed, total=sum(self.counts.values()), pace=text)


@contextmanager
def bar() -> Iterator[Quiet]:
    """A listener that draws a bar on the terminal at stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True)) as shown:
        shown.add_task("studies", total=None, pace="")
        yield _Bar(shown=shown)
