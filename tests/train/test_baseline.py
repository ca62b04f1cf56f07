"""Baselines learn, repeat themselves, go on where they stopped, and leave tables that the evaluation takes."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from msgspec.structs import replace

from lvo.cli.train import command
from lvo.core.grid import Grid
from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.pose import HeadPose
from lvo.core.report import Side, Site
from lvo.core.volume import Quantity, Volume
from lvo.errors import ConfigError, InputError, UsageError
from lvo.evaluate.reference.records import standing_of
from lvo.evaluate.reference.results import read_results
from lvo.evaluate.reference.table import read_reference
from lvo.synth.cases import draw_case
from lvo.train import manifest_data
from lvo.train.baseline import data as room
from lvo.train.baseline.config import BaselineConfig, BaselineFit, BaselineNetwork, is_baseline, load_baseline_config
from lvo.train.baseline.data import Example, ExampleDataset, Examples, gather_examples, on_atlas, outcome
from lvo.train.baseline.fit import fit_baseline, load_baseline, probabilities, score_baseline
from lvo.train.baseline.network import build_baseline
from lvo.train.baseline.predict import write_tables
from lvo.train.call import COVERED_SITES
from lvo.train.config import DataSettings, ManifestSettings
from lvo.train.datasets.manifest import SCHEMA, DataManifest, Entry, FileRef, write_data_manifest
from lvo.train.manifest_data import Registered
from lvo.train.shards import Crop

CONFIGS = Path(__file__).parents[2] / "configs" / "train" / "baselines"
BOX = DataSettings(
    spacing_mm=4.0, low_atlas_mm=(-40.0, -30.0, -24.0), high_atlas_mm=(40.0, 30.0, 20.0), training_seeds=(10_000, 10_012),
    validation_seeds=(5000, 5006), tube_share=0.0, tube_seeds=(20_000, 20_000),
)  # fmt: skip
TINY = BaselineConfig(
    task="baseline", name="tiny", seed=3, data=BOX,
    network=BaselineNetwork(init_features=4, growth_rate=4, block_config=(1, 1), encoded=8, dropout=0.2),
    fit=BaselineFit(epochs=2, batch=4, learning_rate=0.01, precision="float32", threads=1, workers=0),
)  # fmt: skip


def example(seed, place=None):
    """Noise, a bright ball in both hemispheres and the midline; the one of an occluded place is dark."""
    rng = np.random.default_rng(seed)
    hu = rng.normal(40, 15, BOX.shape_kji)
    k, j, i = np.indices(BOX.shape_kji)
    for n, x in enumerate((16, 4, 10)):
        ball = (k - 6) ** 2 + (j - (8 if n < 2 else 12)) ** 2 + (i - x) ** 2 < 9
        hu[ball] = 40 if n == place else 400
    occluded = np.arange(3) == (-1 if place is None else place)
    return Example(str(seed), f"s{seed}", np.rint(hu).astype(np.int16), occluded, np.ones(3, bool))


@pytest.fixture(scope="module")
def examples():
    places = [None, 0, None, 1, None, 2, 0, 1]
    several = [example(n, places[n % 8]) for n in range(24)]
    return Examples(tuple(several[:12]), tuple(several[12:18]), tuple(several[18:]))


@pytest.fixture(scope="module", params=["whole", "sides"])
def run(request, examples, tmp_path_factory):
    """An unbroken run of two epochs."""
    config = replace(TINY, network=replace(TINY.network, kind=request.param))
    out, lines = tmp_path_factory.mktemp("run"), []
    fit_baseline(config, examples, out, progress=lines.append)
    return config, out, lines


def same_weights(one, other) -> bool:
    return all(torch.equal(one.network[name], other.network[name]) for name in one.network)


def test_every_epoch_leaves_a_line_a_checkpoint_and_a_log(run):
    config, out, lines = run
    last, best = load_baseline(out / "last.pt"), load_baseline(out / "best.pt")
    assert (last.epoch, last.step, last.config) == (2, 6, config)
    assert [line.split(",")[0] for line in lines] == ["epoch 1", "epoch 2"]
    assert {"loss", "validation_loss", "auc", "brier"} == set(last.metrics)
    assert best.metrics["validation_loss"] <= last.metrics["validation_loss"]
    assert list((out / "tensorboard").iterdir())


def test_a_resumed_run_ends_where_an_unbroken_one_does(run, examples, tmp_path):
    """Order, augmentation and dropout follow from the epoch, not from what ran before."""
    config, out, _ = run

    class StoppedError(Exception):
        pass

    def stop(_: str) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        fit_baseline(config, examples, tmp_path, progress=stop)
    fit_baseline(config, examples, tmp_path, resume=True)
    assert same_weights(load_baseline(tmp_path / "last.pt"), load_baseline(out / "last.pt"))
    with pytest.raises(UsageError, match="--resume"):
        fit_baseline(config, examples, tmp_path)
    with pytest.raises(UsageError, match="another configuration"):
        fit_baseline(replace(config, seed=9), examples, tmp_path, resume=True)


def test_a_checkpoint_of_before_runs_told_their_start_can_be_read(run, tmp_path):
    content = torch.load(run[1] / "last.pt", weights_only=True)
    del content["start"]
    torch.save(content, tmp_path / "last.pt")
    assert load_baseline(tmp_path / "last.pt").step == 6


def test_it_learns_which_side_lacks_something(examples, tmp_path):
    """Ten epochs on twelve heads: other heads are told apart by the loss, far below that of not knowing."""
    config = replace(TINY, fit=replace(TINY.fit, epochs=10), network=replace(TINY.network, kind="sides", dropout=0.0))
    best = fit_baseline(config, examples, tmp_path)
    assert best.metrics["auc"] > 0.9
    network = build_baseline(config.network, seed=0)
    network.load_state_dict(best.network)
    judged = [one for one in examples.judged if one.occluded[:2].any()]
    found = probabilities(network, judged, config)
    assert judged
    assert all(row[:2].argmax() == one.occluded[:2].argmax() for row, one in zip(found, judged, strict=True))


@pytest.mark.parametrize("size", [20, 21])
def test_a_mirrored_head_gets_the_mirrored_answer(size):
    """Of the network that compares the sides, whatever its weights; with a middle column or without."""
    network = build_baseline(replace(TINY.network, kind="sides"), seed=1).eval()
    image = torch.rand(2, 1, 12, 16, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain, mirrored = network(image), network(image.flip(-1))
    assert torch.allclose(plain[:, [1, 0, 2]], mirrored, atol=1e-5)
    assert not torch.allclose(plain[:, 0], plain[:, 1], atol=1e-3)


def test_items_are_the_same_whoever_asks_and_mirrored_ones_change_sides():
    """Item n is the same in another order; over an epoch every scan comes once; sides go with the image."""
    still = ExampleDataset([example(0, 0), example(1, 0), example(2, 0), example(3, 0)], TINY)
    first, again = [still[n][0] for n in range(4)], [still[n][0] for n in reversed(range(4))]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    seen = [bool(still[n][1][0]) for n in range(8)]
    assert True in seen
    assert False in seen
    for n in range(8):
        image, occluded, known = still[n]
        left, right = image[0, 4:9, 6:11, 14:18].mean(), image[0, 4:9, 6:11, 3:7].mean()
        assert (left < right) == bool(occluded[0])
        assert occluded.tolist() in ([1, 0, 0], [0, 1, 0])
        assert known.tolist() == [1, 1, 1]


def test_what_nobody_judges_is_neither_with_nor_without():
    assert [part.tolist() for part in outcome([])] == [[False] * 3, [True] * 3]
    assert [part.tolist() for part in outcome([(Side.LEFT, Site.M1)])] == [[True, False, False], [True] * 3]
    assert [part.tolist() for part in outcome([(Side.RIGHT, Site.A2)])] == [[False] * 3, [True, False, True]]
    assert outcome([(Side.RIGHT, Site.A2), (Side.RIGHT, Site.M2)])[0].tolist() == [False, True, False]
    assert outcome([(Side.BOTH, None)])[0].tolist() == [True, True, False]
    assert outcome([(Side.MIDLINE, Site.BA)])[0].tolist() == [False, False, True]
    unknown = Example("1", "1", np.zeros((2, 2, 2), np.int16), *outcome([(Side.LEFT, Site.A1)]))
    figures = score_baseline(np.array([[0.99, 0.5, 0.5], [0.5, 0.5, 0.5]]), [unknown, example(1)])
    assert figures == {"validation_loss": pytest.approx(np.log(2))}


def test_figures_are_those_of_a_hand_calculation():
    """Three scans: worst places 0.9 (occluded), 0.6 (healthy), 0.2 (healthy)."""
    three = [example(0, 0), example(1), example(2)]
    found = np.array([[0.9, 0.1, 0.1], [0.6, 0.1, 0.1], [0.2, 0.1, 0.1]])
    figures = score_baseline(found, three)
    assert figures["auc"] == 1.0
    assert figures["brier"] == pytest.approx((0.01 + 0.36 + 0.04) / 3)
    assert figures["validation_loss"] == pytest.approx(-(np.log(0.9) + np.log(0.4) + np.log(0.8) + 6 * np.log(0.9)) / 9)


def test_crops_come_onto_one_grid_of_the_atlas():
    """A ramp along each axis stays at its place in the atlas, whatever the crop's corner and steps."""
    corner, step = np.array([-44.0, -37.0, -30.0]), np.array([3.7, 3.9, 4.2])
    k, j, i = np.indices((14, 20, 24))
    places = [corner[n] + step[n] * axis for n, axis in enumerate((i, j, k))]
    hu = 10 * places[0] + 3 * places[1] - 5 * places[2]
    found = on_atlas(Crop(np.rint(hu).astype(np.int16), np.zeros(hu.shape, np.uint8), corner, step), BOX)
    assert found.shape == BOX.shape_kji
    k, j, i = (axis * 4.0 for axis in np.indices(BOX.shape_kji))
    expected = 10 * (i - 40) + 3 * (j - 30) - 5 * (k - 24)
    inside = expected[1:-2, 1:-2, 1:-2]
    np.testing.assert_allclose(found[1:-2, 1:-2, 1:-2], inside, atol=1.6)


def test_tables_are_what_the_evaluation_takes(run, examples, tmp_path):
    config, out, _ = run
    aside = Example("77.1", "a2", examples.judged[0].hu, *outcome([(Side.LEFT, Site.A2)]), "A2")
    results, reference = write_tables(load_baseline(out / "best.pt"), (*examples.judged, aside), tmp_path)
    found, table = read_results(results), read_reference(reference)
    assert set(found.by_study) == {row.study for row in table.rows}
    truth = {row.study: row for row in table.rows}
    assert (truth["77.1"].lvo, truth["77.1"].side, standing_of(truth["77.1"])) == (True, Side.LEFT, "aside")
    assert [truth[one.study].lvo for one in examples.judged] == [bool(one.occluded.any()) for one in examples.judged]
    assert {one.found.call.value for one in found.by_study.values()} <= {"suspected", "not_detected"}
    assert all("baseline tiny" in one.made_by and config.sha256[:12] in one.made_by for one in found.by_study.values())
    rows = list(csv.DictReader(reference.read_text().splitlines()))
    assert {row["side"] for row in rows if row["lvo"] == "1"} <= {"left", "right", "midline"}


def test_what_it_is_judged_on_comes_from_another_generator(monkeypatch, tmp_path):
    """Seeds, arteries and truth are those of the fixed evaluation set."""
    asked = []

    def ensure(_cache, seeds, settings, kind, **_):
        asked.append((seeds, settings.topologies, kind))
        return tuple(seeds)

    monkeypatch.setattr(room, "ensure_crops", ensure)
    monkeypatch.setattr(room, "load_crop", lambda _: None)
    monkeypatch.setattr(room, "on_atlas", lambda _, settings: np.zeros(settings.shape_kji, np.int16))
    few = replace(BOX, training_seeds=(10_000, 10_001), validation_seeds=(5600, 5601))
    found = gather_examples(replace(TINY, data=few, judged_seeds=(6000, 6002)), tmp_path)
    assert asked == [
        (range(6000, 6002), ("grown",), "cases"), (range(10_000, 10_001), ("spline",), "cases"),
        (range(5600, 5601), ("spline",), "cases"),
    ]  # fmt: skip
    for one in found.judged:
        truth = draw_case(int(one.study), "evaluation").head.occlusion
        assert (one.site, one.part) == (("", "") if truth is None else (truth.site.value, truth.part))
        assert one.occluded.any() == (truth is not None and truth.site in COVERED_SITES)


def test_scans_of_a_manifest_are_registered_once(tmp_path, monkeypatch):
    """Training, validation and test go where they belong; outcomes that are not known are named."""
    known = [
        ("a", "training", {"occluded": True, "side": "left", "site": "M1"}), ("b", "validation", {"occluded": False}),
        ("c", "test", {"occluded": True, "side": "right"}), ("d", "training", {}),
        ("e", "training", {"occluded": True}), ("f", "training", {"occluded": False, "facts": {"no": "head"}}),
    ]  # fmt: skip
    entries = tuple(
        Entry(subject=name, patient=name, kind="cta", image=FileRef(path=name, sha256=f"{n:064d}"), split=split, **more)
        for n, (name, split, more) in enumerate(known)
    )
    manifest = DataManifest(
        schema=SCHEMA, data_set="folder", title="A", licence="", source="", root=".", label_names={}, partial=True, seed=0,
        entries=entries,
    )  # fmt: skip
    write_data_manifest(manifest, tmp_path / "m.json")
    asked = []

    def register(_source, entry, settings, *, labels):
        asked.append((entry.subject, labels))
        if entry.facts:
            return NotAssessable(("no head was found",))
        grid = Grid.from_axes((30, 40, 50), (settings.spacing_mm,) * 3, origin_lps_mm=(-50.0, -40.0, -30.0))
        return Assessed(
            Registered(hu := Volume(np.full((30, 40, 50), 33, np.int16), grid, Quantity.HU), None, HeadPose(np.eye(4), 1.0), hu)
        )

    monkeypatch.setattr(manifest_data, "register_entry", register)
    config = replace(TINY, manifests=ManifestSettings(paths=(str(tmp_path / "m.json"),), share=1.0))
    for _ in range(2):
        found = gather_examples(config, tmp_path / "crops")
    assert [one.name for one in found.training] == ["a"]
    assert [one.name for one in found.validation] == ["b"]
    assert [(one.name, one.occluded.tolist()) for one in found.judged] == [("c", [False, True, False])]
    assert (found.training[0].hu == 33).all()
    assert dict(found.left_out) == {
        "d": "nobody says whether a vessel is occluded", "e": "nobody says on which side a vessel is occluded",
        "f": "no head was found",
    }  # fmt: skip
    assert sorted(name for name, _ in asked) == ["a", "b", "c", "f"]  # each once, though asked for twice
    assert not any(labels for _, labels in asked)
    with pytest.raises(InputError, match="at least one batch of 4"):
        fit_baseline(config, found, tmp_path / "out")


def test_the_shipped_configurations_can_be_read():
    whole, sides = (load_baseline_config(CONFIGS / f"{kind}.toml") for kind in ("whole", "sides"))
    assert (whole.network.kind, sides.network.kind) == ("whole", "sides")
    assert is_baseline(CONFIGS / "whole.toml")
    assert not is_baseline(CONFIGS.parent / "arteries.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("[data]\ntube_share = 0.2", "tube_share", id="tubes"),
        pytest.param("judged_seeds = [5000, 5010]", "evaluation set", id="judged on what chose the checkpoint"),
        pytest.param("[network]\nkind = 'both'", "kind", id="unknown network"),
        pytest.param("[network]\nwindow_hu = [3.0, 2.0]", "window_hu", id="HU upside down"),
        pytest.param("sede = 1", "sede", id="unknown key"),
    ],
)
def test_an_impossible_baseline_is_refused(tmp_path, text, words):
    path = tmp_path / "bad.toml"
    path.write_text(f'task = "baseline"\n{text}\n')
    with pytest.raises(ConfigError, match=words):
        load_baseline_config(path)


@pytest.mark.slow
def test_the_command_trains_on_synthetic_heads_and_judges_at_the_end(tmp_path):
    """From seeds to tables, on a few heads of a small box; the crops are kept, and a second call goes on."""
    path = tmp_path / "tiny.toml"
    lines = [
        'task = "baseline"', "judged_seeds = [6000, 6002]", "[data]", "spacing_mm = 4.0",
        f"low_atlas_mm = {list(BOX.low_atlas_mm)}", f"high_atlas_mm = {list(BOX.high_atlas_mm)}",
        "training_seeds = [10000, 10004]", "validation_seeds = [5600, 5602]", "tube_share = 0.0", "tube_seeds = [20000, 20000]",
        "[network]", "init_features = 4", "growth_rate = 4", "block_config = [1, 1]",
        "[fit]", "epochs = 1", "batch = 2", "threads = 1", "workers = 0", "precision = 'bfloat16'",
    ]  # fmt: skip
    path.write_text("\n".join(lines))
    out = tmp_path / "out"
    shown = CliRunner().invoke(command, ["--config", str(path), "--out", str(out)], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert len(list((out / "crops").rglob("*.npz"))) == 8
    assert set(read_results(out / "results.csv").by_study) == {"6000", "6001"}
    path.write_text(path.read_text().replace("epochs = 1", "epochs = 2"))
    refused = CliRunner().invoke(command, ["--config", str(path), "--out", str(out), "--resume"])
    assert isinstance(refused.exception, UsageError)
    last = load_baseline(out / "last.pt")
    assert (last.epoch, last.step, last.config.fit.epochs) == (1, 2, 1)  # four scans, two a step; the refusal changed nothing
    assert np.isfinite(last.metrics["loss"])
    wrong = CliRunner().invoke(command, ["--config", str(path), "--out", str(out), "--weights", "arteries"])
    assert wrong.exit_code == 2
