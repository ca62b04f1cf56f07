"""Families of hard cases: what is drawn to fool a detector, by name.

A family changes a draft of a case, healthy or not: a network that met them only in healthy heads would learn the family.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from lvo.core.report import Side
from lvo.synth.acquire import Acquisition, Jolt, Metal, Triple
from lvo.synth.head import HeadSpec
from lvo.synth.mimics import Aneurysm, Craniotomy, Hypoplasia, Mimic, OldInfarct, Plaques, Stenosis

__all__ = ["Draft", "Family", "apply_family"]

Rng = np.random.Generator

_STENOSIS = (0.5, 0.9)
_POOR_HU = (110.0, 190.0)
_TILT_DEG = (12.0, 22.0)
_THICK_MM = (3.0, 5.0)
_STENOTIC = {"M1": 0.35, "ICA": 0.2, "BA": 0.15, "M2-superior": 0.08, "M2-inferior": 0.07, "A1": 0.05, "P1": 0.05, "VA": 0.05}
"""Where intracranial stenoses are looked for; a high-grade one in M1 is the classic false alarm (Ha et al.; Delora 2024)."""


class Family(StrEnum):
    """What makes a case hard; PLAIN is none of it."""

    PLAIN = "plain"
    STENOSIS = "stenosis"
    HYPOPLASIA = "hypoplasia"
    PLAQUE = "plaque"
    VENOUS = "venous"
    EARLY_BOLUS = "early-bolus"
    LATE_BOLUS = "late-bolus"
    LOW_OUTPUT = "low-output"
    TILT = "tilt"
    MOTION = "motion"
    THICK = "thick"
    METAL = "metal"
    CRANIOTOMY = "craniotomy"
    INFARCT = "infarct"
    ANEURYSM = "aneurysm"


@dataclass(frozen=True, slots=True)
class Draft:
    """A case on its way: the head that is asked for and how it is scanned."""

    head: HeadSpec
    scan: Acquisition

    def having(self, *mimics: Mimic) -> "Draft":
        """The same with more mimics."""
        return replace(self, head=replace(self.head, mimics=(*self.head.mimics, *mimics)))


def apply_family(rng: Rng, family: Family, draft: Draft) -> Draft:
    """Make a draft a case of a family."""
    return _FAMILIES[family](rng, draft)


def _side(rng: Rng) -> Side:
    return Side.LEFT if rng.random() < 0.5 else Side.RIGHT


def _stenosis(rng: Rng, draft: Draft) -> Draft:
    vessel = str(rng.choice(list(_STENOTIC), p=list(_STENOTIC.values())))
    side = Side.MIDLINE if vessel == "BA" else _side(rng)
    at = float(rng.uniform(0.88, 0.97) if vessel == "ICA" else rng.uniform(0.3, 0.75))
    if draft.head.occlusion is not None and draft.head.occlusion.side is side and rng.random() < 0.5:
        side = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(side, side)
    return draft.having(Stenosis(side, vessel, float(rng.uniform(*_STENOSIS)), float(rng.uniform(2.0, 8.0)), at))


def _hypoplasia(rng: Rng, draft: Draft) -> Draft:
    side, kind = _side(rng), rng.random()
    factor = float(rng.uniform(0.3, 0.6))
    if kind < 0.45:
        return draft.having(Hypoplasia(side, "A1", factor))
    if kind < 0.65:
        return draft.having(Hypoplasia(side, "VA", factor), Hypoplasia(Side.MIDLINE, "BA", float(rng.uniform(0.55, 0.8))))
    if kind < 0.85:
        return draft.having(Hypoplasia(side, "P1", factor), Hypoplasia(side, "Pcom", float(rng.uniform(0.5, 1.0))))
    slim = float(rng.uniform(0.6, 0.75))  # a carotid that feeds no A1 is slim, and so is its M1
    return draft.having(
        Hypoplasia(side, "ICA", slim),
        Hypoplasia(side, "ICA-T", slim),
        Hypoplasia(side, "A1", factor),
        Hypoplasia(side, "M1", slim),
    )


def _plaque(rng: Rng, draft: Draft) -> Draft:
    found: list[Mimic] = []
    for side in (Side.LEFT, Side.RIGHT) if rng.random() < 0.7 else (_side(rng),):
        found.append(Plaques(side, "ICA", int(rng.integers(4, 12)), (0.85, 1.0), float(rng.uniform(0.7, 1.5))))
        if rng.random() < 0.5:
            found.append(Plaques(side, "VA", int(rng.integers(2, 6)), (0.85, 1.0), float(rng.uniform(0.6, 1.1))))
        if rng.random() < 0.25:
            found.append(Plaques(side, "M1", int(rng.integers(1, 3)), (0.1, 0.8), float(rng.uniform(0.4, 0.8))))
    return draft.having(*found)


def _venous(rng: Rng, draft: Draft) -> Draft:
    return replace(draft, head=replace(draft.head, venous_fraction=float(rng.uniform(0.85, 1.1))))


def _early(rng: Rng, draft: Draft) -> Draft:
    loss = float(rng.uniform(0.4, 0.85))
    return replace(draft, head=replace(draft.head, venous_fraction=float(rng.uniform(0.0, 0.08)), distal_loss=loss))


def _late(rng: Rng, draft: Draft) -> Draft:
    hu = float(rng.uniform(140.0, 240.0))
    return replace(draft, head=replace(draft.head, arterial_hu=hu, venous_fraction=float(rng.uniform(1.0, 1.4))))


def _low_output(rng: Rng, draft: Draft) -> Draft:
    head = replace(
        draft.head,
        arterial_hu=float(rng.uniform(*_POOR_HU)),
        distal_loss=float(rng.uniform(0.2, 0.6)),
        venous_fraction=float(rng.uniform(0.05, 0.4)),
    )
    return replace(draft, head=head)


def _tilt(rng: Rng, draft: Draft) -> Draft:
    angles = rng.normal(0.0, 5.0, 3)
    axis = int(rng.integers(3))
    angles[axis] = rng.uniform(*_TILT_DEG) * rng.choice([-1.0, 1.0])
    return replace(draft, head=replace(draft.head, rotation_deg=_triple(angles)))


def _motion(rng: Rng, draft: Draft) -> Draft:
    jolts = [
        Jolt(float(at), _triple(rng.normal(0.0, 3.0, 3)), _triple(rng.normal(0.0, 2.0, 3)))
        for at in np.sort(rng.uniform(0.15, 0.85, int(rng.integers(1, 4))))
    ]
    return replace(draft, scan=replace(draft.scan, jolts=tuple(jolts)))


def _thick(rng: Rng, draft: Draft) -> Draft:
    thick = float(rng.choice(_THICK_MM, p=[0.6, 0.4]))
    spacing = (thick, *draft.scan.spacing_kji_mm[1:])
    quiet = replace(draft.scan.scanner, noise_sd_hu=0.6 * draft.scan.scanner.noise_sd_hu)
    return replace(draft, scan=replace(draft.scan, spacing_kji_mm=spacing, thickness_mm=0.0, scanner=quiet))


def _metal(rng: Rng, draft: Draft) -> Draft:
    sign = float(rng.choice([-1.0, 1.0]))
    places = {"clip": (sign * rng.uniform(4.0, 38.0), rng.uniform(-15.0, 5.0), rng.uniform(-20.0, -5.0)),
              "basilar coil": (rng.uniform(-2.0, 2.0), rng.uniform(8.0, 13.0), rng.uniform(-20.0, -12.0)),
              "screw": (sign * rng.uniform(58.0, 72.0), rng.uniform(-30.0, 20.0), rng.uniform(-10.0, 35.0)),
              "tooth": (sign * rng.uniform(5.0, 28.0), rng.uniform(-72.0, -40.0), rng.uniform(-62.0, -56.0))}  # fmt: skip
    kind = str(rng.choice(list(places), p=[0.4, 0.15, 0.25, 0.2]))
    size = float(rng.uniform(3.0, 5.0) if "coil" in kind else rng.uniform(1.2, 3.0))
    strength = float(rng.uniform(150.0, 600.0))
    return replace(draft, scan=replace(draft.scan, metal=(Metal(_triple(np.array(places[kind])), size, strength),)))


def _craniotomy(rng: Rng, draft: Draft) -> Draft:
    center = _triple(np.array((62.0, -8.0, 18.0)) + rng.normal(0.0, (3.0, 12.0, 10.0)))
    flap = Craniotomy(_side(rng), center, float(rng.uniform(20.0, 42.0)), removed=bool(rng.random() < 0.35))
    draft = draft.having(flap)
    if rng.random() < 0.5:
        sign = -1.0 if flap.side is Side.RIGHT else 1.0
        plate = Metal(
            (sign * center[0] * 1.12, center[1], center[2] - 0.7 * flap.radius_mm), 1.2, float(rng.uniform(60.0, 200.0))
        )
        draft = replace(draft, scan=replace(draft.scan, metal=(*draft.scan.metal, plate)))
    return draft


def _infarct(rng: Rng, draft: Draft) -> Draft:
    places = (
        (48.0, 2.0, 16.0),
        (50.0, 30.0, 12.0),
        (26.0, 0.0, 8.0),
        (14.0, 70.0, 6.0),
        (12.0, -35.0, 25.0),
        (30.0, 60.0, -38.0),
    )
    center = _triple(np.array(places[int(rng.integers(len(places)))]) + rng.normal(0.0, 4.0, 3))
    radii = _triple(rng.uniform(8.0, 26.0) * rng.uniform(0.7, 1.3, 3))
    return draft.having(OldInfarct(_side(rng), center, radii))


def _aneurysm(rng: Rng, draft: Draft) -> Draft:
    vessel, at = [("M1", 1.0), ("A1", 1.0), ("ICA-T", 0.2), ("BA", 1.0), ("ICA", 0.96), ("A2", 0.9)][int(rng.integers(6))]
    side = Side.MIDLINE if vessel == "BA" else _side(rng)
    return draft.having(Aneurysm(side, vessel, at, float(rng.uniform(3.0, 14.0))))


def _triple(values: np.ndarray) -> Triple:
    """Three plain floats, rounded so that records read well."""
    first, second, third = (round(float(value), 2) for value in values)
    return first, second, third


_FAMILIES: dict[Family, Callable[[Rng, Draft], Draft]] = {
    Family.PLAIN: lambda _, draft: draft,
    Family.STENOSIS: _stenosis, Family.HYPOPLASIA: _hypoplasia, Family.PLAQUE: _plaque, Family.VENOUS: _venous,
    Family.EARLY_BOLUS: _early, Family.LATE_BOLUS: _late, Family.LOW_OUTPUT: _low_output, Family.TILT: _tilt,
    Family.MOTION: _motion, Family.THICK: _thick, Family.METAL: _metal, Family.CRANIOTOMY: _craniotomy,
    Family.INFARCT: _infarct, Family.ANEURYSM: _aneurysm,
}  # fmt: skip
