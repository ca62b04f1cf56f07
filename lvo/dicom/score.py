"""How well each series would serve in its role: points per property, a rank, and words for both. Deterministic.

The same series always get the same points, whatever their order; ties go to the earlier scan, then to the lower series number.
Rules of the configuration change roles and add points (`lvo.config.SelectionSettings`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lvo.config import SeriesRule
from lvo.core.study import Role
from lvo.dicom.facts import Facts, continues, representative, same_geometry
from lvo.dicom.geometry import named_slices
from lvo.dicom.order import miscounted

__all__ = ["THIN_MM", "Judged", "Rank", "ranked", "ruled", "scored"]

THIN_MM = 1.5
"""Slices up to this thickness show M1 and M2; they count for more, but a softer kernel or contrast can outweigh them."""

_BETTER = {
    "slices": "thinner slices", "contrast": "contrast that is recorded or described", "kernel": "a softer kernel",
    "coverage": "more coverage", "phase": "an earlier phase", "original": "being scanned and not computed",
    "times": "more time points", "rules": "rules of the configuration",
}  # fmt: skip
"""What a series has more of when it gets more points for a property."""

_FROM_PERFUSION = re.compile(r"\b(FROM (CTP|PERF\w*|DYN\w*)|TMIP|T MIP|4D ?CTA|CTA ?4D)\b")


@dataclass(frozen=True, slots=True)
class Rank:
    """Place of a series among those of its role.

    Args:
        place: 1 is used.
        of: number of candidates; the time points of one perfusion scan are one.
        points: by property.
        sound: whether it can be loaded; one that cannot is chosen where there is nothing better, so that it is refused aloud.
    """

    place: int
    of: int
    points: Mapping[str, float]
    sound: bool

    @property
    def total(self) -> float:
        """All points together."""
        return sum(self.points.values())


@dataclass(frozen=True, slots=True)
class Judged:
    """A series with its role, why, and how well it would serve in that role: a sound one before any that cannot be loaded.

    Args:
        facts: what its headers say.
        role: its role.
        why: in words.
        points: by property; they add up.
        sound: whether it can be loaded.
        group: number of the perfusion scan it is a time point of, 0 where it is none.
        n_times: images per position, over the whole group.
        rank: place in its role, None in roles that nothing is chosen from.
    """

    facts: Facts
    role: Role
    why: str
    points: Mapping[str, float] = field(default_factory=dict)
    sound: bool = True
    group: int = 0
    n_times: int = 1
    rank: Rank | None = None

    @property
    def used(self) -> bool:
        """Whether it is chosen."""
        return self.rank is not None and self.rank.place == 1


def ruled(item: Judged, rules: Sequence[SeriesRule]) -> Judged:
    """Apply the rules of the configuration: the first that names a role decides it, points of all add up."""
    holding = [(number, rule) for number, rule in enumerate(rules, start=1) if _matches(rule, item.facts)]
    if not holding:
        return item
    words = [f"rule {n} of the configuration gives {rule.points:+g} points" for n, rule in holding if rule.points]
    named = next(((n, rule.role) for n, rule in holding if rule.role is not None), None)
    if named is not None:
        number, role = named
        words.insert(0, f"rule {number} of the configuration says {role}")
        named_role = Role.OTHER if role == "ignore" else Role(role)
        item = replace(item, role=named_role, group=item.group if named_role is item.role else 0)
    points = {"rules": sum(rule.points for _, rule in holding)}
    return replace(item, why=", ".join([*words, item.why]), points=points)


def _matches(rule: SeriesRule, facts: Facts) -> bool:
    """Whether every condition of a rule holds."""
    main = facts.main
    texts = (
        (rule.description, main.description), (rule.protocol, main.protocol), (rule.kernel, main.kernel),
        (rule.image_type, "\\".join(main.image_type)),
    )  # fmt: skip
    return (
        all(re.search(pattern, text, re.IGNORECASE) is not None for pattern, text in texts if pattern)
        and (rule.number is None or rule.number == facts.series.number)
        and (rule.min_slice_mm is None or facts.slice_mm >= rule.min_slice_mm)
        and (rule.max_slice_mm is None or facts.slice_mm <= rule.max_slice_mm)
    )


def scored(item: Judged) -> Judged:
    """Points of a series in its role, whether it can be loaded, and the words for both."""
    facts = item.facts
    complete = facts.spacing is not None and not facts.problem
    even = facts.spacing is not None and facts.spacing.even and complete
    sound = (complete if item.role is Role.NCCT else even) and not (
        item.role is Role.CTA and (facts.n_times > 1 or facts.is_fragment)
    )
    if item.role not in _POINTS:
        return item
    words = [item.why]
    if facts.n_positions > 1:
        words += [f"{facts.slice_mm:.2g} mm slices", f"{facts.coverage_mm:.0f} mm covered"]
    words += ["sharp kernel"] * facts.sharp
    if item.role is Role.CTA:
        words += ["late phase by its description"] * facts.late
        words += ["made from the perfusion scan by its description"] * _from_perfusion(facts)
        words += [f"thicker than the {THIN_MM} mm preferred"] * (THIN_MM < facts.slice_mm < float("inf"))
    if facts.problem:
        words.append(f"but {facts.problem}")
    elif not sound and complete and facts.spacing is not None and not facts.spacing.even:
        words.append(f"but slices are {facts.spacing.text} apart")
    odd = miscounted(representative(facts)) if facts.spacing is not None and facts.n_times == 1 else ()
    if odd:
        words.append(f"but the scanner counted {named_slices(np.array(odd))} elsewhere: positions may be exchanged")
    points = {**_POINTS[item.role](item), **item.points}
    return replace(item, points=points, sound=sound, why=", ".join(words))


def _cta_points(item: Judged) -> dict[str, float]:
    """Of an angiogram: thin slices first, then what shows that it is one."""
    facts = item.facts
    slices = 4.0 if facts.slice_mm <= 0.8 else 3.0 if facts.slice_mm <= THIN_MM else 1.0 if facts.slice_mm <= 3.0 else 0.0
    return {
        "slices": slices,
        "contrast": 2.0 * facts.contrast + 2.0 * (facts.hint == "angiogram"),
        "kernel": 0.0 if facts.sharp else 1.5,
        "coverage": min(facts.coverage_mm, 160.0) / 80.0,
        "phase": -3.0 * facts.late,
        "original": -3.0 * _from_perfusion(facts),
    }


def _ctp_points(item: Judged) -> dict[str, float]:
    """Of a perfusion scan: length and number of time points."""
    return {
        "coverage": min(item.facts.coverage_mm, 160.0) / 20.0,
        "times": min(item.n_times, 60) / 20.0,
        "kernel": 0.0 if item.facts.sharp else 1.5,
    }


def _ncct_points(item: Judged) -> dict[str, float]:
    """Of a plain CT: length, a soft kernel, slices that are not too thick."""
    return {
        "coverage": min(item.facts.coverage_mm, 120.0) / 40.0,
        "kernel": 0.0 if item.facts.sharp else 1.5,
        "slices": float(item.facts.slice_mm <= 5.0),
    }


_POINTS = {Role.CTA: _cta_points, Role.CTP: _ctp_points, Role.NCCT: _ncct_points}


def _from_perfusion(facts: Facts) -> bool:
    """Whether the description says that an angiogram was computed from a perfusion scan."""
    return _FROM_PERFUSION.search(facts.described) is not None


def ranked(judged: Sequence[Judged]) -> list[Judged]:
    """Give every series of a role its place; the first is chosen, with all series of its group."""
    places: dict[int, tuple[int, int]] = {}
    best_of: dict[Role, Judged] = {}
    for role in _POINTS:
        order: list[tuple[Role, int]] = []
        candidates = sorted((item for item in judged if item.role is role), key=_order)
        for item in candidates:
            key = (role, item.group or -id(item))
            if key not in order:
                order.append(key)
            best_of.setdefault(role, item)
            places[id(item)] = (order.index(key) + 1, 0)
        for item in candidates:
            places[id(item)] = (places[id(item)][0], len(order))
    return [
        _placed(item, best_of[item.role], *places[id(item)], others=judged) if id(item) in places else item for item in judged
    ]


def _placed(item: Judged, best: Judged, place: int, of: int, *, others: Sequence[Judged]) -> Judged:
    """A series with its place, and why it is not the first."""
    item = replace(item, rank=Rank(place, of, item.points, item.sound))
    why = f"chosen: {item.why}" if place == 1 else _second(item, best)
    rest = [other for other in others if other.facts is not item.facts and other.facts.series.number is not None]
    parts = [_name(other) for other in rest if item.role is Role.CTA and continues(item.facts, other.facts)]
    if parts:
        why += f"; {' and '.join(parts)} continues it: if one scan was split, send it as one series"
    return replace(item, why=why)


def _second(item: Judged, best: Judged) -> str:
    """Why another is used."""
    return f"{item.why}; {_name(best)} is preferred for {_difference(item, best)}"


def _difference(item: Judged, best: Judged) -> str:
    """What the best has more of."""
    if best.sound and not item.sound:
        return "being complete"
    gains = {name: best.points.get(name, 0.0) - item.points.get(name, 0.0) for name in _BETTER}
    largest = max(gains, key=lambda name: gains[name])
    if round(gains[largest], 3) > 0:
        return _BETTER[largest]
    same = same_geometry(item.facts, best.facts)
    if best.facts.start_s < item.facts.start_s:
        return "being the earlier one"
    return "its number, both show the same positions" if same else "its number, nothing else tells them apart"


def _order(item: Judged) -> tuple[bool, float, float, float, str]:
    """Best first: one that can be loaded, then points, then the earlier scan (the arterial phase), then the lower number."""
    series = item.facts.series
    number = float("inf") if series.number is None else float(series.number)
    score = sum(item.points.values())
    return (not item.sound, -round(score, 3), item.facts.start_s, number, series.series_instance_uid)


def _name(item: Judged) -> str:
    """A series in a sentence."""
    number = item.facts.series.number
    return "another series" if number is None else f"series {number}"
