"""How well a label image agrees with the truth: overlap, and whether the vessels are connected along their course."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.train.tubes import ARTERY, VEIN

__all__ = ["dice", "medial_depth", "score", "share_found"]

_TRUNK_DEPTH = 2.0
"""Voxels from the middle line to the wall from which a vessel counts as a trunk: wider than about 2 mm at 0.7 mm."""


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0 to 1; 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0


def medial_depth(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Depth in voxels where no neighbour lies deeper, 0 elsewhere: the middle lines, a little thick where they are even."""
    depth = ndimage.distance_transform_edt(mask)
    return np.where(depth >= ndimage.maximum_filter(depth, size=3), depth, 0.0)


def share_found(found: NDArray[np.bool_], lines: NDArray[np.bool_]) -> float:
    """Share of the middle lines that was found; 1 where there is none."""
    return float(found[lines].mean()) if lines.any() else 1.0


def score(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Metrics of a label image (K, J, I) against the truth.

    Recall and precision along the middle lines make clDice (Shit et al., CVPR 2021, doi:10.1109/CVPR46437.2021.01629), here
    on medial voxels instead of a thinned skeleton. Most middle lines are of branches one voxel wide; `artery_trunk_recall`
    is that of the trunks alone.
    """
    artery, true_artery = found == ARTERY, truth == ARTERY
    depth = medial_depth(true_artery)
    recall, precision = share_found(artery, depth > 0.0), share_found(true_artery, medial_depth(artery) > 0.0)
    return {
        "artery_dice": dice(artery, true_artery),
        "artery_trunk_recall": share_found(artery, depth >= _TRUNK_DEPTH),
        "artery_skeleton_recall": recall,
        "artery_skeleton_precision": precision,
        "artery_cldice": 2.0 * recall * precision / max(recall + precision, 1e-9),
        "vein_dice": dice(found == VEIN, truth == VEIN),
    }
