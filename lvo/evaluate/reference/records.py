"""What is known of one study: the truth of the reference table, and what was said about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import dist
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from lvo.core.report import Call, Side, Site
from lvo.evaluate.records import COVERED, Found, Position, Standing, answers_both_ways

__all__ = ["MASKS", "VOLUMES", "Answer", "Case", "Cohort", "Flow", "Reading", "StudyResult", "Truth", "standing_of"]

Answer: TypeAlias = Literal["suspected", "indeterminate", "not detected", "not judged", "no result"]

MASKS: Mapping[str, str] = MappingProxyType(
    {"artery_mask": "arteries", "core_mask": "core", "hypoperfusion_mask": "hypoperfusion"}
)
"""Column of the reference table with the path of a NIfTI mask, and the map of a result (maps/<name>.nii.gz) beside it."""

VOLUMES = ("core_ml", "hypoperfusion_ml")
"""Volumes that both the reference table and a result may have."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader or another product said: a score from 0 to 1, and whether that is a call."""

    score: float
    called: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """One row of the reference table.

    Args:
        study: StudyInstanceUID.
        line: of the table, for messages.
        lvo: whether there is an occlusion; None where the reference standard could not tell.
        side: of the occlusion, None when unknown.
        site: the artery, None when unknown.
        part: refines the site, as "proximal" or "cervical".
        location_lps_mm: where the artery stops.
        facts: what results are sorted by: scanner, kv, slice_mm, age, sex, centre, split, and columns named group:...
        readings: of other readers and products, by name; a case that one did not read is not in it.
        volumes_ml: by name of `VOLUMES`.
        masks: path by name of `MASKS`.
    """

    study: str
    line: int
    lvo: bool | None
    side: Side | None = None
    site: Site | None = None
    part: str = ""
    location_lps_mm: Position | None = None
    facts: Mapping[str, float | str] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudyResult:
    """One result of `lvo run` or `lvo batch`.

    Args:
        study: StudyInstanceUID.
        found: the call; None when the angiogram was not judged.
        reasons: why not.
        threshold: probability from which an occlusion is suspected, None where there is no call.
        volumes_ml: of the perfusion, by name of `VOLUMES`.
        made_by: model versions and hash of the settings.
        folder: of the result, None in a table.
    """

    study: str
    found: Found | None
    reasons: tuple[str, ...] = ()
    threshold: float | None = None
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    made_by: str = ""
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A study with a known truth, and its result if there is one."""

    truth: Truth
    standing: Standing
    result: StudyResult | None

    @property
    def found(self) -> Found | None:
        """The call, None when there is none."""
        return None if self.result is None else self.result.found

    @property
    def answer(self) -> Answer:
        """What a clinician would have seen."""
        if self.result is None:
            return "no result"
        if self.result.found is None:
            return "not judged"
        return {Call.SUSPECTED: "suspected", Call.INDETERMINATE: "indeterminate", Call.NOT_DETECTED: "not detected"}[
            self.result.found.call
        ]  # type: ignore[return-value]  # mypy widens the values of a dict to str

    @property
    def judged(self) -> bool:
        """Whether there is a call, where either call was possible: what figures of those judged are made of."""
        return self.found is not None and answers_both_ways(self.truth.facts)

    @property
    def suspected(self) -> bool:
        """Whether an alarm was raised; without a result there was none."""
        return self.answer == "suspected"

    @property
    def side_right(self) -> bool | None:
        """Whether the side that was named is the true one, None where one of them is unknown."""
        if self.found is None or self.found.side is None or self.truth.side is None:
            return None
        return self.found.side is self.truth.side

    @property
    def site_right(self) -> bool | None:
        """Whether the artery that was named is the true one, None where one of them is unknown."""
        if self.found is None or self.found.site is None or self.truth.site is None:
            return None
        return self.found.site is self.truth.site

    @property
    def distance_mm(self) -> float | None:
        """From the point that was named to the true one, None where one of them is unknown."""
        if self.found is None or self.found.location_lps_mm is None or self.truth.location_lps_mm is None:
            return None
        return dist(self.found.location_lps_mm, self.truth.location_lps_mm)


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of every study and every row, in the order of a STARD flow diagram.

    Args:
        results: studies that have a result.
        no_reference: of these, studies that are not in the table.
        rows: studies in the reference table.
        no_standard: of these, studies whose reference standard could not tell.
        aside: of these, studies with an occlusion of an artery that is not covered.
        no_result: studies that count, without a result.
        not_judged: studies that count, whose result is that they could not be judged.
        reasons: why not, most frequent first, with counts.
    """

    results: int
    no_reference: tuple[str, ...]
    rows: int
    no_standard: int
    aside: int
    no_result: int
    not_judged: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Cohort:
    """All cases with a reference standard, those of arteries that are not covered included, and what is odd about the data."""

    cases: tuple[Case, ...]
    flow: Flow
    notes: tuple[str, ...]
    threshold: float | None
    made_by: tuple[str, ...]

    @property
    def positives(self) -> list[Case]:
        """Cases with a covered occlusion."""
        return [case for case in self.cases if case.standing == "positive"]

    @property
    def negatives(self) -> list[Case]:
        """Cases without an occlusion."""
        return [case for case in self.cases if case.standing == "negative"]


def standing_of(truth: Truth) -> Standing:
    """Whether an occlusion counts: one whose artery is unknown does, one of an artery that is not covered does not.

    Raises:
        ValueError: the reference standard could not tell.
    """
    if truth.lvo is None:
        msg = "a study whose reference standard could not tell has no standing"
        raise ValueError(msg)
    if not truth.lvo:
        return "negative"
    if truth.site is None:
        return "positive"
    parts = COVERED.get(truth.site, frozenset())
    return "positive" if parts is None or truth.part in parts else "aside"
