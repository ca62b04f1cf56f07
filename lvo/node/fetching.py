"""Images that a study lacks, asked for once from the sources in `[delivery]` before it is judged without them."""

import logging
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from lvo.delivery.settings import Source
from lvo.errors import DeliveryError, InputError, OutputError
from lvo.node.database import connect_read_only
from lvo.node.inbox import Inbox, Receipt
from lvo.node.settings import NodeSettings

__all__ = ["Fetched", "fetch_missing"]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of it.

    Args:
        n_new: images that came; what the sender sent meanwhile does not count.
        problems: why not more; no identity is in them.
    """

    n_new: int
    problems: tuple[str, ...]


def fetch_missing(settings: NodeSettings, study_uid: str, folder: Path) -> Fetched:
    """Bring the CT images of a study here that a source has and the node has not. Nothing that goes wrong is raised.

    Args:
        settings: of the node; `[assembly] fetch_wait_s` is all the time there is.
        study_uid: of the study.
        folder: for files on their way, on the disk of the node; the caller removes it.
    """
    folder = folder / uuid.uuid4().hex  # a server that answers too late must not write among another study's files
    here, peer = _here(settings, study_uid)
    problems: list[str] = []
    done = threading.Event()
    asking = threading.Thread(target=_ask, args=(settings, study_uid, here, folder, problems, done), name="fetch", daemon=True)
    asking.start()  # a thread, since a server may take its time for every single answer
    asking.join(settings.assembly.fetch_wait_s)
    if not done.is_set():
        problems.append(f"not done within {settings.assembly.fetch_wait_s:g} s" if asking.is_alive() else "internal error")
    # What is here by now, from the sender too: a PACS writes an image down otherwise, and it would look like a conflicting one.
    known = frozenset[str]().union(*_here(settings, study_uid)[0].values())
    new = [path for path in sorted(folder.rglob("*.dcm")) if path.stem not in known]
    n_new = _take_in(settings, study_uid, new, peer, problems)
    LOG.info("%d missing images were fetched", n_new)
    if problems:
        LOG.warning("missing images could not be fetched: %s", "; ".join(problems))
    return Fetched(n_new, tuple(problems))


def _here(settings: NodeSettings, study_uid: str) -> tuple[dict[str, set[str]], str]:
    """SOP Instance UIDs of each series whose files are here, and who sent the study."""
    db = connect_read_only(settings.database_path)
    try:
        here: dict[str, set[str]] = {}
        rows = db.execute("SELECT series_uid, sop_uid FROM images WHERE study_uid = ? AND path != ''", (study_uid,))
        for row in rows:
            here.setdefault(row["series_uid"], set()).add(row["sop_uid"])
        return here, str(db.execute("SELECT peer FROM studies WHERE study_uid = ?", (study_uid,)).fetchone()["peer"])
    finally:
        db.close()


def _ask(
    settings: NodeSettings, study_uid: str, here: dict[str, set[str]], folder: Path, problems: list[str], done: threading.Event
) -> None:
    """Ask one source after the other, until one has something."""
    for source in settings.delivery.sources:
        try:
            if _fetch(source, study_uid, here, folder):
                break
        except (DeliveryError, OSError) as error:
            problems.append(str(error) if isinstance(error, DeliveryError) else f"{source.name}: {error.strerror}")
    done.set()


def _fetch(source: Source, study_uid: str, here: dict[str, set[str]], folder: Path) -> int:
    """Fetch every CT series that a source has more of; returns how many images came."""
    from lvo.delivery.fetch import fetch_series, find_series

    wanted = [
        found.series_instance_uid
        for found in find_series(source, study_uid)
        if found.modality == "CT" and len(here.get(found.series_instance_uid, ())) < (found.n_instances or 1)
    ]
    return sum(fetch_series(source, study_uid, uid, folder / str(number)) for number, uid in enumerate(wanted))


def _take_in(settings: NodeSettings, study_uid: str, files: list[Path], peer: str, problems: list[str]) -> int:
    """Treat what came as images of the study's sender, whose rules go on to hold; returns how many are used."""
    if not files:
        return 0
    inbox, n_new = Inbox(settings), 0
    try:
        for file in files:
            accepted = inbox.accept(file, door="fetch", peer=peer, study_uid=study_uid)
            n_new += accepted.receipt is not Receipt.CONFLICT  # a duplicate is one that retention had removed
    except (InputError, OutputError) as error:
        problems.append(str(error))
    finally:
        inbox.close()
    return n_new
