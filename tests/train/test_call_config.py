"""A fit of the call follows from its configuration, which lies beside it; real scans are told from synthetic ones."""

import json
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from lvo_tests_call_scene import NETWORK, case, drawn

from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.report import Side, Site
from lvo.errors import ConfigError, ModelError
from lvo.infer.call_head import load_call_head
from lvo.infer.manifest import manifest_toml, read_manifest
from lvo.infer.registry import models_folder
from lvo.train import call_cases, local_cases
from lvo.train import reproduce as room
from lvo.train.call import LOCAL, fit_call
from lvo.train.call_cases import Gathered, gather, keep_call, make_call
from lvo.train.call_config import CallConfig, CallFit, SyntheticCases, call_toml, load_call_config, read_record
from lvo.train.datasets.manifest import SCHEMA, DataManifest, Entry, FileRef, write_data_manifest
from lvo.train.local_cases import measure_for_fit, measure_local, stops_of
from lvo.train.manifest_data import Source

SHIPPED = Path(__file__).parents[2] / "configs" / "train" / "call" / "arteries.toml"


def test_the_shipped_configuration_says_what_the_defaults_are(tmp_path):
    """But for the precision: the maps of the shipped call are those of a fast machine."""
    assert load_call_config(SHIPPED) == CallConfig(precision="bfloat16", synthetic=SyntheticCases())
    path = tmp_path / "call.toml"
    config = CallConfig(network="mine", synthetic=SyntheticCases(heads=60), fit=CallFit(inverse_penalty=0.5, folds=4))
    path.write_text(call_toml(config))
    assert load_call_config(path) == config
    assert load_call_config(path).sha256 == config.sha256 != CallConfig(synthetic=SyntheticCases()).sha256


def test_the_shipped_call_tells_how_it_was_fitted():
    """The record beside it is the configuration in `configs`, and its hash is in the words of the call."""
    record = read_record(models_folder() / "arteries")
    assert record == load_call_config(SHIPPED)
    assert f"; configuration {record.sha256[:12]}" in load_call_head(read_manifest(models_folder() / "arteries")).fitted_on


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "needs cases", id="on nothing"),
        pytest.param("[synthetic]\nfirst_seed = 6000", "first_seed must be one of 5000 to 5999", id="the evaluation set"),
        pytest.param("[synthetic]\nfirst_seed = 10000", "first_seed", id="heads that the network learnt from"),
        pytest.param("[synthetic]\nhead = 3", "head", id="unknown key"),
        pytest.param("precision = 'int8'\n[synthetic]", "precision", id="unknown precision"),
        pytest.param("[manifests]\npaths = []", "paths", id="no manifest"),
        pytest.param("[synthetic]\n[fit]\nfolds = 1", "folds", id="one fold"),
        pytest.param("[synthetic]\n[fit]\ninverse_penalty = 0.0", "inverse_penalty", id="no weights at all"),
    ],
)
def test_an_impossible_fit_is_refused(tmp_path, text, words):
    path = tmp_path / "call.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_call_config(path)


def test_penalty_and_folds_are_used():
    """A stronger ridge draws every weight nearer to 0; other folds give another cross-validation."""
    plain, quality = fit_call(drawn(), network=NETWORK)
    tight, _ = fit_call(drawn(), network=NETWORK, how=CallFit(inverse_penalty=0.001))
    assert max(map(abs, tight.stem.weight)) < 0.5 * max(map(abs, plain.stem.weight))
    _, other = fit_call(drawn(), network=NETWORK, how=CallFit(folds=3))
    assert other.brier != quality.brier


def test_a_mixture_tells_real_from_synthetic_and_keeps_a_patient_in_one_fold():
    real = [msgspec.structs.replace(one, seed=n // 2, family=LOCAL) for n, one in enumerate(drawn(40))]
    config = CallConfig(synthetic=SyntheticCases())
    head, quality = make_call(config, Gathered((*drawn(), *real), local="Hospital A"), NETWORK)
    assert quality.n_cases == 200
    assert head.fitted_on == (
        "160 synthetic scans, seeds 5100 to 5259 and 40 scans of Hospital A; 50% with an occlusion; "
        f"configuration {config.sha256[:12]}"
    )


@pytest.mark.parametrize(
    ("precision", "rounded", "refused"),
    [
        pytest.param("float32", 0.0, False, id="exact"),
        pytest.param("bfloat16", 0.004, False, id="rounded as asked"),
        pytest.param("bfloat16", 0.0, True, id="rounded by a processor that cannot"),
    ],
)
def test_a_network_has_the_precision_that_is_asked_for_or_is_refused(monkeypatch, precision, rounded, refused):
    def load(_name, *, root, precision="float32"):
        assert root is None
        return SimpleNamespace(manifest=NETWORK, run=lambda window: window + (rounded if precision == "bfloat16" else 0.0))

    monkeypatch.setattr(call_cases, "load_model", load)
    if refused:
        with pytest.raises(ModelError, match="this one computes in float32"):
            call_cases.open_network("mine", precision)
    else:
        assert call_cases.open_network("mine", precision).run(1.0) == 1.0 + rounded


def entry(patient, **known):
    image = FileRef(path=f"{patient}.nii.gz", sha256="0" * 64)
    return Entry(subject=patient, patient=patient, kind="cta", image=image, split="validation", **known)


def test_what_is_known_of_an_occlusion_decides_whether_a_scan_can_be_fitted_on():
    assert stops_of(entry("a", occluded=False)) == ()
    assert stops_of(entry("a", occluded=True, side="left", site="M1")) == ((Side.LEFT, Site.M1),)
    assert stops_of(entry("a", occluded=True, side="both", site="ICA")) == ((Side.LEFT, Site.ICA), (Side.RIGHT, Site.ICA))
    assert stops_of(entry("a", occluded=True, side="midline", site="BA")) == ((Side.MIDLINE, Site.BA),)
    for known, words in (
        ({}, "whether"), ({"occluded": True, "side": "left"}, "which artery"),
        ({"occluded": True, "site": "M2"}, "on which side"),
    ):  # fmt: skip
        found = stops_of(entry("a", **known))
        assert isinstance(found, NotAssessable)
        assert words in found.reasons[0]


@pytest.fixture
def grid():
    """Of every scan of the hospital."""
    return SimpleNamespace(spacing_kji_mm=np.array([1.0, 0.5, 0.5]))


@pytest.fixture
def hospital(tmp_path, monkeypatch, grid):
    """A manifest of two patients, one of them scanned twice, and features that need no network."""
    known = {"occluded": True, "side": "left", "site": "M1"}
    entries = (entry("b", **known), entry("a", occluded=False), entry("b", **known), entry("c"))
    manifest = DataManifest(
        schema=SCHEMA, data_set="folder", title="Hospital A", licence="", source="", root=".", label_names={}, partial=True,
        seed=0, entries=entries,
    )  # fmt: skip
    write_data_manifest(manifest, tmp_path / "local.json")
    measured = case(5100, (Side.LEFT, Site.M1))
    measures = SimpleNamespace(
        features=lambda side: measured.left if side is Side.LEFT else measured.right, basilar_features=lambda: None
    )
    registered = SimpleNamespace(hu=0, pose=0, scanned=SimpleNamespace(grid=grid))
    monkeypatch.setattr(local_cases, "register_entry", lambda *_, **__: Assessed(registered))
    monkeypatch.setattr(local_cases, "is_refused", lambda *_, slice_mm: slice_mm > 1.5)
    monkeypatch.setattr(local_cases, "predict", lambda *_: None)
    monkeypatch.setattr(local_cases, "measure", lambda *_: measures)
    return manifest, tmp_path / "local.json"


MODEL = SimpleNamespace(manifest=NETWORK)


def test_scans_of_a_manifest_become_cases(hospital):
    manifest, path = hospital
    found = measure_for_fit([Source(manifest, path.parent, "")], ("validation",), MODEL)
    assert [(one.seed, one.family, one.stops) for one in found.cases] == [
        (1, LOCAL, ((Side.LEFT, Site.M1),)), (0, LOCAL, ()), (1, LOCAL, ((Side.LEFT, Site.M1),))
    ]  # fmt: skip
    assert found.left_out == (("c", "nobody says whether a vessel is occluded"),)


@pytest.mark.parametrize(
    ("spacing_kji_mm", "used"),
    [
        pytest.param((1.5, 0.5, 0.5), 3, id="thin"),
        pytest.param((1.6, 0.5, 0.5), 0, id="thick"),
        pytest.param((0.5, 0.5, 1.6), 0, id="thick, and stored on its side"),
    ],
)
def test_a_scan_that_would_be_refused_is_neither_fitted_nor_recalibrated_on(hospital, grid, spacing_kji_mm, used):
    manifest, path = hospital
    grid.spacing_kji_mm = np.array(spacing_kji_mm)
    sources, splits = [Source(manifest, path.parent, "")], ("validation",)
    fitting = measure_for_fit(sources, splits, MODEL)
    local = measure_local(sources, splits, MODEL, fit_call(drawn(), network=NETWORK)[0])
    for found in (fitting, local):
        assert len(found.cases) == used
        assert sum("too thick" in why for _, why in found.left_out) == 3 - used


def test_a_configuration_gathers_synthetic_and_real_cases(hospital, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(call_cases, "fitting_seeds", lambda first, heads, *, least_each: (first, heads, least_each))
    monkeypatch.setattr(
        call_cases, "measure_cases",
        lambda name, seeds, *, precision, **_: asked.append((name, seeds, precision)) or tuple(drawn(4)),
    )  # fmt: skip
    path = tmp_path / "call.toml"
    manifests = f"[manifests]\npaths = [{json.dumps(str(hospital[1]))}]\n"
    path.write_text(f"network = 'mine'\nprecision = 'bfloat16'\n[synthetic]\nheads = 9\n{manifests}")
    found = gather(load_call_config(path), MODEL)
    assert asked == [("mine", (5100, 9, 12), "bfloat16")]
    assert [one.family for one in found.cases] == ["plain"] * 4 + [LOCAL] * 3
    assert found.local.startswith("Hospital A (manifest ")


def test_the_fit_is_recorded_beside_the_network_and_found_again(tmp_path, monkeypatch):
    """call.toml, the quality in the manifest; `--reproduce` fits with that configuration, and sees where one was changed."""
    folder = tmp_path / NETWORK.name
    folder.mkdir()
    (folder / "manifest.toml").write_text(manifest_toml(NETWORK))
    config = CallConfig(network=NETWORK.name, synthetic=SyntheticCases(heads=160), fit=CallFit(inverse_penalty=1.0, folds=4))
    head, quality = make_call(config, Gathered(tuple(drawn())), NETWORK)
    keep_call(head, quality, config, NETWORK, folder)
    assert read_record(folder) == config
    manifest = msgspec.toml.decode((folder / "manifest.toml").read_bytes(), type=type(NETWORK))
    assert manifest.metrics == {"call_auc": round(quality.auc, 4), "call_brier": round(quality.brier, 4)}
    monkeypatch.setattr(room, "seeds_of", lambda _: (5100, 5101))
    asked = []
    monkeypatch.setattr(
        room, "measure_cases",
        lambda _, seeds, *, precision, **__: asked.append(precision) or tuple(map(case, seeds)),
    )  # fmt: skip
    for precision in ("float32", "bfloat16"):
        recorded = msgspec.structs.replace(config, precision=precision)
        found = room._call_cases(folder, head, room._Run(None, 1, lambda _: None), recorded)
        assert [one.seed for one in found] == [5100, 5101]
    assert asked == ["float32", "bfloat16"]
    lines = room._call_statements(folder, manifest, head, drawn(), config)
    assert {one.verdict for one in lines} == {"agrees"}
    other = room._call_statements(folder, manifest, head, drawn(), msgspec.structs.replace(config, fit=CallFit()))
    assert {one.name for one in other if one.verdict == "differs"} >= {"stem", "fitted_on"}
    (folder / "call.toml").write_text("[synthetic]\nheads = -1\n")
    with pytest.raises(ModelError, match="heads"):
        read_record(folder)


def test_a_call_of_local_scans_is_not_said_to_be_reproduced(tmp_path):
    config = msgspec.convert({"manifests": {"paths": ["local.json"]}}, CallConfig)
    head, _ = fit_call(drawn(), network=NETWORK)
    why = room._why_not(tmp_path, config)
    assert why == "needs the scans of its manifests: lvo calibrate --config"
    lines = list(room._call_statements(tmp_path, NETWORK, head, (), config, why))
    assert {(one.verdict, one.remark) for one in lines} == {("not recomputed", why)}
