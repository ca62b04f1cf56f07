"""Documents that are made from the code are current, and the command line does what they say."""

import json
from pathlib import Path

import pytest
from pydicom.uid import UID

from lvo.cli.node import command
from lvo.delivery.commitment import COMMITMENT_CONTEXT
from lvo.errors import InputError, OutputError, UsageError
from lvo.node.conformance import statement
from lvo.node.inbox import Inbox
from lvo.node.listener import STATUS
from lvo.node.syntaxes import STORAGE_CLASSES, TRANSFER_SYNTAXES, supported_contexts

from .conftest import image, save

ROOT = Path(__file__).parents[2]


def test_the_conformance_statement_is_current():
    assert (ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8") == statement()


def test_the_conformance_statement_names_what_is_accepted():
    text = statement()
    assert all(f"`{uid}`" in text for uid in (*STORAGE_CLASSES, *TRANSFER_SYNTAXES))
    assert all(f"0x{code:04X}" in text for code in STATUS)
    assert not any("Deflate" in line for line in text.splitlines())


def test_no_deflated_syntax_is_offered_or_accepted():
    contexts = [*supported_contexts(), COMMITMENT_CONTEXT]
    offered = {UID(syntax).name for context in contexts for syntax in context.transfer_syntax}
    assert "Explicit VR Little Endian" in offered
    assert [name for name in offered if "Deflate" in name] == []


@pytest.fixture
def site(tmp_path):
    """Settings in a file."""
    path = tmp_path / "site.toml"
    path.write_text('site = "A"\nfolder = "data"\n[store]\nrefuse_above_percent = 100.0\nrefuse_below_mb = 0\n')
    return path


def run(*words):
    """Call the command as the program does."""
    command.main(args=[str(word) for word in words], standalone_mode=False)


def test_check_config_says_what_is_good_and_what_should_be_known(site, capsys):
    run("check-config", "--config", site)
    said = capsys.readouterr().out
    assert "is good: LVO on 127.0.0.1:11112" in said
    assert "nobody may send" in said


def test_status_shows_where_studies_are_and_no_name(site, capsys):
    from lvo.node.settings import load_settings

    settings = load_settings(site)
    inbox = Inbox(settings)
    inbox.accept(save(image(1, 1), inbox.incoming / "a"), door="dicom", peer="CT1")
    inbox.close()
    run("--config", site, "status")
    run("status", "--config", site, "--json")
    text = capsys.readouterr().out
    assert text.startswith("1 receiving\n")
    assert "CANARY" not in text
    document = json.loads(text[text.index("{") :])
    assert document["counts"] == {"receiving": 1}
    assert document["studies"][0]["study_uid"] == "1.2.826.0.1.999.1"


def test_replay_needs_a_study_that_is_here(site):
    with pytest.raises(UsageError, match="--quarantined"):
        run("replay", "--config", site)
    from lvo.node.settings import load_settings

    with pytest.raises(OutputError, match="has the node been started"):
        run("replay", "--config", site, "1.2.3")
    assert not load_settings(site).database_path.exists()
    Inbox(load_settings(site)).close()
    with pytest.raises(InputError, match="no images"):
        run("replay", "--config", site, "1.2.3")


def test_without_settings_the_command_says_what_to_do():
    with pytest.raises(UsageError, match=r"site\.toml"):
        run("status")
