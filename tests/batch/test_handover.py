"""Results of a batch reach a destination, once."""

import json

import pytest
from batch_phantoms import plain_study
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage

from lvo.batch.columns import COLUMNS
from lvo.batch.handover import handing_over
from lvo.delivery import Outbox, State, load_delivery

UID = "1.2.3.4"


@pytest.fixture
def folder(tmp_path):
    """A results folder with one study."""
    study = tmp_path / "out" / "studies" / UID
    study.mkdir(parents=True)
    document = {"schema": "lvo-result/1", "status": "complete", "study": {"study_instance_uid": UID}, "timings_s": {}}
    (study / "result.json").write_text(json.dumps(document))
    return tmp_path / "out"


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "shelf").mkdir()
    path = tmp_path / "delivery.toml"
    path.write_text('[[destinations]]\nname = "shelf"\nkind = "folder"\npath = "shelf"\n')
    return load_delivery(path)


def test_a_result_is_delivered_once_however_often_its_row_comes(folder, settings, tmp_path):
    row = dict.fromkeys(COLUMNS) | {"study_instance_uid": UID, "folder": f"studies/{UID}"}
    for _ in range(2):
        with handing_over(folder, settings) as queue:
            queue(row)
            queue(row)
    assert json.loads(next((tmp_path / "shelf").rglob("result.json")).read_text())["study"]["study_instance_uid"] == UID
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        (delivery,) = outbox.list()
        assert delivery.state is State.DELIVERED


def test_what_a_destination_does_not_take_stays_in_the_outbox(folder, settings, tmp_path):
    (tmp_path / "shelf").rmdir()
    row = dict.fromkeys(COLUMNS) | {"study_instance_uid": UID, "folder": f"studies/{UID}"}
    with handing_over(folder, settings) as queue:
        queue(row)
    with Outbox(tmp_path / "outbox.sqlite") as outbox:
        (delivery,) = outbox.list()
        assert delivery.state is not State.DELIVERED
        assert delivery.reason


@pytest.fixture
def pacs():
    """A DICOM node that takes CT images; its port, and the SOP Instance UIDs that came."""
    got = []

    def store(event):
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    ae = AE(ae_title="PACS")
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    yield server.server_address[1], got
    server.shutdown()


def test_dicom_objects_of_a_result_reach_a_pacs_once(folder, pacs, tmp_path):
    port, got = pacs
    plain_study(folder / "studies" / UID / "dicom", 1)
    objects = list((folder / "studies" / UID / "dicom").iterdir())
    for number, path in enumerate(objects):
        path.rename(path.with_name(f"{number}.dcm"))
    settings = tmp_path / "dicom.toml"
    settings.write_text(
        f'[[destinations]]\nname = "pacs"\nkind = "dicom"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    row = dict.fromkeys(COLUMNS) | {"study_instance_uid": UID, "folder": f"studies/{UID}"}
    for _ in range(2):
        with handing_over(folder, load_delivery(settings)) as queue:
            queue(row)
    assert len(got) == len(set(got)) == len(objects) == 6
