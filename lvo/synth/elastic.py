"""Trunks as elastic chains: a course that is longer than the way between its landmarks has to bend, in the cisterns.

A chain has ends that are held, links of a given length, stiffness against bending, and lies in a potential: brain,
ventricles and bone push it out. Relaxed by gradient descent from a rough start it buckles like an artery that outgrew its bed;
elongation is what makes arteries tortuous (Han, J Vasc Res 2012, doi:10.1159/000335123).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lvo.synth.field import Lattice
from lvo.synth.tissue import template
from lvo.synth.tubes import arc_length, densify, resample_course

__all__ = ["Bed", "relax"]

Points = NDArray[np.float64]

_BOX_MM = ((-52.0, -48.0, -62.0), (52.0, 98.0, 48.0))
"""Where trunks run inside the dura, atlas LPS; further out the potential of the box's face goes on."""
_LINK_MM = 1.0
_STEPS = 150
_STIFFNESS = 0.04
_SPRING = 0.25
_PUSH_MM = 0.05
"""Largest shift per step where the potential is steepest."""
_HOLD = 0.015
"""Pull per step back to the start: a chain may wander some millimetres, not into another cistern."""
_START_SD_MM = 0.8
_SHORT_MM = 25.0
"""Shorter chains start in proportion less rough."""
_DURA_MM = 2.0


@dataclass(frozen=True, slots=True)
class Bed:
    """What a chain lies in.

    Args:
        elongation: length of the chain over the length of its start.
        free_below_z_mm: below this height (atlas) it runs in bone or neck, where brain and bone do not push.
        hold: factor on the pull back to the start.
    """

    elongation: float = 1.05
    free_below_z_mm: float = -np.inf
    hold: float = 1.0


def relax(rng: np.random.Generator, landmarks_mm: Points, bed: Bed) -> Points:
    """Lay a chain through landmarks and let it settle; (N, 3) course every 0.7 mm.

    Args:
        rng: source of randomness: how it starts to buckle.
        landmarks_mm: (M, 3) atlas positions; the first and the last are held.
        bed: what it lies in.
    """
    start = resample_course(densify(landmarks_mm), step_mm=_LINK_MM)
    n = len(start)
    if n < 5:
        return resample_course(start, step_mm=0.7)
    kick = ndimage.gaussian_filter1d(rng.standard_normal((n, 3)), 2.5, axis=0, mode="reflect") * (
        _START_SD_MM * 3.0 * min(1.0, n * _LINK_MM / _SHORT_MM)
    )
    kick *= np.minimum(1.0, np.minimum(np.arange(n), np.arange(n)[::-1]) / 4.0)[:, None]
    link = arc_length(start)[-1] * bed.elongation / (n - 1)
    inside = start[:, 2] >= bed.free_below_z_mm
    chain = start + kick
    for _ in range(_STEPS):
        move = _springs(chain, link) + _bending(chain) - _HOLD * bed.hold * (chain - start)
        move[inside] += _push(chain[inside])
        move[0] = move[-1] = 0.0
        chain = chain + move
    smooth = ndimage.gaussian_filter1d(chain, 1.0, axis=0, mode="nearest")
    smooth[0], smooth[-1] = start[0], start[-1]
    return resample_course(smooth, step_mm=0.7)


def _springs(chain: Points, link: float) -> Points:
    """Links that are too short push their ends apart, links that are too long pull."""
    bond = np.diff(chain, axis=0)
    length = np.maximum(np.linalg.norm(bond, axis=1, keepdims=True), 1e-6)
    force = _SPRING * (length - link) * bond / length
    move = np.zeros_like(chain)
    move[:-1] += force
    move[1:] -= force
    return move


def _bending(chain: Points) -> Points:
    """Minus the fourth difference: bends spread out."""
    curvature = np.zeros_like(chain)
    curvature[1:-1] = chain[2:] - 2.0 * chain[1:-1] + chain[:-2]
    move = np.zeros_like(chain)
    move[1:-1] = curvature[2:] - 2.0 * curvature[1:-1] + curvature[:-2]
    return np.asarray(-_STIFFNESS * move)


def _push(points: Points) -> Points:
    """Downhill in the potential, at most `_PUSH_MM`."""
    slope = np.stack([axis.at(points) for axis in _slopes()], axis=1).astype(np.float64)
    size = np.linalg.norm(slope, axis=1, keepdims=True)
    return np.asarray(-_PUSH_MM * slope / np.maximum(size, 0.25))


@cache
def _slopes() -> tuple[Lattice, Lattice, Lattice]:
    """Gradient of the potential along x, y and z per mm: tissue and ventricles 1, bone more; computed once per process."""
    anatomy = template()
    low, high = (np.rint(np.subtract(corner, anatomy.brain.origin_mm)).astype(int) for corner in _BOX_MM)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(low[::-1], high[::-1], strict=True))
    origin = tuple(float(a) for a in np.asarray(anatomy.brain.origin_mm) + low)
    points = anatomy.brain.points()[box]
    wall = np.clip(anatomy.inner_mm.at(points) + _DURA_MM, 0.0, 4.0)
    solid = anatomy.brain.array[box] + ndimage.gaussian_filter(anatomy.ventricle.array[box], 1.0)
    potential = ndimage.gaussian_filter(solid + 0.5 * wall, 0.8)
    return tuple(  # type: ignore[return-value]
        Lattice(np.ascontiguousarray(part, dtype=np.float32), (origin[0], origin[1], origin[2]), 1.0)
        for part in np.gradient(potential)[::-1]
    )
