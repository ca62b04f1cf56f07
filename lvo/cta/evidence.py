"""Words for an interruption: which artery it lies in, and the sentences that say what was seen."""

from collections.abc import Mapping

import numpy as np

from lvo.core.anatomy import ARTERIES
from lvo.core.report import Site
from lvo.cta.features import TRUNKS, SideMeasures
from lvo.cta.path import Interruption
from lvo.cta.tree import ArteryTree, stretch

__all__ = ["reasons", "site_of"]

SURE_GAP_MM = 3.0
"""A shorter interruption is as long as the blur of a scan and is not mentioned."""

_T_REACH_MM = 5.0
_A1_OPEN = 0.4
"""A stop within 5 mm of the carotid terminus belongs to M1 when A1 is open, and to the carotid T when A1 has lost its lumen
too; displacement along the course leaves no finer distinction."""


def site_of(tree: ArteryTree, side: SideMeasures, *, left: bool) -> Site:
    """The artery in which the main interruption of a side begins."""
    names = ("ICA", "ICA-T", "M1", *TRUNKS)
    members = np.flatnonzero(np.any([stretch(tree, name, left=left) for name in names], axis=0))
    distance = np.linalg.norm(tree.points_atlas_mm[members] - side.main.stop_course_mm, axis=1)
    nearest = members[int(np.argmin(distance))]
    name, along_mm = ARTERIES[tree.segment[nearest]].name, tree.along_mm[nearest]
    if name in TRUNKS:
        return Site.M2
    terminus = tree.points_atlas_mm[stretch(tree, "M1", left=left)][0]
    at_the_t = np.linalg.norm(tree.points_atlas_mm[nearest] - terminus) <= _T_REACH_MM
    if at_the_t:
        return Site.M1 if side.a1 >= _A1_OPEN else Site.ICA_T
    return Site.M1 if name == "M1" and along_mm > _T_REACH_MM else Site.ICA_T


def reasons(where: str, path: Interruption, shares: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Sentences that say why, most important first.

    Args:
        where: side and artery.
        path: the interruption.
        shares: what was compared -> (this side, the other side).
    """
    sentences = []
    if path.gap_mm >= SURE_GAP_MM:
        sentences.append(f"{where}: the lumen is interrupted over {path.gap_mm:.0f} mm")
    else:
        sentences.append(f"{where}: less lumen than expected, without a certain interruption")
    for name, (this, other) in shares.items():
        if other > 0:
            share = f"{this / other:.0%} of the lumen of" if this <= other else "more lumen than"
            sentences.append(f"{name}: {share} the other side")
    return tuple(sentences)
