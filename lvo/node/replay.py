"""Trying again what ended in quarantine, or anything else by hand."""

from collections.abc import Iterable, Iterator

from lvo.delivery import Outbox
from lvo.node.database import connect, connect_read_only, open_clock, transaction
from lvo.node.jobs import replay
from lvo.node.settings import NodeSettings

__all__ = ["replay_studies"]


def replay_studies(settings: NodeSettings, studies: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Try studies again; a node that runs takes them up within a second.

    Yields:
        Study Instance UID, and what happens to it.

    Raises:
        InputError: there is no such study.
        OutputError: there is no store, or it cannot be opened.
    """
    connect_read_only(settings.database_path).close()  # `connect` would make a store where no node has been
    db = connect(settings.database_path)
    clock = open_clock(db)
    try:
        with Outbox(settings.outbox_path) as outbox:
            for study_uid in studies:
                last = db.execute(
                    "SELECT * FROM jobs WHERE study_uid = ? ORDER BY version DESC LIMIT 1", (study_uid,)
                ).fetchone()
                analysed = last is not None and last["state"] == "quarantined" and bool(last["folder"])
                if analysed and outbox.replay(study=study_uid):
                    with transaction(db):
                        db.execute("UPDATE jobs SET state = 'delivering', reason = '' WHERE id = ?", (last["id"],))
                    yield study_uid, f"version {last['version']} is delivered again"
                else:
                    yield study_uid, f"is analysed again as version {replay(db, clock, study_uid)}"
    finally:
        db.close()
