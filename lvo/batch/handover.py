"""Hand results over to `lvo.delivery` as they come: its outbox loses nothing and delivers the same result once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from lvo.batch.records import Row
from lvo.delivery import DeliverySettings, Outbox, deliver_due, hand_over, read_parcel, run_deliverer

__all__ = ["handing_over"]


@contextmanager
def handing_over(folder: Path, settings: DeliverySettings) -> Iterator[Callable[[Row], None]]:
    """A function that queues the result of a row; a deliverer sends beside the batch and once more at the end.

    What a destination did not take stays in the outbox, for the next run or any other deliverer.

    Args:
        folder: what the `folder` of a row is relative to.
        settings: destinations and the outbox.

    Raises:
        OutputError: the outbox cannot be opened or written.
    """
    stop = threading.Event()
    deliverer = threading.Thread(
        target=run_deliverer, args=(settings,), kwargs={"stop": stop}, name="batch-deliverer", daemon=True
    )
    with Outbox(Path(settings.outbox)) as outbox:
        deliverer.start()

        def queue(row: Row) -> None:
            hand_over(outbox, settings, read_parcel(folder / str(row["folder"])), at=datetime.now().astimezone())

        try:
            yield queue
        finally:
            stop.set()
            deliverer.join()
        deliver_due(outbox, settings)
