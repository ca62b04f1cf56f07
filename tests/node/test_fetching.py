"""Images that are lacking are asked for once, in bounded time, and whatever goes wrong holds nothing up."""

import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from lvo_tests_servers import free_port

from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.study import Study
from lvo.delivery import DeliverySettings
from lvo.delivery.settings import DicomSource, WadoSource
from lvo.node import analysis, fetching
from lvo.node.assembly import plan
from lvo.node.database import connect, open_clock
from lvo.node.fetching import Fetched, fetch_missing
from lvo.node.inbox import Inbox
from lvo.node.jobs import Job, Outcome, claim, finish, replay
from lvo.node.settings import AssemblySettings
from lvo.node.view import open_view

from .conftest import image, save

UID = "1.2.826.0.1.999.1"


@pytest.fixture
def study(settings):
    """A study of one image, ready to be analysed."""
    inbox = Inbox(settings)
    inbox.accept(save(image(1, 1), inbox.incoming / "a"), door="dicom", peer="CT1")
    inbox.close()
    return msgspec.structs.replace(settings, assembly=AssemblySettings(quiet_s=0.0))


@pytest.fixture
def _fetches_end():
    """What asks in vain goes on beside a node; here it ends before the next test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "fetch":
            thread.join()


@pytest.mark.usefixtures("_fetches_end")
@pytest.mark.parametrize("kind", ["nobody there", "no answer"])
def test_a_source_that_does_not_answer_is_said_and_not_waited_for(study, caplog, kind):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if kind == "no answer":
            server.listen()
        port = server.getsockname()[1]
        source = DicomSource(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_s=20.0)
        if kind == "nobody there":
            source = WadoSource(name="pacs", url=f"http://127.0.0.1:{free_port()}")
        wait_s = 1.0 if kind == "no answer" else 120.0
        assembly = msgspec.structs.replace(study.assembly, fetch_wait_s=wait_s)
        asked = msgspec.structs.replace(study, delivery=DeliverySettings(sources=(source,)), assembly=assembly)
        came = fetch_missing(asked, UID, study.root / "work")
    assert came.n_new == 0
    (problem,) = came.problems
    assert ("not done within 1 s" if kind == "no answer" else "cannot be reached") in problem
    said = [record.getMessage() for record in caplog.records if record.name.startswith("lvo") and record.levelname == "WARNING"]
    assert said == [f"missing images could not be fetched: {problem}"]


@pytest.mark.parametrize(("sent", "n_new"), [(0, 2), (1, 2)], ids=["nobody sends", "the sender sends one too"])
def test_what_the_sender_sends_meanwhile_was_not_fetched(study, monkeypatch, sent, n_new):
    def come(_source, _uid, _here, folder):
        inbox = Inbox(study)
        for number in range(sent):
            inbox.accept(save(image(1, 9 + number), inbox.incoming / "s"), door="dicom", peer="CT1")
        inbox.close()
        folder.mkdir(parents=True)
        for number in (1, 2, 3):  # the first is here
            dataset = image(1, number)
            save(dataset, folder / f"{dataset.SOPInstanceUID}.dcm")
        return 3

    monkeypatch.setattr(fetching, "_fetch", come)
    source = WadoSource(name="pacs", url="http://127.0.0.1:9")
    asked = msgspec.structs.replace(study, delivery=DeliverySettings(sources=(source,)))
    assert fetch_missing(asked, UID, study.root / "work") == Fetched(n_new, ())
    with open_view(study) as view:
        assert view.studies()[0].n_images == 1 + sent + n_new


def test_what_was_fetched_makes_the_next_version_at_once_which_fetches_no_more(study):
    db = connect(study.database_path)
    clock = open_clock(db)
    assert plan(db, clock, study) == 1
    job = claim(db, clock, study.work, worker="w")
    assert not job.fetched
    inbox = Inbox(study)
    inbox.accept(save(image(1, 2), inbox.incoming / "b"), door="fetch", peer="CT1")
    inbox.close()
    assert finish(db, clock, job, Outcome(""))
    again = claim(db, clock, study.work, worker="w")
    assert (again.version, again.n_images, again.fetched, again.early) == (2, 2, True, False)
    assert plan(db, clock, study) == 0
    with open_view(study) as view:
        assert [version.state for version in view.studies()[0].versions] == ["skipped", "running"]
    assert finish(db, clock, again, Outcome("r", "complete", "absent"))
    replay(db, clock, UID)
    assert not claim(db, clock, study.work, worker="w").fetched, "a version that lacks something again may ask again"
    db.close()


def test_images_that_come_while_a_version_fetches_do_not_make_the_next_one_ask_again(study):
    db = connect(study.database_path)
    clock = open_clock(db)
    assert plan(db, clock, study) == 1
    job = claim(db, clock, study.work, worker="w")
    inbox = Inbox(study)
    inbox.accept(save(image(1, 2), inbox.incoming / "b"), door="dicom", peer="CT1")
    inbox.close()
    assert plan(db, clock, study) == 1
    assert finish(db, clock, job, Outcome(""))
    again = claim(db, clock, study.work, worker="w")
    assert (again.version, again.n_images, again.fetched) == (3, 2, True)
    db.close()


@pytest.fixture
def judge(study, tmp_path, monkeypatch):
    """Judges a study of which the test says what is in it; what was asked for, and the notes of the result."""

    def go(*, chosen=True, judged=True, n_new=0, sources=1, **job):
        asked, notes = [], []

        @contextmanager
        def opened(_files):
            yield (Study(UID, ()),)

        def run(found, _models, _request):
            notes.extend(note.code for note in found.notes)
            cta = Assessed(None) if judged else NotAssessable(("slices are missing",))
            return SimpleNamespace(folder=tmp_path, document={"status": "complete"}, report=SimpleNamespace(cta=cta, models=()))

        source = WadoSource(name="pacs", url="http://127.0.0.1:9")
        settings = msgspec.structs.replace(study, delivery=DeliverySettings(sources=(source,) * sources))
        for name, stand_in in {
            "load_models": lambda _: (), "open_studies": opened, "run_study": run,
            "choose": lambda *_: SimpleNamespace(cta=True if chosen else None),
            "fetch_missing": lambda *_: asked.append(1) or Fetched(n_new, () if n_new else ("nobody there",)),
            "result_event": lambda *_, **__: SimpleNamespace(facts=SimpleNamespace(call="suspected")),
        }.items():  # fmt: skip
            monkeypatch.setattr(analysis, name, stand_in)
        fields = {"early": False, "expected": None, "n_images": 2, "fetched": False} | job
        outcome = analysis.Analyst(settings)(
            Job(1, UID, 1, attempts=1, worker="w", previous=0, **fields), [Path()] * 2, tmp_path
        )
        return bool(outcome.folder), len(asked), notes

    return go


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param({}, (True, 0, []), id="nothing is lacking"),
        pytest.param({"chosen": False, "n_new": 9}, (False, 1, []), id="no angiogram, fetched"),
        pytest.param({"judged": False, "n_new": 9}, (False, 1, []), id="slices are missing, fetched"),
        pytest.param({"expected": 5, "n_new": 3}, (False, 1, []), id="fewer than announced, fetched"),
        pytest.param({"n_images": 5, "n_new": 3}, (False, 1, []), id="fewer than came, fetched"),
        pytest.param({"chosen": False, "judged": False}, (True, 1, ["study.not_fetched"]), id="in vain"),
        pytest.param({"judged": False}, (True, 1, []), id="slices are missing, in vain: the result is made by then"),
        pytest.param({"judged": False, "fetched": True}, (True, 0, ["study.fetched"]), id="once only"),
        pytest.param({"judged": False, "sources": 0}, (True, 0, []), id="nobody to ask"),
        pytest.param({"judged": False, "early": True}, (False, 0, ["study.early"]), id="early: they may still come"),
    ],
)
def test_who_is_asked_when(judge, case, expected):
    assert judge(**case) == expected
