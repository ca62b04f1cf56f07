"""Assemble what the CT angiogram shows from the vessel map: the call, its side and site, the point, and the reasons."""

from collections.abc import Mapping

from lvo.config import CtaSettings
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CollateralFilling, CtaResult, Finding, QualityNote, Severity, Side
from lvo.core.volume import Volume
from lvo.cta.bolus import Bolus, measure_bolus, unfit_bolus
from lvo.cta.call import CallHead, Suspicion, judge, suspect
from lvo.cta.evidence import BASILAR, MAY_BE_OUTSIDE, coverage, reasons, segment_rows, shares, territories
from lvo.cta.measure import ArteryMeasures, measure
from lvo.cta.path import Interruption
from lvo.cta.place import Place, basilar_place, hemisphere_place

__all__ = ["decode"]

LOW_ARTERIAL_HU = 200.0
"""Below, a vessel of 1 mm fades into brain: routine arteries are 250 to 350 HU at 120 kV (docs/concepts/safety.md)."""

_TAN_GOOD, _TAN_MODERATE, _TAN_ABSENT = 0.9, 0.5, 0.05
"""Tan et al., Ann Neurol 2007, doi:10.1002/ana.21190: 3 = 100 %, 2 = over 50 %, 1 = up to 50 %, 0 = none; measured
volumes of equal sides differ by 10 %, and noise leaves up to 5 %."""


def decode(
    hu: Volume, vessels: Mapping[str, Volume], pose: HeadPose, *, scanned: Grid, head: CallHead, settings: CtaSettings
) -> Assessed[CtaResult] | NotAssessable:
    """Judge a vessel map.

    Args:
        hu: CTA on the grid of the map.
        vessels: probability per vessel class and of "artery", as `lvo.infer.predict` gives them.
        pose: how the head lies.
        scanned: grid of the scan itself.
        head: the fitted call.
        settings: thresholds.

    Returns:
        The result, or why it cannot be judged: no arteries found, or too little contrast in them.
    """
    measures = measure(hu, vessels, pose, scanned)
    if isinstance(measures, NotAssessable):
        return measures
    bolus = measure_bolus(hu.array, vessels["artery"].array, vessels["vein"].array)
    unfit = unfit_bolus(bolus, settings.min_arterial_hu)
    if bolus is None or unfit:
        return NotAssessable((unfit,))
    left, right = measures.features(Side.LEFT), measures.features(Side.RIGHT)
    suspicion = suspect(head, left, right, measures.basilar_features())
    finding, place = _finding(measures, suspicion, pose, settings)
    covered, not_covered = coverage(measures)
    return Assessed(
        CtaResult(
            finding=finding,
            vessels=territories(measures),
            collateral=_collateral(measures, finding.side) if finding.call is Call.SUSPECTED else None,
            arterial_hu=round(bolus.arterial_hu, 1),
            phase=bolus.phase,
            notes=_notes(bolus, not_covered),
            segments=segment_rows(measures),
            covered=covered,
            not_covered=not_covered,
            pose=pose,
            course_lps_mm=() if place is None else _course(place.course),
            mirror_course_lps_mm=() if place is None or place.other_course is None else _course(place.other_course),
        )
    )


def _finding(
    measures: ArteryMeasures, suspicion: Suspicion, pose: HeadPose, settings: CtaSettings
) -> tuple[Finding, Place | None]:
    """The finding, and where it is; nowhere when nothing is suspected."""
    threshold = settings.suspected_probability
    call, side = judge(suspicion, suspected=threshold, indeterminate=settings.indeterminate_probability)
    judged, not_judged = coverage(measures)
    unseen = tuple(f"the {name} is not covered by the scan and was not judged" for name in MAY_BE_OUTSIDE if name in not_judged)
    if side is None:
        text = f"no interruption of {', '.join(judged[:-1])} or {judged[-1]} on the vessel map"
        return Finding(call, suspicion.highest, threshold, None, None, None, (text, *unseen)), None
    place, evidence = _place(measures, suspicion, threshold)
    others = tuple(
        f"also suspected: {BASILAR if other is Side.MIDLINE else f'{other.value} hemisphere'}, probability {value:.2f}"
        for other, value in suspicion.places().items()
        if other is not suspicion.worst and value >= threshold
    )
    x, y, z = (round(float(value), 1) for value in pose.to_lps_mm(place.stop_atlas_mm))
    return Finding(call, suspicion.highest, threshold, side, place.site, (x, y, z), (*evidence, *others, *unseen)), place


def _place(measures: ArteryMeasures, suspicion: Suspicion, suspected: float) -> tuple[Place, tuple[str, ...]]:
    """Where the most suspicious place is, and why."""
    worst = suspicion.worst
    if worst is Side.MIDLINE:
        found = basilar_place(measures)
        assert found is not None  # noqa: S101 - a basilar artery that is not covered has no probability
        return found, reasons(BASILAR, found.path, 0.0 if measures.basilar is None else max(measures.basilar.clot_ml), {})
    hemisphere = suspicion.left if worst is Side.LEFT else suspicion.right
    detector = hemisphere.detector(suspected)
    place = hemisphere_place(measures, worst, detector)
    this, other = measures.pair(worst)
    clot_ml = dict(zip(("siphon", "stem", "m2"), this.clot_ml, strict=True))[detector]
    return place, reasons(f"{worst.value} {place.site.value}", place.path, clot_ml, shares(this, other))


def _course(path: Interruption) -> tuple[tuple[float, float, float], ...]:
    return tuple((round(float(x), 1), round(float(y), 1), round(float(z), 1)) for x, y, z in path.way_lps_mm)


def _collateral(measures: ArteryMeasures, side: Side | None) -> CollateralFilling | None:
    """Distal filling of the occluded side against the other one; there is no other one when both are suspected."""
    if side not in (Side.LEFT, Side.RIGHT):
        return None
    this, other = measures.pair(side)
    if other.distal_ml <= 0:
        return None
    ratio = min(1.0, this.distal_ml / other.distal_ml)
    score = 3 if ratio >= _TAN_GOOD else 2 if ratio > _TAN_MODERATE else 1 if ratio > _TAN_ABSENT else 0
    return CollateralFilling(score, round(ratio, 3))


def _notes(bolus: Bolus, not_covered: tuple[str, ...]) -> tuple[QualityNote, ...]:
    notes = []
    for name, code in MAY_BE_OUTSIDE.items():
        if name in not_covered:
            notes.append(QualityNote(code, Severity.WARNING, f"the scan does not cover the {name}: it was not judged"))
    if bolus.arterial_hu < LOW_ARTERIAL_HU:
        text = f"arteries have only {bolus.arterial_hu:.0f} HU: small branches may be missed"
        notes.append(QualityNote("cta.weak_contrast", Severity.WARNING, text))
    if bolus.phase != "arterial":
        text = f"the scan was taken in the {bolus.phase} phase: filling of distal branches and collaterals is less certain"
        notes.append(QualityNote("cta.phase", Severity.WARNING if bolus.phase == "venous" else Severity.INFO, text))
    return tuple(notes)
