"""Finding studies in folders, archives, a DICOMDIR and single files; saying what was found when there are none."""

import errno
import gc
import io
import os
import tarfile
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from lvo.dicom.archive import Limits, unpack
from lvo.dicom.index import open_studies
from lvo.dicom.load import load_volume
from lvo.errors import InputError


@pytest.fixture
def two_studies(writer, make_pattern, make_column):
    """Two studies in one tree: two series and one, mixed in the same folders, beside files that are not DICOM."""
    a = writer.series(
        make_pattern((3, 5, 7)), make_column(3), tags={"SeriesNumber": 4, "SeriesDescription": "four"}, into="x/y"
    )
    b = writer.series(make_pattern((4, 5, 7)), make_column(4), tags={"SeriesNumber": 2, "SeriesDescription": "two"}, into="x")
    other = replace(writer, study="1.2.826.0.1.3680043.8.498.2")
    c = other.series(make_pattern((2, 5, 7)), make_column(2), into="x/y")
    (writer.folder / "x" / "notes.txt").write_text("read me")
    (writer.folder / "x" / "empty").touch()
    return writer, (a, b, c)


def _summary(studies):
    return {
        study.study_instance_uid[-1]: [(one.number, one.description, len(one.instances)) for one in study.series]
        for study in studies
    }


EXPECTED = {"1": [(2, "two", 4), (4, "four", 3)], "2": [(1, "", 2)]}


def test_a_folder_of_any_depth_is_sorted_into_studies_and_series(two_studies):
    """By StudyInstanceUID and SeriesInstanceUID alone; series by number; other files are skipped, an empty one is noted."""
    writer, series = two_studies
    with open_studies([writer.folder]) as studies:
        assert _summary(studies) == EXPECTED
        assert [[note.code for note in study.notes] for study in studies] == [["study.empty_file"]] * 2
        assert {one.series_instance_uid for study in studies for one in study.series} == {s.series_instance_uid for s in series}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_are_opened_and_cleaned_up(two_studies, tmp_path, kind):
    """Whatever the archive is called; volumes load inside the block, the unpacked files are gone after it."""
    writer, _ = two_studies
    archive = tmp_path / "export.bin"
    _pack(archive, kind, writer.folder)
    with open_studies([archive]) as studies:
        assert _summary(studies) == EXPECTED
        paths = [instance.path for study in studies for one in study.series for instance in one.instances]
        assert load_volume(studies[0].series[0]).volume.array.shape == (4, 5, 7)
    assert paths
    assert not any(path.exists() for path in paths)


def test_a_dicomdir_leads_to_its_files_and_missing_ones_are_counted(two_studies, tmp_path):
    """As written by pydicom's own file-set writer, under another name."""
    writer, _ = two_studies
    medium = tmp_path / "medium"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # pydicom leaves temporary folders to the garbage collector
        files = FileSet()
        for path in sorted(writer.folder.rglob("*")):
            if path.is_file() and path.stat().st_size > 200:
                files.add(_complete(path))
        files.write(medium)
        del files
        gc.collect()
    (medium / "DICOMDIR").rename(medium / "INDEX.1")
    with open_studies([medium / "INDEX.1"]) as studies:
        assert {len(one.instances) for study in studies for one in study.series} == {2, 3, 4}
    with open_studies([medium]) as studies:
        assert sum(len(one.instances) for study in studies for one in study.series) == 9
    next(path for path in medium.rglob("IM*") if path.is_file()).unlink()
    with open_studies([medium / "INDEX.1"]) as studies:
        assert sum(len(one.instances) for study in studies for one in study.series) == 8
        assert [note.text for note in studies[0].notes] == ["1 of 9 files listed in the DICOMDIR are not on the medium"]


def test_single_files_make_a_study(two_studies):
    """Several paths are taken together."""
    _, (a, _, c) = two_studies
    with open_studies([a.instances[0].path, a.instances[1].path, c.instances[0].path]) as studies:
        assert {key: [n for *_, n in rows] for key, rows in _summary(studies).items()} == {"1": [2], "2": [1]}


def test_a_file_without_preamble_is_read(writer, make_pattern, make_column):
    """A bare data set, as old archives store it."""
    series = writer.series(make_pattern((2, 5, 7)), make_column(2))
    path = series.instances[0].path
    dataset = pydicom.dcmread(path)
    bare = writer.folder / "bare"
    pydicom.dcmwrite(bare, pydicom.Dataset({e.tag: e for e in dataset}), implicit_vr=True, little_endian=True)
    path.unlink()
    with open_studies([bare]) as (study,):
        assert study.series[0].instances[0].sop_instance_uid == dataset.SOPInstanceUID


def test_copies_are_counted_once_and_damaged_files_are_noted(writer, make_pattern, make_column):
    """A byte-for-byte copy is left out; a damaged DICOM file ends in the notes, without its name."""
    series = writer.series(make_pattern((3, 5, 7)), make_column(3))
    content = series.instances[0].path.read_bytes()
    (writer.folder / "Person_Secret_copy").write_bytes(content)
    (writer.folder / "Person_Secret_cut").write_bytes(content[:200])
    with open_studies([writer.folder]) as (study,):
        assert len(study.series[0].instances) == 3
        unreadable, copies = study.notes
        assert (unreadable.code, unreadable.warning) == ("study.unreadable", True)
        assert "1 DICOM file could not be read" in unreadable.text
        assert (copies.code, copies.warning) == ("study.copies", False)
        assert copies.text == "1 file is an exact copy of another and was left out"
        assert "Secret" not in unreadable.text


def test_an_empty_file_beside_images_is_noted(writer, make_pattern, make_column):
    """An interrupted transfer leaves one; nobody should have to count slices to notice."""
    writer.series(make_pattern((3, 5, 7)), make_column(3))
    (writer.folder / "4711").write_bytes(b"")
    with open_studies([writer.folder]) as (study,):
        (note,) = study.notes
        assert note.code == "study.empty_file"
        assert "1 file is empty" in note.text


def test_altered_files_with_one_uid_are_both_kept(writer, make_pattern, make_column):
    """Two different images that claim one UID are not a copy; loading refuses the repeated position."""
    series = writer.series(make_pattern((3, 5, 7)), make_column(3))
    dataset = pydicom.dcmread(series.instances[0].path)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(writer.folder / "altered")
    with open_studies([writer.folder]) as (study,):
        assert len(study.series[0].instances) == 4
        with pytest.raises(InputError, match="repeat the position"):
            load_volume(study.series[0])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda p: None, "found no files", id="empty folder"),  # noqa: ARG005
        pytest.param(lambda p: (p / "a.txt").write_text("hello\n"), r"found 1 file \(1 x text\)", id="text"),
        pytest.param(lambda p: [(p / n).write_bytes(b"\x89PNG\r\n") for n in "ab"], r"2 files \(2 x picture\)", id="pictures"),
        pytest.param(
            lambda p: (p / "z").write_bytes(_zip_of({"a": b"x"})), r"1 x zip archive", id="an archive inside the folder"
        ),
        pytest.param(lambda p: (p / "z").write_bytes(bytes(200)), "1 x unknown", id="zeros"),
        pytest.param(lambda p: (p / "z").write_bytes(bytes(128) + b"DICM"), "1 x no SOP Class UID", id="only a DICOM mark"),
        pytest.param(
            lambda p: (p / "z").write_bytes(bytes(128) + b"DICM" + b"\x02\xff\x99" * 40), "1 x ", id="garbage after it"
        ),
    ],
)
def test_nothing_readable_is_one_clear_line(tmp_path, make, says):
    """What was found, and what is needed."""
    folder = tmp_path / "given"
    folder.mkdir()
    make(folder)
    with pytest.raises(InputError, match=says) as caught, open_studies([folder]):
        pass
    assert "is needed" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_lies_in_a_closed_folder_is_said(tmp_path, monkeypatch):
    """Who tests as root may read everything; and no `Path.exists` says what it does not know."""

    def closed(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", closed)
    with pytest.raises(InputError, match="study cannot be read: Permission denied"), open_studies([tmp_path / "study"]):
        pass


@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_counted_and_never_waited_for(writer, make_pattern, make_column, tmp_path):
    """Opening a pipe blocks until somebody writes to it; links may lead in circles."""
    writer.series(make_pattern((2, 4, 5)), make_column(2))
    os.mkfifo(writer.folder / "pipe")
    (writer.folder / "link").symlink_to(writer.folder / "pipe")
    (writer.folder / "circle").symlink_to(writer.folder / "circle")
    (writer.folder / "up").symlink_to(writer.folder)
    with open_studies([writer.folder]) as (study,):
        assert [len(series.instances) for series in study.series] == [2]
        assert len(study.notes) == 1, "the circle"
    os.mkfifo(tmp_path / "alone")
    with pytest.raises(InputError, match="1 x pipe, socket or device"), open_studies([tmp_path / "alone"]):
        pass


def test_an_absent_path_and_a_text_file_are_refused(tmp_path):
    """Both name what is wrong."""
    with pytest.raises(InputError, match="no such file or folder"), open_studies([tmp_path / "nowhere"]):
        pass
    (tmp_path / "letter").write_text("dear colleague")
    with pytest.raises(InputError, match="1 x text"), open_studies([tmp_path / "letter"]):
        pass


# Archives that must not be trusted


def _zip_of(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in members.items():
            pack.writestr(name, content)
    return buffer.getvalue()


def test_no_name_in_an_archive_reaches_outside(tmp_path):
    """Absolute names, parents and links are written under our own numbers or not at all."""
    out = tmp_path / "out"
    out.mkdir()
    packed = tmp_path / "evil.zip"
    packed.write_bytes(_zip_of({"../../escaped": b"1", "/tmp/absolute": b"2", "dir/": b"", "a\\..\\b": b"3"}))  # noqa: S108
    assert unpack(packed, out) == 3
    assert sorted(path.name for path in out.iterdir()) == ["000000", "000001", "000002"]
    assert not (tmp_path / "escaped").exists()

    tar = tmp_path / "evil.tar"
    with tarfile.open(tar, "w") as pack:
        for name, kind in (
            ("link", tarfile.SYMTYPE),
            ("hard", tarfile.LNKTYPE),
            ("dev", tarfile.CHRTYPE),
            ("fifo", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            pack.addfile(info)
    other = tmp_path / "other"
    other.mkdir()
    assert unpack(tar, other) == 0
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        pytest.param(Limits(members=3), "more than 3 files", id="too many files"),
        pytest.param(Limits(total_bytes=2_000_000), "more than 0.0 GiB, the limit", id="too many bytes"),
        pytest.param(Limits(ratio_from_bytes=1_000_000), "more than 200 times its size", id="a bomb"),
    ],
)
def test_a_bomb_stops_at_the_limit(tmp_path, limits, says):
    """Counted while writing, whatever the archive declares."""
    packed = tmp_path / "bomb.zip"
    packed.write_bytes(_zip_of({str(n): bytes(1_000_000) for n in range(5)}))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match=says):
        unpack(packed, out, limits)
    assert sum(path.stat().st_size for path in out.iterdir()) <= 5_000_000


def test_an_archive_in_an_archive_is_left_closed(tmp_path):
    """It is named, not opened."""
    packed = tmp_path / "nested.zip"
    packed.write_bytes(_zip_of({"inner.zip": _zip_of({"a": b"x"})}))
    with pytest.raises(InputError, match=r"1 x zip archive.* not opened: give it by itself"), open_studies([packed]):
        pass


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_damaged_archive_is_one_clear_line(two_studies, tmp_path, kind):
    """Cut in the middle, as after a broken transfer."""
    archive = tmp_path / "export"
    _pack(archive, kind, two_studies[0].folder)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(InputError, match=r"damaged, cut short or encrypted|nothing readable"), open_studies([archive]):
        pass


def _pack(archive: Path, kind: str, folder: Path) -> None:
    """Pack a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
            for path in files:
                pack.write(path, path.relative_to(folder))
        return
    with tarfile.open(archive, "w:gz" if kind == "tar.gz" else "w") as pack:
        pack.add(folder, "export")


def _complete(path: Path) -> pydicom.Dataset:
    """What a DICOMDIR record wants beside what our files have."""
    dataset = pydicom.dcmread(path)
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20260301", "101010", "1", ""
    dataset.PatientName = "Phantom"
    assert np.prod(dataset.pixel_array.shape) > 0
    return dataset
