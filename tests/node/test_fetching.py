"""Images that are lacking are asked for once, in bounded time, and whatever goes wrong holds nothing up."""

import socket
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from lvo.core.outcome import Assessed, NotAssessable
from lvo.core.study import Study
from lvo.delivery import DeliverySettings
from lvo.delivery.settings import DicomSource, WadoSource
from lvo.node import analysis
from lvo.node.assembly import plan
from lvo.node.database import connect, open_clock
from lvo.node.fetching import Fetched, fetch_missing
from lvo.node.inbox import Inbox
from lvo.node.jobs import Job, Outcome, claim, finish
from lvo.node.settings import AssemblySettings
from lvo.node.view import open_view

from .conftest import free_port, image, save

UID = "1.2.826.0.1.999.1"


@pytest.fixture
def study(settings):
    """A study of one image, ready to be analysed."""
    inbox = Inbox(settings)
    inbox.accept(save(image(1, 1), inbox.incoming / "a"), door="dicom", peer="CT1")
    inbox.close()
    return msgspec.structs.replace(settings, assembly=AssemblySettings(quiet_s=0.0, fetch_wait_s=1.0))


@pytest.mark.parametrize("kind", ["nobody there", "no answer"])
def test_a_source_that_does_not_answer_is_said_and_not_waited_for(study, kind):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if kind == "no answer":
            server.listen()
        port = server.getsockname()[1]
        source = DicomSource(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_s=20.0)
        if kind == "nobody there":
            source = WadoSource(name="pacs", url=f"http://127.0.0.1:{free_port()}")
        asked = msgspec.structs.replace(study, delivery=DeliverySettings(sources=(source,)))
        came = fetch_missing(asked, UID, study.root / "work")
    assert came.n_new == 0
    (problem,) = came.problems
    assert ("not done within 1 s" if kind == "no answer" else "cannot be reached") in problem


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
        pytest.param({"judged": False, "fetched": True}, (True, 0, ["study.fetched"]), id="once only"),
        pytest.param({"judged": False, "sources": 0}, (True, 0, []), id="nobody to ask"),
        pytest.param({"judged": False, "early": True}, (False, 0, ["study.early"]), id="early: they may still come"),
    ],
)
def test_who_is_asked_when(judge, case, expected):
    assert judge(**case) == expected
