"""Where to: thrombectomy centres in the order of predicted puncture, with what waiting costs on average."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lvo.core.report import Site
from lvo.core.transfer import Destination, Opening, Transfer
from lvo.errors import UsageError
from lvo.network.benefit import price, why_no_price
from lvo.network.roster import Roster
from lvo.network.units import Units, asymmetric_pairs

__all__ = ["Pathway", "Patient", "rank_destinations"]

POPULATION_WORDS = (
    "Outcomes are averages over patients like those of the trials (stroke-outcome 0.1.8 to the pooled HERMES trials), never a "
    "forecast for one patient; they must not be used to choose between patients."
)
_ORDER = {opening: n for n, opening in enumerate(Opening)}


@dataclass(frozen=True, slots=True)
class Pathway:
    """Minutes that the tables of travel times do not hold; a network measures its own (`lvo audit`).

    Args:
        door_out_min: from now until the patient leaves the site.
        hub_door_to_puncture_min: from arrival at the centre, or from now at a site that is one, to puncture.
    """

    door_out_min: float = 60.0
    hub_door_to_puncture_min: float = 60.0


@dataclass(frozen=True, slots=True)
class Patient:
    """What the order and the prices need to know.

    Args:
        suspected: a large-vessel occlusion is suspected; None when nobody knows, as where the angiogram could not be judged.
        site: occluded artery, None when unknown.
        onset: when it began, or the patient was last known well; None when unknown.
        onset_seen: the onset was seen; None when that is unknown.
    """

    suspected: bool | None
    site: Site | None = None
    onset: datetime | None = None
    onset_seen: bool | None = None


def rank_destinations(
    units: Units, start: str, patient: Patient, *, now: datetime, roster: Roster | None = None, pathway: Pathway | None = None
) -> Transfer:
    """Centres by predicted puncture: open ones first, then those of unknown hours, then closed ones.

    Args:
        units: units and the ways between them.
        start: code of the unit where the patient is.
        patient: what is known.
        now: with offset from UTC.
        roster: opening hours; without one they are all unknown.
        pathway: minutes besides the drive.

    Raises:
        UsageError: the site is unknown or has no travel times, onset lies in the future, or no centre can be reached.
    """
    pathway = pathway or Pathway()
    if patient.onset is not None and patient.onset > now:
        msg = "the onset lies after now; check both times and their offsets from UTC"
        raise UsageError(msg)
    centres = [code for code in units.codes if units.by_code[code].thrombectomy]
    refused = why_no_price(onset_seen=patient.onset_seen, site=patient.site, suspected=patient.suspected)
    doubtful = {frozenset((pair.start, pair.end)) for pair in asymmetric_pairs(units)}
    rows = []
    for code in centres:
        row = _destination(units, start, code, now=now, pathway=pathway)
        if frozenset((start, code)) in doubtful:
            back = units.drive_min(code, start)
            doubt = f"{row.drive_min:.0f} min there and {back:.0f} min back cannot both be true: check the travel time"
            row = replace(row, doubts=(doubt,))
        rows.append(_priced(_timed(row, roster), patient, refused))
    if not rows:
        msg = f"no thrombectomy centre has travel times from {start}; look at the table of travel times"
        raise UsageError(msg)
    rows.sort(key=lambda row: (_ORDER[row.opening], row.puncture))
    return Transfer(start, units.by_code[start].name, now, tuple(rows), _assumptions(pathway, roster, refused))


def _destination(units: Units, start: str, code: str, *, now: datetime, pathway: Pathway) -> Destination:
    drive_min = 0.0 if code == start else units.drive_min(start, code)
    leaves = now if code == start else now + timedelta(minutes=pathway.door_out_min)
    arrival = leaves + timedelta(minutes=drive_min)
    puncture = arrival + timedelta(minutes=pathway.hub_door_to_puncture_min)
    return Destination(code, units.by_code[code].name, Opening.UNKNOWN, drive_min, arrival, puncture, None, None, "")


def _timed(row: Destination, roster: Roster | None) -> Destination:
    """With its opening at arrival."""
    is_open = None if roster is None else roster.is_open(row.code, row.arrival)
    if is_open is None or roster is None:
        return row
    if is_open:
        return replace(row, opening=Opening.OPEN)
    return replace(row, opening=Opening.CLOSED, opens=roster.opens_next(row.code, row.arrival))


def _priced(row: Destination, patient: Patient, refused: str) -> Destination:
    if refused or patient.onset is None:
        return replace(row, no_price=refused or "the time of onset is unknown")
    minutes = (row.puncture - patient.onset).total_seconds() / 60.0
    found = price(minutes)
    if found is None:
        return replace(row, no_price=f"puncture {minutes:.0f} min after onset: imaging decides, not this model")
    return replace(row, price=found)


def _assumptions(pathway: Pathway, roster: Roster | None, refused: str) -> tuple[str, ...]:
    door = f"Leaves {pathway.door_out_min:g} min from now; puncture {pathway.hub_door_to_puncture_min:g} min after arrival"
    words = [f"{door}; drive by road without delay."]
    if roster is None:
        words.append("No roster was given, so no centre is known to be open.")
    words.append(f"No outcomes are shown: {refused}." if refused else POPULATION_WORDS)
    return tuple(words)
