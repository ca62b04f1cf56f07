"""Coverage-guided fuzzing of reading: python fuzzing.py FOLDER [libFuzzer options]. See `scripts/fuzz`.

Each input is one file. It is indexed, judged, loaded and decoded, alone and as one slice among sound ones (FOLDER/beside).
Anything but a refusal in words (InputError) is a finding; so are hangs, memory beyond twice the volume, a sound slice that
changes beside a damaged one, and int16 that differs from float32. The most memory seen is left in FOLDER/most.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import atheris
import numpy as np
from numpy.typing import NDArray

with atheris.instrument_imports(include=["lvo.dicom", "pydicom"]):
    from lvo.dicom import headers
    from lvo.dicom.index import open_studies
    from lvo.dicom.load import load_time_series, load_volume
    from lvo.dicom.pixels import decode_hu
    from lvo.dicom.select import choose
    from lvo.errors import InputError

FOLDER = Path(sys.argv[1])
PLACE, BESIDE, MOST = FOLDER / "input", FOLDER / "beside", FOLDER / "most"
SLACK_BYTES = 32 << 20
"""What Python and its libraries may take beside a volume."""
most_bytes = 0


def one_input(content: bytes) -> None:
    """Read one file in every way."""
    PLACE.write_bytes(content)
    headers._read.cache_clear()  # thousands of headers are kept on purpose: they are no leak
    for read in (_index, _decode, _among_others):
        try:
            _within_memory(read)
        except InputError as error:
            _check(error)


def _within_memory(read: Callable[[], None]) -> None:
    """Read, and compare what it took at most with twice the float32 volume that the file holds, or may promise."""
    global most_bytes  # noqa: PLW0603 - libFuzzer calls one function again and again
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again from what is in use
    before = _memory_bytes("VmRSS")
    try:
        read()
    finally:
        taken = _memory_bytes("VmHWM") - before
        if taken > most_bytes:
            most_bytes = taken
            MOST.write_text(f"{taken / 1e6:.0f} MB for a volume of {_volume_bytes() / 1e6:.0f} MB", encoding="ascii")
        assert taken <= 2 * _volume_bytes() + SLACK_BYTES, f"{taken} bytes for a volume of {_volume_bytes()}"


def _memory_bytes(kind: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{kind}:")))


def _volume_bytes() -> int:
    """What the planes of the file make as float32; a promise beyond reason (`lvo.dicom.pixels`) counts as nothing."""
    try:
        n_pixels = sum(frame.shape_ji[0] * frame.shape_ji[1] for frame in headers.read_header(PLACE).frames)
    except InputError:
        return 0
    return 4 * n_pixels if 2 * n_pixels <= 1000 * PLACE.stat().st_size else 0


def _check(error: InputError) -> None:
    """A refusal has words, and no name in them."""
    assert str(error)
    assert "Secret" not in str(error)


def _index() -> None:
    with open_studies([PLACE]) as studies:
        for study in studies:
            choose(study)
            for series in study.series:
                for load in (load_volume, lambda one: load_time_series((one,))):
                    try:
                        load(series)
                    except InputError as error:
                        _check(error)


def _decode() -> None:
    frames = headers.read_header(PLACE).frames[:1]
    if frames:
        _same(*(decode_hu(frames, dtype=dtype).slices_hu for dtype in (np.int16, np.float32)))
        rows, columns = frames[0].shape_ji
        room = decode_hu(frames, dtype=np.int16, room_ji=(rows + 3, columns + 2)).slices_hu[:, :rows, :columns]
        _same(room, decode_hu(frames).slices_hu)


def _same(whole: NDArray[np.int16], real: NDArray[np.float32]) -> None:
    """Whole numbers are the real ones, rounded."""
    assert np.isfinite(real).all()
    np.testing.assert_array_equal(whole, np.clip(np.rint(real), -1024, 32767))


def _among_others() -> None:
    """The file is one slice of a series whose others are sound: they stay what they are."""
    with open_studies([PLACE, BESIDE]) as studies:
        for study in studies:
            for series in study.series:
                if len(series.instances) < 2:
                    continue
                try:
                    _sound(load_volume(series, whole_hu=True).volume.array, [one.path for one in series.instances])
                except InputError as error:
                    _check(error)


def _sound(volume_hu: NDArray[np.int16], paths: Sequence[Path]) -> None:
    """Every slice but that of the input is one of those beside, as they are read alone."""
    known = {plane.tobytes() for plane in ALONE}
    strange = sum(plane.tobytes() not in known for plane in volume_hu)
    assert strange <= sum(path == PLACE for path in paths), f"{strange} slices have changed"


ALONE = [decode_hu(headers.read_header(path).frames, dtype=np.int16).slices_hu for path in sorted(BESIDE.iterdir())]

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()
