"""Pictures side by side on black, with room below for the small print."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["DPI", "Panels"]

DPI = 110
GAP_IN = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Panels:
    """Equal panels in rows and columns.

    Args:
        figure: what they are on.
        shape: number of rows and columns.
        foot_in: room below them in inches.
    """

    figure: Figure
    shape: tuple[int, int]
    foot_in: float

    @classmethod
    def of(cls, n_rows: int, n_columns: int, *, width_in: float, aspect: float, foot_in: float) -> "Panels":
        """Lay out panels over a width; `aspect` is height over width of each."""
        panel_in = (width_in - (n_columns - 1) * GAP_IN) / n_columns
        height_in = n_rows * panel_in * aspect + (n_rows - 1) * GAP_IN + foot_in
        return cls(Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="black"), (n_rows, n_columns), foot_in)

    def add(self, row: int, column: int) -> Axes:
        """The axes of one panel, counted from the upper left."""
        (n_rows, n_columns), (width_in, height_in) = self.shape, self.figure.get_size_inches()
        wide_in = (width_in - (n_columns - 1) * GAP_IN) / n_columns
        high_in = (height_in - self.foot_in - (n_rows - 1) * GAP_IN) / n_rows
        left_in, bottom_in = column * (wide_in + GAP_IN), self.foot_in + (n_rows - 1 - row) * (high_in + GAP_IN)
        place = (left_in / width_in, bottom_in / height_in, wide_in / width_in, high_in / height_in)
        return self.figure.add_axes(place, facecolor="black")
