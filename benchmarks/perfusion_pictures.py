"""Draw the pictures of docs/concepts/perfusion.md: python benchmarks/perfusion_pictures.py.

Kinetics from closed forms; the rest from the analysis of one synthetic study (lvo phantom ctp --occlusion left-M1 --seed 5
--collateral 1). About a minute; the same code gives the same pictures.
"""

import tempfile
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lvo import cli
from lvo.config import Config
from lvo.maps import make_maps
from lvo.perfusion.deconvolve import inverse_operator
from lvo.report.figures import draw_figures
from lvo.synth.tracer import Artery, Transit

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
TIMES_S = np.arange(0.0, 60.0, 1.5)
TISSUES = {  # flow mL/100 g/min, mean transit time s, delay s, colour (Okabe & Ito)
    "normal": (50.0, 4.0, 0.5, "#0072B2"),
    "hypoperfused": (25.0, 8.0, 5.0, "#009E73"),
    "core": (8.0, 12.0, 6.0, "#CC79A7"),
}
PER_100G = 100.0 * 0.73 / 1.04
SHOWN = {"perfusion": "perfusion", "tmax": "perfusion_tmax", "delay": "perfusion_delay", "curves": "perfusion_curves"}


def kinetics() -> Figure:
    """Artery and tissue; residues, true and deconvolved; what the regularisation does under noise."""
    artery, transit = Artery(), Transit("gamma", 3.0)
    figure = Figure(figsize=(12.0, 3.9), dpi=110)
    panels = figure.subplots(1, 3)
    curves = {
        name: artery.tissue_hu(TIMES_S, transit, cbf_ml_100g_min=cbf, mtt_s=mtt, delay_s=delay)
        for name, (cbf, mtt, delay, _) in TISSUES.items()
    }
    panels[0].plot(TIMES_S, artery.hu(TIMES_S) / 20.0, color="#D55E00", label="artery / 20")
    for name, (cbf, mtt, delay, color) in TISSUES.items():
        panels[0].plot(TIMES_S, curves[name], color=color, label=f"{name}: CBF {cbf:g}, MTT {mtt:g} s, delay {delay:g} s")
        residue(panels[1], artery, curves[name], color=color, strength=0.1)
        panels[1].plot(*truth(transit, cbf, mtt, delay), "--", color=color, linewidth=1.0)
    noisy = curves["normal"] + np.random.default_rng(0).normal(0.0, 1.0, TIMES_S.size)
    for strength, color in ((0.02, "#D55E00"), (0.1, "#0072B2"), (0.3, "#009E73")):
        residue(panels[2], artery, noisy, color=color, strength=strength, label=f"truncation at {strength:g}")
    cbf, mtt, delay, _ = TISSUES["normal"]
    panels[2].plot(*truth(transit, cbf, mtt, delay), "--", color="black", linewidth=1.0, label="truth")
    for axes, title, unit in zip(
        panels,
        ("what is scanned", "residues: true (dashed) and deconvolved; dot: Tmax", "normal tissue with 1 HU of noise"),
        ("enhancement, HU", "flow x residue, mL/100 g/min", "flow x residue, mL/100 g/min"),
        strict=True,
    ):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("time, s", fontsize=9)
        axes.set_ylabel(unit, fontsize=9)
        axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    panels[0].set_ylim(-1.0, 30.0)
    panels[0].legend(fontsize=7, loc="upper right")
    panels[2].legend(fontsize=7)
    figure.tight_layout()
    return figure


def residue(axes: Axes, artery: Artery, curve: np.ndarray, *, color: str, strength: float, label: str | None = None) -> None:
    """Deconvolve one curve and mark its maximum."""
    by = inverse_operator(artery.hu(TIMES_S), 1.5, method="bcsvd", strength=strength)
    flow = 60.0 * PER_100G * (by.matrices[0] @ curve.astype(np.float32))
    axes.plot(by.times_s, flow, color=color, label=label)
    axes.plot(by.times_s[flow.argmax()], flow.max(), "o", color=color, markersize=5)
    axes.set_xlim(-10, 40)


def truth(transit: Transit, cbf: float, mtt_s: float, delay_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The true flow-scaled residue."""
    times_s = np.linspace(-10.0, 40.0, 501)
    return times_s, np.where(times_s >= delay_s, cbf * transit.residue_at(times_s - delay_s, mtt_s), 0.0)


def main() -> None:
    """Draw everything."""
    figure = kinetics()
    FigureCanvasAgg(figure)
    figure.savefig(IMAGES / "perfusion_kinetics.png", metadata={"Software": None})
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        options = ["--occlusion", "left-M1", "--seed", "5", "--collateral", "1"]
        CliRunner().invoke(cli._lvo, ["phantom", "ctp", "--out", str(study), *options], catch_exceptions=False)  # noqa: SLF001
        drawn = draw_figures(make_maps(study, Config()).report)
    for name, file in SHOWN.items():
        (IMAGES / f"{file}.png").write_bytes(drawn[name])
        print(f"docs/images/{file}.png")


if __name__ == "__main__":
    main()
