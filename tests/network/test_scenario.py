"""Scenarios on a small country worked out by hand, and on the real one."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lvo import cli as command_line
from lvo.errors import ConfigError, UsageError
from lvo.network.coverage import coverage, nearest, nearest_open, transfers
from lvo.network.page import scenario_document
from lvo.network.pictures import draw_map
from lvo.network.placement import add_centres, most_centres
from lvo.network.roster import read_roster
from lvo.network.scenario import Scenario, load_scenario, run_scenario
from lvo.network.units import packaged_folder, read_areas, read_units


@pytest.fixture
def own(own_tables):
    """a1: 100 patients, 10 min to A; a2: 200, 12 to B; a3: 300, 5 to C, then 21 to A or 90 to B."""
    return read_units(own_tables), read_areas(own_tables)


def test_coverage_by_hand(own):
    _, areas = own
    found = coverage(nearest(areas, ["A", "B"]).minutes, areas.admissions)
    assert found.mean_min == pytest.approx((100 * 10 + 200 * 12 + 300 * 40) / 600)
    assert (found.median_min, found.p95_min) == (12.0, 40.0)
    assert found.within == {30.0: 0.5, 45.0: 1.0, 60.0: 1.0, 90.0: 1.0}


def test_drip_and_ship_by_hand(own):
    units, areas = own
    moved = transfers(areas, units, first_units=["C"], centres=["A", "B"])
    assert moved.spoke.tolist() == [False, False, True]
    assert moved.drive_min.tolist() == [0.0, 0.0, 21.0]
    assert moved.centre_share == pytest.approx(0.5)


def test_a_scenario_by_hand(own):
    result = run_scenario(*own, Scenario(eligible=0.5, door_in_door_out_min=100))
    assert result.centres == ("A", "B")
    assert result.thrombectomies == {"A": 200.0, "B": 100.0}
    assert result.small_centres == ("B",)
    assert result.unit_admissions == {"C": 300.0, "A": 100.0, "B": 200.0}
    assert set(result.small_units) == {"A", "B", "C"}
    assert result.passed.redirected == 0.0, "35 min extra are more than 15"
    assert result.rota.operators == (12, 16)
    assert result.timely == 1.0


def test_centres_can_be_added_and_closed(own):
    units, areas = own
    assert run_scenario(units, areas, Scenario(add=("C",))).covered.mean_min == pytest.approx((1000 + 2400 + 1500) / 600)
    best = run_scenario(units, areas, Scenario(add_best=1))
    assert best.added == ("C",)
    assert run_scenario(units, areas, Scenario(close=("B",))).centres == ("A",)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        pytest.param(Scenario(close=("A", "B")), "no thrombectomy centre", id="all closed"),
        pytest.param(Scenario(add=("Z",)), "there is no unit Z", id="nobody knows it"),
        pytest.param(Scenario(add=("D",)), "no travel times to D", id="no way to it"),
    ],
)
def test_what_cannot_be_is_refused(own, scenario, words):
    with pytest.raises(UsageError, match=words):
        run_scenario(*own, scenario)


def test_shorter_doors_leave_more_people_independent(own):
    gains = [run_scenario(*own, Scenario(door_in_door_out_min=minutes)).independent_per_year for minutes in (130, 90, 60)]
    assert gains == sorted(gains)
    assert gains[0] > 0


def test_opening_hours_count(own, tmp_path):
    """A is always open, B by day only: at night everyone goes to A, 35 minutes for a2."""
    path = tmp_path / "roster.csv"
    path.write_text("unit,days,open,close\nA,daily,00:00,24:00\nB,daily,08:00,20:00\n")
    roster = read_roster(path, time_zone="Europe/London")
    day, night = nearest_open(own[1], ["A", "B"], roster, [12.0, 23.0])
    assert day.minutes.tolist() == [10.0, 12.0, 40.0]
    assert night.minutes.tolist() == [10.0, 35.0, 40.0]
    result = run_scenario(*own, Scenario(), roster=roster)
    by_day, by_night = (1000 + 2400 + 12000) / 600, (1000 + 7000 + 12000) / 600
    assert result.open_hours.mean_min == pytest.approx((by_day + by_night) / 2)
    assert result.within_hour_at_night == 1.0


def test_hours_when_nobody_is_open_count_as_unreachable(own, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("unit,days,open,close\nA,daily,08:00,20:00\nB,daily,08:00,20:00\n")
    result = run_scenario(*own, Scenario(), roster=read_roster(path, time_zone="Europe/London"))
    assert result.within_hour_at_night == 0.0
    assert result.open_hours.within[60.0] == pytest.approx(0.5)
    document = json.loads(json.dumps(scenario_document(result), allow_nan=False))
    assert document["travel_to_open_centre"]["mean_min"] is None
    assert document["travel_to_open_centre"]["within_60_min"] == pytest.approx(0.5)
    assert document["travel_to_centre"]["mean_min"] == pytest.approx((1000 + 2400 + 12000) / 600)


def test_a_roster_that_lacks_a_centre_is_refused(own, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("unit,days,open,close\nA,daily,08:00,20:00\n")
    with pytest.raises(UsageError, match="no opening hours for B"):
        run_scenario(*own, Scenario(), roster=read_roster(path, time_zone="Europe/London"))


def test_placement_by_hand(own):
    """C helps most; with 250 patients needed, one small unit after the other closes until one is left."""
    _, areas = own
    assert add_centres(areas, ["A"], ["A", "B", "C"], 2) == ("C", "B")
    assert most_centres(areas, ["A", "B", "C"], min_admissions=100) == ("A", "B", "C")
    assert most_centres(areas, ["A", "B", "C"], min_admissions=250) == ("C",), "A has 100, then B 200, then C all"
    assert most_centres(areas, ["A", "B", "C"], min_admissions=601) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("centers = []", "unknown field", id="misspelt"),
        pytest.param("eligible = 10", "eligible", id="per cent for a share"),
        pytest.param("crews = 0", "crews", id="no crew"),
        pytest.param("name = ", "scenario", id="no TOML"),
    ],
)
def test_a_wrong_scenario_file_is_refused(tmp_path, text, words):
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_scenario(path)


def test_a_scenario_without_a_name_is_called_after_its_file(tmp_path):
    (tmp_path / "faster.toml").write_text("door_in_door_out_min = 60.0")
    assert load_scenario(tmp_path / "faster.toml") == Scenario(name="faster", door_in_door_out_min=60.0)
    assert load_scenario(None).name == "today"


def test_the_country_of_today(units, areas, tmp_path):
    """24 English centres; Wales, whose admissions are not on record, is grey on the map and counts for nothing."""
    result = run_scenario(units, areas, Scenario())
    assert len(result.centres) == 24
    assert {units.by_code[code].country for code in result.unit_admissions} == {"England"}
    assert result.covered.mean_min == pytest.approx(35.9, abs=0.1)
    outside = np.array([code.startswith("W") for code in areas.codes])
    assert (result.inside != outside).mean() > 0.99
    png = draw_map(areas, result, packaged_folder())
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    grey = (pixels == (0xD9, 0xD9, 0xD9)).all(axis=-1)
    columns = np.nonzero(grey)[1]
    assert grey.sum() > 5000
    assert columns.mean() < 0.45 * pixels.shape[1], "Wales is in the west"
    assert draw_map(areas, result, tmp_path) is None


def test_the_command_leaves_a_page_with_both_networks(own_tables, tmp_path):
    (tmp_path / "s.toml").write_text('name = "one more"\nadd_best = 1\n')
    out = tmp_path / "out"
    arguments = ["network", "scenario", "--out", out, "--data", own_tables, "--scenario", tmp_path / "s.toml"]
    shown = CliRunner().invoke(command_line._lvo, list(map(str, arguments)), catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert sorted(path.name for path in out.iterdir()) == ["scenario.html", "scenario.json", "volumes.png"]
    page = (out / "scenario.html").read_text()
    assert "one more" in page
    assert "90 min" in page, "the way that cannot be is shown"
    assert "<script" not in page
    today, changed = json.loads((out / "scenario.json").read_text())["scenarios"]
    assert (len(today["centres"]), len(changed["centres"])) == (2, 3)
    assert changed["added"] == ["C"]
