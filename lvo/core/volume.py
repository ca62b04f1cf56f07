"""Images in patient space: an array cannot travel without its grid and its unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.core.grid import Grid

__all__ = ["AIR_HU", "DISPLAY_TOP", "Quantity", "TimeSeries", "Volume"]

AIR_HU = -1024.0
"""Air, and what was not scanned: the lowest value that CT stores in 12 bits."""


class Quantity(StrEnum):
    """What the numbers of an image mean; the value is the UCUM unit that DICOM wants (PS3.16 CID 7181)."""

    HU = "[hnsf'U]"
    PROBABILITY = "1"
    MASK = "{mask}"
    LABEL = "{label}"
    CBF = "ml/(100.g)/min"
    CBV = "ml/(100.g)"
    MTT = "s{mtt}"
    TMAX = "s{tmax}"
    DELAY = "s{delay}"

    @property
    def ucum(self) -> str:
        """The unit without the annotation that tells equal units apart."""
        return self.value.split("{", 1)[0] or "1"


DISPLAY_TOP: Mapping[Quantity, float] = MappingProxyType(
    {Quantity.CBF: 80.0, Quantity.CBV: 6.0, Quantity.MTT: 15.0, Quantity.TMAX: 15.0, Quantity.DELAY: 10.0}
)
"""Value at the top of the colours of a perfusion map, in its unit; the bottom is 0. The customary ranges of CT perfusion
viewers, fixed, so that the maps of two patients can be compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One image: (K, J, I) values, read-only, on a grid.

    Raises:
        ValueError: the array does not have the shape of the grid.
    """

    array: NDArray[Any]
    grid: Grid
    quantity: Quantity

    def __post_init__(self) -> None:
        """Refuse a shape that does not fit, and lock the values."""
        if self.array.shape != self.grid.shape_kji:
            msg = f"array must have the shape of its grid {self.grid.shape_kji}, got {self.array.shape}"
            raise ValueError(msg)
        object.__setattr__(self, "array", read_only(self.array))


@dataclass(frozen=True, slots=True, eq=False)
class TimeSeries:
    """A volume that was scanned again and again: (T, K, J, I) values, read-only, with the time of every slice.

    Args:
        array: (T, K, J, I) values.
        grid: the grid of each frame.
        times_s: (T, K) acquisition time of every slice in seconds after the first, strictly growing along T.
        quantity: what the numbers mean.

    Raises:
        ValueError: shapes do not fit, or a slice's times do not grow.
    """

    array: NDArray[Any]
    grid: Grid
    times_s: NDArray[np.float64]
    quantity: Quantity = Quantity.HU

    def __post_init__(self) -> None:
        """Refuse what is not a time series, and lock the values."""
        n_slices = self.grid.shape_kji[0]
        if self.array.ndim != 4 or self.array.shape[1:] != self.grid.shape_kji:
            msg = f"array must be (T, {', '.join(map(str, self.grid.shape_kji))}), got {self.array.shape}"
            raise ValueError(msg)
        times_s = np.asarray(self.times_s, dtype=np.float64)
        if times_s.shape != (self.array.shape[0], n_slices):
            msg = f"times_s must be (T, K) = {(self.array.shape[0], n_slices)}, got {times_s.shape}"
            raise ValueError(msg)
        if not np.isfinite(times_s).all() or (np.diff(times_s, axis=0) <= 0).any():
            msg = "times_s must be finite and grow from frame to frame in every slice"
            raise ValueError(msg)
        object.__setattr__(self, "array", read_only(self.array))
        object.__setattr__(self, "times_s", read_only(times_s))

    def frame(self, index: int) -> Volume:
        """One frame as a volume (times of its slices may differ)."""
        return Volume(self.array[index], self.grid, self.quantity)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view of the array that cannot be written through."""
    view = array.view()
    view.setflags(write=False)
    return view
