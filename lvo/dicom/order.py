"""Notice slices whose recorded positions are out of order. A hint for a note: positions are never repaired.

Two things tell. The scanner's own count of the images, where it follows the positions but for a few that have changed places;
and the images, where a slice looks like neither of its neighbours although these look like each other.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.dicom.frames import Frame

__all__ = ["miscounted", "strangers"]

_MAX_SHARE = 0.1
"""More images than this part out of line is another way of counting (interleaved, in blocks), not a mistake."""

_STRANGE = 1.3
"""A slice differs from both neighbours this many times more than these from each other, and than neighbours usually do. In
order it is 0.8 at most in seven real and synthetic stacks of 1 to 7 mm, 1.0 with 40 HU of noise added; two slices exchanged
over 8 mm and more mostly reach 1.4 to 15, nearer ones are seen by the scanner's count only."""

_LEAST_HU = 1.0
"""Slices that differ less on average are alike: air above the head."""

_HU = (-200, 300)
"""Range of CT numbers that is compared: bone and air of different density must not drown the rest. Whole, so that int16 stays
int16."""

_MIN_SLICES = 10
"""Fewer have no order that two could break, and no usual difference."""

_STEP = 4
"""Every so many pixels of a row and a column are compared."""


def miscounted(frames: Sequence[Frame]) -> tuple[int, ...]:
    """Numbers of the slices that the scanner counted, or located, at the place of another.

    Orders that scanners use give none: growing, falling, interleaved, in blocks, or unrelated to position.

    Args:
        frames: one plane per position, in order of position.
    """
    if len(frames) < _MIN_SLICES:
        return ()
    for name in ("instance_number", "slice_location_mm"):
        values = [getattr(frame, name) for frame in frames]
        if None in values or len(set(values)) < len(values):
            continue
        rank = np.argsort(np.argsort(values))
        for expected in (np.arange(len(rank)), np.arange(len(rank))[::-1]):
            wrong = np.flatnonzero(rank != expected)
            if 0 < wrong.size <= max(2.0, _MAX_SHARE * len(rank)):
                return tuple(int(k) for k in wrong)
    return ()


def strangers(slices_hu: NDArray[Any]) -> tuple[int, ...]:
    """Numbers of the slices that look like neither neighbour, while these look like each other.

    Args:
        slices_hu: (K, J, I) HU in order of position.
    """
    if len(slices_hu) < _MIN_SLICES:
        return ()
    small = np.clip(slices_hu[:, ::_STEP, ::_STEP], *_HU)
    near = np.array([np.abs(a - b).mean() for a, b in pairwise(small)])
    across = np.array([np.abs(a - b).mean() for a, b in zip(small[:-2], small[2:], strict=True)])
    ratio = np.minimum(near[:-1], near[1:]) / np.maximum(across, max(float(np.median(near)), _LEAST_HU))
    return tuple(int(k) + 1 for k in np.flatnonzero(ratio > _STRANGE))
