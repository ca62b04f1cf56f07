"""A folder that appears complete or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lvo.errors import OutputError, UsageError

__all__ = ["new_folder"]


@contextmanager
def new_folder(out_dir: Path) -> Iterator[Path]:
    """A temporary sibling that becomes `out_dir` at the end, or disappears.

    Raises:
        UsageError: the folder holds something already.
        OutputError: it cannot be made.
    """
    try:
        if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
            msg = f"--out {out_dir} is not empty; give a new folder, nothing is overwritten"
            raise UsageError(msg)
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.", dir=out_dir.parent))
    except OSError as error:
        msg = f"{out_dir} cannot be written: {error.strerror}"
        raise OutputError(msg) from error
    try:
        yield folder
        folder.chmod(0o755)
        folder.replace(out_dir)
    except OutputError:
        raise
    except OSError as error:
        msg = f"{out_dir} cannot be written: {error.strerror or error}"
        raise OutputError(msg) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
