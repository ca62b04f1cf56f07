"""Settings: what is written is what is used, and what nobody knows is refused by name."""

import json
import tomllib
from pathlib import Path

import msgspec
import pytest

from lvo.config import Config, load_config
from lvo.errors import ConfigError

DEFAULT_TOML = Path(__file__).parents[1] / "configs" / "default.toml"


def test_default_toml_spells_out_every_key_with_its_default():
    assert tomllib.loads(DEFAULT_TOML.read_text()) == json.loads(msgspec.json.encode(Config()))
    assert load_config(DEFAULT_TOML) == Config()
    assert load_config(None) == Config()


def test_the_hash_follows_the_values_not_the_file(tmp_path):
    same, other = tmp_path / "same.toml", tmp_path / "other.toml"
    same.write_text("[perfusion]\ntmax_hypoperfusion_s = 6.0\n")
    other.write_text("[perfusion]\ntmax_hypoperfusion_s = 6.5\n")
    assert load_config(same).sha256 == Config().sha256
    assert load_config(other).sha256 != Config().sha256


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("[cta]\nspacing = 1.0\n", "spacing", id="an unknown key"),
        pytest.param("[cta]\nmax_slice_mm = 'thin'\n", "max_slice_mm", id="a wrong type"),
        pytest.param("[cta]\nmax_slice_mm = -1.0\n", "max_slice_mm", id="an impossible value"),
        pytest.param("[cta]\nsuspected_probability = 0.1\n", "must not exceed", id="thresholds in the wrong order"),
        pytest.param("[cta]\nmirrored = 2\n", "mirrored", id="neither true nor false"),
        pytest.param("[runtime]\ndevice = 'tpu'\n", "device", id="an unknown device"),
        pytest.param("[runtime]\nthreads = 0\n", "threads", id="no thread"),
        pytest.param("[cta\n", "default.toml", id="no TOML"),
        pytest.param('[[selection.rules]]\ndescription = "x"\n', "role or points", id="a rule that says nothing"),
        pytest.param('[[selection.rules]]\nrole = "cta"\n', "needs a condition", id="a rule for every series"),
        pytest.param('[[selection.rules]]\nkernel = "("\nrole = "cta"\n', "no regular expression", id="a broken pattern"),
        pytest.param('[[selection.rules]]\nkernel = "x"\nrole = "mr"\n', "role", id="a role nobody knows"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_key(tmp_path, text, match):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match) as error:
        load_config(path)
    assert "site.toml" in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml")
