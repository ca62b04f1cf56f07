"""Clinical facts that selection rules ask for and no image shows; every one of them may be unknown."""

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec

from lvo.core.report import Site
from lvo.errors import UsageError

__all__ = ["ClinicalFacts", "clinical_facts"]

LONGEST_H = 168.0
"""A week: an onset further back is a slip of the pen."""

Hours = Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_H)]
Years = Annotated[float, msgspec.Meta(ge=0.0, le=120.0)]
Nihss = Annotated[int, msgspec.Meta(ge=0, le=42)]
Rankin = Annotated[int, msgspec.Meta(ge=0, le=5)]
Aspects = Annotated[int, msgspec.Meta(ge=0, le=10)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Anticoagulation = Literal["none", "vitamin K antagonist", "direct oral", "heparin", "other"]


class ClinicalFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known about the patient; None where it is not.

    Args:
        onset: when the first symptom was seen, with offset from UTC.
        last_known_well: when the patient was last well, if nobody saw the onset (as in a wake-up stroke), with offset from UTC.
        imaging: when the head was scanned, with offset from UTC; needed to count hours from one of the two.
        onset_to_imaging_h: hours from onset, or from last known well, to the scan, at most a week: instead of the times.
        age: years.
        nihss: National Institutes of Health Stroke Scale, 0 to 42.
        pre_mrs: modified Rankin Scale before the stroke, 0 to 5.
        anticoagulation: what the patient takes; "none" when it is known that there is none.
        aspects: Alberta Stroke Program Early CT Score, 0 to 10.
        site: occluded artery as read by a person; it replaces the site found on the images.
    """

    onset: Moment | None = None
    last_known_well: Moment | None = None
    imaging: Moment | None = None
    onset_to_imaging_h: Hours | None = None
    age: Years | None = None
    nihss: Nihss | None = None
    pre_mrs: Rankin | None = None
    anticoagulation: Anticoagulation | None = None
    aspects: Aspects | None = None
    site: Site | None = None

    def __post_init__(self) -> None:
        """Refuse times that contradict each other."""
        given = [name for name in ("onset", "last_known_well", "onset_to_imaging_h") if getattr(self, name) is not None]
        if len(given) > 1:
            msg = f"give one of {', '.join(given)}: each says when the stroke began"
            raise ValueError(msg)
        hours = self.hours_to_imaging()
        if hours is not None and not 0.0 <= hours <= LONGEST_H:
            msg = f"`imaging` must be 0 to {LONGEST_H:g} hours after `{given[0]}`"
            raise ValueError(msg)

    def hours_to_imaging(self) -> float | None:
        """Hours from onset or last known well to the scan, None when one of the times is unknown."""
        start = self.onset or self.last_known_well
        if start is None or self.imaging is None:
            return self.onset_to_imaging_h
        return (self.imaging - start).total_seconds() / 3600.0

    def measurements(self) -> dict[str, float | str | None]:
        """The known facts under the keys of the rules; what is unknown is left out, and times have become hours."""
        facts = {name: getattr(self, name) for name in ("age", "nihss", "pre_mrs", "anticoagulation", "aspects", "site")}
        known = {"onset_to_imaging_h": self.hours_to_imaging()} | facts
        return {name: str(value) if isinstance(value, Site) else value for name, value in known.items() if value is not None}


def clinical_facts(parsed: object) -> ClinicalFacts:
    """Check facts parsed from JSON.

    Raises:
        UsageError: not a JSON object, an unknown key, a wrong type or an impossible value. The message names the key and not
            the value.
    """
    try:
        return msgspec.convert(_with_times(parsed), ClinicalFacts)
    except msgspec.ValidationError as error:
        reason = str(error)
        if "Invalid enum value" in reason:
            choices = {"site": [str(s) for s in Site], "anticoagulation": list(get_args(Anticoagulation))}
            key = "site" if "$.site" in reason else "anticoagulation"
            reason = f"`{key}` must be one of {choices[key]}"
        msg = f"clinical facts: {reason}; the keys are {', '.join(ClinicalFacts.__struct_fields__)}"
        raise UsageError(msg) from error


def _with_times(parsed: object) -> object:
    """The facts with their times as times: people leave out the seconds, which the checker would miss."""
    if not isinstance(parsed, dict):
        return parsed
    times = {name: _time(parsed[name]) for name in ("onset", "last_known_well", "imaging") if name in parsed}
    return parsed | times


def _time(value: object) -> object:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
