"""De-identified copies of whole studies."""

from batch_phantoms import plain_study

from lvo.batch.export import export_study, secret_of
from lvo.dicom.deidentify import new_uid
from lvo.dicom.index import open_studies
from lvo.dicom.source import SeriesHeader, StudyHeader, write_screen_page


def test_a_study_is_copied_whole_without_its_pages_and_under_new_names(tmp_path):
    uid = plain_study(tmp_path / "in", 1)
    write_screen_page(["DOE^JANE 14.07.1951"], tmp_path / "in", SeriesHeader(StudyHeader(seed="plain 1"), 99, "Dose"))
    secret = secret_of(tmp_path / "secret")
    with open_studies([tmp_path / "in"]) as (study,):
        assert sum(len(series.instances) for series in study.series) == 7
        for _ in range(2):  # again: replaced, not added to
            folder = export_study(study, tmp_path / "copies", secret=secret)
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [new_uid(uid, secret)]
    assert uid.encode() not in b"".join(path.read_bytes() for path in folder.iterdir())
    with open_studies([folder]) as (copy,):
        (series,) = copy.series
        assert copy.study_instance_uid == new_uid(uid, secret)
        assert len(series.instances) == 6


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path):
    first = secret_of(tmp_path / "secret")
    assert len(first) == 64
    assert secret_of(tmp_path / "secret") == first
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
