"""Figures of a service come out as they were put in, and their intervals hold what they promise."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from lvo.audit.cases import Case, cases_of, in_groups, in_office_hours, quintile_of, start_date
from lvo.audit.kpi import INTERVALS, SHARES, estimate, share_of
from lvo.eventlog import Event, EventKind, Facts

LONDON = ZoneInfo("Europe/London")


def doors(log, minutes) -> tuple[Case, ...]:
    for k, value in enumerate(minutes):
        log.add(f"c{k}", "arrival", 0)
        log.add(f"c{k}", "door_out", value)
    return cases_of(log.events)


def outcomes(numbers: tuple[int, int], kind="positive_predictive"):
    """Cases with `numbers` (fulfilled, not) of a share."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    cases = []
    for k in range(sum(numbers)):
        said = Event(at=at, kind=EventKind.RESULT_OUT, case="c", site="S", facts=Facts(call="suspected"))
        final = Event(at=at, kind=EventKind.FINAL_DIAGNOSIS, case="c", site="S", facts=Facts(lvo=k < numbers[0]))
        cases.append(Case(f"c{k}", {said.kind: said, final.kind: final}))
    return share_of(cases, SHARES[kind])


@pytest.mark.parametrize(
    ("numbers", "low", "high"),
    [((81, 182), 0.2553, 0.3662), ((15, 133), 0.0624, 0.1605), ((0, 20), 0.0, 0.1611), ((1, 28), 0.0061, 0.1718)],
)
def test_intervals_of_shares_are_wilsons(numbers, low, high):
    """The examples of Newcombe 1998 (Stat Med 17:857), method 3."""
    found = outcomes(numbers)
    assert found.n == sum(numbers)
    assert found.value == pytest.approx(numbers[0] / sum(numbers))
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_the_interval_of_a_median_is_that_of_order_statistics(log):
    """Of ten values the second to the ninth: coverage 97.9 %, the third to the eighth 89.1 % (table of the sign test)."""
    found = estimate(doors(log, [100, 20, 90, 30, 80, 40, 70, 50, 60, 10]), INTERVALS["door_in_door_out"])
    assert (found.n, found.value, found.low, found.high) == (10, 55.0, 20.0, 90.0)
    assert found.quartiles == (32.5, 77.5)


def test_too_few_cases_have_no_interval(log):
    found = estimate(doors(log, [80, 90, 100, 110, 120]), INTERVALS["door_in_door_out"])
    assert (found.value, found.low, found.high) == (100.0, None, None)
    assert estimate((), INTERVALS["door_in_door_out"]).value is None


def test_intervals_cover_the_truth_as_often_as_they_say():
    """400 services of 30 transfers each, median 120: at least 95 in 100 intervals hold it, and not all of them."""
    rng = np.random.default_rng(4)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    hits = 0
    for _ in range(400):
        cases = []
        for minutes in rng.lognormal(np.log(120), 0.3, 30):
            ends = (at, at + timedelta(minutes=float(minutes)))
            kinds = (EventKind.ARRIVAL, EventKind.DOOR_OUT)
            cases.append(Case("c", {k: Event(at=t, kind=k, case="c", site="S") for k, t in zip(kinds, ends, strict=True)}))
        found = estimate(cases, INTERVALS["door_in_door_out"])
        hits += found.low <= 120 <= found.high
    assert 0.93 <= hits / 400 < 1.0


def test_the_service_comes_out_as_it_was_put_in(events):
    cases = cases_of(events)
    by_site = {site: [case for case in cases if case.site == site] for site in ("SPOKE1", "SPOKE2")}
    for site, truth in (("SPOKE1", 120), ("SPOKE2", 90)):
        found = estimate(by_site[site], INTERVALS["door_in_door_out"])
        assert found.low <= truth <= found.high
        assert found.high - found.low < 25
    times = {name: estimate(cases, interval) for name, interval in INTERVALS.items()}
    assert times["arrival_ncct"].value == 20
    assert times["ncct_cta"].value == 10
    assert times["transfer"].value == pytest.approx(40)
    assert times["puncture_reperfusion"].value == pytest.approx(45)
    assert times["cta_result"].low <= 5 <= times["cta_result"].high
    assert times["onset_puncture"].low <= 300 <= times["onset_puncture"].high
    shares = {name: share_of(cases, share) for name, share in SHARES.items()}
    for name, truth in (("cta_rate", 0.8), ("thrombectomy_lvo", 0.5), ("thrombectomy_suspected", 0.15), ("reperfused", 0.81),
                        ("positive_predictive", 0.8)):  # fmt: skip
        assert shares[name].low <= truth <= shares[name].high, name


def test_only_a_seen_onset_counts_for_onset_to_puncture(log):
    for case, seen in (("a", True), ("b", False), ("c", None)):
        log.add(case, "onset", 0, onset_seen=seen)
        log.add(case, "puncture", {"a": 200, "b": 900, "c": 900}[case])
    found = estimate(cases_of(log.events), INTERVALS["onset_puncture"])
    assert (found.n, found.value) == (1, 200.0)


def test_the_time_of_the_program_runs_from_the_first_image(log):
    """As the node writes it: when the first image of a study came, and when its result went out, under one pseudonym."""
    for k, minutes in enumerate((3.0, 4.0, 8.0)):
        log.add(f"1.2.840.{k}", "first_image_in", 0)
        log.add(f"1.2.840.{k}", "result_out", minutes, call="suspected")
    log.add("1.2.840.9", "first_image_in", 0)
    found = estimate(cases_of(log.events), INTERVALS["image_result"])
    assert (found.n, found.value, found.unknown) == (3, 4.0, 1)


def test_missing_and_impossible_times_are_counted_and_not_used(log):
    log.add("backwards", "arrival", 60)
    log.add("backwards", "door_out", 0)
    log.add("slip", "arrival", 0)
    log.add("slip", "door_out", 9 * 1440)
    log.add("noarrival", "door_out", 0)
    log.add("good", "arrival", 0)
    log.add("good", "door_out", 85)
    log.add("stays", "arrival", 0)
    found = estimate(cases_of(log.events), INTERVALS["door_in_door_out"])
    assert (found.n, found.value, found.unknown, found.impossible) == (1, 85.0, 1, 2)
    fast = share_of(cases_of(log.events), SHARES["fast_door"])
    assert (fast.n, fast.value, fast.unknown) == (1, 1.0, 3)


def test_unknown_is_not_no(log):
    """A thrombectomy without a grade, and a suspicion without a final diagnosis, are neither successes nor failures."""
    log.add("a", "result_out", 0, call="suspected")
    log.add("a", "puncture", 100)
    log.add("b", "result_out", 0, call="suspected")
    log.add("b", "final_diagnosis", 3000, lvo=True)
    log.add("b", "puncture", 100)
    log.add("b", "reperfusion", 150, mtici="2c")
    cases = cases_of(log.events)
    for name in ("reperfused", "positive_predictive"):
        found = share_of(cases, SHARES[name])
        assert (found.n, found.value, found.unknown) == (1, 1.0, 1)


def test_what_was_entered_again_replaces_what_was_wrong(log):
    log.add("a", "arrival", 0)
    log.add("a", "door_out", 500)
    log.add("a", "door_out", 80)
    assert estimate(cases_of(log.events), INTERVALS["door_in_door_out"]).value == 80


def test_a_case_belongs_to_the_hospital_of_arrival(log):
    log.add("a", "arrival", 0, site="SPOKE1")
    log.add("a", "puncture", 300, site="HUB")
    log.add("b", "puncture", 10, site="HUB")
    assert [(case.name, case.site) for case in cases_of(log.events)] == [("a", "SPOKE1"), ("b", "HUB")]


@pytest.mark.parametrize(
    ("at", "office", "day"),
    [
        ("2026-01-05T08:00+00:00", True, "2026-01-05"), ("2026-01-05T07:59+00:00", False, "2026-01-05"),
        ("2026-01-05T18:00+00:00", False, "2026-01-05"), ("2026-01-10T12:00+00:00", False, "2026-01-10"),
        ("2026-07-06T07:30+00:00", True, "2026-07-06"), ("2026-07-31T23:30+00:00", False, "2026-08-01"),
    ],
)  # fmt: skip
def test_days_and_hours_are_local(at, office, day):
    """07:30 UTC in July is 08:30 in London, and half an hour before midnight UTC is the next day there."""
    event = Event(at=datetime.fromisoformat(at), kind=EventKind.ARRIVAL, case="c", site="S")
    case = Case("c", {EventKind.ARRIVAL: event})
    assert in_office_hours(case, LONDON) is office
    assert start_date(case, LONDON) == day


def test_groups_are_of_equal_size_and_leave_no_case_twice(log):
    cases = doors(log, range(1, 24))
    groups = in_groups(cases, 10)
    assert [len(group) for group in groups] == [10, 10]
    assert [case.name for group in groups for case in group] == [case.name for case in cases[:20]]
    assert in_groups(cases[:9], 10) == []


@pytest.mark.parametrize(
    ("decile", "fifth"),
    [
        (1, "1 (most deprived)"), (2, "1 (most deprived)"), (3, "2"), (9, "5 (least deprived)"), (10, "5 (least deprived)"),
        (None, "unknown"),
    ],
)  # fmt: skip
def test_fifths_of_deprivation(log, decile, fifth):
    log.add("a", "arrival", 0, deprivation_decile=decile)
    assert quintile_of(cases_of(log.events)[0]) == fifth
