"""What a worker says of the studies it gets, with the analysis taken out."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from batch_phantoms import plain_study

from lvo.batch import worker
from lvo.batch.messages import Begun, Finished, Opened
from lvo.batch.records import Item, Kind, Limits, Setup
from lvo.config import Config
from lvo.errors import GeometryError, ModelError, OutputError
from lvo.run import RunResult

DOCUMENT = {
    "status": "complete",
    "cta": {
        "state": "assessed",
        "reasons": [],
        "lvo": {"call": "suspected", "probability": 0.9, "location_lps_mm": [1.0, 2.0, 3.0]},
    },
    "perfusion": {"state": "absent", "reasons": ["no CT perfusion"]},
    "criteria": [{"name": "DAWN", "met": True}, {"name": "DEFUSE 3", "met": None}],
    "quality": [{"code": "cta.phase", "severity": "warning"}, {"code": "tilt", "severity": "info"}],
    "config_sha256": "ab",
    "models": [],
    "timings_s": {"load": 1.5},
}


@dataclass
class Pipe:
    """Keeps what is sent."""

    sent: list = field(default_factory=list)

    def send(self, message):
        self.sent.append(message)

    def rows(self):
        return [message.row for message in self.sent if isinstance(message, Finished)]


@pytest.fixture
def setup(tmp_path):
    (tmp_path / "studies").mkdir()
    return Setup(tmp_path / "studies", Config(), {}, frozenset(), Limits())


@pytest.fixture
def analysed(monkeypatch):
    """The studies that were analysed."""
    seen = []

    def run_study(study, _models, request):
        seen.append(study.study_instance_uid)
        folder = request.out_dir / study.study_instance_uid
        folder.mkdir()
        document = DOCUMENT | {"study": {"study_instance_uid": study.study_instance_uid}}
        (folder / "result.json").write_bytes(worker.msgspec.json.encode(document))
        return RunResult(folder, document, None, 0)

    monkeypatch.setattr(worker, "run_study", run_study)
    return seen


def work(setup, *paths, name="x", fingerprint="1"):
    pipe = Pipe()
    worker._work(Item(name, tuple(map(str, paths)), fingerprint), None, setup, pipe)
    return pipe


def test_every_study_of_an_item_has_a_row_named_like_result_json(tmp_path, setup, analysed):
    uids = {plain_study(tmp_path / "a", 1), plain_study(tmp_path / "b", 2)}
    pipe = work(setup, tmp_path / "a", tmp_path / "b")
    rows = pipe.rows()
    assert {row["study_instance_uid"] for row in rows} == uids == set(analysed)
    assert set(pipe.sent[0].study_instance_uids) == uids
    assert [type(message) for message in pipe.sent] == [Opened, Begun, Finished, Begun, Finished]
    row = rows[0]
    assert (row["cta.lvo.call"], row["cta.lvo.probability"], row["cta.lvo.location_lps_mm"]) == (
        "suspected",
        0.9,
        "[1.0, 2.0, 3.0]",
    )
    assert (row["perfusion.state"], row["perfusion.reasons"]) == ("absent", "no CT perfusion")
    assert (row["criteria.met"], row["quality.warnings"], row["exit_status"]) == ("DAWN", "cta.phase", 0)
    assert row["folder"] == f"studies/{row['study_instance_uid']}"
    assert row["perfusion.core_ml"] is None


def test_a_study_that_was_finished_before_the_table_knew_is_not_done_again(tmp_path, setup, analysed):
    plain_study(tmp_path / "a", 1)
    work(setup, tmp_path / "a")
    again = work(setup, tmp_path / "a").rows()
    assert len(analysed) == 1
    assert again[0]["cta.lvo.call"] == "suspected"
    assert again[0]["seconds"] == 1.5


def test_a_copy_that_a_finished_study_lacks_is_written_later(tmp_path, setup, analysed):
    plain_study(tmp_path / "a", 1)
    work(setup, tmp_path / "a")
    copies = tmp_path / "copies"
    work(replace(setup, export_dir=copies, export_secret=b"secret"), tmp_path / "a")
    assert len(analysed) == 1
    assert len(list(copies.glob("*/*.dcm"))) > 0


def test_a_study_whose_images_changed_is_done_again(tmp_path, setup, analysed):
    uid = plain_study(tmp_path / "a", 1)
    work(setup, tmp_path / "a")
    (setup.studies_dir / uid / "result.json").unlink()
    (setup.studies_dir / uid).rmdir()
    work(setup, tmp_path / "a", fingerprint="2")
    assert len(analysed) == 2


def test_the_same_study_in_another_place_is_reported_and_the_first_stays(tmp_path, setup, analysed):
    plain_study(tmp_path / "a", 1)
    plain_study(tmp_path / "b", 1)
    work(setup, tmp_path / "a", name="one")
    (row,) = work(setup, tmp_path / "b", name="two").rows()
    assert (row["status"], row["error.kind"]) == ("failed", Kind.DUPLICATE)
    assert "one folder" in row["error.reason"]
    assert len(analysed) == 1


def test_an_owner_whose_name_was_half_written_is_nobody(tmp_path, setup, analysed, monkeypatch):
    """Where there are no hard links the name does not appear at once."""
    monkeypatch.setattr("lvo.batch.owners._WRITING_S", 0.1)
    uid = plain_study(tmp_path / "a", 1)
    (setup.studies_dir / ".owners").mkdir()
    (setup.studies_dir / ".owners" / uid).write_text("0123456789ab")
    (row,) = work(setup, tmp_path / "a").rows()
    assert (row["status"], analysed) == ("complete", [uid])
    assert work(setup, tmp_path / "a").rows()[0]["status"] == "complete"
    assert len(analysed) == 1


@pytest.mark.usefixtures("analysed")
def test_what_a_worker_that_died_left_is_removed(tmp_path, setup):
    uid = plain_study(tmp_path / "a", 1)
    (setup.studies_dir / f".{uid}.abc.partial").mkdir()
    (setup.studies_dir / ".1.9.abc.partial").mkdir()
    work(setup, tmp_path / "a")
    assert [path.name for path in setup.studies_dir.glob(".*.partial")] == [".1.9.abc.partial"]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(GeometryError("a slice is missing"), Kind.INPUT, "a slice is missing", id="bad images"),
        pytest.param(OutputError("no space"), Kind.OUTPUT, "no space", id="disk"),
        pytest.param(OSError(28, "No space left on device"), Kind.OUTPUT, "the disk is full", id="disk, elsewhere"),
        pytest.param(ModelError("altered"), Kind.INPUT, "altered", id="model"),
        pytest.param(MemoryError(), Kind.MEMORY, "--memory-mb", id="memory"),
        pytest.param(
            np._core._exceptions._ArrayMemoryError((9,), np.dtype(float)), Kind.MEMORY, "--memory-mb", id="numpy's memory"
        ),
        pytest.param(RuntimeError("Failed to allocate memory"), Kind.MEMORY, "--memory-mb", id="onnxruntime's memory"),
        pytest.param(KeyError("DOE^JANE"), Kind.INTERNAL, "KeyError in run_study", id="internal"),
    ],
)
def test_a_study_that_fails_has_a_reason_and_does_not_stop_the_next(tmp_path, setup, monkeypatch, error, kind, words):
    first = min(plain_study(tmp_path / "a", 1), plain_study(tmp_path / "b", 2))

    def run_study(study, _models, request):
        if study.study_instance_uid == first:
            raise error
        return RunResult(request.out_dir, DOCUMENT | {"study": {"study_instance_uid": "1.2"}}, None, 0)

    monkeypatch.setattr(worker, "run_study", run_study)
    failed, good = work(setup, tmp_path / "a", tmp_path / "b").rows()
    assert (failed["study_instance_uid"], failed["error.kind"], failed["exit_status"]) == (first, kind, 1)
    assert words in failed["error.reason"]
    assert "DOE" not in str(failed)
    assert good["status"] == "complete"


def test_an_item_that_cannot_be_opened_has_a_row_of_its_own(tmp_path, setup):
    (row,) = work(setup, tmp_path / "nowhere").rows()
    assert (row["study_instance_uid"], row["error.kind"]) == (None, Kind.INPUT)
