"""The set in a fair order: run, stopped, continued; what it leaves and what it says."""

import json
from collections import Counter

import msgspec
import numpy as np
import pytest

from lvo.config import Config
from lvo.core.report import Call, Side
from lvo.errors import InputError, UsageError
from lvo.evaluate import bench as room
from lvo.evaluate.bench import open_bench, result_key, run_case
from lvo.evaluate.crops import code_sha256, generator_sha256, image_sha256, scanned_case
from lvo.evaluate.records import AS_IS, RowFile
from lvo.evaluate.report import About, write_report
from lvo.evaluate.run import balanced, evaluate_cases, tasks
from lvo.evaluate.variants import INVARIANCES, MIRRORED, WITHOUT_MIRROR
from lvo.synth.cases import draw_case, evaluation_set

RIGHT_M1, HEALTHY = 6052, 6230
THIN = {RIGHT_M1, HEALTHY}
"""Cases of the set whose slices are thin enough, so that they are judged."""


def test_every_beginning_of_the_order_is_a_fair_sample():
    seeds = evaluation_set()
    order = balanced(seeds)
    assert sorted(order) == list(seeds)
    stretch_of = {
        seed: (seed - seeds.start) // 16 for seed in seeds
    }  # no site or family has fewer than 6, most have 14 and more
    for n in (30, 60, 120, 240, 300):
        counts = Counter(stretch_of[seed] for seed in order[:n])
        assert max(abs(counts[stretch] - 16 * n / 480) for stretch in range(30)) <= 1.5
        hard = sum(seed % 2 for seed in order[:n])
        assert hard == n // 2  # plain and hard cases of a site take turns


@pytest.mark.parametrize("n", [1, 2, 3, 5, 48, 97])
def test_any_part_of_the_set_is_run_once(n):
    seeds = range(6000, 6000 + 3 * n, 3)
    assert sorted(balanced(seeds)) == list(seeds)


def test_all_cases_come_before_any_variant():
    work = tasks([7, 8, 9], invariances=1, ablations=True)
    assert work[:3] == [(7, (AS_IS,)), (8, (AS_IS,)), (9, (AS_IS,))]
    assert work[3:] == [(7, (*INVARIANCES, WITHOUT_MIRROR)), (8, (WITHOUT_MIRROR,)), (9, (WITHOUT_MIRROR,))]
    assert tasks([7], invariances=0, ablations=False) == [(7, (AS_IS,))]


WORK = [(RIGHT_M1, (AS_IS,)), (HEALTHY, (AS_IS,))]


def test_a_row_has_truth_and_result_side_by_side(setup):
    occluded, healthy = (run_case(open_bench(setup()), seed, (AS_IS,))[0] for seed, _ in WORK)
    assert (occluded.case, occluded.standing, occluded.true_side) == ("6052", "positive", Side.RIGHT)
    assert (occluded.found.call, occluded.found.side, occluded.side_right, occluded.site_right) == (
        Call.SUSPECTED,
        Side.RIGHT,
        True,
        True,
    )
    assert occluded.scores["artery_dice"] == 1.0  # the fake judge finds exactly what the fake scan shows
    assert occluded.scores["asymmetry"] > 0.4
    assert occluded.facts["family"] == "plain"
    assert (healthy.standing, healthy.found.call) == ("negative", Call.NOT_DETECTED)
    assert "collateral_grade" not in healthy.facts


THICK_HEALTHY = 6411
"""A healthy head of the evaluation set in slices of 3 mm."""


@pytest.mark.parametrize(
    ("seed", "slice_mm", "says"),
    [
        pytest.param(6417, 5.0, "3 mm or less are needed", id="too thick to be judged"),
        pytest.param(THICK_HEALTHY, 3.0, "1.5 mm or less are needed to say that no occlusion", id="too thick to exclude"),
        pytest.param(6075, 3.0, "", id="thick, but an occlusion of M1 shows"),
    ],
)
def test_thick_slices_are_answered_as_the_pipeline_answers_them(setup, seed, slice_mm, says):
    (row,) = run_case(open_bench(setup()), seed, (AS_IS,))
    assert row.facts["slice_mm"] == slice_mm
    assert row.suspected == (not says)
    assert (row.found is None) == bool(says)
    assert says in "".join(row.reasons)


def test_a_mirrored_scan_is_answered_on_the_side_of_the_patient(setup):
    bench = open_bench(setup())
    plain, mirrored = run_case(bench, RIGHT_M1, (AS_IS, MIRRORED))
    assert (mirrored.found.side, mirrored.found.call) == (plain.found.side, plain.found.call) == (Side.RIGHT, Call.SUSPECTED)
    assert mirrored.found.location_lps_mm == pytest.approx(plain.found.location_lps_mm, abs=0.2)


def test_a_judge_that_always_says_left_does_not_keep_the_side_of_mirrored_scans(setup, monkeypatch):
    real = open_bench(setup())

    def always_left(*arguments):
        judged = real.judge(*arguments)
        finding = judged.outcome.value.finding
        object.__setattr__(finding, "side", Side.LEFT)
        return judged

    monkeypatch.setattr("lvo.pipeline.angiogram.judge_crop", always_left)
    plain, mirrored = run_case(open_bench(setup()), RIGHT_M1, (AS_IS, MIRRORED))
    assert (plain.found.side, mirrored.found.side) == (Side.LEFT, Side.RIGHT)


def test_a_run_goes_on_where_it_was_stopped(setup, tmp_path, fake_pipeline):
    path = tmp_path / "rows.jsonl"
    _, first = evaluate_cases(setup(), WORK[:1], RowFile(path))
    assert fake_pipeline["judged"] == 1
    path.write_bytes(path.read_bytes() + b'{"key": "half a li')
    _, both = evaluate_cases(setup(), WORK, RowFile(path))
    assert fake_pipeline["judged"] == 2
    assert both[0] == first[0]
    _, again = evaluate_cases(setup(), WORK, RowFile(path))
    assert (fake_pipeline["judged"], again) == (2, both)


def test_another_call_or_setting_is_another_result(setup, tmp_path, fake_pipeline):
    file = RowFile(tmp_path / "rows.jsonl")
    evaluate_cases(setup(), WORK[:1], file)
    evaluate_cases(setup(weight=2.0), WORK[:1], file)
    assert fake_pipeline["judged"] == 2
    models, config = setup().load_models(Config()), Config()
    other = msgspec.structs.replace(config, cta=msgspec.structs.replace(config.cta, suspected_probability=0.6))
    assert result_key(models, config) == result_key(models, config)
    assert result_key(models, config) != result_key(models, other)


def test_scans_are_kept_and_read_back_bit_for_bit(tmp_path, fake_pipeline):
    case = draw_case(RIGHT_M1, "evaluation")
    fresh, kept = (scanned_case(case, spacing_mm=2.0, cache=tmp_path) for _ in range(2))
    assert fake_pipeline["scanned"] == 1
    assert (kept.hu.array == fresh.hu.array).all()
    assert (kept.classes.array == fresh.classes.array).all()
    assert kept.hu.grid.same_as(fresh.hu.grid)
    assert kept.truth == fresh.truth
    assert image_sha256(kept) == image_sha256(fresh) == image_sha256(scanned_case(case, spacing_mm=2.0, cache=None))
    assert np.allclose(kept.pose.atlas_from_lps, fresh.pose.atlas_from_lps)


def test_a_broken_file_of_the_cache_is_named(tmp_path, fake_pipeline):
    case = draw_case(RIGHT_M1, "evaluation")
    scanned_case(case, spacing_mm=2.0, cache=tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="delete it, and it is drawn again"):
        scanned_case(case, spacing_mm=2.0, cache=tmp_path)
    assert fake_pipeline["scanned"] == 1


def test_versions_follow_what_code_does_and_not_how_it_is_worded(tmp_path, monkeypatch):
    package = tmp_path / "lvo"
    package.mkdir()
    monkeypatch.setattr("lvo.evaluate.crops.lvo.__file__", str(package / "__init__.py"))

    def version(text, below="HU = 40"):
        (package / "top.py").write_text(text)
        (package / "below.py").write_text(below)
        return code_sha256("lvo.top")

    code = 'from lvo.below import HU\n\ndef f():\n    """Words."""\n    return HU  # a comment\n'
    first = version(code)
    assert version(code.replace("Words", "Other words").replace("  # a comment", "")) == first
    assert version(code.replace("return HU", "return -HU")) != first
    assert version(code, below="HU = 41") != first
    assert code_sha256("lvo.top", without=("lvo.below",)) != first


def test_the_version_of_the_generator_is_that_of_the_scans():
    assert generator_sha256() == code_sha256("lvo.synth.cropped")
    assert generator_sha256() != code_sha256("lvo.synth.head")


def test_the_pass_that_is_left_out_is_a_setting(setup, monkeypatch):
    seen = []
    bench = open_bench(setup())

    def judge(*arguments):
        seen.append(arguments[-1].cta.mirrored)
        return bench.judge(*arguments)

    monkeypatch.setattr("lvo.pipeline.angiogram.judge_crop", judge)
    run_case(open_bench(setup()), HEALTHY, (AS_IS, WITHOUT_MIRROR))
    assert seen == [True, False]


def test_a_version_without_that_setting_refuses_before_it_starts(setup, tmp_path, fake_pipeline, monkeypatch):
    def refuse(_):
        msg = "no such setting"
        raise UsageError(msg)

    monkeypatch.setattr("lvo.evaluate.run.without_mirror", refuse)
    with pytest.raises(UsageError):
        evaluate_cases(setup(), [(HEALTHY, (AS_IS,)), (HEALTHY, (WITHOUT_MIRROR,))], RowFile(tmp_path / "rows.jsonl"))
    assert fake_pipeline["judged"] == 0
    assert room.without_mirror(Config()).cta.mirrored is False


def about(bench, asked=2):
    return About(bench.models.used(), bench.setup.config.sha256, bench.key, 0.5, 480, asked)


def test_a_report_has_every_figure_and_says_what_part_was_run(setup, tmp_path):
    work = [*WORK, (RIGHT_M1, (MIRRORED, WITHOUT_MIRROR))]
    bench, rows = evaluate_cases(setup(), work, RowFile(tmp_path / "rows.jsonl"))
    path = write_report(rows, about(bench), tmp_path, pictures=tmp_path / "failures")
    text = path.read_text()
    assert "2 of 480 cases of the set were run (2 were asked for). A part of the set" in text
    assert "| call and side kept: mirrored | >= 0.97 | 1.000" in text
    assert "| network without the mirrored pass |" in text
    for name in ("roc", "reliability", "stress_card"):
        assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in text
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["run"] == 2
    assert any(target["met"] is False for target in summary["targets"]) or all(
        target["met"] in {True, None} for target in summary["targets"]
    )
    page = (tmp_path / "report.html").read_text()
    assert "Stress card" in page
    assert page.count("<table>") > 8


def test_failures_are_drawn_and_listed(setup, tmp_path, make_row):
    bench = open_bench(setup())
    _, rows = evaluate_cases(setup(), [(THICK_HEALTHY, (AS_IS,))], RowFile(tmp_path / "rows.jsonl"))
    picture = tmp_path / "failures" / f"{THICK_HEALTHY}-{bench.key[:8]}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    missed = make_row("<b>&", key=bench.key, call=Call.NOT_DETECTED, facts={"family": "plain"})
    write_report([*rows, missed], about(bench), tmp_path, pictures=tmp_path / "failures")
    text, page = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert f"failures/{picture.name}" in text
    assert "missed" in text
    assert "1.5 mm or less are needed" in text
    assert "<b>&:" not in page
    assert "&lt;b&gt;&amp;:" in page


def test_a_report_of_nothing_is_written_and_reaches_nothing(setup, tmp_path):
    bench = open_bench(setup())
    text = write_report((), about(bench, asked=0), tmp_path, pictures=tmp_path / "failures").read_text()
    assert "0 of 480 cases" in text
    assert "| met |" not in text
    assert "MISSED" not in text
