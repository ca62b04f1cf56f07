"""Studies in a real S3 store: moto's server speaks the protocol, s3fs is the client that users install.

Needs `pip install 'moto[s3]' flask flask-cors s3fs`, which are in no extra: botocore wants an old python-dateutil.
"""

import logging
import zipfile

import pytest
from batch_phantoms import plain_study

from lvo.batch.fetch import fetched
from lvo.batch.sources import items_of
from lvo.dicom.index import open_studies
from lvo.errors import InputError

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket called archive."""
    import s3fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    made = boto3.resource("s3").Bucket("archive")
    made.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    yield made
    s3fs.S3FileSystem.clear_instance_cache()
    made.objects.all().delete()
    made.delete()
    running.stop()


def put_study(bucket, folder, prefix):
    for path in folder.iterdir():
        bucket.upload_file(str(path), f"{prefix}/{path.name}")


def put_zip(bucket, folder, key):
    packed = folder.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w") as file:
        for path in folder.iterdir():
            file.write(path, path.name)
    bucket.upload_file(str(packed), key)


def studies_in(item):
    with fetched(item.locations) as paths, open_studies(paths) as studies:
        return [(study.study_instance_uid, sum(len(series.instances) for series in study.series)) for study in studies]


def test_folders_and_archives_of_a_bucket_are_studies(bucket, tmp_path):
    uids = [plain_study(tmp_path / f"{n}", n) for n in range(2)]
    put_study(bucket, tmp_path / "0", "ct/DOE^JANE/series 1")
    put_zip(bucket, tmp_path / "1", "ct/packed.zip")
    bucket.put_object(Key="ct/README.txt", Body=b"no study")
    items = list(items_of(["s3://archive/ct"]))
    assert [studies_in(item) for item in items] == [[(uid, 6)] for uid in uids]
    assert [bool(item.fingerprint) for item in items] == [False, True]
    (single,) = items_of(["s3://archive/ct/packed.zip"])
    assert studies_in(single) == [(uids[1], 6)]


def test_what_was_put_there_since_is_found_at_the_next_look(bucket, tmp_path):
    """s3fs keeps listings: without being told it would never see an arriving study."""
    plain_study(tmp_path / "0", 0)
    put_zip(bucket, tmp_path / "0", "ct/a.zip")
    (before,) = items_of(["s3://archive/ct"])
    plain_study(tmp_path / "1", 1)
    put_zip(bucket, tmp_path / "1", "ct/a.zip")
    put_zip(bucket, tmp_path / "1", "ct/b.zip")
    first, second = items_of(["s3://archive/ct"])
    assert (first.id, first.fingerprint != before.fingerprint) == (before.id, True)
    assert second.name.endswith("b.zip")


def test_a_bucket_that_is_not_there_and_a_server_that_does_not_answer_are_clear_errors(bucket, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="check URL"):
        list(items_of(["s3://nowhere/ct"]))
    plain_study(tmp_path / "0", 0)
    put_study(bucket, tmp_path / "0", "ct/one")
    (item,) = items_of(["s3://archive/ct"])
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(InputError, match="check URL"):
        list(items_of(["s3://archive/ct"]))
    with pytest.raises(InputError, match="check URL"):
        studies_in(item)


def test_credentials_that_are_missing_are_a_clear_error(bucket, monkeypatch):  # noqa: ARG001 - the server must be there
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="credentials"):
        list(items_of(["s3://archive/ct"]))
