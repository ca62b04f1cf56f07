"""What is received is on disk and recorded; what is sent twice is there once; what is hostile goes nowhere."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from lvo.errors import InputError
from lvo.node import database
from lvo.node.database import connect, open_clock
from lvo.node.inbox import FullError, Inbox, MismatchError
from lvo.node.recovery import verify_images
from lvo.node.settings import StoreSettings
from lvo.node.view import open_view

from .conftest import image, save


@pytest.fixture
def inbox(settings):
    """An inbox that is closed at the end."""
    box = Inbox(settings)
    yield box
    box.close()


def arrive(inbox, dataset, **more):
    """Let a data set arrive."""
    path = save(dataset, inbox.incoming / f"f{os.urandom(6).hex()}")
    return inbox.accept(path, door="watch", peer="CT1", **more)


def test_an_image_is_on_disk_and_recorded(settings, inbox):
    accepted = arrive(inbox, image(1, 1))
    assert accepted.receipt == "new"
    row = connect(settings.database_path).execute("SELECT * FROM images").fetchone()
    file = settings.root / row["path"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == row["sha256"]
    assert list(inbox.incoming.iterdir()) == []


def test_the_same_image_again_changes_nothing_and_another_one_of_its_uid_is_kept_beside_it(settings, inbox):
    assert arrive(inbox, image(1, 1)).receipt == "new"
    assert arrive(inbox, image(1, 1)).receipt == "duplicate"
    assert arrive(inbox, image(1, 1, SeriesDescription="changed")).receipt == "conflict"
    assert arrive(inbox, image(1, 1, SeriesDescription="changed")).receipt == "duplicate"
    with open_view(settings) as view:
        (study,) = view.studies()
    assert (study.n_images, study.n_conflicts) == (1, 1)
    assert len(list((settings.root / "images" / study.study_uid).iterdir())) == 2


def test_one_image_from_many_threads_at_once_is_there_once(settings, inbox):
    with ThreadPoolExecutor(8) as pool:
        receipts = [a.receipt for a in pool.map(lambda _: arrive(inbox, image(1, 1)), range(24))]
    assert sorted(receipts) == ["duplicate"] * 23 + ["new"]
    with open_view(settings) as view:
        assert view.studies()[0].n_images == 1


@pytest.mark.parametrize("uid", ["../../x", "1.2/../../../etc", "1..2", "", "1." * 40 + "1", "1.2\\3", "1.2 3", "1.2\n3"])
def test_a_uid_that_is_none_forms_no_path(settings, inbox, uid):
    before = sorted(settings.root.parent.rglob("*"))
    with pytest.raises(InputError, match="StudyInstanceUID"):
        arrive(inbox, image(1, 1, StudyInstanceUID=uid))
    assert sorted(settings.root.parent.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 500])
def test_what_is_no_dicom_is_refused(inbox, content):
    path = inbox.incoming / "x"
    path.write_bytes(content)
    with pytest.raises(InputError):
        inbox.accept(path, door="watch", peer="x")
    assert not path.exists()


def test_an_image_must_be_the_one_that_was_announced(inbox):
    with pytest.raises(MismatchError, match="another one"):
        arrive(inbox, image(1, 1), announced=("1.2", "1.2.3"))
    with pytest.raises(MismatchError, match="another one"):
        arrive(inbox, image(1, 1), study_uid="1.2.3")


@pytest.mark.parametrize("limits", [StoreSettings(refuse_above_percent=0.001), StoreSettings(refuse_below_mb=10**9)])
def test_a_full_disk_refuses_and_deletes_nothing(settings, inbox, limits):
    arrive(inbox, image(1, 1))
    full = Inbox(msgspec.structs.replace(settings, store=limits))
    with pytest.raises(FullError, match="full"):
        arrive(full, image(1, 2))
    full.close()
    with open_view(settings) as view:
        assert view.studies()[0].n_images == 1
    assert len(list((settings.root / "images").rglob("*.dcm"))) == 1
    assert arrive(inbox, image(1, 2)).receipt == "new"


def test_after_a_power_cut_a_record_without_its_whole_file_is_removed(settings, inbox, monkeypatch):
    """The sender was not told of it, sends it again, and it is new."""
    for number in (1, 2, 3):
        arrive(inbox, image(1, number))
    db = connect(settings.database_path)
    paths = [settings.root / row["path"] for row in db.execute("SELECT path FROM images ORDER BY seq")]
    paths[0].write_bytes(paths[0].read_bytes()[:100])
    paths[1].unlink()
    assert verify_images(db, open_clock(db), settings.root) == 0  # the machine was not restarted
    monkeypatch.setattr(database, "_boot_id", lambda: "another boot")
    assert verify_images(db, open_clock(db), settings.root) == 2
    with open_view(settings) as view:
        assert view.studies()[0].n_images == 1
    assert arrive(inbox, image(1, 1)).receipt == "new"
    assert paths[0].stat().st_size > 100


def test_node_time_goes_on_after_a_restart_and_ignores_the_wall_clock(settings, monkeypatch):
    """Neither a boot that counts from zero nor a clock set back by years lets node time run backwards."""
    settings.root.mkdir(parents=True)
    db = connect(settings.database_path)
    uptime = [5000.0]
    monkeypatch.setattr(database, "_uptime", lambda: uptime[0])
    first = open_clock(db)
    uptime[0] = 9000.0
    open_clock(db)
    noted = first.now()
    monkeypatch.setattr(database, "_boot_id", lambda: "after a power cut")
    monkeypatch.setattr(database, "wall", lambda: "1970-01-01T00:00:00+00:00")
    uptime[0] = 10.0
    second = open_clock(db)
    assert second.now() == pytest.approx(noted)
    uptime[0] = 70.0
    assert second.now() == pytest.approx(noted + 60.0)


def test_a_store_of_another_layout_is_refused(settings):
    settings.root.mkdir(parents=True)
    connect(settings.database_path).execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(OSError, match="layout 99"):
        connect(settings.database_path)


def test_no_name_of_a_patient_is_in_the_store(settings, inbox):
    arrive(inbox, image(1, 1))
    stored = b"".join(path.read_bytes() for path in settings.root.glob("node.db*"))
    assert b"1.2.826.0.1.999.1" in stored
    assert b"CANARY" not in stored
