"""From result to destination, once; what fails or is late is told; what was delivered long ago goes, and nothing else."""

import json
import shutil
import time
from datetime import datetime

import msgspec
import pytest

from lvo.delivery import DeliverySettings, Outbox, State, deliver_due
from lvo.delivery.settings import FolderDestination, WebhookNotification
from lvo.errors import InputError
from lvo.eventlog import EventKind, Facts, read_events
from lvo.node.assembly import plan
from lvo.node.clerk import write_events
from lvo.node.database import Clock, connect, open_clock, transaction
from lvo.node.handover import Handover
from lvo.node.inbox import Inbox
from lvo.node.jobs import Outcome, claim, fail, files_of, finish, replay
from lvo.node.records import note_event
from lvo.node.replay import replay_studies
from lvo.node.retention import purge
from lvo.node.settings import WorkSettings
from lvo.node.view import open_view

from .conftest import image, save

UID = "1.2.826.0.1.999.1"
DAY_S = 86_400.0


class Site:
    """A node whose processes are called one by one."""

    def __init__(self, settings, tmp_path) -> None:
        (tmp_path / "share").mkdir()
        delivery = DeliverySettings(
            outbox=str(settings.root / "outbox.sqlite"),
            destinations=(FolderDestination(name="share", path=str(tmp_path / "share")),),
            notifications=(WebhookNotification(name="hook", url="http://127.0.0.1:9/", secret_file="none"),),  # noqa: S106 - a path
        )  # fmt: skip
        self.settings = msgspec.structs.replace(
            settings, delivery=delivery, assembly=msgspec.structs.replace(settings.assembly, quiet_s=0.0)
        )
        self.share = tmp_path / "share"
        self.inbox = Inbox(self.settings)
        self.db = connect(self.settings.database_path)
        self.clock = open_clock(self.db)
        self.outbox = Outbox(self.settings.outbox_path)

    def close(self):
        """Close everything."""
        self.inbox.close()
        self.outbox.close()
        self.db.close()

    def image(self, number):
        """An image arrives."""
        self.inbox.accept(save(image(1, number), self.inbox.incoming / f"f{number}"), door="dicom", peer="CT1")

    def claim(self):
        """The study is ready, and a worker takes it."""
        assert plan(self.db, self.clock, self.settings) == 1
        return claim(self.db, self.clock, self.settings.work, worker="w")

    def analyse(self, call="suspected"):
        """The study is analysed."""
        job = self.claim()
        folder = self.settings.root / "results" / UID / f"{job.version:04d}"
        folder.mkdir(parents=True)
        place = {"side": "left", "site": "M1"} if call == "suspected" else {"side": None, "site": None}
        lvo = {"call": call, "probability": 0.9, **place}
        cta = {"state": "assessed", "reasons": [], "lvo": lvo}
        document = {"study": {"study_instance_uid": UID}, "cta": cta, "version": job.version}
        (folder / "result.json").write_text(json.dumps(document))
        outcome = Outcome(str(folder.relative_to(self.settings.root)), "complete", call, ("arteries 1",))
        assert finish(self.db, self.clock, job, outcome)

    def handover(self, *, later_s=0.0):
        """The clerk's step, some seconds later."""
        clock = Clock(self.clock.offset + later_s, self.clock.boot)
        Handover(self.db, clock, self.outbox, self.settings).step()

    def deliver(self):
        """The deliverer's step for the folder."""
        return deliver_due(self.outbox, self.settings.delivery, targets={"share"})

    def states(self):
        """States of the versions."""
        with open_view(self.settings) as view:
            return [version.state for version in view.study(UID).versions]

    def notices(self):
        """What people are told."""
        return [d.notice for d in self.outbox.list() if d.notice is not None]


@pytest.fixture
def site(settings, tmp_path):
    """An empty node with one destination and one who wants to know."""
    site = Site(settings, tmp_path)
    yield site
    site.close()


def test_a_result_goes_out_once_and_its_end_is_written_down(site):
    site.image(1)
    site.analyse()
    for _ in range(3):
        site.handover()
    assert site.states() == ["delivering"]
    assert site.deliver().delivered == 1
    for _ in range(3):
        site.handover()
    assert site.states() == ["delivered"]
    assert len(list(site.share.iterdir())) == 1
    assert [notice.event for notice in site.notices()] == ["suspected"]
    write_events(site.db, site.settings)
    assert write_events(site.db, site.settings) == 0
    events = read_events(site.settings.log_path)
    assert [event.kind for event in events] == [EventKind.FIRST_IMAGE_IN, EventKind.RESULT_OUT, EventKind.DELIVERED]
    assert (events[0].facts.peer, events[1].facts.models, events[2].facts.targets) == ("CT1", ("arteries 1",), ("share",))


def test_a_clerk_that_dies_between_outbox_and_store_delivers_nothing_twice(site):
    site.image(1)
    site.analyse()
    site.handover()
    with transaction(site.db):  # as if it had died before it wrote this down
        site.db.execute("UPDATE jobs SET state = 'analysed'")
    site.handover()
    assert len([d for d in site.outbox.list() if d.notice is None]) == 1


def test_an_amended_result_replaces_the_one_before(site):
    site.image(1)
    site.analyse(call="indeterminate")
    site.handover()
    site.deliver()
    site.handover()
    site.image(2)
    site.analyse(call="suspected")
    site.handover()
    site.deliver()
    site.handover()
    assert site.states() == ["delivered", "delivered"]
    (result,) = site.share.rglob("result.json")
    assert json.loads(result.read_text())["version"] == 2


def test_a_version_that_was_overtaken_on_its_way_is_not_counted_as_delivered(site):
    for number in (1, 2):
        site.image(number)
        site.analyse()
        site.handover()
    site.deliver()
    site.handover()
    assert site.states() == ["superseded", "delivered"]
    delivered = "SELECT value FROM counters WHERE name = 'outcomes' AND label = 'delivered'"
    assert site.db.execute(delivered).fetchone()["value"] == 1


def test_a_destination_that_is_away_holds_nothing_up_and_gets_it_later(site):
    site.image(1)
    site.analyse()
    site.share.rename(site.share.with_name("away"))
    site.handover()
    assert site.deliver().failed == 1
    site.handover()
    assert site.states() == ["delivering"]
    site.share.with_name("away").rename(site.share)
    site.outbox.wake("share")
    assert site.deliver().delivered == 1
    site.handover()
    assert site.states() == ["delivered"]


def test_a_result_that_somebody_removed_does_not_hold_up_the_others(site):
    site.image(1)
    site.analyse()
    site.handover()
    (site.settings.root / "results" / UID / "0001" / "result.json").unlink()
    site.handover()
    assert site.states() == ["quarantined"]


def test_what_cannot_be_delivered_is_quarantined_told_and_replayed_without_a_new_analysis(site):
    site.image(1)
    site.analyse()
    site.handover()
    claimed = site.outbox.claim("share", lease_s=60.0, longest_s=60.0)
    site.outbox.dead(claimed, "refused for good")
    site.handover()
    assert site.states() == ["quarantined"]
    assert site.notices()[-1].reasons == ("not delivered to share: refused for good",)
    assert dict(replay_studies(site.settings, [UID])) == {UID: "version 1 is delivered again"}
    site.deliver()
    site.handover()
    assert site.states() == ["delivered"]


def test_a_study_that_could_not_be_analysed_is_told_once(site):
    site.image(1)
    fail(site.db, site.clock, WorkSettings(), site.claim(), "nothing readable", final=True)
    for _ in range(3):
        site.handover()
    assert [(notice.event, notice.reasons) for notice in site.notices()] == [("failed", ("nothing readable",))]
    with open_view(site.settings) as view:
        assert (view.study(UID).state, view.study(UID).reason) == ("quarantined", "nothing readable")
    assert dict(replay_studies(site.settings, [UID])) == {UID: "is analysed again as version 2"}


@pytest.mark.parametrize(("call", "told"), [("suspected", "suspected"), ("not_detected", "failed")])
def test_a_later_version_that_fails_takes_no_suspicion_back_and_leaves_no_all_clear(site, call, told):
    site.image(1)
    site.analyse(call)
    site.handover()
    site.image(2)
    fail(site.db, site.clock, WorkSettings(), site.claim(), "out of memory", final=True)
    site.handover()
    last = site.notices()[-1]
    assert last.event == told
    assert "out of memory" in last.reasons[-1]
    assert (last.side, last.site) == (("left", "M1") if told == "suspected" else (None, None))
    assert (last.standing, last.probability) == ((None, 0.9) if told == call else (call, None))


def test_a_result_that_a_destination_refuses_is_not_told_as_no_result(site):
    site.image(1)
    site.analyse("not_detected")  # which nobody asked to be told of
    site.handover()
    assert site.notices() == []
    site.outbox.dead(site.outbox.claim("share", lease_s=60.0, longest_s=60.0), "1 of 3 objects: seg.dcm refused")
    site.handover()
    (notice,) = site.notices()
    assert (notice.event, notice.reasons) == ("not_detected", ("not delivered to share: 1 of 3 objects: seg.dcm refused",))


def test_images_without_a_result_raise_an_alarm_once(site):
    site.image(1)
    site.handover(later_s=14 * 60)
    assert site.notices() == []
    for _ in range(3):
        site.handover(later_s=16 * 60)
    (notice,) = site.notices()
    assert notice.event == "overdue"
    assert notice.waited_min == pytest.approx(16.0, abs=0.5)
    assert datetime.now().astimezone() >= notice.at


def test_what_was_delivered_long_ago_goes(site):
    site.image(1)
    site.analyse()
    site.handover()
    site.deliver()
    site.handover()
    images = site.settings.root / "images" / UID
    for days, there in ((6.9, (True, True)), (7.1, (False, True)), (30.1, (False, False))):
        purge(site.db, Clock(site.clock.offset + days * DAY_S, site.clock.boot), site.outbox, site.settings)
        assert (images.exists(), (site.settings.root / "results" / UID).exists()) == there
    with Outbox(site.settings.outbox_path, clock=lambda: time.time() + 31 * DAY_S) as later:
        purge(site.db, Clock(site.clock.offset + 31 * DAY_S, site.clock.boot), later, site.settings)
    assert [d for d in site.outbox.list() if d.state is State.DELIVERED] == []
    with open_view(site.settings) as view:
        assert view.study(UID) is None
    site.image(1)  # and it may come again
    assert site.claim().version == 1


def test_a_purge_that_was_killed_after_it_moved_the_images_is_finished_by_the_next(site):
    site.image(1)
    site.analyse()
    site.handover()
    site.deliver()
    site.handover()
    shutil.rmtree(site.settings.root / "images" / UID)
    purge(site.db, Clock(site.clock.offset + 31 * DAY_S, site.clock.boot), site.outbox, site.settings)
    with open_view(site.settings) as view:
        assert view.study(UID) is None


@pytest.mark.parametrize("why", ["not analysed", "late images", "quarantined", "not delivered"])
def test_what_is_not_done_never_goes(site, why):
    site.image(1)
    if why in ("late images", "not delivered"):
        site.analyse()
        site.handover()
    if why == "late images":
        site.deliver()
        site.handover()
        site.image(2)
    if why == "quarantined":
        fail(site.db, site.clock, WorkSettings(), site.claim(), "broken", final=True)
    purge(site.db, Clock(site.clock.offset + 1000 * DAY_S, site.clock.boot), site.outbox, site.settings)
    assert len(list((site.settings.root / "images" / UID).iterdir())) == (2 if why == "late images" else 1)
    assert all(d.state is State.PENDING for d in site.outbox.list() if why == "not delivered")


def test_a_study_that_is_sent_again_after_its_images_went_counts_none_twice(site):
    for number in (1, 2):
        site.image(number)
    site.analyse()
    site.handover()
    site.deliver()
    site.handover()
    later = Clock(site.clock.offset + 8 * DAY_S, site.clock.boot)
    purge(site.db, later, site.outbox, site.settings)
    with pytest.raises(InputError, match="no images"):
        replay(site.db, site.clock, UID)
    site.inbox.clock = later
    data = image(1, 1, SeriesDescription="as a PACS writes it down")
    site.inbox.accept(save(data, site.inbox.incoming / "again"), door="dicom", peer="PACS")
    site.image(1)  # now there is something to compare it with
    with open_view(site.settings) as view:
        assert (view.study(UID).n_images, view.study(UID).n_conflicts) == (2, 1)
    purge(site.db, later, site.outbox, site.settings)  # what came again stays as long as what is new
    assert len(list((site.settings.root / "images" / UID).iterdir())) == 2
    assert plan(site.db, later, site.settings) == 0  # the result stands
    site.image(3)
    assert plan(site.db, Clock(later.offset + 60, later.boot), site.settings) == 1
    job = claim(site.db, later, site.settings.work, worker="w")
    assert (job.version, job.n_images, len(files_of(site.db, job, site.settings.root))) == (2, 3, 2)


def test_a_log_that_ends_in_half_a_line_is_mended_and_says_so(site):
    site.image(1)
    write_events(site.db, site.settings)
    log = site.settings.log_path
    whole = log.read_bytes()
    with transaction(site.db):  # as if the power had gone before the store forgot the event
        note_event(site.db, EventKind.FIRST_IMAGE_IN, UID, Facts(peer="CT1"))
    log.write_bytes(whole + b'{"at":"2026-')
    assert write_events(site.db, site.settings) == 1
    assert [event.kind for event in read_events(log)] == [
        EventKind.FIRST_IMAGE_IN, EventKind.MENDED, EventKind.FIRST_IMAGE_IN,
    ]  # fmt: skip
    assert log.read_bytes().startswith(whole)
    (aside,) = log.parent.glob("events.jsonl.torn-*")
    assert aside.read_bytes() == b'{"at":"2026-'


@pytest.mark.parametrize(("call", "told"), [("suspected", "suspected"), ("not_detected", "overdue")])
def test_a_later_version_that_hangs_raises_an_alarm_once_and_takes_no_suspicion_back(site, call, told):
    site.image(1)
    site.analyse(call)
    site.handover()
    site.deliver()
    site.handover(later_s=16 * 60)
    n_told = len(site.notices())
    site.image(2)
    assert site.claim().version == 2  # and its worker hangs
    for _ in range(3):
        site.handover(later_s=16 * 60)
    last = site.notices()[-1]
    assert (len(site.notices()), last.event, last.waited_min) == (n_told + 1, told, pytest.approx(16.0, abs=0.5))
    assert "version 2 of the result is late" in last.reasons[-1]
    assert last.standing == (None if told == call else call)
