"""Arrival delay and blood volume by matching each curve against shifted arteries seen through simple residues.

Tmax is not a delay: it also grows with the transit time, and the 6 s rule is calibrated on that sum. The delay is found in a
dictionary: arterial curves, shifted and passed through residues of three shapes and several widths. The atom that explains
most of the curve gives the delay, and says when the bolus is in the tissue. The blood volume is the enhancement inside that
time less the enhancement outside, over the same of the atom. Like the atoms, it is blind to a constant: an error of the
baseline, which multiplied by the length of the record swamps a plain area under the curve, does not count.

References:
    Bennink et al., J Med Imaging 2016;3:026003, doi:10.1117/1.JMI.3.2.026003, for box residues; shapes of Kudo et al.,
    Radiology 2013;267:201, doi:10.1148/radiol.12112618.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

__all__ = ["Dictionary", "Match", "build", "match"]

DELAYS_S = np.arange(-3.0, 15.01, 0.5)
"""Delays tried. -3 s: the artery was chosen a little downstream; 15 s: the latest collateral filling worth a number."""
TRANSITS_S = np.geomspace(1.5, 24.0, 15)
"""Mean transit times tried: normal grey matter 3 to 4 s, core beyond 15 s."""
SHAPES: tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], ...] = (
    lambda x: (x < 1.0).astype(np.float64),
    lambda x: np.exp(-x),
    lambda x: np.maximum(1.0 - 0.5 * x, 0.0),
)
"""Box, exponential and linear residue as functions of time over mean transit time."""
BOLUS_LEVEL = 0.1
"""The bolus is in the tissue while the atom is above this share of its peak."""
FINE_PER_FRAME = 8
"""Points per frame on which the convolutions are computed."""
CHUNK = 4096
"""Voxels per matrix product: the working set stays in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """D atoms of T frames.

    Args:
        curves: (D, T) float32, what tissue that is all blood would show, HU above baseline.
        atoms: (D, T) float32, mean 0 and length 1.
        volume_weights: (D, T) float32, whose product with a curve is its blood volume, mL per mL of voxel.
        delay_s: (D,) arrival after the artery.
        transit_s: (D,) mean transit time.
    """

    curves: NDArray[np.float32]
    atoms: NDArray[np.float32]
    volume_weights: NDArray[np.float32]
    delay_s: NDArray[np.float32]
    transit_s: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """What the dictionary says of N curves.

    Args:
        atom: (N,) index of the closest atom.
        share: (N,) factor by which the curve of that atom comes closest to the curve, at least 0.
        blood_ml_ml: (N,) blood volume, mL per mL of voxel: nearly the same number, less bound to the shape of the atom.
    """

    atom: NDArray[np.intp]
    share: NDArray[np.float32]
    blood_ml_ml: NDArray[np.float32]


def build(aif_hu: NDArray[np.float64], dt_s: float) -> Dictionary:
    """Dictionary of a (T,) arterial curve on a uniform time base."""
    step_s = dt_s / FINE_PER_FRAME
    fine_s = np.arange((aif_hu.size - 1) * FINE_PER_FRAME + 1) * step_s
    frames_s = np.arange(aif_hu.size) * dt_s
    arterial = CubicSpline(frames_s, aif_hu)(fine_s)
    lag_s = fine_s + 0.5 * step_s  # the residue is read in the middle of each step, so its curves belong half a step later
    rows = []
    for transit_s, shape in product(TRANSITS_S, SHAPES):
        residue = shape(lag_s / transit_s)
        passed = np.convolve(arterial, residue / residue.sum())[: fine_s.size]
        for delay_s in DELAYS_S:
            # beyond the record the curve is unknown; holding the last value is the least surprising continuation
            curve = np.interp(frames_s - delay_s, lag_s, passed, left=0.0)  # of tissue that is all blood: 1 mL per mL
            inside = curve > BOLUS_LEVEL * curve.max()
            if not inside.any() or inside.all():
                continue
            weights = inside - inside.mean()
            centred = curve - curve.mean()
            rows.append((curve, centred / np.linalg.norm(centred), weights / (weights @ curve), delay_s, transit_s))
    return Dictionary(*(np.array(column, dtype=np.float32) for column in zip(*rows, strict=True)))


def match(curves: NDArray[np.float32], dictionary: Dictionary) -> Match:
    """Match (T, N) curves, HU above baseline. A curve like no atom, all noise, gets a blood volume near 0."""
    best = np.empty(curves.shape[1], dtype=np.intp)
    share, blood = np.empty(curves.shape[1], dtype=np.float32), np.empty(curves.shape[1], dtype=np.float32)
    length_hu = np.einsum("dt,dt->d", dictionary.curves, dictionary.atoms)
    for start in range(0, curves.shape[1], CHUNK):
        here = slice(start, start + CHUNK)
        by_voxel = np.ascontiguousarray(curves[:, here].T)
        score_hu = by_voxel @ dictionary.atoms.T  # a voxel per row: numpy finds maxima along rows 20 times faster
        best[here] = score_hu.argmax(axis=1)
        share[here] = score_hu.max(axis=1) / length_hu[best[here]]
        blood[here] = np.einsum("nt,nt->n", dictionary.volume_weights[best[here]], by_voxel)
    return Match(best, np.maximum(share, 0.0), np.maximum(blood, 0.0))
