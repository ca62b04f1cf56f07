"""Choose the series to analyse, and give every series a role and a reason. Deterministic; never raises for an absent CTA.

Geometry, Image Type, SOP class and recorded contrast decide; descriptions are hints, since every hospital writes its own.
Pixels are looked at only where headers do not tell an angiogram from a plain CT.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lvo.config import SelectionSettings
from lvo.core.report import SeriesRow
from lvo.core.study import Role, SeriesRef, Study
from lvo.dicom.contrast import ANGIOGRAM_SHARE, vessel_slices
from lvo.dicom.facts import MIN_COVERAGE_MM, MIN_SLICES, Facts, gather, representative, same_geometry
from lvo.dicom.score import THIN_MM, Judged, Rank, ranked, ruled, scored
from lvo.errors import InputError

__all__ = ["Selection", "choose"]

MIN_CTP_TIMES = 8
"""Fewer images per position are a multiphase angiogram or a repeated scan; perfusion scans have 20 to 60."""

MAX_CTP_S = 300.0
"""Series of one geometry that start within this time are the time points of one perfusion scan."""

_NAMES = {
    Role.CTA: "CT angiogram",
    Role.CTP: "CT perfusion",
    Role.NCCT: "plain CT",
    Role.LOCALIZER: "localizer",
    Role.DERIVED: "derived",
    Role.OTHER: "other",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which series are analysed.

    Args:
        cta: the CT angiogram, None when there is none.
        ctp: the CT perfusion: one series, or one per time point; empty when there is none.
        ncct: the plain CT, None when there is none.
        rows: every series of the study, with role, use and reason.
        missing_cta: why there is no CT angiogram, empty when there is one.
        missing_ctp: why there is no CT perfusion, empty when there is one.
        ranks: for each row its place among those of its role, None in roles that nothing is chosen from.
    """

    cta: SeriesRef | None
    ctp: tuple[SeriesRef, ...]
    ncct: SeriesRef | None
    rows: tuple[SeriesRow, ...]
    missing_cta: str
    missing_ctp: str
    ranks: tuple[Rank | None, ...]


def choose(study: Study, settings: SelectionSettings = SelectionSettings()) -> Selection:  # noqa: B008 - frozen
    """Choose the CT angiogram, the CT perfusion and the plain CT of a study.

    Args:
        study: the files as indexed.
        settings: rules of the hospital, which override what is found.

    Raises:
        InputError: a file that was readable when the study was indexed no longer is.
    """
    facts = [gather(series) for series in study.series]
    judged = _time_points([_judge(item) for item in facts])
    judged = ranked([scored(ruled(item, settings.rules)) for item in judged])
    chosen = {role: tuple(item.facts.series for item in judged if item.role is role and item.used) for role in Role}
    return Selection(
        cta=next(iter(chosen[Role.CTA]), None),
        ctp=chosen[Role.CTP],
        ncct=next(iter(chosen[Role.NCCT]), None),
        rows=tuple(_row(item) for item in judged),
        missing_cta="" if chosen[Role.CTA] else _missing("CT angiogram", judged),
        missing_ctp="" if chosen[Role.CTP] else _missing("CT perfusion", judged),
        ranks=tuple(item.rank for item in judged),
    )


def _judge(facts: Facts) -> Judged:
    """Role of a series on its own."""
    for rule in (_not_a_scan, _not_original, _broken, _not_a_head_volume, _over_time):
        verdict = rule(facts)
        if verdict:
            return Judged(facts, *verdict, n_times=facts.n_times)
    return Judged(facts, *_angiogram_or_plain(facts))


def _not_a_scan(facts: Facts) -> tuple[Role, str] | None:
    """Screens, reports, other modalities, localizers."""
    if facts.is_screen:
        return Role.DERIVED, "screen captures or pages, not a scan"
    if not facts.is_scan:
        return Role.OTHER, f"{facts.series.modality or 'objects of unknown modality'}, not CT images"
    if facts.is_localizer:
        return Role.LOCALIZER, "Image Type says LOCALIZER"
    return None


def _not_original(facts: Facts) -> tuple[Role, str] | None:
    """Reformats, maps, images without a place."""
    return (Role.DERIVED, facts.derived_why) if facts.derived_why else None


def _broken(facts: Facts) -> tuple[Role, str] | None:
    """Images that form no volume: what headers call an angiogram or a perfusion scan stays one, so that it is refused aloud.

    Left out, it would look as if the patient had not been scanned.
    """
    elsewhere = facts.other_body_part or (facts.unit is not None and facts.unit.plane != "axial")
    n_images = sum(len(header.frames) for header in facts.headers)
    if facts.broken and not elsewhere and n_images >= MIN_SLICES:
        if facts.n_times >= MIN_CTP_TIMES and facts.n_positions > 1:
            return Role.CTP, f"{facts.n_positions} positions scanned {facts.n_times} times"
        if facts.says_perfusion:
            return Role.CTP, "its description says perfusion"
        if facts.says_angiogram:
            return _angiogram_or_plain(facts)
    if facts.unit is None or facts.stack is None:
        return Role.OTHER, facts.problem
    return None


def _not_a_head_volume(facts: Facts) -> tuple[Role, str] | None:
    """Too few positions, other planes, other body parts."""
    plane = facts.unit.plane if facts.unit else ""
    if plane != "axial":
        return (Role.LOCALIZER if facts.n_positions < 3 else Role.DERIVED), f"{plane} images, axial ones are needed"
    if facts.other_body_part:
        return Role.OTHER, f"shows the {facts.other_body_part}, not the head"
    if facts.n_positions < MIN_SLICES and facts.n_times < MIN_CTP_TIMES:
        why = f"{facts.n_positions} slice position{'s' * (facts.n_positions > 1)}, at least {MIN_SLICES} are needed"
        return _fragment_or_other(facts, why)
    if facts.n_positions == 1:
        return Role.OTHER, f"1 position, {facts.n_times} times: monitoring of the contrast bolus"
    return None


def _over_time(facts: Facts) -> tuple[Role, str] | None:
    """Several images per position."""
    if facts.n_times >= MIN_CTP_TIMES:
        return Role.CTP, f"{facts.n_positions} positions scanned {facts.n_times} times"
    if facts.coverage_mm < MIN_COVERAGE_MM:
        return _fragment_or_other(facts, f"covers {facts.coverage_mm:.0f} mm, at least {MIN_COVERAGE_MM:.0f} mm are needed")
    if facts.n_times > 1:
        why = f"{facts.n_times} images per position: perfusion needs {MIN_CTP_TIMES} or more, an angiogram 1"
        phases = facts.says_angiogram and not facts.says_perfusion
        return (Role.CTA if phases else Role.OTHER), why  # as an angiogram it is refused aloud
    return None


def _fragment_or_other(facts: Facts, why: str) -> tuple[Role, str]:
    """What is left of an angiogram stays one, so that it is refused aloud; anything else that short is of no use."""
    return (Role.CTA, f"part of an angiogram by its headers: {why}") if facts.is_fragment else (Role.OTHER, why)


def _angiogram_or_plain(facts: Facts) -> tuple[Role, str]:
    """Tell the two by recorded contrast and description; by pixels where they are silent or disagree."""
    match (facts.contrast, facts.hint):
        case (True, "" | "angiogram"):
            return Role.CTA, "contrast agent recorded"
        case (False, "angiogram"):
            return Role.CTA, "its description says angiogram"
        case (False, "plain"):
            return Role.NCCT, "no contrast agent recorded, its description says plain"
        case _:
            said = "contrast agent recorded but described as plain" if facts.contrast else "no contrast agent recorded"
    try:
        share = vessel_slices(representative(facts))
    except InputError:  # a thin one may be the angiogram: as that it is refused aloud, as a plain CT nobody would notice
        maybe = facts.contrast or facts.slice_mm <= THIN_MM
        return (Role.CTA if maybe else Role.NCCT), f"{said}, and its pixels cannot be decoded"
    if share >= ANGIOGRAM_SHARE:
        return Role.CTA, f"{said}, but vessels are bright in {share:.0%} of the slices looked at"
    return Role.NCCT, f"{said}, vessels are bright in {share:.0%} of the slices looked at"


def _time_points(judged: Sequence[Judged]) -> list[Judged]:
    """Find perfusion scans stored as one series per time point: many series of one geometry, one after the other."""
    result = list(judged)
    free = [n for n, item in enumerate(judged) if item.facts.n_times == 1 and _may_be_time_point(item)]
    group = 0
    while free:
        lead = judged[free[0]].facts
        same = [n for n in free if same_geometry(lead, judged[n].facts)]
        free = [n for n in free if n not in same]
        if len(same) < MIN_CTP_TIMES or not _one_after_the_other([judged[n].facts for n in same]):
            continue
        group += 1
        why = f"one of {len(same)} time points with the same geometry"
        for n in same:
            result[n] = replace(judged[n], role=Role.CTP, why=why, group=group, n_times=len(same))
    return result


def _one_after_the_other(facts: Sequence[Facts]) -> bool:
    """Whether series of one geometry can be the time points of one scan.

    Series that start together are reconstructions (of several energies, say). Without any time they stay a perfusion scan, so
    that it is refused aloud, if they are described as one or too thick for an angiogram.
    """
    starts = [one.start_s for one in facts]
    if min(starts) == float("inf"):
        return any(one.says_perfusion for one in facts) or facts[0].slice_mm > THIN_MM
    return len(set(starts)) == len(starts) and max(starts) - min(starts) <= MAX_CTP_S


def _may_be_time_point(item: Judged) -> bool:
    """An original axial stack."""
    facts = item.facts
    original = facts.is_scan and not facts.is_screen and not facts.is_localizer and not facts.derived_why and not facts.broken
    return original and facts.unit is not None and facts.unit.plane == "axial" and facts.n_positions > 1


def _row(item: Judged) -> SeriesRow:
    """The row of the table."""
    series = item.facts.series
    return SeriesRow(
        series_instance_uid=series.series_instance_uid,
        role=item.role,
        used=item.used,
        reason=item.why,
        n_instances=len(series.instances),
        description=series.description,
        geometry=item.facts.geometry,
    )


def _missing(what: str, judged: Sequence[Judged]) -> str:
    """Why a part is absent: what the study has instead."""
    counts = Counter(item.role for item in judged)
    found = ", ".join(f"{counts[role]} {name}" for role, name in _NAMES.items() if counts[role])
    return f"no {what} in the study: {found or 'no series'}"
