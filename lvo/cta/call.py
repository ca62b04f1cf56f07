"""The last, small and replaceable step: a logistic call per hemisphere and for the basilar artery.

A handful of numbers goes in, one probability comes out; the weights are data (`call.json` beside the network), so a site can
refit them on its own 10 to 50 cases without touching the network.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from lvo.core.report import Call, Side

__all__ = ["CallHead", "Logistic", "Suspicion", "judge"]


class Logistic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic model on standardised features.

    Args:
        features: names, in order.
        mean: per feature, from the fitting cases.
        scale: per feature, from the fitting cases.
        weight: per standardised feature.
        intercept: log odds at the mean.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float

    def __post_init__(self) -> None:
        """Refuse lists of different lengths and a scale that cannot divide."""
        if not len(self.features) == len(self.mean) == len(self.scale) == len(self.weight) or min(self.scale) <= 0:
            msg = "features, mean, scale and weight must have one length, and every scale must be positive"
            raise ValueError(msg)

    def probability(self, vector: NDArray[np.float64]) -> float:
        """Probability for one feature vector."""
        standard = (vector - np.array(self.mean)) / np.array(self.scale)
        logit = float(standard @ np.array(self.weight)) + self.intercept
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))


class CallHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both logistic models, and what they were fitted on.

    Args:
        network_sha256: hash of the network whose maps were measured; on another network's maps the call means nothing.
        fitted_on: the cases, in words.
        hemisphere: carotid terminus, M1, M2 of one side.
        basilar: basilar artery.
    """

    network_sha256: str
    fitted_on: str
    hemisphere: Logistic
    basilar: Logistic


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Probability of an occlusion in each place that is judged; `basilar` is None when the scan does not cover it."""

    left: float
    right: float
    basilar: float | None

    def places(self) -> dict[Side, float]:
        """The places that were judged, with their probability."""
        judged = {Side.LEFT: self.left, Side.RIGHT: self.right, Side.MIDLINE: self.basilar}
        return {side: value for side, value in judged.items() if value is not None}

    @property
    def worst(self) -> Side:
        """The most suspicious place."""
        places = self.places()
        return max(places, key=lambda side: places[side])

    @property
    def highest(self) -> float:
        """Probability in the most suspicious place."""
        return max(self.places().values())


def judge(suspicion: Suspicion, *, suspected: float, indeterminate: float) -> tuple[Call, Side | None]:
    """Turn probabilities into the three-way call and the side.

    Args:
        suspicion: probability per place.
        suspected: from this probability on, an occlusion is suspected.
        indeterminate: from this one on, it cannot be told.

    Returns:
        The call, and the side: both hemispheres when both reach `suspected` and the basilar artery is not worse; None when
        nothing reaches `indeterminate`.
    """
    if suspicion.highest < indeterminate:
        return Call.NOT_DETECTED, None
    call = Call.SUSPECTED if suspicion.highest >= suspected else Call.INDETERMINATE
    if min(suspicion.left, suspicion.right) >= suspected and suspicion.worst is not Side.MIDLINE:
        return call, Side.BOTH
    return call, suspicion.worst
