"""Perfusion maps as a contact sheet, and the two curves they were computed from."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from lvo.core.report import PerfusionResult
from lvo.core.volume import DISPLAY_TOP, Quantity, Volume
from lvo.report.slabs import as_radiologist

__all__ = ["CORE_COLOR", "HYPOPERFUSION_COLOR", "draw_curves", "draw_perfusion", "show_map_row"]

CORE_COLOR = "#FF2FD0"  # magenta
HYPOPERFUSION_COLOR = "#2BE52B"  # green
DPI = 110
N_SLICES = 6
"""Slices on the sheet: enough to follow a lesion, few enough to be read on a page."""

MIN_BRAIN_PART = 0.2
"""Slices with less brain than this part of the fullest slice are left out unless they hold lesion."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One map of the sheet: its key, title with unit, and the value drawn at the top of the colour bar."""

    key: str
    title: str
    top: float


_ROWS = (
    _Row("cbf", "CBF\nmL/100 g/min", DISPLAY_TOP[Quantity.CBF]),
    _Row("cbv", "CBV\nmL/100 g", DISPLAY_TOP[Quantity.CBV]),
    _Row("mtt", "MTT\ns", DISPLAY_TOP[Quantity.MTT]),
    _Row("tmax", "Tmax\ns", DISPLAY_TOP[Quantity.TMAX]),
)
_COLORMAP = "turbo"  # a rainbow as readers of perfusion expect it, but with even steps (Mikhailov 2019)


def draw_perfusion(result: PerfusionResult) -> Figure:
    """Maps by row, slices by column from the feet up, colour bars with units, core and hypoperfusion outlined."""
    maps = {key: as_radiologist(volume) for key, volume in result.maps.items()}
    rows, slices = [row for row in _ROWS if row.key in maps], _choose_slices(maps, N_SLICES)
    window = _brain_window(maps)
    height_mm, width_mm = _extent_mm(maps["tmax"], window)
    left, right, panel_in = 1.2, 0.75, 1.4
    row_in = panel_in * height_mm / width_mm
    size = (left + len(slices) * panel_in + right, (len(rows) + 1) * row_in + 0.75)
    figure = Figure(figsize=size, dpi=DPI, facecolor="black")
    for r, row in enumerate([*rows, None]):
        bottom = (size[1] - 0.25 - (r + 1) * row_in) / size[1]
        for c, k in enumerate(slices):
            axes = figure.add_axes(((left + c * panel_in) / size[0], bottom, panel_in / size[0], row_in / size[1]))
            _draw_slice(axes, maps, row, k, window)
            _label_panel(axes, k, first=c == 0, top=r == 0)
        title = row.title if row else "core and\nhypo-\nperfusion"
        figure.text(0.06 / size[0], bottom + row_in / size[1] / 2, title, color="white", fontsize=10, va="center")
        if row:
            _color_bar(
                figure,
                row,
                ((size[0] - right + 0.1) / size[0], bottom + 0.1 * row_in / size[1], 0.12 / size[0], 0.8 * row_in / size[1]),
            )
    _legend(figure, result)
    return figure


def show_map_row(figure: Figure, place: tuple[float, float, float, float], result: PerfusionResult) -> None:
    """Draw four Tmax slices with core and hypoperfusion into a part of a figure (left, bottom, width, height)."""
    maps = {key: as_radiologist(volume) for key, volume in result.maps.items()}
    row = next(row for row in _ROWS if row.key == "tmax")
    window = _brain_window(maps)
    left, bottom, width, height = place
    for n, k in enumerate(_choose_slices(maps, 4)):
        x, y = n % 2, 1 - n // 2
        axes = figure.add_axes((left + x * width * 0.46, bottom + y * height / 2, width * 0.46, height / 2), facecolor="black")
        _draw_slice(axes, maps, row, k, window)
        _label_panel(axes, k, first=n == 0, top=n < 2, color="black")
    _color_bar(figure, row, (left + width * 0.93, bottom + height * 0.1, width * 0.02, height * 0.8), color="black")
    figure.text(left + width * 0.94, bottom + height * 0.93, "Tmax, s", fontsize=10, ha="center")


def draw_curves(result: PerfusionResult) -> Figure:
    """The arterial input and venous output curves with their peaks."""
    figure = Figure(figsize=(7.5, 3.6), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.1, 0.16, 0.87, 0.78))
    for curve, name, color, style in (
        (result.aif, "AIF (artery)", "#B34700", "o-"),
        (result.vof, "VOF (vein)", "#005B8F", "s--"),
    ):
        peak = int(curve.enhancement_hu.argmax())
        label = f"{name}: peak {curve.enhancement_hu[peak]:.0f} HU at {curve.times_s[peak]:.0f} s, {curve.n_voxels} voxels"
        axes.plot(curve.times_s, curve.enhancement_hu, style, color=color, label=label, markersize=3.5, linewidth=1.4)
    axes.set_xlabel("time after the first image, s")
    axes.set_ylabel("enhancement above baseline, HU")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.legend(loc="upper right", fontsize=9, framealpha=0.9)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    figure.text(0.99, 0.01, "research use only", color="#555555", fontsize=8, ha="right", va="bottom")
    return figure


def _brain(maps: dict[str, Volume]) -> NDArray[np.bool_]:
    """The brain mask; where CBF is not zero when there is none."""
    return np.asarray(maps["brain"].array > 0 if "brain" in maps else maps["cbf"].array != 0)


def _choose_slices(maps: dict[str, Volume], count: int) -> list[int]:
    """Slices spread over the brain, the one with most lesion among them."""
    area = _brain(maps).sum(axis=(1, 2))
    lesion = maps["hypoperfusion"].array.astype(bool) | maps["core"].array.astype(bool)
    lesion_area = lesion.sum(axis=(1, 2))
    candidates = np.flatnonzero((area >= MIN_BRAIN_PART * max(area.max(), 1)) | (lesion_area > 0))
    chosen = candidates[np.unique(np.linspace(0, len(candidates) - 1, min(count, len(candidates))).round().astype(int))]
    if lesion_area.any():
        worst = int(lesion_area.argmax())
        if worst not in chosen:
            chosen[np.abs(chosen - worst).argmin()] = worst
    return [int(k) for k in chosen]


def _brain_window(maps: dict[str, Volume]) -> tuple[slice, slice]:
    """Rows and columns that hold the brain, with a little space."""
    seen = _brain(maps).any(axis=0)
    if not seen.any():
        return slice(None), slice(None)
    rows, columns = np.nonzero(seen)
    return (
        slice(max(0, int(rows.min()) - 6), int(rows.max()) + 7),
        slice(max(0, int(columns.min()) - 6), int(columns.max()) + 7),
    )


def _extent_mm(volume: Volume, window: tuple[slice, slice]) -> tuple[float, float]:
    """Height and width of the window in mm."""
    rows, columns = volume.array[0][window].shape
    _, down_mm, right_mm = volume.grid.spacing_kji_mm
    return rows * float(down_mm), columns * float(right_mm)


def _draw_slice(axes: Axes, maps: dict[str, Volume], row: _Row | None, k: int, window: tuple[slice, slice]) -> None:
    """One map of one slice with the lesion outlined; without a row, the lesion in plain colour over grey CBF."""
    _, down_mm, right_mm = maps["tmax"].grid.spacing_kji_mm
    aspect = float(down_mm / right_mm)
    brain = _brain(maps)[k][window]
    values = maps[row.key if row else "cbf"].array[k][window].astype(np.float32)
    shown = np.ma.masked_array(values, mask=~brain | ~np.isfinite(values))
    axes.imshow(
        shown,
        cmap=_COLORMAP if row else "gray",
        vmin=0.0,
        vmax=row.top if row else 120.0,
        aspect=aspect,
        interpolation="nearest",
    )
    axes.set_axis_off()
    for key, color in (("hypoperfusion", HYPOPERFUSION_COLOR), ("core", CORE_COLOR)):
        mask = maps[key].array[k][window].astype(bool)
        if not mask.any():
            continue
        if row is None:
            axes.imshow(
                np.ma.masked_array(mask, mask=~mask),
                cmap=ListedColormap([color]),
                aspect=aspect,
                interpolation="nearest",
                alpha=0.8,
            )
        elif row.key in {"cbf", "tmax"}:
            lines = axes.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=1.2)
            lines.set_path_effects([Stroke(linewidth=2.4, foreground="black"), Normal()])


def _label_panel(axes: Axes, k: int, *, first: bool, top: bool, color: str = "white") -> None:
    """Slice number, and R and L on the first panel of each row."""
    if top:
        axes.text(0.5, 1.0, f"slice {k + 1}", transform=axes.transAxes, color=color, fontsize=8, ha="center", va="bottom")
    if first:
        axes.text(0.02, 0.5, "R", transform=axes.transAxes, color=color, fontsize=10, fontweight="bold", va="center")
        axes.text(
            0.98, 0.5, "L", transform=axes.transAxes, color=color, fontsize=10, fontweight="bold", va="center", ha="right"
        )


def _color_bar(figure: Figure, row: _Row, place: tuple[float, float, float, float], *, color: str = "white") -> None:
    """A colour bar with numbers from 0 to the row's top."""
    axes = figure.add_axes(place)
    axes.imshow(np.linspace(1, 0, 128)[:, None], cmap=_COLORMAP, aspect="auto", extent=(0, 1, 0, row.top))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, row.top / 2, row.top])
    axes.set_yticklabels(["0", f"{row.top / 2:g}", f"≥{row.top:g}"])
    axes.tick_params(colors=color, labelsize=8, length=2)


def _legend(figure: Figure, result: PerfusionResult) -> None:
    """What the outlines mean, with volumes."""
    lines = [Line2D([], [], color=CORE_COLOR, linewidth=3), Line2D([], [], color=HYPOPERFUSION_COLOR, linewidth=3)]
    labels = [f"core {result.core_ml:.0f} mL", f"hypoperfusion {result.hypoperfusion_ml:.0f} mL"]
    legend = figure.legend(
        lines, labels, loc="lower left", ncols=2, fontsize=9, facecolor="black", edgecolor="none", labelcolor="white"
    )
    legend.set_zorder(5)
    figure.text(
        0.99, 0.01, "slices counted from the feet; research use only", color="#B8B8B8", fontsize=8, ha="right", va="bottom"
    )
