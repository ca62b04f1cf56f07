"""Rows sorted and counted: one table per thing that results depend on."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lvo.core.report import Site
from lvo.evaluate.metrics import Estimate, mean, proportion
from lvo.evaluate.pictures import NEAR_MM
from lvo.evaluate.records import Row, Standing

__all__ = ["STRATA", "Group", "Stratum", "group", "groups_of", "site_confusion", "site_words", "standing", "stratify"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Something to sort rows by: its value in a row (None leaves it out), and the order of values; others follow by size."""

    value_of: Callable[[Row], str | None]
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """What became of the cases of one group. A case that could not be judged counts as not called: intention to diagnose.

    Args:
        name: of the group.
        sensitivity: share of the positives that were suspected.
        noticed: share that was suspected or indeterminate.
        side: of those suspected, the side was right.
        site: of those suspected, the artery was right.
        near: of those suspected, the point was within NEAR_MM.
        false_alarms: share of the negatives that were suspected.
        unsure: share of the negatives that were indeterminate.
        unjudged_positives, unjudged_negatives: counts.
        artery_dice, center_line_dice: mean over all cases of the group.
    """

    name: str
    sensitivity: Estimate
    noticed: Estimate
    side: Estimate
    site: Estimate
    near: Estimate
    false_alarms: Estimate
    unsure: Estimate
    unjudged_positives: int
    unjudged_negatives: int
    artery_dice: Estimate
    center_line_dice: Estimate


def standing(rows: Sequence[Row], wanted: Standing) -> list[Row]:
    """The rows of one standing."""
    return [row for row in rows if row.standing == wanted]


def group(name: str, rows: Sequence[Row]) -> Group:
    """Count one group; cases of arteries that are not covered only enter the figures of the artery map."""
    positives, negatives = standing(rows, "positive"), standing(rows, "negative")
    called = [row for row in positives if row.suspected]
    return Group(
        name=name,
        sensitivity=proportion(len(called), len(positives)),
        noticed=proportion(sum(row.suspected or row.indeterminate for row in positives), len(positives)),
        side=proportion(sum(row.side_right for row in called), len(called)),
        site=proportion(sum(row.site_right for row in called), len(called)),
        near=proportion(sum(row.distance_mm is not None and row.distance_mm <= NEAR_MM for row in called), len(called)),
        false_alarms=proportion(sum(row.suspected for row in negatives), len(negatives)),
        unsure=proportion(sum(row.indeterminate for row in negatives), len(negatives)),
        unjudged_positives=sum(row.found is None for row in positives),
        unjudged_negatives=sum(row.found is None for row in negatives),
        artery_dice=mean([row.scores["artery_dice"] for row in rows if "artery_dice" in row.scores]),
        center_line_dice=mean([row.scores["artery_cldice"] for row in rows if "artery_cldice" in row.scores]),
    )


def stratify(rows: Sequence[Row], stratum: Stratum) -> tuple[Group, ...]:
    """One group per value of a stratum, in the order in which they sort; rows without a value are left out."""
    return tuple(group(name, members) for name, members in groups_of(rows, stratum).items())


def groups_of(rows: Sequence[Row], stratum: Stratum) -> dict[str, list[Row]]:
    """Rows by the value of a stratum, in its order."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        name = stratum.value_of(row)
        if name is not None:
            members.setdefault(name, []).append(row)
    others = sorted(set(members) - set(stratum.order), key=_natural)
    return {name: members[name] for name in (*stratum.order, *others) if name in members}


def _natural(name: str) -> tuple[float, str]:
    """Numbers by size, words by alphabet."""
    head = name.split(" ", maxsplit=1)[0]
    return (float(head) if head.isdigit() else 0.0, name)


def site_words(row: Row) -> str | None:
    """The occlusion of a row, as sites are named in the tables; None for a negative row."""
    if not row.stops:
        return None
    first, *further = row.stops
    words = f"{first.site.value} {first.part}".strip()
    if any(stop.side != first.side for stop in further):
        return f"{first.site.value} on both sides"
    return f"{words} and {further[0].part} {further[0].site.value}".replace("  ", " ") if further else words


def site_confusion(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and lines of a table of true against called artery; rows that named none are counted by their call."""
    named = [site.value for site in Site]
    columns = ["not judged", "not called", *named]
    lines = []
    truths = [site.value for site in Site if any(row.stops and row.stops[0].site is site for row in rows)]
    for truth in [*truths, "none"]:
        members = [row for row in rows if (row.stops[0].site.value if row.stops else "none") == truth]
        counts = [_called_site(row) for row in members]
        if members:
            lines.append((truth, *(str(counts.count(column) or "") for column in columns)))
    return ("true artery", *columns), lines


def _called_site(row: Row) -> str:
    if row.found is None:
        return "not judged"
    return row.found.site.value if row.suspected and row.found.site is not None else "not called"


def _by_fact(name: str, unit: str = "") -> Stratum:
    """Rows by the text of a fact."""

    def value_of(row: Row) -> str | None:
        value = row.facts.get(name)
        return None if value is None else f"{value:g}{unit}" if isinstance(value, float) else value

    return Stratum(value_of)


def _by_bin(name: str, edges: tuple[float, ...], unit: str) -> Stratum:
    """Rows by a numeric fact in bins that begin at the edges; the first and the last are open."""
    middle = [f"{low:g} to {high:g} {unit}" for low, high in pairwise(edges)]
    order = (f"below {edges[0]:g} {unit}", *middle, f"{edges[-1]:g} {unit} and more")

    def value_of(row: Row) -> str | None:
        value = row.facts.get(name)
        return None if value is None else order[bisect_right(edges, float(value))]

    return Stratum(value_of, order)


_SITES = (
    "ICA intracranial", "ICA-T", "M1", "M1 proximal", "M1 distal", "M1 proximal and cervical ICA", "M1 on both sides", "M2",
    "M2 dominant", "M2 superior", "M2 inferior", "BA", "BA proximal", "BA distal", "ICA", "ICA cervical", "A1", "A2", "P1",
    "VA",
)  # fmt: skip
"""Down the stream; others come after them."""

STRATA: Mapping[str, Stratum] = {
    "site": Stratum(site_words, _SITES),
    "family": _by_fact("family"),
    "collateral grade": _by_fact("collateral_grade"),
    "noise": _by_bin("noise_hu", (8.0, 12.0, 16.0, 20.0), "HU"),
    "slice thickness": _by_bin("slice_mm", (0.75, 1.0, 1.3, 1.6, 3.0), "mm"),
    "tube voltage": _by_fact("kv", " kV"),
    "arterial contrast": _by_bin("arterial_hu", (200.0, 300.0, 400.0, 500.0), "HU"),
}
"""What results are sorted by; rows that do not have the fact are left out of the table."""
