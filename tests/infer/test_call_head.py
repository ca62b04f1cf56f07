"""The call belongs to one network and to one list of features; anything else is refused."""

import shutil
import subprocess
import sys

import msgspec
import pytest

from lvo.errors import ModelError
from lvo.infer import list_models
from lvo.infer.call_head import CALL_FILE, load_call_head, save_call_head
from lvo.infer.registry import models_folder

NETWORK = next(manifest for manifest in list_models() if manifest.name == "arteries")


@pytest.fixture
def models(tmp_path):
    shutil.copytree(models_folder() / "arteries", tmp_path / "arteries")
    return tmp_path


def test_the_shipped_call_was_fitted_on_heads_and_belongs_to_the_shipped_network():
    head = load_call_head(NETWORK)
    n_heads, words, *_ = head.fitted_on.split(maxsplit=1)
    assert int(n_heads) >= 100
    assert words.startswith("synthetic heads, seeds 2")
    assert any(weight != 0 for weight in head.hemisphere.weight)


def test_saving_and_loading_changes_nothing(models):
    head = load_call_head(NETWORK)
    save_call_head(head, models / "arteries")
    assert load_call_head(NETWORK, root=models) == head
    assert sorted(path.name for path in (models / "arteries").iterdir()) == [
        "CARD.md",
        CALL_FILE,
        "manifest.toml",
        "model.onnx",
    ]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"network_sha256": "0" * 64}, "fitted on network 000000", id="another network"),
        pytest.param({"swap": True}, "this version measures", id="features in another order"),
        pytest.param({"text": "{"}, "not a fitted call", id="broken file"),
        pytest.param({"missing": True}, "has no call.json", id="missing file"),
    ],
)
def test_a_call_that_does_not_belong_is_refused(models, change, match):
    path = models / "arteries" / CALL_FILE
    document = msgspec.json.decode(path.read_bytes())
    if "network_sha256" in change:
        document |= change
    if change.get("swap"):
        document["hemisphere"]["features"].reverse()
    path.write_bytes(change.get("text", "").encode() or msgspec.json.encode(document))
    if change.get("missing"):
        path.unlink()
    with pytest.raises(ModelError, match=match):
        load_call_head(NETWORK, root=models)


def test_the_runtime_is_told_to_stay_offline_before_it_is_loaded():
    code = "import os, sys; from lvo.infer import load_model; assert 'onnxruntime' not in sys.modules; load_model('arteries')"
    command = [sys.executable, "-c", f"{code}; print(os.environ['ORT_DISABLE_TELEMETRY'])"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "1"
