"""No study is dropped: what does not count is counted, and what is odd is named."""

import pytest

from lvo.errors import InputError
from lvo.evaluate.reference.flow import flow_lines
from lvo.evaluate.reference.join import join
from lvo.evaluate.reference.results import read_results
from lvo.evaluate.reference.table import read_reference


def joined(hospital, results, rows):
    folder, table = hospital(results, rows)
    return join(read_reference(table), read_results(folder))


def test_every_way_out_of_the_flow_is_counted(hospital, result_json):
    cohort = joined(
        hospital,
        [result_json("1.1"), result_json("1.2", None), result_json("1.4", "not_detected", 0.1), result_json("1.5"),
         result_json("1.6"), result_json("9.9")],
        [
            {"study": "1.1", "lvo": 1, "side": "left", "site": "M1"},
            {"study": "1.2", "lvo": 1, "side": "left", "site": "M1"},
            {"study": "1.3", "lvo": 0},
            {"study": "1.4", "lvo": 0},
            {"study": "1.5", "lvo": "", "centre": "North"},
            {"study": "1.6", "lvo": 1, "side": "left", "site": "A2"},
            {"study": "1.7", "lvo": 1, "side": "right", "site": "ICA", "part": "cervical"},
        ],
    )  # fmt: skip
    assert dict(flow_lines(cohort)) == {
        "studies with a result": 6,
        "of these, not in the reference table": 1,
        "studies in the reference table": 7,
        "of these, reference standard could not tell": 1,
        "of these, only an artery that is not covered is occluded": 2,
        "studies that count": 4,
        "of these, no result": 1,
        "of these, could not be judged": 1,
        "of these, analysed": 2,
        "with a covered occlusion": 2,
        "without an occlusion": 2,
    }
    assert cohort.flow.reasons == (("no contrast in the arteries", 1),)
    assert cohort.threshold == 0.5
    text = "\n".join(cohort.notes)
    assert "1 results are of studies that are not in the reference table: 9.9" in text
    assert "2 studies of the reference table have no result and count as not analysed: 1.3, 1.7" in text


def test_an_occlusion_of_an_unknown_artery_counts(hospital, result_json):
    cohort = joined(hospital, [result_json("1.1")], [{"study": "1.1", "lvo": 1}])
    assert len(cohort.positives) == 1
    assert "1 occlusions have no side in the table: whether the side was right is not known" in cohort.notes
    assert "1 occlusions have no site in the table: they count as covered" in cohort.notes
    assert cohort.positives[0].side_right is None


def test_results_of_two_tests_are_named(hospital, result_json):
    other = result_json("1.2", config_sha256="ef" * 32)
    other["cta"]["lvo"]["threshold"] = 0.3
    cohort = joined(hospital, [result_json("1.1"), other], [{"study": "1.1", "lvo": 1}, {"study": "1.2", "lvo": 0}])
    text = "\n".join(cohort.notes)
    assert "2 thresholds (0.3 to 0.5): they are not one test" in text
    assert "2 different models or settings" in text
    assert cohort.threshold is None


def test_a_call_on_the_other_side_is_named(hospital, result_json):
    cohort = joined(hospital, [result_json("1.1")], [{"study": "1.1", "lvo": 1, "side": "right", "site": "M1"}])
    assert "1 occlusions were called on another side than the table's: 1.1" in cohort.notes


def test_a_table_of_other_studies_is_refused(hospital, result_json):
    with pytest.raises(InputError, match="none of the 1 studies of the reference table has one of the 1 results"):
        joined(hospital, [result_json("1.1")], [{"study": "1.2", "lvo": 1}])
