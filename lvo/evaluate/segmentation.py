"""How well an artery map agrees with the truth: overlap, and whether vessels are connected along their course."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from lvo.core.anatomy import ARTERY_PROBABILITY, ARTERY_TREES, VESSEL_CLASSES
from lvo.core.volume import Volume
from lvo.synth.render import UNSURE_CLASS

__all__ = ["center_line_dice", "dice", "segmentation_scores"]

Mask = NDArray[np.bool_]


def dice(found: Mask, truth: Mask) -> float:
    """Overlap of two masks, 0 to 1; 1 where both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0


def center_line_dice(found: Mask, truth: Mask, *, unsure: Mask) -> float:
    """Overlap along the centre lines (clDice; Shit et al., CVPR 2021, doi:10.1109/CVPR46437.2021.01629), 0 to 1.

    Args:
        found: mask of what was found.
        truth: mask of what is there.
        unsure: voxels that count neither way; none of them is in `truth`.
    """
    if not found.any() or not truth.any():
        return float(not (found & ~unsure).any() and not truth.any())
    true_line, found_line = skeletonize(truth), skeletonize(found) & ~unsure
    recall = float(found[true_line].mean())
    precision = float(truth[found_line].mean()) if found_line.any() else 0.0
    return 2.0 * recall * precision / (recall + precision) if recall + precision else 0.0


def segmentation_scores(vessels: Mapping[str, Volume], classes: Volume) -> dict[str, float]:
    """Figures of a vessel map, by name.

    Args:
        vessels: probability per vessel class, and "artery" for all trees together.
        classes: codes of `VESSEL_CLASSES`, and `UNSURE_CLASS` where there is no saying.

    Returns:
        artery_dice, artery_cldice, and the Dice of each further class that is there or was found, as dice_MCA.
    """
    truth = classes.array
    unsure = truth == UNSURE_CLASS
    artery = vessels["artery"].array >= ARTERY_PROBABILITY
    true_artery = (truth >= 1) & (truth <= len(ARTERY_TREES))
    scores = {
        "artery_dice": dice(artery & ~unsure, true_artery),
        "artery_cldice": center_line_dice(artery, true_artery, unsure=unsure),
    }
    for code, name in enumerate(VESSEL_CLASSES):
        if code == 0 or name not in vessels:
            continue
        found, there = (vessels[name].array >= ARTERY_PROBABILITY) & ~unsure, truth == code
        if found.any() or there.any():
            scores[f"dice_{name}"] = dice(found, there)
    return {name: round(value, 4) for name, value in scores.items()}
