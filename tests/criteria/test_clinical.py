"""Clinical facts are checked before a rule sees them."""

import json

import pytest

from lvo.core.report import Site
from lvo.criteria import clinical_facts, evaluate
from lvo.errors import UsageError

T = "2026-03-01T08:00Z"


def test_known_facts_reach_the_rules():
    """What is known comes under the keys of the rules; what is unknown or null stays out."""
    facts = clinical_facts({"onset_to_imaging_h": 8.5, "age": 71, "nihss": 12, "pre_mrs": 1, "site": "ICA-T", "aspects": None})
    assert facts.site is Site.ICA_T
    assert facts.measurements() == {"onset_to_imaging_h": 8.5, "age": 71, "nihss": 12, "pre_mrs": 1, "site": "ICA-T"}
    defuse = next(c for c in evaluate(facts.measurements()) if c.name == "DEFUSE 3")
    assert [check.met for check in defuse.checks] == [True, True, True, True, True, None, None, None]


@pytest.mark.parametrize("key", ["onset", "last_known_well"])
@pytest.mark.parametrize(
    ("imaging", "defuse"),
    [("2026-03-01T13:59Z", False), ("2026-03-01T14:00Z", True), ("2026-03-02T00:00Z", True), ("2026-03-02T00:01Z", False)],
)
def test_times_become_hours_to_the_minute(key, imaging, defuse):
    """DEFUSE 3 goes from 6 to 16 hours; offsets from UTC count, and it does not matter whether the onset was seen."""
    facts = clinical_facts({key: "2026-03-01T09:00+01:00", "imaging": imaging})
    row = next(c for c in evaluate(facts.measurements()) if c.name == "DEFUSE 3").checks[0]
    assert row.met is defuse


def test_an_onset_without_the_time_of_the_scan_is_unknown_to_the_rules():
    facts = clinical_facts({"onset": T, "anticoagulation": "none"})
    assert facts.measurements() == {"anticoagulation": "none"}
    assert {c.checks[0].met for c in evaluate(facts.measurements())} == {None}


def test_nothing_is_a_fact_too():
    assert clinical_facts({}).measurements() == {}


@pytest.mark.parametrize(
    ("text", "found"), [("[1]", "array"), ("[]", "array"), ("null", "null"), ('"x"', "str"), ("7", "int")], ids=str
)
def test_json_that_is_no_object_is_refused(text, found):
    """An empty list is not "no facts": what was found is named."""
    with pytest.raises(UsageError, match=f"Expected `object`, got `{found}`"):
        clinical_facts(json.loads(text))


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        pytest.param({"onset_h": 3}, "onset_h", id="unknown key"),
        pytest.param({"age": "seventy"}, "age", id="words"),
        pytest.param({"age": -1}, "age", id="negative age"),
        pytest.param({"age": 130}, "age", id="impossible age"),
        pytest.param({"nihss": 43}, "nihss", id="beyond the scale"),
        pytest.param({"nihss": 7.5}, "nihss", id="half a point"),
        pytest.param({"pre_mrs": 6}, "pre_mrs", id="dead before the stroke"),
        pytest.param({"aspects": 11}, "aspects", id="more than ten regions"),
        pytest.param({"onset_to_imaging_h": -0.1}, "onset_to_imaging_h", id="scan before onset"),
        pytest.param({"site": "M9"}, "site", id="no such artery"),
        pytest.param({"age": True}, "age", id="yes is no age"),
        pytest.param({"anticoagulation": "warfarin 3 mg"}, "anticoagulation", id="a drug in words of one's own"),
        pytest.param({"onset": "2026-03-01T08:00"}, "onset", id="a time without offset"),
        pytest.param({"onset": "at breakfast"}, "onset", id="a time in words"),
        pytest.param({"onset": T, "last_known_well": T}, "one of onset, last_known_well", id="two beginnings"),
        pytest.param({"onset": T, "onset_to_imaging_h": 3}, "one of onset, onset_to_imaging_h", id="a time and hours"),
        pytest.param({"onset": T, "imaging": "2026-03-01T07:59Z"}, "0 to 168 hours after `onset`", id="a scan before onset"),
        pytest.param({"last_known_well": T, "imaging": "2026-03-09T08:00Z"}, "168 hours", id="more than a week"),
    ],
)
def test_impossible_facts_are_refused(mapping, words):
    """The message names the key and what is allowed, not the patient's value."""
    with pytest.raises(UsageError, match=words) as caught:
        clinical_facts(mapping)
    assert "the keys are" in str(caught.value)
    assert "seventy" not in str(caught.value)
