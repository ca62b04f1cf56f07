"""The last, small and replaceable step: logistic detectors per hemisphere and for the basilar artery, calibrated together.

A handful of numbers goes in, one probability comes out; the weights are data (`call.json` beside the network), so a site can
refit them on its own 10 to 50 cases without touching the network.
"""

import math
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from lvo.core.report import Call, Side
from lvo.cta.features import BasilarFeatures, HemisphereFeatures, vector

__all__ = ["DETECTORS", "CallHead", "Detector", "HemisphereSuspicion", "Logistic", "Suspicion", "judge", "suspect"]

Detector = Literal["siphon", "stem", "m2"]
DETECTORS: tuple[Detector, ...] = ("siphon", "stem", "m2")
"""Looked for in a hemisphere, nearest to the heart first: a stop in the intracranial carotid, in carotid T or M1, in M2."""

_MAX_LOGIT = 50.0


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

    def logit(self, features: HemisphereFeatures | BasilarFeatures) -> float:
        """Log odds, -50 to 50."""
        standard = (vector(features, self.features) - np.array(self.mean)) / np.array(self.scale)
        return float(np.clip(standard @ np.array(self.weight) + self.intercept, -_MAX_LOGIT, _MAX_LOGIT))


class CallHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The detectors, what makes their answers probabilities, and what they were fitted on.

    Args:
        network_sha256: hash of the network whose maps were measured; on another network's maps the call means nothing.
        fitted_on: the cases, in words.
        siphon, stem, m2: detectors of a hemisphere.
        basilar: detector of the basilar artery.
        slope, intercept: of the log odds that a scan shows an occlusion against its highest detector (Platt scaling).
    """

    network_sha256: str
    fitted_on: str
    siphon: Logistic
    stem: Logistic
    m2: Logistic
    basilar: Logistic
    slope: float
    intercept: float

    def probability(self, logit: float) -> float:
        """Calibrated probability of a detector's log odds."""
        return 1.0 / (1.0 + math.exp(-float(np.clip(self.slope * logit + self.intercept, -_MAX_LOGIT, _MAX_LOGIT))))


@dataclass(frozen=True, slots=True)
class HemisphereSuspicion:
    """Probability of a stop in each part of one hemisphere's arteries."""

    siphon: float
    stem: float
    m2: float

    @property
    def highest(self) -> float:
        """That of the most suspicious part."""
        return max(self.siphon, self.stem, self.m2)

    def detector(self, suspected: float) -> Detector:
        """The part nearest to the heart that reaches `suspected`, since what lies beyond a stop is missing too.

        Where none does, the most suspicious one.
        """
        probabilities: dict[Detector, float] = {name: getattr(self, name) for name in DETECTORS}
        reaching = [name for name in DETECTORS if probabilities[name] >= suspected]
        return reaching[0] if reaching else max(DETECTORS, key=probabilities.__getitem__)


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Probability of an occlusion in each place that is judged; `basilar` is None when the scan does not cover it."""

    left: HemisphereSuspicion
    right: HemisphereSuspicion
    basilar: float | None

    def places(self) -> dict[Side, float]:
        """The places that were judged, with their probability."""
        judged = {Side.LEFT: self.left.highest, Side.RIGHT: self.right.highest, Side.MIDLINE: self.basilar}
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


def suspect(head: CallHead, left: HemisphereFeatures, right: HemisphereFeatures, basilar: BasilarFeatures | None) -> Suspicion:
    """Probability of an occlusion in every place."""

    def hemisphere(features: HemisphereFeatures) -> HemisphereSuspicion:
        siphon, stem, m2 = (head.probability(detector.logit(features)) for detector in (head.siphon, head.stem, head.m2))
        return HemisphereSuspicion(siphon, stem, m2)

    of_basilar = None if basilar is None else head.probability(head.basilar.logit(basilar))
    return Suspicion(hemisphere(left), hemisphere(right), of_basilar)


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
    if min(suspicion.left.highest, suspicion.right.highest) >= suspected and suspicion.worst is not Side.MIDLINE:
        return call, Side.BOTH
    return call, suspicion.worst
