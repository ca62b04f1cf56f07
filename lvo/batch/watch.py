"""Look at the sources: once, or again and again while studies arrive."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lvo.batch.progress import span_words
from lvo.batch.records import Item
from lvo.batch.sources import items_of
from lvo.batch.table import Table
from lvo.errors import InputError, UsageError

__all__ = ["Watch"]

_CHUNK = 500
"""Items that are added in one transaction."""
_LONGEST_S = 900.0
"""A source that fails is asked again at least so often."""


@dataclass(slots=True)
class Watch:
    """Looks at the sources again and again; an item is added once it looked the same twice: arriving studies must be complete.

    A source that fails at the first look stops the run: a person is there to correct it. Later it is said, and the source is
    looked at again after twice, four times, ... the usual wait; the other sources do not wait for it.

    Args:
        sources: to look at.
        every_s: seconds between two looks; None to look once only, and take what is there.
        idle: called when there is nothing to do for now.
    """

    sources: Sequence[str]
    every_s: float | None = None
    idle: Callable[[], None] | None = None
    _seen: dict[str, str] = field(default_factory=dict)
    _next_s: dict[str, float] = field(default_factory=dict)
    _waits_s: dict[str, float] = field(default_factory=dict)

    def look(self, table: Table, say: Callable[[str], None]) -> int:
        """Add what is new or has changed in every source whose time it is; returns how many.

        Args:
            table: receives the items.
            say: is told when a source fails, and when it is there again.

        Raises:
            InputError, UsageError: as `lvo.batch.sources.items_of`, at the first look only.
        """
        due = [source for source in self.sources if time.monotonic() >= self._next_s.get(source, 0.0)]
        return sum(self._look_at(source, table, say) for source in due)

    def _look_at(self, source: str, table: Table, say: Callable[[str], None]) -> int:
        name = f"source {self.sources.index(source) + 1}"  # its path or URL might name a patient
        wait_s = float("inf") if self.every_s is None else self.every_s
        try:
            changed = self._add(source, table)
        except (InputError, UsageError) as error:
            if source not in self._next_s:
                raise
            wait_s = self._waits_s[source] = min(2.0 * self._waits_s.get(source, wait_s), max(wait_s, _LONGEST_S))
            say(f"{name} cannot be looked at: {str(error).replace(source, name)}; tried again in {span_words(wait_s)}")
            changed = 0
        else:
            if self._waits_s.pop(source, None) is not None:
                say(f"{name} is there again")
        self._next_s[source] = time.monotonic() + wait_s
        return changed

    def _add(self, source: str, table: Table) -> int:
        items, changed = items_of([source]), 0
        while chunk := list(islice(items, _CHUNK)):
            changed += table.add(chunk if self.every_s is None else [item for item in chunk if self._settled(item)])
        return changed

    def _settled(self, item: Item) -> bool:
        before, self._seen[item.id] = self._seen.get(item.id), item.fingerprint
        return before == item.fingerprint
