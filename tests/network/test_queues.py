"""The simulation waits as queueing theory says."""

import pytest

from lvo.network.queues import YEAR_MIN, QueueSettings, Waiting, simulate


def lab_only(*, utilisation: float, sd: float) -> QueueSettings:
    """One laboratory, 60 minutes a case, patients at random."""
    return QueueSettings(
        0, direct_per_year=utilisation * YEAR_MIN / 60.0, procedure_min=60.0, procedure_sd_min=sd, door_to_lab_min=0.0, years=12
    )


@pytest.mark.parametrize(("utilisation", "sd"), [(0.1, 0.0), (0.3, 0.0), (0.3, 60.0), (0.5, 30.0)])
def test_one_laboratory_obeys_pollaczek_and_khinchine(utilisation, sd):
    """Mean wait of M/G/1: utilisation / (1 - utilisation) * mean / 2 * (1 + (sd / mean)^2)."""
    expected = utilisation / (1 - utilisation) * 60.0 / 2 * (1 + (sd / 60.0) ** 2)
    assert simulate(lab_only(utilisation=utilisation, sd=sd)).for_lab[0] == pytest.approx(expected, rel=0.06)


def test_the_check_can_fail():
    """A laboratory twice as busy misses the formula of the other."""
    wrong = 0.3 / 0.7 * 60.0 / 2
    assert simulate(lab_only(utilisation=0.5, sd=0.0)).for_lab[0] > 1.5 * wrong


def test_a_second_crew_shortens_the_door_to_door_time():
    """600 transfers a year and 40 min of driving: one crew is a bottleneck; with two the queue moves to the laboratory."""
    one, two = (simulate(QueueSettings(600, crews=crews)) for crews in (1, 2))
    assert one.door_in_door_out[1] - two.door_in_door_out[1] > 10
    assert two.for_crew[1] < 5
    assert two.for_lab[1] >= one.for_lab[1]


def test_few_transfers_hardly_wait():
    few = simulate(QueueSettings(150))
    assert few.for_crew[1] < 1
    assert few.for_crew[0] < 3


def test_nobody_comes_and_nobody_waits():
    assert simulate(QueueSettings(0, years=1)) == Waiting((0, 0), (0, 0), (0, 0))


def test_the_same_seed_gives_the_same_waiting():
    assert simulate(QueueSettings(600, years=2)) == simulate(QueueSettings(600, years=2))
    assert simulate(QueueSettings(600, years=2)) != simulate(QueueSettings(600, years=2, seed=2))
