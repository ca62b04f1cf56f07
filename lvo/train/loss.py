"""What the network is punished for: wrong classes, and too little overlap of what matters."""

import torch

from lvo.core.anatomy import ARTERY_TREES
from lvo.synth.render import CLOT_CLASS, UNSURE_CLASS, VEIN_CLASS
from lvo.train.tubes import ANY_ARTERY

__all__ = ["vessel_loss"]

_TREES = slice(1, 1 + len(ARTERY_TREES))
_VESSEL_WEIGHT = 3.0
"""Of a vessel voxel where vessel is told from background: vessels fill one voxel in a hundred, and a missed one weighs more."""
_NAMES = [0.0, *[1.0] * len(ARTERY_TREES), 1.0, 8.0, 1.0]
_NAMES_SHARE = 0.5
"""Weight of a vessel voxel where its name is told, by class, `ANY_ARTERY` last: clots are a hundred times rarer than arteries.
Names have a mean of their own over the vessels: in one mean over all voxels the background leaves nothing to tell veins and
trees by (a network had learnt where vessels are and not one of their names), and weights that mend this make vessels fat."""
_DICE_SHARES = {"artery": 1.0, "vein": 0.5, "clot": 0.5}
_SMOOTH = 50.0
"""Voxels added above and below in the overlap, so that a batch without any clot does not punish a single wrong voxel."""


def vessel_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of vessel against background and of the vessels' names, plus soft Dice of artery, vein and clot.

    Args:
        logits: (N, 8, K, J, I).
        target: (N, K, J, I) codes of `VESSEL_CLASSES`; `ANY_ARTERY` where the tree is not known, `UNSURE_CLASS` where nothing
            counts.
    """
    log_p = torch.log_softmax(logits, dim=1)
    any_artery = torch.logsumexp(log_p[:, _TREES], dim=1)
    any_vessel = torch.logsumexp(log_p[:, 1:], dim=1)
    counts = target != UNSURE_CLASS
    index = torch.where(counts, target, 0).long()
    is_vessel = index > 0
    told = -torch.where(is_vessel, any_vessel, log_p[:, 0])
    named = any_vessel - torch.gather(torch.cat([log_p, any_artery[:, None]], dim=1), 1, index[:, None])[:, 0]
    name_weight = torch.tensor(_NAMES, device=logits.device)[index]
    entropy = _mean(told, counts * (1.0 + (_VESSEL_WEIGHT - 1.0) * is_vessel)) + _NAMES_SHARE * _mean(named, name_weight)
    is_artery = ((index >= 1) & (index <= len(ARTERY_TREES))) | (index == ANY_ARTERY)
    pairs = {
        "artery": (any_artery.exp(), is_artery),
        "vein": (log_p[:, VEIN_CLASS].exp(), index == VEIN_CLASS),
        "clot": (log_p[:, CLOT_CLASS].exp(), index == CLOT_CLASS),
    }
    overlap = sum(share * (1.0 - _soft_dice(pairs[name][0] * counts, pairs[name][1])) for name, share in _DICE_SHARES.items())
    return entropy + overlap / sum(_DICE_SHARES.values())


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (weight * values).sum() / weight.sum().clamp(min=1.0)


def _soft_dice(probability: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return (2.0 * (probability * truth).sum() + _SMOOTH) / (probability.sum() + truth.sum() + _SMOOTH)
