"""From a result folder to a target: handed over once, tried again, given up aloud, never mixed up."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lvo.core.report import Call
from lvo.delivery import DeliverySettings, Notice, Outbox, State, deliver_due, hand_over, notice_of, read_parcel, tell
from lvo.delivery.deliver import run_deliverer
from lvo.delivery.settings import FolderDestination, RetrySettings, WebhookNotification
from lvo.errors import InputError

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "1.2.826.0.1.3680043.8.498.77"


@pytest.fixture
def share(tmp_path) -> Path:
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def settings(tmp_path, share) -> DeliverySettings:
    return DeliverySettings(
        outbox=str(tmp_path / "outbox.sqlite"),
        destinations=(FolderDestination(name="share", path=str(share)),),
        retry=RetrySettings(first_s=0.01, longest_s=0.02),
    )


@pytest.fixture
def outbox(settings):
    with Outbox(Path(settings.outbox)) as made:
        yield made


def hook(**change) -> WebhookNotification:
    return WebhookNotification(**{"name": "hook", "url": "http://127.0.0.1:9/", "secret_file": "/none", **change})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_result_arrives_in_a_folder_byte_for_byte_and_once(outbox, settings, share, make_result):
    source = make_result()
    assert hand_over(outbox, settings, read_parcel(source), at=AT) == 1
    assert deliver_due(outbox, settings).delivered == 1
    assert contents(share / UID) == contents(source)
    assert [path.name for path in share.iterdir()] == [UID], "nothing temporary is left"
    (share / UID / "result.json").unlink()
    assert hand_over(outbox, settings, read_parcel(source), at=AT) == 0
    assert deliver_due(outbox, settings).delivered == 0
    assert not (share / UID / "result.json").exists(), "it was not delivered twice"


def test_only_the_parts_that_are_asked_for(outbox, settings, share, make_result):
    import msgspec

    wanted = (FolderDestination(name="share", path=str(share), parts=("result.json", "images")),)
    settings = msgspec.structs.replace(settings, destinations=wanted)
    hand_over(outbox, settings, read_parcel(make_result()), at=AT)
    assert deliver_due(outbox, settings).delivered == 1
    assert set(contents(share / UID)) == {"result.json", "images/site.png"}


def test_a_destination_that_is_away_queues_and_catches_up(outbox, settings, share, make_result):
    share.rmdir()
    hand_over(outbox, settings, read_parcel(make_result()), at=AT)
    assert deliver_due(outbox, settings).failed == 1
    (waiting,) = outbox.list(state=State.PENDING)
    assert "is not there" in waiting.reason
    share.mkdir()
    outbox.wake("share")
    assert deliver_due(outbox, settings).delivered == 1
    assert (share / UID / "report.html").exists()


def test_a_newer_result_replaces_the_older_one_at_the_destination(outbox, settings, share, make_result):
    for version in ("1", "2"):
        hand_over(outbox, settings, read_parcel(make_result(version=version)), at=AT)
        deliver_due(outbox, settings)
    assert (share / UID / "images" / "site.png").read_bytes() == b"png 2"
    assert [path.name for path in share.iterdir()] == [UID]


def test_what_a_killed_program_left_at_the_destination_is_cleared_away(outbox, settings, share, make_result):
    (share / f".{UID}.0123.partial" / "dicom").mkdir(parents=True)
    hand_over(outbox, settings, read_parcel(make_result()), at=AT)
    deliver_due(outbox, settings)
    assert [path.name for path in share.iterdir()] == [UID]


def test_a_copy_that_breaks_off_leaves_the_older_result(outbox, settings, share, make_result, monkeypatch):
    import lvo.delivery.folder

    hand_over(outbox, settings, read_parcel(make_result(version="1")), at=AT)
    deliver_due(outbox, settings)
    hand_over(outbox, settings, read_parcel(make_result(version="2")), at=AT)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lvo.delivery.folder.shutil, "copyfile", full)
    assert deliver_due(outbox, settings).failed == 1
    assert (share / UID / "images" / "site.png").read_bytes() == b"png 1"
    assert [path.name for path in share.iterdir()] == [UID]
    (waiting,) = outbox.list(state=State.PENDING)
    assert waiting.reason.endswith("[Errno 28] No space left on device")
    assert str(share) in waiting.reason


def test_a_result_that_was_replaced_in_its_folder_is_dead_until_it_is_handed_over(outbox, settings, share, make_result):
    hand_over(outbox, settings, read_parcel(make_result(version="1")), at=AT)
    newer = read_parcel(make_result(version="2"))
    assert deliver_due(outbox, settings).dead == 1
    assert "holds another result by now" in outbox.list()[0].reason
    assert not (share / UID).exists()
    hand_over(outbox, settings, newer, at=AT)
    assert deliver_due(outbox, settings).delivered == 1
    assert [d.state for d in outbox.list()] == [State.SUPERSEDED, State.DELIVERED]


def test_a_result_that_is_gone_is_dead_and_says_so(outbox, settings, make_result):
    import shutil

    source = make_result()
    hand_over(outbox, settings, read_parcel(source), at=AT)
    shutil.rmtree(source)
    ended = []
    for _ in range(3):
        ended.append(deliver_due(outbox, settings))
        outbox.wake("share")
    assert [(tally.failed, tally.dead) for tally in ended] == [(1, 0), (1, 0), (0, 1)], "it may only be replaced just now"
    assert "holds no result.json" in outbox.list(state=State.DEAD)[0].reason
    assert hand_over(outbox, settings, read_parcel(make_result()), at=AT) == 1, "the same result again lives again"
    assert deliver_due(outbox, settings).delivered == 1


def test_a_missing_package_is_named(outbox, settings, make_result, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lvo.delivery.folder", None)
    hand_over(outbox, settings, read_parcel(make_result()), at=AT)
    assert deliver_due(outbox, settings).failed == 1
    assert "is missing: pip install 'lvo[node]'" in outbox.list()[0].reason


def test_an_unforeseen_error_is_named_by_place_only_and_others_go_on(outbox, settings, make_result, monkeypatch, caplog):
    import lvo.delivery.folder

    def broken(*_: object) -> None:
        msg = "CANARYNAME"
        raise KeyError(msg)

    monkeypatch.setattr(lvo.delivery.folder, "send_folder", broken)
    hand_over(outbox, settings, read_parcel(make_result()), at=AT)
    assert deliver_due(outbox, settings).failed == 1
    reason = outbox.list()[0].reason
    assert reason.startswith("internal error (KeyError in broken")
    assert "CANARYNAME" not in reason + caplog.text


def test_versions_follow_the_content_and_not_the_timings(make_result):
    import json

    folder = make_result(version="1")
    first = read_parcel(folder)
    document = json.loads((folder / "result.json").read_text())
    document["timings_s"] = {"load": 99.0}
    (folder / "result.json").write_text(json.dumps(document))
    assert read_parcel(folder) == first
    assert read_parcel(make_result(version="2")).version != first.version


@pytest.mark.parametrize(
    ("call", "event"),
    [(Call.SUSPECTED, "suspected"), (Call.NOT_DETECTED, "not_detected"), (None, "not_assessable")],
)
def test_a_notice_says_what_the_result_says(make_result, call, event):
    notice = notice_of(read_parcel(make_result(call=call)), at=AT)
    assert notice.event == event
    if call is Call.SUSPECTED:
        assert (notice.side, notice.site, notice.probability, notice.reasons) == ("left", "M1", 0.93, ())
        assert notice.core_ml == pytest.approx(18.9, abs=10.0)
    if call is None:
        assert (notice.side, notice.probability, notice.reasons) == (None, None, ("the head moved",))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param(None, "no result.json", id="no result"),
        pytest.param("{", "not JSON", id="half a result"),
        pytest.param("[]", "is no result", id="another document"),
        pytest.param('{"study": {}}', "names no study", id="no study"),
        pytest.param('{"study": {"study_instance_uid": "../../x"}}', "names no study", id="a UID that is a path"),
    ],
)
def test_a_folder_without_a_result_is_refused(tmp_path, text, match):
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=match):
        read_parcel(tmp_path)


def test_only_those_who_asked_are_told(outbox):
    settings = DeliverySettings(notifications=(hook(name="all", on=("overdue", "suspected")), hook(name="few", on=("failed",))))
    overdue = Notice(event="overdue", study_instance_uid="1.2", at=AT, waited_min=21.0)
    assert tell(outbox, settings, overdue) == 1
    assert tell(outbox, settings, overdue) == 0, "once is enough"
    assert [d.target for d in outbox.list()] == ["all"]


def test_a_missing_secret_is_a_failure_that_waits_and_names_the_file(outbox):
    settings = DeliverySettings(notifications=(hook(),))
    tell(outbox, settings, Notice(event="failed", study_instance_uid="1.2", at=AT))
    assert deliver_due(outbox, settings).failed == 1
    assert "/none" in outbox.list()[0].reason


def test_a_deliverer_whose_thread_fails_ends_as_a_whole(settings, monkeypatch):
    def broken(*_args, **_more):
        raise sqlite3.OperationalError

    monkeypatch.setattr(Outbox, "claim", broken)
    with pytest.raises(sqlite3.OperationalError):
        run_deliverer(settings, stop=threading.Event(), poll_s=0.02)


def test_the_deliverer_serves_until_it_is_stopped(settings, share, make_result):
    stop = threading.Event()
    tallies = []
    runner = threading.Thread(target=lambda: tallies.append(run_deliverer(settings, stop=stop, poll_s=0.02)))
    runner.start()
    with Outbox(Path(settings.outbox)) as outbox:
        hand_over(outbox, settings, read_parcel(make_result()), at=AT)
        for _ in range(500):
            if outbox.list(state=State.DELIVERED):
                break
            stop.wait(0.02)
    stop.set()
    runner.join(timeout=30.0)
    assert tallies[0].delivered == 1
    assert (share / UID / "result.json").exists()
