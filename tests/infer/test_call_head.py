"""The call belongs to one network and to features that are measured; anything else is refused."""

import subprocess
import sys

import msgspec
import pytest

from lvo.cta.call import CallHead, Logistic
from lvo.errors import ModelError
from lvo.infer.call_head import CALL_FILE, load_call_head, save_call_head
from lvo.infer.manifest import read_manifest

TRUNK = Logistic(("trunk_gap_cm", "unfed"), (0.2, 0.1), (1.0, 0.5), (1.5, 0.5), -2.0)
BASILAR = Logistic(("gap_cm",), (0.0,), (1.0,), (2.0,), -1.0)


@pytest.fixture
def network(model_folder):
    return read_manifest(model_folder)


@pytest.fixture
def models(model_folder, network):
    """A folder of models whose one network has a call."""
    head = CallHead(network.sha256, "nothing", TRUNK, TRUNK, TRUNK, BASILAR, slope=0.8, intercept=-0.3)
    save_call_head(head, model_folder)
    return model_folder.parent


def test_saving_and_loading_changes_nothing(models, network):
    head = load_call_head(network, root=models)
    assert (head.stem, head.basilar, head.slope, head.intercept) == (TRUNK, BASILAR, 0.8, -0.3)
    save_call_head(head, models / network.name)
    assert load_call_head(network, root=models) == head
    names = sorted(path.name for path in (models / network.name).iterdir())
    assert names == [CALL_FILE, "manifest.toml", "model.onnx"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param({"network_sha256": "0" * 64}, "fitted on network 000000", id="another network"),
        pytest.param({"stem": {"features": ["unfed", "colour"]}}, "needs colour, which this version", id="unknown feature"),
        pytest.param({"basilar": {"features": ["unfed"]}}, "needs unfed, which this version", id="feature of another place"),
        pytest.param({"siphon": {"weight": [1.0]}}, "one length", id="lists of different lengths"),
        pytest.param({"slope": None}, "not a fitted call", id="no calibration"),
        pytest.param({"hemisphere": {}}, "not a fitted call", id="a call of an older version"),
        pytest.param("{", "not a fitted call", id="broken file"),
        pytest.param(None, "has no call.json", id="missing file"),
    ],
)
def test_a_call_that_does_not_belong_is_refused(models, network, change, match):
    path = models / network.name / CALL_FILE
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change)
    else:
        document = msgspec.json.decode(path.read_bytes())
        for key, value in change.items():
            document[key] = document[key] | value if isinstance(document.get(key), dict) else value
        path.write_bytes(msgspec.json.encode(document))
    with pytest.raises(ModelError, match=match):
        load_call_head(network, root=models)


def test_the_runtime_is_told_to_stay_offline_before_it_is_loaded(models):
    code = (
        "import os, sys; from pathlib import Path; from lvo.infer import load_model; assert 'onnxruntime' not in sys.modules; "
        "load_model('lopsided', root=Path(sys.argv[1])); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    shown = subprocess.run([sys.executable, "-c", code, str(models)], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "1"
