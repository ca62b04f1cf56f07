"""Paired comparisons against published examples."""

import numpy as np
import pytest
from scipy.stats import binom

from lvo.core.report import Call
from lvo.evaluate.reference.compare import compare, p_words, paired_areas, paired_shares, reader_numbers
from lvo.evaluate.reference.numbers import find

OVARIAN = np.fromstring("""
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1   3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0   3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1   3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0   2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
""", sep=" ").reshape(-1, 4)  # fmt: skip
"""Albumin, total protein, K-G score, whether surgery helped: 43 patients of DeLong et al. 1988, as printed in the SAS/STAT
manual (The LOGISTIC Procedure, Comparing Receiver Operating Characteristic Curves)."""


@pytest.mark.parametrize(
    ("column", "difference", "error", "chi_square", "p"),
    [
        pytest.param(1, -0.0780, 0.1046, 0.5554, 0.4561, id="total protein less K-G score"),
        pytest.param(0, 0.0108, 0.0953, 0.0127, 0.9102, id="albumin less K-G score"),
    ],
)
def test_paired_areas_of_the_data_of_delong(column, difference, error, chi_square, p):
    """The SAS/STAT manual gives these contrasts for the same data."""
    found = paired_areas(OVARIAN[:, column], 10.0 - OVARIAN[:, 2], OVARIAN[:, 3] == 1)
    assert found.difference.value == pytest.approx(difference, abs=5e-5)
    assert (found.difference.high - found.difference.low) / (2 * 1.959964) == pytest.approx(error, abs=5e-5)
    assert found.z**2 == pytest.approx(chi_square, abs=5e-5)
    assert found.p == pytest.approx(p, abs=5e-5)


def pairs(both, only_first, only_second, neither):
    counts = (both, only_first, only_second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        pytest.param((21, 9, 2, 12), 0.06543, id="Fay 2010, vignette of exact2x2"),
        pytest.param((794, 86, 150, 570), 3.716e-05, id="Agresti, approval ratings"),
    ],
)
def test_exact_mcnemar(counts, p):
    """Both are twice a binomial tail by hand."""
    found = paired_shares(*pairs(*counts))
    assert (found.only_first, found.only_second) == counts[1:3]
    tail = 2 * binom.cdf(min(counts[1:3]), sum(counts[1:3]), 0.5)
    assert found.p == pytest.approx(tail)
    assert found.p == pytest.approx(p, rel=2e-3)


@pytest.mark.parametrize(
    ("counts", "difference", "low", "high"),
    [
        pytest.param((36, 12, 2, 0), 0.2, 0.0569, 0.3404, id="Newcombe 1998, table II"),
        pytest.param((1, 1, 7, 12), -0.2857, -0.507, -0.026, id="Fagerland et al. 2014, airway responsiveness"),
    ],
)
def test_difference_of_paired_shares(counts, difference, low, high):
    """Newcombe's method 10, doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C; doi:10.1002/sim.6148."""
    found = paired_shares(*pairs(*counts)).difference
    assert found.value == pytest.approx(difference, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)


def test_equal_answers_differ_by_nothing():
    found = paired_shares(*pairs(5, 0, 0, 4))
    assert (found.difference.value, found.p) == (0.0, 1.0)
    same = paired_areas(OVARIAN[:, 0], OVARIAN[:, 0], OVARIAN[:, 3] == 1)
    assert (same.difference.value, same.p) == (0.0, 1.0)


def test_no_cases_give_no_number():
    assert np.isnan(paired_shares(*pairs(0, 0, 0, 0)).p)
    assert np.isnan(paired_areas(np.array([0.5]), np.array([0.5]), np.array([True])).p)


def test_program_against_a_reader_on_the_studies_that_were_read(make_case):
    calls = (Call.SUSPECTED, Call.SUSPECTED, None, Call.NOT_DETECTED)
    scores = ({"A": 0.9}, {"A": 0.2}, {"A": 0.8}, {})
    cases = [make_case(f"1.{n}", call=call, readings=score) for n, (call, score) in enumerate(zip(calls, scores, strict=True))]
    cases += [
        make_case(f"2.{n}", lvo=False, call=Call.NOT_DETECTED, probability=0.1, readings={"A": 0.1 + 0.5 * n}) for n in range(2)
    ]
    alone = reader_numbers(cases, "A")
    assert (find(alone, "sensitivity", group="A").estimate.hits, find(alone, "sensitivity", group="A").estimate.n) == (2, 3)
    paired = compare(cases, "A")
    # of three occlusions that were read the program called two, the reader two: one each that the other missed
    assert find(paired, "difference of sensitivity", group="program less A").estimate.value == 0.0
    assert find(paired, "difference of specificity", group="program less A").estimate.value == 0.5
    assert find(paired, "difference of sensitivity, p", group="program less A").estimate.value == 1.0
    tested = ("difference of sensitivity, p", "difference of specificity, p", "difference of area under the ROC curve, p")
    assert [find(paired, name, group="program less A").estimate.n for name in tested] == [3, 2, 5]


def test_a_reader_with_the_program_against_alone(make_case):
    cases = [make_case(f"1.{n}", readings={"A": 0.2 if n < 4 else 0.9, "A:aided": 0.9}) for n in range(10)]
    found = compare(cases, "A", against="A:aided")
    difference = find(found, "difference of sensitivity", group="A:aided less A").estimate
    assert (difference.value, difference.n) == (pytest.approx(0.4), 10)
    assert find(found, "difference of sensitivity, p", group="A:aided less A").estimate.value == pytest.approx(2 * 0.5**4)


@pytest.mark.parametrize(("p", "words"), [(0.04567, "0.046"), (0.0004, "< 0.001"), (float("nan"), "-")])
def test_p_in_words(p, words):
    assert p_words(p) == words
