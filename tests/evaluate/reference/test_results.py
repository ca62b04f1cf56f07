"""Results from folders and from a table: the same studies, the same answers."""

import json
import math

import pandas as pd
import pytest

from lvo.core.report import Call, Side, Site
from lvo.errors import InputError
from lvo.evaluate.reference.results import read_results


def test_folders_at_any_depth(hospital, result_json):
    perfusion = {"state": "assessed", "core_ml": 10.5, "hypoperfusion_ml": 88.0}
    folder, _ = hospital([result_json("1.2", perfusion=perfusion), result_json("1.3", None)], [])
    found = read_results(folder.parent).by_study
    assert found["1.2"].found.call is Call.SUSPECTED
    assert (found["1.2"].found.side, found["1.2"].found.site) == (Side.LEFT, Site.M1)
    assert found["1.2"].volumes_ml == {"core_ml": 10.5, "hypoperfusion_ml": 88.0}
    assert found["1.2"].folder == folder / "1.2"
    assert found["1.2"].made_by == "arteries 1, settings cdcdcdcdcdcd"
    assert (found["1.3"].found, found["1.3"].reasons) == (None, ("no contrast in the arteries",))


def test_an_absent_angiogram_has_a_reason(hospital, result_json):
    folder, _ = hospital([result_json("1.2", cta={"state": "absent", "reasons": [], "lvo": None})], [])
    assert read_results(folder).by_study["1.2"].reasons == ("CT angiogram absent",)


def flat(content):
    """A row of a table, columns named like the keys of result.json."""
    lvo = content["cta"]["lvo"] or {}
    return {
        "study.study_instance_uid": content["study"]["study_instance_uid"],
        "cta.state": content["cta"]["state"],
        "cta.reasons": content["cta"]["reasons"],
        **{f"cta.lvo.{key}": lvo.get(key) for key in ("call", "probability", "threshold", "side", "site", "location_lps_mm")},
        "perfusion.core_ml": content["perfusion"]["core_ml"],
        "perfusion.hypoperfusion_ml": content["perfusion"]["hypoperfusion_ml"],
        "config_sha256": content["config_sha256"],
    }


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv with underscores", "csv with three columns for the place"])
def test_a_table_says_what_the_folders_say(tmp_path, hospital, result_json, kind):
    contents = [result_json("1.2"), result_json("1.3", None), result_json("1.4", "not_detected", 0.1)]
    folder, _ = hospital(contents, [])
    table = pd.DataFrame([flat(content) for content in contents])
    path = tmp_path / f"results.{kind[:3] if kind[0] == 'c' else kind}"
    if kind == "parquet":
        table.to_parquet(path)
    else:
        if kind.endswith("place"):
            places = table.pop("cta.lvo.location_lps_mm")
            for number, axis in enumerate("xyz"):
                table[f"cta.lvo.location_lps_mm_{axis}"] = [place[number] if place else None for place in places]
        else:
            for name in ("cta.lvo.location_lps_mm", "cta.reasons"):
                table[name] = [None if value is None else json.dumps(value) for value in table[name]]
        if kind.endswith("place"):
            table["cta.reasons"] = ["".join(value) for value in table["cta.reasons"]]
        if kind.endswith("underscores"):
            table.columns = [name.replace(".", "_") for name in table.columns]
        table.to_csv(path, index=False)
    by_folder, by_table = read_results(folder).by_study, read_results(path).by_study
    assert list(by_table) == list(by_folder)
    for study, expected in by_folder.items():
        assert (by_table[study].found, by_table[study].reasons) == (expected.found, expected.reasons)
        assert by_table[study].threshold == expected.threshold


def test_two_results_of_one_study(hospital, result_json):
    folder, _ = hospital([result_json("1.2")], [])
    (folder / "again").mkdir()
    (folder / "again" / "result.json").write_text(json.dumps(result_json("1.2")))
    assert read_results(folder).notes == ("study 1.2 has two equal results and counts once",)
    (folder / "again" / "result.json").write_text(json.dumps(result_json("1.2", probability=0.8)))
    with pytest.raises(InputError, match=r"study 1\.2 has two results that differ"):
        read_results(folder)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("a/result.json", "{}", "is not a readable result", id="no result"),
        pytest.param("a/other.json", "{}", r"there is no result\.json", id="nothing"),
        pytest.param("results.csv", "study\n1.2\n", "lacks cta_lvo_call, cta_lvo_probability, cta_state", id="another table"),
        pytest.param(
            "results.csv",
            "study,cta.state,cta.lvo.call,cta.lvo.probability\n1.2,assessed,perhaps,0.5\n",
            "row 1: ",
            id="no call",
        ),
        pytest.param("results.xlsx", "", "holds no results", id="another kind of file"),
        pytest.param("results.parquet", "x", "cannot be read as a table", id="no parquet"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, name, content, says):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with pytest.raises(InputError, match=says):
        read_results(path if "/" not in name else tmp_path)


def test_rows_as_a_batch_leaves_them(tmp_path):
    """A failed study was not judged, for the reason of the batch; one that was never opened has no study and is counted."""
    path = tmp_path / "results.csv"
    path.write_text(
        "study_instance_uid,status,error.reason,cta.state,cta.reasons,cta.lvo.call,cta.lvo.probability,models,folder\n"
        "1.2,failed,nothing readable as DICOM,,,,,,\n"
        ",failed,no such file,,,,,,\n"
        "1.3,not_assessable,,not_assessable,no contrast; thick slices,,,arteries 1 abc; other 2 def,studies/1.3\n"
    )
    results = read_results(path)
    assert results.by_study["1.2"].reasons == ("nothing readable as DICOM",)
    assert results.notes == ("1 rows of the results have no study: they failed before it was known",)
    judged = results.by_study["1.3"]
    assert (judged.found, judged.reasons) == (None, ("no contrast", "thick slices"))
    assert (judged.made_by, judged.folder) == ("arteries 1 abc, other 2 def", tmp_path / "studies" / "1.3")


def test_a_study_that_a_batch_found_in_two_places_counts_once(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(
        "study_instance_uid,status,error.kind,error.reason,cta.state,cta.lvo.call,cta.lvo.probability\n"
        "1.2,failed,duplicate,the same study was found in another place too,,,\n"
        "1.2,complete,,,assessed,suspected,0.9\n"
        "1.3,failed,duplicate,the same study was found in another place too,,,\n"
    )
    results = read_results(path)
    assert results.by_study["1.2"].found.probability == 0.9
    assert results.by_study["1.3"].found is None
    assert len(results.notes) == 1
    assert results.notes[0].startswith("1 rows of the results say that a study came from a second place")


def test_a_call_without_a_threshold_has_none(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("study,cta.state,cta.lvo.call,cta.lvo.probability\n1.2,assessed,suspected,0.7\n")
    result = read_results(path).by_study["1.2"]
    assert result.threshold is None
    assert math.isclose(result.found.probability, 0.7)
