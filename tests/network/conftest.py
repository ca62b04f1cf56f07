"""The tests of this room need the network extra, and say so when it is missing."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from lvo.network import require_extra
from lvo.network.units import Areas, Units, packaged_folder, read_areas, read_units

LONDON = ZoneInfo("Europe/London")


@pytest.fixture(scope="session", autouse=True)
def _network_extra():
    """Loudly skip everything here where the extra is missing."""
    try:
        require_extra()
    except ValueError as error:
        pytest.skip(f"NETWORK EXTRA MISSING, network planning is not tested: {error}")


@pytest.fixture(scope="session")
def units(_network_extra) -> Units:
    return read_units(packaged_folder())


@pytest.fixture(scope="session")
def areas(_network_extra) -> Areas:
    return read_areas(packaged_folder())


@pytest.fixture
def now() -> datetime:
    """A Wednesday in winter, 14:00."""
    return datetime(2026, 1, 14, 14, 0, tzinfo=LONDON)


@pytest.fixture
def own_tables(tmp_path):
    """A small network of one's own: A and B treat, C and D refer; D has no travel times; B to C is asymmetric."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "units.csv").write_text(
        "postcode,stroke_team,use_ivt,use_mt,isdn\nA,Alpha,1,1,North\nB,Beta,1,1,North\nC,Gamma,1,0,South\nD,Delta,0,0,South\n"
    )
    (folder / "between_units.csv").write_text("from,A,B,C\nA,0,30,20\nB,31,0,25\nC,21,90,0\n")
    (folder / "areas_to_units.csv").write_text("area,A,B,C\na1,10,40,30\na2,35,12,20\na3,40,50,5\n")
    (folder / "admissions.csv").write_text("area,admissions\na3,300\na1,100\na2,200\n")
    return folder
