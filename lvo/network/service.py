"""What a hospital knows about its network, read once and used for every patient."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lvo.config import TransferSettings
from lvo.core.outcome import Assessed
from lvo.core.report import Call, CtaResult, Report, Site
from lvo.core.transfer import Transfer
from lvo.criteria.clinical import ClinicalFacts
from lvo.network import require_extra
from lvo.network.roster import Roster, read_roster
from lvo.network.transfer import Pathway, Patient, rank_destinations
from lvo.network.units import Units, packaged_folder, read_units

__all__ = ["Surroundings", "destinations_of", "patient_of", "read_surroundings", "suspected_site"]


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """The site, the units around it, their hours, and the minutes between."""

    site: str
    units: Units
    roster: Roster | None
    pathway: Pathway

    def destinations(self, patient: Patient, *, now: datetime) -> Transfer:
        """Centres for one patient.

        Raises:
            UsageError: the site is unknown, or onset lies after now.
        """
        local = now if self.roster is None else now.astimezone(self.roster.zone)
        return rank_destinations(self.units, self.site, patient, now=local, roster=self.roster, pathway=self.pathway)


def read_surroundings(site: str, settings: TransferSettings) -> Surroundings:
    """Read the tables.

    Raises:
        UsageError: the network extra is missing, or the site has no travel times.
        InputError: a table is missing or wrong.
    """
    require_extra()
    units = read_units(Path(settings.data) if settings.data else packaged_folder())
    units.drive_min(site, site)
    pathway = Pathway(settings.door_out_min, settings.hub_door_to_puncture_min)
    if not settings.roster:
        return Surroundings(site, units, None, pathway)
    roster = read_roster(Path(settings.roster), time_zone=settings.time_zone, known=units.by_code.keys())
    return Surroundings(site, units, roster, pathway)


def destinations_of(report: Report, surroundings: Surroundings, facts: ClinicalFacts, *, now: datetime) -> Transfer | None:
    """Centres for the patient of a report; None unless the angiogram or a person's reading gave an occlusion.

    Raises:
        UsageError: onset lies after now.
    """
    suspected, site = suspected_site(report)
    patient = patient_of(facts, suspected=suspected, site=site)
    return surroundings.destinations(patient, now=now) if patient.suspected else None


def suspected_site(report: Report) -> tuple[bool, Site | None]:
    """Whether the angiogram gave a suspected occlusion, and where."""
    match report.cta:
        case Assessed(value=CtaResult(finding=finding)) if finding.call is Call.SUSPECTED:
            return True, finding.site
        case _:
            return False, None


def patient_of(facts: ClinicalFacts, *, suspected: bool | None, site: Site | None) -> Patient:
    """What is known; an artery read by a person replaces the one found, and makes the occlusion suspected."""
    onset = facts.onset or facts.last_known_well
    return Patient(
        suspected=True if facts.site is not None else suspected,
        site=facts.site or site,
        onset=onset,
        onset_seen=None if onset is None else facts.onset is not None,
    )
