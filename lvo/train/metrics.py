"""How well a label image agrees with the truth: overlap, and whether the vessels are connected along their course."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.train.tubes import ARTERY, VEIN

__all__ = ["dice", "medial_voxels", "score", "skeleton_recall"]


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 0 to 1; 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0


def medial_voxels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels of a mask that no neighbour lies deeper than: its middle lines, a little thick where it is even."""
    depth = ndimage.distance_transform_edt(mask)
    return np.asarray(mask & (depth >= ndimage.maximum_filter(depth, size=3)))


def skeleton_recall(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Share of the truth's middle lines that was found; 1 where there is none.

    With truth and result swapped it is the precision along the middle lines; their harmonic mean is clDice (Shit et al.,
    CVPR 2021, doi:10.1109/CVPR46437.2021.01629) on medial voxels instead of a thinned skeleton.
    """
    lines = medial_voxels(truth)
    return float(found[lines].mean()) if lines.any() else 1.0


def score(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Metrics of a label image (K, J, I) against the truth."""
    artery, true_artery = found == ARTERY, truth == ARTERY
    recall, precision = skeleton_recall(artery, true_artery), skeleton_recall(true_artery, artery)
    return {
        "artery_dice": dice(artery, true_artery),
        "artery_skeleton_recall": recall,
        "artery_skeleton_precision": precision,
        "artery_cldice": 2.0 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0,
        "vein_dice": dice(found == VEIN, truth == VEIN),
    }
