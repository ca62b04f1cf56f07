"""Mosaics of every slice of the slab: the lesion on the unenhanced scan, each map with its scale, and the fallback."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lvo.core.report import PerfusionResult, TimeToPeakFallback
from lvo.core.volume import DISPLAY_TOP, Quantity, Volume
from lvo.report.perfusion.sheet import DPI, Mosaic, Sheet, show_grey, show_labels, show_mask, show_outline, show_values
from lvo.report.words import FALLBACK_LIMIT, NOT_VALIDATED, core_words, fallback_words, hypoperfusion_words, short_number

__all__ = ["CORE_COLOR", "HYPOPERFUSION_COLOR", "MAPS", "ShownMap", "draw_fallback", "draw_lesion", "draw_map", "show_lesion"]

CORE_COLOR = "#FF2FD0"  # magenta and
HYPOPERFUSION_COLOR = "#2BE52B"  # green, as stroke teams know them; apart in lightness too, for any colour vision
LATE_COLOR = "#FFB000"  # amber: a fallback must not look like a result
COLORMAP = "turbo"
"""A rainbow, as readers of perfusion expect it, but with even steps (Mikhailov 2019); outlines say the thresholds too."""
MAX_SLICES = 30
"""Slices of one picture; a thinner stack shows every n-th slice and says so."""
WIDTH_IN = 12.0
SCALE_IN = 1.3
"""Room for a scale bar."""
SOFT_TEXT = "#BDBDBD"


@dataclass(frozen=True, slots=True)
class ShownMap:
    """How one map is shown: its title, unit and the numbers beside its scale, from 0 to its top."""

    title: str
    unit: str
    ticks: tuple[float, ...]

    @property
    def top(self) -> float:
        """Value at the end of the scale."""
        return self.ticks[-1]


MAPS: Mapping[str, ShownMap] = {
    "cbf": ShownMap("Cerebral blood flow (CBF)", "mL/100 g/min", (0, 20, 40, 60, DISPLAY_TOP[Quantity.CBF])),
    "cbv": ShownMap("Cerebral blood volume (CBV)", "mL/100 g", (0, 2, 4, DISPLAY_TOP[Quantity.CBV])),
    "mtt": ShownMap("Mean transit time (MTT)", "s", (0, 3, 6, 9, 12, DISPLAY_TOP[Quantity.MTT])),
    "tmax": ShownMap("Time to maximum of the residue (Tmax)", "s", (0, 4, 6, 8, 10, DISPLAY_TOP[Quantity.TMAX])),
    "delay": ShownMap("Arrival delay", "s", (0, 2, 4, 6, 8, DISPLAY_TOP[Quantity.DELAY])),
}
"""The maps with a unit, in the order in which they are read."""


def draw_lesion(result: PerfusionResult, sheet: Sheet) -> Figure:
    """Core and hypoperfusion painted on every slice of the unenhanced scan, with the four numbers large below."""
    page = _Page.of(sheet.mosaic(MAX_SLICES), head_in=0.5, foot_in=1.75)
    show_lesion(page.axes, page.mosaic)
    page.title(f"CT perfusion: core and hypoperfusion{f', {result.side.value} side' if result.side else ''}")
    ratio = "hypoperfusion / core" if result.mismatch_ratio is not None else "no core"
    page.numbers(
        (f"{result.core_ml:.0f} mL", f"core\n{core_words(result)}", CORE_COLOR),
        (f"{result.hypoperfusion_ml:.0f} mL", f"hypoperfusion\n{hypoperfusion_words(result)}", HYPOPERFUSION_COLOR),
        (f"{result.mismatch_ml:.0f} mL", "mismatch volume\nhypoperfusion less core", None),
        (short_number(result.mismatch_ratio, 1), f"mismatch ratio\n{ratio}", None),
    )
    page.foot("")
    return page.figure


def show_lesion(axes: Axes, mosaic: Mosaic) -> None:
    """The unenhanced scan with the lesion painted on it."""
    show_grey(axes, mosaic)
    core = mosaic.mask("core")
    show_mask(axes, mosaic, mosaic.mask("hypoperfusion") & ~core, HYPOPERFUSION_COLOR, alpha=0.5)
    show_mask(axes, mosaic, core, CORE_COLOR, alpha=0.75)
    show_labels(axes, mosaic)


def draw_map(result: PerfusionResult, key: str, sheet: Sheet) -> Figure:
    """One map on every slice with its scale; on CBF and Tmax the lesion that was read from them is outlined."""
    shown = MAPS[key]
    page = _Page.of(sheet.mosaic(MAX_SLICES), head_in=0.5, foot_in=0.42, right_in=SCALE_IN)
    show_values(page.axes, page.mosaic, key, COLORMAP, shown.top)
    lesion = {"tmax": "hypoperfusion", "cbf": "core"}.get(key)
    if lesion:
        show_outline(page.axes, page.mosaic.mask(lesion), "white")
    show_labels(page.axes, page.mosaic)
    page.scale(shown)
    method = result.methods.get(key)
    page.title(f"{shown.title}, {shown.unit}{f'; {method}' if method else ''}")
    outlined = {
        "tmax": f"outlined: hypoperfusion, {hypoperfusion_words(result)}",
        "cbf": f"outlined: core, {core_words(result)}",
    }
    page.foot(outlined.get(key, ""))
    return page.figure


def draw_fallback(fallback: TimeToPeakFallback, baseline: Volume | None) -> Figure:
    """Late tissue on every slice of the unenhanced scan, marked as no result above and below."""
    known = Volume(np.isfinite(fallback.rttp.array) & (fallback.rttp.array != 0), fallback.rttp.grid, Quantity.MASK)
    sheet = Sheet.of({"late": fallback.late}, brain=known, baseline=baseline, lesion=("late",))
    page = _Page.of(sheet.mosaic(MAX_SLICES), head_in=1.05, foot_in=1.75)
    show_grey(page.axes, page.mosaic)
    show_mask(page.axes, page.mosaic, page.mosaic.mask("late"), LATE_COLOR, alpha=0.45)
    show_labels(page.axes, page.mosaic)
    page.band(FALLBACK_LIMIT, 0.5)
    page.title(fallback_words(fallback), below_top_in=0.78)
    page.numbers(
        (f"{fallback.right_ml:.0f} mL", "late tissue\npatient's right", LATE_COLOR),
        (f"{fallback.left_ml:.0f} mL", "late tissue\npatient's left", LATE_COLOR),
        ("—", "core\ncannot be given", None),
        ("—", "mismatch\ncannot be given", None),
    )
    page.foot("fallback, not a perfusion result")
    return page.figure


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """A black picture with a mosaic, and room in inches above, below and at the right of it."""

    figure: Figure
    axes: Axes
    mosaic: Mosaic
    head_in: float
    foot_in: float
    right_in: float

    @classmethod
    def of(cls, mosaic: Mosaic, *, head_in: float, foot_in: float, right_in: float = 0.0) -> "_Page":
        """Lay out a page; a few slices do not fill its width."""
        width_in = WIDTH_IN - right_in
        mosaic_in = width_in * min(1.0, mosaic.n_columns / 3.0)
        height_in = head_in + mosaic_in * mosaic.aspect + foot_in
        figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="black")
        left, size = (width_in - mosaic_in) / 2 / WIDTH_IN, (mosaic_in / WIDTH_IN, mosaic_in * mosaic.aspect / height_in)
        axes = figure.add_axes((left, foot_in / height_in, *size), facecolor="black")
        return cls(figure, axes, mosaic, head_in, foot_in, right_in)

    @property
    def height_in(self) -> float:
        """Height of the picture."""
        return float(self.figure.get_figheight())

    def write(self, x_in: float, y_in: float, words: str, *, size: float, bold: bool = False, color: str = "white") -> None:
        """Text that starts x inches from the left and stands y inches above the bottom."""
        weight = "bold" if bold else "normal"
        self.figure.text(
            x_in / WIDTH_IN, y_in / self.height_in, words, color=color, fontsize=size, fontweight=weight, va="center",
            linespacing=1.25,
        )  # fmt: skip

    def title(self, words: str, *, below_top_in: float = 0.26) -> None:
        """What the picture shows, above the mosaic."""
        self.write(0.2, self.height_in - below_top_in, words, size=15, bold=True)

    def band(self, words: str, height_in: float) -> None:
        """Black words on an amber band at the top."""
        box = (0, 1 - height_in / self.height_in), 1, height_in / self.height_in
        self.figure.add_artist(Rectangle(*box, transform=self.figure.transFigure, facecolor=LATE_COLOR))
        self.write(0.2, self.height_in - height_in / 2, words, size=13, bold=True, color="black")

    def numbers(self, *numbers: tuple[str, str, str | None]) -> None:
        """Large numbers side by side below the mosaic: each with what it is, and the colour it is painted in."""
        for n, (value, what, color) in enumerate(numbers):
            x_in = 0.2 + n * (WIDTH_IN - 0.3) / len(numbers)
            if color:
                corner = x_in / WIDTH_IN, 0.5 / self.height_in
                patch = Rectangle(corner, 0.14 / WIDTH_IN, 1.05 / self.height_in, transform=self.figure.transFigure)
                patch.set_facecolor(color)
                self.figure.add_artist(patch)
            self.write(x_in + 0.28, 1.28, value, size=30, bold=True)
            self.write(x_in + 0.28, 0.72, what, size=12.5)

    def foot(self, words: str) -> None:
        """The small print: orientation, which slices, limits of use."""
        which = "every slice of the brain" if self.mosaic.step == 1 else f"one of {self.mosaic.step} slices"
        text = "; ".join(part for part in (words, f"{which}, numbered from the feet", "R is the patient's right") if part)
        self.write(0.2, 0.16, text, size=10, color=SOFT_TEXT)
        self.figure.text(
            1 - 0.2 / WIDTH_IN, 0.16 / self.height_in, NOT_VALIDATED, color=SOFT_TEXT, fontsize=10, va="center", ha="right"
        )

    def scale(self, shown: ShownMap) -> None:
        """A scale bar at the right, from 0 to the top, with its unit."""
        room_in = self.height_in - self.foot_in - self.head_in
        length_in = min(room_in - 0.5, 4.5)
        bottom_in = self.foot_in + (room_in - length_in) / 2.0 - 0.1
        left_in = WIDTH_IN - self.right_in + 0.2
        box = left_in / WIDTH_IN, bottom_in / self.height_in, 0.22 / WIDTH_IN, length_in / self.height_in
        axes = self.figure.add_axes(box)
        axes.imshow(np.linspace(1, 0, 256)[:, None], cmap=COLORMAP, aspect="auto", extent=(0, 1, 0, shown.top))
        axes.set_xticks([])
        axes.yaxis.tick_right()
        axes.set_yticks(list(shown.ticks))
        axes.set_yticklabels([f"≥ {tick:g}" if tick == shown.top else f"{tick:g}" for tick in shown.ticks])
        axes.tick_params(colors="white", labelsize=11, length=4)
        self.write(left_in - 0.05, bottom_in + length_in + 0.2, shown.unit, size=10)
