"""A typical artery with its vein and tissue, and a small asymmetric head whose perfusion is known.

Curves are the closed forms of `lvo.synth.tracer`, so truth contains no numerical convolution.
"""

from dataclasses import dataclass, field

import numpy as np

from lvo.core.grid import Grid, Plane
from lvo.core.volume import Quantity, TimeSeries, Volume
from lvo.synth.tracer import Artery, Transit


def artery(t_s, start_s=8.0, peak_hu=400.0):
    """Gamma-variate arterial curve, full width at half maximum 6.2 s."""
    return Artery(start_s, peak_hu).hu(t_s)


def tissue(t_s, *, cbf, mtt_s, delay_s=0.0, residue="exp", start_s=8.0, peak_hu=400.0):
    """Enhancement (HU) of tissue with flow in mL/100 g/min; arguments broadcast."""
    bolus = Artery(start_s, peak_hu)
    return bolus.tissue_hu(t_s, Transit(residue), cbf_ml_100g_min=cbf, mtt_s=mtt_s, delay_s=delay_s)


def vein(t_s, start_s=8.0, peak_hu=400.0):
    """The artery after a box transit of 4 s and 2 s of drainage: same area, later, lower."""
    return Artery(start_s, peak_hu).passed_hu(t_s, Transit("box"), mtt_s=4.0, delay_s=2.0)


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
        kinds, kind = np.unique([truth[name].ravel() for name in ("cbf", "mtt", "delay")], axis=1, return_inverse=True)
        curves = tissue(times[..., None], cbf=kinds[0], mtt_s=kinds[1], delay_s=kinds[2], **bolus)
        kind = kind.reshape(self.shape_kji)
        curve = np.stack([curves[:, k, kind[k]] for k in range(self.shape_kji[0])], axis=1)
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
