"""Where a patient could go: thrombectomy centres, when puncture would be there, and what that is worth on average."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Destination", "Opening", "Price", "Transfer"]


class Opening(StrEnum):
    """Whether a centre is open when the patient would arrive."""

    OPEN = "open"
    UNKNOWN = "hours unknown"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Price:
    """What thrombectomy at one time is worth in a population of patients like those of the trials; never for one patient.

    Args:
        onset_to_puncture_min: the time.
        independent_without: share with mRS 0 to 2 at 90 days under medical care.
        independent_with: the same with thrombectomy at that time, by the model, which is conservative.
        independent_with_hermes: the same moved up to what the pooled trials found.
        utility_gain: gain in mean utility by the model.
        independent_lost_per_10_min: share that 10 more minutes cost.
        utility_lost_per_10_min: mean utility that they cost.
    """

    onset_to_puncture_min: float
    independent_without: float
    independent_with: float
    independent_with_hermes: float
    utility_gain: float
    independent_lost_per_10_min: float
    utility_lost_per_10_min: float


@dataclass(frozen=True, slots=True)
class Destination:
    """One centre.

    Args:
        code: of the unit.
        name: in words.
        opening: whether it is open at arrival.
        drive_min: minutes by road.
        arrival: predicted.
        puncture: predicted.
        opens: when it opens next, where it is closed at arrival.
        price: None where nothing may be said; then `no_price` says why.
        no_price: empty where there is a price.
        doubts: what is odd about the row, as a travel time that cannot be.
    """

    code: str
    name: str
    opening: Opening
    drive_min: float
    arrival: datetime
    puncture: datetime
    opens: datetime | None
    price: Price | None
    no_price: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """Centres in the order in which they count: open ones by predicted puncture, then those of unknown hours, then closed ones.

    Args:
        site: code of the hospital where the patient is.
        site_name: in words.
        now: when this was worked out.
        destinations: every centre that can be reached.
        assumptions: sentences a reader must know.
    """

    site: str
    site_name: str
    now: datetime
    destinations: tuple[Destination, ...]
    assumptions: tuple[str, ...]
