"""The three ways a part of the analysis can end; "could not judge" is a type, so it can never print as "negative"."""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

__all__ = ["Absent", "Assessed", "NotAssessable", "Outcome"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Assessed(Generic[T]):
    """The part was judged; `value` is what was found."""

    value: T


@dataclass(frozen=True, slots=True)
class NotAssessable:
    """The part was tried and could not be judged; every reason is a sentence for a clinician.

    Raises:
        ValueError: no reason is given.
    """

    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a refusal without a reason."""
        if not self.reasons or not all(self.reasons):
            msg = "NotAssessable needs at least one reason, and none may be empty"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Absent:
    """The part was not tried: the study has no images for it, or nobody asked for it; `reason` says which."""

    reason: str


Outcome: TypeAlias = Assessed[T] | NotAssessable | Absent
