"""Random smooth fields, which make every head a little different, and lattices, where tissue values are looked up."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

__all__ = ["Lattice", "SmoothField", "upsample"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SmoothField:
    """A vector field of random plane waves: continuous everywhere, so vessels that share a point still share it when moved.

    Args:
        wave_per_mm: (M, 3) angular wave vectors.
        phase: (M,) phases.
        amplitude_mm: (M, 3) displacement of each wave.
    """

    wave_per_mm: NDArray[np.float64]
    phase: NDArray[np.float64]
    amplitude_mm: NDArray[np.float64]

    @classmethod
    def random(
        cls, rng: np.random.Generator, *, sd_mm: ArrayLike, wavelength_mm: tuple[float, float], n_waves: int = 10
    ) -> "SmoothField":
        """Draw a field.

        Args:
            rng: source of randomness.
            sd_mm: standard deviation of the displacement, one number or one per axis.
            wavelength_mm: shortest and longest wave.
            n_waves: how many waves are added.
        """
        direction = rng.standard_normal((n_waves, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = rng.uniform(*wavelength_mm, n_waves)
        amplitude = rng.standard_normal((n_waves, 3)) * np.asarray(sd_mm) * np.sqrt(2.0 / n_waves)
        return cls(2.0 * np.pi * direction / length[:, None], rng.uniform(0.0, 2.0 * np.pi, n_waves), amplitude)

    def at(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Displacement (..., 3) mm at (..., 3) points."""
        points = np.asarray(points_mm, dtype=np.float64)
        return np.asarray(np.cos(points @ self.wave_per_mm.T + self.phase) @ self.amplitude_mm)

    def moved(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """The (..., 3) points after the displacement."""
        return np.asarray(points_mm, dtype=np.float64) + self.at(points_mm)

    def undone(self, points_mm: ArrayLike, *, n_steps: int = 4) -> NDArray[np.float64]:
        """The (..., 3) points whose displacement ends at the given ones, by fixed-point iteration.

        Converges while the field bends by less than its wavelength; four steps leave under 0.01 mm for the fields used here.
        """
        target = np.asarray(points_mm, dtype=np.float64)
        points = target - self.at(target)
        for _ in range(n_steps - 1):
            points = target - self.at(points)
        return points


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Values on an isotropic atlas lattice: (K, J, I) array, position of its first sample (x, y, z) and step in mm.

    Args:
        array: the values.
        origin_mm: (x, y, z) of voxel (0, 0, 0).
        step_mm: distance between samples.
        wrap: repeat the lattice periodically outside; otherwise the border value continues.
    """

    array: Floats
    origin_mm: tuple[float, float, float]
    step_mm: float
    wrap: bool = False

    def at(self, points_mm: NDArray[np.floating]) -> Floats:
        """Linear interpolation at (..., 3) points (x, y, z)."""
        index = (np.asarray(points_mm) - np.asarray(self.origin_mm)) / self.step_mm
        coordinates = np.moveaxis(index[..., ::-1], -1, 0)
        mode: Literal["grid-wrap", "nearest"] = "grid-wrap" if self.wrap else "nearest"
        return np.asarray(
            ndimage.map_coordinates(self.array, coordinates, output=np.float32, order=1, mode=mode, prefilter=False)
        )

    def points(self) -> NDArray[np.float32]:
        """(K, J, I, 3) positions of all samples."""
        axes = [
            np.float32(start) + np.float32(self.step_mm) * np.arange(n, dtype=np.float32)
            for start, n in zip(self.origin_mm[::-1], self.array.shape, strict=True)
        ]
        z, y, x = np.meshgrid(*axes, indexing="ij")
        return np.stack([x, y, z], axis=-1)


def upsample(array: Floats, index_kji: tuple[NDArray[np.float64], ...]) -> Floats:
    """Interpolate a (K, J, I) array linearly at the outer product of fractional indices, one axis after the other.

    Args:
        array: values on the coarse grid.
        index_kji: fractional indices along k, j and i; their lengths are the shape of the result.
    """
    for axis, index in enumerate(index_kji):
        low = np.clip(np.floor(index).astype(np.intp), 0, array.shape[axis] - 1)
        high = np.minimum(low + 1, array.shape[axis] - 1)
        weight = np.clip(index - low, 0.0, 1.0).astype(np.float32)
        shape = [1, 1, 1]
        shape[axis] = -1
        first = np.take(array, low, axis=axis)
        second = np.take(array, high, axis=axis)
        second -= first
        second *= weight.reshape(shape)
        second += first
        array = second
    return array
