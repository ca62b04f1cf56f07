"""Counting by hand, the published interval, and what becomes of studies that were not analysed."""

import pytest

from lvo.core.report import Call, Side, Site
from lvo.evaluate.reference.accuracy import SENSITIVITY, SPECIFICITY, accuracy, answer_table, cases_by, share, subgroups
from lvo.evaluate.reference.numbers import find


def test_a_published_table_through_the_whole_count(make_case):
    """61 of 75: 0.813 [0.711, 0.885] (Yahav-Dovrat et al., AJNR 2021, doi:10.3174/ajnr.A6923)."""
    cases = [make_case(f"1.{n}", call=Call.SUSPECTED if n < 61 else Call.NOT_DETECTED) for n in range(75)]
    found = share(accuracy(cases), SENSITIVITY)
    assert (found.hits, found.n) == (61, 75)
    assert tuple(round(value, 3) for value in (found.value, found.low, found.high)) == (0.813, 0.711, 0.885)


def test_clopper_and_pearson_beside_wilson(make_case):
    """10 of 10: 0.025 ** (1 / 10) to 1 (Clopper and Pearson 1934)."""
    numbers = accuracy([make_case(f"1.{n}") for n in range(10)])
    exact = find(numbers, SENSITIVITY, method="Clopper-Pearson").estimate
    assert (exact.low, exact.high) == pytest.approx((0.025**0.1, 1.0))
    assert find(numbers, SENSITIVITY, method="Wilson").estimate.low == pytest.approx(1.0 / (1.0 + 1.959964**2 / 10), abs=1e-6)


@pytest.fixture
def mixed(make_case):
    """Ten occlusions: 5 called, 1 indeterminate, 2 missed, 1 not judged, 1 without a result. Eight others: 1, 1, 4, 1, 1."""
    calls = (*[Call.SUSPECTED] * 5, Call.INDETERMINATE, *[Call.NOT_DETECTED] * 2, None, "missing")
    others = (Call.SUSPECTED, Call.INDETERMINATE, *[Call.NOT_DETECTED] * 4, None, "missing")
    return [make_case(f"1.{n}", call=call) for n, call in enumerate(calls)] + [
        make_case(f"2.{n}", lvo=False, call=call) for n, call in enumerate(others)
    ]


def test_the_table_of_answers_hides_no_row(mixed):
    assert answer_table(mixed[:10], mixed[10:]) == [
        ("suspected", 5, 1), ("indeterminate", 1, 1), ("not detected", 2, 4), ("not judged", 1, 1), ("no result", 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hits", "n"),
    [
        (SENSITIVITY, 5, 10),
        (SPECIFICITY, 7, 8),
        ("sensitivity, judged only", 5, 8),
        ("specificity, judged only", 5, 6),
        ("specificity, not analysed = wrong", 5, 8),
        ("sensitivity, indeterminate = alarm", 6, 10),
        ("specificity, indeterminate = alarm", 6, 8),
        ("positive predictive value in this sample", 5, 6),
        ("negative predictive value in this sample", 4, 6),
        ("side right, when called", 5, 5),
        ("called on the right side", 5, 10),
        ("point within 10 mm, when called", 5, 5),
        ("not analysed", 4, 18),
    ],
)
def test_every_share_by_hand(mixed, name, hits, n):
    found = share(accuracy(mixed), name)
    assert (found.hits, found.n) == (hits, n)


def test_a_wrong_side_and_a_far_point_count_against_it(make_case):
    wrong = make_case(side=Side.RIGHT, site=Site.M2, location_lps_mm=(-20.0, 3.0, 4.0))
    numbers = accuracy([wrong, make_case("1.3")])
    for name in ("side right, when called", "artery right, when called", "point within 10 mm, when called"):
        assert (share(numbers, name).hits, share(numbers, name).n) == (1, 2)


def test_an_occlusion_without_a_side_is_in_no_figure_of_sides(make_case):
    numbers = accuracy([make_case(side=None), make_case("1.3")])
    assert share(numbers, "called on the right side").n == share(numbers, "side right, when called").n == 1


def test_subgroups_by_bins_and_words(make_case):
    ages = (49.9, 50.0, 79.0, 80.0, None)
    cases = [make_case(f"1.{n}", facts={} if age is None else {"age": age}) for n, age in enumerate(ages)]
    assert {name: len(members) for name, members in cases_by(cases, "age").items()} == {
        "below 50 years": 1, "50 to 65 years": 1, "65 to 80 years": 1, "80 years and more": 1, "unknown": 1,
    }  # fmt: skip
    voltages = [make_case(f"1.{kv}", facts={"kv": kv}) for kv in (120.0, 80.0, 100.0)]
    assert list(cases_by(voltages, "kv")) == ["80", "100", "120"]
    sites = [make_case(f"1.{n}", site=site) for n, site in enumerate((Site.BA, Site.M1, Site.ICA_T, None))]
    assert list(cases_by(sites, "site")) == ["ICA-T", "M1", "BA", "unknown"]


def test_subgroups_add_up_to_the_whole(mixed, make_case):
    cases = [make_case(case.truth.study, lvo=case.truth.lvo, call=Call.SUSPECTED, facts={"centre": "N" if n % 3 else "S"})
             for n, case in enumerate(mixed)]  # fmt: skip
    parts = [number for number in subgroups(cases) if number.name == SENSITIVITY and number.method == "Wilson"]
    assert sum(part.estimate.n for part in parts if part.group.startswith("centre")) == 10
    assert len(parts) == 4  # M1, left, N, S
    assert not [number for number in subgroups(cases) if number.name == SPECIFICITY and number.group.startswith("site")]
