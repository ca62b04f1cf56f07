"""When a study is ready, and what late images do."""

import msgspec
import pytest

from lvo.node.assembly import plan
from lvo.node.database import Clock, connect
from lvo.node.identity import Identity
from lvo.node.jobs import Outcome, claim, finish
from lvo.node.records import Arrival, put_image
from lvo.node.settings import AssemblySettings, Peer, WorkSettings
from lvo.node.view import open_view


class Hospital:
    """A store whose clock is set by hand."""

    def __init__(self, settings) -> None:
        settings.root.mkdir(parents=True)
        self.settings = settings
        self.db = connect(settings.database_path)
        self.seconds = 100.0

    @property
    def clock(self):
        """Node time as set."""
        hospital = self

        class Stopped(Clock):
            def now(self):
                return hospital.seconds

        return Stopped(0.0, "boot")

    def image(self, number, *, study="1.2", series="1.2.1", modality="CT", peer="CT1", in_study=None, in_series=None):
        """An image arrives."""
        identity = Identity(study, series, f"{series}.{number}", "1.2.840.10008.5.1.4.1.1.2", modality, in_study, in_series)
        return put_image(self.db, self.clock, Arrival(identity, f"hash {series} {number}", 1, "p", "dicom", peer))

    def after(self, seconds, **assembly):
        """Jobs that are queued after some seconds."""
        self.seconds += seconds
        settings = msgspec.structs.replace(self.settings, assembly=AssemblySettings(**assembly))
        return plan(self.db, self.clock, settings)

    def done(self):
        """The most urgent job is done."""
        job = claim(self.db, self.clock, WorkSettings(), worker="w")
        assert finish(self.db, self.clock, job, Outcome("results/x", "complete", "suspected"))
        return job

    def skipped(self):
        """The most urgent job finds no angiogram."""
        job = claim(self.db, self.clock, WorkSettings(), worker="w")
        assert finish(self.db, self.clock, job, Outcome(""))
        return job

    def states(self):
        """States of the versions of the only study."""
        with open_view(self.settings) as view:
            return [version.state for version in view.studies()[0].versions]


@pytest.fixture
def hospital(settings):
    """An empty store."""
    return Hospital(settings)


def test_a_study_is_ready_when_nothing_came_for_the_quiet_time(hospital):
    hospital.image(1)
    assert hospital.after(29.0) == 0
    hospital.image(2)
    assert hospital.after(29.0) == 0
    assert hospital.after(2.0) == 1
    assert hospital.after(100.0) == 0
    assert hospital.done().n_images == 2


def test_when_everything_announced_is_here_nobody_waits(hospital):
    hospital.image(1, in_study=2)
    assert hospital.after(31.0) == 0  # one is missing: longer than the quiet time
    hospital.image(2, in_study=2)
    assert hospital.after(2.0) == 0
    assert hospital.after(2.0) == 1


def test_a_study_that_stays_incomplete_is_analysed_in_the_end(hospital):
    hospital.image(1, in_study=2)
    assert hospital.after(119.0) == 0
    assert hospital.after(2.0) == 1
    assert hospital.done().expected == 2


def test_images_that_trickle_in_for_ever_do_not_hold_it_up(hospital):
    planned = 0
    for number in range(60):
        hospital.image(number)
        planned += hospital.after(20.0)
    assert planned == 1


def test_late_images_make_a_new_version(hospital):
    hospital.image(1)
    hospital.after(31.0)
    assert hospital.done().previous == 0
    hospital.image(2)
    assert hospital.after(31.0) == 1
    job = hospital.done()
    assert (job.version, job.previous, job.n_images) == (2, 1, 2)


def test_duplicates_and_conflicts_make_no_new_version(hospital):
    hospital.image(1)
    hospital.after(31.0)
    hospital.done()
    assert hospital.image(1) == "duplicate"
    identity = Identity("1.2", "1.2.1", "1.2.1.1", "1.2.840.10008.5.1.4.1.1.2", "CT", None, None)
    assert put_image(hospital.db, hospital.clock, Arrival(identity, "other", 1, "q", "dicom", "CT1")) == "conflict"
    assert hospital.after(1000.0) == 0


def test_images_that_come_while_the_job_waits_take_its_place(hospital):
    hospital.image(1)
    hospital.after(31.0)
    hospital.image(2)
    assert hospital.after(31.0) == 1
    assert hospital.states() == ["superseded", "queued"]
    assert hospital.done().n_images == 2


def test_an_angiogram_is_analysed_before_its_perfusion_scan_is_here_and_amended_after(hospital):
    for number in range(80):
        hospital.image(number, series="1.2.1")
    hospital.image(0, series="1.2.2")
    assert hospital.after(9.0) == 1
    early = hospital.done()
    assert (early.early, early.n_images) == (True, 81 - 1)
    hospital.image(1, series="1.2.2")
    assert hospital.after(31.0) == 1
    full = hospital.done()
    assert (full.early, full.n_images, full.previous) == (False, 82, 1)


def test_an_early_result_from_all_images_is_not_made_again(hospital):
    for number in range(80):
        hospital.image(number)
    assert hospital.after(9.0) == 1
    hospital.done()
    assert hospital.after(1000.0) == 0


def test_an_early_result_of_a_study_that_stays_incomplete_is_followed_by_one_that_says_so(hospital):
    for number in range(80):
        hospital.image(number, in_study=100)
    assert hospital.after(9.0) == 1
    assert hospital.done().early
    assert hospital.after(100.0) == 0
    assert hospital.after(20.0) == 1
    full = hospital.done()
    assert (full.early, full.n_images, full.expected) == (False, 80, 100)
    assert hospital.after(1000.0) == 0


def test_what_the_series_announce_is_known_too(hospital):
    hospital.image(1, in_series=3)
    hospital.image(1, series="1.2.2")
    assert hospital.after(121.0) == 1
    assert hospital.done().expected == 4


def test_a_series_without_angiogram_is_looked_at_once_and_the_study_later_as_a_whole(hospital):
    for number in range(80):
        hospital.image(number)
    assert hospital.after(9.0) == 1
    assert hospital.skipped().early
    assert hospital.after(9.0) == 0
    assert hospital.after(30.0) == 1
    assert not hospital.done().early


def test_angiograms_go_before_everything_and_suspected_studies_before_the_others(hospital):
    hospital.image(1, study="1.9", series="1.9.1")
    hospital.after(31.0)
    for number in range(80):
        hospital.image(number, study="1.3", series="1.3.1")
    hospital.after(9.0)
    assert hospital.done().study_uid == "1.3"
    hospital.image(1, study="1.3", series="1.3.2")
    hospital.after(31.0)
    assert [hospital.done().study_uid for _ in range(2)] == ["1.3", "1.9"]


def test_rules_of_a_sender_hold_for_its_studies(hospital):
    peers = (Peer(ae_title="FAST", quiet_s=1.0, priority=50), Peer(ae_title="STORE", analyse=False), Peer(ae_title="CT1"))
    dicom = msgspec.structs.replace(hospital.settings.dicom, peers=peers)
    hospital.settings = msgspec.structs.replace(hospital.settings, dicom=dicom)
    hospital.image(1, study="1.1", series="1.1.1", peer="STORE")
    hospital.image(1, study="1.2", series="1.2.1", peer="CT1")
    assert hospital.after(31.0) == 1
    hospital.image(1, study="1.3", series="1.3.1", peer="FAST")
    assert hospital.after(2.0) == 1
    assert [hospital.done().study_uid for _ in range(2)] == ["1.3", "1.2"]
    assert hospital.after(1000.0) == 0
