"""De-identified copies of the images of a study: `lvo.dicom.deidentify` on every CT image; the folder appears complete."""

import secrets
import shutil
import uuid
from pathlib import Path

from lvo.core.study import Study
from lvo.dicom.deidentify import deidentify, may_leave, new_uid
from lvo.dicom.headers import read_dataset
from lvo.errors import OutputError

__all__ = ["export_study", "secret_of"]


def export_study(study: Study, folder: Path, *, secret: bytes, keep_intervals: bool = False) -> Path:
    """Write `folder/<new Study Instance UID>/`, in place of what was there; returns it.

    What may not leave (`lvo.dicom.deidentify.may_leave`) is left out.

    Args:
        study: the study.
        folder: of all exports.
        secret: what the new identifiers follow from.
        keep_intervals: as `lvo.dicom.deidentify.deidentify`.

    Raises:
        InputError: an image cannot be read or de-identified; nothing is written then.
        OutputError: it cannot be written.
    """
    final = folder / new_uid(study.study_instance_uid, secret)
    work = final.with_name(f".{final.name}.{uuid.uuid4().hex}.partial")
    try:
        work.mkdir(parents=True)
        number = 0
        for series in study.series:
            for instance in series.instances:
                dataset, _ = read_dataset(instance.path)
                if may_leave(dataset):
                    deidentify(dataset, secret, keep_intervals=keep_intervals)
                    dataset.save_as(work / f"{number:06d}.dcm", enforce_file_format=True)
                    number += 1
        shutil.rmtree(final, ignore_errors=True)
        work.rename(final)
    except OSError as error:
        msg = f"the de-identified copy cannot be written: {error.strerror or error}"
        raise OutputError(msg) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def secret_of(path: Path) -> bytes:
    """The secret in a file, which is made, for its owner only, if it is not there.

    Raises:
        OutputError: it can be neither read nor made.
    """
    try:
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32), encoding="ascii")
        return path.read_bytes().strip()
    except OSError as error:
        msg = f"the secret {path} can be neither read nor made: {error.strerror}"
        raise OutputError(msg) from error
