"""Evaluate selection rules in three-valued logic: what is not known is unknown, never "not met"."""

from collections.abc import Iterable, Mapping

from lvo.core.report import Criterion, CriterionCheck
from lvo.criteria.rules import Check, Condition, Rule, packaged_rules

__all__ = ["evaluate"]


def evaluate(measurements: Mapping[str, float | str | None], rules: Iterable[Rule] | None = None) -> tuple[Criterion, ...]:
    """Evaluate every rule on the clinical facts and image measurements of one study.

    A missing or None value is unknown (met None). A rule is not met as soon as one check is not met, met when all are, and
    unknown otherwise. A core of 0 mL has no mismatch ratio; any ratio asked for then counts as reached, since every core
    however small would reach it, and the mismatch volume is checked besides.

    Args:
        measurements: any of the keys in `lvo.criteria.rules.KEYS`; others are ignored.
        rules: the packaged rules when omitted.
    """
    return tuple(_criterion(rule, measurements) for rule in (packaged_rules() if rules is None else rules))


def _criterion(rule: Rule, measurements: Mapping[str, float | str | None]) -> Criterion:
    checks = tuple(_check(check, measurements) for check in rule.check)
    source = f"{rule.source} [{': '.join([rule.status, *(['; '.join(rule.unverified)] if rule.unverified else [])])}]"
    if rule.not_judged:
        source += f"; not judged here: {'; '.join(rule.not_judged)}"
    met = _all(check.met for check in checks)
    return Criterion(rule.name, source, rule.date, met, checks, rule.version, rule.status, rule.unverified)


def _check(check: Check, measurements: Mapping[str, float | str | None]) -> CriterionCheck:
    met = _any(_all(_met(condition, measurements) for condition in group) for group in check.alternatives)
    keys = list(dict.fromkeys(condition.key for group in check.alternatives for condition in group if condition.key))
    value: float | str | None = None
    if len(keys) == 1:
        value = measurements.get(keys[0])
    elif keys:
        value = ", ".join(f"{key} {_text(measurements.get(key))}" for key in keys)
    groups = [" and ".join(_words(condition) for condition in group) for group in check.alternatives]
    rule = groups[0] if len(groups) == 1 else " or ".join(f"({group})" for group in groups)
    return CriterionCheck(check.what, value, rule, met)


def _met(condition: Condition, measurements: Mapping[str, float | str | None]) -> bool | None:
    """Whether one comparison holds; None when its value is unknown or only a person can judge it."""
    value = measurements.get(condition.key)
    if condition.key == "mismatch_ratio" and value is None and measurements.get("core_ml") == 0:
        return True
    if condition.judged or value is None:
        return None
    if condition.one_of:
        return value in condition.one_of
    number = float(value)
    return (
        (condition.at_least is None or number >= condition.at_least)
        and (condition.above is None or number > condition.above)
        and (condition.at_most is None or number <= condition.at_most)
        and (condition.below is None or number < condition.below)
    )


def _all(values: Iterable[bool | None]) -> bool | None:
    """And: False if one is False, else unknown if one is unknown."""
    found = list(values)
    if False in found:
        return False
    return None if None in found else True


def _any(values: Iterable[bool | None]) -> bool | None:
    """Or: True if one is True, else unknown if one is unknown."""
    found = list(values)
    if True in found:
        return True
    return None if None in found else False


def _words(condition: Condition) -> str:
    if condition.judged:
        return condition.judged
    if condition.one_of:
        return f"{condition.key} is {' or '.join(condition.one_of)}"
    limits = ((">=", condition.at_least), (">", condition.above), ("<=", condition.at_most), ("<", condition.below))
    return " and ".join(f"{condition.key} {sign} {limit:g}" for sign, limit in limits if limit is not None)


def _text(value: float | str | None) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else f"{value:g}"
