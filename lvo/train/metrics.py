"""How well a map of classes agrees with the truth: overlap, and whether the vessels are connected along their course."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.core.anatomy import ARTERY_PROBABILITY, ARTERY_TREES
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS, VEIN_CLASS
from lvo.train.tubes import ANY_ARTERY

__all__ = ["decided", "dice", "is_artery", "medial_depth", "score", "share_found"]

_TRUNK_DEPTH = 2.0
"""Voxels from the middle line to the wall from which a vessel counts as a trunk: wider than about 2.4 mm at 0.8 mm."""


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0 to 1; 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0


def decided(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(K, J, I) codes from (8, K, J, I) probabilities as they are used.

    Artery where the trees together are as sure as `ARTERY_PROBABILITY` asks; vein and clot where one is the likeliest class.
    """
    trees = probabilities[1 : 1 + len(ARTERY_TREES)]
    likeliest = probabilities.argmax(axis=0)
    codes = np.where(np.isin(likeliest, (VEIN_CLASS, CLOT_CLASS)), likeliest, 0)
    artery = trees.sum(axis=0) >= ARTERY_PROBABILITY
    return np.where(artery, trees.argmax(axis=0) + 1, codes).astype(np.uint8)


def is_artery(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mask of the arteries, whatever their tree."""
    return np.asarray(((classes >= 1) & (classes <= len(ARTERY_TREES))) | (classes == ANY_ARTERY))


def medial_depth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Depth in voxels where no neighbour lies deeper, 0 elsewhere: the middle lines, a little thick where they are even."""
    depth = ndimage.distance_transform_edt(mask)
    return np.where(depth >= ndimage.maximum_filter(depth, size=3), depth, 0.0)


def share_found(found: NDArray[np.bool_], lines: NDArray[np.bool_]) -> float:
    """Share of the middle lines that was found; 1 where there is none."""
    return float(found[lines].mean()) if lines.any() else 1.0


def score(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Metrics of a map of classes (K, J, I) against the truth; unsure voxels of the truth count neither way.

    Recall and precision along the middle lines make clDice (Shit et al., CVPR 2021, doi:10.1109/CVPR46437.2021.01629), here
    on medial voxels instead of a thinned skeleton.
    """
    unsure = truth == UNSURE_CLASS
    true_artery = is_artery(truth)
    artery = is_artery(found) & ~unsure
    depth = medial_depth(true_artery)
    allowed = true_artery | unsure
    recall = share_found(artery, depth > 0.0)
    precision = share_found(allowed, medial_depth(is_artery(found)) > 0.0)
    named = true_artery & artery & (truth != ANY_ARTERY)
    return {
        "artery_dice": dice(artery, true_artery),
        "artery_cldice": 2.0 * recall * precision / max(recall + precision, 1e-9),
        "artery_recall": recall,
        "artery_precision": precision,
        "trunk_recall": share_found(artery, depth >= _TRUNK_DEPTH),
        "tree_right": float((found[named] == truth[named]).mean()) if named.any() else 1.0,
        "vein_dice": dice((found == VEIN_CLASS) & ~unsure, truth == VEIN_CLASS),
        "clot_dice": dice((found == CLOT_CLASS) & ~unsure, truth == CLOT_CLASS),
    }
