"""One row per case and way of looking at it: the truth beside the result. Rows gather in a file of JSON lines.

Nothing here knows where a row comes from: drawn cases today; result.json and a hospital's reference table make the same rows.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from lvo.config import CtaSettings
from lvo.core.report import Call, Side, Site
from lvo.errors import InputError, OutputError

__all__ = ["AS_IS", "COVERED", "Found", "Row", "RowFile", "Standing", "TrueStop", "answers_both_ways", "is_covered"]

Position: TypeAlias = tuple[float, float, float]
Standing: TypeAlias = Literal["positive", "negative", "aside"]

AS_IS = "as it is"
"""Variant of a row whose images were judged as they are."""

COVERED: Mapping[Site, frozenset[str] | None] = {
    Site.ICA: frozenset({"", "intracranial"}), Site.ICA_T: None, Site.M1: None, Site.M2: None, Site.BA: None,
}  # fmt: skip
"""Arteries whose occlusion the call is there to find, with the parts that count (None: all). Occlusions of others alone (A1,
A2, P1, vertebral, cervical carotid) are neither positive nor negative and are reported apart."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every record: frozen, keyword-only, unknown keys refused."""


class TrueStop(_Record, frozen=True):
    """An occlusion that is there; `part` refines the site ("proximal", "cervical"), and the location may be unknown."""

    side: Side
    site: Site
    part: str = ""
    location_lps_mm: Position | None = None


class Found(_Record, frozen=True):
    """What was said about the case; a case that could not be judged has none."""

    call: Call
    probability: float
    side: Side | None = None
    site: Site | None = None
    location_lps_mm: Position | None = None


class Row(_Record, frozen=True):
    """One case, looked at once.

    Args:
        key: hash of everything but the case that the result depends on: models, settings, programs.
        case: its name.
        variant: what was done to the images first; AS_IS for nothing.
        stops: occlusions, the main one first; none in a healthy head.
        facts: what results can be sorted by: family, collateral_grade, noise_hu, slice_mm, kv ...
        found: None when it could not be judged.
        reasons: why not.
        scores: further figures, by name: artery_dice, artery_cldice, asymmetry ...
        image_sha256: hash of the images, to prove that a set is still the same.
        seconds: that the judgement took.
    """

    key: str
    case: str
    variant: str = AS_IS
    stops: tuple[TrueStop, ...] = ()
    facts: dict[str, float | str] = {}
    found: Found | None = None
    reasons: tuple[str, ...] = ()
    scores: dict[str, float] = {}
    image_sha256: str = ""
    seconds: float = 0.0

    @property
    def standing(self) -> Standing:
        """Whether the case has an occlusion that the call covers, none at all, or only others."""
        if not self.stops:
            return "negative"
        return "positive" if any(map(is_covered, self.stops)) else "aside"

    @property
    def judged(self) -> bool:
        """Whether there is a call, where either call was possible: what figures of those judged are made of."""
        return self.found is not None and answers_both_ways(self.facts)

    @property
    def suspected(self) -> bool:
        """Whether an occlusion was called; a case that could not be judged was not."""
        return self.found is not None and self.found.call is Call.SUSPECTED

    @property
    def indeterminate(self) -> bool:
        """Whether the call was that it cannot be told."""
        return self.found is not None and self.found.call is Call.INDETERMINATE

    @property
    def true_side(self) -> Side | None:
        """Side of the occlusions that are covered, or of all when none is; BOTH for left and right."""
        sides = {stop.side for stop in self.stops if is_covered(stop)} or {stop.side for stop in self.stops}
        return Side.BOTH if {Side.LEFT, Side.RIGHT} <= sides else next(iter(sides), None)

    @property
    def side_right(self) -> bool:
        """Whether the side that was named is the true one; of two occluded sides both must be named."""
        return self.found is not None and self.true_side is not None and self.found.side is self.true_side

    @property
    def site_right(self) -> bool:
        """Whether the artery that was named is one that is occluded."""
        return self.found is not None and self.found.site in {stop.site for stop in self.stops}

    @property
    def distance_mm(self) -> float | None:
        """From the point that was named to the nearest true one."""
        if self.found is None or self.found.location_lps_mm is None:
            return None
        known = [stop.location_lps_mm for stop in self.stops if stop.location_lps_mm is not None]
        return min((math.dist(self.found.location_lps_mm, place) for place in known), default=None)


def answers_both_ways(facts: Mapping[str, float | str]) -> bool:
    """Whether a scan could have been called without an occlusion, as far as its facts tell the thickness of its slices.

    From thick ones an occlusion is suspected, or nothing is said (`CtaSettings.max_negative_slice_mm`): among those judged they
    are found only where that flatters.
    """
    slice_mm = facts.get("slice_mm", 0.0)
    return isinstance(slice_mm, str) or slice_mm <= CtaSettings().max_negative_slice_mm


def is_covered(stop: TrueStop) -> bool:
    """Tell whether an occlusion is one that the call is there to find."""
    if stop.site not in COVERED:
        return False
    parts = COVERED[stop.site]
    return parts is None or stop.part in parts


class RowFile:
    """A file of rows that grows by one line at a time, so that a run may be killed anywhere and go on from there."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; half a line at its end, left by a killed run, is cut off.

        Raises:
            OutputError: it cannot be written.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_bytes() if path.exists() else b""
            whole = text.rfind(b"\n") + 1
            if whole < len(text):
                path.write_bytes(text[:whole])
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise OutputError(msg) from error

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; they are on the disk when this returns.

        Raises:
            OutputError: they cannot be written.
        """
        lines = b"".join(msgspec.json.encode(row, order="deterministic") + b"\n" for row in rows)
        try:
            with self._path.open("ab") as stream:
                stream.write(lines)
        except OSError as error:
            msg = f"{self._path} cannot be written: {error.strerror}"
            raise OutputError(msg) from error

    def read(self) -> tuple[Row, ...]:
        """All rows; of two that stand for the same (key, case and variant) the later one.

        Raises:
            InputError: a line is no row.
        """
        rows: dict[tuple[str, str, str], Row] = {}
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                row = msgspec.json.decode(line, type=Row)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                msg = f"{self._path}, line {number}, is no row of this version ({error}); remove the line or the file"
                raise InputError(msg) from error
            rows[row.key, row.case, row.variant] = row
        return tuple(rows.values())
