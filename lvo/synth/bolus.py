"""The contrast bolus of a digital head: what an artery, a vein and a piece of tissue show over time.

Tracer kinetics of an intravascular agent: tissue(t) = (density / haematocrit factor) * CBF * (artery conv R)(t), with R the
residue function, R(0) = 1 and integral MTT = CBV / CBF (Oestergaard et al. 1996, doi:10.1002/mrm.1910360510, eq. 1 to 5).
Curves are drawn on a fine time axis, enough for images of whole HU; `lvo.synth.tracer` has closed forms, for other arteries.
All curves are HU above baseline; iodine enhancement is taken as linear in concentration.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import fftconvolve

from lvo.synth.tracer import BRAIN_DENSITY_G_ML, HAEMATOCRIT_FACTOR, Transit, gamma_variate_hu

__all__ = ["Bolus", "arterial_hu", "residue", "tissue_hu", "venous_hu"]

RESIDUE_SHAPE = 3.0
"""Shape of the gamma distribution of transit times; 1 is the exponential, large values the plug flow (box)."""
VENOUS_MTT_S = 4.0
VENOUS_DELAY_S = 1.5
"""Transit and drainage time from artery to sinus: veins peak 4 to 9 s (median 6 s) after arteries in ISLES 2018."""
STEP_S = 0.1
"""Step of the internal time axis; a tenth of the fastest frame interval."""
HORIZON_S = 150.0
"""End of the internal time axis; no CT perfusion lasts as long."""


@dataclass(frozen=True, slots=True)
class Bolus:
    """First pass and recirculation of the contrast agent in a proximal brain artery.

    The defaults give a first pass of about 9 s full width at half maximum and a plateau after it, as in real arterial curves
    of CT perfusion (62 cases of ISLES 2018: quartiles of the width 11 to 15 s and of the plateau 0.17 to 0.26 of the peak,
    both raised by partial volume).

    Args:
        arrival_s: time at which the agent reaches the skull base.
        peak_hu: highest enhancement of the first pass, without partial volume.
        alpha: shape of the gamma variate.
        beta_s: its time scale; the peak comes alpha * beta_s after arrival.
        recirculation: level after the first pass relative to its peak.
        recirculation_s: mean time in which the first pass comes round again.

    Raises:
        ValueError: a value that is not positive, or a negative arrival.
    """

    arrival_s: float = 8.0
    peak_hu: float = 350.0
    alpha: float = 3.0
    beta_s: float = 2.0
    recirculation: float = 0.12
    recirculation_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse a bolus that cannot be."""
        positive = (self.peak_hu, self.alpha, self.beta_s, self.recirculation_s)
        if min(positive) <= 0.0 or self.arrival_s < 0.0 or self.recirculation < 0.0:
            msg = f"a bolus needs positive figures, got {self}"
            raise ValueError(msg)


def arterial_hu(bolus: Bolus, times_s: ArrayLike, delay_s: float = 0.0) -> NDArray[np.float64]:
    """Enhancement of an artery at the asked times (any shape, seconds), delayed by `delay_s`."""
    return _sample(_arterial(bolus), np.asarray(times_s, dtype=np.float64) - delay_s)


def venous_hu(bolus: Bolus, times_s: ArrayLike) -> NDArray[np.float64]:
    """Enhancement of a large sinus: the artery dispersed by the transit through tissue, with the same area."""
    transit_per_s = -np.gradient(residue(_axis_s(), VENOUS_MTT_S, shape=RESIDUE_SHAPE), STEP_S)
    curve = _convolve(_arterial(bolus), transit_per_s)
    return _sample(curve, np.asarray(times_s, dtype=np.float64) - VENOUS_DELAY_S)


def tissue_hu(
    bolus: Bolus,
    times_s: ArrayLike,
    *,
    cbf_ml_100g_min: ArrayLike,
    mtt_s: ArrayLike,
    delay_s: ArrayLike,
    shape: float = RESIDUE_SHAPE,
) -> NDArray[np.float64]:
    """Enhancement of N kinds of tissue.

    Args:
        bolus: the bolus in the artery.
        times_s: (T,) seconds.
        cbf_ml_100g_min: (N,) cerebral blood flow.
        mtt_s: (N,) mean transit time.
        delay_s: (N,) arrival after the artery.
        shape: shape of the transit-time distribution, 1 for an exponential residue.

    Returns:
        (N, T) HU above baseline.
    """
    cbf_ml_g_s = np.atleast_1d(np.asarray(cbf_ml_100g_min, dtype=np.float64)) / 6000.0
    inflow_per_s = BRAIN_DENSITY_G_ML / HAEMATOCRIT_FACTOR * cbf_ml_g_s
    rows = residue(_axis_s()[None, :], np.atleast_1d(np.asarray(mtt_s, dtype=np.float64))[:, None], shape=shape)
    curves = _convolve(_arterial(bolus)[None, :], rows) * inflow_per_s[:, None]
    shifted = np.asarray(times_s, dtype=np.float64)[None, :] - np.atleast_1d(np.asarray(delay_s, dtype=np.float64))[:, None]
    return np.stack([_sample(curve, when) for curve, when in zip(curves, shifted, strict=True)])


def residue(times_s: ArrayLike, mtt_s: ArrayLike, *, shape: float = RESIDUE_SHAPE) -> NDArray[np.float64]:
    """Fraction of the agent still in the tissue: 1 minus the gamma distribution of transit times, of mean `mtt_s`."""
    return Transit("gamma", shape).residue_at(times_s, mtt_s)


def _axis_s() -> NDArray[np.float64]:
    """The internal time axis: 0 to the horizon in small steps."""
    return np.asarray(np.arange(round(HORIZON_S / STEP_S)) * STEP_S, dtype=np.float64)


@lru_cache(maxsize=16)
def _arterial(bolus: Bolus) -> NDArray[np.float64]:
    """First pass plus the plateau it leaves once the agent has mixed with all blood, on the internal axis."""
    axis_s = _axis_s()
    first = gamma_variate_hu(axis_s, start_s=bolus.arrival_s, peak_hu=bolus.peak_hu, alpha=bolus.alpha, beta_s=bolus.beta_s)
    mixed = np.cumsum(_convolve(first, -np.gradient(residue(axis_s, bolus.recirculation_s), STEP_S)))
    curve: NDArray[np.float64] = first + bolus.recirculation * bolus.peak_hu * mixed / mixed[-1]
    curve.setflags(write=False)
    return curve


def _convolve(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Causal convolution along the last axis on the internal axis; the trapezoid rule halves the first sample."""
    n_samples = left.shape[-1]
    full = fftconvolve(np.broadcast_to(left, np.broadcast_shapes(left.shape, right.shape)), right, axes=-1)
    return np.asarray((full[..., :n_samples] - 0.5 * left * right[..., :1]) * STEP_S, dtype=np.float64)


def _sample(curve: NDArray[np.float64], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read a curve of the internal axis at any times; 0 before it starts."""
    return np.asarray(np.interp(times_s, _axis_s(), curve, left=0.0), dtype=np.float64)
