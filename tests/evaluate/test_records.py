"""What a row says about itself, and a file of rows that survives being killed."""

import math

import pytest

from lvo.core.report import Call, Side, Site
from lvo.errors import InputError
from lvo.evaluate.records import Found, RowFile, TrueStop
from lvo.evaluate.targets import any_lvo_auc, judged_scores


@pytest.mark.parametrize(
    ("stop", "standing"),
    [
        pytest.param((), "negative", id="healthy"),
        pytest.param((Side.LEFT, Site.M2, "inferior"), "positive", id="M2"),
        pytest.param((Side.MIDLINE, Site.BA, "distal"), "positive", id="basilar"),
        pytest.param((Side.LEFT, Site.ICA, "intracranial"), "positive", id="carotid in the head"),
        pytest.param((Side.LEFT, Site.ICA, "cervical"), "aside", id="carotid in the neck"),
        pytest.param((Side.LEFT, Site.A2, ""), "aside", id="A2"),
        pytest.param((Side.LEFT, Site.P1, ""), "aside", id="P1"),
        pytest.param((Side.LEFT, Site.VA, ""), "aside", id="vertebral"),
    ],
)
def test_only_covered_arteries_are_positive(make_row, stop, standing):
    assert make_row(stop=stop).standing == standing


def both_sides():
    return tuple(
        TrueStop(side=side, site=Site.M1, location_lps_mm=(x, 0.0, 0.0)) for side, x in ((Side.RIGHT, -20.0), (Side.LEFT, 20.0))
    )


def test_of_two_occluded_sides_both_must_be_named(make_row):
    one_named = make_row(stops=both_sides())
    assert one_named.true_side is Side.BOTH
    assert not one_named.side_right
    both = make_row(stops=both_sides(), found=Found(call=Call.SUSPECTED, probability=0.9, side=Side.BOTH, site=Site.M1))
    assert both.side_right


def test_a_tandem_keeps_the_side_of_the_covered_occlusion_and_either_artery_counts(make_row):
    tandem = (TrueStop(side=Side.LEFT, site=Site.M1), TrueStop(side=Side.LEFT, site=Site.ICA, part="cervical"))
    row = make_row(stops=tandem, found=Found(call=Call.SUSPECTED, probability=0.9, side=Side.LEFT, site=Site.ICA))
    assert (row.standing, row.true_side, row.side_right, row.site_right) == ("positive", Side.LEFT, True, True)


def test_wrong_answers_are_wrong(make_row):
    row = make_row(stop=(Side.RIGHT, Site.M2, ""))
    assert not row.side_right
    assert not row.site_right
    assert not make_row(stop=(), call=Call.SUSPECTED).side_right


def test_distance_is_to_the_nearest_true_stop(make_row):
    assert make_row(stops=both_sides()).distance_mm == pytest.approx(math.hypot(3.0, 4.0))
    assert make_row(call=None).distance_mm is None
    assert make_row(stop=()).distance_mm is None


def test_an_unjudged_case_is_not_suspected(make_row):
    row = make_row(call=None)
    assert not row.suspected
    assert not row.indeterminate


def test_rows_come_back_as_they_were_and_the_later_one_counts(tmp_path, make_row):
    file = RowFile(tmp_path / "deep" / "rows.jsonl")
    rows = [make_row("1", facts={"kv": 120.0, "family": "tilt"}, scores={"artery_dice": 0.9}), make_row("2", call=None)]
    file.append(rows)
    again = make_row("2", call=Call.NOT_DETECTED)
    file.append([again])
    assert RowFile(tmp_path / "deep" / "rows.jsonl").read() == (rows[0], again)


def test_half_a_line_left_by_a_killed_run_is_cut_off(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    RowFile(path).append([make_row("1"), make_row("2")])
    path.write_bytes(path.read_bytes()[:-20])
    file = RowFile(path)
    file.append([make_row("3")])
    assert [row.case for row in file.read()] == ["1", "3"]


def test_a_line_that_is_no_row_is_refused_by_number(tmp_path, make_row):
    path = tmp_path / "rows.jsonl"
    RowFile(path).append([make_row("1")])
    with path.open("a") as stream:
        stream.write('{"case": "2", "secret": 1}\n')
    with pytest.raises(InputError, match="line 2, is no row of this version"):
        RowFile(path).read()


@pytest.mark.parametrize(
    ("facts", "judged"),
    [
        pytest.param({}, True, id="unknown slices"),
        pytest.param({"slice_mm": 1.5}, True, id="thin"),
        pytest.param({"slice_mm": 2.0}, False, id="nothing could have been excluded"),
    ],
)
def test_figures_of_those_judged_leave_out_what_could_only_be_suspected(make_row, facts, judged):
    """Thick slices are judged only where an occlusion shows: 1 of 2 found must not become 2 of 3."""
    missed, thin = make_row("missed", call=Call.NOT_DETECTED), make_row("found", call=Call.SUSPECTED)
    other = make_row("other", call=Call.SUSPECTED, facts=facts)
    assert other.judged == judged
    assert not make_row("refused", call=None).judged
    assert len(judged_scores([missed, thin, other])) == (3 if judged else 2)
    healthy = [make_row(name, stop=(), call=Call.INDETERMINATE) for name in ("healthy", "too")]
    area = any_lvo_auc([missed, thin, other, *healthy], judged_only=True).value
    assert area == pytest.approx(2 / 3 if judged else 1 / 2)
