"""Every rule at its boundaries, in three-valued logic, without a verdict."""

import re
from dataclasses import fields

import msgspec
import pytest

from lvo.core.report import Criterion, Site
from lvo.criteria import evaluate
from lvo.criteria.rules import KEYS, Rule, packaged_rules

FITTING = {
    "DEFUSE 3": {
        "onset_to_imaging_h": 10, "age": 70, "nihss": 14, "pre_mrs": 0, "site": "M1",
        "core_ml": 20.0, "mismatch_ml": 60.0, "mismatch_ratio": 4.0,
    },
    "DAWN": {"onset_to_imaging_h": 12, "age": 70, "nihss": 14, "pre_mrs": 0, "site": "M1", "core_ml": 20.0},
    "EXTEND": {"onset_to_imaging_h": 6, "core_ml": 20.0, "mismatch_ml": 60.0, "mismatch_ratio": 4.0},
    "SWIFT PRIME": {
        "onset_to_imaging_h": 3, "age": 70, "nihss": 14, "pre_mrs": 0, "site": "ICA-T", "core_ml": 20.0,
        "tmax10_ml": 30.0, "mismatch_ml": 60.0, "mismatch_ratio": 4.0,
    },
    "SELECT2": {"onset_to_imaging_h": 12, "age": 70, "nihss": 14, "pre_mrs": 0, "site": "M1", "aspects": 9, "core_ml": 90.0},
    "ANGEL-ASPECT": {"onset_to_imaging_h": 9, "age": 70, "nihss": 14, "pre_mrs": 0, "site": "M1", "aspects": 9, "core_ml": 90},
    "NICE NG128: within 6 hours": {"onset_to_imaging_h": 3, "site": "M1"},
}  # fmt: skip
"""For each rule that can be met: facts that meet it."""

BOUNDARIES = [
    ("DEFUSE 3", "onset_to_imaging_h", [(5.99, False), (6, True), (16, True), (16.01, False)]),
    ("DEFUSE 3", "age", [(17, False), (18, True), (90, True), (91, False)]),
    ("DEFUSE 3", "nihss", [(5, False), (6, True)]),
    ("DEFUSE 3", "pre_mrs", [(2, True), (3, False)]),
    ("DEFUSE 3", "site", [("ICA", True), ("M1", True), ("M2", False), ("BA", False)]),
    ("DEFUSE 3", "core_ml", [(69.9, True), (70, False)]),
    ("DEFUSE 3", "mismatch_ml", [(14.9, False), (15, True)]),
    ("DEFUSE 3", "mismatch_ratio", [(1.79, False), (1.8, True)]),
    ("DAWN", "onset_to_imaging_h", [(5.9, False), (6, True), (24, True), (24.1, False)]),
    ("DAWN", "pre_mrs", [(1, True), (2, False)]),
    ("DAWN", "nihss", [(9, False), (10, True)]),
    ("DAWN", "core_ml", [(0, True), (30.9, True), (31, False)]),
    ("EXTEND", "onset_to_imaging_h", [(4.4, False), (4.5, True), (9, True), (9.1, False)]),
    ("EXTEND", "core_ml", [(69.9, True), (70, False)]),
    ("EXTEND", "mismatch_ml", [(10, False), (10.1, True)]),
    ("EXTEND", "mismatch_ratio", [(1.2, False), (1.21, True)]),
    ("SWIFT PRIME", "onset_to_imaging_h", [(5.9, True), (6, False)]),
    ("SWIFT PRIME", "nihss", [(7, False), (8, True), (29, True), (30, False)]),
    ("SWIFT PRIME", "core_ml", [(50, True), (50.1, False)]),
    ("SWIFT PRIME", "tmax10_ml", [(100, True), (100.1, False)]),
    ("SELECT2", "core_ml", [(49.9, False), (50, True), (250, True)]),
    ("SELECT2", "age", [(85, True), (86, False)]),
    ("SELECT2", "onset_to_imaging_h", [(0, True), (24, True), (24.1, False)]),
    ("ANGEL-ASPECT", "core_ml", [(69.9, False), (70, True), (100, True), (100.1, False)]),
    ("ANGEL-ASPECT", "nihss", [(5, False), (6, True), (30, True), (31, False)]),
    ("NICE NG128: within 6 hours", "onset_to_imaging_h", [(6, True), (6.1, False)]),
]


def one(name: str, measurements) -> Criterion:
    return next(criterion for criterion in evaluate(measurements) if criterion.name == name)


@pytest.mark.parametrize("name", FITTING)
def test_a_fitting_patient_meets_the_rule(name):
    assert one(name, FITTING[name]).met is True


@pytest.mark.parametrize(("name", "key", "cases"), BOUNDARIES, ids=[f"{name}, {key}" for name, key, _ in BOUNDARIES])
def test_boundaries(name, key, cases):
    """On the limit and just beside it."""
    assert {value: one(name, {**FITTING[name], key: value}).met for value, _ in cases} == dict(cases)


@pytest.mark.parametrize(
    ("age", "nihss", "core_ml", "met"),
    [
        pytest.param(80, 10, 20.9, True, id="A: at least 80 years, core below 21"),
        pytest.param(80, 30, 21.0, False, id="A: core too large, however severe"),
        pytest.param(79, 10, 30.9, True, id="B: below 80, core below 31"),
        pytest.param(79, 19, 31.0, False, id="between B and C"),
        pytest.param(79, 20, 31.0, True, id="C: severe, core from 31"),
        pytest.param(79, 20, 50.9, True, id="C: core below 51"),
        pytest.param(79, 20, 51.0, False, id="C: core too large"),
    ],
)
def test_dawn_groups(age, nihss, core_ml, met):
    assert one("DAWN", {**FITTING["DAWN"], "age": age, "nihss": nihss, "core_ml": core_ml}).met is met


@pytest.mark.parametrize(("aspects", "core_ml", "met"), [
    (3, 10.0, True), (5, 10.0, True), (2, 10.0, False), (6, 10.0, False), (6, 80.0, True),
    (4, None, True), (None, 80.0, True), (None, 10.0, None), (8, None, None),
])  # fmt: skip
def test_large_core_by_either_measure(aspects, core_ml, met):
    """One known and met is enough; one unknown keeps it open; both known and not met is no."""
    assert one("SELECT2", {**FITTING["SELECT2"], "aspects": aspects, "core_ml": core_ml}).met is met


@pytest.mark.parametrize("name", FITTING)
def test_unknown_is_never_no(name):
    """Taking any one fact away makes the rule unknown, or leaves it met; never not met."""
    for key in FITTING[name]:
        without = {k: v for k, v in FITTING[name].items() if k != key}
        for facts in (without, {**without, key: None}):
            assert one(name, facts).met is (
                True if (name, key) in {("SELECT2", "aspects"), ("ANGEL-ASPECT", "aspects")} else None
            )


def test_nothing_known_nothing_said():
    """Without facts every rule and every check is unknown."""
    for criterion in evaluate({}):
        assert criterion.met is None
        assert {check.met for check in criterion.checks} == {None}


def test_one_no_decides_whatever_is_unknown():
    criterion = one("DEFUSE 3", {"core_ml": 90.0})
    assert criterion.met is False
    assert sum(check.met is None for check in criterion.checks) == 7


def test_core_of_zero_counts_as_any_ratio():
    """No core: no ratio exists, and the ratio asked for counts as reached; the mismatch volume still has to be."""
    facts = {**FITTING["DEFUSE 3"], "core_ml": 0.0, "mismatch_ratio": None}
    assert one("DEFUSE 3", facts).met is True
    assert one("DEFUSE 3", {**facts, "mismatch_ml": 0.0}).met is False
    assert one("DEFUSE 3", {**facts, "core_ml": None}).met is None
    assert one("DEFUSE 3", {**facts, "core_ml": 5.0}).met is None


def test_nice_beyond_six_hours_leaves_tissue_to_a_person():
    """The guideline gives no volume: it can be excluded by time or site, and is otherwise unknown, never met."""
    name = "NICE NG128: 6 to 24 hours"
    facts = {"onset_to_imaging_h": 10, "site": "M1", "core_ml": 0.0, "mismatch_ml": 100.0}
    assert one(name, facts).met is None
    assert one(name, {**facts, "onset_to_imaging_h": 25}).met is False
    assert one(name, {**facts, "site": "M2"}).met is False


def test_a_large_core_is_not_excluded_everywhere():
    """A core of 90 mL fails DEFUSE 3 and meets the large-core trials: rows per rule, no verdict over them."""
    facts = {**FITTING["SELECT2"], "mismatch_ml": 30.0, "mismatch_ratio": 1.3}
    met = {criterion.name: criterion.met for criterion in evaluate(facts)}
    assert met["DEFUSE 3"] is False
    assert met["SELECT2"] is True
    assert met["ANGEL-ASPECT"] is True


def test_rows_explain_themselves():
    """Value, rule and outcome of every check; a rule is met exactly when all its checks are."""
    for facts in (*FITTING.values(), {}, {"age": 82, "nihss": 12, "core_ml": 25.0}):
        for criterion in evaluate(facts):
            values = [check.met for check in criterion.checks]
            assert criterion.met is (False if False in values else None if None in values else True)
            assert all(check.what and check.rule for check in criterion.checks)
    dawn = one("DAWN", {"age": 82, "core_ml": 12.5}).checks[-1]
    assert dawn.value == "age 82, nihss unknown, core_ml 12.5"
    assert "(age >= 80 and nihss >= 10 and core_ml < 21) or" in dawn.rule


def test_no_verdict_is_written():
    """No word that tells a clinician what to do."""
    verdict = re.compile(r"eligib|candidate|recommend(?!ations)|indicated|exclude|should", re.IGNORECASE)
    for criterion in evaluate(FITTING["DEFUSE 3"]):
        texts = [criterion.name, criterion.source, *(c.what for c in criterion.checks), *(c.rule for c in criterion.checks)]
        assert not [text for text in texts if verdict.search(text)]
    assert "verdict" not in {field.name for field in fields(Criterion)}


def test_every_rule_has_source_date_and_status():
    assert [rule.name for rule in packaged_rules()] == [*list(FITTING), "NICE NG128: 6 to 24 hours"]
    for rule in packaged_rules():
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", rule.date)
        assert "verified" in rule.status
        assert ("doi:10." in rule.source) or ("guideline" in rule.source)
        for check in rule.check:
            for condition in (c for group in check.alternatives for c in group if c.key):
                assert condition.key in KEYS
                assert set(condition.one_of) <= {str(site) for site in Site}
    swift = one("SWIFT PRIME", {})
    assert "to be verified" in swift.source
    assert "not judged here" in swift.source


@pytest.mark.parametrize(
    "check",
    [
        pytest.param('what = "x"\nall = [{ key = "core", below = 1 }]', id="unknown key"),
        pytest.param('what = "x"\nall = [{ key = "core_ml" }]', id="no limit"),
        pytest.param('what = "x"\nall = [{ key = "core_ml", less = 1 }]', id="misspelt limit"),
        pytest.param('what = "x"', id="empty"),
        pytest.param('what = "x"\nall = [{ judged = "a" }]\nany = [[{ judged = "a" }]]', id="all and any"),
        pytest.param('what = "x"\nall = [{ key = "core_ml", below = 1, judged = "a" }]', id="limit and judged"),
    ],
)
def test_a_wrong_rule_file_is_refused(check):
    head = 'name = "n"\nsource = "s"\ndate = "d"\nstatus = "verified"\n[[check]]\n'
    with pytest.raises(msgspec.ValidationError):
        msgspec.toml.decode(head + check, type=Rule)
