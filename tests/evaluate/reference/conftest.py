"""Small hospitals: result folders and a reference table, written as a user would have them."""

import csv
import json

import numpy as np
import pytest

from lvo.core.report import Call, Side, Site
from lvo.evaluate.records import Found
from lvo.evaluate.reference.records import Case, Reading, StudyResult, Truth, standing_of


def a_result(study, call="suspected", probability=0.9, **changes):
    """The content of a result.json, as far as it is read; call None: not assessable."""
    named = call in {"suspected", "indeterminate"}
    lvo = {
        "call": call, "probability": probability, "threshold": 0.5, "side": "left" if named else None,
        "site": "M1" if named else None, "location_lps_mm": [20.0, 3.0, 4.0] if named else None, "sop_instance_uid": None,
    }  # fmt: skip
    cta = {"state": "assessed", "reasons": [], "lvo": lvo}
    if call is None:
        cta = {"state": "not_assessable", "reasons": ["no contrast in the arteries"], "lvo": None}
    content = {
        "schema": "lvo-result/1", "study": {"study_instance_uid": study}, "cta": cta,
        "perfusion": {"state": "absent", "core_ml": None, "hypoperfusion_ml": None},
        "models": [{"name": "arteries", "version": "1", "sha256": "ab"}], "config_sha256": "cd" * 32,
    }  # fmt: skip
    return content | changes


def write_hospital(place, results, rows):
    """Write results and a reference table.

    Args:
        place: folder for both.
        results: contents of result.json.
        rows: dicts by column.

    Returns:
        Folder of the results, path of the table.
    """
    folder = place / "results"
    for content in results:
        study = folder / content["study"]["study_instance_uid"]
        study.mkdir(parents=True)
        (study / "result.json").write_text(json.dumps(content))
    columns = list(dict.fromkeys(["study", "lvo", *(name for row in rows for name in row)]))
    table = place / "reference.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder, table


@pytest.fixture
def hospital(tmp_path):
    """Writes results and a reference table, see `write_hospital`."""
    return lambda results, rows: write_hospital(tmp_path, results, rows)


@pytest.fixture(scope="session")
def small_hospital(tmp_path_factory):
    """75 occlusions of which 61 are called, 25 others with 2 false alarms and 2 that were not judged."""
    rng = np.random.default_rng(4)
    results, rows = [], []
    for n in range(100):
        lvo = n < 75
        called = n < 61 or n in {75, 76}
        call = None if n in {98, 99} else "suspected" if called else "not_detected"
        content = a_result(f"1.{n}", call, round(float(rng.uniform(0.5, 1.0) if called else rng.uniform(0.0, 0.5)), 3))
        content["perfusion"] = {"core_ml": 10.0 + n, "hypoperfusion_ml": None}
        results.append(content)
        place = {"side": "left", "site": "M1", "x_lps_mm": 20, "y_lps_mm": 0, "z_lps_mm": 0} if lvo else {}
        rows.append({
            "study": f"1.{n}", "lvo": int(lvo), "scanner": "A & B" if n % 2 else "50% <C>_1", "age": 40 + n % 50,
            "core_ml": 9 + n,
            "reader:registrar": round(float(rng.beta(4, 2) if lvo else rng.beta(2, 4)), 2),
            "reader:registrar:aided": int(lvo), **place,
        })  # fmt: skip
    return write_hospital(tmp_path_factory.mktemp("hospital"), results, rows)


@pytest.fixture
def result_json():
    """Makes the content of a result.json, see `a_result`."""
    return a_result


def a_case(study="1.2", *, lvo=True, call=Call.SUSPECTED, probability=0.9, readings=None, **changes):
    """A case: a left M1 occlusion that was found, unless told otherwise.

    Args:
        study: its UID.
        lvo: whether there is an occlusion.
        call: None for a study that could not be judged, "missing" for one without a result.
        probability: that was given.
        readings: score by reader; 0.5 and more is a call.
        changes: fields of the truth.
    """
    stop = {"side": Side.LEFT, "site": Site.M1, "location_lps_mm": (20.0, 0.0, 0.0)} if lvo else {}
    scores = {name: Reading(score, score >= 0.5) for name, score in (readings or {}).items()}
    truth = Truth(**({"study": study, "line": 2, "lvo": lvo, "readings": scores} | stop | changes))
    result = None
    if call != "missing":
        named = call in {Call.SUSPECTED, Call.INDETERMINATE}
        found = None if call is None else Found(
            call=call, probability=probability, side=Side.LEFT if named else None, site=Site.M1 if named else None,
            location_lps_mm=(20.0, 3.0, 4.0) if named else None,
        )  # fmt: skip
        result = StudyResult(study, found, () if found else ("no contrast",), 0.5 if found else None)
    return Case(truth, standing_of(truth), result)


@pytest.fixture
def make_case():
    """Makes a case, see `a_case`."""
    return a_case
