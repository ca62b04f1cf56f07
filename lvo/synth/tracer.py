"""Tracer kinetics in closed form: what an artery, a vein and tissue of known flow show, to judge a deconvolution by.

An artery is a sum of gamma variates, that is, of areas times gamma densities of the time at which a particle passes. Tissue
keeps a particle for a random transit time; its residue is the survival function of that time (Meier and Zierler 1954,
doi:10.1152/jappl.1954.6.12.731). What is inside at time t has entered and not left: with X the time of entry and Y the transit
time, the curve is flow * area * (P(X <= t) - P(X + Y <= t)). Both are incomplete gamma functions for a box, a linear, an
exponential and a gamma residue, with or without dispersion by an exponential kernel (a sum of gamma variables: Moschopoulos
1985, doi:10.1007/BF02481123), so there is no numerical convolution. The log-normal residue is integrated numerically, to 1e-6
of the peak. A sampled artery is taken as straight between its samples; its curves are then exact for every residue.

All curves are HU above baseline; iodine enhancement is taken as linear in concentration.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammainc, gammaincc, gammaln, ndtr

__all__ = [
    "BRAIN_DENSITY_G_ML", "HAEMATOCRIT_FACTOR", "RESIDUES", "Artery", "Residue", "SampledArtery", "Transit", "gamma_variate_hu",
]  # fmt: skip

BRAIN_DENSITY_G_ML = 1.04
"""Density of brain tissue; 1.04 to 1.05 in every peer package."""
HAEMATOCRIT_FACTOR = 0.73
"""(1 - large-vessel haematocrit 0.45) / (1 - small-vessel haematocrit 0.25): capillaries carry more plasma, so more agent
(Fieselmann et al. 2011, doi:10.1155/2011/467563)."""
ML_100G_PER_FRACTION = 100.0 * HAEMATOCRIT_FACTOR / BRAIN_DENSITY_G_ML
"""Blood volume in mL/100 g of a voxel that enhances as if it were all arterial blood."""
S_PER_MIN = 60.0
QUADRATURE_NODES = 128
"""Gauss-Legendre nodes for the log-normal residue."""
NORMAL_TAIL = 8.0
"""Standard deviations after which a normal distribution is taken to end: 1e-15 of it is left out."""

Floats = NDArray[np.float64]
Residue = Literal["exp", "linear", "box", "gamma", "lognormal"]
RESIDUES: tuple[Residue, ...] = ("exp", "linear", "box", "gamma", "lognormal")


@dataclass(frozen=True, slots=True)
class Transit:
    """How long tissue keeps a particle.

    Args:
        residue: "box" (all leave at once), "linear" (falling straight to 0 at twice the mean), "exp" (one well-stirred
            compartment), "gamma" or "lognormal" (distribution of the transit times).
        shape: of the gamma distribution (1 is "exp", large values approach "box"), or the standard deviation of the logarithm
            of log-normal transit times; not used by the others.

    Raises:
        ValueError: an unknown residue, or a shape that is not positive.
    """

    residue: Residue = "exp"
    shape: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what has no closed form."""
        if self.residue not in RESIDUES or self.shape <= 0.0:
            msg = f"residue must be one of {', '.join(RESIDUES)} with a positive shape, got {self.residue} and {self.shape}"
            raise ValueError(msg)

    def residue_at(self, times_s: ArrayLike, mtt_s: ArrayLike) -> Floats:
        """Fraction still in the tissue after a time; 1 at 0, with integral `mtt_s`. Arguments broadcast."""
        times, mtt = np.maximum(np.asarray(times_s, dtype=np.float64), 0.0), np.asarray(mtt_s, dtype=np.float64)
        if self.residue == "box":
            return np.asarray(times < mtt, dtype=np.float64)
        if self.residue == "linear":
            return np.maximum(1.0 - times / (2.0 * mtt), 0.0)
        if self.residue == "lognormal":
            return np.asarray(ndtr(-self._normal(times, mtt)))
        shape = self._gamma_shape
        return np.asarray(gammaincc(shape, times * shape / mtt))

    def twice_integrated(self, times_s: Floats, mtt_s: Floats) -> Floats:
        """Response to an input that rises by 1 a second from 0 on: the integral of (t - u) R(u) over u from 0 to t.

        It is t^2 / 2 less half of E[(t - Y)^2] over the particles that have left, from the partial moments of Y.
        """
        t = np.maximum(times_s, 0.0)
        if self.residue == "box":
            left = np.maximum(t - mtt_s, 0.0) ** 2
        elif self.residue == "linear":
            left = (t**3 - np.maximum(t - 2.0 * mtt_s, 0.0) ** 3) / (6.0 * mtt_s)
        else:
            share, first, second = self._partial_moments(t, mtt_s)
            left = t * (t * share - 2.0 * first) + second
        return np.asarray(0.5 * (t**2 - left))

    @property
    def _gamma_shape(self) -> float:
        return self.shape if self.residue == "gamma" else 1.0

    def _normal(self, times_s: Floats, mtt_s: Floats) -> Floats:
        """Standard normal variable of a log-normal transit time of that mean."""
        with np.errstate(divide="ignore"):
            return np.asarray((np.log(times_s) - np.log(mtt_s)) / self.shape + 0.5 * self.shape)

    def _partial_moments(self, times_s: Floats, mtt_s: Floats) -> tuple[Floats, Floats, Floats]:
        """E[Y^n; Y <= t] for n = 0, 1 and 2, of gamma or log-normal transit times."""
        s = self._gamma_shape
        if self.residue == "lognormal":
            z, spread = self._normal(times_s, mtt_s), np.exp(self.shape**2)
            return np.asarray(ndtr(z)), mtt_s * ndtr(z - self.shape), mtt_s**2 * spread * ndtr(z - 2.0 * self.shape)
        x = times_s * s / mtt_s
        second = mtt_s**2 * (s + 1.0) / s
        return np.asarray(gammainc(s, x)), mtt_s * gammainc(s + 1.0, x), second * gammainc(s + 2.0, x)


def gamma_variate_hu(times_s: ArrayLike, *, start_s: float, peak_hu: float, alpha: float, beta_s: float) -> Floats:
    """Enhancement of a single pass: rises from `start_s` to `peak_hu` after another alpha * beta seconds."""
    phase = np.maximum(np.asarray(times_s, dtype=np.float64) - start_s, 0.0) / (alpha * beta_s)
    return np.asarray(peak_hu * phase**alpha * np.exp(alpha * (1.0 - phase)))


@dataclass(frozen=True, slots=True)
class Artery:
    """A first pass, its recirculation and its dispersion.

    Args:
        start_s: when the agent arrives.
        peak_hu: highest enhancement of the first pass, before dispersion.
        alpha: shape of the gamma variate.
        beta_s: its time scale.
        recirculation: area of the second, broader pass over that of the first; 0 for none.
        recirculation_s: how much later the second pass starts.
        recirculation_width: its time scale over that of the first.
        dispersion_s: mean of the exponential kernel that both passes went through; 0 for none.
    """

    start_s: float = 8.0
    peak_hu: float = 400.0
    alpha: float = 3.0
    beta_s: float = 1.5
    recirculation: float = 0.0
    recirculation_s: float = 8.0
    recirculation_width: float = 3.0
    dispersion_s: float = 0.0

    def hu(self, times_s: ArrayLike) -> Floats:
        """Enhancement at any times."""
        if self.dispersion_s:  # an exponential kernel is an exponential residue of area 1
            return replace(self, dispersion_s=0.0).passed_hu(times_s, Transit("exp"), mtt_s=self.dispersion_s)
        return np.asarray(sum(
            gamma_variate_hu(times_s, start_s=start, peak_hu=peak, alpha=self.alpha, beta_s=beta)
            for start, peak, beta in self._passes()
        ))  # fmt: skip

    def passed_hu(self, times_s: ArrayLike, transit: Transit, *, mtt_s: ArrayLike, delay_s: ArrayLike = 0.0) -> Floats:
        """Enhancement of a voxel that is all blood in transit: the artery convolved with residue / mtt. Arguments broadcast.

        Raises:
            ValueError: a gamma residue is too fast beside this artery, see `MAX_SPREAD`.
        """
        mtt = np.asarray(mtt_s, dtype=np.float64)
        t = np.asarray(times_s, dtype=np.float64) - np.asarray(delay_s, dtype=np.float64)
        inside = np.zeros(np.broadcast_shapes(t.shape, mtt.shape))
        for start_s, peak_hu, beta_s in self._passes():
            area = peak_hu * np.exp(self.alpha - self.alpha * np.log(self.alpha) + gammaln(self.alpha + 1.0)) * beta_s
            parts: list[_Part] = [(self.alpha + 1.0, np.asarray(beta_s))]
            if self.dispersion_s:
                parts.append((1.0, np.asarray(self.dispersion_s)))
            entered, _ = _sum_of_gammas(t - start_s, parts)
            inside = inside + area * (entered - _left(t - start_s, parts, transit, mtt))
        return np.asarray(inside / mtt)

    def tissue_hu(
        self, times_s: ArrayLike, transit: Transit, *, cbf_ml_100g_min: ArrayLike, mtt_s: ArrayLike, delay_s: ArrayLike = 0.0
    ) -> Floats:
        """Enhancement of tissue with that flow, mean transit time and arrival after the artery. Arguments broadcast."""
        return _volume_fraction(cbf_ml_100g_min, mtt_s) * self.passed_hu(times_s, transit, mtt_s=mtt_s, delay_s=delay_s)

    def _passes(self) -> Iterator[tuple[float, float, float]]:
        """Start, peak and time scale of each pass; a peak is area over width."""
        yield self.start_s, self.peak_hu, self.beta_s
        if self.recirculation:
            peak_hu = self.peak_hu * self.recirculation / self.recirculation_width
            yield self.start_s + self.recirculation_s, peak_hu, self.beta_s * self.recirculation_width


@dataclass(frozen=True, slots=True, eq=False)
class SampledArtery:
    """An arterial curve that was measured or drawn: straight between its samples, its first value before, its last after them.

    Args:
        times_s: (N,) growing seconds, not necessarily even.
        samples_hu: (N,) enhancement; the first must be 0, or tissue would have been filled for ever.

    Raises:
        ValueError: the shapes differ, times do not grow, or the curve does not start at 0.
    """

    times_s: Floats
    samples_hu: Floats

    def __post_init__(self) -> None:
        """Refuse a curve that cannot be convolved."""
        times, values = np.asarray(self.times_s, dtype=np.float64), np.asarray(self.samples_hu, dtype=np.float64)
        if times.ndim != 1 or times.shape != values.shape or (np.diff(times) <= 0).any() or values[0] != 0.0:
            msg = f"a sampled artery needs growing times and as many values from 0 on, got {times.shape} and {values.shape}"
            raise ValueError(msg)
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "samples_hu", values)

    def hu(self, times_s: ArrayLike) -> Floats:
        """Enhancement at any times."""
        return np.asarray(np.interp(np.asarray(times_s, dtype=np.float64), self.times_s, self.samples_hu))

    def passed_hu(self, times_s: ArrayLike, transit: Transit, *, mtt_s: ArrayLike, delay_s: ArrayLike = 0.0) -> Floats:
        """As `Artery.passed_hu`."""
        mtt = np.asarray(mtt_s, dtype=np.float64)
        t = np.asarray(times_s, dtype=np.float64) - np.asarray(delay_s, dtype=np.float64)
        inside = np.zeros(np.broadcast_shapes(t.shape, mtt.shape))
        slope = np.diff(self.samples_hu) / np.diff(self.times_s)
        for knot_s, bend in zip(self.times_s, np.diff(slope, prepend=0.0, append=0.0), strict=True):
            if bend:
                inside = inside + bend * transit.twice_integrated(t - knot_s, mtt)
        return np.asarray(inside / mtt)

    def tissue_hu(
        self, times_s: ArrayLike, transit: Transit, *, cbf_ml_100g_min: ArrayLike, mtt_s: ArrayLike, delay_s: ArrayLike = 0.0
    ) -> Floats:
        """As `Artery.tissue_hu`."""
        return _volume_fraction(cbf_ml_100g_min, mtt_s) * self.passed_hu(times_s, transit, mtt_s=mtt_s, delay_s=delay_s)


MAX_SPREAD = 35.0
"""Time scale of the artery over that of one compartment, up to which the series is good to 1e-5 of the peak."""
_Part = tuple[float, Floats]
"""Shape and scale of a gamma variable."""


def _volume_fraction(cbf_ml_100g_min: ArrayLike, mtt_s: ArrayLike) -> Floats:
    """Part of the voxel that enhances like blood: CBV = CBF * MTT (central volume theorem), corrected for haematocrit."""
    cbv = np.asarray(cbf_ml_100g_min, dtype=np.float64) * np.asarray(mtt_s, dtype=np.float64) / S_PER_MIN
    return np.asarray(cbv / ML_100G_PER_FRACTION)


def _left(t: Floats, parts: list[_Part], transit: Transit, mtt_s: Floats) -> Floats:
    """Probability that a particle has entered and left by t.

    Raises:
        ValueError: the compartments of a gamma residue are so much faster than the artery that digits are lost.
    """
    widest_s = max(float(scale) for _, scale in parts)
    if transit.residue == "gamma" and widest_s * transit.shape > MAX_SPREAD * float(np.min(mtt_s)):
        found_s, least_s = np.min(mtt_s) / transit.shape, widest_s / MAX_SPREAD
        msg = f"MTT / shape must be at least {least_s:.2g} s beside this artery, got {found_s:.2g} s"
        raise ValueError(msg)
    if transit.residue == "box":
        return _sum_of_gammas(t - mtt_s, parts)[0]
    if transit.residue == "linear":  # transit times are uniform up to twice the mean

        def integral(x: Floats) -> Floats:
            share, mean = _sum_of_gammas(x, parts)
            return x * share - mean

        return np.asarray((integral(t) - integral(t - 2.0 * mtt_s)) / (2.0 * mtt_s))
    if transit.residue == "lognormal":
        return _left_lognormal(t, parts, transit, mtt_s)
    shape = transit.shape if transit.residue == "gamma" else 1.0
    return _sum_of_gammas(t, [*parts, (shape, mtt_s / shape)])[0]


def _left_lognormal(t: Floats, parts: list[_Part], transit: Transit, mtt_s: Floats) -> Floats:
    """As `_left`, integrated over the logarithm of the transit time up to t."""
    t, mtt_s = (axis[..., None] for axis in np.broadcast_arrays(t, mtt_s))
    latest = np.clip(transit._normal(np.maximum(t, 0.0), mtt_s), -NORMAL_TAIL, NORMAL_TAIL)  # noqa: SLF001 - same module
    node, weight = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
    z = 0.5 * (latest - NORMAL_TAIL) + 0.5 * (latest + NORMAL_TAIL) * node
    transit_s = mtt_s * np.exp(transit.shape * z - 0.5 * transit.shape**2)
    entered, _ = _sum_of_gammas(t - transit_s, parts)
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.asarray((0.5 * (latest + NORMAL_TAIL) * weight * density * entered).sum(axis=-1))


def _sum_of_gammas(t: Floats, parts: list[_Part]) -> tuple[Floats, Floats]:
    """P(S <= t) and E[S; S <= t] of a sum S of independent gamma variables.

    Moschopoulos 1985, eq. 2.7 to 2.9: a mixture of gamma variables of the smallest scale. Incomplete gamma functions of order
    rho + k vanish once k is well above t / scale, which ends the series; each follows from the one before.
    """
    scale = parts[0][1]
    for _, other in parts[1:]:
        scale = np.minimum(scale, other)
    rho = sum(shape for shape, _ in parts)
    z = np.maximum(t, 0.0) / scale
    top = float(z.max(initial=0.0))
    n_terms = int(top + 10.0 * np.sqrt(top)) + 30 if len(parts) > 1 else 1
    weights = _mixture_weights(parts, scale, n_terms)
    below = gammainc(rho, z)
    with np.errstate(divide="ignore"):
        step = np.exp(rho * np.log(z) - z - gammaln(rho + 1.0))
    share, mean = np.zeros(below.shape), np.zeros(below.shape)
    for k, weight in enumerate(weights):
        share += weight * below
        below = np.maximum(below - step, 0.0)
        mean += weight * (rho + k) * scale * below
        step = step * z / (rho + k + 1.0)
    return share, mean


def _mixture_weights(parts: list[_Part], scale: Floats, n_terms: int) -> list[Floats]:
    """Weights of the mixture; they add up to 1."""
    ratios = [(shape, 1.0 - scale / own) for shape, own in parts]
    weights = [np.asarray(np.prod([(1.0 - ratio) ** shape + 0.0 * scale for shape, ratio in ratios], axis=0))]
    powers: list[Floats] = []
    for k in range(1, n_terms):
        powers.append(np.asarray(sum(shape * ratio**k for shape, ratio in ratios)))
        total = sum(power * weight for power, weight in zip(powers, reversed(weights), strict=True))
        weights.append(np.asarray(total / k))
    return weights
