"""Studies of a node: on their way, finished, in quarantine."""

import os
import shutil

import pytest

from lvo.errors import OutputError
from lvo.node.database import connect
from lvo.node.settings import NodeSettings
from lvo.web import results
from lvo.web.node_store import NodeStore
from lvo.web.results import entry_of
from lvo.web.rows import row_of

WALL = "2026-03-01T10:0{}:00+00:00"


def add_study(db, uid, n_images=300):
    db.execute(
        "INSERT INTO studies (study_uid, n_images, door, peer, first_at, last_at, first_wall, last_wall)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (uid, n_images, "dicom", "CT1", 1.0, 2.0, WALL.format(0), WALL.format(1)),
    )


def add_job(db, uid, state, *, folder="", reason="", n_images=300, analysed=None, version=1):
    db.execute(
        "INSERT INTO jobs (study_uid, version, early, upto, n_images, state, priority, reason, folder, queued_at, queued_wall,"
        " started_wall, analysed_wall) VALUES (?,?,0,300,?,?,0,?,?,1.0,?,?,?)",
        (uid, version, n_images, state, reason, folder, WALL.format(2), WALL.format(3), analysed),
    )


@pytest.fixture
def node(tmp_path, built, serving):
    """A store with one study per state."""
    settings = NodeSettings(site="NR47UY", folder=str(tmp_path / "node"))
    settings.root.mkdir()
    db = connect(settings.database_path)
    for uid in ("1.1", "1.2", serving.UIDS["suspected"]):
        add_study(db, uid)
    add_job(db, "1.2", "quarantined", reason="the analysis crashed 3 times")
    folder = f"results/{serving.UIDS['suspected']}"
    shutil.copytree(built / serving.UIDS["suspected"], settings.root / folder)
    add_job(db, serving.UIDS["suspected"], "delivering", folder=folder, analysed=WALL.format(5))
    yield settings, db
    db.close()


def test_studies_on_their_way_finished_and_in_quarantine(node, serving):
    entries = {entry.study_instance_uid: entry for entry in NodeStore(node[0]).studies()}
    rows = {uid: row_of(entry, patient="hidden", seen=None, opinion=None) for uid, entry in entries.items()}
    assert rows["1.1"].state == "working"
    assert [stage.state for stage in rows["1.1"].stages] == ["running"]
    assert rows["1.2"].state == "failed"
    assert "crashed 3 times" in rows["1.2"].reasons[0]
    done = rows[serving.UIDS["suspected"]]
    assert (done.state, done.side, done.site) == ("suspected", "left", "M1")
    assert [(stage.name, stage.state) for stage in done.stages][1:] == [("Analysis", "done"), ("Delivery", "running")]
    assert done.stages[1].seconds == 120.0
    assert done.arrived_at.isoformat() == WALL.format(0)


@pytest.mark.parametrize(("name", "state"), [("suspected", "suspected"), ("not_detected", "failed")])
def test_a_later_version_that_failed_is_no_all_clear(node, built, serving, name, state):
    settings, db = node
    uid = serving.UIDS[name]
    if name == "not_detected":
        shutil.copytree(built / uid, settings.root / "results" / uid)
        add_study(db, uid)
        add_job(db, uid, "delivered", folder=f"results/{uid}", analysed=WALL.format(5))
    add_job(db, uid, "quarantined", reason="out of memory", n_images=700, version=2)
    entry = next(entry for entry in NodeStore(settings).studies() if entry.study_instance_uid == uid)
    row = row_of(entry, patient="hidden", seen=None, opinion=None)
    assert row.state == state
    assert row.reasons[0] == "version 2 from 700 images failed, version 1 is shown: out of memory"
    assert entry.document is not None


def test_a_change_in_the_store_is_another_version(node):
    settings, db = node
    store = NodeStore(settings)
    before = store.version()
    assert store.version() == before
    add_job(db, "1.1", "queued")
    assert store.version() != before
    assert [stage.state for stage in next(e for e in store.studies() if e.study_instance_uid == "1.1").stages][1] == "waiting"


def test_pictures_of_a_result_are_found_in_the_store(node, serving):
    entry = next(e for e in NodeStore(node[0]).studies() if e.study_instance_uid == serving.UIDS["suspected"])
    assert entry.file("images/site.png").is_file()
    assert entry.file("dicom/sr.dcm") is None


def test_without_a_node_there_is_nothing_to_show(tmp_path):
    with pytest.raises(OutputError, match="no store of a node"):
        NodeStore(NodeSettings(site="NR47UY", folder=str(tmp_path)))


def test_a_result_is_read_once_until_its_file_is_another_one(node, serving, monkeypatch):
    settings, _ = node
    read = []
    monkeypatch.setattr(results, "entry_of", lambda folder: read.append(folder) or entry_of(folder))
    store = NodeStore(settings)
    for _ in range(3):
        store.studies()
    result = settings.root / "results" / serving.UIDS["suspected"] / "result.json"
    assert read == [result.parent]
    os.utime(result, ns=(1, 1))
    assert len(store.studies()) == 3
    assert len(read) == 2
