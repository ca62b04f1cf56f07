"""Assemble what the CT angiogram shows from the artery map: the call, its side and site, the point, and the reasons."""

from dataclasses import dataclass

import numpy as np

from lvo.config import CtaSettings
from lvo.core.anatomy import ARTERIES, ARTERY_PROBABILITY
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Call, CollateralFilling, CtaResult, Finding, QualityNote, Severity, Side, Site, TerritoryVolume
from lvo.core.volume import Volume
from lvo.cta.bolus import Bolus, measure_bolus
from lvo.cta.call import CallHead, Suspicion, judge
from lvo.cta.evidence import reasons, site_of
from lvo.cta.features import (
    BasilarFeatures,
    HemisphereFeatures,
    SideMeasures,
    basilar_route,
    hemisphere_features,
    measure_basilar,
    measure_side,
    side_routes,
)  # fmt: skip
from lvo.cta.path import Interruption, covers
from lvo.cta.tree import ArteryTree, TreeVoxels, align_tree, atlas_tree, name_voxels

__all__ = ["ArteryMeasures", "decode", "measure"]

MIN_NAMED_ML = 0.4
"""A patent circle of Willis with both M1 holds about 2 mL; with less than a fifth of it named, the map has failed."""

LOW_ARTERIAL_HU = 200.0
"""Below, a vessel of 1 mm fades into brain: routine arteries are 250 to 350 HU at 120 kV (docs/concepts/safety.md)."""

_TAN_GOOD, _TAN_MODERATE, _TAN_ABSENT = 0.9, 0.5, 0.05
"""Tan et al., Ann Neurol 2007, doi:10.1002/ana.21190: 3 = 100 %, 2 = over 50 %, 1 = up to 50 %, 0 = none; measured
volumes of equal sides differ by 10 %, and noise leaves up to 5 %."""


@dataclass(frozen=True, slots=True, eq=False)
class ArteryMeasures:
    """Everything measured on one artery map, before any judgement; what the call head is fitted on.

    `basilar` is None when the scan does not cover the basilar artery.
    """

    tree: ArteryTree
    voxels: TreeVoxels
    left: SideMeasures
    right: SideMeasures
    basilar: tuple[BasilarFeatures, Interruption] | None

    def features(self, side: Side) -> HemisphereFeatures:
        """Features of one hemisphere."""
        return hemisphere_features(*self.pair(side))

    def pair(self, side: Side) -> tuple[SideMeasures, SideMeasures]:
        """Measures of a side and of the other one."""
        return (self.left, self.right) if side is Side.LEFT else (self.right, self.left)


def measure(artery: Volume, pose: HeadPose, scanned: Grid) -> ArteryMeasures | NotAssessable:
    """Name the arteries of a map and measure them.

    Args:
        artery: probability of artery on any grid.
        pose: how the head lies.
        scanned: grid of the scan itself; what lies outside it was never seen, whatever the map says there.

    Returns:
        The measures, or why there are none: hardly any artery on the map, or a scan that does not reach from carotid to M2.
    """
    index_kji = np.argwhere(artery.array >= ARTERY_PROBABILITY)
    points = pose.to_atlas_mm(artery.grid.to_lps_mm(index_kji))
    volume_ml = np.full(len(points), artery.grid.voxel_ml)
    tree = align_tree(atlas_tree(), points) if len(points) else atlas_tree()
    grids = (artery.grid, scanned)
    routes = [route for left in (True, False) for route in side_routes(tree, left=left)]
    if not all(covers(grid, pose, route) for route in routes for grid in grids):
        return NotAssessable(("the scan does not cover the carotid terminus and both M1: send a scan from the skull base up",))
    voxels = name_voxels(tree, points, volume_ml)
    named_ml = float(volume_ml[voxels.nearest >= 0].sum())
    if named_ml < MIN_NAMED_ML:
        found = f"{named_ml:.2f} mL of opacified artery near the circle of Willis, at least {MIN_NAMED_ML} mL are needed"
        return NotAssessable((f"no arteries found: {found}; is it an angiogram?",))
    left, right = (measure_side(artery, pose, tree, voxels, left=is_left) for is_left in (True, False))
    seen = all(covers(grid, pose, basilar_route(tree)) for grid in grids)
    return ArteryMeasures(tree, voxels, left, right, measure_basilar(artery, pose, tree, voxels) if seen else None)


def decode(
    hu: Volume, artery: Volume, vein: Volume, pose: HeadPose, *, scanned: Grid, head: CallHead, settings: CtaSettings
) -> Assessed[CtaResult] | NotAssessable:
    """Judge an artery map.

    Args:
        hu: CTA on the grid of the map.
        artery: probability of artery.
        vein: probability of vein.
        pose: how the head lies.
        scanned: grid of the scan itself.
        head: the fitted call.
        settings: thresholds.

    Returns:
        The result, or why it cannot be judged: no arteries found, or too little contrast in them.
    """
    measures = measure(artery, pose, scanned)
    if isinstance(measures, NotAssessable):
        return measures
    bolus = measure_bolus(hu.array, artery.array, vein.array)
    if bolus is None:
        return NotAssessable(("no contrast: hardly any voxel is surely artery; is it an angiogram?",))
    if bolus.arterial_hu < settings.min_arterial_hu:
        needed = f"{settings.min_arterial_hu:.0f} HU are needed"
        return NotAssessable((f"too little contrast: arteries have {bolus.arterial_hu:.0f} HU, {needed}",))
    suspicion = Suspicion(
        left=head.hemisphere.probability(measures.features(Side.LEFT).vector()),
        right=head.hemisphere.probability(measures.features(Side.RIGHT).vector()),
        basilar=None if measures.basilar is None else head.basilar.probability(measures.basilar[0].vector()),
    )
    finding = _finding(measures, suspicion, pose, settings)
    collateral = _collateral(measures, finding.side) if finding.call is Call.SUSPECTED else None
    notes = _notes(bolus, measures)
    return Assessed(CtaResult(finding, _territories(measures), collateral, round(bolus.arterial_hu, 1), bolus.phase, notes))


def _finding(measures: ArteryMeasures, suspicion: Suspicion, pose: HeadPose, settings: CtaSettings) -> Finding:
    threshold = settings.suspected_probability
    call, side = judge(suspicion, suspected=threshold, indeterminate=settings.indeterminate_probability)
    unseen = ("the basilar artery is not covered by the scan and was not judged",) if suspicion.basilar is None else ()
    if side is None:
        basilar = "" if suspicion.basilar is None else " or the basilar artery"
        text = f"no interruption of the carotid terminus, M1, the first part of M2{basilar} on the artery map"
        return Finding(call, suspicion.highest, threshold, None, None, None, (text, *unseen))
    worst = suspicion.worst
    if worst is Side.MIDLINE and measures.basilar is not None:
        path, site = measures.basilar[1], Site.BA
        evidence = reasons("basilar artery", path, {})
    else:
        this, other = measures.pair(worst)
        path, site = this.main, site_of(measures.tree, this, left=worst is Side.LEFT)
        shares = {
            "M1": (this.m1, other.m1),
            "M2": (this.m2, other.m2),
            "distal branches": (this.distal_ml, other.distal_ml),
        }
        evidence = reasons(f"{worst.value} {site.value}", path, shares)
    others = tuple(
        f"also suspected: {'basilar artery' if place is Side.MIDLINE else f'{place.value} hemisphere'}, probability {value:.2f}"
        for place, value in suspicion.places().items()
        if place is not worst and value >= threshold
    )
    x, y, z = (round(float(value), 1) for value in pose.to_lps_mm(path.stop_atlas_mm))
    return Finding(call, suspicion.highest, threshold, side, site, (x, y, z), (*evidence, *others, *unseen))


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


def _territories(measures: ArteryMeasures) -> tuple[TerritoryVolume, ...]:
    """Opacified artery per territory; the distal middle cerebral branches are a row of their own."""
    voxels, tree = measures.voxels, measures.tree
    named = voxels.nearest >= 0
    segment, left = tree.segment[voxels.nearest[named]], tree.left[voxels.nearest[named]]
    rows = []
    for territory in ("ICA", "MCA", "ACA", "PCA"):
        members = [n for n, artery in enumerate(ARTERIES) if artery.territory == territory]
        inside = np.isin(segment, members)
        volume = voxels.volume_ml[named]
        rows.append((territory, float(volume[inside & left].sum()), float(volume[inside & ~left].sum())))
    rows.append(("MCA distal", measures.left.distal_ml, measures.right.distal_ml))
    return tuple(
        TerritoryVolume(name, round(le, 3), round(ri, 3), round(min(le, ri) / max(le, ri), 3) if max(le, ri) > 0 else None)
        for name, le, ri in rows
    )


def _notes(bolus: Bolus, measures: ArteryMeasures) -> tuple[QualityNote, ...]:
    notes = []
    if measures.basilar is None:
        text = "the scan does not cover the basilar artery: it was not judged"
        notes.append(QualityNote("cta.basilar_not_covered", Severity.WARNING, text))
    if bolus.arterial_hu < LOW_ARTERIAL_HU:
        text = f"arteries have only {bolus.arterial_hu:.0f} HU: small branches may be missed"
        notes.append(QualityNote("cta.weak_contrast", Severity.WARNING, text))
    if bolus.phase != "arterial":
        text = f"the scan was taken in the {bolus.phase} phase: filling of distal branches and collaterals is less certain"
        notes.append(QualityNote("cta.phase", Severity.WARNING if bolus.phase == "venous" else Severity.INFO, text))
    return tuple(notes)
