"""From the finding to the centre: the worked example of the reference, and silence where nothing may be said."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lvo.core.report import Site
from lvo.core.transfer import Opening
from lvo.errors import UsageError
from lvo.network.roster import read_roster
from lvo.network.transfer import Pathway, Patient, rank_destinations
from lvo.network.units import read_units

NORWICH, CAMBRIDGE, ROMFORD, ROYAL_LONDON = "NR47UY", "CB20QQ", "RM70AG", "E11BB"


@pytest.fixture
def patient(now) -> Patient:
    """M1 occlusion, seen to begin 150 minutes ago."""
    return Patient(suspected=True, site=Site.M1, onset=now - timedelta(minutes=150), onset_seen=True)


@pytest.fixture
def roster(tmp_path):
    """Royal London is always open, Cambridge and Romford in office hours only."""
    path = tmp_path / "roster.csv"
    rows = [f"{CAMBRIDGE},mon-fri,08:00,17:00", f"{ROMFORD},mon-fri,08:00,17:00", f"{ROYAL_LONDON},daily,00:00,24:00"]
    path.write_text("\n".join(["unit,days,open,close", *rows]) + "\n")
    return read_roster(path, time_zone="Europe/London")


def test_norwich_by_day(units, patient, now, roster):
    """Drive 78.8 min to Cambridge, puncture 349 min after onset, 32.6 % independent, 6.1 of 100 more than without."""
    first = rank_destinations(units, NORWICH, patient, now=now, roster=roster).destinations[0]
    assert (first.code, first.opening) == (CAMBRIDGE, Opening.OPEN)
    assert first.drive_min == pytest.approx(78.8)
    assert first.price.onset_to_puncture_min == pytest.approx(348.8)
    assert first.price.independent_with == pytest.approx(0.326, abs=5e-4)
    assert first.price.independent_with - first.price.independent_without == pytest.approx(0.061, abs=5e-4)
    assert first.price.utility_lost_per_10_min == pytest.approx(0.0056, abs=1e-4)
    assert first.arrival == now + timedelta(minutes=138.8)


def test_norwich_by_night(units, patient, now, roster):
    """With Cambridge and Romford closed: Royal London, 123.9 min, puncture at 394 min, 30.0 %; Cambridge opens at 8."""
    night = timedelta(hours=8)
    moved = replace(patient, onset=patient.onset + night)
    transfer = rank_destinations(units, NORWICH, moved, now=now + night, roster=roster)
    first = transfer.destinations[0]
    assert (first.code, first.opening) == (ROYAL_LONDON, Opening.OPEN)
    assert first.drive_min == pytest.approx(123.9)
    assert first.price.onset_to_puncture_min == pytest.approx(393.9)
    assert first.price.independent_with == pytest.approx(0.300, abs=5e-4)
    cambridge = next(row for row in transfer.destinations if row.code == CAMBRIDGE)
    assert cambridge.opening is Opening.CLOSED
    assert cambridge.opens.strftime("%a %H:%M") == "Thu 08:00"
    assert transfer.destinations[-1].opening is Opening.CLOSED


def test_open_comes_before_unknown_and_unknown_before_closed(units, patient, now, roster):
    order = [row.opening for row in rank_destinations(units, NORWICH, patient, now=now, roster=roster).destinations]
    assert order == sorted(order, key=list(Opening).index)
    within = [row.puncture for row in rank_destinations(units, NORWICH, patient, now=now).destinations]
    assert within == sorted(within)
    assert len(within) == 25


def test_without_a_roster_no_centre_is_called_open(units, patient, now):
    transfer = rank_destinations(units, NORWICH, patient, now=now)
    assert {row.opening for row in transfer.destinations} == {Opening.UNKNOWN}
    assert any("no centre is known to be open" in words for words in transfer.assumptions)


def test_closed_now_but_open_on_arrival_counts_as_open(units, patient, now, roster):
    """07:00 now, arrival 09:19: what counts is the door that opens at 08:00."""
    early = now.replace(hour=7)
    moved = replace(patient, onset=early - timedelta(minutes=150))
    assert rank_destinations(units, NORWICH, moved, now=early, roster=roster).destinations[0].code == CAMBRIDGE


def test_a_centre_needs_no_transfer(units, patient, now):
    first = rank_destinations(units, CAMBRIDGE, patient, now=now, pathway=Pathway(90, 45)).destinations[0]
    assert (first.code, first.drive_min) == (CAMBRIDGE, 0.0)
    assert first.puncture == now + timedelta(minutes=45)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"onset_seen": False}, "was not seen", id="wake-up stroke"),
        pytest.param({"onset": None, "onset_seen": None}, "onset is unknown", id="no onset"),
        pytest.param({"site": Site.BA}, "anterior circulation", id="basilar artery"),
        pytest.param({"site": None}, "artery is unknown", id="no artery"),
        pytest.param({"suspected": None}, "is not known", id="not judged"),
        pytest.param({"suspected": False}, "no large-vessel occlusion is suspected", id="no finding"),
    ],
)
def test_the_ranking_stays_and_the_price_goes(units, patient, now, change, words):
    """A place is always shown; an outcome only for whom the model was made."""
    transfer = rank_destinations(units, NORWICH, replace(patient, **change), now=now)
    assert transfer.destinations[0].code == CAMBRIDGE
    assert all(row.price is None and words in row.no_price for row in transfer.destinations)
    assert any(words in text for text in transfer.assumptions)
    assert not any("HERMES" in text for text in transfer.assumptions)


def test_late_patients_get_no_number_and_no_harm(units, patient, now):
    """At 12 hours the package would call thrombectomy harmful; nothing of that may be seen."""
    late = replace(patient, onset=now - timedelta(hours=12))
    for row in rank_destinations(units, NORWICH, late, now=now).destinations:
        assert row.price is None
        assert "imaging decides" in row.no_price


def test_lateness_is_judged_per_centre(units, patient, now):
    """241 minutes after onset: Cambridge is reached at 440 min and has a price, the next centre at 480 has none."""
    edge = replace(patient, onset=now - timedelta(minutes=241))
    first, second, *_ = rank_destinations(units, NORWICH, edge, now=now).destinations
    assert first.price.utility_gain > 0
    assert second.price is None
    assert "puncture 480 min after onset: imaging decides" in second.no_price


def test_averages_are_called_averages(units, patient, now):
    assert any(
        "never a forecast for one patient" in words for words in rank_destinations(units, NORWICH, patient, now=now).assumptions
    )


def test_a_travel_time_that_cannot_be_is_flagged(own_tables, patient, now):
    rows = {row.code: row for row in rank_destinations(read_units(own_tables), "C", patient, now=now).destinations}
    assert rows["A"].doubts == ()
    assert rows["B"].doubts == ("90 min there and 25 min back cannot both be true: check the travel time",)


def test_an_onset_in_the_future_is_refused(units, patient, now):
    with pytest.raises(UsageError, match="after now"):
        rank_destinations(units, NORWICH, replace(patient, onset=now + timedelta(minutes=1)), now=now)


def test_a_site_nobody_knows_is_refused(units, patient, now):
    with pytest.raises(UsageError, match="there is no unit"):
        rank_destinations(units, "NR4 7UY", patient, now=now)
    with pytest.raises(UsageError, match="has no travel times"):
        rank_destinations(units, "ME75NY", patient, now=now)
