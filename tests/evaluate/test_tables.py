"""Counting, and the table of figures to reach: each line must be able to say no."""

import msgspec
import numpy as np
import pytest

from lvo.core.report import Call, Side, Site
from lvo.evaluate.pictures import failure_of
from lvo.evaluate.records import Found
from lvo.evaluate.tables import STRATA, group, site_confusion, site_words, stratify
from lvo.evaluate.targets import any_lvo_auc, asymmetry_auc, kept, targets
from lvo.evaluate.variants import INVARIANCES

HEALTHY = ()


def test_a_case_that_was_not_judged_counts_as_missed_and_never_as_a_false_alarm(make_row):
    rows = [
        make_row("1"),
        make_row("2", call=None),
        make_row("3", call=Call.INDETERMINATE),
        make_row("4", call=Call.NOT_DETECTED),
    ]
    rows += [
        make_row("5", stop=HEALTHY),
        make_row("6", stop=HEALTHY, call=None),
        make_row("7", stop=HEALTHY, call=Call.INDETERMINATE),
    ]
    found = group("all", rows)
    assert (found.sensitivity.hits, found.sensitivity.n) == (1, 4)
    assert (found.noticed.hits, found.noticed.n) == (2, 4)
    assert (found.false_alarms.hits, found.false_alarms.n) == (1, 3)
    assert (found.unsure.hits, found.unjudged_positives, found.unjudged_negatives) == (1, 1, 1)


def test_side_site_and_place_are_counted_on_those_called(make_row):
    far = Found(call=Call.SUSPECTED, probability=0.9, side=Side.RIGHT, site=Site.M2, location_lps_mm=(20.0, 11.0, 0.0))
    found = group("all", [make_row("1"), make_row("2", found=far), make_row("3", call=Call.INDETERMINATE)])
    assert [(one.hits, one.n) for one in (found.side, found.site, found.near)] == [(1, 2)] * 3


def test_uncovered_arteries_enter_no_rate(make_row):
    found = group("all", [make_row("1", stop=(Side.LEFT, Site.A2, "")), make_row("2", stop=(Side.LEFT, Site.ICA, "cervical"))])
    assert (found.sensitivity.n, found.false_alarms.n) == (0, 0)


@pytest.mark.parametrize(
    ("stratum", "facts", "names"),
    [
        ("family", {"family": "tilt"}, ["tilt"]),
        ("noise", {"noise_hu": 8.0}, ["8 to 12 HU"]),
        ("noise", {"noise_hu": 7.9}, ["below 8 HU"]),
        ("noise", {"noise_hu": 31.0}, ["20 HU and more"]),
        ("slice thickness", {"slice_mm": 1.25}, ["1 to 1.3 mm"]),
        ("tube voltage", {"kv": 80.0}, ["80 kV"]),
        ("collateral grade", {}, []),
    ],
)
def test_rows_fall_into_their_group(make_row, stratum, facts, names):
    assert [one.name for one in stratify([make_row(facts=facts)], STRATA[stratum])] == names


def test_groups_stand_in_the_order_of_their_size(make_row):
    rows = [make_row(str(n), facts={"kv": kv, "noise_hu": kv / 6}) for n, kv in enumerate((120.0, 80.0, 100.0))]
    assert [one.name for one in stratify(rows, STRATA["tube voltage"])] == ["80 kV", "100 kV", "120 kV"]
    assert [one.name for one in stratify(rows, STRATA["noise"])] == ["12 to 16 HU", "16 to 20 HU", "20 HU and more"]


def test_occlusions_in_words(make_row):
    first = make_row().stops[0]
    other = msgspec.structs.replace(first, side=Side.RIGHT)
    neck = msgspec.structs.replace(first, site=Site.ICA, part="cervical")
    assert site_words(make_row()) == "M1 proximal"
    assert site_words(make_row(stops=(first, neck))) == "M1 proximal and cervical ICA"
    assert site_words(make_row(stops=(first, other))) == "M1 on both sides"
    assert site_words(make_row(stop=HEALTHY)) is None


def test_confusion_of_arteries(make_row):
    rows = [make_row("1"), make_row("2", stop=(Side.LEFT, Site.M2, "")), make_row("3", call=None), make_row("4", stop=HEALTHY)]
    header, lines = site_confusion(rows)
    table = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert (table["M1"]["M1"], table["M1"]["not judged"], table["M2"]["M1"], table["none"]["M1"]) == ("1", "1", "1", "1")
    assert table["M2"]["M2"] == ""


def test_failures_have_the_right_name(make_row):
    wrong = Found(call=Call.SUSPECTED, probability=0.9, side=Side.RIGHT, site=Site.M1, location_lps_mm=(20.0, 0.0, 0.0))
    far = Found(call=Call.SUSPECTED, probability=0.9, side=Side.LEFT, site=Site.M1, location_lps_mm=(20.0, 10.1, 0.0))
    assert failure_of(make_row()) is None
    assert failure_of(make_row(call=Call.INDETERMINATE)) == "missed"
    assert failure_of(make_row(found=wrong)) == "wrong side"
    assert failure_of(make_row(found=far)) == "far off"
    assert failure_of(make_row(call=None)) == "not assessable"
    assert failure_of(make_row(stop=HEALTHY)) == "false alarm"
    assert failure_of(make_row(stop=HEALTHY, call=Call.INDETERMINATE)) is None
    assert failure_of(make_row(stop=(Side.LEFT, Site.A1, ""), call=Call.NOT_DETECTED)) is None


SITES = (
    (Side.LEFT, Site.ICA_T, ""),
    (Side.LEFT, Site.M1, "distal"),
    (Side.LEFT, Site.M2, "dominant"),
    (Side.LEFT, Site.BA, ""),
)


def good_rows(make_row):
    """Rows that reach every figure: 20 of each site, 20 of each of two families, all variants."""
    scores = {"artery_dice": 0.9, "artery_cldice": 0.92}
    rows = []
    for number in range(20):
        for stop in SITES:
            found = Found(call=Call.SUSPECTED, probability=0.98, side=Side.LEFT, site=stop[1], location_lps_mm=(20.0, 1.0, 0.0))
            rows.append(make_row(f"{stop[1]}{number}", stop=stop, found=found, scores=scores, facts={"family": "plain"}))
        for family in ("stenosis", "tilt"):
            healthy = make_row(f"{family}{number}", stop=HEALTHY, call=Call.NOT_DETECTED, probability=0.02, scores=scores)
            rows.append(msgspec.structs.replace(healthy, facts={"family": family}))
    return rows + [msgspec.structs.replace(row, variant=variant, scores={}) for row in rows for variant in INVARIANCES]


def verdicts(rows):
    return {one.name: one.met for one in targets(rows)}


def test_good_rows_reach_every_figure(make_row):
    assert set(verdicts(good_rows(make_row)).values()) == {True}


def test_without_rows_nothing_is_reached_and_nothing_missed():
    assert set(verdicts([]).values()) == {None}


def missed(row):
    return msgspec.structs.replace(
        row, found=msgspec.structs.replace(row.found, call=Call.NOT_DETECTED, probability=0.01, side=None)
    )


def alarmed(row):
    return msgspec.structs.replace(
        row, found=msgspec.structs.replace(row.found, call=Call.SUSPECTED, probability=0.97, side=Side.LEFT)
    )


def unjudged(row):
    return msgspec.structs.replace(row, found=None, reasons=("motion",))


def named(**fields):
    return lambda row: msgspec.structs.replace(row, found=msgspec.structs.replace(row.found, **fields))


@pytest.mark.parametrize(
    ("cases", "change", "lost"),
    [
        pytest.param("M10 M11 M12", missed, "ICA-T and M1: sensitivity at the fixed threshold", id="M1 missed"),
        pytest.param("M10 M11 M12", unjudged, "ICA-T and M1: sensitivity at the fixed threshold", id="M1 not judged"),
        pytest.param("M10 M11 M12", missed, "ICA-T and M1: sensitivity at specificity 0.95", id="M1 below the healthy"),
        pytest.param(
            "stenosis1 stenosis2 stenosis3", alarmed, "ICA-T and M1: sensitivity at the fixed threshold", id="not specific"
        ),
        pytest.param(
            "stenosis1 stenosis2 stenosis3", alarmed, "false positives in each hard-negative family", id="a family alarms"
        ),
        pytest.param("M20 M21 M22 M23 M24", missed, "M2: sensitivity", id="M2 missed"),
        pytest.param("BA0 BA1 BA2", missed, "basilar: sensitivity", id="basilar missed"),
        pytest.param("M20 M21 M22 M23", missed, "any LVO, AUC of those judged", id="ranked below the healthy"),
        pytest.param("M20 M21", named(side=Side.RIGHT), "side right, when called", id="sides"),
        pytest.param(" ".join(f"M2{n}" for n in range(13)), named(site=Site.M1), "site right, when called", id="sites"),
        pytest.param(
            " ".join(f"M2{n}" for n in range(9)),
            named(location_lps_mm=(30.2, 0.0, 0.0)),
            "point within 10 mm, when called",
            id="points",
        ),
        pytest.param(
            " ".join(f"{f}{n}" for f in ("M1", "M2") for n in range(20)),
            named(probability=0.6),
            "calibration, expected error",
            id="unsure",
        ),
    ],
)
def test_each_figure_can_be_missed(make_row, cases, change, lost):
    changed = [change(row) if row.case in cases.split() and row.variant == "as it is" else row for row in good_rows(make_row)]
    assert verdicts(changed)[lost] is False


@pytest.mark.parametrize("name", ["artery Dice", "artery clDice"])
def test_a_poor_map_misses(make_row, name):
    rows = [msgspec.structs.replace(row, scores={"artery_dice": 0.84, "artery_cldice": 0.87}) for row in good_rows(make_row)]
    assert verdicts(rows)[name] is False


@pytest.mark.parametrize(
    ("change", "turned"),
    [
        pytest.param(missed, 1, id="lost"),
        pytest.param(named(call=Call.INDETERMINATE), 0, id="less sure"),
        pytest.param(named(side=Side.RIGHT), 1, id="other side"),
        pytest.param(unjudged, 0, id="not judged"),
    ],
)
def test_a_variant_must_keep_call_and_side(make_row, change, turned):
    rows = [change(row) if row.variant == "mirrored" and row.case == "M13" else row for row in good_rows(make_row)]
    found = {one.variant: one for one in kept(rows)}
    assert (found["mirrored"].share.hits, found["mirrored"].share.n, found["mirrored"].reversed) == (119, 120, turned)
    assert found["HU x 0.7"].share.value == 1.0


def test_unjudged_healthy_heads_are_left_out_of_the_area_and_asymmetry_is_taken_either_way(make_row):
    rows = good_rows(make_row)
    rows = [row for row in rows if row.variant == "as it is"]
    assert any_lvo_auc([*rows, make_row("x", stop=HEALTHY, call=None)]).value == 1.0
    one_lost = [unjudged(row) if row.case == "BA0" else row for row in rows]
    assert any_lvo_auc(one_lost).value == pytest.approx(79 / 80)
    assert any_lvo_auc(one_lost, judged_only=True).value == 1.0
    signs = np.resize([0.5, -0.5], len(rows))
    measured = [
        msgspec.structs.replace(row, scores={"asymmetry": float(sign) if row.stops else 0.1})
        for row, sign in zip(rows, signs, strict=True)
    ]
    assert asymmetry_auc(measured).value == 1.0
    assert asymmetry_auc(measured, (Site.M2,)).n == 60
