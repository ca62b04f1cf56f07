"""What thrombectomy at one time is worth on average: `stroke-outcome` behind guards.

The package takes negative and missing times for times, prints to standard output, and calls late thrombectomy harmful because
it knows no imaging selection. So nothing is asked of it unless the onset was seen, the artery is a large one of the anterior
circulation, and puncture is less than eight hours after onset; see docs/decisions/0010-transfer-and-scenarios.md.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from lvo.core.report import Site
from lvo.core.transfer import Price

__all__ = [
    "ANTERIOR_SITES", "LVO_UNTREATED", "NO_EFFECT_MIN", "THROMBOLYSIS_NO_EFFECT_MIN", "Outcomes", "outcomes_lvo_thrombectomy",
    "outcomes_thrombolysis", "outcomes_untreated", "price", "why_no_price",
]  # fmt: skip

NO_EFFECT_MIN = 480.0
"""Onset to puncture from which the model knows no effect (Fransen 2016, doi:10.1001/jamaneurol.2015.3886)."""

THROMBOLYSIS_NO_EFFECT_MIN = 378.0
"""The same for thrombolysis (Emberson 2014, doi:10.1016/S0140-6736(14)60584-5)."""

ANTERIOR_SITES = frozenset({Site.ICA, Site.ICA_T, Site.M1, Site.M2})
"""Arteries of the pooled trials that the model rests on."""

HERMES_MEDIAN_MIN, HERMES_INDEPENDENT = 238.0, 0.460
"""Median onset to puncture (Saver 2016, doi:10.1001/jama.2016.13647) and share with mRS 0 to 2 in the thrombectomy arms
(Goyal 2016, doi:10.1016/S0140-6736(16)00163-X). At that time the model says 0.393: its patients were less well before."""

WAIT_MIN = 10.0

_NLVO, _LVO = 1, 2
"""Codes of stroke-outcome."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Mean outcomes of N groups of patients.

    Args:
        cumulative: (N, 7) share with mRS at most 0 ... 6.
        utility: (N,) mean utility.
    """

    cumulative: NDArray[np.float64]
    utility: NDArray[np.float64]


def outcomes_lvo_thrombectomy(onset_to_puncture_min: ArrayLike) -> Outcomes:
    """Large-vessel occlusion of the anterior circulation, treated with thrombectomy.

    Args:
        onset_to_puncture_min: (N,) minutes, 0 to below 480.

    Raises:
        ValueError: a time is missing, negative, or 480 minutes or more, where the model says nothing.
    """
    minutes = _within(onset_to_puncture_min, NO_EFFECT_MIN, "puncture")
    return _model(_LVO, thrombolysis_min=None, thrombectomy_min=minutes)


def outcomes_thrombolysis(onset_to_needle_min: ArrayLike, *, large_vessel: bool) -> Outcomes:
    """Stroke with or without a large-vessel occlusion, treated with thrombolysis alone.

    Args:
        onset_to_needle_min: (N,) minutes, 0 to below 378.
        large_vessel: with an occlusion of a large vessel.

    Raises:
        ValueError: a time is missing, negative, or 378 minutes or more, where the model says nothing.
    """
    minutes = _within(onset_to_needle_min, THROMBOLYSIS_NO_EFFECT_MIN, "thrombolysis")
    return _model(_LVO if large_vessel else _NLVO, thrombolysis_min=minutes, thrombectomy_min=None)


def outcomes_untreated(*, large_vessel: bool) -> Outcomes:
    """Stroke under medical care without thrombolysis and thrombectomy; most of the patients behind it had thrombolysis."""
    return _model(_LVO if large_vessel else _NLVO, thrombolysis_min=None, thrombectomy_min=None)


LVO_UNTREATED = 0.265
"""Share with mRS 0 to 2 in the control arms of the pooled trials (Goyal 2016), the model's "no treatment"."""


def why_no_price(*, onset_seen: bool | None, site: Site | None, suspected: bool | None) -> str:
    """Why nothing may be said for a patient whatever the time; empty where something may."""
    if not suspected:
        unknown = "whether a large vessel is occluded is not known"
        return unknown if suspected is None else "no large-vessel occlusion is suspected"
    if site is None:
        return "the occluded artery is unknown"
    if site not in ANTERIOR_SITES:
        return f"the model knows the anterior circulation only, not {site.value}"
    if onset_seen is None:
        return "the time of onset is unknown"
    if not onset_seen:
        return "the onset was not seen: imaging decides here, not this model"
    return ""


def price(onset_to_puncture_min: float) -> Price | None:
    """The worth of thrombectomy at one time; None from where the model sees no gain (about 455 minutes): there imaging decides.

    Raises:
        ValueError: the time is negative or missing.
    """
    if onset_to_puncture_min >= NO_EFFECT_MIN:
        return None
    found = outcomes_lvo_thrombectomy([onset_to_puncture_min, HERMES_MEDIAN_MIN])
    independent, utility = found.cumulative[:, 2], found.utility
    gain = float(utility[0] - outcomes_untreated(large_vessel=True).utility[0])
    if gain <= 0.0:
        return None
    later = outcomes_lvo_thrombectomy([onset_to_puncture_min + WAIT_MIN])
    shift = logit(HERMES_INDEPENDENT) - logit(independent[1])
    return Price(
        onset_to_puncture_min=float(onset_to_puncture_min),
        independent_without=LVO_UNTREATED,
        independent_with=float(independent[0]),
        independent_with_hermes=float(expit(logit(independent[0]) + shift)),
        utility_gain=gain,
        independent_lost_per_10_min=float(independent[0] - later.cumulative[0, 2]),
        utility_lost_per_10_min=float(utility[0] - later.utility[0]),
    )


def _within(minutes: ArrayLike, limit: float, what: str) -> NDArray[np.float64]:
    found = np.atleast_1d(np.asarray(minutes, np.float64))
    if not (np.isfinite(found) & (found >= 0.0) & (found < limit)).all():
        msg = f"minutes from onset to {what} must be known, at least 0 and below {limit:g}; nothing is said for others"
        raise ValueError(msg)
    return found


def _model(
    stroke_type: int, *, thrombolysis_min: NDArray[np.float64] | None, thrombectomy_min: NDArray[np.float64] | None
) -> Outcomes:
    """Ask the package; what it prints is dropped, so that it cannot end in JSON on standard output."""
    import pandas as pd
    from stroke_outcome.continuous_outcome import Continuous_outcome

    given = thrombolysis_min if thrombolysis_min is not None else thrombectomy_min
    n = 1 if given is None else len(given)
    zeros: Sequence[float] = [0.0] * n
    patients = pd.DataFrame(
        {
            "stroke_type_code": [stroke_type] * n,
            "ivt_chosen_bool": [int(thrombolysis_min is not None)] * n,
            "onset_to_needle_mins": zeros if thrombolysis_min is None else thrombolysis_min,
            "mt_chosen_bool": [int(thrombectomy_min is not None)] * n,
            "onset_to_puncture_mins": zeros if thrombectomy_min is None else thrombectomy_min,
        }
    )
    with redirect_stdout(io.StringIO()):
        model: Any = Continuous_outcome()
        model.assign_patients_to_trial(patients)
        cohort = model.calculate_outcomes()[-1]
    cumulative = np.asarray(cohort["each_patient_mrs_dist_post_stroke"], np.float64)
    return Outcomes(cumulative, np.asarray(cohort["each_patient_utility_post_stroke"], np.float64))
