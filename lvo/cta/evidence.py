"""Words and rows that say what was seen: sentences for the finding, a row per segment, the vessels that were judged."""

from collections.abc import Mapping

import numpy as np

from lvo.core.anatomy import ARTERIES
from lvo.core.report import SegmentRow, SegmentSide, TerritoryVolume
from lvo.cta.features import MAX_GAP_CM, SideMeasures, expected_ml
from lvo.cta.measure import ArteryMeasures
from lvo.cta.path import Interruption
from lvo.cta.routes import TRUNKS
from lvo.cta.tree import stretch

__all__ = ["BASILAR", "MAY_BE_OUTSIDE", "coverage", "reasons", "segment_rows", "shares", "territories"]

SURE_GAP_MM = 3.0
"""A shorter interruption is as long as the blur of a scan and is not mentioned."""

BASILAR, _SIPHON = "basilar artery", "intracranial carotid"
_ALWAYS = ("carotid terminus", "M1", "M2")
"""What is judged on every scan that is judged at all."""
MAY_BE_OUTSIDE = {_SIPHON: "cta.carotid_not_covered", BASILAR: "cta.basilar_not_covered"}
"""What a scan may leave out at its lower edge, and the code of the note that says so."""
_NEVER = ("M3 and beyond", "A1", "A2", "P1", "vertebral arteries", "carotid in the neck")

_ROWS = ("ICA", "ICA-T", "M1", *TRUNKS, "A1", "A2", "P1", "P2", "BA")


def coverage(measures: ArteryMeasures) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Vessels that were judged, and vessels that were not, in words."""
    seen = {_SIPHON: measures.left.siphon is not None, BASILAR: measures.basilar is not None}
    judged = tuple(name for name, is_seen in seen.items() if is_seen)
    return (*_ALWAYS, *judged), (*(name for name in seen if name not in judged), *_NEVER)


def reasons(where: str, path: Interruption, clot_ml: float, compared: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Sentences that say why, most important first.

    Args:
        where: side and artery.
        path: the interruption.
        clot_ml: volume in which the network sees a blocked lumen.
        compared: what was compared -> (this side, the other side).
    """
    sentences = []
    if path.gap_mm >= SURE_GAP_MM:
        sentences.append(f"{where}: the lumen is interrupted over {min(path.gap_mm, 10.0 * MAX_GAP_CM):.0f} mm")
    else:
        sentences.append(f"{where}: less lumen than expected, without a certain interruption")
    if clot_ml > 0.0:
        sentences.append(f"a blocked lumen of {1000.0 * clot_ml:.0f} cubic millimetres is seen there")
    for name, (this, other) in compared.items():
        if other > 0:
            share = f"{this / other:.0%} of the lumen of" if this <= other else "more lumen than"
            sentences.append(f"{name}: {share} the other side")
    return tuple(sentences)


def shares(this: SideMeasures, other: SideMeasures) -> dict[str, tuple[float, float]]:
    """What the sides are compared in."""
    return {
        "M1": (this.m1, other.m1),
        "M2": (sum(this.m2), sum(other.m2)),
        "distal branches": (this.distal_ml, other.distal_ml),
    }


def segment_rows(measures: ArteryMeasures) -> tuple[SegmentRow, ...]:
    """A row per segment, from the heart outwards."""
    rows = []
    for name in _ROWS:
        paired = next(artery.paired for artery in ARTERIES if artery.name == name)
        left = _segment_side(measures, name, left=True)
        rows.append(SegmentRow(name, left, _segment_side(measures, name, left=False) if paired else None))
    return tuple(rows)


def _segment_side(measures: ArteryMeasures, name: str, *, left: bool) -> SegmentSide:
    voxels = measures.voxels
    member = stretch(voxels.tree, name, left=left)
    inside = voxels.on(member)
    lumen_ml = float(inside.sum()) * voxels.voxel_ml
    path = _followed(measures, name, left=left)
    return SegmentSide(
        lumen_ml=round(lumen_ml, 3),
        expected_share=round(lumen_ml / expected_ml(voxels.tree, member, (name,)), 2),
        gap_mm=None if path is None else round(path.gap_mm, 1),
        hu=round(float(np.median(voxels.hu[inside])), 0) if inside.any() else None,
    )


def _followed(measures: ArteryMeasures, name: str, *, left: bool) -> Interruption | None:
    """The path along a segment, None where none was followed."""
    if name == "BA":
        return None if measures.basilar is None else measures.basilar.path
    side = measures.left if left else measures.right
    return {"ICA": side.siphon, "M1": side.trunk, **dict(zip(TRUNKS, side.branches, strict=True))}.get(name)


def territories(measures: ArteryMeasures) -> tuple[TerritoryVolume, ...]:
    """Opacified artery per territory; the distal middle cerebral branches are a row of their own."""
    voxels = measures.voxels
    rows = []
    for tree in ("ICA", "MCA", "ACA", "PCA"):
        found = [float((voxels.of_tree(tree) & voxels.beside(left=left)).sum()) * voxels.voxel_ml for left in (True, False)]
        rows.append((tree, found[0], found[1]))
    rows.append(("MCA distal", measures.left.distal_ml, measures.right.distal_ml))
    return tuple(
        TerritoryVolume(name, round(le, 3), round(ri, 3), round(min(le, ri) / max(le, ri), 3) if max(le, ri) > 0 else None)
        for name, le, ri in rows
    )
