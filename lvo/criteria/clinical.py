"""Clinical facts that selection rules ask for and no image shows; every one of them may be unknown."""

from typing import Annotated

import msgspec

from lvo.core.report import Site
from lvo.errors import UsageError

__all__ = ["ClinicalFacts", "clinical_facts"]

Hours = Annotated[float, msgspec.Meta(ge=0.0, le=168.0)]
Years = Annotated[float, msgspec.Meta(ge=0.0, le=120.0)]
Nihss = Annotated[int, msgspec.Meta(ge=0, le=42)]
Rankin = Annotated[int, msgspec.Meta(ge=0, le=5)]
Aspects = Annotated[int, msgspec.Meta(ge=0, le=10)]


class ClinicalFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known about the patient; None where it is not.

    Args:
        onset_to_imaging_h: hours from onset, or from last known well, to the scan; at most a week.
        age: years.
        nihss: National Institutes of Health Stroke Scale, 0 to 42.
        pre_mrs: modified Rankin Scale before the stroke, 0 to 5.
        aspects: Alberta Stroke Program Early CT Score, 0 to 10.
        site: occluded artery as read by a person; it replaces the site found on the images.
    """

    onset_to_imaging_h: Hours | None = None
    age: Years | None = None
    nihss: Nihss | None = None
    pre_mrs: Rankin | None = None
    aspects: Aspects | None = None
    site: Site | None = None

    def measurements(self) -> dict[str, float | str | None]:
        """The known facts under the keys of the rules; what is unknown is left out."""
        known = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: str(value) if isinstance(value, Site) else value for name, value in known if value is not None}


def clinical_facts(parsed: object) -> ClinicalFacts:
    """Check facts parsed from JSON.

    Raises:
        UsageError: not a JSON object, an unknown key, a wrong type or an impossible value. The message names the key and not
            the value.
    """
    try:
        return msgspec.convert(parsed, ClinicalFacts)
    except msgspec.ValidationError as error:
        reason = str(error) if "Invalid enum value" not in str(error) else f"`site` must be one of {[str(s) for s in Site]}"
        msg = f"clinical facts: {reason}; the keys are {', '.join(ClinicalFacts.__struct_fields__)}"
        raise UsageError(msg) from error
