"""Cases by number: what training draws, and the fixed set on which models are judged.

A seed belongs to one split, and a case follows from its seed alone. Training and validation heads come from the first topology,
the evaluation set from the second, which nothing is fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lvo.core.report import Side, Site
from lvo.synth.acquire import Acquisition
from lvo.synth.disease import Occlusion, Part
from lvo.synth.families import Draft, Family, apply_family
from lvo.synth.head import Head, HeadSpec, has_artery, make_head
from lvo.synth.scanner import Scanner
from lvo.synth.tree import Topology

__all__ = ["SEEDS", "Case", "CaseTruth", "Split", "Stop", "draw_case", "evaluation_set", "split_of", "truth_of"]

Rng = np.random.Generator
Split = Literal["training", "validation", "evaluation"]

SEEDS: dict[Split, range] = {
    "validation": range(5_000, 6_000), "evaluation": range(6_000, 7_000), "training": range(10_000, 10_000_000),
}  # fmt: skip
"""Whose a seed is; the call is fitted on validation seeds from 5100 on. Smaller ones are for tests and the demo."""

_Place = tuple[Site, Part]
_TRAINING_PLACES: dict[_Place, float] = {
    (Site.ICA, "cervical"): 0.05, (Site.ICA, "intracranial"): 0.06, (Site.ICA_T, ""): 0.15, (Site.M1, "proximal"): 0.15,
    (Site.M1, "distal"): 0.13, (Site.M2, "superior"): 0.07, (Site.M2, "inferior"): 0.07, (Site.M2, "dominant"): 0.07,
    (Site.A1, ""): 0.02, (Site.A2, ""): 0.04, (Site.P1, ""): 0.05, (Site.BA, "proximal"): 0.05, (Site.BA, "distal"): 0.06,
    (Site.VA, ""): 0.03,
}  # fmt: skip
"""Sites as in the MR CLEAN Registry (ICA 22, M1 61, M2 16 %) with the rare and the hard ones raised."""
_POSITIVE = 0.6
_TANDEM, _BILATERAL = 0.04, 0.03
_PLAIN = 0.35
"""Share of plain cases in training; the families share the rest."""
_GRADES = (0.15, 0.3, 0.35, 0.2)
_CLOT_MM = {Site.ICA: (10.0, 40.0), Site.ICA_T: (8.0, 30.0), Site.M2: (3.0, 14.0)}
_OTHER_CLOT_MM = (4.0, 25.0)
_CLOT_HU = (35.0, 95.0)
_UNSEEN_CLOT, _UNSEEN_CLOT_HU = 0.35, (5.0, 35.0)
"""Share of clots, but in the evaluation set, that are no denser than fluid or brain: what shows is that the lumen ends."""

_KV = {80: (0.34, 430.0, (8.0, 28.0), 1.3), 100: (0.47, 350.0, (6.0, 22.0), 1.13), 120: (0.19, 290.0, (4.0, 18.0), 1.0)}
"""Share (AJNR 2014, automatic choice), arterial HU (recalled: 250 to 350 at 120 kVp, 350 to 550 below), noise, bone."""
_HU_SPREAD = 0.22
_HU_LIMITS = (160.0, 750.0)
_POSE_SD_DEG, _POSE_MAX_DEG = 5.0, 11.0

_EVALUATION_PLACES: dict[_Place, int] = {
    (Site.ICA, "cervical"): 10, (Site.ICA, "intracranial"): 12, (Site.ICA_T, ""): 30, (Site.M1, "proximal"): 28,
    (Site.M1, "distal"): 24, (Site.M2, "superior"): 16, (Site.M2, "inferior"): 16, (Site.M2, "dominant"): 18, (Site.A1, ""): 6,
    (Site.A2, ""): 8, (Site.P1, ""): 10, (Site.BA, "proximal"): 12, (Site.BA, "distal"): 14, (Site.VA, ""): 6,
}  # fmt: skip
_EVALUATION_TANDEM, _EVALUATION_BILATERAL = 8, 6
_EVALUATION_PER_FAMILY = 14
_EVALUATION_PLAIN = 60
_EVALUATION_PLAIN_POSITIVE = 0.5
"""Share of the occlusions that are scanned without a family."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what to draw and how to scan it.

    Args:
        seed: its number.
        split: whose it is.
        family: what makes it hard.
        kv: tube voltage that its attenuations go with.
        head: the head.
        scan: the scan.
    """

    seed: int
    split: Split
    family: Family
    kv: int
    head: HeadSpec
    scan: Acquisition

    @property
    def positive(self) -> bool:
        """Whether an artery is occluded."""
        return self.head.occlusion is not None


@dataclass(frozen=True, slots=True)
class Stop:
    """One occlusion as it was drawn."""

    side: Side
    site: Site
    part: Part
    cutoff_lps_mm: tuple[float, float, float]
    clot_length_mm: float
    tapered: bool


@dataclass(frozen=True, slots=True)
class CaseTruth:
    """What a reader should find in a case, and what to sort results by; the first stop is the main one.

    Args:
        seed, split, family, kv: of the case.
        topology: generator of the arteries.
        stops: occlusions, none in a negative case.
        collateral_grade: 0 to 3.
        arterial_hu, noise_hu, slice_mm: of the scan.
    """

    seed: int
    split: Split
    family: Family
    kv: int
    topology: Topology
    stops: tuple[Stop, ...]
    collateral_grade: int
    arterial_hu: float
    noise_hu: float
    slice_mm: float


def draw_case(seed: int, split: Split = "training", *, topologies: Sequence[Topology] | None = None) -> Case:
    """Draw a case; the same seed gives the same case.

    Args:
        seed: its number, one of the split's.
        split: "evaluation" gives the case of that number in the fixed set.
        topologies: generators to draw from; by default the first, the second for evaluation.

    Raises:
        ValueError: the seed belongs to another split, or to no case of the evaluation set.
    """
    if seed not in SEEDS[split]:
        msg = f"seed {seed} is not one of {split}, which has {SEEDS[split].start} to {SEEDS[split].stop - 1}"
        raise ValueError(msg)
    rng = np.random.default_rng((seed, 5353))
    if split == "evaluation":
        plan = _evaluation_plan()
        if seed - SEEDS[split].start >= len(plan):
            msg = f"the evaluation set has {len(plan)} cases, from {SEEDS[split].start} on; got {seed}"
            raise ValueError(msg)
        places, family, grade = plan[seed - SEEDS[split].start]
        topology: Topology = "grown" if topologies is None else topologies[0]
    else:
        places, family, grade = _draw_plan(rng)
        choice = ("spline",) if topologies is None else tuple(topologies)
        topology = choice[int(rng.integers(len(choice)))]
    kv, scan, hu = _draw_scan(rng, seed)
    angles = np.clip(rng.normal(0.0, _POSE_SD_DEG, 3), -_POSE_MAX_DEG, _POSE_MAX_DEG).round(2)
    grade = int(rng.choice(4, p=_GRADES)) if grade is None else grade
    rotation = (float(angles[0]), float(angles[1]), float(angles[2]))
    head = HeadSpec(seed, collateral_grade=grade, rotation_deg=rotation, arterial_hu=round(hu, 1), topology=topology)
    head = _occluded(rng, head, places)
    if head.occlusion is not None and split != "evaluation" and rng.random() < _UNSEEN_CLOT:
        unseen_hu = round(float(rng.uniform(*_UNSEEN_CLOT_HU)), 1)
        head = replace(head, occlusion=replace(head.occlusion, clot_hu=unseen_hu))
    draft = apply_family(rng, family, Draft(head, scan))
    return Case(seed, split, family, kv, draft.head, draft.scan)


def split_of(seed: int) -> Split:
    """Whose a seed is.

    Raises:
        ValueError: nobody's: it is for tests and the demo.
    """
    for split, seeds in SEEDS.items():
        if seed in seeds:
            return split
    msg = f"seed {seed} belongs to no split; training has {SEEDS['training'].start} and more"
    raise ValueError(msg)


def evaluation_set() -> range:
    """Seeds of the fixed evaluation set, occlusions first, then healthy heads family by family."""
    start = SEEDS["evaluation"].start
    return range(start, start + len(_evaluation_plan()))


def truth_of(case: Case, head: Head | None = None) -> CaseTruth:
    """The truth of a case; `head` saves drawing it again."""
    head = make_head(case.head) if head is None else head
    occlusions = () if case.head.occlusion is None else (case.head.occlusion, *case.head.further)
    found = [head.truth, *head.truth.further]
    stops = tuple(
        Stop(one.side, one.site, one.part, truth.cutoff_lps_mm, one.clot_length_mm, one.taper_mm > 0.0)
        for one, truth in zip(occlusions, found, strict=False)
        if truth.cutoff_lps_mm is not None
    )
    slice_mm = max(case.scan.spacing_kji_mm[0], case.scan.thickness_mm)
    return CaseTruth(
        case.seed, case.split, case.family, case.kv, case.head.topology, stops, case.head.collateral_grade,
        head.arterial_hu, round(case.scan.scanner.noise_sd_hu, 1), slice_mm,
    )  # fmt: skip


_Plan = tuple[tuple[_Place, ...], Family, int | None]
_TANDEM_PLACES: tuple[_Place, ...] = ((Site.M1, "proximal"), (Site.ICA, "cervical"))
_BILATERAL_PLACES: tuple[_Place, ...] = ((Site.M1, "proximal"), (Site.M1, "proximal"))
"""Two places: the second carotid lies on the same side, any other second place on the other."""


def _draw_plan(rng: Rng) -> _Plan:
    """What a training case shows."""
    families = [family for family in Family if family is not Family.PLAIN]
    family = Family.PLAIN if rng.random() < _PLAIN else families[int(rng.integers(len(families)))]
    if rng.random() >= _POSITIVE:
        return (), family, None
    kind = rng.random()
    if kind < _TANDEM:
        return _TANDEM_PLACES, family, None
    if kind < _TANDEM + _BILATERAL:
        return _BILATERAL_PLACES, family, None
    places = list(_TRAINING_PLACES)
    return (places[int(rng.choice(len(places), p=list(_TRAINING_PLACES.values())))],), family, None


def _evaluation_plan() -> list[_Plan]:
    """What the cases of the fixed set show, in the order of their seeds: fixed here, not to be moved."""
    families = [family for family in Family if family is not Family.PLAIN]
    groups: list[tuple[tuple[_Place, ...], int]] = [((place,), number) for place, number in _EVALUATION_PLACES.items()]
    groups += [(_TANDEM_PLACES, _EVALUATION_TANDEM), (_BILATERAL_PLACES, _EVALUATION_BILATERAL)]
    plan: list[_Plan] = []
    for places, number in groups:
        for n in range(number):
            hard = n % 2 == 1
            family = families[(len(plan) // 2) % len(families)] if hard else Family.PLAIN
            plan.append((places, family, (n // 2 + n) % 4))
    plan += [((), Family.PLAIN, 2)] * _EVALUATION_PLAIN
    for family in families:
        plan += [((), family, 2)] * _EVALUATION_PER_FAMILY
    return plan


def _draw_scan(rng: Rng, seed: int) -> tuple[int, Acquisition, float]:
    """Tube voltage, scan, and arterial attenuation."""
    kv = int(rng.choice(list(_KV), p=[row[0] for row in _KV.values()]))
    _, middle, noise, bone = _KV[kv]
    hu = float(np.clip(middle * np.exp(_HU_SPREAD * rng.standard_normal()), *_HU_LIMITS))
    pixel = round(float(rng.uniform(0.5, 0.72)), 3)
    scanner = Scanner(
        noise_sd_hu=float(rng.uniform(*noise)),
        psf_fwhm_mm=float(rng.uniform(0.6, 1.4)),
        edge_enhancement=float(rng.uniform(0.4, 1.2) if rng.random() < 0.2 else rng.uniform(0.0, 0.4)),
        noise_grain_mm=float(rng.uniform(0.25, 0.8)),
        cupping_hu=float(rng.uniform(0.0, 14.0)),
        headrest=bool(rng.random() < 0.8),
        bone=bone * float(rng.uniform(0.85, 1.15)),
        seed=seed,
    )
    scan = Acquisition(
        spacing_kji_mm=(float(rng.choice([0.6, 0.625, 0.7, 0.8, 0.9, 1.0, 1.25])), pixel, pixel),
        thickness_mm=float(rng.choice([1.0, 1.25, 1.5, 2.0])) if rng.random() < 0.25 else 0.0,
        scanner=scanner,
        bands_hu=float(rng.uniform(0.0, 60.0)),
        fov_mm=float(rng.uniform(190.0, 240.0)) if rng.random() < 0.2 else None,
        padding_hu=int(rng.choice([-1024, -2000, -3024])),
    )
    return kv, scan, hu


def _occluded(rng: Rng, head: HeadSpec, places: tuple[_Place, ...]) -> HeadSpec:
    """The head with occlusions at the places: on the other side where it lacks the artery, on another head where both do."""
    if not places:
        return head
    site, part = places[0]
    sides = [Side.MIDLINE] if site is Site.BA else [(Side.LEFT, Side.RIGHT)[n] for n in rng.permutation(2)]
    if site in {Site.A1, Site.P1, Site.M2}:
        name = f"M2-{part}" if part in {"superior", "inferior"} else {Site.M2: "M2-superior"}.get(site, site.value)
        while not (open_sides := [side for side in sides if has_artery(head, name, side)]):
            head = replace(head, seed=head.seed + _NEXT_HEAD)
        sides = open_sides
    first = _occlusion(rng, sides[0], site, part)
    further = []
    for other_site, other_part in places[1:]:
        side = first.side if other_site is Site.ICA else Side.RIGHT if first.side is Side.LEFT else Side.LEFT
        further.append(_occlusion(rng, side, other_site, other_part))
    return replace(head, occlusion=first, further=tuple(further))


_NEXT_HEAD = 50_000_000
"""Where the seed of the head goes when both sides lack the artery: beyond all cases."""


def _occlusion(rng: Rng, side: Side, site: Site, part: Part) -> Occlusion:
    """One clot."""
    return Occlusion(
        side,
        site,
        round(float(rng.uniform(*_CLOT_MM.get(site, _OTHER_CLOT_MM))), 1),
        part=part,
        clot_hu=round(float(rng.uniform(*_CLOT_HU)), 1),
        taper_mm=round(float(rng.uniform(2.0, 9.0)), 1) if rng.random() < 0.3 else 0.0,
        delay=round(float(rng.uniform(0.0, 0.9)), 2) if rng.random() < 0.6 else 0.0,
    )
