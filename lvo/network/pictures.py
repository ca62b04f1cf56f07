"""Scenarios as pictures: how far everyone is from a centre, and what each centre gets."""

import io
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten

import msgspec
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lvo.network.scenario import MIN_THROMBECTOMIES, ScenarioResult
from lvo.network.units import Areas, Units

__all__ = ["draw_map", "draw_volumes"]

BOUNDARIES, PLACES = "LSOA.geojson", "unit_postcodes_coords.csv"
EDGES_MIN = (0, 15, 30, 45, 60, 90, 120)
COLORS = ("#FFF7D6", "#F6D98B", "#EDA85B", "#D9704B", "#A83A55", "#5B1A52")
"""Light is near: the steps also differ in lightness, for any colour vision and in print."""
FAR_COLOR, OUTSIDE_COLOR, CENTRE_COLOR, FEW_COLOR = "#1B0B24", "#D9D9D9", "#0072B2", "#D55E00"
MIDDLE_LATITUDE_DEG = 53.0


class _Geometry(msgspec.Struct):
    type: str
    coordinates: list[list[object]]


class _Feature(msgspec.Struct):
    properties: dict[str, object]
    geometry: _Geometry | None


class _Collection(msgspec.Struct):
    features: list[_Feature]


def draw_map(areas: Areas, result: ScenarioResult, folder: Path) -> bytes | None:
    """Minutes to the nearest centre as a map; None where the folder has no boundaries of the areas.

    Args:
        areas: of patients.
        result: of a scenario.
        folder: of the data; boundaries are longitude and latitude.
    """
    if not (folder / BOUNDARIES).is_file():
        return None
    minutes = np.where(result.inside, result.to_centre.minutes, np.nan)
    shapes, values = _shapes(folder / BOUNDARIES, dict(zip(areas.codes, minutes.tolist(), strict=True)))
    figure = Figure(figsize=(7.2, 8.0), dpi=100, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.94))
    colors = ListedColormap(COLORS).with_extremes(over=FAR_COLOR, bad=OUTSIDE_COLOR)
    norm = BoundaryNorm(EDGES_MIN, len(COLORS))
    drawn = PolyCollection(
        shapes, array=np.ma.masked_invalid(values), cmap=colors, norm=norm, edgecolors="face", linewidths=0.15
    )
    axes.add_collection(drawn)
    for longitude, latitude in _places(folder, result.centres):
        axes.plot(longitude, latitude, "o", color=CENTRE_COLOR, markersize=5.5, markeredgecolor="white", markeredgewidth=0.8)
    axes.set_aspect(1.0 / np.cos(np.deg2rad(MIDDLE_LATITUDE_DEG)))
    axes.autoscale_view()
    axes.set_axis_off()
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.09, 0.45, 0.03, 0.36)), extend="max", ticks=EDGES_MIN)
    bar.set_label("minutes by road")
    figure.text(
        0.02, 0.96, f"To the nearest of {len(result.centres)} thrombectomy centres: {result.scenario.name}", fontsize=13
    )
    if not result.inside.all():
        figure.text(0.02, 0.02, "grey: no admissions on record, not part of the scenario", fontsize=10, color="#555555")
    return _png(figure)


def draw_volumes(units: Units, result: ScenarioResult) -> bytes:
    """Thrombectomies per year of each centre as bars, with the minimum."""
    rows = sorted(result.thrombectomies.items(), key=lambda item: item[1])
    figure = Figure(figsize=(8.5, 1.3 + 0.24 * len(rows)), dpi=100, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    colors = [FEW_COLOR if number < MIN_THROMBECTOMIES else CENTRE_COLOR for _, number in rows]
    axes.barh(
        [shorten(units.by_code[code].name, 46, placeholder=" …") for code, _ in rows],
        [number for _, number in rows],
        color=colors,
    )
    axes.axvline(MIN_THROMBECTOMIES, color="#1b1b1b", linewidth=1.2, linestyle="--")
    axes.set_xlabel(
        f"thrombectomies per year at {100 * result.scenario.eligible:g} % of admissions; dashed: {MIN_THROMBECTOMIES}"
    )
    axes.tick_params(labelsize=9)
    axes.margins(y=0.01)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
    return _png(figure)


def _shapes(path: Path, minutes: Mapping[str, float]) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Outlines of areas (longitude, latitude), and the minutes of each; areas without minutes are left out."""
    shapes, values = [], []
    for feature in msgspec.json.decode(path.read_bytes(), type=_Collection).features:
        code = str(feature.properties.get("LSOA11CD", ""))
        if feature.geometry is None or code not in minutes:
            continue
        polygons = feature.geometry.coordinates if feature.geometry.type == "MultiPolygon" else [feature.geometry.coordinates]
        for polygon in polygons:
            shapes.append(np.array(polygon[0], np.float64)[:, :2])
            values.append(minutes[code])
    return shapes, np.array(values)


def _places(folder: Path, centres: tuple[str, ...]) -> list[tuple[float, float]]:
    import pandas as pd

    if not (folder / PLACES).is_file():
        return []
    table = pd.read_csv(folder / PLACES, index_col=0)
    return [(float(table.Longitude[code]), float(table.Latitude[code])) for code in centres if code in table.index]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
