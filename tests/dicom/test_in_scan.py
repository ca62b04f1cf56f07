"""The quick look at headers and pixels: never another answer than pydicom's, only sooner; and nothing that it cannot know."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from lvo_tests_dicom_scene import Scene
from pydicom.data import get_testdata_files
from pydicom.uid import DeflatedExplicitVRLittleEndian

from lvo.dicom import headers, pixels
from lvo.dicom.frames import text
from lvo.dicom.headers import read_dataset, read_header
from lvo.dicom.pixels import decode_hu
from lvo.dicom.scan import scan_file, transfer_syntax
from lvo.errors import InputError

SHIPPED = sorted(Path(name) for name in get_testdata_files() if name.endswith(".dcm"))
"""Files that pydicom's own tests use: every transfer syntax, damaged, private and odd ones."""


def _by_pydicom(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return headers._by_pydicom(path, path.stat().st_size)


def test_pydicom_ships_files_to_compare_with():
    assert len(SHIPPED) > 60


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_header_reads_as_pydicom_reads_it(path):
    """Every field of the record, for each file that the quick look answers for."""
    scan = scan_file(path, headers._WANTED)
    if scan is None:
        return
    left = path.stat().st_size - scan.pixels_at
    assert headers._header(scan.values, path, scan.syntax, left) == _by_pydicom(path)


def test_most_of_those_files_are_answered_and_the_odd_ones_are_not():
    """Ordinary files are scanned; big endian, deflated, without preamble and the like are left to pydicom."""
    answered = {path.name for path in SHIPPED if scan_file(path, headers._WANTED) is not None}
    assert len(answered) > len(SHIPPED) / 2
    assert {"CT_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"} <= answered
    assert not answered & {"ExplVR_BigEnd.dcm", "image_dfl.dcm", "no_meta.dcm", "ExplVR_LitEndNoMeta.dcm"}


@pytest.fixture
def files(tmp_path):
    """Six slices with a slope and an intercept of their own."""
    scene = Scene(tmp_path)
    return scene.series(scene.stack(6), each=lambda n: {"RescaleIntercept": -1024 - n, "RescaleSlope": 1 + n / 4})


def _frames(paths):
    return [read_header(path).frames[0] for path in paths]


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_pixels_read_directly_are_those_that_pydicom_decodes(files, monkeypatch, dtype):
    """Bit for bit, in both types."""
    direct = decode_hu(_frames(files), dtype=dtype).slices_hu
    monkeypatch.setattr(pixels, "_read_plain", lambda *_: None)
    np.testing.assert_array_equal(direct, decode_hu(_frames(files), dtype=dtype).slices_hu)


def test_ordinary_files_never_reach_pydicom(files, monkeypatch):
    """Else the quick way could rot without anybody noticing."""
    monkeypatch.setattr(pixels, "read_dataset", None)
    monkeypatch.setattr(headers, "read_dataset", None)
    headers._read.cache_clear()
    assert decode_hu(_frames(files)).slices_hu.shape == (6, 24, 20)


def test_int16_holds_whole_hu_and_saturates(tmp_path):
    """40000 - 1024 HU is beyond 16 bits with sign."""
    scene = Scene(tmp_path)

    def brighter(image, _n):
        stored = np.frombuffer(image.PixelData, "<u2").copy()
        stored[0] = 40000
        image.PixelData = stored.tobytes()

    paths = scene.series(scene.stack(2), change=brighter)
    whole, real = (decode_hu(_frames(paths), dtype=dtype).slices_hu for dtype in (np.int16, np.float32))
    assert (whole.dtype, whole[0, 0, 0], real[0, 0, 0]) == (np.int16, 32767, 38976)
    np.testing.assert_array_equal(whole[:, 1:], real[:, 1:])


def test_a_transfer_syntax_is_found_with_and_without_preamble():
    for name, syntax in (("CT_small.dcm", "1.2.840.10008.1.2.1"), ("image_dfl.dcm", DeflatedExplicitVRLittleEndian)):
        content = next(path for path in SHIPPED if path.name == name).read_bytes()
        assert transfer_syntax(content) == transfer_syntax(content[132:]) == syntax
    assert transfer_syntax(b"") == transfer_syntax(bytes(500)) == ""


@pytest.mark.parametrize("bare", [False, True], ids=["with preamble", "without preamble"])
def test_deflated_files_are_never_unfolded(tmp_path, bare):
    """Zlib makes three hundred megabytes of three hundred kilobytes; pydicom would follow."""
    content = next(path for path in SHIPPED if path.name == "image_dfl.dcm").read_bytes()
    path = tmp_path / "x"
    path.write_bytes(content[132:] if bare else content)
    for read in (read_header, read_dataset):
        with pytest.raises(InputError, match="Deflated"):
            read(path)


def test_a_deflated_file_cannot_hide_behind_broken_meta_information(tmp_path):
    """A length in the group before the transfer syntax that leads nowhere: the mention of the syntax is enough."""
    content = bytearray(next(path for path in SHIPPED if path.name == "image_dfl.dcm").read_bytes())
    at = content.index(b"\x02\x00\x02\x00UI")
    content[at + 6 : at + 8] = b"\xff\xff"
    (tmp_path / "x").write_bytes(content)
    assert transfer_syntax(bytes(content)) == ""
    with pytest.raises(InputError, match="Deflated"):
        read_header(tmp_path / "x")


@pytest.mark.parametrize("quick", [True, False], ids=["scanned", "by pydicom"])
def test_several_values_in_a_text_are_kept_as_stored(tmp_path, quick):
    """A backslash in a description is no list of Python."""
    scene = Scene(tmp_path)
    (path,) = scene.series(scene.stack(1), tags={"SeriesDescription": "CTA\\0.6"})
    assert scan_file(path, headers._WANTED) is not None
    assert (read_header(path) if quick else _by_pydicom(path)).description == "CTA\\0.6"
    assert text({"SeriesDescription": ["a", "b"]}, "SeriesDescription") == "a\\b"


def test_odd_values_are_not_quoted_in_warnings_or_logs(tmp_path, caplog):
    """By itself pydicom logs a UID that has swallowed a name; it did, when a header was damaged in one byte."""
    scene = Scene(tmp_path)
    (path,) = scene.series(scene.stack(1), tags={"SeriesDescription": "K\u00f6nig"})  # not ASCII: pydicom has to read it
    content = path.read_bytes()
    at = content.index(b"\x20\x00\x0d\x00UI")
    path.write_bytes(content[:at] + content[at:].replace(b"1.2.826.0.1.3680043.8.498.501", b"Secret^Person, long, odd UID.", 1))
    assert scan_file(path, headers._WANTED) is None
    assert "Secret" in read_header(path).study_uid
    assert caplog.text == ""
