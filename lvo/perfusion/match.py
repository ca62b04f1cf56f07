"""Arrival delay, blood volume and transit time by matching each curve against an artery seen through a family of residues.

Tmax is not a delay: it also grows with the transit time, and the 6 s rule is calibrated on that sum. The delay is found in a
dictionary: the arterial curve, shifted and passed through residues of several shapes and widths. Every atom is weighed by how
likely it makes the curve at the noise that the curve itself shows, and the answers are means under these weights. Under noise
that is better than the one best atom: shape and width of the residue are then hardly known, and a mean does not pretend so.

Curves and atoms are compared without their means over time, so an error of the baseline, which multiplied by the length of
the record swamps a plain area under the curve, does not count. The blood volume is that of the whole atom, also of the part
that passes after the end of the record. Atoms are sampled at the true times of the frames: nothing is interpolated in time.

References:
    Box residues: Bennink et al., J Med Imaging 2016;3:026003, doi:10.1117/1.JMI.3.2.026003. Gamma-distributed transit times:
    Mouridsen et al., NeuroImage 2006;33:570, doi:10.1016/j.neuroimage.2006.06.015, who weigh them by their likelihood too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import fftconvolve
from scipy.special import gammainc, gammaincc

__all__ = ["Dictionary", "Family", "Match", "blood_volume", "dictionary", "family", "match"]

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

DELAYS_S = np.arange(-5.0, 16.01, 0.25)
"""Delays tried. Negative: the artery was chosen a little downstream; 16 s: the latest collateral filling worth a number."""
TRANSITS_S = np.geomspace(1.5, 30.0, 36)
"""Mean transit times tried: normal grey matter 3 to 4 s, core beyond 15 s."""


def _gamma(shape: float, x: Floats) -> Floats:
    """Integral of the survival function of gamma-distributed transit times with mean 1."""
    return np.asarray(x * gammaincc(shape, shape * x) + gammainc(shape + 1.0, shape * x))


SHAPES: tuple[Callable[[Floats], Floats], ...] = (
    lambda x: 1.0 - np.exp(-x),
    lambda x: np.where(x < 2.0, x - 0.25 * x**2, 1.0),
    lambda x: _gamma(2.0, x),
    lambda x: _gamma(4.0, x),
    lambda x: _gamma(8.0, x),
    lambda x: np.minimum(x, 1.0),
)
"""Integrals of the residues as functions of time over mean transit time: one stirred compartment, transit times even up to
twice the mean, 2, 4 and 8 compartments in a row (gamma distributions), plug flow."""
FIRST_SHAPES = (0, 3, 5)
FIRST_TRANSITS = slice(1, None, 6)
FIRST_DELAYS = 4
"""What the first look takes of the dictionary: three shapes, every sixth transit time, every fourth delay."""
NEAR_S = 2.0
"""Only delays so close to that of the first look are weighed."""
TRANSIT_PRIOR = 0.5
"""The prior of the transit time on a logarithmic scale grows with this power of it: between 'every factor is as likely' (0),
which under noise shortens the long transits of a core, and 'every second is as likely' (1), which lengthens the short ones."""
MISFIT = 0.015
"""Distance that an atom may have from a curve without noise, as a share of the length of the curve: atoms are a few percent
apart, and no residue of a patient is exactly one of them."""
CLEAN = 0.005
"""Curves with less noise than this, in the same measure, are weighed against every atom. More noise, as the curves of patients
have, hides the difference between neighbours: every third delay and second transit time does, and takes a sixth of the time."""
RANK = 16
"""Dimensions in which curves and atoms are compared. They hold 99.5 % of the length of the average atom."""
IN_RECORD = 0.25
"""Atoms that arrive so late that less than this share of their length lies in the record are left out: any noise fits them."""
FINE_PER_FRAME = 8
"""Points per frame on which the convolutions are computed."""
IMPOSSIBLE = -40.0
"""Logarithm of a weight that counts as 0; smaller ones would be denormal numbers, which are slow."""
BLOCK = 128
"""Voxels weighed at a time: their products with the atoms stay in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Passage of one artery through every residue, before any delay.

    Args:
        times_s: (F,) even fine times.
        curves: (P, F) what tissue that is all blood would show, HU above baseline; ordered by transit time, then shape.
    """

    times_s: Floats
    curves: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """As many atoms at each of several delays, D in all, ordered by delay.

    Args:
        delays_s: the delays.
        unit: (R, D) atoms of length 1.
        answers: (D, 3) prior of the atom times delay, transit time, and 1.
        blood: (D, 1) prior times the blood volume, mL per mL of voxel, of a curve that reaches 1 along the atom.
    """

    delays_s: Floats
    unit: Matrix
    answers: Matrix
    blood: Matrix

    def near(self, delay_s: float) -> "Atoms":
        """Those within `NEAR_S` of a delay."""
        first, last = np.searchsorted(self.delays_s, (delay_s - NEAR_S, delay_s + NEAR_S), side="right")
        per_delay = self.blood.shape[0] // self.delays_s.size
        block = slice(first * per_delay, last * per_delay)
        return Atoms(self.delays_s[first:last], self.unit[:, block], self.answers[block], self.blood[block])


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """The atoms as they show at T frame times, in the R-dimensional space that they span.

    Args:
        basis: (T, R) orthonormal, orthogonal to a constant.
        all: every atom.
        thinned: those of every third delay and second transit time.
        first: (R, F) atoms of the first look.
        first_delay: (F,) indices of their delays.
        first_blood: (F,) blood volume of a curve that reaches 1 along them.
    """

    basis: Matrix
    all: Atoms
    thinned: Atoms
    first: Matrix
    first_delay: NDArray[np.intp]
    first_blood: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """What the dictionary says of N curves: means over the atoms, weighed by how likely each makes the curve.

    Args:
        blood_ml_ml: (N,) blood volume, mL per mL of voxel, at least 0.
        transit_s: (N,) mean transit time.
        delay_s: (N,) arrival after the artery.
    """

    blood_ml_ml: NDArray[np.float32]
    transit_s: NDArray[np.float32]
    delay_s: NDArray[np.float32]


def family(aif_hu: Floats, times_s: Floats) -> Family:
    """Passages of a (B,) arterial curve on an even time base; after the record the artery holds its last value."""
    step_s = float(times_s[1] - times_s[0]) / FINE_PER_FRAME
    n_inside = (times_s.size - 1) * FINE_PER_FRAME + 1
    n_fine = n_inside + int(np.ceil(-DELAYS_S[0] / step_s)) + 1
    fine_s = step_s * np.arange(n_fine)
    arterial = np.full(n_fine, aif_hu[-1])
    arterial[:n_inside] = CubicSpline(times_s - times_s[0], aif_hu)(fine_s[:n_inside])
    edges_s = step_s * np.arange(n_fine + 1)
    leaving = np.stack([np.diff(shape(edges_s / transit_s)) for transit_s in TRANSITS_S for shape in SHAPES])
    # a step of the residue stands for its middle, so the curves belong half a step later
    return Family(times_s[0] + fine_s + 0.5 * step_s, fftconvolve(leaving, arterial[None], axes=1)[:, :n_fine])


def delayed(known: Family, times_s: Floats) -> Matrix:
    """(delay, T, P) curves of the family at (T,) frame times, after every delay."""
    at = (times_s - DELAYS_S[:, None] - known.times_s[0]) / (known.times_s[1] - known.times_s[0])
    left = np.clip(at, 0.0, known.times_s.size - 2).astype(np.intp)
    part = np.where(at < 0.0, 0.0, at - left)[..., None].astype(np.float32)
    there = (at >= 0.0)[..., None].astype(np.float32)
    fine = np.ascontiguousarray(known.curves.T, dtype=np.float32)
    return np.asarray(fine[left] * (there - part) + fine[left + 1] * part)


def dictionary(known: Family, times_s: Floats) -> Dictionary:
    """Dictionary for curves sampled at (T,) times, which need not be even."""
    unit = delayed(known, times_s)
    unit -= unit.mean(axis=1, keepdims=True)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    there = length > IN_RECORD * length.max(axis=0)
    unit *= there / np.where(there, length, 1.0)
    gram = (unit @ unit.transpose(0, 2, 1)).sum(axis=0, dtype=np.float64)
    basis = np.linalg.eigh(gram)[1][:, -min(RANK, times_s.size // 2) :].astype(np.float32)
    inside = basis.T @ unit
    kept = np.where(there, np.linalg.norm(inside, axis=1, keepdims=True), 1.0)
    blood = np.where(there, 1.0 / np.where(there, length * kept, 1.0), 0.0).ravel()
    columns = np.moveaxis(inside / kept, 1, 0).reshape(basis.shape[1], -1)
    delay, transit, shape = (axis.ravel() for axis in np.indices((DELAYS_S.size, TRANSITS_S.size, len(SHAPES))))
    prior = np.where(there.ravel(), TRANSITS_S[transit] ** TRANSIT_PRIOR, 0.0)
    answers = np.stack([DELAYS_S[delay], TRANSITS_S[transit], np.ones(prior.size)], axis=1)

    def atoms(chosen: NDArray[np.bool_]) -> Atoms:
        weight = prior[chosen, None]
        matrices = columns[:, chosen], weight * answers[chosen], weight * blood[chosen, None]
        unit, answer, volume = (np.ascontiguousarray(matrix, dtype=np.float32) for matrix in matrices)
        return Atoms(DELAYS_S[np.unique(delay[chosen])], unit, answer, volume)

    seldom = np.isin(transit, np.arange(TRANSITS_S.size)[FIRST_TRANSITS]) & np.isin(shape, FIRST_SHAPES)
    first = (delay % FIRST_DELAYS == 0) & seldom & there.ravel()
    return Dictionary(
        basis,
        atoms(np.ones(prior.size, dtype=bool)),
        atoms((delay % 3 == 0) & (transit % 2 == 0)),
        np.ascontiguousarray(columns[:, first]),
        delay[first],
        blood[first].astype(np.float32),
    )


def match(curves: Matrix, words: Dictionary) -> Match:
    """Match (T, N) curves, HU above baseline. A curve like no atom, all noise, gets a blood volume near 0."""
    n_frames, n_voxels = curves.shape
    part = curves.T @ words.basis
    energy = np.einsum("tn,tn->n", curves, curves) - curves.sum(axis=0) ** 2 / n_frames
    outside = np.maximum(energy - np.einsum("nr,nr->n", part, part), 0.0)
    variance = outside / (n_frames - 1 - part.shape[1])
    clean = variance < CLEAN**2 * energy
    scale = np.sqrt(2.0 * np.maximum(variance + MISFIT**2 * energy, np.float32(1e-20)))
    part /= scale[:, None]
    near = words.first_delay[(part @ words.first).argmax(axis=1)] + DELAYS_S.size * clean
    order = np.argsort(near, kind="stable")
    edges = np.searchsorted(near[order], np.arange(2 * DELAYS_S.size + 1))
    out = np.empty((n_voxels, 4), dtype=np.float32)
    for kind in np.flatnonzero(np.diff(edges)).tolist():
        atoms = words.all if kind >= DELAYS_S.size else words.thinned
        atoms = atoms.near(float(DELAYS_S[kind % DELAYS_S.size]))
        for start in range(edges[kind], edges[kind + 1], BLOCK):
            here = order[start : min(start + BLOCK, edges[kind + 1])]
            out[here] = _weigh(part[here], atoms)
    delay_s, transit_s, _, blood = (out / out[:, 2:3]).T
    return Match(blood * scale, transit_s, delay_s)


def _weigh(part: Matrix, atoms: Atoms) -> Matrix:
    """(N, 4) sums of delay, transit time, 1 and blood volume under the weights of the atoms.

    Args:
        part: (N, R) curves over their noise times the square root of 2, so that a weight is exp of a squared product.
        atoms: those to weigh.
    """
    along = part @ atoms.unit
    top = np.maximum(along.max(axis=1, keepdims=True), 0.0)  # blood is not negative
    np.maximum(along, np.sqrt(np.maximum(top**2 + IMPOSSIBLE, 0.0)), out=along)
    weight = along * along
    weight -= top**2
    np.exp(weight, out=weight)
    out = np.empty((part.shape[0], 4), dtype=np.float32)
    out[:, :3] = weight @ atoms.answers
    weight *= along
    out[:, 3:] = weight @ atoms.blood
    return out


def blood_volume(curves: Matrix, words: Dictionary) -> NDArray[np.float32]:
    """Blood volume (N,) of (T, N) curves, mL per mL of voxel, at the first look: within a quarter, and several times faster."""
    along = (curves.T @ words.basis) @ words.first
    best = along.argmax(axis=1)
    return np.asarray(np.maximum(along[np.arange(best.size), best], 0.0) * words.first_blood[best])
