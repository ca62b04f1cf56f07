"""When a result is made, and where its UIDs come from."""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from lvo import __version__
from lvo.core.report import Report
from lvo.core.study import Study

__all__ = ["Stamp"]

_INPUT = frozenset({CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
"""Objects that a scanner makes of a patient. Our own, which a PACS may hand back with the study, are none of these."""

_UUID_SPACE = uuid.UUID("43c85e8e-8b1f-4171-8d70-7159e862386e")
"""Name space of our UIDs (RFC 9562, 5.5); drawn once and never to be changed."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a result is made, and what its UIDs follow from: the same input, analysed again, replaces its result.

    Args:
        created: date and time, as the hospital's clock shows it.
        key: digest of all that the result follows from.
    """

    created: datetime
    key: str

    @classmethod
    def of(cls, created: datetime, study: Study, report: Report, *, asked: Iterable[str] = ()) -> "Stamp":
        """The stamp of one analysis.

        Args:
            created: date and time.
            study: its CT images are the input, in whatever order and place; other objects do not count.
            report: names settings and models.
            asked: whatever else changes what is written: the parts asked for, clinical facts.
        """
        images = {i.sop_instance_uid for series in study.series for i in series.instances if i.sop_class_uid in _INPUT}
        parts = (
            (study.study_instance_uid, __version__, report.config_sha256),
            sorted(f"{model.name} {model.version} {model.sha256}" for model in report.models),
            sorted(asked),
            sorted(images),
        )
        return cls(created, hashlib.sha256(repr([list(part) for part in parts]).encode()).hexdigest())

    def uid(self, *name: str) -> str:
        """The UID of a named part of the result: with one key, always the same (PS3.5 B.2: UID from a UUID)."""
        return f"2.25.{uuid.uuid5(_UUID_SPACE, repr((self.key, *name))).int}"
