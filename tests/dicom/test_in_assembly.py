"""Files of a study arrive in any order, twice, cut, altered, mixed with others: never a crash, and never a wrong volume."""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from lvo_tests_dicom_scene import Scene, field_hu
from pydicom.uid import JPEGLSLossless, RLELossless

from lvo.dicom.index import open_studies
from lvo.dicom.load import load_volume
from lvo.dicom.select import choose
from lvo.errors import InputError

N_SLICES, STEP_MM = 10, 8.0
QUICK = settings(
    max_examples=25, stateful_step_count=10, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
"""A few seconds; `scripts/fuzz` looks longer and at random."""


def _originals() -> list[bytes]:
    """The slices of one small angiogram, as files."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        return [path.read_bytes() for path in scene.series(scene.stack(N_SLICES, STEP_MM), tags={"SliceThickness": "8"})]


def _stored_otherwise(content: bytes, n: int) -> list[bytes]:
    """The same slice, its pixels packed, or in steps of half a unit from another zero."""
    made = []
    for change in (_rle, _jpeg_ls, _rescaled):
        image = pydicom.dcmread(io.BytesIO(content))
        change(image, n)
        buffer = io.BytesIO()
        image.save_as(buffer)
        made.append(buffer.getvalue())
    return made


def _rle(image, _n):
    image.compress(RLELossless, generate_instance_uid=False)


def _jpeg_ls(image, _n):
    image.compress(JPEGLSLossless, generate_instance_uid=False)


def _rescaled(image, n):
    stored = np.frombuffer(image.PixelData, "<u2").astype(int)
    image.RescaleSlope, image.RescaleIntercept = 0.5, -1024 - 3 * n
    image.PixelData = (2 * (stored + 3 * n)).astype("<u2").tobytes()


SLICES = _originals()
OTHERWISE = [_stored_otherwise(content, n) for n, content in enumerate(SLICES)]
STUDY, OTHER_STUDY = b"1.2.826.0.1.3680043.8.498.501", b"1.2.826.0.1.3680043.8.498.777"
INTERCEPT = SLICES[0].index(b"\x28\x00\x52\x10")


def _check(error: InputError) -> None:
    """A refusal has words, and no name in them."""
    assert str(error)
    assert "Secret" not in str(error)


class Assembly(RuleBasedStateMachine):
    """A folder that files arrive in and get lost from."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lvo-assembly-"))
        self.count = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _put(self, content: bytes) -> None:
        self.count += 1
        folder = self.folder / str(self.count % 3)
        folder.mkdir(exist_ok=True)
        (folder / f"{self.count * 7919 % 1000:04d}").write_bytes(content)

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @rule()
    def whole_series(self):
        for content in SLICES:
            self._put(content)

    @rule(n=st.integers(0, N_SLICES - 1))
    def slice_arrives(self, n):
        self._put(SLICES[n])

    @rule(n=st.integers(0, N_SLICES - 1), how=st.integers(0, len(OTHERWISE[0]) - 1))
    def slice_stored_otherwise(self, n, how):
        self._put(OTHERWISE[n][how])

    @rule(missing=st.integers(0, N_SLICES - 1), how=st.integers(0, len(OTHERWISE[0]) - 1))
    def whole_series_but_one_that_is_stored_otherwise(self, missing, how):
        for n, content in enumerate(SLICES):
            self._put(OTHERWISE[n][how] if n == missing else content)

    @rule(n=st.integers(0, N_SLICES - 1), rows=st.sampled_from([0, 1, 23, 25, 5000, 65535]))
    def slice_whose_header_lies_about_its_size(self, n, rows):
        at = SLICES[n].index(b"\x28\x00\x10\x00US")  # Rows
        self._put(SLICES[n][: at + 8] + rows.to_bytes(2, "little") + SLICES[n][at + 10 :])

    @rule(n=st.integers(0, N_SLICES - 1))
    def slice_of_another_study(self, n):
        self._put(SLICES[n].replace(STUDY, OTHER_STUDY))

    @rule(n=st.integers(0, N_SLICES - 1))
    def slice_with_other_pixels_under_the_same_uid(self, n):
        self._put(SLICES[n][:-40] + bytes(40))

    @rule(content=st.binary(max_size=600))
    def other_file(self, content):
        self._put(content)

    @rule(content=st.binary(max_size=200))
    def file_that_claims_to_be_dicom(self, content):
        self._put(bytes(128) + b"DICM" + content)

    @precondition(lambda self: self._files())
    @rule(n=st.integers(0, 999))
    def file_gets_lost(self, n):
        files = self._files()
        files[n % len(files)].unlink()

    @precondition(lambda self: self._files())
    @rule(n=st.integers(0, 999), share=st.floats(0, 0.999))
    def file_is_cut(self, n, share):
        files = self._files()
        path = files[n % len(files)]
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    @invariant()
    def what_is_read_is_right(self):
        """Refused with a reason, or every voxel as the place asks for."""
        try:
            with open_studies([self.folder]) as studies:
                for study in studies:
                    found = choose(study)
                    assert len(found.rows) == len(study.series)
                    if found.cta is not None:
                        self._check(found.cta)
        except InputError as error:
            _check(error)

    def _check(self, series) -> None:
        try:
            volume = load_volume(series).volume
            whole = load_volume(series, whole_hu=True).volume.array
        except InputError as error:
            _check(error)
            return
        np.testing.assert_array_equal(whole, np.rint(volume.array))
        points = volume.grid.to_lps_mm(np.moveaxis(np.indices(volume.grid.shape_kji), 0, -1))
        scanned = volume.array[:, :-3]  # the last rows are those that `slice_with_other_pixels` alters
        np.testing.assert_allclose(scanned, field_hu(points)[:, :-3], atol=1.0)


def test_a_study_may_arrive_in_any_way():
    run_state_machine_as_test(Assembly, settings=QUICK)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "x"


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.lists(st.integers(0, INTERCEPT + 200), min_size=1, max_size=6), byte=st.integers(0, 255))
def test_a_damaged_header_never_crashes(place, at, byte):
    """Bytes of the header change: read, or refused in a sentence."""
    content = bytearray(SLICES[3])
    for position in at:
        content[position % len(content)] = byte
    place.write_bytes(content)
    try:
        with open_studies([place]) as (study,):
            found = choose(study)
            for series in study.series:
                load_volume(series)
            assert found.rows
    except InputError as error:
        _check(error)
