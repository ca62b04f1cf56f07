"""What a source is made of, and what becomes of odd ones."""

import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from batch_phantoms import plain_study
from pydicom.filewriter import dcmwrite

from lvo.batch.fetch import fetched
from lvo.batch.records import Item
from lvo.batch.sources import items_of
from lvo.dicom.index import open_studies
from lvo.errors import InputError, UsageError


def studies_in(item):
    with fetched(item.locations) as paths, open_studies(paths) as studies:
        return [(study.study_instance_uid, sum(len(series.instances) for series in study.series)) for study in studies]


@pytest.fixture
def archive(tmp_path):
    """A study over two folders, one in a zip, one nested under another, one that arrived broken, and things that are none."""
    root = tmp_path / "archive"
    uids = [
        plain_study(root / "a" / "one", 1),
        plain_study(root / "b", 2),
        plain_study(root / "b" / "below", 3),
        plain_study(tmp_path / "z", 4),
    ]
    (root / "a" / "two").mkdir()
    for path in sorted((root / "a" / "one").iterdir())[:2]:
        path.rename(root / "a" / "two" / path.name)
    with zipfile.ZipFile(root / "packed.zip", "w") as packed:
        for path in (tmp_path / "z").iterdir():
            packed.write(path, path.name)
    (root / "broken").mkdir()
    (root / "broken" / "x.dcm").write_bytes(b"\x00" * 500)
    (root / "README.txt").write_text("not a study")
    (root / ".trash").mkdir()
    plain_study(root / ".trash" / "old", 5)
    return root, uids


def test_folders_of_one_study_are_one_item_and_no_study_is_in_two(archive):
    root, uids = archive
    items = list(items_of([str(root)]))
    broken = [item for item in items if "broken" in item.name]
    found = [study for item in items if item not in broken for study in studies_in(item)]
    assert sorted(found) == sorted((uid, 6) for uid in uids)
    assert len(items) == 5
    with pytest.raises(InputError, match="nothing readable as DICOM"):
        studies_in(broken[0])


def test_a_file_more_changes_the_fingerprint_and_nothing_else(archive):
    root, _ = archive
    before = {item.id: item.fingerprint for item in items_of([str(root)])}
    assert before == {item.id: item.fingerprint for item in items_of([str(root)])}
    first = next((root / "b").glob("*"))
    (root / "b" / "again").write_bytes(first.read_bytes() if first.is_file() else b"")
    after = {item.id: item.fingerprint for item in items_of([str(root)])}
    assert after.keys() == before.keys()
    assert sum(after[name] != before[name] for name in before) == 1


def test_a_listed_study_with_folders_in_it_is_done_again_when_one_of_them_changes(tmp_path):
    plain_study(tmp_path / "s1" / "series 2", 1)
    (tmp_path / "list.txt").write_text("s1\n")
    (before,) = items_of([str(tmp_path / "list.txt")])
    assert list(items_of([str(tmp_path / "list.txt")])) == [before]
    (tmp_path / "s1" / "series 2" / "again").write_bytes(b"more")
    (after,) = items_of([str(tmp_path / "list.txt")])
    assert (after.id, after.fingerprint != before.fingerprint) == (before.id, True)


def test_names_of_items_tell_nothing(tmp_path):
    plain_study(tmp_path / "DOE^JANE", 1)
    (item,) = items_of([str(tmp_path)])
    assert "DOE" not in item.id


def test_a_table_gives_priorities_and_times(tmp_path):
    plain_study(tmp_path / "s1", 1)
    (tmp_path / "list.csv").write_text("study,priority,due\ns1,5,2026-03-01T14:05+01:00\ns3://bucket/key.zip,,\n")
    first, second = items_of([str(tmp_path / "list.csv")])
    assert (first.priority, first.due) == (5, 1772370300.0)
    assert len(studies_in(first)) == 1
    assert second == Item("s3://bucket/key.zip", ("s3://bucket/key.zip",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("path\nx\n", "column `study`", id="no column of studies"),
        pytest.param("study,urgency\nx,1\n", "column `study`", id="a column nobody knows"),
        pytest.param("study,priority\nx,high\n", "whole number", id="priority in words"),
        pytest.param("study,due\nx,2026-03-01T14:05\n", "offset from UTC", id="time without offset"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, text, words):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UsageError, match=words):
        list(items_of([str(tmp_path / "list.csv")]))


def test_a_list_has_a_study_per_line(tmp_path):
    plain_study(tmp_path / "s1", 1)
    (tmp_path / "list.txt").write_text("# studies of March\n\ns1\nnot-there\n")
    items = list(items_of([str(tmp_path / "list.txt")]))
    assert [Path(item.name).name for item in items] == ["s1", "not-there"]
    with pytest.raises(InputError, match="no such file"):
        studies_in(items[1])


def test_what_is_absent_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list(items_of([str(tmp_path / "nowhere")]))


def test_an_object_store_gives_a_study_per_folder_and_archive(archive):
    """Fsspec's own in-memory store: listing and copying as with s3://."""
    import fsspec

    root, uids = archive
    store = fsspec.filesystem("memory")
    store.put(str(root / "a"), "/bucket/a", recursive=True)
    store.put_file(str(root / "packed.zip"), "/bucket/packed.zip")
    items = list(items_of(["memory://bucket"]))
    assert sorted(studies_in(item)[0] for item in items) == sorted((uid, 6) for uid in (uids[0], uids[3]))


def test_a_store_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="not installed"):
        list(items_of(["nosuchstore://bucket"]))
    with pytest.raises(InputError, match="check URL"):
        list(items_of([f"file://{tmp_path}/nowhere"]))


@pytest.fixture
def web(tmp_path):
    """A DICOMweb server with three studies: QIDO-RS by pages, WADO-RS as multipart."""
    uids = [plain_study(tmp_path / f"{n}", n) for n in range(3)]

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition("?")
            if path.endswith("/studies"):
                asked = dict(part.split("=") for part in query.split("&"))
                assert asked["ModalitiesInStudy"] == "CT"
                first, n = int(asked["offset"]), int(asked["limit"])
                found = [{"0020000D": {"vr": "UI", "Value": [uid]}, "00201208": {"vr": "IS", "Value": [6]}} for uid in uids]
                self.answer("application/dicom+json", json.dumps(found[first : first + n]).encode())
                return
            number = uids.index(path.rsplit("/", 1)[1])
            body = b""
            for image in sorted((tmp_path / f"{number}").iterdir()):
                packed = BytesIO()
                dcmwrite(packed, pydicom.dcmread(image), enforce_file_format=True)
                body += b"--part\r\nContent-Type: application/dicom\r\n\r\n" + packed.getvalue() + b"\r\n"
            self.answer('multipart/related; type="application/dicom"; boundary=part', body + b"--part--\r\n")

        def answer(self, kind, body):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"dicomweb+http://127.0.0.1:{server.server_port}/dicom-web", uids
    server.shutdown()
    server.server_close()


def test_a_dicomweb_query_gives_a_study_per_answer(web, monkeypatch):
    monkeypatch.setattr("lvo.batch.dicomweb._PAGE", 2)
    url, uids = web
    items = list(items_of([f"{url}?ModalitiesInStudy=CT"]))
    assert [studies_in(item) for item in items] == [[(uid, 6)] for uid in uids]


def test_a_dicomweb_query_for_everything_is_refused(web):
    with pytest.raises(UsageError, match="search criteria"):
        list(items_of([web[0]]))


def test_a_server_that_does_not_answer_is_one_clear_error():
    with pytest.raises(InputError, match="did not answer"):
        list(items_of(["dicomweb+http://127.0.0.1:9/dicom-web?ModalitiesInStudy=CT"]))
