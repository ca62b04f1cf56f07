"""After a power cut: what was being received is either whole or gone."""

import logging
import sqlite3
from pathlib import Path

from lvo.durable import sha256_of
from lvo.node.database import Clock, transaction

__all__ = ["clear_incoming", "verify_images"]

LOG = logging.getLogger(__name__)


def clear_incoming(root: Path, *, pattern: str = "*") -> int:
    """Remove what was half received when a process died; only before one that makes such files runs. Returns how many files.

    Args:
        root: folder of the node.
        pattern: of the names of its files; all if omitted.
    """
    files = [path for path in (root / "incoming").glob(pattern) if path.is_file()]
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def verify_images(db: sqlite3.Connection, clock: Clock, root: Path) -> int:
    """Remove records of images whose files are not whole; only images from before the last start of the machine are looked at.

    No such image was acknowledged, unless the disk lost it: then the log says so, and the sender has to send it again.

    Returns:
        How many were removed.
    """
    rows = db.execute(
        "SELECT seq, study_uid, series_uid, path, sha256, conflict FROM images WHERE boot != ? AND path != ''", (clock.boot,)
    ).fetchall()
    broken = [row for row in rows if not _is_whole(root / row["path"], row["sha256"])]
    with transaction(db):
        for row in broken:
            db.execute("DELETE FROM images WHERE seq = ?", (row["seq"],))
            if row["conflict"]:
                continue
            db.execute("UPDATE studies SET n_images = n_images - 1 WHERE study_uid = ?", (row["study_uid"],))
            db.execute(
                "UPDATE series SET n_images = n_images - 1 WHERE study_uid = ? AND series_uid = ?",
                (row["study_uid"], row["series_uid"]),
            )
        db.execute("UPDATE images SET boot = ? WHERE boot != ?", (clock.boot, clock.boot))
    if broken:
        LOG.error("%d images were not whole after the machine restarted, and were removed: send them again", len(broken))
    return len(broken)


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False
