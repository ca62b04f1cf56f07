"""What a rule file may say: one TOML file per rule in `lvo/criteria/rules`, checked when it is read."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import msgspec

__all__ = ["KEYS", "Check", "Condition", "Rule", "packaged_rules"]

KEYS = (
    "onset_to_imaging_h", "age", "nihss", "pre_mrs", "anticoagulation", "aspects", "site",
    "core_ml", "mismatch_ml", "mismatch_ratio", "hypoperfusion_ml", "tmax10_ml",
)  # fmt: skip
"""Everything a rule can ask for: clinical facts first, then what the images gave."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base: a misspelt key in a rule file is an error."""


class Condition(_Strict, frozen=True):
    """One comparison: a key with limits or with allowed values, or words that only a person can judge."""

    key: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    one_of: tuple[str, ...] = ()
    judged: str = ""

    def __post_init__(self) -> None:
        """Refuse a condition that compares nothing, or what nobody measures."""
        limits = (self.at_least, self.above, self.at_most, self.below)
        compares = bool(self.one_of) or any(limit is not None for limit in limits)
        if bool(self.judged) == (self.key in KEYS and compares):
            msg = f"a condition needs one of the keys {KEYS} with a limit or one_of, or judged alone; got {self}"
            raise ValueError(msg)


class Check(_Strict, frozen=True):
    """One row of a rule: all conditions, or any of several groups of which all hold."""

    what: str
    all: tuple[Condition, ...] = ()
    any: tuple[tuple[Condition, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty row, or one that is both."""
        if bool(self.all) == bool(self.any) or not self.alternatives[0]:
            msg = f"check {self.what!r} needs either all or any"
            raise ValueError(msg)

    @property
    def alternatives(self) -> tuple[tuple[Condition, ...], ...]:
        """Groups of conditions of which one must hold."""
        return self.any or (self.all,)


class Rule(_Strict, frozen=True):
    """A rule: all its checks must hold.

    Args:
        name: the trial or guideline.
        source: where the wording is from.
        date: of the source.
        version: of this file; it rises with every change of a check.
        status: "verified" when every check was read in what `source` names, else "to be verified".
        unverified: what has not been read there, or where two of them disagree; empty exactly when the status is "verified".
        check: rows.
        not_judged: what the source also asks for and nothing here looks at.
    """

    name: str
    source: str
    date: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    status: Literal["verified", "to be verified"]
    check: tuple[Check, ...]
    unverified: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a rule whose status and list of doubts disagree."""
        if (self.status == "verified") == bool(self.unverified):
            msg = f"rule {self.name!r}: status is {self.status!r}, and unverified has {len(self.unverified)} entries"
            raise ValueError(msg)


@cache
def packaged_rules() -> tuple[Rule, ...]:
    """Every rule that ships with the program, in the order of the file names."""
    return tuple(msgspec.toml.decode(text, type=Rule) for text in _texts())


def _texts() -> Iterator[bytes]:
    folder = files("lvo.criteria") / "rules"
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            yield entry.read_bytes()
