"""Every row of the table of input conditions is what `lvo` does: `docs/reference/dicom-input.md` is tried line by line."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lvo_tests_dicom_scene import CONDITIONS, Expected, Scene, field_hu
from scipy import ndimage

from lvo.core.study import Role
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_time_series, load_volume
from lvo.dicom.select import choose
from lvo.errors import InputError

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "dicom-input.md"
ROW = re.compile(r"^\| `(?P<name>[a-z0-9-]+)` \| (?P<what>[^|]+) \| (?P<does>[^|]+) \| (?P<says>[^|]*) \|$", re.MULTILINE)
ROWS = {row["name"]: row for row in ROW.finditer(TABLE.read_text(encoding="utf-8"))}
ROLES = {Role.CTA: "the CTA", Role.CTP: "the CTP", Role.NCCT: "the plain CT"}


@dataclass
class Seen:
    """What `lvo` did: in the words of the table, everything it said, what it noted beside reasons, and the chosen number."""

    does: str
    says: list[str]
    notes: list[str]
    number: int | None = None


def _try(expected: Expected, folder: Path) -> Seen:
    """Index, choose, load."""
    try:
        with open_studies(expected.paths or (folder,)) as studies:
            notes = [note.text for note in studies[0].notes]
            found = choose(studies[0], expected.settings)
            says = [*(row.reason for row in found.rows), *notes, f"{len(studies)} studies"]
            role = next((role for role in ROLES if any(row.used and row.role is role for row in found.rows)), None)
            if role is None:
                return Seen("uses nothing", [*says, found.missing_cta, found.missing_ctp], notes)
            series = {Role.CTA: found.cta, Role.CTP: found.ctp and found.ctp[0], Role.NCCT: found.ncct}[role]
            try:
                more = _load(found, role, expected)
            except InputError as error:
                return Seen(f"refuses {ROLES[role]}", [*says, str(error)], notes, series.number)
            return Seen(f"reads {ROLES[role]}", [*says, *more], [*notes, *more], series.number)
    except InputError as error:
        return Seen("stops", [str(error)], [])


def _load(found, role, expected):
    """Load what was chosen, compare every voxel with the field, in float32 and int16, answer the notes."""
    if role is Role.CTP:
        loaded = load_time_series(found.ctp)
        array, grid, times_s = loaded.series.array, loaded.series.grid, loaded.series.times_s
    else:
        series, uneven = found.cta or found.ncct, role is Role.NCCT
        loaded = load_volume(series, allow_uneven=uneven)
        whole = load_volume(series, allow_uneven=uneven, whole_hu=True)
        np.testing.assert_allclose(whole.volume.array, loaded.volume.array, atol=1.0)
        assert (whole.volume.array.dtype, whole.notes) == (np.int16, loaded.notes)
        array, grid, times_s = loaded.volume.array[None], loaded.volume.grid, np.zeros((1, 1))
    points = grid.to_lps_mm(np.moveaxis(np.indices(grid.shape_kji), 0, -1))
    expected_hu = field_hu(points, times_s[:, :, None, None])
    scanned = array > -1000
    if expected.border:
        across = np.ones((1, 1, 2 * expected.border + 1, 2 * expected.border + 1))
        scanned = ndimage.binary_erosion(scanned, across)
    if expected.tolerance_hu is not None:
        assert scanned.mean() > 0.4
        np.testing.assert_allclose(array[scanned], expected_hu[scanned], atol=expected.tolerance_hu)
    return [note.text for note in loaded.notes]


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_table_says_what_lvo_does(tmp_path, name):
    """Outcome and words as written; where the table quotes nothing, nothing was noted; what is read has the right values."""
    row = ROWS[name]
    (tmp_path / "study").mkdir()
    expected = CONDITIONS[name](Scene(tmp_path / "study")) or Expected()
    seen = _try(expected, tmp_path / "study")
    said = "\n".join(seen.says)
    assert seen.does == row["does"].strip(), said
    quotes = re.findall(r"`([^`]+)`", row["says"])
    for quote in quotes:
        assert quote in said
    if not quotes:
        assert seen.notes == []
    if expected.number is not None:
        assert seen.number == expected.number
    for secret in ("Secret", "4711"):
        assert secret not in said


def test_table_and_tests_have_the_same_rows():
    """At least sixty, none twice, none untried."""
    names = re.findall(r"^\| `([a-z0-9-]+)` \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(names) == sorted(CONDITIONS)
    assert len(names) >= 60
