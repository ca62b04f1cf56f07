"""Results into a folder, as a network drive: each complete or not at all."""

import shutil
import uuid
from pathlib import Path

from lvo.delivery.deliver import Job
from lvo.delivery.settings import FolderDestination
from lvo.durable import sync_folder, sync_tree
from lvo.errors import DeliveryError, RefusedError

__all__ = ["send_folder"]


def send_folder(destination: FolderDestination, job: Job) -> str:
    """Copy a result folder to PATH/<StudyInstanceUID>/, under a temporary name until it is complete and on disk.

    An older result of the study is replaced. Between two renames there is a moment without any; nobody ever sees half of one.

    Returns:
        No remark.

    Raises:
        DeliveryError: the folder is not there, as when a drive is not mounted, or takes no copy; nothing is left behind.
        RefusedError: the result has none of the parts that are asked for.
        OSError: something else cannot be read or written; nothing is left behind.
    """
    source, root = job.delivery.folder, Path(destination.path)
    if source is None or not root.is_dir():
        msg = f"{root} is not there; mount or make it"
        raise DeliveryError(msg)
    found = [entry for entry in sorted(source.iterdir()) if not destination.parts or entry.name in destination.parts]
    if not found:
        msg = f"the result has none of {', '.join(destination.parts)}: see `parts` of {destination.name}"
        raise RefusedError(msg)
    final = root / job.delivery.study_instance_uid
    for left in root.glob(f".{final.name}.*"):  # by an attempt whose program was killed; there is one at a time
        shutil.rmtree(left, ignore_errors=True)
    work = root / f".{final.name}.{uuid.uuid4().hex}.partial"
    try:
        work.mkdir()
        for entry in found:
            copy = shutil.copytree if entry.is_dir() else shutil.copyfile
            copy(entry, work / entry.name)
            job.note({})
        sync_tree(work)
        _replace(work, final)
    except shutil.Error as error:  # of several files, each with its own reason
        msg = f"the result could not be copied to {root}: {error.args[0][0][2]}"
        raise DeliveryError(msg) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ""


def _replace(work: Path, final: Path) -> None:
    old = work.with_suffix(".old")
    if final.exists():
        final.rename(old)
    try:
        work.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)
    sync_folder(final.parent)
