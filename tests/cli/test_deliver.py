"""`lvo deliver`: scripts can rely on its exit status."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lvo import cli as command_line
from lvo.cli.boundary import guarded

UID = "1.2.826.0.1.3680043.8.498.77"


@pytest.fixture
def place(tmp_path) -> Path:
    """A result, a folder that takes results, and settings that say so."""
    result = tmp_path / "results" / UID
    result.mkdir(parents=True)
    document = {
        "study": {"study_instance_uid": UID},
        "cta": {"state": "assessed", "lvo": {"call": "suspected", "side": "left", "site": "M1", "probability": 0.9}},
    }
    (result / "result.json").write_text(json.dumps(document))
    (tmp_path / "share").mkdir()
    (tmp_path / "site.toml").write_text('[[destinations]]\nkind = "folder"\nname = "share"\npath = "share"\n')
    return tmp_path


def deliver(place: Path, *arguments: str) -> tuple[int, str]:
    runner = CliRunner()
    given = ["deliver", "--config", str(place / "site.toml"), *arguments]
    shown = runner.invoke(command_line._lvo, given, standalone_mode=False)
    if shown.exception is not None:
        return guarded(lambda: (_ for _ in ()).throw(shown.exception))[1], str(shown.exception)
    return shown.return_value, shown.output


def test_delivered_everywhere_is_0(place):
    status, said = deliver(place, str(place / "results" / UID))
    assert status == 0
    assert "share" in said
    assert "delivered" in said
    assert (place / "share" / UID / "result.json").exists()
    assert (place / "outbox.sqlite").exists(), "beside the configuration"


def test_what_waits_is_4_and_is_sent_by_a_later_call_without_results(place):
    (place / "share").rmdir()
    status, said = deliver(place, str(place / "results" / UID))
    assert status == 4
    assert "is not there" in said
    (place / "share").mkdir()
    assert deliver(place, "--show")[0] == 4
    import time

    from lvo.delivery import Outbox

    with Outbox(place / "outbox.sqlite") as outbox:
        outbox.wake("share")
    time.sleep(0.01)
    assert deliver(place)[0] == 0
    assert (place / "share" / UID).exists()


def test_what_is_refused_for_good_is_1_until_it_is_replayed(place):
    text = (place / "site.toml").read_text()
    (place / "site.toml").write_text(text + 'parts = ["dicom"]\n')
    assert deliver(place, str(place / "results" / UID))[0] == 1
    assert deliver(place)[0] == 1, "it stays visible"
    status, said = deliver(place, "--show", "--json")
    (row,) = json.loads(said)
    assert (status, row["state"], row["what"], row["target"]) == (1, "dead", "result", "share")
    assert "none of dicom" in row["reason"]
    (place / "site.toml").write_text(text)
    assert deliver(place, "--replay")[0] == 0


def test_no_result_is_1_and_no_target_is_2(place):
    (place / "empty").mkdir()
    status, said = deliver(place, str(place / "empty"))
    assert status == 1
    assert "holds no result.json" in said
    (place / "site.toml").write_text("")
    assert deliver(place, str(place / "results" / UID))[0] == 2


def test_a_failed_analysis_is_told(place):
    (place / "site.toml").write_text(
        '[[notifications]]\nkind = "webhook"\nname = "hook"\nurl = "http://127.0.0.1:9/"\nsecret_file = "none"\n'
    )
    status, said = deliver(place, "--failed", "1.2.3")
    assert status == 4
    assert "failed" in said
    assert deliver(place, "--failed", "../1")[0] == 2
