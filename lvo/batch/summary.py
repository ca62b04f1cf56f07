"""A batch in numbers, and its studies in the order in which a person should look at them."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lvo.batch.records import Job, Row, State

__all__ = ["Summary", "Urgency", "sorted_rows", "summarize", "urgency_of"]


class Urgency(IntEnum):
    """What a person should look at first. What could not be judged stands before what was judged and found nothing."""

    SUSPECTED = 1
    INDETERMINATE = 2
    UNJUDGED = 3
    FAILED = 4
    PERFUSION = 5
    NOT_DETECTED = 6


@dataclass(frozen=True, slots=True)
class Summary:
    """A batch in numbers.

    Args:
        studies: with a row.
        items: by state.
        status: studies by `status`.
        calls: angiograms that were judged, by call.
        positivity: share of judged angiograms that are suspected; None without any.
        not_assessable: reasons with how often each was given.
        failed: studies without result by kind.
        seconds_p50, seconds_p95: of a study with a result; None without any.
        studies_per_hour: while this run lasted, by all its workers; None if it did none.
        late: studies that were done after they were due.
        peak_mb: largest memory of a worker; None where it was not measured.
    """

    studies: int
    items: Mapping[str, int]
    status: Mapping[str, int]
    calls: Mapping[str, int]
    positivity: float | None
    not_assessable: Mapping[str, int]
    failed: Mapping[str, int]
    seconds_p50: float | None
    seconds_p95: float | None
    studies_per_hour: float | None
    late: int
    peak_mb: float | None

    @property
    def exit_status(self) -> int:
        """The highest of its studies; 1 also for what is left to do."""
        left = self.items[State.QUEUED] + self.items[State.LEASED]
        failed = bool(self.failed) or left > 0
        unjudged = bool(self.not_assessable)
        return 3 if unjudged else int(failed)


def summarize(jobs: Sequence[Job], rows: Sequence[Row], *, done_now: int, elapsed_s: float) -> Summary:
    """Count everything.

    Args:
        jobs: all items.
        rows: of all studies.
        done_now: studies that this run did.
        elapsed_s: how long it took.
    """
    judged = [row for row in rows if row["cta.state"] == "assessed"]
    calls = Counter(str(row["cta.lvo.call"]) for row in judged)
    seconds = sorted(row["seconds"] for row in rows if row["status"] != "failed" and isinstance(row["seconds"], float))
    peaks = [row["peak_mb"] for row in rows if isinstance(row["peak_mb"], float)]
    items = Counter(job.state.value for job in jobs)
    late = [
        row
        for row in rows
        if isinstance(row["due"], float) and isinstance(row["ended_at"], float) and row["ended_at"] > row["due"]
    ]
    return Summary(
        studies=len(rows),
        items={state.value: items[state.value] for state in State},
        status=dict(Counter(str(row["status"]) for row in rows)),
        calls=dict(calls),
        positivity=round(calls["suspected"] / len(judged), 4) if judged else None,
        not_assessable=dict(Counter(_reasons(rows)).most_common()),
        failed=dict(Counter(str(row["error.kind"]) for row in rows if row["status"] == "failed")),
        seconds_p50=_quantile(seconds, 0.5),
        seconds_p95=_quantile(seconds, 0.95),
        studies_per_hour=round(3600.0 * done_now / elapsed_s, 1) if done_now and elapsed_s > 0.0 else None,
        late=len(late),
        peak_mb=max(peaks, default=None),
    )


def urgency_of(row: Row) -> Urgency:
    """Where a study belongs in the worklist."""
    if row["status"] == "failed":
        return Urgency.FAILED
    call = row["cta.lvo.call"] if row["cta.state"] == "assessed" else None
    if call == "suspected":
        return Urgency.SUSPECTED
    if call == "indeterminate":
        return Urgency.INDETERMINATE
    if row["exit_status"] == 3:
        return Urgency.UNJUDGED
    hypoperfused = row["perfusion.hypoperfusion_ml"]
    if call is None or (isinstance(hypoperfused, float) and hypoperfused > 0.0):
        return Urgency.PERFUSION
    return Urgency.NOT_DETECTED


def sorted_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows in the order in which a person should look: urgency, then probability, then hypoperfused volume."""

    def place(row: Row) -> tuple[int, float, float, str]:
        probability, volume = row["cta.lvo.probability"], row["perfusion.hypoperfusion_ml"]
        return urgency_of(row), -_number(probability), -_number(volume), str(row["study_instance_uid"] or row["item"])

    return sorted(rows, key=place)


def _reasons(rows: Iterable[Row]) -> Iterable[str]:
    """Why parts of studies that were not assessable could not be judged."""
    for row in rows:
        if row["exit_status"] != 3:
            continue
        reasons = [str(row[name]) for name in ("cta.reasons", "perfusion.reasons") if row[name]]
        for text in reasons or ["no part was judged"]:
            yield from (part.strip() for part in text.split("; "))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else -1.0


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share does not exceed (nearest rank)."""
    if not ordered:
        return None
    return ordered[math.ceil(share * len(ordered)) - 1]
