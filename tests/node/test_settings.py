"""Settings of a node: what is written is what is used, what nobody knows is refused, and what could not work is found first."""

import json
import tomllib
from pathlib import Path

import msgspec
import pytest

from lvo.errors import ConfigError
from lvo.node.check import check_settings
from lvo.node.settings import NodeSettings, Peer, load_settings

SITE_TOML = Path(__file__).parents[2] / "configs" / "site.toml"


def test_site_toml_spells_out_every_key_with_its_default():
    defaults = json.loads(msgspec.json.encode(NodeSettings(site="SITE", folder="node-data")))
    assert defaults["dicom"].pop("tls") is None
    assert defaults["http"].pop("tls") is None
    delivery = defaults.pop("delivery")
    written = tomllib.loads(SITE_TOML.read_text())
    assert written.pop("delivery") == {}
    assert delivery["destinations"] == []
    assert written == defaults


def test_paths_are_relative_to_the_file_and_the_outbox_lies_in_the_folder(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('site = "A"\nfolder = "data"\n[watch]\nfolder = "in"\n')
    settings = load_settings(path)
    assert settings.root == tmp_path / "data"
    assert settings.watch.folder == str(tmp_path / "in")
    assert settings.outbox_path == tmp_path / "data" / "outbox.sqlite"
    assert settings.log_path == tmp_path / "data" / "events.jsonl"
    assert settings.delivery.site == "A"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("[dicom]\nprot = 1\n", "prot", id="an unknown key"),
        pytest.param("[dicom]\nport = 70000\n", "port", id="an impossible port"),
        pytest.param('[[dicom.peers]]\nae_title = "X"\naddresses = ["ten"]\n', "ten", id="no address"),
        pytest.param('[[dicom.peers]]\nae_title = "A\\\\B"\n', "ae_title", id="a backslash in an AE title"),
        pytest.param('[http]\nstow = true\nhost = "0.0.0.0"\n', "token_file", id="an open door"),
        pytest.param('[http]\nhost = "0.0.0.0"\n', "token_file", id="metrics for everybody"),
        pytest.param("[work]\nworkers = 0\n", "workers", id="nobody to work"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_key(tmp_path, text, match):
    path = tmp_path / "site.toml"
    path.write_text('site = "A"\nfolder = "data"\n' + text)
    with pytest.raises(ConfigError, match=match) as error:
        load_settings(path)
    assert "site.toml" in str(error.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param('[watch]\nfolder = "none"\n', "no folder", id="a watched folder that is not there"),
        pytest.param('[http]\ntoken_file = "none"\n', "token_file", id="no token"),
        pytest.param('[dicom.tls]\ncertificate = "a"\nkey = "b"\nclient_ca = "c"\n', r"dicom\.tls", id="no certificate"),
    ],
)
def test_what_could_not_work_is_found_before_the_start(tmp_path, text, match):
    path = tmp_path / "site.toml"
    path.write_text('site = "A"\nfolder = "data"\n' + text)
    with pytest.raises(ConfigError, match=match):
        check_settings(load_settings(path))


def test_a_folder_that_is_not_mounted_yet_is_said(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('site = "A"\nfolder = "data"\n[[delivery.destinations]]\nkind = "folder"\nname = "share"\npath = "out"\n')
    assert any("share" in note and "is not there" in note for note in check_settings(load_settings(path)))
    (tmp_path / "out").mkdir()
    assert not any("is not there" in note for note in check_settings(load_settings(path)))


def test_what_should_be_known_is_said(settings):
    notes = check_settings(settings)
    assert any("no notifications" in note for note in notes)
    assert not any("any_peer" in note for note in notes)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("10.1.2.3", True), ("10.1.3.3", False), ("::ffff:10.1.2.3", True), ("192.168.0.1", True), ("192.168.0.2", False)],
)
def test_a_peer_may_come_only_from_its_addresses(address, allowed):
    assert Peer(ae_title="A", addresses=("10.1.2.0/24", "192.168.0.1")).comes_from(address) is allowed
