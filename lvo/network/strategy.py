"""Mothership against drip-and-ship on average outcomes, and what minutes at the first hospital are worth to a country.

Everything here is a scenario: it hangs on the minutes assumed, on the mix of strokes and on the outcome that is counted, and is
never one number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lvo.network.benefit import (
    LVO_UNTREATED,
    NO_EFFECT_MIN,
    THROMBOLYSIS_NO_EFFECT_MIN,
    outcomes_lvo_thrombectomy,
    outcomes_thrombolysis,
    outcomes_untreated,
)
from lvo.network.coverage import Nearest, Transfers

__all__ = ["Mix", "Timings", "independent_per_case", "mothership_share", "punctures_min"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Minutes of the pathway beside the drives; defaults as in the OPTIMIST application.

    Args:
        onset_to_call: until help is called.
        response: until the ambulance is there.
        scene: until it leaves.
        door_to_needle: thrombolysis after arrival.
        door_to_puncture: thrombectomy after arrival at a centre by ambulance.
        door_in_door_out: at a hospital without thrombectomy.
        transfer_to_puncture: thrombectomy after arrival at a centre from another hospital.
    """

    onset_to_call: float = 79.0
    response: float = 18.0
    scene: float = 29.0
    door_to_needle: float = 30.0
    door_to_puncture: float = 60.0
    door_in_door_out: float = 90.0
    transfer_to_puncture: float = 30.0

    @property
    def onset_to_drive(self) -> float:
        """Minutes until the ambulance leaves with the patient."""
        return self.onset_to_call + self.response + self.scene


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of all patients: thrombolysed without, and thrombectomised with, an occlusion of a large vessel."""

    thrombolysis: float = 0.10
    thrombectomy: float = 0.10


def punctures_min(moved: Transfers, timings: Timings) -> NDArray[np.float64]:
    """(A,) minutes from onset to puncture by drip-and-ship."""
    arrival = timings.onset_to_drive + moved.first.minutes
    by_transfer = timings.door_in_door_out + moved.drive_min + timings.transfer_to_puncture
    return arrival + np.where(moved.spoke, by_transfer, timings.door_to_puncture)


def independent_per_case(puncture_min: NDArray[np.float64]) -> NDArray[np.float64]:
    """(A,) share of patients with mRS 0 to 2 that thrombectomy adds; 0 where it comes after eight hours."""
    gain = np.zeros_like(puncture_min)
    timely = puncture_min < NO_EFFECT_MIN
    if timely.any():
        gain[timely] = outcomes_lvo_thrombectomy(puncture_min[timely]).cumulative[:, 2] - LVO_UNTREATED
    return gain


def mothership_share(
    moved: Transfers, to_centre: Nearest, weights: NDArray[np.float64], *, timings: Timings, mix: Mix
) -> float:
    """Share of people for whom going straight to a centre is at least as good, on mean utility.

    Args:
        moved: drip-and-ship.
        to_centre: nearest centre of each area.
        weights: (A,) people.
        timings: minutes.
        mix: of strokes.
    """
    first = timings.onset_to_drive + moved.first.minutes
    straight = timings.onset_to_drive + to_centre.minutes
    drip = _utility(first + timings.door_to_needle, punctures_min(moved, timings), mix)
    mothership = _utility(straight + timings.door_to_needle, straight + timings.door_to_puncture, mix)
    return float(weights[mothership >= drip].sum() / weights.sum())


def _utility(needle_min: NDArray[np.float64], puncture_min: NDArray[np.float64], mix: Mix) -> NDArray[np.float64]:
    """(A,) gain in mean utility over no treatment."""
    gain = np.zeros_like(needle_min)
    timely = needle_min < THROMBOLYSIS_NO_EFFECT_MIN
    treated = outcomes_thrombolysis(needle_min[timely], large_vessel=False).utility
    gain[timely] += mix.thrombolysis * (treated - outcomes_untreated(large_vessel=False).utility[0])
    timely = puncture_min < NO_EFFECT_MIN
    treated = outcomes_lvo_thrombectomy(puncture_min[timely]).utility
    gain[timely] += mix.thrombectomy * (treated - outcomes_untreated(large_vessel=True).utility[0])
    return gain
