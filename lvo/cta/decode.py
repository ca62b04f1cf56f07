"""Assemble what the CT angiogram shows from the artery map: the call, its side and site, the point, and the reasons."""

from dataclasses import dataclass

import numpy as np

from lvo.config import CtaSettings
from lvo.core.anatomy import ARTERIES
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

ARTERY_PROBABILITY = 0.5
"""A voxel is artery when the network finds that more likely than not."""

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


def measure(artery: Volume, pose: HeadPose, scanned: Grid) -> ArteryMeasures | None:
    """Name the arteries of a map and measure them.

    Args:
        artery: probability of artery on any grid.
        pose: how the head lies.
        scanned: grid of the scan itself; what lies outside it was never seen, whatever the map says there.

    Returns:
        The measures, or None when the map holds no arteries or does not cover the circle of Willis.
    """
    index_kji = np.argwhere(artery.array >= ARTERY_PROBABILITY)
    if len(index_kji) == 0:
        return None
    points = pose.to_atlas_mm(artery.grid.to_lps_mm(index_kji))
    volume_ml = np.full(len(points), artery.grid.voxel_ml)
    tree = align_tree(atlas_tree(), points)
    voxels = name_voxels(tree, points, volume_ml)
    if volume_ml[voxels.nearest >= 0].sum() < MIN_NAMED_ML:
        return None
    routes = [route for left in (True, False) for route in side_routes(tree, left=left)]
    if not all(covers(grid, pose, route) for route in routes for grid in (artery.grid, scanned)):
        return None
    left, right = (measure_side(artery, pose, tree, voxels, left=is_left) for is_left in (True, False))
    seen = all(covers(grid, pose, basilar_route(tree)) for grid in (artery.grid, scanned))
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
    bolus = measure_bolus(hu.array, artery.array, vein.array)
    if measures is None or bolus is None:
        found = f"no arteries found: less than {MIN_NAMED_ML} mL of opacified lumen near the circle of Willis"
        return NotAssessable((f"{found}; is it an angiogram that covers the base of the brain?",))
    if bolus.arterial_hu < settings.min_arterial_hu:
        needed = f"{settings.min_arterial_hu:.0f} HU are needed"
        return NotAssessable((f"too little contrast: arteries have {bolus.arterial_hu:.0f} HU, {needed}",))
    suspicion = Suspicion(
        left=head.hemisphere.probability(measures.features(Side.LEFT).vector()),
        right=head.hemisphere.probability(measures.features(Side.RIGHT).vector()),
        basilar=0.0 if measures.basilar is None else head.basilar.probability(measures.basilar[0].vector()),
    )
    call, side = judge(suspicion, suspected=settings.suspected_probability, indeterminate=settings.indeterminate_probability)
    finding = _finding(measures, suspicion, call, side, pose, settings)
    collateral = _collateral(measures, side) if call is Call.SUSPECTED else None
    notes = _notes(bolus, measures)
    return Assessed(CtaResult(finding, _territories(measures), collateral, round(bolus.arterial_hu, 1), bolus.phase, notes))


def _finding(
    measures: ArteryMeasures, suspicion: Suspicion, call: Call, side: Side | None, pose: HeadPose, settings: CtaSettings
) -> Finding:
    probability, threshold = suspicion.highest, settings.suspected_probability
    if side is None:
        text = "no interruption of the carotid terminus, M1, the first part of M2 or the basilar artery on the artery map"
        return Finding(call, probability, threshold, None, None, None, (text,))
    if side is Side.MIDLINE and measures.basilar is not None:
        path, site = measures.basilar[1], Site.BA
        evidence = reasons("basilar artery", path, {})
    else:
        worst = side if side is not Side.BOTH else Side.LEFT if suspicion.left >= suspicion.right else Side.RIGHT
        this, other = measures.pair(worst)
        path, site = this.main, site_of(measures.tree, this, left=worst is Side.LEFT)
        shares = {
            "M1": (this.m1, other.m1),
            "M2": (this.m2, other.m2),
            "distal branches": (this.distal_ml, other.distal_ml),
        }
        evidence = reasons(f"{worst.value} {site.value}", path, shares)
    x, y, z = (round(float(value), 1) for value in pose.to_lps_mm(path.stop_atlas_mm))
    return Finding(call, probability, threshold, side, site, (x, y, z), evidence)


def _collateral(measures: ArteryMeasures, side: Side | None) -> CollateralFilling | None:
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
