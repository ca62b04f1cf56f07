"""Coverage-guided fuzzing of reading: python fuzzing.py FOLDER [libFuzzer options]. See `scripts/fuzz`.

Each input is one file. It is indexed, judged and loaded; anything but a refusal in words (InputError) is a finding, as are
hangs and memory that no file of that size can need (limits by libFuzzer's options).
"""

import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lvo.dicom", "pydicom"]):
    from lvo.dicom.headers import read_header
    from lvo.dicom.index import open_studies
    from lvo.dicom.load import load_time_series, load_volume
    from lvo.dicom.pixels import decode_hu
    from lvo.dicom.select import choose
    from lvo.errors import InputError

PLACE = Path(sys.argv[1]) / "input"


def one_input(content: bytes) -> None:
    """Read one file in every way."""
    PLACE.write_bytes(content)
    for read in (_index, _decode):
        try:
            read()
        except InputError as error:
            _check(error)


def _check(error: InputError) -> None:
    """A refusal has words."""
    assert str(error)


def _index() -> None:
    with open_studies([PLACE]) as studies:
        for study in studies:
            choose(study)
            for series in study.series:
                for load in (lambda one: load_volume(one, whole_hu=True), lambda one: load_time_series((one,))):
                    try:
                        load(series)
                    except InputError as error:
                        _check(error)


def _decode() -> None:
    frames = read_header(PLACE).frames
    if frames:
        decode_hu(frames[:1])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
    atheris.Fuzz()
