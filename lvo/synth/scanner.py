"""The scanner: blur, kernel, noise and beam hardening, as numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["FWHM_PER_SD", "Scanner"]

_GRAIN_ALONG_K = 0.95
"""Noise is correlated less from slice to slice than in the slice (measured on a real CTA)."""
FWHM_PER_SD = 2.3548
"""Full width at half maximum of a Gaussian of standard deviation 1."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """How the image is made; the defaults match a routine CTA (noise, grain and edge width of a real crop, see the tests).

    Args:
        noise_sd_hu: standard deviation of the noise in the brain.
        psf_fwhm_mm: width of the point spread function.
        edge_enhancement: strength of the kernel's overshoot, 0 for a smooth kernel.
        noise_grain_mm: correlation length of the noise in the slice.
        cupping_hu: brightening of the brain next to the skull by beam hardening.
        headrest: draw the arc below the head.
        bone: attenuation of bone and calcium against that at 120 kVp.
        seed: of the noise.

    Raises:
        ValueError: a negative number.
    """

    noise_sd_hu: float = 12.0
    psf_fwhm_mm: float = 1.2
    edge_enhancement: float = 0.15
    noise_grain_mm: float = 0.42
    cupping_hu: float = 6.0
    headrest: bool = True
    bone: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        for name in ("noise_sd_hu", "psf_fwhm_mm", "edge_enhancement", "noise_grain_mm", "bone", "seed"):
            if getattr(self, name) < 0:
                msg = f"Scanner.{name} must not be negative, got {getattr(self, name)}"
                raise ValueError(msg)

    def blurred(self, hu: NDArray[np.float32], spacing_kji_mm: NDArray[np.float64]) -> NDArray[np.float32]:
        """Apply point spread and kernel to (K, J, I) values; one slice width at the border is influenced by the border."""
        sigma = self.psf_fwhm_mm / FWHM_PER_SD / spacing_kji_mm
        smooth = _gaussian(hu, sigma)
        if self.edge_enhancement > 0:
            smooth += self.edge_enhancement * (smooth - _gaussian(smooth, 2.0 * sigma))
        return smooth

    def noise(self, shape_ji: tuple[int, int], slices: range, spacing_kji_mm: NDArray[np.float64]) -> NDArray[np.float32]:
        """Correlated noise of the asked slices; the same slice gets the same noise whichever range asks for it."""
        sigma = self.noise_grain_mm * np.array([_GRAIN_ALONG_K, 1.0, 1.0]) / spacing_kji_mm
        reach = int(np.ceil(3.0 * sigma[0]))
        wanted = range(slices.start - reach, slices.stop + reach)
        white = np.stack([
            np.random.default_rng((self.seed, 77, k + 10_000)).standard_normal(shape_ji, dtype=np.float32) for k in wanted
        ])  # fmt: skip
        grain = _gaussian(white, sigma, mode="wrap")[reach : reach + len(slices)]
        return np.asarray(grain * np.float32(self.noise_sd_hu / _noise_gain(sigma)))


def _gaussian(
    values: NDArray[np.float32], sigma: NDArray[np.float64], mode: Literal["nearest", "wrap"] = "nearest"
) -> NDArray[np.float32]:
    """Separable Gaussian, axes without width skipped."""
    for axis, width in enumerate(sigma):
        if width > 0.15 and values.shape[axis] > 1:
            values = ndimage.gaussian_filter1d(values, float(width), axis=axis, mode=mode, truncate=3.0)
    return np.array(values, dtype=np.float32)


def _noise_gain(sigma: NDArray[np.float64]) -> float:
    """Standard deviation of unit white noise after `_gaussian`."""
    gain = 1.0
    for width in sigma:
        if width > 0.15:
            impulse = np.zeros(2 * int(3 * width + 1) + 3)
            impulse[len(impulse) // 2] = 1.0
            gain *= float(np.linalg.norm(ndimage.gaussian_filter1d(impulse, float(width), truncate=3.0)))
    return gain
