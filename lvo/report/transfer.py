"""Where a patient could go, as rows of words for the page and the terminal, and as JSON for a script."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from lvo.core.transfer import Destination, Opening, Transfer

__all__ = ["COLUMNS", "TransferRow", "transfer_document", "transfer_rows"]

COLUMNS = (
    "Centre", "At arrival", "Drive", "Arrival", "Puncture", "After onset", "Independent: without, with (range)", "10 min cost",
)  # fmt: skip
"""Of `TransferRow.cells`."""


@dataclass(frozen=True, slots=True)
class TransferRow:
    """One centre in words: a cell per column, what may not be said or is doubtful, and whether the centre is open."""

    cells: tuple[str, ...]
    notes: tuple[str, ...]
    opening: Opening


def transfer_rows(transfer: Transfer, *, most: int = 5) -> tuple[TransferRow, ...]:
    """The first centres; a reason that holds for all of them stands in the assumptions and is not repeated."""
    shown = transfer.destinations[:most]
    common = {row.no_price for row in transfer.destinations}
    return tuple(_row(row, transfer.now, repeated=len(common) == 1) for row in shown)


def transfer_document(transfer: Transfer) -> dict[str, object]:
    """The whole of it as JSON-able values."""
    return dict(msgspec.to_builtins(transfer))


def _row(row: Destination, now: datetime, *, repeated: bool) -> TransferRow:
    opening = row.opening.value
    if row.opening is Opening.CLOSED:
        opening += f", opens {row.opens:%a %d %b %H:%M}" if row.opens else ", no opening within two weeks"
    cells = [row.name, opening, f"{row.drive_min:.0f} min", _clock(row.arrival, now), _clock(row.puncture, now)]
    if row.price is None:
        cells += ["—", "—", "—"]
    else:
        price = row.price
        low, high = 100 * price.independent_with, 100 * price.independent_with_hermes
        cells += [
            f"{price.onset_to_puncture_min:.0f} min",
            f"{100 * price.independent_without:.0f} %, {low:.0f} to {high:.0f} %",
            f"{100 * price.independent_lost_per_10_min:.1f} of 100",
        ]
    return TransferRow(tuple(cells), (*((row.no_price,) if row.no_price and not repeated else ()), *row.doubts), row.opening)


def _clock(at: datetime, now: datetime) -> str:
    """Time of day on the clock of `now`, with the day where it is another one."""
    local = at.astimezone(now.tzinfo)
    return f"{local:%H:%M}" if local.date() == now.date() else f"{local:%a %H:%M}"
