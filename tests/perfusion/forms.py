"""Tracer kinetics in closed form, and a small asymmetric head whose perfusion is known. Independent of `lvo.synth`.

The artery is a gamma variate; box, exponential and linear residues convolved with it have closed forms in incomplete gamma
functions, so truth contains no numerical convolution.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import gamma, gammainc

from lvo.core.grid import Grid, Plane
from lvo.core.volume import Quantity, TimeSeries, Volume

ALPHA, BETA_S = 3.0, 1.5  # a typical arterial first pass, full width at half maximum 6.2 s
PER_100G = 100.0 * 0.73 / 1.04  # mL per voxel mL to mL per 100 g, as in the literature


def artery(t_s, start_s=8.0, peak_hu=400.0):
    """Gamma-variate arterial curve."""
    x = np.maximum(np.asarray(t_s, dtype=float) - start_s, 0.0) / (ALPHA * BETA_S)
    return peak_hu * x**ALPHA * np.exp(ALPHA * (1.0 - x))


def _scale(peak_hu):
    return peak_hu * np.exp(ALPHA) / (ALPHA * BETA_S) ** ALPHA


def _area(x_s, peak_hu):
    """Integral of the arterial curve up to x after its start."""
    x = np.maximum(x_s, 0.0)
    return _scale(peak_hu) * gamma(ALPHA + 1) * BETA_S ** (ALPHA + 1) * gammainc(ALPHA + 1, x / BETA_S)


def _area_of_area(x_s, peak_hu):
    """Integral of `_area`."""
    x = np.maximum(x_s, 0.0)
    first_moment = _scale(peak_hu) * gamma(ALPHA + 2) * BETA_S ** (ALPHA + 2) * gammainc(ALPHA + 2, x / BETA_S)
    return x * _area(x, peak_hu) - first_moment


def tissue(t_s, *, cbf, mtt_s, delay_s=0.0, residue="exp", start_s=8.0, peak_hu=400.0):
    """Enhancement (HU) of tissue with flow in mL/100 g/min; arguments broadcast."""
    flow_per_s = np.asarray(cbf) / 60.0 / PER_100G
    x = np.asarray(t_s, dtype=float) - start_s - delay_s
    if residue == "box":
        return flow_per_s * (_area(x, peak_hu) - _area(x - mtt_s, peak_hu))
    if residue == "linear":  # R = 1 - t / (2 MTT) up to 2 MTT
        width_s = 2.0 * np.asarray(mtt_s)
        fallen = _area_of_area(x, peak_hu) - _area_of_area(x - width_s, peak_hu)
        return flow_per_s * (_area(x, peak_hu) - fallen / width_s)
    x = np.maximum(x, 0.0)
    rest_s = 1.0 / (1.0 / BETA_S - 1.0 / np.asarray(mtt_s))
    integral = gamma(ALPHA + 1) * rest_s ** (ALPHA + 1) * gammainc(ALPHA + 1, x / rest_s)
    return flow_per_s * _scale(peak_hu) * np.exp(-x / mtt_s) * integral


def vein(t_s, start_s=8.0, peak_hu=400.0):
    """The artery after a box transit of 4 s and 2 s of drainage: same area, later, lower."""
    x = np.asarray(t_s, dtype=float) - start_s - 2.0
    return (_area(x, peak_hu) - _area(x - 4.0, peak_hu)) / 4.0


@dataclass
class Head:
    """An ellipsoid of grey and white matter with ventricles, arteries, a sinus and a lesion, lying obliquely and off-origin."""

    shape_kji: tuple = (7, 92, 78)
    lesion_left: bool = True
    bilateral: bool = False
    lesion: bool = True
    everywhere: bool = False  # the lesion fills the brain
    noise_hu: float = 3.0
    dt_s: float = 1.5
    n_frames: int = 45
    slice_offset_s: float = 0.0
    start_s: float = 8.0
    peak_hu: float = 400.0
    artery_share: float = 0.5
    penumbra: dict = field(default_factory=lambda: {"flow": 0.6, "delay_s": 6.0, "volume": 1.15})
    core: dict = field(default_factory=lambda: {"flow": 0.12, "delay_s": 7.0, "volume": 0.35})
    seed: int = 3

    @property
    def grid(self):
        """Rows and columns differ in number and size."""
        a, b = np.deg2rad(8.0), np.deg2rad(-11.0)  # head tilted about x and turned about z
        about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
        axes = (about_z @ about_x @ np.eye(3)[::-1].T).T
        return Grid.from_axes(self.shape_kji, (6.0, 1.9, 1.8), origin_lps_mm=(-31.0, -140.0, 713.0), axes_lps=axes)

    @property
    def midplane(self):
        """Through the middle of the grid."""
        return Plane(self.grid.center_lps_mm, self.grid.axes_lps[2])  # i grows to the left

    def place(self):
        """Boolean (K, J, I) masks of every part; x to the left, y to the back, in mm from the middle of the grid."""
        k, j, i = np.meshgrid(*[np.arange(n) for n in self.shape_kji], indexing="ij")
        z, y, x = ((n - (s - 1) / 2) * d for n, s, d in zip((k, j, i), self.shape_kji, (6.0, 1.9, 1.8), strict=True))
        radius = np.sqrt((x / 60) ** 2 + (y / 76) ** 2)
        brain = radius < 1
        ventricle = brain & (np.abs(np.abs(x) - 10) < 4) & (np.abs(y) < 18) & (z > -12)
        white = (radius < 0.78) & (np.sin(x / 7.0) * np.cos(y / 9.0) < 0.4)
        side = 1.0 if self.lesion_left else -1.0
        across = np.abs(x) if self.bilateral else side * x
        region = (np.hypot((across - 36) / 21, (y - 4) / 30) < 1) & (np.abs(z) < 16)
        lesion = brain & (region | self.everywhere) & self.lesion
        core = lesion & (np.hypot((across - 34) / 12, (y - 2) / 15) < 1) & (np.abs(z) < 10)
        arteries = (np.hypot(np.abs(x) - 20, y + 22) < 3.2) & (z < 0)
        arteries |= np.hypot(x, y + 45) < 2.6
        sinus = np.hypot(x - 1, y - 73) < 5.5
        return {
            "brain": brain, "ventricle": ventricle & ~arteries, "white": white, "lesion": lesion & ~ventricle & ~arteries,
            "core": core & ~ventricle & ~arteries, "artery": arteries, "vein": sinus,
        }  # fmt: skip

    def truth(self):
        """CBF, CBV, MTT and delay maps of tissue, before vessels are drawn."""
        part = self.place()
        cbf = np.where(part["white"], 24.0, 58.0)
        cbv = np.where(part["white"], 2.1, 4.0)
        delay = np.full(self.shape_kji, 0.5)
        for name, change in (("lesion", self.penumbra), ("core", self.core)):
            cbf = np.where(part[name], np.where(part["white"], 24.0, 58.0) * change["flow"], cbf)
            cbv = np.where(part[name], np.where(part["white"], 2.1, 4.0) * change["volume"], cbv)
            delay = np.where(part[name], change["delay_s"], delay)
        return {"cbf": cbf, "cbv": cbv, "mtt": 60.0 * cbv / cbf, "delay": delay}

    def times_s(self):
        """(T, K) acquisition times."""
        t = self.dt_s * np.arange(self.n_frames)[:, None]
        return t + self.slice_offset_s * (np.arange(self.shape_kji[0])[::-1] % 3)

    def series(self):
        """The scan, its brain mask and mid-plane."""
        part, truth = self.place(), self.truth()
        times = self.times_s()
        bolus = {"start_s": self.start_s, "peak_hu": self.peak_hu}
        t = times[:, :, None, None]
        curve = tissue(t, cbf=truth["cbf"], mtt_s=truth["mtt"], delay_s=truth["delay"], **bolus)
        curve = np.where(part["ventricle"] | ~part["brain"], 0.0, curve)
        curve = np.where(part["artery"], self.artery_share * artery(t, **bolus) + 0 * curve, curve)
        curve = np.where(part["vein"], vein(t, **bolus) + 0 * curve, curve)
        level = np.where(part["brain"], np.where(part["white"], 29.0, 37.0), -1000.0)
        level = np.where(part["ventricle"], 4.0, level)
        level = np.where(part["artery"] | part["vein"], 45.0, level)
        rng = np.random.default_rng(self.seed)
        hu = level + curve + rng.normal(0.0, self.noise_hu, curve.shape)
        brain = Volume(part["brain"].astype(np.uint8), self.grid, Quantity.MASK)
        return TimeSeries(hu.astype(np.float32), self.grid, times), brain, self.midplane
