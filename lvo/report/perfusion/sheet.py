"""Slices of the brain side by side in one image: which slices, which part of them, and how they are drawn and lettered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from lvo.core.volume import Quantity, Volume
from lvo.report.slabs import as_radiologist

__all__ = ["DPI", "Mosaic", "Sheet", "show_grey", "show_labels", "show_mask", "show_outline", "show_values"]

DPI = 110
GREY_HU = (0.0, 80.0)
"""Grey values of the unenhanced scan: the customary brain window."""
MIN_BRAIN_PART = 0.02
"""Slices with less brain than this part of the fullest one hold nothing to look at, unless there is lesion in them."""
MARGIN_MM = 9.0
"""Shown around the brain: the skull gives the eye its bearings."""
GAP = 2
"""Pixels between neighbouring slices."""
SHAPE = 1.55
"""Width over height that a mosaic comes near: that of a screen."""


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Images of one grid turned the way radiologists look at them, and the part of them that holds the brain.

    Args:
        images: by name, k to the head, j to the back, i to the patient's left; "baseline" is the unenhanced scan in HU.
        brain: (K, J, I) mask.
        rows: rows that are drawn.
        columns: columns that are drawn.
        slices: slices with brain or lesion, from the feet up.
        fullest: the slice with most lesion, or with most brain where there is no lesion.
    """

    images: Mapping[str, Volume]
    brain: NDArray[np.bool_]
    rows: slice
    columns: slice
    slices: tuple[int, ...]
    fullest: int

    @classmethod
    def of(cls, images: Mapping[str, Volume], *, brain: Volume, baseline: Volume | None, lesion: Sequence[str]) -> "Sheet":
        """Turn images and find the brain in them.

        Args:
            images: on one grid.
            brain: mask on that grid.
            baseline: unenhanced scan on that grid in HU; a flat grey brain stands in when it is unknown.
            lesion: names of masks among the images; their slices are shown however little brain they hold.
        """
        if baseline is None:
            baseline = Volume(np.where(brain.array > 0, np.mean(GREY_HU), GREY_HU[0]), brain.grid, Quantity.HU)
        turned = {name: as_radiologist(volume) for name, volume in {**images, "baseline": baseline}.items()}
        mask = as_radiologist(brain).array > 0
        area = mask.sum(axis=(1, 2))
        sick = sum(((turned[name].array > 0).sum(axis=(1, 2)) for name in lesion), np.zeros_like(area))
        slices = np.flatnonzero((area >= max(1.0, MIN_BRAIN_PART * area.max())) | (sick > 0))
        slices = slices if slices.size else np.arange(area.size)
        fullest = int(slices[(sick if sick.any() else area)[slices].argmax()])
        everywhere = np.argwhere(mask if mask.any() else np.ones_like(mask))
        _, down_mm, right_mm = turned["baseline"].grid.spacing_kji_mm
        rows, columns = _span(everywhere[:, 1], MARGIN_MM / down_mm), _span(everywhere[:, 2], MARGIN_MM / right_mm)
        return cls(turned, mask, rows, columns, tuple(int(k) for k in slices), fullest)

    def mosaic(self, max_slices: int, *, n_columns: int | None = None) -> "Mosaic":
        """At most so many slices, evenly spread with the fullest among them, in rows of a good number."""
        step = -(-len(self.slices) // max_slices)
        slices = self.slices[self.slices.index(self.fullest) % step :: step]
        return Mosaic(self, slices, n_columns or _columns(len(slices), self.panel_aspect), step)

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel over its width."""
        _, down_mm, right_mm = self.images["baseline"].grid.spacing_kji_mm
        return float(down_mm / right_mm)

    @property
    def panel_aspect(self) -> float:
        """Height of one slice over its width."""
        rows, columns = self.brain[0, self.rows, self.columns].shape
        return float((rows + GAP) * self.pixel_aspect / (columns + GAP))


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Chosen slices in rows, from the upper left to the right.

    Args:
        sheet: the images.
        slices: which.
        n_columns: slices in a row.
        step: one of so many slices was chosen.
    """

    sheet: Sheet
    slices: tuple[int, ...]
    n_columns: int
    step: int = 1

    @property
    def n_rows(self) -> int:
        """Number of rows of slices."""
        return -(-len(self.slices) // self.n_columns)

    @property
    def aspect(self) -> float:
        """Height over width."""
        return self.n_rows * self.sheet.panel_aspect / self.n_columns

    def tile(self, volume: NDArray[np.generic], empty: float) -> NDArray[np.float32]:
        """The drawn part of the chosen slices of a (K, J, I) array as one image, `empty` where there is no slice."""
        cut = volume[list(self.slices), self.sheet.rows, self.sheet.columns].astype(np.float32)
        n_rows, n_columns = cut.shape[1:]
        cells = np.full((self.n_rows * self.n_columns, n_rows + GAP, n_columns + GAP), empty, dtype=np.float32)
        cells[: len(cut), :n_rows, :n_columns] = cut
        rows = cells.reshape(self.n_rows, self.n_columns, *cells.shape[1:]).transpose(0, 2, 1, 3)
        return rows.reshape(self.n_rows * cells.shape[1], self.n_columns * cells.shape[2])

    def image(self, name: str) -> NDArray[np.float32]:
        """One of the images; 0 where there is no slice."""
        return self.tile(self.sheet.images[name].array, 0.0)

    def mask(self, name: str) -> NDArray[np.bool_]:
        """One of the masks."""
        return self.image(name) > 0

    def corner(self, k: int) -> tuple[float, float]:
        """Column and row of the image at which a slice begins."""
        row, column = divmod(self.slices.index(k), self.n_columns)
        n_rows, n_columns = self.sheet.brain[0, self.sheet.rows, self.sheet.columns].shape
        return float(column * (n_columns + GAP)), float(row * (n_rows + GAP))

    def to_column_row(self, point_lps_mm: tuple[float, float, float]) -> tuple[int, float, float]:
        """Slice of a patient position, and where it falls in the image if that slice is drawn (NaN if not)."""
        k, row, column = self.sheet.images["baseline"].grid.to_kji(point_lps_mm)
        if round(float(k)) not in self.slices:
            return round(float(k)), float("nan"), float("nan")
        right, down = self.corner(round(float(k)))
        return round(float(k)), float(column) - self.sheet.columns.start + right, float(row) - self.sheet.rows.start + down


def show_grey(axes: Axes, mosaic: Mosaic) -> None:
    """The unenhanced scan, numbered and lettered."""
    low, high = GREY_HU
    grey = mosaic.tile(mosaic.sheet.images["baseline"].array, low)
    axes.imshow(grey, cmap="gray", vmin=low, vmax=high, aspect=mosaic.sheet.pixel_aspect, interpolation="bilinear")
    axes.set_axis_off()


def show_values(axes: Axes, mosaic: Mosaic, name: str, cmap: str, top: float) -> None:
    """One map in colour where it has a value: in the brain, where blood was found; fluid and bone stay black."""
    values = mosaic.image(name)
    known = (mosaic.tile(mosaic.sheet.brain, 0.0) > 0) & np.isfinite(values)
    if "cbv" in mosaic.sheet.images:
        known &= mosaic.image("cbv") > 0
    shown = np.ma.masked_array(values, mask=~known)
    axes.imshow(shown, cmap=cmap, vmin=0.0, vmax=top, aspect=mosaic.sheet.pixel_aspect, interpolation="nearest")
    axes.set_axis_off()


def show_mask(axes: Axes, mosaic: Mosaic, mask: NDArray[np.bool_], color: str, *, alpha: float) -> None:
    """A mask in one colour over what is there, with an outline."""
    if not mask.any():
        return
    painted = np.ma.masked_array(mask.astype(np.float32), mask=~mask)
    cmap = ListedColormap([color])
    axes.imshow(painted, cmap=cmap, alpha=alpha, aspect=mosaic.sheet.pixel_aspect, interpolation="nearest")
    axes.contour(mask.astype(np.float32), levels=[0.5], colors=[color], linewidths=0.9)


def show_outline(axes: Axes, mask: NDArray[np.bool_], color: str) -> None:
    """The border of a mask, in colour on black, so that it is seen on any colour."""
    if mask.any():
        lines = axes.contour(mask.astype(np.float32), levels=[0.5], colors=[color], linewidths=1.1)
        lines.set_path_effects([Stroke(linewidth=2.3, foreground="black"), Normal()])


def show_labels(axes: Axes, mosaic: Mosaic, *, size: float = 9.0) -> None:
    """On every slice its number, and the patient's sides."""
    height, width = mosaic.sheet.brain[0, mosaic.sheet.rows, mosaic.sheet.columns].shape
    effects = [Stroke(linewidth=2.0, foreground="black"), Normal()]
    for k in mosaic.slices:
        right, down = mosaic.corner(k)
        for x, y, words, ha, va in ((0.03, 0.02, f"{k + 1}", "left", "top"), (0.03, 0.98, "R", "left", "bottom"),
                                    (0.97, 0.98, "L", "right", "bottom")):  # fmt: skip
            axes.text(
                right + x * width - 0.5, down + y * height - 0.5, words, color="#E8E8E8", fontsize=size, ha=ha, va=va,
                fontweight="bold", path_effects=effects,
            )  # fmt: skip


def _columns(count: int, panel_aspect: float) -> int:
    """Slices in a row, so that the mosaic has a good shape and few empty places."""

    def cost(columns: int) -> float:
        rows = -(-count // columns)
        return abs(float(np.log(columns / (rows * panel_aspect) / SHAPE))) + (rows * columns - count) / count

    return min(range(1, count + 1), key=cost)


def _span(index: NDArray[np.intp], margin: float) -> slice:
    """From the lowest to the highest index, with a margin."""
    return slice(max(0, int(index.min()) - round(margin)), int(index.max()) + round(margin) + 1)
